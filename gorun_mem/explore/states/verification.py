"""`verify`: is a lock right in every state that a few Ms can bring it to?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gorun_mem._notebook import facts, table
from gorun_mem.explore.states.coroutines import CoroutineRun, in_words
from gorun_mem.explore.states.examine import Examination, Examined, Reductions, TraceStep
from gorun_mem.explore.states.kernel import FutexModel, SemaphoreModel
from gorun_mem.explore.states.live import NO_BOUND, LiveSearch
from gorun_mem.explore.states.model import LockModel, Model
from gorun_mem.explore.states.notes import NoSleepModel, NoteModel
from gorun_mem.explore.states.parts import Common
from gorun_mem.explore.states.rerun import RerunSearch
from gorun_mem.explore.states.search import Progress
from gorun_mem.locks import load_mutex, name_of
from gorun_mem.locks.coroutine import CoroutineMutex
from gorun_mem.runtime.behaviour import NEWEST
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.mutex import MUTEXES, NOTES, UnknownMutex, make_note
from gorun_mem.runtime.mutex.base import LockSettings, StateMutex
from gorun_mem.runtime.mutex.spinbit import LOW_LATENCY
from gorun_mem.step.schedule import Schedule

KERNEL: Final = ("semaphore", "futexword")
SUBJECTS: Final = (*[f"note-{flavour}" for flavour in NOTES], *KERNEL)
"""What can be verified besides locks."""
STATES_MAX: Final = 20_000_000
MS_MAX: Final = 4
ROUNDS_MAX: Final = 7
PROFILE_RATE: Final = 2
"""1 in how many releases is sampled where `profile` is on; whether one is, is a choice."""


class VerifyError(ValueError):
    """A verification that cannot be made; the message says what to ask instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """In what world something is verified.

    Args:
        subject: name of a lock, note or kernel word.
        release: whose version of it.
        ms: how many Ms.
        pairs: how often each locks and unlocks, or sleeps and is woken.
        cpus: what Ms think they run on; 1 turns spinning off.
        low_latency: it is sched.lock, for which all who wait may spin.
        profile: releases may be sampled for the mutex profile.
        try_locks: Ms may also try.
        spurious: a sleep on a futex may end for no reason.
        timeouts: sleeps may have limits.
        live: the Ms go on for ever, and who waits must get it.
    """

    subject: str
    release: str = NEWEST
    ms: int = 2
    pairs: int = 2
    cpus: int = 4
    low_latency: bool = False
    profile: bool = False
    try_locks: bool = False
    spurious: bool = False
    timeouts: bool = False
    live: bool = False

    def in_words(self) -> str:
        """For people."""
        times = "without end" if self.live else f"x {self.pairs} pair{'s' * (self.pairs > 1)}"
        flags = [
            word
            for word, on in (
                ("low latency", self.low_latency),
                ("sampled releases", self.profile),
                ("try_lock", self.try_locks),
                ("spurious wakeups", self.spurious),
                ("timeouts", self.timeouts),
            )
            if on
        ]
        ms = f"{self.ms} M{'s' * (self.ms > 1)} {times}"
        cpus = f"{self.cpus} CPU{'s' * (self.cpus > 1)}"
        return ", ".join([self.release, ms, cpus, *flags, "sequentially consistent memory"])


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification has found.

    Args:
        bounds: in what world.
        verdict: "holds", "failed" or "inconclusive".
        wrong: what is wrong; "" where nothing is.
        states: how many states, each standing for all that it is the same as.
        steps: steps between them.
        seconds: of real time.
        trace: a shortest way to what is wrong.
        symmetric: states that differ in the Ms' numbers alone were taken for one.
        words: for each step of the trace, the words after it, for people.
        bypasses: with `live`, how often others may get the lock while one waits; -1: no bound.
        unreached: states of the operations that are never come to, as "lock: sleep".
    """

    bounds: Bounds
    verdict: str
    wrong: str
    states: int
    steps: int
    seconds: float
    trace: tuple[TraceStep, ...] = ()
    symmetric: bool = True
    words: tuple[str, ...] = ()
    bypasses: int | None = None
    unreached: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is wrong, and every state was seen."""
        return self.verdict == "holds"

    @property
    def exit_code(self) -> int:
        """0 holds, 1 failed, 5 inconclusive."""
        return {"holds": 0, "failed": 1}.get(self.verdict, 5)

    @property
    def sentence(self) -> str:
        """The verdict with its bounds."""
        where = f"{self.bounds.subject} ({self.bounds.in_words()})"
        if self.verdict == "failed":
            return f"failed: {where}: {self.wrong}"
        same = " up to the numbers of the Ms" if self.symmetric and self.bounds.ms > 1 else ""
        if self.verdict == "inconclusive":
            return (
                f"inconclusive: {where}: {self.wrong or 'nothing wrong'} in the first "
                f"{self.states:,} states{same}, and there are more"
            )
        if self.bypasses is None:
            return f"holds: {where}: nothing wrong in any of its {self.states:,} states{same}"
        return (
            f"holds: {where}: every M that waits gets the lock under fair scheduling, at most "
            f"{self.bypasses} others before it, in any of its {self.states:,} states"
        )

    @property
    def token(self) -> str:
        """The counterexample for `replay-schedule`; "" where there is none."""
        return schedule_of(self).token() if self.trace else ""

    def _repr_html_(self) -> str:
        """A notebook's view: the verdict, and the counterexample step by step."""
        told = facts(
            f"verify {self.bounds.subject}",
            [
                ("verdict", self.sentence),
                ("states", self.states),
                ("steps", self.steps),
                ("seconds", self.seconds),
            ],
        )
        words = [*self.words, *[""] * len(self.trace)]
        rows = [
            (number, f"M{step.place + 1}", step.text, word)
            for number, (step, word) in enumerate(zip(self.trace, words, strict=False), 1)
        ]
        head = ("step", "M", "access", "words after it")
        return told + (table("counterexample", head, rows) if rows else "")

    def document(self) -> dict[str, Any]:
        """As JSON."""
        bounds = {name: getattr(self.bounds, name) for name in Bounds.__dataclass_fields__}
        return {
            "verify": self.bounds.subject,
            **{name: value for name, value in bounds.items() if name != "subject"},
            "verdict": self.verdict,
            "sentence": self.sentence,
            "wrong": self.wrong,
            "states": self.states,
            "transitions": self.steps,
            "symmetric": self.symmetric,
            "bypasses_max": None if self.bypasses == NO_BOUND else self.bypasses,
            "bypasses_bounded": None if self.bypasses is None else self.bypasses != NO_BOUND,
            "unreached": list(self.unreached),
            "seconds": round(self.seconds, 3),
            "trace": [
                {
                    "step": number, "m": step.place + 1, "access": step.text, "word": word,
                    "told": list(step.told),
                }
                for number, (step, word) in enumerate(
                    zip(self.trace, self.words, strict=True), 1
                )
            ],
            "token": self.token,
        }  # fmt: skip


