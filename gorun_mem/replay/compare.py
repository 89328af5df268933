"""What a recording says beside what the emulated runtime did.

A `Comparison` holds the events that Go recorded under one outermost call, in the order in which
they returned, and a place in them. The emulated runtime reports each event of its own as it
returns, through the probes of the layers; the event that stands at the place must be the same, with
the same answer and the same state after it. So a call that Go made and we did not, or the other way
round, is found like a wrong address.

It stands beside the reader, below both who use it: `replay/`, which has one M, and the scenario
that deals a recording to several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from gorun_mem.runtime.mem_sbrk import SbrkLayer
from gorun_mem.runtime.memory import Plan9Segment
from gorun_mem.runtime.purposes import of_recorded

if TYPE_CHECKING:
    from gorun_mem.replay.recording import Header, RecordedEvent
    from gorun_mem.runtime.oslayer import OSLayer

_ARGUMENTS: Final = ("v", "n", "size", "align", "pages", "addr", "down", "user")
_ANSWERS: Final = {
    "sysAllocOS": ("p",),
    "sysFreeOS": (),
    "sysReserveOS": ("p",),
    "sysReserveAlignedSbrk": ("p", "rsize"),
    "sbrk": ("p",),
    "growMemory": ("r", "pages_before"),
    "hintHit": ("v",),
    "hintDrop": ("v",),
    "mheap.sysAlloc": ("v", "size"),
}
_STATE: Final = (
    ("bloc", "bloc"),
    ("bloc_max", "blocMax"),
    ("reserve_end", "reserveEnd"),
    ("pages_now", "pages"),
    ("free_blocks", "fl"),
    ("free_bytes", "fb"),
    ("free_hash", "fh"),
)
_STATE_KEYS: Final = ("bloc", "blocMax", "pages", "fl", "fb", "fh")
DIFFERENCES_MAX: Final = 100_000
"""More are not counted: the emulation has long left the recording."""


@dataclass(slots=True)
class Difference:
    """The first thing in which the two disagree.

    Args:
        line: line of the recording, 0 where it has none.
        seq: number of the event, -1 where it has none.
        call: the call and its arguments.
        field: what differs: an answer, a part of the state, or "call".
        go: what Go answered.
        ours: what we answered.
        before: our state when the outermost call began.
    """

    line: int
    seq: int
    call: str
    field: str
    go: str
    ours: str
    before: dict[str, int | str]


@dataclass(slots=True)
class ReplayTally:
    """What was compared so far.

    Args:
        calls: calls issued and compared.
        events: events compared, nested ones and hints too.
        differences: events that differ.
        first: the first of them.
    """

    calls: int = 0
    events: int = 0
    differences: int = 0
    first: Difference | None = None


class TooManyDifferences(Exception):
    """So many differences that going on tells nothing."""


@dataclass(slots=True)
class Comparison:
    """A place in the recorded events of one outermost call.

    Args:
        layer: the OS layer whose state is compared.
        tally: where results go.
        expected: the recorded events, in order of return.
        lines: number of the line of the first of them.
    """

    layer: OSLayer
    tally: ReplayTally
    expected: list[RecordedEvent] = field(default_factory=list)
    line: int = 0
    _at: int = 0
    _before: tuple[int, ...] = ()
    _quick: tuple[Any, Any, Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.layer, SbrkLayer) and self.layer.platform.is_wasm:
            self._quick = (self.layer.brk, self.layer.memory, self.layer.freelist)

    def begin(self, expected: list[RecordedEvent], line: int) -> None:
        """Compare with another outermost call from now on.

        Args:
            expected: its events, in order of return.
            line: line of the first.
        """
        self.expected = expected
        self.line = line
        self._at = 0
        self._before = self._snapshot()

    def end(self) -> None:
        """The outermost call returned: what Go recorded beyond that, we did not do."""
        while self._at < len(self.expected):
            event = self.expected[self._at]
            self._at += 1
            self._differ(event, "call", "made", "not made")

    def peek(self) -> Iterator[RecordedEvent]:
        """The recorded events that are still to come, in order."""
        expected = self.expected
        return (expected[i] for i in range(self._at, len(expected)))

    # The probes of the layers.

    def sbrked(self, n: int, p: int) -> None:
        """We made an sbrk; SbrkProbe."""
        self.saw("sbrk", ("n", n), ("p", p))

    def grew(self, pages: int, result: int, pages_before: int) -> None:
        """We grew the memory; GrowProbe."""
        self.saw("growMemory", ("pages", pages), ("r", result), ("pages_before", pages_before))

    def hint_hit(self, addr: int, n: int, v: int, down: bool, user: bool) -> None:
        """A hint of ours was hit; HeapProbe."""
        self.saw("hintHit", ("addr", addr), ("n", n), ("v", v), ("down", down), ("user", user))

    def hint_drop(self, addr: int, n: int, v: int, down: bool, user: bool) -> None:
        """A hint of ours was dropped; HeapProbe."""
        self.saw("hintDrop", ("addr", addr), ("n", n), ("v", v), ("down", down), ("user", user))

    def saw(self, ev: str, *values: tuple[str, int]) -> None:
        """We did `ev`: compare it with the event at the place, and the state after it.

        Args:
            ev: the kind of event.
            values: arguments and answers by the recording's names.
        """
        event = self._take(ev, values)
        if event is None:
            return
        tally = self.tally
        tally.events += 1
        if event.top == 1 or ev == "mheap.sysAlloc":
            tally.calls += 1
        for name, ours in values:
            go = getattr(event, name)
            if go != ours and go is not UNSET:
                self._differ(event, name, go, ours)
                return
        self._compare_state(event)

    def _take(self, ev: str, values: tuple[tuple[str, int], ...]) -> RecordedEvent | None:
        """The event at the place if it is of that kind, and the place moves on.

        Where it is not, we did something that Go did not, or Go did something before it.
        """
        expected = self.expected
        at = self._at
        if at < len(expected) and expected[at].ev == ev:
            self._at = at + 1
            return expected[at]
        later = next((i for i in range(at, len(expected)) if expected[i].ev == ev), None)
        if later is None:
            made = ", ".join(f"{name}={value}" for name, value in values)
            self._differ(None, "call", "not made", f"{ev} {made}")
            return None
        for skipped in expected[at:later]:
            self._differ(skipped, "call", "made", "not made")
        self._at = later + 1
        return expected[later]

    # What is watched, and the limit.

    def watch(self, header: Header) -> None:
        """From now on be told of each sbrk and each growth, and bound Plan 9's break.

        The break goes as far as it went for the recorded program, and no further. That limit is the
        machine's, not Go's, so a recording has to say it. One that does not name it tells it by the
        first growth that was refused: from there on the break ends below what that growth asked
        for, and a growth that was granted beyond is a difference.

        Args:
            header: the recording's.
        """
        segment = self.layer.memory
        if isinstance(self.layer, SbrkLayer):
            self.layer.brk.probe = self
        if not isinstance(segment, Plan9Segment):
            segment.probe = self  # Plan 9 has brk_, which is not recorded
        else:
            segment.bound(header.brk_limit)
            if header.brk_max is UNSET and segment.refuse is None:
                segment.refuse = self._learn_limit

    def watch_no_more(self) -> None:
        """What happens from now on is compared with nothing."""
        self.layer.memory.probe = None
        if isinstance(self.layer, SbrkLayer):
            self.layer.brk.probe = None

    def _learn_limit(self) -> bool:
        """Asked before the break rises: where Go's did not, the limit is below that.

        Returns:
            False: it is the limit that refuses, then and from then on.
        """
        event = next(self.peek(), None)
        if event is not None and event.ev == "sbrk" and event.p == 0:
            assert isinstance(self.layer, SbrkLayer)
            assert isinstance(self.layer.memory, Plan9Segment)
            brk, segment = self.layer.brk, self.layer.memory
            assert event.n is not UNSET
            segment.bound(brk.bloc + brk.mem_round(event.n) - 1)
        return False

    # The state.

    def state(self) -> dict[str, int | str]:
        """Our state, by the names that the `state` operation uses."""
        return _named(self._snapshot())

    def _snapshot(self) -> tuple[int, ...]:
        """The same as bare numbers, cheap enough to be taken before every call."""
        layer = self.layer
        if self._quick is None:
            freelist = layer.freelist
            if freelist is None:
                return layer.bloc, layer.bloc_max, layer.pages
            brk, pages = layer, layer.pages
        else:
            brk, memory, freelist = self._quick
            pages = memory.pages
        return (
            brk.bloc, brk.bloc_max, pages, freelist.count, freelist.total_bytes, freelist.fnv()
        )  # fmt: skip

    def _compare_state(self, event: RecordedEvent) -> None:
        # The usual event has every field and agrees; whatever is left takes the long way.
        if self._quick is not None:
            brk, memory, freelist = self._quick
            if (
                event.bloc == brk.bloc
                and event.bloc_max == brk.bloc_max
                and event.pages_now == memory.pages
            ):
                if event.free_hash is UNSET:
                    if event.free_blocks is UNSET and event.free_bytes is UNSET:
                        return
                elif (
                    event.free_blocks == freelist.count
                    and event.free_bytes == freelist.total_bytes
                    and event.free_hash == f"{freelist.fnv():016x}"
                ):
                    return
        self.compare_state_with(event, self.state())

    def compare_state_with(self, event: RecordedEvent, ours: dict[str, int | str]) -> None:
        """Compare every state field that the event has with a state of ours."""
        ours = ours | {"reserveEnd": ours["bloc"]}
        for name, key in _STATE:
            go = getattr(event, name)
            if go is not UNSET and go != ours.get(key, UNSET):
                self._differ(event, key, go, ours.get(key, "none"))
                return

    def _differ(self, event: RecordedEvent | None, name: str, go: object, ours: object) -> None:
        tally = self.tally
        tally.differences += 1
        if tally.first is None:
            tally.first = self._describe(event, name, go, ours)
        if tally.differences >= DIFFERENCES_MAX:
            raise TooManyDifferences

    def failed(self, failure: object) -> None:
        """The emulated call ended in a throw, a fault or a hang, and Go's did not."""
        event = self.expected[-1] if self.expected else None
        self._differ(event, "call", "returned", failure)

    def _describe(
        self, event: RecordedEvent | None, name: str, go: object, ours: object
    ) -> Difference:
        shown = event or (self.expected[-1] if self.expected else None)
        if shown is None:
            return Difference(0, -1, "none", name, str(go), str(ours), _named(self._before))
        line = self.line + shown.seq - self.expected[0].seq
        call = describe(shown) if event is not None else f"under {describe(shown)}"
        return Difference(line, shown.seq, call, name, str(go), str(ours), _named(self._before))


