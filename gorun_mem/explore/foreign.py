"""What a program awaits that is no operation: trio, asyncio, and what no schedule controls."""

from __future__ import annotations

from types import FrameType
from typing import Any, Final

from gorun_mem.machine.coroutine import ForeignAwait, where
from gorun_mem.machine.places import place_of
from gorun_mem.step.task import Task

ASYNCIO: Final = (
    "asyncio cannot be searched, trio can: write it against trio, or against anyio with trio under "
    "it, as in trio.sleep or anyio.sleep for asyncio.sleep"
)
"""What to do with a program of asyncio's."""


class AwaitsTrio(Exception):
    """The program awaits trio, of which this host knows nothing: another is to run it."""


class Uncontrolled(ForeignAwait):
    """An M awaited what no schedule controls, trio itself for one.

    Args:
        text: for people.
        place: where, as "file:line".
    """

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place


def uncontrolled(task: Task, coro: Any) -> Uncontrolled:
    """What to say of `task`, whose coroutine awaits what is no operation.

    Raises:
        AwaitsTrio: it is trio's.
    """
    frame = _innermost(coro)
    if _is_of("trio", frame):
        raise AwaitsTrio
    place = where(coro)
    if _is_of("asyncio", frame):
        return of_asyncio(task, place)
    return Uncontrolled(f"M{task.id} ({task.name}) awaits what is no operation, at {place}", place)


def seen_as(error: BaseException, task: Task, is_controlled: bool) -> BaseException:
    """What the coroutine of `task` has raised, or what is to be said in its place.

    Args:
        error: what it has raised.
        task: whose coroutine.
        is_controlled: trio is there.

    Raises:
        AwaitsTrio: it looked for trio, and found none.
    """
    if isinstance(error, RuntimeError | AttributeError):
        frame = _raised_in(error)
        if _is_of("trio", frame) and not is_controlled:
            raise AwaitsTrio from error  # it found no task of trio's around it
        if _is_of("asyncio", frame):
            return of_asyncio(task, place_of(error))  # it found no event loop
    return error


def of_asyncio(task: Task, place: str) -> Uncontrolled:
    """`task` awaits asyncio at `place`."""
    text = f"M{task.id} ({task.name}) awaits asyncio at {place}: {ASYNCIO}"
    return Uncontrolled(text, f"{place}: {ASYNCIO}")


def _raised_in(error: BaseException) -> FrameType | None:
    """The frame that has raised `error`."""
    back = error.__traceback__
    while back is not None and back.tb_next is not None:
        back = back.tb_next
    return None if back is None else back.tb_frame


def _innermost(coro: Any) -> FrameType | None:
    """The frame of what a coroutine awaits in the end."""
    frame: FrameType | None = None
    while coro is not None:
        inner = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        frame = inner or frame
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
    return frame


def _is_of(package: str, frame: FrameType | None) -> bool:
    name = "" if frame is None else frame.f_globals.get("__name__", "")
    return bool(name.partition(".")[0] == package)
