"""What the analysis says of memory, as values: layouts, growths, hints, reasons, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gorun_mem.analysis.fragmentation import verdict
from gorun_mem.events.types import MemReturn
from gorun_mem.runtime.pages import pages_of
from gorun_mem.runtime.purposes import ARENAS

TOP_MAX: Final = 1 << 32
"""No memory is larger, in bytes, and no budget lets through what asks for more."""


@dataclass(frozen=True, slots=True)
class CallRef:
    """A call of the OS layer, to point at.

    Args:
        seq: its mem.return.
        t_ns: when it returned.
        m: who called.
        op: its number, 0 where the log does not say.
        fn: the Go function.
        purpose: what for, "" where nobody said.
        n: bytes asked for.
        p: the answer.
        path: how it came about.
    """

    seq: int
    t_ns: int
    m: int
    op: int
    fn: str
    purpose: str
    n: int
    p: int
    path: str

    @classmethod
    def of(cls, event: MemReturn) -> CallRef:
        """The call that returned."""
        op, purpose = event.op, event.purpose
        return cls(
            event.seq, event.t_ns, event.m, op if isinstance(op, int) else 0, event.fn,
            purpose if isinstance(purpose, str) else "", event.n, event.p, event.path,
        )  # fmt: skip

    def __str__(self) -> str:
        purpose = f" for {self.purpose}" if self.purpose else ""
        return f"{self.fn}({self.n}){purpose} by M{self.m}, event {self.seq}"


@dataclass(frozen=True, slots=True)
class Growth:
    """The memory was asked to grow.

    Args:
        seq: the event.
        t_ns: when.
        before: the memory's top before, in bytes.
        after: its top after; with a refusal what it would have been.
        ok: whether it was granted.
        cause: the call in which, None where it never returned.
        need: bytes in one piece that the call needed.
        free: bytes on the free list before the call.
        largest: the largest free block then.
        slack: bytes between bloc and bloc_max before.
        live: live bytes before the call.
        limited: it was refused for want of pages, and not by somebody who makes growths fail.
    """

    seq: int
    t_ns: int
    before: int
    after: int
    ok: bool
    cause: CallRef | None
    need: int = 0
    free: int = 0
    largest: int = 0
    slack: int = 0
    live: int = 0
    limited: bool = False

    @property
    def may_be_granted(self) -> bool:
        """Whether there is a number of pages at which it is granted."""
        return self.ok or (self.limited and self.after <= TOP_MAX)

    @property
    def verdict(self) -> str:
        """Why it was needed: "fragmentation" where as much was free in pieces, else "memory"."""
        return verdict(self.need, self.free, self.slack)


@dataclass(frozen=True, slots=True)
class GrowthCause:
    """Growths by what they were for.

    Args:
        fn: the Go function.
        purpose: what for.
        count: growths granted.
        bytes: by how much.
        refused: growths refused.
    """

    fn: str
    purpose: str
    count: int
    bytes: int
    refused: int


@dataclass(frozen=True, slots=True)
class HintMiss:
    """A hint that was tried in vain.

    Args:
        seq: the event.
        t_ns: when.
        hint_addr: where the arena should have gone.
        down: a hint that grows downwards.
        bloc: where the break was.
        gap_bytes: how far apart they are.
        taken_by: the call that took the hinted address, None where none did.
        why: in words.
    """

    seq: int
    t_ns: int
    hint_addr: int
    down: bool
    bloc: int
    gap_bytes: int
    taken_by: CallRef | None
    why: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where every byte up to the top is, at one moment.

    Args:
        seq: the event after which.
        t_ns: when.
        top: all of it.
        static: the program's data.
        held: purpose -> bytes handed out, rounded.
        free: on the free list.
        free_blocks: in how many blocks.
        free_largest: the largest.
        hole_bytes: of the free ones, left by aligning; None where the log does not say.
        slack: between bloc and bloc_max.
        never_used: initial pages never handed out.
        host: the host's, and not handed out.
        live: bytes asked for and not given back.
    """

    seq: int = 0
    t_ns: int = 0
    top: int = 0
    static: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    free: int = 0
    free_blocks: int = 0
    free_largest: int = 0
    hole_bytes: int | None = None
    slack: int = 0
    never_used: int = 0
    host: int = 0
    live: int = 0

    @property
    def held_bytes(self) -> int:
        """Handed out for whatever purpose."""
        return sum(self.held.values())

    @property
    def arena_bytes(self) -> int:
        """Handed out for heap arenas."""
        return self.held.get(ARENAS, 0)

    @property
    def metadata_bytes(self) -> int:
        """Handed out for anything else."""
        return self.held_bytes - self.arena_bytes

    @property
    def lost(self) -> int:
        """What is none of all this."""
        parts = self.static + self.held_bytes + self.free + self.slack + self.never_used
        return self.top - parts - self.host

    @property
    def rounding(self) -> int:
        """Handed out above what was asked for."""
        return self.held_bytes - self.live

    @property
    def pages(self) -> int:
        """Pages of 64 KiB up to the top."""
        return pages_of(self.top)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some memory does not go back.

    Args:
        code: a short name.
        bytes: how much it is about, 0 where it is not about an amount.
        text: in a sentence.
    """

    code: str
    bytes: int
    text: str


@dataclass(frozen=True, slots=True)
class Discard:
    """What discarding whole pages (WebAssembly's proposed `memory.discard`) could give back.

    The first page of a free block stays, because the block's header lies in it.

    Args:
        free_pages: whole pages within free blocks.
        slack_pages: whole pages between bloc and bloc_max, or never handed out.
    """

    free_pages: int
    slack_pages: int

    @property
    def pages(self) -> int:
        """Pages of 64 KiB altogether."""
        return self.free_pages + self.slack_pages


@dataclass(frozen=True, slots=True)
class Budget:
    """Whether the run fits into a number of pages.

    Args:
        pages: of 64 KiB.
        fits: whether they allow what it had and each growth that it asked for.
        needed: the least pages that do.
        failure: the first growth that the pages do not allow; None if it fits.
        verdict: "fragmentation" where as much was free in pieces then, "memory" where it was not,
            "start" where the pages do not even hold what the memory starts with, so that it cannot
            be instantiated, "host" where the host's growth does not fit, "" if it fits.
        unknown: the first growth that the run was refused and these pages allow: what a run in
            which it is granted does after it, no log knows. None where there is none.
        start_pages: what the memory starts with.
        exact: False where growths were too many to keep, and the first failure is one among the
            first kept.
    """

    pages: int
    fits: bool
    needed: int
    failure: Growth | None = None
    verdict: str = ""
    exact: bool = True
    unknown: Growth | None = None
    start_pages: int = 0
