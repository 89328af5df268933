"""`--github` and `--junit`, of the verbs that judge something.

Their values lie in click's context, so that a verb has no parameter for them: it says what it has
judged, once, whatever was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from gorun_mem.cli._written import check_output

if TYPE_CHECKING:
    from gorun_mem.report.checked import CheckedCase

F = TypeVar("F", bound=Callable[..., Any])
_KEY: Final = "gorun_mem.ci"


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.meta.setdefault(_KEY, {})[param.name] = value


def ci_options(function: F) -> F:
    """Decorate a command with what CI wants of it."""
    function = click.option(
        "--junit",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        callback=_keep,
        expose_value=False,
        help="Write what was judged to this file as JUnit's XML.  [default: none is written]",
    )(function)
    return click.option(
        "--github",
        is_flag=True,
        callback=_keep,
        expose_value=False,
        help="Write each fault to stderr as an annotation of GitHub's, ::error file=...::, which "
        "its runner (where GITHUB_ACTIONS is true) shows at the line; never without this option.",
    )(function)


def check_junit(reads: Iterable[object] = ()) -> None:
    """Whether the report can be written, before work that may take long.

    Args:
        reads: as `check_output` has them.

    Raises:
        BadInput: it cannot.
    """
    check_output("--junit", _asked().get("junit"), reads)


def wanted() -> bool:
    """Whether anybody asked for either."""
    return bool(_asked().get("junit") or _asked().get("github"))


def tell(cases: Iterable[CheckedCase]) -> None:
    """Write what was judged, as it was asked for."""
    from gorun_mem.report.checked import junit, workflow_commands

    asked, found = _asked(), list(cases)
    if asked.get("junit") is not None:
        from gorun_mem.files.writing import write_output

        ctx = click.get_current_context()
        write_output(asked["junit"], junit(str(ctx.info_name), found))
    if asked.get("github"):
        for line in workflow_commands(found):
            click.echo(line, err=True)


def script_of(scenario: Any) -> tuple[str, int]:
    """A scenario's file and its first line there, as `report.checked` takes them."""
    return os.fspath(scenario.file), int(scenario.function.__code__.co_firstlineno)


def _asked() -> dict[str, Any]:
    ctx = click.get_current_context(silent=True)
    asked: dict[str, Any] = ctx.meta.get(_KEY, {}) if ctx is not None else {}
    return asked
