"""Steps of the machine on what Ms go to sleep in by a step, and are let go from by another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.explore.kit import steps
from tests.explore.kit.state import (
    Failed,
    Machine,
    Name,
    Plan,
    Thread,
    Way,
    change,
    done,
    passed,
    result_of,
)


def asleep(t: Thread, time: Any, gives_up: Callable[[Machine], Any], nothing: Any) -> list[Way]:
    """What an M can do that has begun to wait: go on if it was called, or else give up."""
    if t.waits[0] == "is in":
        value = t.waits[1]
        if value == "closed":

            def go(machine: Machine, thread: Thread) -> None:
                raise Failed("Throw")

            return [go]
        return [result_of(value)]
    if time is None:
        return []

    def leave(machine: Machine, thread: Thread) -> None:
        gives_up(machine)
        done(thread, nothing)

    return [leave]


def fwait(m: Machine, name: Name, t: Thread, n: int, expected: int, time: Any) -> list[Way]:
    """Sleep if the word is as expected."""
    queue = ("futex", n)
    if t.waits is not None:
        return asleep(t, time, lambda s: s.leave(name), False)
    if m.memory.get(("f", n), 0) != expected:
        return [result_of(False)]

    def go(machine: Machine, thread: Thread) -> None:
        machine.push(queue, (name,))
        thread.waits = ("futex", n)

    return [go, result_of(True)] if m.spurious else [go]


def fwake(m: Machine, name: Name, t: Thread, n: int, count: int) -> list[Way]:
    """Wake the first."""

    def effect(machine: Machine) -> int:
        queue = machine.queues.get(("futex", n), ())
        machine.queues["futex", n] = queue[count:]
        for (sleeper,) in queue[:count]:
            machine.threads[sleeper].waits = ("is in", True)
        return len(queue[:count])

    return change(effect)


def fload(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """What it holds."""
    return steps.load(m, name, t, n, "f")


def fstore(m: Machine, name: Name, t: Thread, n: int, value: int) -> list[Way]:
    """An exchange."""
    return steps.store(m, name, t, n, value, "f")


def draw(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """Draw a ticket, and sleep on it after that; tickets are (whose, whether called)."""

    def go(machine: Machine, thread: Thread) -> None:
        machine.push(("tickets", n), (name, False))
        thread.todo = (("sleep", n, time), *thread.todo[1:])

    return [go]


def sleep(m: Machine, name: Name, t: Thread, n: Any, time: Any) -> list[Way]:
    """Sleep until the ticket is called; it is used up then."""

    def forget(machine: Machine) -> None:
        queue = machine.queues["tickets", n]
        machine.queues["tickets", n] = tuple([one for one in queue if one[0] != name])

    if t.waits is not None:
        return asleep(t, time, forget, False)
    if any(who == name and called for who, called in m.queues["tickets", n]):

        def go_on(machine: Machine) -> bool:
            forget(machine)
            return True

        return change(go_on)

    def go(machine: Machine, thread: Thread) -> None:
        thread.waits = ("ticket", n)

    return [go]


def call(m: Machine, name: Name, t: Thread, n: Any, count: int) -> list[Way]:
    """Call the next tickets; how many."""

    def effect(machine: Machine) -> int:
        kept, called = [], 0
        for who, was in machine.queues.get(("tickets", n), ()):
            if was or called == count:
                kept.append((who, was))
                continue
            called += 1
            sleeper = machine.threads[who]
            if sleeper.waits == ("ticket", n):
                sleeper.waits = ("is in", True)  # and its ticket is used up
            else:
                kept.append((who, True))
        machine.queues["tickets", n] = tuple(kept)
        return called

    return change(effect)


def cond_wait(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """Take the lock, wait, give it back: the parts of it."""
    guard = ("guard", n)
    parts: Plan = (("draw", ("cond", n), time, guard), ("unlock", guard))

    def go(machine: Machine, thread: Thread) -> None:
        machine.owners[guard] = name
        thread.todo = (*parts, *thread.todo[1:])

    return [go] if m.owners.get(guard) is None else []


def cond_draw(m: Machine, name: Name, t: Thread, n: Any, time: Any, guard: Any) -> list[Way]:
    """The ticket, then the lock is given back, then the sleep, then the lock is taken again."""

    def go(machine: Machine, thread: Thread) -> None:
        machine.push(("tickets", n), (name, False))
        thread.todo = (
            ("unlock", guard), ("sleep", n, time), ("retake", guard), *thread.todo[1:],
        )  # fmt: skip

    return [go]


def quiet_lock(m: Machine, name: Name, t: Thread, n: Any) -> list[Way]:
    """Taken, and nothing is noted."""
    return change(lambda s: s.owners.update({n: name}), says=False) if m.owners[n] is None else []


def retake(m: Machine, name: Name, t: Thread, n: Any) -> list[Way]:
    """Taken again after a wait; what that came to is noted."""

    def effect(machine: Machine) -> Any:
        machine.owners[n] = name
        return t.last

    return change(effect) if m.owners[n] is None else []


def gwait(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """Nobody is waited for; or when the count comes to zero."""
    if t.waits is not None:
        return asleep(t, time, lambda s: None, False)
    if not m.counts.get(("group", n), 0):
        return [result_of(True)]

    def go(machine: Machine, thread: Thread) -> None:
        thread.waits = ("group", n)

    return [go]


def gadd(m: Machine, name: Name, t: Thread, n: int, more: int) -> list[Way]:
    """The count; those who wait go on at zero."""

    def effect(machine: Machine) -> None:
        count = machine.counts.get(("group", n), 0) + more
        if count < 0:
            raise Failed("Throw")
        machine.counts["group", n] = count
        if not count:
            for thread in machine.threads.values():
                if thread.waits == ("group", n):
                    thread.waits = ("is in", True)

    return change(effect, says=False)


def rlock(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """In while no writer has claimed it; else when that one is gone."""
    if t.waits is not None:
        return asleep(t, time, lambda s: None, False)
    if n not in m.claims:
        readers = m.counts.get(("readers", n), 0)

        def enter(machine: Machine) -> bool:
            machine.counts["readers", n] = readers + 1
            return True

        return change(enter)

    def go(machine: Machine, thread: Thread) -> None:
        thread.waits = ("read", n)

    return [go]


def rtry(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Whether no writer has claimed it."""
    return [result_of(False)] if n in m.claims else rlock(m, name, t, n, None)


