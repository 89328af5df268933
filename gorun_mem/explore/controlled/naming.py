"""What a task of trio waits for, in the program's own words.

A task that waits stands in the program's code, that in trio's, and so on down to where trio gives
up the CPU. The last line that is the program's says where; the words between its `await` and the
method's name say what is awaited as the program calls it; and the first frame of trio's has the
object itself.

    async with account.lock:       ->  Lock.acquire     account.lock    bank.py:12
    item = await receiver.receive()    channel.receive  receiver        bank.py:20
    await trio.sleep(1)                trio.sleep       in worker       bank.py:31
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

_NOT_THE_PROGRAM: Final = frozenset({"anyio", "contextlib", "gorun_mem", "outcome", "trio"})
_KERNELS: Final = "gorun_mem.explore.kernels"
_RECEIVER: Final = re.compile(r"(?:.*\bawait\s+)?\(*(?P<of>[\w.\[\]]+?)\.\w+\s*\(", re.DOTALL)
_NAME: Final = re.compile(r"[\w.\[\]\"']+")
_KINDS: Final = {
    "MemorySendChannel.send": "channel.send",
    "MemoryReceiveChannel.receive": "channel.receive",
    "ReceiveChannel.__anext__": "channel.receive",
    "NurseryManager.__aexit__": "Nursery.exit",
    "NurseryManager.__aenter__": "Nursery.enter",
    "sleep": "trio.sleep",
    "sleep_until": "trio.sleep",
    "sleep_forever": "trio.sleep_forever",
    "checkpoint": "trio.checkpoint",
    "cancel_shielded_checkpoint": "trio.checkpoint",
    "checkpoint_if_cancelled": "trio.checkpoint",
    "wait_all_tasks_blocked": "trio.wait_all_tasks_blocked",
    "wait_task_rescheduled": "trio.wait",
}
"""How an await of trio's is called where its own name is longer, or says nothing."""
_CLASSES: Final = {"MemorySendChannel": "channel", "MemoryReceiveChannel": "channel"}
_METHODS: Final = {"__aexit__": "close", "aclose": "close"}
_ENTERS: Final = "AsyncContextManagerMixin.__aenter__"
_texts: Final[dict[tuple[CodeType, int], str]] = {}


class Await(NamedTuple):
    """What a task waits for.

    Args:
        kind: what of trio's it awaits, such as "Lock.acquire".
        what: the object's name, as the program calls it there; "" where there is none.
        thing: the object itself; None where there is none.
        place: where, as "file:line"; "" where that is not known.
        source: that line of the program.
    """

    kind: str
    what: str
    thing: Any
    place: str
    source: str


def await_of(coro: Any, inside: str) -> Await:
    """What a coroutine that has been left at an await waits for.

    Args:
        coro: the coroutine.
        inside: what to call the place where no object is waited for.
    """
    user: FrameType | None = None
    foreign: list[FrameType] = []
    for frame in _frames(coro):
        if _is_programs(frame):
            user = frame
            foreign = []
        else:
            foreign.append(frame)
    kind, thing = _awaited(foreign)
    if user is None:
        return Await(kind, inside, thing, "", "")
    place, source = line_of(user.f_code.co_filename, user.f_lineno, user.f_globals)
    what = _receiver(user) if thing is not None else inside
    return Await(kind, what, thing, place, source)


def line_of(path: str, line: int, module: dict[str, Any] | None = None) -> tuple[str, str]:
    """A line of the program as "file:line", and its text.

    Args:
        path: of the file.
        line: its number.
        module: the names of the module, which may know its source otherwise.
    """
    file = path.replace("\\", "/").rpartition("/")[2]
    return f"{file}:{line}", linecache.getline(path, line, module).strip()


def short_name(name: str) -> str:
    """A task's name without its module and the functions around."""
    return name.rpartition("<locals>.")[2].rpartition(".")[2] or name


def library_of(message: Any) -> str:
    """Whose await has yielded `message`, which is none of trio's."""
    module = type(message).__module__.partition(".")[0]
    return "asyncio" if message is None or module in ("asyncio", "_asyncio") else repr(message)


def place_in(frame: FrameType | None) -> str:
    """The program's line that has led to `frame`, which is running, as "file:line"."""
    while frame is not None and not _is_programs(frame):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_programs(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.partition(".")[0] not in _NOT_THE_PROGRAM or module.startswith(_KERNELS)


def _frames(coro: Any) -> Iterator[FrameType]:
    """The frames of a coroutine, the outermost first."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            frame = getattr(coro, "gi_frame", None)
            coro = getattr(coro, "gi_yieldfrom", None)
        else:
            coro = coro.cr_await
        if frame is None:
            return
        yield frame


def _awaited(frames: list[FrameType]) -> tuple[str, Any]:
    """What of trio's is awaited, and the object that is waited for."""
    frames = [f for f in frames if f.f_globals.get("__name__", "").startswith("trio.")]
    if not frames:
        return "await", None
    name = frames[0].f_code.co_qualname
    if name == _ENTERS and len(frames) > 1:
        frames = frames[1:]
        name = frames[0].f_code.co_qualname
    thing = frames[0].f_locals.get("self")
    if name.startswith("_LockImpl.") or (thing is not None and name not in _KINDS):
        cls, method = type(thing).__name__, name.rpartition(".")[2]
        name = f"{_CLASSES.get(cls, cls)}.{_METHODS.get(method, method)}"
    kind = _KINDS.get(name, name if "." in name else f"trio.{name}")
    if kind.startswith("Nursery"):
        return kind, None
    return kind, thing


def _receiver(frame: FrameType) -> str:
    """How the program calls what it waits for at the await where `frame` stands."""
    key = frame.f_code, frame.f_lasti
    text = _texts.get(key)
    if text is None:
        text = _texts[key] = _receiver_in(_text_at(frame))
    return text


def _receiver_in(text: str) -> str:
    found = _RECEIVER.match(text)
    if found is not None:
        return found["of"]
    text = text.removeprefix("async with ").removeprefix("async for ")
    if " in " in text:
        text = text.partition(" in ")[2]
    name = _NAME.match(text.strip())
    return name[0] if name is not None else ""


def _text_at(frame: FrameType) -> str:
    """The expression that is being awaited, as it stands in the file; "" where it is not known."""
    code = frame.f_code
    at = next(islice(code.co_positions(), frame.f_lasti // 2, None), None)
    first, last, start, end = at or (None, None, None, None)
    if first is None or last is None or start is None or end is None:
        return ""
    lines = [
        linecache.getline(code.co_filename, number, frame.f_globals)
        for number in range(first, last + 1)
    ]
    if not all(lines):
        return ""
    head = lines[0].strip()
    if head.startswith(("async with", "async for")):
        return head.partition(":")[0].partition(" as ")[0]
    raw = [line.encode() for line in lines]  # positions count bytes
    raw[-1] = raw[-1][:end]
    raw[0] = raw[0][start:]
    return b"".join(raw).decode(errors="replace")
