"""Pages under another release, from one recording or several: a point, an interval, the reasons.

The point is exact for the sequence that was recorded. Against a real run of the other release it is
an estimate, for the program collects when it does: so there is an interval, from the least to the
greatest of the recordings, widened by 10 % and by one arena step on either side. How often such
intervals met real runs is in the README.

The end of the data of a program that is not there is scaled by what the releases make of the same
small program, which was measured as good as knowing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from gorun_mem._notebook import facts
from gorun_mem.predict.program import Program
from gorun_mem.predict.span import Death, Simulated, simulate
from gorun_mem.runtime.behaviour import KNOWN, WASM_PAGE, Release, UnknownRelease, release
from gorun_mem.runtime.boot import MAX_PAGES, initial_wasm_pages
from gorun_mem.runtime.pages import pages_of

WIDENED: Final = 10
"""Per cent by which an interval is widened on either side."""

_HELLO: Final = {
    "go1.19": (1_061_400, 144_000),
    "go1.20": (1_063_800, 144_000),
    "go1.21": (1_066_265, 143_991),
    "go1.22": (1_107_865, 346_983),
    "go1.23": (1_242_233, 85_863),
    "go1.24": (1_294_297, 86_215),
    "go1.25": (1_323_801, 87_471),
    "go1.26": (1_382_073, 147_399),
    "go1.27": (1_280_569, 147_311),
}
"""Of one small js program: bytes of data, and of what is zero at the start and stands behind it.
1.19 by a recording, 1.20 between its neighbours, the others as built. A release that is newer than
all of them is taken to be as the last."""
_LAST: Final = next(reversed(_HELLO))


@dataclass(frozen=True, slots=True)
class Built:
    """How the program is built by a release.

    Args:
        release: the release.
        end: where its data ends.
        initial_pages: pages that it starts with.
    """

    release: Release
    end: int
    initial_pages: int


def estimate_build(program: Program, to: Release) -> Built:
    """How the recorded program would be built by a release.

    Args:
        program: the recording.
        to: the release.
    """
    header = program.header
    recorded = program.release
    if to.behaviour == recorded.behaviour and to.minor_name == recorded.minor_name:
        return Built(to, header.end, program.initial_pages)
    (data_here, zeros_here), (data_there, zeros_there) = (
        _HELLO.get(one.minor_name, _HELLO[_LAST]) for one in (recorded, to)
    )
    data = max(header.end - zeros_here, 0) * data_there // data_here
    end = data + zeros_there
    if to.behaviour.sets_bloc_max_at_osinit:
        pages = initial_wasm_pages(to, end)
    elif recorded.behaviour.sets_bloc_max_at_osinit:
        # Up to 1.23 the linker leaves 16 MiB behind the data, without what is zero.
        pages = initial_wasm_pages(to, data)
    else:
        pages = program.initial_pages + (data - header.end + zeros_here) // WASM_PAGE
    return Built(to, end, min(max(pages, pages_of(end)), MAX_PAGES))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a release would take.

    Args:
        release: its name.
        outcome: ok, not_instantiable or out_of_memory.
        runs: what each recording came to; empty where it is not instantiable.
        initial_pages: pages at the start.
        pages: the median of the runs.
        low: least pages to be expected.
        high: most pages to be expected.
        arena_pages: by how much the heap grows at least.
        recorded: whether a recording is of this very release.
        death: where the limit kills the first of the runs that it kills.
        fits: the smallest limit under which all recordings live; None where it was not asked for.
    """

    release: str
    outcome: str
    runs: tuple[Simulated, ...]
    initial_pages: int
    pages: int
    low: int
    high: int
    arena_pages: int
    recorded: bool
    death: Death | None
    fits: int | None

    @property
    def typical(self) -> Simulated | None:
        """The run that the point is of."""
        return next((run for run in self.runs if run.pages == self.pages), None)

    def _repr_html_(self) -> str:
        """A notebook's view."""
        return facts(
            f"prediction for {self.release}",
            [
                ("outcome", self.outcome),
                ("pages", self.pages),
                ("expected", f"{self.low:,} to {self.high:,}"),
                ("starts with", self.initial_pages),
                ("recorded on it", self.recorded),
                ("smallest limit", self.fits),
            ],
        )