def runlock(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Out; anybody may."""

    def effect(machine: Machine) -> None:
        readers = machine.counts.get(("readers", n), 0)
        if not readers:
            raise Failed("Throw")
        machine.counts["readers", n] = readers - 1

    return change(effect, says=False)


def wlock(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """Claim it, then go in when nobody reads."""
    if n in m.claims:
        return [result_of(False)] if time is not None else []

    def go(machine: Machine, thread: Thread) -> None:
        machine.claims[n] = (name, False)
        thread.todo = (("write", n, time), *thread.todo[1:])

    return [go]


def write(m: Machine, name: Name, t: Thread, n: int, time: Any) -> list[Way]:
    """In, once nobody reads; or the claim is given up, by a step of its own."""
    if not m.counts.get(("readers", n), 0):

        def enter(machine: Machine) -> bool:
            machine.claims[n] = (name, True)
            return True

        return change(enter)

    def give_up(machine: Machine, thread: Thread) -> None:
        thread.todo = (("unclaim", n), *thread.todo[1:])

    return [give_up] if time is not None else []


def unclaim(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Another may claim it."""

    def effect(machine: Machine) -> bool:
        machine.call_readers(n)
        return False

    return change(effect)


def wtry(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """In if it is free."""
    if n in m.claims or m.counts.get(("readers", n), 0):
        return [result_of(False)]

    def enter(machine: Machine) -> bool:
        machine.claims[n] = (name, True)
        return True

    return change(enter)


def wunlock(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Out; anybody may."""

    def effect(machine: Machine) -> None:
        if n not in machine.claims or not machine.claims[n][1]:
            raise Failed("Throw")
        machine.call_readers(n)

    return change(effect, says=False)


def once(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """A fast look, which is a load."""
    if m.read(t, ("once", n)):
        return [passed]

    def go(machine: Machine, thread: Thread) -> None:
        lock = ("once", n)
        thread.todo = (("quiet lock", lock), ("once again", n), *thread.todo[1:])
        machine.owners.setdefault(lock, None)

    return [go]


def once_again(m: Machine, name: Name, t: Thread, n: int) -> list[Way]:
    """Another look, under the lock."""
    rest: Plan = (("unlock", ("once", n)),)
    if not m.memory.get(("once", n), 0):
        rest = (("add", 0, 1), ("store", n, 1, "once"), *rest)

    def go(machine: Machine, thread: Thread) -> None:
        thread.todo = (*rest, *thread.todo[1:])

    return [go]
