"""Which Go release does what at this layer: the one table.

A release is data. `Behaviour` holds every difference that the emulated code asks about; `_MINORS`
says how each minor release stands to the one before, `_PATCHES` where a patch release differs from
its minor. Adding a release is a row here, and code only where Go's code changed.

Each fact was either measured on recordings and operation scripts answered by the real code, or, for
what no recording covers, read off the source; `source_only` names the latter. `sources.READ` has
each release whose source was read, and in what it differs from the one before;
`tests/runtime/go_sources.py GOROOT` repeats the comparison. A patch release that is not in it is
taken to do what its neighbours do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Final

from gorun_mem._near import no_such
from gorun_mem.runtime.sources import source_of

KiB: Final = 1 << 10
MiB: Final = 1 << 20
GiB: Final = 1 << 30

WASM_PAGE: Final = 64 * KiB
PLAN9_PAGE: Final = 4 * KiB
PERSISTENT_CHUNK: Final = 256 * KiB
"""persistentChunkSize of malloc.go, the same in every release."""


class UnknownRelease(ValueError):
    """No such release, or no such platform in it; the message lists what there is."""


class WasmBreak(Enum):
    """How memory is got on wasm."""

    RESERVE_END = "reserve_end"
    """mem_js.go to 1.20: a bump of reserveEnd; nothing is reused."""
    GROW_ALWAYS = "grow_always"
    """1.21 to 1.23 and the seed commit: sbrk grows and returns the old end of memory."""
    BLOC_MAX = "bloc_max"
    """From 1.24: sbrk hands out what lies between bloc and blocMax first."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A GOOS/GOARCH pair.

    Args:
        name: as in "plan9/amd64".
        word_size: bytes of a uintptr as far as this layer is concerned.
        page_size: physPageSize in bytes.
        heap_addr_bits: heapAddrBits of malloc.go.
    """

    name: str
    word_size: int
    page_size: int
    heap_addr_bits: int

    @property
    def goos(self) -> str:
        """js, wasip1 or plan9."""
        return self.name.partition("/")[0]

    @property
    def goarch(self) -> str:
        """wasm, amd64 or 386."""
        return self.name.partition("/")[2]

    @property
    def word_mask(self) -> int:
        """All ones of a uintptr: addresses and sizes are taken modulo this plus one."""
        return (1 << (8 * self.word_size)) - 1

    @property
    def is_wasm(self) -> bool:
        """Whether memory is a WebAssembly memory instance."""
        return self.goarch == "wasm"

    @property
    def arena_base_offset(self) -> int:
        """arenaBaseOffset of malloc.go, which amd64 alone has here."""
        return 0xFFFF_8000_0000_0000 if self.goarch == "amd64" else 0


PLATFORMS: Final = {
    p.name: p
    for p in (
        Platform("js/wasm", 8, WASM_PAGE, 32),
        Platform("wasip1/wasm", 8, WASM_PAGE, 32),
        Platform("plan9/amd64", 8, PLAN9_PAGE, 48),
        Platform("plan9/386", 4, PLAN9_PAGE, 32),
    )
}


@dataclass(frozen=True, slots=True)
class HeapSizes:
    """Sizes in bytes that mheap.sysAlloc works with on one architecture.

    Args:
        arena: heapArenaBytes.
        arena_metadata: unsafe.Sizeof(heapArena{}).
        palloc_chunk: pallocChunkBytes, what a leaf of the page allocator's tree stands for.
        scavenge_index: what the scavenger's index reserves at boot; 0 where it is a global array.
    """

    arena: int
    arena_metadata: int
    palloc_chunk: int = 4 * MiB
    scavenge_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Everything in which releases differ at this layer.

    Args:
        wasm_break: how memory is got on wasm.
        plan9_round_constant: memRound on Plan 9 uses 4096 in place of physPageSize.
        plan9_init_bloc_first: osinit on Plan 9 calls initBloc before it knows physPageSize.
        sets_bloc_max_at_osinit: osinit on wasm raises blocMax to the end of memory.
        is_sbrk_platform: no initial arena hints; aligned reservations by sysReserveAlignedSbrk.
        leaks_memlock: sysReserveAlignedSbrk's free-list path returns with memlock held
            (golang/go#74346).
        nil_free_is_noop: sysFreeOS(nil, n) returns at once.
        has_wasip1: the platform wasip1/wasm exists.
        has_user_arenas: hints above i = 0x3f go to the user arenas' list.
        registers_user_arenas: user arenas have an arena list of their own, as from 1.25.
        has_sys_unreserve: a missed reservation is given back by sysUnreserve, and what is given
            back by that or by sysFree is a whole region, as from 1.26.3.
        has_huge_page_hooks: sysNoHugePageOS and sysHugePageCollapseOS exist.
        on_system_stack: the bodies run on the system stack.
        purpose_names: sysAllocOS and its like carry a name for the mapping.
        mutex: the runtime mutex of platforms with several Ms, by its name in
            `gorun_mem.runtime.mutex.MUTEXES`: lock_sema.go's, and from 1.24 lock_spinbit.go's.
        locks_delta: mutexMLocksDelta, what a lock adds to `m.locks`.
        trades_for_stack_lock: an unlock that is sampled for the mutex profile trades the lock for
            the stack lock, as from 1.25.
        semasleep_wraps: semasleep on Plan 9 takes its time in ms modulo 2^32, as from 1.26; before
            it cut it to what an int32 holds.
        lock_ranks: the column of lockrank.go's table, by its name in
            `gorun_mem.runtime.mutex.rank`.
        heap: sizes by GOARCH.

    Raises:
        ValueError: `heap` lacks a GOARCH.
    """

    wasm_break: WasmBreak
    plan9_round_constant: bool
    plan9_init_bloc_first: bool
    sets_bloc_max_at_osinit: bool
    is_sbrk_platform: bool
    leaks_memlock: bool
    nil_free_is_noop: bool
    has_wasip1: bool
    has_user_arenas: bool
    registers_user_arenas: bool
    has_sys_unreserve: bool
    has_huge_page_hooks: bool
    on_system_stack: bool
    purpose_names: bool
    mutex: str
    locks_delta: int
    trades_for_stack_lock: bool
    semasleep_wraps: bool
    lock_ranks: str
    heap: dict[str, HeapSizes]

    def __post_init__(self) -> None:
        """Refuse a release that has no heap on some platform."""
        lacking = {platform.goarch for platform in PLATFORMS.values()} - set(self.heap)
        if lacking:
            raise ValueError(f"sizes of the heap are missing: {', '.join(sorted(lacking))}")


