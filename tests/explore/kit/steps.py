"""Steps of the machine on words, and on what Ms wait for without a step: a lock, an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.explore.kit.state import (
    Failed,
    Machine,
    Name,
    Thread,
    Way,
    change,
    done,
    passed,
    result_of,
)

# Words.


def load(m: Machine, name: Name, t: Thread, n: int, kind: str = "x") -> list[Way]:
    """What it holds."""
    return [result_of(m.read(t, (kind, n)))]


def store(m: Machine, name: Name, t: Thread, n: int, value: int, kind: str = "x") -> list[Way]:
    """An exchange whose result nobody looks at."""
    return change(lambda s: s.memory.update({(kind, n): value}), says=False)


def late(m: Machine, name: Name, t: Thread, n: int, value: int) -> list[Way]:
    """A store that the M's buffer may hold."""
    if not m.tso or (name == () and m.is_alone):
        return store(m, name, t, n, value)

    def go(machine: Machine, thread: Thread) -> None:
        thread.buffer += ((("x", n), value),)
        done(thread)

    return [go]


def modify(what: Callable[[Any], tuple[Any, Any]]) -> Callable[..., list[Way]]:
    """Read and write in one: of what was there, what is there then and the result."""

    def ways(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
        now, result = what(m.memory.get(("x", n), 0))

        def effect(machine: Machine) -> Any:
            machine.memory["x", n] = now
            return result

        return change(effect)

    return ways


def swap(m: Machine, name: Name, t: Thread, n: int, value: int) -> list[Way]:
    """What was there."""
    return modify(lambda before: (value, before))(m, name, t, n)


def add(m: Machine, name: Name, t: Thread, n: int, value: int) -> list[Way]:
    """The sum."""
    return modify(lambda before: (before + value, before + value))(m, name, t, n)


def cas(m: Machine, name: Name, t: Thread, n: int, old: int, new: int) -> list[Way]:
    """Whether it fitted."""
    return modify(lambda before: (new, True) if before == old else (before, False))(m, name, t, n)


def spin(m: Machine, name: Name, t: Thread, n: int, value: int) -> list[Way]:
    """Loads until it holds `value`; none of those before changes anything."""
    return [passed] if m.read(t, ("x", n)) == value else []


def spin_cas(m: Machine, name: Name, t: Thread, n: int, old: int, new: int) -> list[Way]:
    """The first of its kind that fits."""
    if m.memory.get(("x", n), 0) != old:
        return []
    return change(lambda s: s.memory.update({("x", n): new}), says=False)


def spin_try(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Once it is free."""
    if m.owners.get(n) is not None:
        return []
    return change(lambda s: s.owners.update({n: name}), says=False)


def fence(m: Machine, name: Name, t: Thread) -> list[Way]:
    """Nothing but that the buffer is empty."""
    return [passed]


# Locks, semaphores, events: who may not go in waits without a step, or gives up.


def entry(can: bool, timed: bool, effect: Callable[[Machine], Any]) -> list[Way]:
    """Go in, if it may; come to nothing where it has a time and may not."""
    if can:

        def go(machine: Machine) -> bool:
            effect(machine)
            return True

        return change(go)
    return [result_of(False)] if timed else []


def lock(m: Machine, name: Name, t: Thread, n: Any, time: Any) -> list[Way]:
    """While it is free."""
    free = m.owners.get(n) is None
    return entry(free, time is not None, lambda s: s.owners.update({n: name}))


def try_lock(m: Machine, name: Name, t: Thread, n: Any) -> list[Way]:
    """Whether it was free."""
    return lock(m, name, t, n, 0)


def unlock(m: Machine, name: Name, t: Thread, n: Any) -> list[Way]:
    """By its owner only."""

    def effect(machine: Machine) -> None:
        owner = machine.owners.get(n)
        if owner != name:
            raise Failed("Throw" if owner is None else "IllegalUse")
        machine.owners[n] = None

    return change(effect, says=False)


def down(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """While there is one."""
    left = m.counts.get(("sem", n), 0)
    return entry(left > 0, time is not None, lambda s: s.counts.update({("sem", n): left - 1}))


def sem_try(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Whether there was one."""
    return down(m, name, t, n, 0)


def up(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """One more."""
    left = m.counts.get(("sem", n), 0)
    return change(lambda s: s.counts.update({("sem", n): left + 1}), says=False)


def wait(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """Once it has happened."""
    return entry(m.counts.get(("event", n), 0) > 0, time is not None, lambda s: None)


def set_event(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """It has happened."""
    return change(lambda s: s.counts.update({("event", n): 1}), says=False)


def clear(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """It has not."""
    return change(lambda s: s.counts.update({("event", n): 0}), says=False)


def choose(m: Machine, name: Name, t: Thread) -> list[Way]:
    """Either."""
    return [result_of(0), result_of(1)]


def pause(m: Machine, name: Name, t: Thread) -> list[Way]:
    """Nothing."""
    return [passed]
