"""`gorun-mem --show-config`: each default, and where it comes from."""

from __future__ import annotations

import click

from gorun_mem.cli._common import write_json
from gorun_mem.cli._output import show
from gorun_mem.cli.defaults import rows


def show_config(ctx: click.Context, as_json: bool) -> None:
    """Show them.

    Args:
        ctx: of the program, whose verbs have the options.
        as_json: as one document.

    Raises:
        BadInput: what is set is none, or cannot be.
    """
    found = list(rows(ctx))
    if as_json:
        settings = {
            key: {"value": value, "from": origin, "where": where or None}
            for key, value, origin, where in found
        }
        write_json({"settings": settings})
        return
    from gorun_mem.report.width import table_lines

    cells = [
        (key, value, f"{origin}, {where}" if where else origin)
        for key, value, origin, where in found
    ]
    show("\n".join(table_lines([("key", "value", "from"), *cells], "<<<", "")))
