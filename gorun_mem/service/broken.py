"""A stream that broke, and what its exceptions keep."""

from __future__ import annotations


def let_go(error: BaseException) -> None:
    """Cut the tracebacks of what a broken stream has raised, which nobody will read.

    trio raises one exception within another through contextlib, whose frames hold what they have
    raised from Python 3.12 on: a circle, with all that was to be sent, until the collector comes.
    """
    one: BaseException | None = error
    while one is not None:
        one.__traceback__ = None
        one = one.__context__
