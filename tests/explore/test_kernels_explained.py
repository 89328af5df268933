"""What the report of each kernel says that matters, and the nearest schedule that passes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

import pytest

from gorun_mem.explore import Schedule, Target, explore
from gorun_mem.explore.account import FailureAccount
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.drive import replay
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.parted import depends, part
from gorun_mem.explore.telling import account_of
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Step
from gorun_mem.sync import Cell, Lock, Word

MATTERS: Final[dict[str, tuple[str, str]]] = {
    "lost-update": (
        "store bloc",
        r"M(\d)'s store bloc = 4096 \(§\) comes between two of M(?!\1)\d: load bloc -> 0 \(§\) and "
        r"store bloc = 4096 \(§\), which overwrites it$",
    ),
    "check-then-grow": (
        "store blocMax",
        r"M(\d)'s store blocMax = [12] \(§\) comes between two of M(?!\1)\d: load blocMax -> 0 "
        r"\(§\) and store blocMax = [12] \(§\), which overwrites it$",
    ),
    "double-allocation": (
        "release memlock",
        r"M(\d) has memlock \(steps \d+ to \d+\) between two critical sections of M(?!\1)(\d): "
        r"release memlock \(§\) and acquire memlock \(§\); what M\2 saw in the first may not hold",
    ),
    "split-coalesce": (
        "atomic.store memFreelist",
        r"M(\d)'s atomic.store memFreelist \(§\) comes between two of M(?!\1)\d: atomic.load "
        r"memFreelist -> \d+ \(§\) and atomic.store memFreelist \(§\), which overwrites it$",
    ),
    "free-list-aba": (
        "atomic.cas head",
        r"atomic.cas head = \('b', 0\) \(§\) finds \('a', 0\) as its atomic.load at § did, but "
        r"M\d changed it in between and back .*; a.next, read at §, is out of date by M\d's "
        r"atomic.store a.next = 'c' \(§\)$",
    ),
    "write-after-free": (
        "atomic.store freed",
        r"M(\d)'s atomic.store freed = True \(§\) makes M(?!\1)\d's atomic.load freed -> False "
        r"\(§\) out of date, by which it goes on to store mem:0x160040 \(§\)$",
    ),
    "double-free": (
        "atomic.store freed",
        r"M(\d)'s atomic.store freed = True \(§\) comes between two of M(?!\1)\d: atomic.load freed"
        r" -> False \(§\) and atomic.store freed = True \(§\)",
    ),
    "overlapping-free": (
        "atomic.store pages of the block",
        r"M(\d)'s atomic.store pages of the block = [01] \(§\) comes between two of M(?!\1)\d: "
        r"atomic.load pages of the block -> 2 \(§\) and atomic.store",
    ),
    "missed-note-wakeup": (
        "atomic.cas note.key",
        r"atomic.cas note.key key=1 \(§\) finds nobody asleep, M\d's atomic.store note.key key=0 "
        r"\(§\) takes it back; M\d goes to sleep at §, and nobody wakes it$",
    ),
    "sleeping-stored": (
        "atomic.xchg futex lock.key",
        r"goes to sleep at §, and no step signals what it waits for: the last to change it is M\d's"
        r" atomic.xchg futex lock.key = UNLOCKED \(§\)\n(.*\n)*M\d's atomic.xchg futex lock.key = "
        r"UNLOCKED \(§\) comes between two of M\d: atomic.load futex lock.key -> LOCKED \(§\) and "
        r"atomic.store futex lock.key = SLEEPING \(§\), which overwrites it$",
    ),
    "unlock-skips-wake": (
        "atomic.store futex lock.key",
        r"goes to sleep at §, and no step signals what it waits for: the last to change it is M\d's"
        r" atomic.store futex lock.key = UNLOCKED \(§\)\n(.*\n)*M\d's atomic.xchg futex lock.key = "
        r"SLEEPING \(§\) comes between two of M\d: atomic.load futex lock.key -> LOCKED \(§\) and "
        r"atomic.store futex lock.key = UNLOCKED \(§\), which overwrites it$",
    ),
    "wake-one": (
        "cond.wake waiters",
        r"cond.wake waiters \(§\) wakes M(\d), not M(?!\1)(\d); M\2 goes to sleep at §, and nobody",
    ),
    "double-unlock": (
        "atomic.xchg8 lock.key",
        r"M(\d)'s atomic.xchg8 lock.key = 0 \(§\) has given it back already when M\1 gives it back "
        r"again\nM\1's atomic.load busy -> True \(§\) sees what M\d's atomic.store busy = True",
    ),
    "foreign-unlock": (
        "acquire lock",
        r"M(\d) has what M(\d) gives back, from its acquire lock \(§\) on\nM\2's atomic.load taken "
        r"-> True \(§\) sees what M\1's atomic.store taken = True \(§\) has left",
    ),
    "self-deadlock": (
        "acquire memlock|load stock",
        r"M(\d) waits to acquire memlock after §, and holds it itself since §\nM\1's load stock -> "
        r"0 \(§\) sees what M\d's store stock = 0 \(§\) has left",
    ),
    "ab-ba": (
        "acquire [ab]",
        r"M(\d)'s wait to acquire [ab], after §, begins the cycle: M(\d) holds it since §; M\2's "
        r"wait to acquire [ab], after §, closes it: M\1 holds that since §$",
    ),
    "lock-cycle": (
        "acquire [abcd]",
        r"M(\d)'s wait to acquire [abcd], after §, begins the cycle: M\d holds it since §; M\d's "
        r"wait to acquire [abcd], after §, closes it: M\d holds that since §",
    ),
    "rank-inversion": (
        "atomic.load low on memory",
        r"atomic.load low on memory -> True \(§\) comes between two of M\d: atomic.store low on "
        r"memory = True \(§\) and .*\n.*mheap.key = LOCKED \(§\) is where it shows: lock.rank",
    ),
    "recursive-read": (
        "rw.claim rwmutex",
        r"M(\d)'s wait to rw.write rwmutex, after §, begins the cycle: M(\d) holds it in reader; "
        r"M\2's wait to rw.read rwmutex, after §, closes it: M\1 holds that in writer",
    ),
    "writer-starvation": (
        "rlock rwmutex|announce rwmutex",
        r"M3 waits to lock rwmutex after §, and others get in past it: rlock of M\d( and M\d)? at "
        r"steps \d+, \d+ and \d+",
    ),
    "over-admission": (
        "atomic.store permits",
        r"M(\d)'s atomic.store permits = 0 \(§\) comes between two of M(?!\1)\d: atomic.load "
        r"permits -> 1 \(§\) and atomic.store permits = 0 \(§\), which overwrites it\n(.*\n)?"
        r"M\d's atomic.add inside = 2 \(§\) is the last step",
    ),
    "leaked-lock": (
        "atomic.cas memlock.key",
        r"M(\d)'s atomic.cas memlock.key = LOCKED \(§\) takes memlock in "
        r"runtime.sysReserveAlignedSbrk, and M\1 has ended without giving it back; M\d waits",
    ),
    "wrong-lock": (
        "store in use",
        r"M(\d)'s store in use = 1 \(§\) comes between two of M(?!\1)\d: load in use -> 0 \(§\) and"
        r" store in use = 1 \(§\), which overwrites it$",
    ),
    "two-stage": (
        "load a",
        r"M2's load a -> 1 \(§\) sees what M1's store a = 1 \(§\) has left; M1 stands before its "
        r"acquire second$",
    ),
    "reorder-4": (
        "atomic.load a",
        r"M5's atomic.load a -> 1 \(§\) sees what M(\d)'s atomic.store a = 1 \(§\) has left; M\1 "
        r"stands before its atomic.store b$",
    ),
    "long-way-20": (
        "atomic.load pointer",
        r"had M1 gone before M2 at step 22, this passes: M1's atomic.store pointer before M2's "
        r"atomic.load pointer \(§\)\nM2's atomic.load pointer -> None \(§\) is the last step",
    ),
    "store-buffering": (
        "atomic.load flag[12]",
        r"M(\d)'s atomic.load flag([12]) -> 0 \(§\) does not see M(?!\1)(\d)'s "
        r"atomic.store_release flag\2 = 1 \(§\), which is in M\3's store buffer until §",
    ),
}
"""By kernel: the step that its report opens at, and what has to be said; § stands for a step."""


@cache
def explained(name: str) -> tuple[Target, Failure, FailureAccount]:
    kernel = KERNELS[name]
    eyes = [make for make in DEFAULT_DETECTORS if make.name == kernel.sees]  # type: ignore[attr-defined]
    failure = explore(kernel.target(), seed=1, budget=3_000, canary=False, detectors=eyes).failure
    assert failure is not None
    return kernel.target(), failure, account_of(failure, kernel.target())


def test_every_kernel_is_in_the_table() -> None:
    """A new one is to be read as a newcomer would, and what its report has to say written down."""
    assert set(MATTERS) == set(KERNELS)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_the_report_says_what_matters(name: str) -> None:
    """The words, with the values; and the step that it opens at is the one that they are about."""
    _, failure, account = explained(name)
    opens, words = MATTERS[name]
    said = "\n".join(matter.text for matter in account.matters)
    assert re.search(words.replace("§", r"step \d+"), said, re.MULTILINE), said
    assert re.fullmatch(opens, failure.steps[account.opens_at - 1].name)
    named = [number for matter in account.matters for number in matter.steps]
    assert all(1 <= number <= len(failure.steps) for number in named)


# The nearest schedule that passes.


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_the_nearest_schedule_passes_in_fact(name: str) -> None:
    """Its token makes the run that is shown, which ends well; without a finding, or with the one
    that is named."""
    target, failure, account = explained(name)
    passing = account.passing
    assert passing is not None
    assert passing.deviations == 1  # one decision is enough for each kernel
    done = replay(
        target, Schedule.from_token(passing.token), detectors=[make() for make in DEFAULT_DETECTORS]
    )
    assert done.divergence == ""
    assert done.world.failure is None
    assert str(done.signature or "") == passing.but
    assert list(done.tape) == list(passing.choices)
    made = [(step.owner, step.kind, step.obj) for step in done.named_steps]
    assert made == [(step.m, step.kind, step.obj) for step in passing.steps]
    here = [(step.m, step.name) for step in failure.steps]
    there = [(step.m, step.name) for step in done.named_steps]
    assert here[: passing.parts_at - 1] == there[: passing.parts_at - 1]
    assert here[passing.parts_at - 1] != there[passing.parts_at - 1]


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_the_difference_is_the_first_that_has_an_effect(name: str) -> None:
    """What is before it can be exchanged, step by step, into the beginning of the schedule that
    passes; with it, it cannot: the step that is named comes first there, and the two depend on each
    other. Both are found here by exchanging neighbours only."""
    target, failure, account = explained(name)
    assert account.passing is not None
    done = replay(target, Schedule.from_token(account.passing.token))
    at = account.passing.differs_at - 1
    steps, others = failure.steps, done.named_steps
    entangled = name == "write-after-free"  # its free and its store touch the same, unseen
    assert begins(steps[:at], others, entangled)
    assert not begins(steps[: at + 1], others, entangled)
    parted = part(steps, others)
    assert parted is not None
    assert parted.at == at
    assert parted.before is not None
    earlier = others[parted.before]
    assert (steps[at].m, earlier.m) == account.passing.instead
    assert earlier.m != steps[at].m
    assert entangled or depends(steps[at], earlier)
    assert f"M{earlier.m}'s {earlier.name}" in account.passing.sentence
    assert f"before M{steps[at].m}'s {steps[at].name} (step {at + 1})" in account.passing.sentence


def begins(prefix: Sequence[Step], run: Sequence[Step], entangled: bool) -> bool:
    """Whether `run` can be made to begin with `prefix`, by exchanging neighbours of different Ms
    that do not depend on each other."""
    order = list(run)
    for place, wanted in enumerate(prefix):
        of_m = [i for i in range(place, len(order)) if order[i].m == wanted.m]
        if not of_m:
            return False
        index = of_m[0]
        if (order[index].name, order[index].choices) != (wanted.name, wanted.choices):
            return False
        while index > place:
            a, b = order[index - 1], order[index]
            shared = not {a.kind, b.kind} & {"start", "join", "osyield", "procyield"}
            both = entangled and shared and not (a.reads and b.reads)
            if depends(a, b) or both:
                return False
            order[index - 1], order[index] = b, a
            index -= 1
    return True


# Where there is none, and where others find something.


async def always_fails(world: World) -> None:
    """Whatever the schedule."""
    word = Word("n", 0)

    async def add(m: M) -> None:
        await word.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    raise AssertionError("always")


async def races_and_fails(world: World) -> None:
    """A race in every schedule, and an assertion that fails in some."""
    cell, turn = Cell("cell", 0), Word("turn", 0)

    async def first(m: M) -> None:
        await cell.store(1)
        await turn.store(1)

    async def second(m: M) -> None:
        await cell.load()
        assert await turn.load(), "too early"

    async with world.open_ms() as ms:
        ms.start_soon(first)
        ms.start_soon(second)


async def crossed(world: World) -> None:
    """A deadlock that no detector is needed for, in four Ms of which two matter."""
    a, b, n = Lock("a"), Lock("b"), Word("n")

    async def take(m: M, one: Lock, other: Lock) -> None:
        async with one, other:
            pass

    async def count(m: M) -> None:
        await n.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(count)
        ms.start_soon(take, a, b)
        ms.start_soon(take, b, a)
        ms.start_soon(count)


def test_where_no_schedule_passes_that_is_said() -> None:
    """With how many were tried."""
    failure = explore(always_fails, canary=False).failure
    assert failure is not None
    account = account_of(failure, Target.of(always_fails))
    assert account.passing is None
    assert re.fullmatch(r"none of \d+ schedules near it passes", account.no_passing)


def test_what_every_schedule_has_is_said_of_the_one_that_passes() -> None:
    """It ends well, and has the race; --no-detectors replays it as passing."""
    failure = explore(races_and_fails, canary=False).failure
    assert failure is not None
    passing = account_of(failure, Target.of(races_and_fails)).passing
    assert passing is not None
    assert passing.but.startswith("race: cell")
    assert passing.replay.endswith(" --no-detectors")


def test_a_finding_is_held_against_a_schedule_without() -> None:
    """A failure that a detector finds is no failure only where nothing is found."""
    failure = explore(races_and_fails, canary=False, detectors=DEFAULT_DETECTORS).failure
    assert failure is not None
    account = account_of(failure, Target.of(races_and_fails))
    assert account.passing is None or account.passing.but == "" or account.kind != "race"


def test_ms_that_have_nothing_to_do_with_it_are_no_difference() -> None:
    """The decision that differs may be about others; what is named is about the two."""
    failure = explore(crossed, canary=False, strategy="pct", seed=3).failure
    assert failure is not None
    account = account_of(failure, Target.of(crossed))
    assert account.passing is not None
    assert set(account.passing.instead) == {2, 3}