def predict(
    programs: Sequence[Program],
    to: Release,
    max_pages: int | None = None,
    built: Built | None = None,
) -> Prediction:
    """Pages of recorded runs of one program under a release.

    Args:
        programs: the runs.
        to: the release.
        max_pages: the memory's limit; None for none.
        built: how the release builds it, where that is known.
    """
    builds = [built or estimate_build(program, to) for program in programs]
    initial = median_low([b.initial_pages for b in builds])
    runs = [_simulate(p, b, MAX_PAGES) for p, b in zip(programs, builds, strict=True)]
    pages = median_low([run.pages for run in runs])
    platform = to.platform(programs[0].header.platform_name)
    step = to.heap_sizes(platform).arena // WASM_PAGE
    low, high = interval([run.pages for run in runs], step)
    outcome, death, fits = "ok", None, None
    if max_pages is not None:
        outcome, death = _limited(programs, builds, max_pages)
        fits = max(smallest_limit(p, b, r) for p, b, r in zip(programs, builds, runs, strict=True))
    elif any(run.death is not None for run in runs):
        outcome, death = "out_of_memory", next(r.death for r in runs if r.death is not None)
    return Prediction(
        release=to.name,
        outcome=outcome,
        runs=tuple(runs),
        initial_pages=initial,
        pages=pages,
        low=max(low, initial),
        high=min(high, MAX_PAGES),
        arena_pages=step,
        recorded=any(p.header.go == to.name for p in programs),
        death=death,
        fits=fits,
    )


def interval(pages: Sequence[int], step: int) -> tuple[int, int]:
    """The range of several runs, widened by one arena step and by 10 %, whichever is more.

    Args:
        pages: of each run.
        step: pages of an arena.
    """
    least, most = min(pages), max(pages)
    low = min(least - step, least * (100 - WIDENED) // 100)
    return max(low, 0), max(most + step, -(-most * (100 + WIDENED) // 100))


def _simulate(program: Program, built: Built, max_pages: int) -> Simulated:
    return simulate(program, built.release, built.end, built.initial_pages, max_pages)


def _limited(
    programs: Sequence[Program], builds: Sequence[Built], max_pages: int
) -> tuple[str, Death | None]:
    for program, built in zip(programs, builds, strict=True):
        if built.initial_pages > max_pages:
            return "not_instantiable", None
        death = _simulate(program, built, max_pages).death
        if death is not None:
            return "out_of_memory", death
    return "ok", None


def smallest_limit(program: Program, built: Built, free: Simulated) -> int:
    """The least limit under which a recorded run lives, found by trying.

    Args:
        program: the run.
        built: how the release builds it.
        free: the run without a limit, which shows one that is enough.
    """
    low, high = built.initial_pages, free.pages
    if free.death is not None:
        return MAX_PAGES
    while low < high:
        middle = (low + high) // 2
        if _simulate(program, built, middle).death is None:
            high = middle
        else:
            low = middle + 1
    return high


def naive(program: Program, to: Release) -> int:
    """The growth that was recorded on the initial pages of another release: what to be better than.

    Args:
        program: the run.
        to: the release.
    """
    grown = program.pages - program.initial_pages
    return estimate_build(program, to).initial_pages + grown


def releases_for(platform: str) -> list[Release]:
    """Every minor release that has a wasm platform, oldest first."""
    found = []
    for name in KNOWN:
        if not name.startswith("go"):
            continue
        known = release(name)
        try:
            known.platform(platform)
        except UnknownRelease:
            continue
        found.append(known)
    return found
