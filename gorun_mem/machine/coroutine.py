"""The coroutines of Ms: one step further, where they stand, an end to them.

Never compiled: a compiled function that catches an exception, as the end of a coroutine is, pays
for a traceback what several steps cost.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from gorun_mem.machine.outcome import RunStopped

Coro = Coroutine[Any, Any, Any]

ENDED: Final = object()
"""What `resume` returns at the end."""


class ForeignAwait(Exception):
    """An M awaited something that is no operation, which the trampoline cannot wait for."""


def where(coro: Any) -> str:
    """The innermost line that `coro` stands at in neither trio nor this package: "file:line"."""
    place = ""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            break
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in ("trio", "gorun_mem") or not place:
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        coro = getattr(coro, "cr_await", None)
    return place


def resume(coro: Coro, value: object) -> Any:
    """Let `coro` go on with `value`; what it awaits next, ENDED where it has ended."""
    try:
        return coro.send(value)
    except StopIteration:
        return ENDED


def unwind(coro: Coro) -> None:
    """End a coroutine that is not to run again; what it does meanwhile does not count."""
    for end in (partial(coro.throw, RunStopped()), coro.close):
        try:
            end()
        except BaseException:
            pass