@dataclass(frozen=True, slots=True)
class Release:
    """One release, as asked for by name.

    Args:
        name: as the user gave it, such as "go1.24.3", "go1.27" or "dac514ea".
        version: (major, minor, patch); the seed commit sorts between 1.20 and 1.21.
        behaviour: what it does.
        source_only: what of it was read off the source and not checked against recordings.
        source: how its memory and lock files stand to those of another release.
    """

    name: str
    version: tuple[int, int, int]
    behaviour: Behaviour
    source_only: tuple[str, ...]
    source: str

    @property
    def minor_name(self) -> str:
        """The minor release that it is of, such as "go1.24"; of the seed commit, "go1.20"."""
        return f"go1.{self.version[1]}"

    def platform(self, name: str) -> Platform:
        """The platform called `name`.

        Raises:
            UnknownRelease: there is no such platform, or not in this release.
        """
        try:
            platform = PLATFORMS[name]
        except KeyError:
            raise UnknownRelease(
                no_such("platform", name, PLATFORMS, cutoff=0.3, there="the platforms are")
            ) from None
        if platform.goos == "wasip1" and not self.behaviour.has_wasip1:
            raise UnknownRelease(
                f"{self.name} has no wasip1/wasm: it exists from go1.21 "
                "(use --platform js/wasm or a later --release)"
            )
        return platform

    def heap_sizes(self, platform: Platform) -> HeapSizes:
        """The sizes that mheap.sysAlloc works with on `platform`."""
        return self.behaviour.heap[platform.goarch]


