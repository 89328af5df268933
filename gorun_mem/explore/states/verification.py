"""`verify`: is a lock right in every state that a few Ms can bring it to?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from gorun_mem.explore.states.bounds import SUBJECTS, Bounds, checked, default_ms
from gorun_mem.explore.states.coroutines import CoroutineRun, in_words
from gorun_mem.explore.states.examine import Examination, Examined, Reductions
from gorun_mem.explore.states.found import Verification
from gorun_mem.explore.states.kernel import FutexModel, SemaphoreModel
from gorun_mem.explore.states.live import LiveSearch
from gorun_mem.explore.states.locks import LockModel
from gorun_mem.explore.states.model import Model
from gorun_mem.explore.states.notes import NoSleepModel, NoteModel
from gorun_mem.explore.states.parts import Common
from gorun_mem.explore.states.rerun import RerunSearch
from gorun_mem.explore.states.search import Progress
from gorun_mem.locks import load_mutex, name_of
from gorun_mem.locks.coroutine import CoroutineMutex
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.mutex import make_note
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.mutex.spinbit import LOW_LATENCY

STATES_MAX: Final = 20_000_000
PROFILE_RATE: Final = 2
"""1 in how many releases is sampled where `profile` is on; whether one is, is a choice."""


def model_of(bounds: Bounds, cls: type | None = None) -> Model:
    """What is verified.

    Args:
        bounds: in what world.
        cls: the lock's class, where the bounds name none.
    """
    subject, behaviour = bounds.subject, find_release(bounds.release).behaviour
    if subject == "semaphore":
        return SemaphoreModel(ms=bounds.ms, timeouts=bounds.timeouts, cpus=bounds.cpus)
    if subject == "futexword":
        return FutexModel(
            ms=bounds.ms, timeouts=bounds.timeouts, spurious=bounds.spurious, cpus=bounds.cpus
        )
    if subject in SUBJECTS:
        flavour = subject.removeprefix("note-")
        note = make_note(flavour, behaviour=behaviour)
        if flavour in ("js", "wasip1"):
            return NoSleepModel(note, cpus=bounds.cpus)
        return NoteModel(note, timeouts=bounds.timeouts, spurious=bounds.spurious, cpus=bounds.cpus)
    model = LockModel(
        load_mutex(cls or subject),
        settings_of(bounds),
        ms=bounds.ms,
        cpus=bounds.cpus,
        lock_name=LOW_LATENCY if bounds.low_latency else "memlock",
        try_locks=bounds.try_locks,
        endless=bounds.live,
    )
    model.buffers = bounds.memory == "tso"
    return model


def settings_of(bounds: Bounds) -> LockSettings:
    """What a lock is made with."""
    return LockSettings(
        behaviour=find_release(bounds.release).behaviour,
        profile_rate=PROFILE_RATE if bounds.profile else 0,
        spurious=bounds.spurious,
    )


def runs_of(bounds: Bounds, cls: type | None = None) -> Callable[[], CoroutineRun]:
    """Starts the Ms of a lock made of coroutines, each time on a new one."""
    lock, settings = load_mutex(cls or bounds.subject), settings_of(bounds)

    def start() -> CoroutineRun:
        run = CoroutineRun(
            lock, settings, ms=bounds.ms, rounds=bounds.pairs, cpus=bounds.cpus,
            try_locks=bounds.try_locks,
        )  # fmt: skip
        run.sched.spurious = bounds.spurious
        if bounds.memory == "tso":
            run.have_buffers()
        return run

    return start


def is_coroutine(bounds: Bounds, cls: type | None = None) -> bool:
    """Whether it is a lock made of coroutines."""
    return bounds.subject not in SUBJECTS and issubclass(
        load_mutex(cls or bounds.subject), CoroutineMutex
    )


def verify(
    mutex: str | type,
    *,
    states_max: int = STATES_MAX,
    progress: Progress | None = None,
    **bounds: Any,
) -> Verification:
    """Whether a lock is right in every state that a few Ms can bring it to.

    Safety: at most one M has it; whoever waits gets it in the end or can; its words and counts come
    back to rest; an unlock of the unlocked lock is refused. With `live`, also that every M that
    waits gets it under fair scheduling, and how often it may be bypassed.

    Args:
        mutex: a name of MUTEXES, "note-sema", "note-futex", "note-js", "note-wasip1", "semaphore",
            "futexword", "FILE.py:Class", or a class.
        states_max: a bound of states, beyond which the verdict is inconclusive.
        progress: told now and then how many states there are, and how many are still to be stepped.
        bounds: as `Bounds` has them: release, ms (1 to 4), pairs, cpus, low_latency, profile,
            try_locks, spurious, timeouts, live, memory. One M where the platform has one.

    Raises:
        VerifyError: no search can keep these bounds.
        UnknownMutex, UnknownRelease: there is no such lock or release.
    """
    cls = mutex if isinstance(mutex, type) else None
    subject = str(name_of(mutex))
    if "ms" not in bounds:
        bounds["ms"] = default_ms(subject, cls)
    world = checked(Bounds(subject=subject, **bounds), cls)
    start = time.perf_counter()
    if is_coroutine(world, cls):
        search = RerunSearch(runs_of(world, cls), states_max, progress)
        return _said(world, in_words, search.run(), time.perf_counter() - start, None)
    model = model_of(replace(world, live=False), cls)
    found = Examination(model, world.pairs, states_max=states_max, progress=progress).run()
    found.full = model.full
    bypasses = None
    if world.live and not found.wrong and found.complete:
        model = model_of(world, cls)
        found, bypasses = _lives(model, found, states_max, progress)
    return _said(world, model.in_words, found, time.perf_counter() - start, bypasses)


def _lives(
    model: Model, safe: Examined, states_max: int, progress: Progress | None
) -> tuple[Examined, int | None]:
    """Whether every M that waits gets the lock, and the most bypasses.

    Args:
        model: endless.
        safe: what was found where the Ms do not go on for ever.
        states_max: a bound of states.
        progress: told now and then.
    """
    examination = Examination(
        model, 1, states_max=states_max, progress=progress,
        reductions=Reductions(symmetry=False),
    )  # fmt: skip
    found = examination.run()
    if found.wrong or not found.complete or found.search is None:
        return found, None
    live = LiveSearch(found.search, safe.guesses.symmetry).run()
    if live.starves is not None:
        found.trace, _ = examination.trace_along(found.search, live.way)
        first = len(found.trace) + 1
        found.trace, _ = examination.trace_along(found.search, live.way + live.cycle[1:])
        others = "while others get the lock" if live.others_get_it else "and nobody gets the lock"
        found.wrong = (
            f"M{live.starves + 1} may wait for ever, {others}: from step {first} on it goes round, "
            "though every M that can go on does so"
        )
    return found, live.bypasses


def _said(
    world: Bounds,
    words_of: Callable[[Common], str],
    found: Examined,
    seconds: float,
    bypasses: int | None,
) -> Verification:
    complete = found.complete and not found.full
    verdict = "failed" if found.wrong else "holds" if complete else "inconclusive"
    words = tuple([words_of(step.common) if step.common else "" for step in found.trace])
    return Verification(
        world, verdict, found.wrong, found.states, found.steps, seconds, tuple(found.trace),
        found.guesses.symmetry, words, bypasses, full=found.full and not found.wrong,
    )  # fmt: skip