def schedule_of(found: Verification) -> Schedule:
    """The counterexample as a schedule.

    For each step the tape has the M's number, how many numbers say which step it made, and these,
    each two higher; its name is the access.
    """
    tape: list[int] = []
    for step in found.trace:
        tape += [step.place + 1, len(step.branch), *[number + 2 for number in step.branch]]
    bounds = found.bounds
    about = {
        name: getattr(bounds, name)
        for name, one in Bounds.__dataclass_fields__.items()
        if name in ("subject", "release") or getattr(bounds, name) != one.default
    }
    names = tuple([step.text for step in found.trace])
    return Schedule(tuple(tape), names, {"verify": about, "wrong": found.wrong})


def bounds_of(about: Mapping[str, Any]) -> Bounds:
    """The bounds that a token names.

    Raises:
        VerifyError: it names what is not known.
    """
    known = Bounds.__dataclass_fields__
    if not isinstance(about.get("subject"), str) or not set(about) <= set(known):
        raise VerifyError("the token says what another version of gorun-mem verifies")
    return checked(Bounds(**about))


def checked(bounds: Bounds, cls: type | None = None) -> Bounds:
    """Refuse bounds that no search can keep.

    Raises:
        VerifyError: what is wrong with them.
        UnknownMutex, UnknownRelease: there is no such thing.
    """
    if not 1 <= bounds.ms <= MS_MAX:
        raise VerifyError(f"--ms {bounds.ms}: a search of states takes 1 to {MS_MAX} Ms")
    if not 1 <= bounds.pairs <= ROUNDS_MAX:
        raise VerifyError(f"--pairs {bounds.pairs}: give 1 to {ROUNDS_MAX}")
    if bounds.cpus < 1:
        raise VerifyError(f"--cpus {bounds.cpus}: give at least 1")
    find_release(bounds.release)
    if bounds.subject in SUBJECTS:
        for name in ("low_latency", "profile", "try_locks", "live"):
            if getattr(bounds, name):
                option = name.replace("_", "-")
                raise VerifyError(f"--{option} is for locks, and {bounds.subject} is none")
        return bounds
    lock = load_mutex(cls or bounds.subject)
    if issubclass(lock, CoroutineMutex) and bounds.live:
        raise VerifyError(
            f"--live is for locks made of states, and {bounds.subject} is a coroutine"
        )
    if not lock.excludes:
        raise VerifyError(f"{bounds.subject} excludes nobody, so there is nothing to verify")
    if bounds.timeouts:
        raise VerifyError("--timeouts is for notes, semaphore and futexword: locks have no limits")
    if bounds.try_locks and lock.try_op is None:
        raise VerifyError(f"--try-locks: {bounds.subject} has no try_lock")
    return bounds


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
    return LockModel(
        load_mutex(cls or subject),
        settings_of(bounds),
        ms=bounds.ms,
        cpus=bounds.cpus,
        lock_name=LOW_LATENCY if bounds.low_latency else "memlock",
        try_locks=bounds.try_locks,
        endless=bounds.live,
    )


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
            try_locks, spurious, timeouts, live. One M where the platform has one.

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


def default_ms(subject: str, cls: type | None = None) -> int:
    """How many Ms where nobody says: one where the platform has one, else two."""
    if subject in ("note-js", "note-wasip1"):
        return 1
    if subject in SUBJECTS:
        return 3 if subject in KERNEL else 2
    return 2 if load_mutex(cls or subject).several_ms else 1


def _said(
    world: Bounds,
    words_of: Callable[[Common], str],
    found: Examined,
    seconds: float,
    bypasses: int | None,
) -> Verification:
    verdict = "failed" if found.wrong else "holds" if found.complete else "inconclusive"
    words = tuple([words_of(step.common) if step.common else "" for step in found.trace])
    return Verification(
        world, verdict, found.wrong, found.states, found.steps, seconds, tuple(found.trace),
        found.guesses.symmetry, words, bypasses,
    )  # fmt: skip


__all__ = [
    "MUTEXES",
    "SUBJECTS",
    "Bounds",
    "StateMutex",
    "UnknownMutex",
    "Verification",
    "VerifyError",
    "verify",
]