_MIB4_386 = 4 * MiB
_GO119 = Behaviour(
    wasm_break=WasmBreak.RESERVE_END,
    plan9_round_constant=True,
    plan9_init_bloc_first=True,
    sets_bloc_max_at_osinit=False,
    is_sbrk_platform=False,
    leaks_memlock=False,
    nil_free_is_noop=False,
    has_wasip1=False,
    has_user_arenas=False,
    registers_user_arenas=False,
    has_sys_unreserve=False,
    has_huge_page_hooks=False,
    on_system_stack=False,
    purpose_names=False,
    mutex="sema",
    locks_delta=1,
    trades_for_stack_lock=False,
    semasleep_wraps=False,
    lock_ranks="go1.19",
    heap={
        "wasm": HeapSizes(4 * MiB, 135376),
        "amd64": HeapSizes(64 * MiB, 2165776, scavenge_index=8 * MiB),
        "386": HeapSizes(_MIB4_386, 264392),
    },
)
_GO120 = replace(
    _GO119,
    has_user_arenas=True,
    lock_ranks="go1.21",  # no source of 1.20's at hand
    heap={
        "wasm": HeapSizes(4 * MiB, 70864),
        "amd64": HeapSizes(64 * MiB, 1133584, scavenge_index=8 * MiB),
        "386": HeapSizes(_MIB4_386, 137416),
    },
)
_SEED = replace(
    _GO120,
    wasm_break=WasmBreak.GROW_ALWAYS,
    plan9_round_constant=False,
    plan9_init_bloc_first=False,
)
_GO121 = replace(
    _SEED,
    has_wasip1=True,
    has_huge_page_hooks=True,
    heap=_SEED.heap | {"amd64": HeapSizes(64 * MiB, 1133584, scavenge_index=512 * MiB)},
)
_GO122 = replace(
    _GO121,
    lock_ranks="go1.22",
    heap={
        "wasm": HeapSizes(4 * MiB, 4304),
        "amd64": HeapSizes(64 * MiB, 68624, scavenge_index=512 * MiB),
        "386": HeapSizes(_MIB4_386, 2248),
    },
)
_GO123 = replace(_GO122, lock_ranks="go1.23.4")
_GO124 = replace(
    _GO123,
    wasm_break=WasmBreak.BLOC_MAX,
    sets_bloc_max_at_osinit=True,
    is_sbrk_platform=True,
    mutex="spinbit",
    lock_ranks="go1.24",
)
_GO125 = replace(
    _GO124,
    registers_user_arenas=True,
    purpose_names=True,
    trades_for_stack_lock=True,
    lock_ranks="go1.25",
    heap={
        "wasm": HeapSizes(4 * MiB, 4368),
        "amd64": HeapSizes(64 * MiB, 69648, scavenge_index=512 * MiB),
        "386": HeapSizes(_MIB4_386, 2312),
    },
)
_GO126 = replace(
    _GO125,
    has_sys_unreserve=True,
    on_system_stack=True,
    semasleep_wraps=True,
    lock_ranks="go1.26",
    heap=_GO125.heap | {"wasm": HeapSizes(512 * KiB, 560, 512 * KiB)},
)
_GO127 = replace(_GO126, nil_free_is_noop=True, locks_delta=16, lock_ranks="go1.27")

