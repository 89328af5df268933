"""A recording of a real Go program, dealt to several Ms.

The program that was recorded had one M (wasm has no more). Here its calls are dealt to the Ms of a
World, either in turn or by the Go function that called, and issued in one of two ways:

    RecordedOrder   in the order recorded, whoever has a call waiting for its turn. Then every
                    answer, what sbrk and growMemory did beneath it, and the state after it must be
                    Go's. It shows that nothing at this layer depends on which M calls.
    FreeOrder       each M issues its own calls as fast as it gets memlock. Addresses come out
                    differently then, so a call is made for what it wants: mheap.sysAlloc is issued
                    as one, and a free frees what *here* was allocated by the call whose memory Go
                    freed there, and the same part of it. An M that is to free what another has not
                    allocated yet waits for it. Every answer is checked for soundness.

The World has the release, the platform and the memory of the recording's header. A smaller limit is
one that the program did not have: where a call gets nil that Go dies of, the run ends as
`OutOfMemory`. In recorded order it cannot go on either where Go would live and go another way.

On another release than the recorded one, in free order only, a program that grew by small arenas
fills a larger one before it asks again, as mheap.grow does with curArena. One that grew by large
arenas is taken to need all of them, though smaller ones might have done.

Simplified in free order: what mheap.sysAlloc does inside, chunks of persistentalloc among it, is
ours and not the recording's, and each M has a chunk of its own. Memory that Go allocated inside of
mheap.sysAlloc for itself never came to exist here; a free of it is skipped and counted.

Rejected: reading a recording into lists for the recorded order too. It is read as it is issued, so
its length does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn
from zlib import crc32

from msgspec import UNSET

from gorun_mem.machine.config import Config
from gorun_mem.machine.scenario import ScenarioError
from gorun_mem.replay.compare import Comparison, ReplayTally, describe, issue
from gorun_mem.replay.recorded_heap import RecordedHeap
from gorun_mem.replay.recording import (
    SPAN_EVENTS,
    Header,
    RecordedEvent,
    Recording,
    RecordingError,
)
from gorun_mem.runtime.boot import DATA_END, MAX_PAGES
from gorun_mem.runtime.errors import OutOfMemory
from gorun_mem.runtime.memory import Plan9Segment
from gorun_mem.runtime.nil_answers import HINTING, OUT_OF_MEMORY, last_words, plain_name
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.runtime.purposes import of_recorded
from gorun_mem.runtime.rangemap import RangeMap

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.oslayer import OSLayer

Deal = Literal["round_robin", "caller"]

_NOT_OS: Final = frozenset(("hintHit", "hintDrop", "mheap.sysAlloc")) | SPAN_EVENTS
_NO_CALLS: Final = frozenset(("initBloc", "osinit")) | SPAN_EVENTS


class AnswersDiffer(Exception):
    """In recorded order an answer, or the state after a call, was not Go's."""


class AnotherWay(Exception):
    """In recorded order a limit refused what Go had, and what Go would do then is not recorded."""


class Unsound(Exception):
    """In free order an answer was one that no allocator may give; the message says which."""


def as_recorded(config: Config, options: Mapping[str, Any]) -> Config:
    """The settings under which the recording called `options["trace"]` was made.

    A smaller `max_pages` of the user's stays: what if the machine had had less memory? A larger one
    is refused, for a program's own maximum holds on every machine. Another release stays too, in
    free order: what if it had been built with that one? The initial pages are then the linker's
    rule applied to the recorded program's end.

    Args:
        config: what the user asks for.
        options: "trace", a path, and "order".

    Raises:
        ScenarioError: there is no such recording, it is bad, or `config` contradicts it.
    """
    trace = options["trace"]
    if not trace:
        raise ScenarioError(
            "no recording: name one with --set trace=FILE, such as maps.jsonl.gz "
            "(`gorun-mem replay FILE` reads the same files)"
        )
    header = _read_through(Path(trace)).header
    other_release = options["order"] == "free" and config.release not in (None, header.go)
    for name, asked, recorded in (
        ("release", config.release, header.go),
        ("platform", config.platform, header.platform_name),
    ):
        if asked not in (None, recorded) and not (name == "release" and other_release):
            raise ScenarioError(
                f"{name} {asked}: the recording is of {recorded}; leave --{name} out"
            )
    if options["order"] == "free" and header.goarch == "386":
        raise ScenarioError(
            "order = free: boot on plan9/386 reserves heap memory that a recording does not tell "
            "apart; take --set order=recorded"
        )
    _check_limits(config, header)
    return config.but(
        release=config.release or header.go,
        platform=header.platform_name,
        data_end=header.end,
        initial_pages=-1 if other_release else header.initial_pages,
        max_pages=min(config.max_pages, header.max_pages),
    )