def _named(snapshot: tuple[int, ...]) -> dict[str, int | str]:
    state: dict[str, int | str] = dict(zip(_STATE_KEYS, snapshot, strict=False))
    if "fh" in state:
        state["fh"] = f"{state['fh']:016x}"
    return state


async def issue(event: RecordedEvent, layer: OSLayer, comparison: Comparison) -> None:
    """Make the recorded call on our layer and compare the answer.

    Args:
        event: a call from outside, with the arguments that its kind needs.
        layer: the OS layer.
        comparison: begun, with the events nested in the call and the call itself.

    Raises:
        EmulatedFailure: the call did not return.
    """
    ev = event.ev
    purpose = of_recorded(ev, event.by)
    n: int = event.n  # type: ignore[assignment]  # the reader checks what each kind needs
    v: int = event.v  # type: ignore[assignment]
    if ev == "sysAllocOS":
        p = await layer.sys_alloc_os(n, purpose)
        if layer.freelist is None:
            # Up to 1.20 sysAllocOS is a sysReserveOS, which Go recorded too.
            comparison.saw("sysReserveOS", ("v", 0), ("n", n), ("p", p))
        comparison.saw(ev, ("n", n), ("p", p))
    elif ev == "sysFreeOS":
        await layer.sys_free_os(v, n, purpose)
        comparison.saw(ev, ("v", v), ("n", n))
    elif ev == "sysReserveOS":
        p = await layer.sys_reserve_os(v, n, purpose)
        comparison.saw(ev, ("v", v), ("n", n), ("p", p))
    elif ev == "sysReserveAlignedSbrk":
        size: int = event.size  # type: ignore[assignment]
        align: int = event.align  # type: ignore[assignment]
        p, got = await layer.sys_reserve_aligned_sbrk(size, align, purpose)
        comparison.saw(ev, ("size", size), ("align", align), ("p", p), ("rsize", got))


def describe(event: RecordedEvent) -> str:
    """A recorded call as a person reads it: name, arguments and who called."""
    answers = _ANSWERS.get(event.ev, ())
    parts = [event.ev]
    for name in _ARGUMENTS:
        value = getattr(event, name)
        if value is not UNSET and name not in answers:
            parts.append(f"{name}={value}")
    if event.by:
        parts.append(f"by {event.by}")
    return " ".join(parts)