_AMD64_HEAP: Final = "plan9/amd64: mheap.sysAlloc and its metadata"
_386_HEAP: Final = "plan9/386: mheap.sysAlloc and its metadata"
_PLAN9_HEAP: Final = (_AMD64_HEAP, _386_HEAP)
_HEAP: Final = ("mheap.sysAlloc and its metadata, and the locks: no toolchain to run",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minor:
    """A minor release: its patch releases do the same but for what `_PATCHES` says.

    Args:
        behaviour: what its newest patch release does.
        newest_patch: the newest that is known.
        source_only: what of it was read off the source and not checked against recordings.
    """

    behaviour: Behaviour
    newest_patch: int
    source_only: tuple[str, ...]


_MINORS: Final[dict[int, Minor]] = {
    19: Minor(behaviour=_GO119, newest_patch=13, source_only=_PLAN9_HEAP),
    20: Minor(behaviour=_GO120, newest_patch=14, source_only=_HEAP),
    21: Minor(behaviour=_GO121, newest_patch=13, source_only=(_386_HEAP,)),
    22: Minor(behaviour=_GO122, newest_patch=12, source_only=_PLAN9_HEAP),
    23: Minor(behaviour=_GO123, newest_patch=12, source_only=(_AMD64_HEAP,)),
    24: Minor(behaviour=_GO124, newest_patch=13, source_only=_PLAN9_HEAP),
    25: Minor(behaviour=_GO125, newest_patch=12, source_only=()),
    26: Minor(behaviour=_GO126, newest_patch=6, source_only=_PLAN9_HEAP),
    27: Minor(behaviour=_GO127, newest_patch=3, source_only=(_386_HEAP,)),
}

# (minor, first patch, last patch) -> behaviour
_PATCHES: Final[dict[tuple[int, int, int], Behaviour]] = {
    (23, 0, 3): replace(_GO123, lock_ranks="go1.23"),
    (24, 0, 4): replace(_GO124, leaks_memlock=True),
    (26, 0, 2): replace(_GO126, has_sys_unreserve=False),
}

SEED_COMMIT: Final = "dac514ea"
NEWEST: Final = f"go1.{max(_MINORS)}"
KNOWN: Final = (
    *(f"go1.{minor}" for minor in sorted(_MINORS) if minor < 21),
    SEED_COMMIT,
    *(f"go1.{minor}" for minor in sorted(_MINORS) if minor >= 21),
)
"""Every minor release and the seed commit, oldest first."""

_NAME: Final = re.compile(r"go1\.(0|[1-9]\d{0,3})(?:\.(0|[1-9]\d{0,3}))?")


@cache
def release(name: str) -> Release:
    """The release called `name`: "go1.24", "go1.24.3" or "dac514ea".

    A name without a patch number means the newest patch of that minor release.

    Raises:
        UnknownRelease: there is no such release; the message lists the known and the nearest.
    """
    if name == SEED_COMMIT:
        return Release(
            name, (1, 20, 999), _SEED, _HEAP, "equal to go1.21.13 but for two empty hooks"
        )
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownRelease(_unknown(name))
    minor = int(match[1])
    if minor not in _MINORS:
        raise UnknownRelease(_unknown(name))
    known = _MINORS[minor]
    patch = known.newest_patch if match[2] is None else int(match[2])
    if patch > known.newest_patch:
        raise UnknownRelease(
            f"no release {name!r}: the newest known go1.{minor} is go1.{minor}.{known.newest_patch}"
        )
    behaviour = known.behaviour
    for (of_minor, first, last), patched in _PATCHES.items():
        if of_minor == minor and first <= patch <= last:
            behaviour = patched
    source = source_of(f"go1.{minor}.{patch}")
    return Release(name, (1, minor, patch), behaviour, known.source_only, source)


_MOVING: Final = frozenset({"tip", "gotip", "master", "main", "latest", "newest", "stable"})
"""Names of what is another release each time."""


def _unknown(name: str) -> str:
    hint = ""
    if name.lower() in _MOVING:
        hint = f"only what is released is known, and the newest is {NEWEST} (--release {NEWEST});"
    said = no_such("release", name, KNOWN, cutoff=0.3, hint=hint, there="known are")
    return f"{said} and their patch releases (go1.24.3)"


NEWEST_BEHAVIOUR: Final = release(NEWEST).behaviour
"""What locks and notes that are made by themselves do."""