def _check_limits(config: Config, header: Header) -> None:
    """Refuse what the user says of the memory and the recording says otherwise."""
    if header.max_pages < config.max_pages < MAX_PAGES:
        raise ScenarioError(
            f"max_pages {config.max_pages}: the recorded program itself allows no more than "
            f"{header.max_pages}, so a limit above that changes nothing; give a lower one, or "
            "leave --max-pages out"
        )
    for option, asked, usual, recorded in (
        ("init-pages", config.initial_pages, -1, header.initial_pages),
        ("end", config.data_end, DATA_END, header.end),
    ):
        if asked not in (usual, recorded):
            raise ScenarioError(
                f"--{option} {asked}: the recording has {recorded}; leave --{option} out"
            )


def _read_through(path: Path) -> Recording:
    """The recording, closed, once it is known to be good to its end."""
    try:
        with Recording(path) as recording:
            for _ in recording:
                pass
            return recording
    except RecordingError as error:
        raise ScenarioError(str(error)) from None
    except OSError as error:
        raise ScenarioError(f"recording {path}: {error.strerror}") from None


def _dealt_to(event: RecordedEvent, number: int, deal: Deal, ms: int) -> int:
    """Index of the M that is to issue `event`, the `number`th call."""
    return (crc32(event.by.encode()) if deal == "caller" else number) % ms


# In recorded order.


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
            self.whose = _dealt_to(event, self._number, self._deal, self._world.ms)
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


# In free order.


class HandedPart(NamedTuple):
    """A part of what an earlier call allocated.

    Args:
        of: number of that call.
        offset: where in it the part begins, in bytes.
        size: bytes.
    """

    of: int
    offset: int
    size: int


class Wish(NamedTuple):
    """A call for what it wants, without Go's addresses.

    Args:
        number: of the call, from 0.
        event: as Go made it.
        parts: what a free gives back.
    """

    number: int
    event: RecordedEvent
    parts: tuple[HandedPart, ...]


