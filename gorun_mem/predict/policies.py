"""What a recorded program would have taken had the layer searched its free blocks another way.

With spans in the recording, all above the layer answers to the policy: arenas, hints and metadata
are placed anew. Without, the recorded calls are made in order, and an address is said by what it
was handed out as.

Simplified, without spans: a hint that missed is not tried; a hint that was hit and is out of reach
becomes a reservation anywhere; an aligned reservation to 1.23 gives back the pieces that it gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET

from gorun_mem.policies import (
    MakePolicy,
    Policy,
    PolicyError,
    PolicyFreeList,
    policy_parts,
    policy_release,
)
from gorun_mem.predict.program import load
from gorun_mem.predict.span import SpanHeap, SpanRun
from gorun_mem.replay.ops import reserve_aligned_generic
from gorun_mem.replay.recording import OS_CALLS, RecordedEvent, Recording
from gorun_mem.runtime.behaviour import WasmBreak
from gorun_mem.runtime.boot import MAX_PAGES, BootOptions, boot
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mutex import make
from gorun_mem.runtime.rangemap import RangeMap
from gorun_mem.step.solo import SoloM, solo

if TYPE_CHECKING:
    from gorun_mem.predict.program import Program
    from gorun_mem.runtime.oslayer import OSLayer


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What came of a recording under a policy.

    Args:
        level: span, os where the recording has no spans, or ops of a script.
        lived: to its end, within the memory that there may be.
        pages: size of the memory at the end, pages of 64 KiB.
        grows: growths.
        steps: blocks, or lists, that searches looked at.
        free_bytes: free at the end.
        free_blocks: in so many blocks.
        largest: bytes of the largest.
    """

    level: str
    lived: bool
    pages: int
    grows: int
    steps: int
    free_bytes: int
    free_blocks: int
    largest: int

    @property
    def fragmentation(self) -> float:
        """The share of the free bytes that lies outside the largest block."""
        return 1 - self.largest / self.free_bytes if self.free_bytes else 0.0


def under_policy(path: Path | str, policy: MakePolicy, max_pages: int = MAX_PAGES) -> PolicyResult:
    """A recording on its own release under a policy.

    Args:
        path: of the recording, or a name of a shipped one.
        policy: makes the one for it.
        max_pages: pages that there may be, if the program itself does not allow fewer.

    Raises:
        RecordingError: it is bad, or its release has no free list.
        PolicyError: the policy handed out what is not free, or lost what is.
        OSError: it cannot be read.
    """
    with Recording(path) as recording:
        if not recording.platform.is_wasm:
            raise recording.error("not of wasm: policies are tried on linear memory")
        if recording.release.behaviour.wasm_break is WasmBreak.RESERVE_END:
            raise recording.error(f"{recording.release.name} has no free list on wasm")
        if recording.header.level != "span":
            return _os_level(recording, policy(), max_pages)
    return span_level(load(path), policy(), max_pages)


def span_level(program: Program, policy: Policy, max_pages: int = MAX_PAGES) -> PolicyResult:
    """A program with spans on its own release under a policy.

    Raises:
        PolicyError: the policy handed out what is not free, or lost what is.
    """
    header = program.header
    heap = SpanHeap(
        policy_release(policy, program.release),
        program,
        header.end,
        program.initial_pages,
        min(header.max_pages, max_pages),
        policy_parts(policy),
    )
    run = SpanRun(program, heap)
    run.all()
    return result("span", heap.os, policy, run.death is None)


def _os_level(recording: Recording, policy: Policy, max_pages: int) -> PolicyResult:
    header = recording.header
    runtime = boot(
        policy_release(policy, recording.release),
        recording.platform,
        BootOptions(
            end=header.end,
            initial_pages=header.initial_pages,
            max_pages=min(header.max_pages, max_pages),
            faithful=True,
        ),
        memlock=make("none", recording.release),
        parts=policy_parts(policy),
    )
    calls = MovedCalls(runtime.os)
    lived = True
    for event in recording:
        if event.ev in OS_CALLS and event.top == 1 and lived:
            try:
                lived = calls.make(event)
            except PolicyError:
                raise
            except EmulatedFailure:
                lived = False
    return result("os", runtime.os, policy, lived)


def result(level: str, os: OSLayer, policy: Policy, lived: bool) -> PolicyResult:
    """What a layer under a policy came to.

    Raises:
        PolicyError: the policy lost what is free.
    """
    freelist = os.freelist
    assert isinstance(freelist, PolicyFreeList)
    freelist.audit()
    sizes = [size for _, size in policy.blocks()]
    return PolicyResult(
        level, lived, os.pages, os.memory.grows, policy.steps,
        freelist.total_bytes, len(sizes), max(sizes, default=0),
    )  # fmt: skip


class MovedCalls:
    """Recorded calls of the OS layer, made on one that answers with other addresses.

    Args:
        os: the layer.

    Attributes:
        moved: how far what was handed out has moved, by its addresses of there.
    """

    def __init__(self, os: OSLayer) -> None:
        self.os = os
        self._m = SoloM()
        self._page = os.platform.page_size
        self.moved: RangeMap[int] = RangeMap(coalesce=True)

    def make(self, event: RecordedEvent) -> bool:
        """A recorded call; False where it found no memory though the recorded one did."""
        v, n, p = (0 if x is UNSET else x for x in (event.v, event.n, event.p))
        if event.ev == "sysFreeOS":
            self.free(v, n)
            return True
        if event.ev == "sysReserveAlignedSbrk":
            assert event.size is not UNSET
            assert event.align is not UNSET
            return self.reserve_aligned(event.size, event.align, p, event.size)
        return self.alloc(n, p) if event.ev == "sysAllocOS" else self.reserve(v, n, p)

    def alloc(self, n: int, was: int) -> bool:
        """sysAllocOS, which answered `was` there; False where that was memory and here is none."""
        return self._moves(was, solo(self.os.sys_alloc_os(n), self._m), n)

    def reserve(self, v: int, n: int, was: int) -> bool:
        """sysReserveOS, likewise; `v` is an address of there."""
        return self._moves(was, self._reserve(v, n, was), n)

    def reserve_aligned(self, size: int, align: int, was: int, got: int) -> bool:
        """sysReserveAlignedSbrk, or what stands for it to 1.23, likewise; `got` bytes there."""
        os = self.os
        if os.release.behaviour.is_sbrk_platform:
            now, _ = solo(os.sys_reserve_aligned_sbrk(size, align), self._m)
        else:
            now, here = solo(reserve_aligned_generic(os, size, align), self._m)
            got = min(got, here)
        return self._moves(was, now, got)

    def _moves(self, was: int, now: int, n: int) -> bool:
        if was and now:
            self.moved.assign(was, was + self._round(n), now - was)
        return bool(now) or not was

    def _reserve(self, v: int, n: int, was: int) -> int:
        if v and not was:
            return 0
        if v:
            before = self.moved.at(v - 1)
            hint = v + before.value if before is not None else v
            now = solo(self.os.sys_reserve_os(hint, n), self._m)
            if now:
                return now
        return solo(self.os.sys_reserve_os(0, n), self._m)

    def free(self, v: int, n: int) -> None:
        """sysFreeOS of [v, v+n) of there, as far as it was handed out here."""
        end = v + self._round(n)
        for piece in self.moved.overlapping(v, end):
            low, high = max(piece.lo, v), min(piece.hi, v + n)  # the layer rounds it itself
            solo(self.os.sys_free_os(low + piece.value, high - low), self._m)
        self.moved.erase(v, end)

    def _round(self, n: int) -> int:
        return -(-n // self._page) * self._page
