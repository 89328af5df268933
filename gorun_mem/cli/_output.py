"""How the verbs speak to people: lines that fit, and colours where they are wanted.

Colours are click's in text and rich's in what moves; both are told the same. `--color` decides;
without it $NO_COLOR, then $FORCE_COLOR, then whether it is a terminal that is not dumb.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Literal

import click

if TYPE_CHECKING:
    from rich.console import Console

COLORS: Final = ("auto", "always", "never")
Color = Literal["auto", "always", "never"]


def show(*texts: str, err: bool = False) -> None:
    """Text for a person, as many lines as it takes.

    Args:
        texts: each of one line or several, without a last newline.
        err: to stderr.
    """
    from gorun_mem.report.width import fit, width

    columns = width(err=err)
    for text in texts:
        click.echo(text if columns is None else fit(text, columns), err=err)


def console(*, err: bool = True) -> Console:
    """What draws bars and counters that move."""
    from rich.console import Console

    from gorun_mem.report.width import width

    wanted = _color()
    return Console(
        stderr=err,
        width=width(err=err),
        no_color=wanted is False,
        force_terminal=False if _is_dumb() else None,
        highlight=False,
    )


def _color() -> bool | None:
    ctx = click.get_current_context(silent=True)
    return ctx.color if ctx is not None else from_environment()


def is_interactive() -> bool:
    """Whether stderr is a terminal on which a line can be drawn again."""
    return sys.stderr is not None and sys.stderr.isatty() and not _is_dumb()


def _is_dumb() -> bool:
    return os.environ.get("TERM", "") in ("dumb", "unknown")


def from_environment() -> bool | None:
    """What the environment says of colours; None where each stream decides by being a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") != "0":
        return True
    return False if _is_dumb() else None


def _set(ctx: click.Context, _param: click.Parameter, value: Color | None) -> None:
    """Decide for this context and what it invokes; the verb's own word comes after the group's."""
    if value is None:
        if ctx.parent is None:
            ctx.color = from_environment()
        return
    ctx.color = from_environment() if value == "auto" else value == "always"


class FittedHelp(click.HelpFormatter):
    """Help that fits, its examples too."""

    def getvalue(self) -> str:
        """The text."""
        from gorun_mem.report.width import fit

        return fit(super().getvalue())


class Context(click.Context):
    """Of the program and of every verb."""

    formatter_class = FittedHelp


def color_option() -> click.Option:
    """`--color`, of the program and of every verb."""
    return click.Option(
        ["--color"],
        type=click.Choice(COLORS),
        default=None,
        is_eager=True,
        expose_value=False,
        callback=_set,
        help="Use colours always, never, or where a terminal shows them; $NO_COLOR and "
        "$FORCE_COLOR are heeded.  [default: auto]",
    )
