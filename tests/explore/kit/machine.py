"""All that a little program over the kit can end as: every state of the machine is visited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.explore.kit import channels, sleeps, steps
from tests.explore.kit.state import Machine, Outcome, Plan, Way


class TooManyStates(Exception):
    """There are more states than were to be visited."""


STEPS: Final[dict[str, Callable[..., list[Way]]]] = {
    "load": steps.load,
    "store": steps.store,
    "late": steps.late,
    "swap": steps.swap,
    "add": steps.add,
    "cas": steps.cas,
    "fence": steps.fence,
    "spin": steps.spin,
    "spin cas": steps.spin_cas,
    "spin try": steps.spin_try,
    "lock": steps.lock,
    "try": steps.try_lock,
    "unlock": steps.unlock,
    "quiet lock": sleeps.quiet_lock,
    "retake": sleeps.retake,
    "down": steps.down,
    "semtry": steps.sem_try,
    "up": steps.up,
    "wait": steps.wait,
    "set": steps.set_event,
    "clear": steps.clear,
    "fwait": sleeps.fwait,
    "fwake": sleeps.fwake,
    "fload": sleeps.fload,
    "fstore": sleeps.fstore,
    "cwait": sleeps.cond_wait,
    "draw": sleeps.cond_draw,
    "ticket": sleeps.draw,
    "sleep": sleeps.sleep,
    "call": sleeps.call,
    "gwait": sleeps.gwait,
    "gadd": sleeps.gadd,
    "rlock": sleeps.rlock,
    "rtry": sleeps.rtry,
    "runlock": sleeps.runlock,
    "wlock": sleeps.wlock,
    "write": sleeps.write,
    "unclaim": sleeps.unclaim,
    "wtry": sleeps.wtry,
    "wunlock": sleeps.wunlock,
    "send": channels.chan_op("send"),
    "recv": channels.chan_op("recv"),
    "select": channels.select,
    "close": channels.close,
    "once": sleeps.once,
    "once again": sleeps.once_again,
    "choose": steps.choose,
    "pause": steps.pause,
}


def outcomes(
    plans: tuple[Plan, ...],
    own: Plan,
    *,
    tso: bool = False,
    spurious: bool = False,
    cancel: bool = False,
    most: int = 1 << 30,
) -> set[Outcome]:
    """Everything that a program can end as.

    Raises:
        TooManyStates: there are more states than `most`.
    """
    first = Machine(plans, own, STEPS, tso=tso, spurious=spurious, cancel=cancel)
    first.settle(())
    seen = {first.key()}
    todo = [first]
    found: set[Outcome] = set()
    while todo:
        state = todo.pop()
        is_end = True
        for after in state.successors():
            is_end = False
            key = after.key()
            if key not in seen:
                seen.add(key)
                if len(seen) > most:
                    raise TooManyStates
                todo.append(after)
        if is_end:
            found.add(state.outcome())
    return found
