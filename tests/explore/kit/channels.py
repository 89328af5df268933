"""Steps of the machine on channels, and on several of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.explore.kit.sleeps import asleep
from tests.explore.kit.state import Failed, Machine, Name, Thread, Way, change, done, result_of

CAPACITY: Final = {"c": 0, "d": 1, "p": 0, "q": 1}


def ready(m: Machine, verb: str, chan: str) -> bool:
    """Whether it need not wait."""
    if chan in m.closed:
        return True
    held = len(m.queues.get(("held", chan), ()))
    if verb == "send":
        return bool(m.queues.get(("recv", chan))) or held < CAPACITY[chan]
    return bool(m.queues.get(("send", chan))) or held > 0


def made(m: Machine, verb: str, chan: str, value: Any) -> Any:
    """Send or receive, which need not wait; the result."""
    held = m.queues.get(("held", chan), ())
    if verb == "send":
        if chan in m.closed:
            raise Failed("Throw")
        if m.queues.get(("recv", chan)):
            serve(m, "recv", chan, (value, True))
        else:
            m.push(("held", chan), value)
        return True
    if held:
        m.queues["held", chan] = held[1:]
        if m.queues.get(("send", chan)):
            m.push(("held", chan), serve(m, "send", chan, True))
        return held[0], True
    if m.queues.get(("send", chan)):
        return serve(m, "send", chan, True), True
    return None, False


def serve(m: Machine, verb: str, chan: str, result: Any) -> Any:
    """Let the first go on who waits there; what it has to give."""
    who, case, value = m.queues[verb, chan][0]
    m.leave(who)
    if case is not None and result != "closed":
        result = (case, *(result if verb == "recv" else (None, True)))
    m.threads[who].waits = ("is in", result)
    return value


def chan_op(verb: str) -> Callable[..., list[Way]]:
    """Send or receive."""

    def ways(m: Machine, name: Name, t: Thread, chan: str, value: Any, time: Any) -> list[Way]:
        nothing = False if verb == "send" else (None, False)
        if t.waits is not None:
            return asleep(t, time, lambda s: s.leave(name), nothing)
        if ready(m, verb, chan):
            return change(lambda s: made(s, verb, chan, value))

        def go(machine: Machine, thread: Thread) -> None:
            machine.push((verb, chan), (name, None, value))
            thread.waits = ("queue",)

        return [go]

    return ways


def select(
    m: Machine, name: Name, t: Thread, cases: tuple[Any, ...], default: bool, time: Any
) -> list[Way]:
    """One of those that need not wait; the default; or wait for all."""
    nothing = (-1, None, False)
    if t.waits is not None:
        return asleep(t, time, lambda s: s.leave(name), nothing)
    able = [number for number, case in enumerate(cases) if ready(m, *case[:2])]
    if not able:
        if default:
            return [result_of(nothing)]

        def go(machine: Machine, thread: Thread) -> None:
            for number, (verb, chan, value) in enumerate(cases):
                machine.push((verb, chan), (name, number, value))
            thread.waits = ("queue",)

        return [go]

    def take(number: int) -> Way:
        def go(machine: Machine, thread: Thread) -> None:
            result = made(machine, *cases[number])
            done(thread, (number, *(result if cases[number][0] == "recv" else (None, True))))

        return go

    return [take(number) for number in able]


def close(m: Machine, name: Name, t: Thread, chan: str) -> list[Way]:
    """No more is sent; all who wait go on."""

    def effect(machine: Machine) -> None:
        if chan in machine.closed:
            raise Failed("Throw")
        machine.closed |= {chan}
        while machine.queues.get(("recv", chan)):
            serve(machine, "recv", chan, (None, False))
        while machine.queues.get(("send", chan)):
            serve(machine, "send", chan, "closed")

    return change(effect, says=False)
