"""What a step came to, in a word: the value of what it touched, and a lock's word by its bits.

    load bloc                  -> 4096            it read that
    store bloc                 = 4096             it holds that now
    atomic.cas head            = 'b'              it held what was expected; if not: fails, = 'c'
    atomic.xchg n              = 1, was 0
    atomic.xchg8 memlock.key   = SLEEPING|LOCKED  a lock's word by its bits, M2 where it has one's
                                                  address; key=3 where the lock names no bits
    chan.send queue            = [1, 2]           an object of the kit: what it holds
    futexwakeup key            wakes M2

A lock of one's own names the bits or the values of its word by `bits` and `values`, as StateMutex
has them; a word of the kit may hold members of an `enum.Flag`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from gorun_mem.explore.detectors.lost_wakeups import is_wakeup
from gorun_mem.explore.history import short
from gorun_mem.runtime.kinds import FLUSH
from gorun_mem.runtime.op import Mark
from gorun_mem.step.schedule import Step
from gorun_mem.step.task import BUFFERS
from gorun_mem.sync import (
    Chan,
    Event,
    KitObject,
    Lock,
    NotifyList,
    Once,
    RWLock,
    Semaphore,
    Variable,
    WaitGroup,
)
from gorun_mem.sync.words import LateStore

VALUE_MAX: Final = 32
"""Characters of a value."""
_TELLS_BEFORE: Final = frozenset({"atomic.xchg", "atomic.or", "atomic.and"})
_SWAPS: Final = ("cas", "compare", "cmpxchg")


def is_swap(kind: str) -> bool:
    """Whether a step of this kind changes something only if it finds what was expected."""
    return any(word in kind for word in _SWAPS)


# Locks' words.


def bits_of(mutex: Any) -> list[dict[str, Any]]:
    """What a lock's word says: name, whether it is set, and a value beside it where it has one."""
    key, values, bits = mutex.key, mutex.values, mutex.bits
    if values:
        return [_bit(name, key == value) for value, name in values.items()]
    found = [_bit(name, key & bit != 0) for name, bit in reversed(bits.items())]
    if bits:
        rest = mutex.in_words(key & ~sum(bits.values()))
        found.append(_bit("waits first", rest != "0", rest if rest != "0" else ""))
    return found


def _bit(name: str, is_set: bool, value: str = "") -> dict[str, Any]:
    return {"name": name, "set": is_set, "value": value}


def word_of(mutex: Any) -> str:
    """A lock's word in a line: `M2|SLEEPING|LOCKED`, or `key=3` where its values have no names."""
    if not getattr(mutex, "values", None) and not getattr(mutex, "bits", None):
        return f"key={mutex.key}"
    words: str = mutex.in_words(mutex.key)
    return words.replace(" ", "|").upper()


# What objects of the kit hold.


def held_in(thing: object) -> str:
    """What an object of the kit holds now, for a step that changed it; "" where there is nothing.

    Who holds a lock of the kit, and who waits, the lanes say themselves.
    """
    match thing:
        case Variable():
            return value_in_words(thing.value)
        case Semaphore():
            return str(thing.value)
        case WaitGroup():
            return str(thing.count)
        case Chan():
            return f"{value_in_words(list(thing.buffer))}{', closed' if thing.closed else ''}"
        case Event():
            return "set" if thing.happened else "not set"
        case RWLock():
            return _rwlock(thing)
        case Lock():
            return f"held by M{thing.owner.id}" if thing.owner is not None else "free"
        case Once():
            return "done" if thing.done.value else "not done"
        case NotifyList():
            asleep = ", ".join(f"M{m.id}" for m in thing.asleep.values())
            return f"{asleep} asleep" if asleep else "nobody asleep"
    return ""


def _rwlock(lock: RWLock) -> str:
    reading = ", ".join(f"M{m}" for m in lock.readers)
    parts = [f"read by {reading}"] if reading else []
    if lock.writer is not None:
        doing = "written by" if lock.is_writing else "claimed by"
        parts.append(f"{doing} M{lock.writer.id}")
    return ", ".join(parts) or "free"


def value_in_words(value: object, most: int = VALUE_MAX) -> str:
    """A value in a line; members of an enumeration by their names."""
    if isinstance(value, Enum) and value.name:
        return value.name
    return short(value, most)


# Steps.


def value_of(op: Any, kind: str, obj: str, reads: bool, result: object) -> str:
    """What a step came to; "" where there is nothing to say.

    Args:
        op: the operation, as the access has left it.
        kind: of the access, and `obj` what it was made to.
        reads: it changed nothing.
        result: what `op.step` returned.
    """
    if kind == FLUSH:
        return f"= {value_in_words(op.written)}"
    mutex = getattr(op, "mutex", None)
    if mutex is not None:
        if obj == mutex.key_obj and hasattr(mutex, "key") and not hasattr(mutex, "made"):
            return _told(word_of(mutex), reads)
        thing = next((one for one in getattr(mutex, "made", ()) if one.obj == obj), None)
        if isinstance(thing, Variable):
            return _told(held_in(thing), reads)
        return f"= {held_in(thing)}" if thing is not None and not reads else ""
    thing = _thing(op, obj)
    if isinstance(thing, Variable) and isinstance(op, LateStore):
        return f"= {value_in_words(op.stored)}"
    if isinstance(thing, Variable):
        return _of_variable(thing, kind, reads, result)
    if isinstance(result, Mark) or is_wakeup(kind, op):
        return ""
    if thing is None:
        return f"-> {value_in_words(result)}" if reads and result is not None else ""
    if result is False:
        return "-> False"
    if isinstance(thing, Lock | NotifyList):
        return ""
    if kind.startswith("chan.recv") and isinstance(result, tuple):
        return f"-> {value_in_words(result[0])}"
    held = held_in(thing)
    return f"= {held}" if held else ""


def _told(value: str, reads: bool) -> str:
    if value.startswith("key="):
        return value
    return f"-> {value}" if reads else f"= {value}"


def _thing(op: Any, obj: str) -> KitObject | None:
    """The object of the kit that an operation is about."""
    for name in ("word", "gate", "cond", "chan", "group"):
        thing = getattr(op, name, None)
        if isinstance(thing, KitObject) and thing.obj == obj:
            return thing
    return None


def _of_variable(word: Variable, kind: str, reads: bool, result: object) -> str:
    if reads:
        return f"-> {value_in_words(result)}"
    if is_swap(kind) and result is False:
        return f"fails, = {value_in_words(word.value)}"
    text = f"= {value_in_words(word.value)}"
    return f"{text}, was {value_in_words(result)}" if kind in _TELLS_BEFORE else text


# Who was woken.


def woken_by(steps: Sequence[Step], index: int) -> set[int]:
    """Who may go after a step and could not before, new Ms left out."""
    if index + 1 >= len(steps):
        return set()
    before = {m for step in steps[: index + 1] for m in step.enabled}
    here, after = set(steps[index].enabled), set(steps[index + 1].enabled)
    return {m for m in (after & before) - here if m < BUFFERS}


def wakes(steps: Sequence[Step], index: int, op: object) -> str:
    """Whom a step woke that is made to wake; "" for any other."""
    if not is_wakeup(steps[index].kind, op):
        return ""
    woken = sorted(woken_by(steps, index))
    return f"wakes {' and '.join(f'M{m}' for m in woken)}" if woken else "wakes nobody"
