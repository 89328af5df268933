"""A recording dealt to several Ms, each issuing its own calls as fast as it gets memlock.

What that shows, and what is simplified, stands in `gorun_mem.replay.real_program`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import UNSET

from gorun_mem.replay.compare import describe
from gorun_mem.replay.real_program import Deal, Unsound, dealt_to
from gorun_mem.replay.recording import SPAN_EVENTS, RecordedEvent, Recording
from gorun_mem.runtime.errors import OutOfMemory
from gorun_mem.runtime.memory import Plan9Segment
from gorun_mem.runtime.nil_answers import last_words
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.runtime.purposes import of_recorded
from gorun_mem.runtime.rangemap import RangeMap

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World


_NO_CALLS: Final = frozenset(("initBloc", "osinit")) | SPAN_EVENTS


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
            hands[dealt_to(wish.event, wish.number, deal, world.ms)].append(wish)
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
