"""Which Go functions a recording watches, and what it reads of their frames.

Go passes arguments on its own stack: at entry the return address stands at SP and the arguments, in
words of 8 bytes, from SP+8 on, results behind them. After the return SP has moved up by a word.

sysFreeOS is inlined from 1.26 on and its body is a closure that runs on the system stack: every
function whose name ends in `sysFreeOS.func1` is watched, and its captured v and n are read through
the context register. From 1.25 the OS layer's functions take a name, two words more.

Who asked for a span is on the goroutine's own stack where mheap.alloc is entered, which is left for
the system stack right after: its words are kept, and `wasm.stacks` finds the frames among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gorun_mem.runtime.behaviour import Behaviour

LEVELS: Final = ("os", "heap", "span")

STACK: Final = "stack"
"""What becomes no event of its own, but says who asked for the next span."""
STACK_WORDS: Final = 500
"""Of 8 bytes; the runtime's own frames take some 90 of them."""

_FROM_SP, _FROM_CTXT = 0, 1
_START_ADDR: Final = 24
"""Offset of startAddr in an mspan, the same from 1.21 to 1.27."""


@dataclass(frozen=True, slots=True)
class Read:
    """A word to be read when a hook is called.

    Args:
        base: 0 from the stack pointer, 1 from the context register.
        offset: bytes from there.
        through: the word read is an address and this the offset from it; below 0 no address is
            followed, and as many words are read, as far as there is memory.
    """

    base: int
    offset: int
    through: int = -1


@dataclass(frozen=True, slots=True)
class Hook:
    """One function that is watched.

    Args:
        function: its Go name.
        ev: the event that it becomes; "" where it only tells who called.
        enter: field -> what to read at entry.
        leave: field -> what to read after the return; None where the return is of no interest.
    """

    function: str
    ev: str
    enter: Mapping[str, Read]
    leave: Mapping[str, Read] | None


def _arguments(*names: str) -> dict[str, Read]:
    """Arguments at entry, by name in order; "" for one that is not read."""
    return {name: Read(_FROM_SP, 8 + 8 * i) for i, name in enumerate(names) if name}


def _results(first: int, *names: str) -> dict[str, Read]:
    """Results after the return, the first of them behind `first` words of arguments."""
    return {name: Read(_FROM_SP, 8 * (first + i)) for i, name in enumerate(names)}


def _hooks(behaviour: Behaviour) -> dict[str, list[Hook]]:
    named = 2 if behaviour.purpose_names else 0
    os = [
        Hook("runtime.osinit", "osinit", {}, {}),
        Hook("runtime.sysAlloc", "", {}, {}),
        Hook("runtime.sysFree", "", {}, {}),
        Hook("runtime.sysReserve", "", {}, {}),
        Hook("runtime.sysUnreserve", "", {}, {}),
        Hook("runtime.sysAllocOS", "sysAllocOS", _arguments("n"), _results(1 + named, "p")),
        Hook("runtime.sysFreeOS", "sysFreeOS", _arguments("v", "n"), {}),
        Hook(
            "runtime.sysReserveOS", "sysReserveOS", _arguments("v", "n"), _results(2 + named, "p")
        ),
        Hook(
            "runtime.sysReserveAlignedSbrk",
            "sysReserveAlignedSbrk",
            _arguments("size", "align"),
            _results(2, "p", "rsize"),
        ),
        Hook("runtime.sbrk", "sbrk", _arguments("n"), _results(1, "p")),
        Hook("runtime.growMemory", "growMemory", _arguments("pages"), _results(1, "r")),
    ]
    heap = [
        Hook(
            "runtime.(*mheap).sysAlloc",
            "mheap.sysAlloc",
            _arguments("", "n", "list"),
            _results(4, "v", "size"),
        ),
    ]
    span = Read(_FROM_SP, 16, _START_ADDR)
    spans = [
        Hook(
            "runtime.(*mheap).allocSpan",
            "span.alloc",
            _arguments("", "npages", "kind"),
            {"span": Read(_FROM_SP, 24), "base": Read(_FROM_SP, 24, _START_ADDR)},
        ),
        Hook("runtime.(*mheap).freeSpanLocked", "span.free", {"base": span}, None),
        Hook("runtime.(*pageAlloc).allocToCache", "cache.fill", {}, None),
        Hook("runtime.(*pageCache).flush", "cache.flush", {}, None),
        Hook("runtime.persistentalloc1", "persistent", _arguments("n", "align"), {}),
        Hook("runtime.gcBgMarkStartWorkers", "gc.start", {}, None),
        Hook("runtime.gcMarkTermination", "gc.mark_end", {}, None),
        Hook("runtime.main", "main", {}, None),
        Hook("runtime.(*mheap).alloc", STACK, {"words": Read(_FROM_SP, 8, -STACK_WORDS)}, None),
    ]
    return {"os": os, "heap": heap, "span": spans}


_CLOSURE: Final = "sysFreeOS.func1"
_OPTIONAL: Final = frozenset(
    (
        "runtime.(*mheap).alloc",
        "runtime.sysFreeOS",
        "runtime.sysReserve",
        "runtime.sysReserveAlignedSbrk",
        "runtime.sysUnreserve",
    )
)
"""What some releases lack and some builds inline."""


def wanted(behaviour: Behaviour, level: str) -> list[Hook]:
    """The hooks of a level, those of the levels below it included."""
    hooks = _hooks(behaviour)
    return [hook for name in LEVELS[: LEVELS.index(level) + 1] for hook in hooks[name]]


@dataclass(frozen=True, slots=True)
class FoundHooks:
    """A hook and the function that it is for.

    Args:
        hook: what to read.
        number: the function's place among those with bodies.
    """

    hook: Hook
    number: int


def find(
    functions: Mapping[str, Sequence[int]], behaviour: Behaviour, level: str
) -> tuple[list[FoundHooks], list[str]]:
    """What can be watched in a binary.

    Args:
        functions: from `Binary.functions`.
        behaviour: the release's.
        level: "os", "heap" or "span".

    Returns:
        What was found, and the names of functions that are missing and needed.
    """
    found: list[FoundHooks] = []
    missing: list[str] = []
    for hook in wanted(behaviour, level):
        numbers = functions.get(hook.function, ())
        found += [FoundHooks(hook, number) for number in numbers]
        if not numbers and (hook.function not in _OPTIONAL or _needed(hook, behaviour)):
            missing.append(hook.function)
    found += [
        FoundHooks(Hook(name, "sysFreeOS", {"v": _captured(0), "n": _captured(1)}, {}), number)
        for name, numbers in functions.items()
        if name.endswith(_CLOSURE)
        for number in numbers
    ]
    if not any(f.hook.ev == "sysFreeOS" for f in found):
        missing.append("runtime.sysFreeOS")
    return found, missing


def _needed(hook: Hook, behaviour: Behaviour) -> bool:
    return hook.function == "runtime.sysReserveAlignedSbrk" and behaviour.is_sbrk_platform


def _captured(place: int) -> Read:
    """A variable that a closure holds, in the order captured."""
    return Read(_FROM_CTXT, 8 + 8 * place)
