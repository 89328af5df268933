"""In what world something is verified, and which worlds a search of states can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gorun_mem.locks import load_mutex
from gorun_mem.locks.coroutine import CoroutineMutex
from gorun_mem.runtime.behaviour import NEWEST
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.mutex import NOTES

KERNEL: Final = ("semaphore", "futexword")
SUBJECTS: Final = (*[f"note-{flavour}" for flavour in NOTES], *KERNEL)
"""What can be verified besides locks."""
MS_MAX: Final = 4
ROUNDS_MAX: Final = 7
MEMORIES: Final = {"sc": "sequentially consistent", "tso": "total store order"}
"""What memory does, by what it is asked for as."""


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
        memory: "sc", or "tso": each M has a store buffer.
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
    memory: str = "sc"

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
        return ", ".join([self.release, ms, cpus, *flags, f"{MEMORIES[self.memory]} memory"])


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
    if bounds.memory not in MEMORIES:
        raise VerifyError(f"--memory {bounds.memory}: give {' or '.join(MEMORIES)}")
    if bounds.memory == "tso":
        _check_tso(bounds)
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


def _check_tso(bounds: Bounds) -> None:
    """Whether stores can be late.

    Raises:
        VerifyError: no.
    """
    if bounds.subject in KERNEL:
        raise VerifyError(
            f"--memory tso: every access of {bounds.subject} is the kernel's, under a lock of its "
            "own, and so a fence; what holds with --memory sc holds here"
        )
    if bounds.subject in SUBJECTS:
        raise VerifyError(
            f"--memory tso is for locks: Go clears a note ({bounds.subject}) by a plain store, and "
            "whoever lets others wake it has to fence after that; verify it with --memory sc"
        )
    if bounds.live:
        raise VerifyError(
            "--live with --memory tso: when a store reaches memory is not for fair scheduling to "
            "say; every state has a way to its end, which --memory tso shows without --live"
        )


def default_ms(subject: str, cls: type | None = None) -> int:
    """How many Ms where nobody says: one where the platform has one, else two."""
    if subject in ("note-js", "note-wasip1"):
        return 1
    if subject in SUBJECTS:
        return 3 if subject in KERNEL else 2
    return 2 if load_mutex(cls or subject).several_ms else 1
