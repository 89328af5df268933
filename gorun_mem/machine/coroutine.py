"""The coroutines of Ms: where they stand, where what drives them begins, an end to them.

Never compiled, for the sake of `hosting`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any

from gorun_mem.machine.outcome import RunStopped
from gorun_mem.runtime.op import Op

Coro = Coroutine[Any, Any, Any]


class ForeignAwait(Exception):
    """An M awaited something that is no operation, which the trampoline cannot wait for."""


def where(coro: Any) -> str:
    """The innermost line that `coro` stands at outside of event loops and this package."""
    place = ""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            break
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in ("anyio", "asyncio", "gorun_mem", "trio") or not place:
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        coro = getattr(coro, "cr_await", None)
    return place


def standing(coro: Any, inner: TracebackType | None) -> TracebackType | None:
    """A traceback of where `coro` stands, and what comes behind that.

    Args:
        coro: has awaited what failed.
        inner: the traceback of the failure, which no coroutine was in.
    """
    frames = []
    while (frame := getattr(coro, "cr_frame", None)) is not None:
        frames.append(frame)
        coro = coro.cr_await
    for frame in reversed(frames):
        inner = TracebackType(inner, frame, frame.f_lasti, frame.f_lineno)
    return inner


def hosting(run: Callable[[], None]) -> None:
    """Call what drives Ms, from a frame that the watchdog knows: a compiled host has none."""
    run()


def unwind(coro: Coro) -> None:
    """End a coroutine that is not to run again; what it does meanwhile does not count."""
    for end in (partial(coro.throw, RunStopped()), coro.close):
        try:
            end()
        except BaseException:
            pass


async def awaits(op: Op) -> None:
    """Await an operation, and nothing else."""
    await op
