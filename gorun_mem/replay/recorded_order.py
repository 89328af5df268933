"""A recording dealt to several Ms and issued in the order recorded.

What that shows stands in `gorun_mem.replay.real_program`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from msgspec import UNSET

from gorun_mem.replay.compare import Comparison, ReplayTally, describe, issue
from gorun_mem.replay.real_program import AnotherWay, AnswersDiffer, Deal, dealt_to
from gorun_mem.replay.recorded_heap import RecordedHeap
from gorun_mem.replay.recording import SPAN_EVENTS, RecordedEvent, Recording
from gorun_mem.runtime.nil_answers import HINTING, OUT_OF_MEMORY, last_words, plain_name
from gorun_mem.runtime.op import MLike, Op

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.oslayer import OSLayer

_NOT_OS: Final = frozenset(("hintHit", "hintDrop", "mheap.sysAlloc")) | SPAN_EVENTS


class IssuedCall(NamedTuple):
    """A call from outside, as Go made it.

    Args:
        events: the call, last, after the sbrk and growMemory beneath it.
        line: the recording's line of the first of them.
    """

    events: list[RecordedEvent]
    line: int


class RecordedOrder:
    """A recording issued by several Ms in the order in which it was made.

    Args:
        world: made with `as_recorded`; its Ms call.
        trace: path of the recording.
        deal: "round_robin", or "caller": every Go function has its M.
    """

    def __init__(self, world: World, trace: str, deal: Deal) -> None:
        self._world = world
        self._deal: Deal = deal
        self._tally = ReplayTally()
        layer = world.runtime.os
        self._comparison = Comparison(layer, self._tally)
        self._heap = RecordedHeap(layer)
        self._events = _outside_calls(trace, self._begin, self._heap.tell)
        self._number = -1
        self._waiting: dict[int, MLike] = {}
        self.call: IssuedCall | None = None
        self.whose = 0
        self._advance()
        with Recording(trace) as recording:
            self._comparison.watch(recording.header)

    def __repr__(self) -> str:
        return f"<RecordedOrder call {self._number}, dealt to M index {self.whose}>"

    async def issue_next(self, m: M, i: int) -> bool:
        """Make the next call that is dealt to `m`, the Ms' number `i`, and compare the answer.

        Waits until it is the call's turn; the turn ends when the call has returned.

        Args:
            m: who calls.
            i: its number among the Ms that share the recording, from 0.

        Returns:
            False when the recording has ended.
        """
        call: IssuedCall | None = await _AwaitTurn(self, i)
        if call is None:
            return False
        comparison, layer = self._comparison, m.world.runtime.os
        self._heap.calls(call.events[-1])
        agreed, fails = replace(self._tally), layer.memory.fails
        layer.forget_refusal()
        comparison.begin(call.events, call.line)
        await issue(call.events[-1], layer, comparison)
        if layer.memory.fails > fails and not _was_refused(call.events):
            self._tally = agreed  # what follows the refusal is no difference
            await self._end_at_limit(layer, call)
        comparison.end()
        self._advance()
        return True

    async def _end_at_limit(self, layer: OSLayer, call: IssuedCall) -> NoReturn:
        """A growth was refused that Go was granted: end as Go would have ended.

        Raises:
            OutOfMemory: Go would have died of it.
            AnotherWay: it would not.
        """
        event = call.events[-1]
        self._comparison.watch_no_more()
        self._tell()
        wanted = event.n if event.n is not UNSET else 0
        wanted = event.size if event.size is not UNSET else wanted
        words = last_words(event.by, hinted=bool(event.v))
        if not words and plain_name(event.by) == HINTING and await self._finds_none(layer, wanted):
            words = OUT_OF_MEMORY
        if words:
            raise layer.out_of_memory(words, wanted)
        raise AnotherWay(
            f"line {call.line}, {describe(event)}: a limit of {layer.memory.limit_pages} pages "
            "refuses what Go was granted, and what Go does then is not recorded; "
            "--set order=free goes on"
        )

    async def _finds_none(self, layer: OSLayer, n: int) -> bool:
        """What mheap.sysAlloc does when the hint has missed: whether no aligned address is left."""
        align = layer.release.heap_sizes(layer.platform).arena
        if layer.release.behaviour.is_sbrk_platform:
            return (await layer.sys_reserve_aligned_sbrk(n, align))[0] == 0
        return await layer.sys_reserve_os(0, n + align) == 0

    def finish(self) -> None:
        """Say how many calls were compared.

        Raises:
            AnswersDiffer: not all answers were Go's; the message has the first that was not.
        """
        tally = self._tell()
        first = tally.first
        if first is not None:
            raise AnswersDiffer(
                f"line {first.line}, {first.call}: {first.field} is {first.go} in Go and "
                f"{first.ours} here; {tally.differences} events differ"
            )

    def _tell(self) -> ReplayTally:
        """Say how far the comparison came."""
        world, tally = self._world, self._tally
        world.result("calls compared", tally.calls)
        world.result("events compared", tally.events)
        world.result("answers that differ from Go's", tally.differences)
        world.result("pages", world.snapshot().pages)
        return tally

    def waits(self, i: int, m: MLike) -> bool:
        """Whether `m`, the Ms' number `i`, has to wait; if so it is woken when it is its turn."""
        if self.call is None or self.whose == i:
            return False
        self._waiting[i] = m
        return True

    def _begin(self, osinit: RecordedEvent, line: int) -> None:
        """Compare the state after osinit."""
        self._tally.events += 1
        self._comparison.begin([osinit], line)
        self._comparison.compare_state_with(osinit, self._comparison.state())

    def _advance(self) -> None:
        self.call = next(self._events, None)
        self._number += 1
        if self.call is None:
            woken = list(self._waiting)
        else:
            event = self.call.events[-1]
            self.whose = dealt_to(event, self._number, self._deal, self._world.ms)
            woken = [self.whose]
        for i in woken:
            m = self._waiting.pop(i, None)
            if m is not None:
                m.sched.unpark(m)


def _was_refused(events: list[RecordedEvent]) -> bool:
    """Whether Go was refused too: in a growth, or, where those are not recorded, by the answer."""
    return events[-1].p == 0 or any(e.ev == "growMemory" and e.r == -1 for e in events)


class _AwaitTurn(Op):
    """Wait until the next call is dealt to one M; its value is the call."""

    __slots__ = ("_i", "_order")
    kind = "turn"
    obj = "recording"

    def __init__(self, order: RecordedOrder, i: int) -> None:
        self._order = order
        self._i = i

    def begin(self, m: MLike) -> bool:
        """Enabled when it is the M's turn, or the recording has ended."""
        return not self._order.waits(self._i, m)

    def step(self, m: MLike) -> object:
        """The call."""
        return self._order.call


def _outside_calls(
    trace: str,
    on_osinit: Callable[[RecordedEvent, int], None],
    on_heap: Callable[[RecordedEvent], None],
) -> Iterator[IssuedCall]:
    """Each call that entered the OS layer from outside, with what is nested in it.

    Args:
        trace: the recording.
        on_osinit: told of osinit, and its line.
        on_heap: told of what is no call of the OS layer, after the calls before it.
    """
    with Recording(trace) as recording:
        group: list[RecordedEvent] = []
        for event in recording:
            if event.ev == "osinit":
                on_osinit(event, recording.line)
            if event.ev in _NOT_OS:
                on_heap(event)
            else:
                group.append(event)
            if event.top == 1:
                yield IssuedCall(group, recording.line - (event.seq - group[0].seq))
                group = []
            elif event.parent is UNSET:
                group = []