class FreeOrder:
    """A recording issued by several Ms as they come.

    Args:
        world: made with `as_recorded`; its Ms call.
        trace: path of the recording.
        deal: "round_robin", or "caller": every Go function has its M.
    """

    def __init__(self, world: World, trace: str, deal: Deal) -> None:
        self._world = world
        self._page = world.settings.platform.page_size
        self._nil = self._issued = 0
        self._answers: dict[int, tuple[int, int]] = {}
        self._waiting: dict[int, list[MLike]] = {}
        self._live: RangeMap[int] = RangeMap()
        with Recording(trace) as recording:
            wishes, self._skipped = _wishes(recording)
            self._as_built = recording.header.go == world.settings.release.name
            if isinstance(world.runtime.memory, Plan9Segment):
                world.runtime.memory.bound(recording.header.brk_limit)
        self._cur_arena = (0, 0)  # start and end of what mheap.grow has and has not used
        hands: list[list[Wish]] = [[] for _ in range(world.ms)]
        for wish in wishes:
            hands[_dealt_to(wish.event, wish.number, deal, world.ms)].append(wish)
        self._hands = [iter(hand) for hand in hands]

    def __repr__(self) -> str:
        return f"<FreeOrder {self._issued} calls issued, {self._skipped} skipped>"

    async def issue_next(self, m: M, i: int) -> bool:
        """Make the next call that is dealt to `m`, the Ms' number `i`, and check the answer.

        Args:
            m: who calls.
            i: its number among the Ms that share the recording, from 0.

        Returns:
            False when it has no more.

        Raises:
            Unsound: no allocator may give that answer.
            OutOfMemory: there was none, and Go dies of that.
        """
        wish = next(self._hands[i], None)
        if wish is None:
            return False
        for part in wish.parts:
            await self._free(m, part)
        if wish.event.ev != "sysFreeOS":
            await self._ask(m, wish)
        return True

    async def _ask(self, m: M, wish: Wish) -> None:
        event = wish.event
        m.world.runtime.os.forget_refusal()
        try:
            addr, size, align = await self._allocate(m, event)
            self._issued += 1
            words = "" if addr else last_words(event.by)
            if words:
                wanted = event.size if event.size is not UNSET else event.n
                assert wanted is not UNSET
                raise m.world.runtime.os.out_of_memory(words, wanted)
        except OutOfMemory:
            self._nil += 1
            self.finish()  # what was done so far
            raise
        if addr:
            self._check(event, addr, size, align)
            self._live.assign(addr, addr + size, wish.number)
        else:
            self._nil += 1
        self._answers[wish.number] = addr, size
        for waiter in self._waiting.pop(wish.number, ()):
            waiter.sched.unpark(waiter)

    def finish(self) -> None:
        """Say how many calls were made."""
        world = self._world
        world.result("calls issued", self._issued)
        world.result("frees skipped", self._skipped)
        world.result("nil answers", self._nil)
        world.result("pages", world.snapshot().pages)

    async def _allocate(self, m: M, event: RecordedEvent) -> tuple[int, int, int]:
        """(address, bytes, what the address must be a multiple of)."""
        n, purpose = event.n, of_recorded(event.ev, event.by)
        if event.ev == "sysReserveAlignedSbrk":
            assert event.size is not UNSET
            assert event.align is not UNSET
            got = await m.sys_reserve_aligned_sbrk(event.size, event.align, purpose)
            return (*got, event.align)
        assert n is not UNSET
        if event.ev == "sysAllocOS":
            return await m.sys_alloc_os(n, purpose), self._round(n), self._page
        if event.ev == "sysReserveOS":
            return await m.sys_reserve_os(0, n, purpose), self._round(n), self._page
        if not self._as_built and event.user != 1:
            return await self._grow(m, n)
        addr, size = await m.mheap_sys_alloc(n, user=event.user == 1)
        return addr, size, m.world.runtime.mheap.arena_bytes

    async def _grow(self, m: M, n: int) -> tuple[int, int, int]:
        """mheap.grow on another release: what an arena of its size has left serves first."""
        start, end = self._cur_arena
        if end - start < n:
            addr, size = await m.mheap_sys_alloc(n)
            if not addr:
                return 0, 0, 1
            start, end = addr, addr + size
        self._cur_arena = (start + n, end)
        return start, n, self._page

    def _round(self, n: int) -> int:
        return -(-n // self._page) * self._page

    async def _free(self, m: M, part: HandedPart) -> None:
        addr, size = await _Answer(self, part.of)
        if not addr or part.offset + part.size > size:
            self._skipped += 1
            return
        start = addr + part.offset
        # Before the call: from the moment it has memlock another M may be given this memory.
        self._live.erase(start, start + self._round(part.size))
        await m.sys_free_os(start, part.size, "as recorded")
        self._issued += 1

    def _check(self, event: RecordedEvent, addr: int, size: int, align: int) -> None:
        runtime = self._world.runtime
        end = addr + size
        taken = self._live.overlapping(addr, end)
        ledger = runtime.os.ledger
        if addr % align:
            fault = f"is not a multiple of {align}"
        elif addr < runtime.data_end or end > runtime.memory.size:
            fault = f"is outside [{runtime.data_end:#x}, {runtime.memory.size:#x})"
        elif taken:
            fault = f"overlaps [{taken[0].lo:#x}, {taken[0].hi:#x}), which is in use"
        elif ledger is not None and ledger.refusal(addr, size, ""):
            fault = "is not handed out by the book of the layer"
        else:
            return
        raise Unsound(f"{describe(event)} answered [{addr:#x}, {end:#x}), which {fault}")

    def answer(self, number: int) -> tuple[int, int] | None:
        """(address, bytes) of a call's answer, None before there is one."""
        return self._answers.get(number)

    def wait_for(self, number: int, m: MLike) -> None:
        """Wake `m` when the call has its answer."""
        self._waiting.setdefault(number, []).append(m)


class _Answer(Op):
    """Wait until another call has its answer; its value is that."""

    __slots__ = ("_number", "_order")
    kind = "answer"
    obj = "recording"
    reads_only = True

    def __init__(self, order: FreeOrder, number: int) -> None:
        self._order = order
        self._number = number

    def begin(self, m: MLike) -> bool:
        """Enabled when there is an answer."""
        if self._order.answer(self._number) is not None:
            return True
        self._order.wait_for(self._number, m)
        return False

    def step(self, m: MLike) -> object:
        """The answer."""
        return self._order.answer(self._number)


def _wishes(recording: Recording) -> tuple[list[Wish], int]:
    """The outermost calls without addresses, and how many pieces of frees have no origin."""
    page = recording.platform.page_size
    owners: RangeMap[HandedPart] = RangeMap()
    wishes: list[Wish] = []
    lost = 0
    for event in recording:
        if event.parent is not UNSET or event.ev in _NO_CALLS:
            continue
        parts: tuple[HandedPart, ...] = ()
        if event.ev == "sysFreeOS":
            assert event.v is not UNSET
            assert event.n is not UNSET
            parts = tuple(_parts(owners, event.v, event.v + event.n))
            lost += sum(part.size for part in parts) != event.n
            owners.erase(event.v, event.v + -(-event.n // page) * page)
        else:
            addr, size = _allocated(event)
            if addr and size:
                whole = HandedPart(len(wishes), addr, size)
                owners.assign(addr, addr + -(-size // page) * page, whole)
        wishes.append(Wish(len(wishes), event, parts))
    return wishes, lost


def _parts(owners: RangeMap[HandedPart], start: int, end: int) -> Iterator[HandedPart]:
    """What of which allocation lies in [start, end)."""
    for piece in owners.overlapping(start, end):
        low, high = max(piece.lo, start), min(piece.hi, end)
        yield HandedPart(piece.value.of, low - piece.value.offset, high - low)


def _allocated(event: RecordedEvent) -> tuple[int, int]:
    """Address and bytes of what Go was given."""
    if event.ev == "mheap.sysAlloc":
        pair = event.v, event.size
    elif event.ev == "sysReserveAlignedSbrk":
        pair = event.p, event.rsize
    else:
        pair = event.p, event.n
    addr, size = pair
    return (0, 0) if addr is UNSET or size is UNSET else (addr, size)
