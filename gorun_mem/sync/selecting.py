"""`select`: one of several sends and receives; select.go."""

from __future__ import annotations

from typing import Any, NamedTuple

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.sync.chan import RecvOp, SendOp, _ChanOp, _Place, _WaitTurn
from gorun_mem.sync.gate import check_timeout


class Selected(NamedTuple):
    """What a `select` came to.

    Args:
        case: the number of the case that was chosen; -1: the default, or the time was up.
        value: what was received, if it was a receive.
        ok: the receive got a value that was sent; a send is always ok.
    """

    case: int
    value: Any = None
    ok: bool = False


class _SelectOp(_ChanOp):
    def __init__(
        self, cases: tuple[SendOp | RecvOp, ...], default: bool, timeout_ns: int | None
    ) -> None:
        chans = list({case.chan.name: case.chan for case in cases}.values())
        super().__init__("select", chans, timeout_ns)
        self.cases = cases
        self.default = default

    def step(self, m: MLike) -> object:
        """Choose among the cases that need not wait; else take the default, or wait for all."""
        if self.turn is not None:
            place = self.woken(m)
            if place is None:
                return Selected(-1)
            return Selected(place.index, None, True) if place.sends else _received(place)
        for chan in self.chans:
            chan.operations += 1
        ready = [index for index, case in enumerate(self.cases) if case.is_ready()]
        if ready:
            lot = m.sched.choice(m, len(ready), "select") if len(ready) > 1 else 0
            index = ready[lot]
            case = self.cases[index]
            made = case.make(m)
            self.orders = case.orders
            if isinstance(case, SendOp):
                return Selected(index, None, True)
            return Selected(index, *made)
        if self.default:
            self.orders = ((), ())
            return Selected(-1)
        turn = _WaitTurn(m)
        for index, case in enumerate(self.cases):
            _Place(turn, case.chan, index, case.sends, case.value)
        return self.wait(m, turn)


def _received(place: _Place) -> Selected:
    return Selected(place.index, place.value, place.ok)


def select(*cases: SendOp | RecvOp, default: bool = False, timeout_ns: int | None = None) -> Op:
    """Make one of several sends and receives, whichever need not wait; Go's select.

    Among several of these the schedule draws one, as Go does by lot.

    Args:
        cases: `chan.send(value)` and `chan.recv()`; their own times do not count.
        default: not to wait where all would have to.
        timeout_ns: how long to wait at most; None: for ever.

    Returns:
        The operation, to be awaited: a `Selected`.

    Raises:
        Throw: a send was chosen whose channel is closed, in Go's words.
        IllegalUse: a case is something else, or `timeout_ns` is negative.
    """
    for case in cases:
        if not isinstance(case, SendOp | RecvOp):
            raise IllegalUse(f"select of {case!r}: a case is chan.send(value) or chan.recv()")
        if case.chan.alone:
            raise IllegalUse(f"select of {case!r}: the channel was made with alone=True")
        case.awaited = True
    if cases:
        check_timeout(cases[0].chan, timeout_ns)
    return _SelectOp(cases, default, timeout_ns)
