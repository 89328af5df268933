"""An exhaustive search shared out: each class once, whoever runs which part and in which order.

GORUN_MEM_PROGRAMS=100000 holds so many random programs against brute force instead of 400, and
larger ones among them.
"""

from __future__ import annotations

import os
import pickle
from collections import Counter
from random import Random
from typing import Any

import pytest
import trio

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.conduct import conduct
from gorun_mem.explore.courses import WholeTree, whole_tree
from gorun_mem.explore.target import Target
from gorun_mem.explore.work import Climb, Work, Yielded, perform
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.sync import Word
from tests.explore.brute_force import (
    LARGE,
    SHAPES,
    Forced,
    Main,
    Notes,
    draw_program,
    forced,
    main_of,
)

USUAL = 400
PROGRAMS = int(os.environ.get("GORUN_MEM_PROGRAMS", USUAL))
CHUNK = 200
SEEDS_OF_CHUNK = 100_000


class Scattered:
    """Workers that are done in any order, and sometimes lose what they have done.

    Args:
        target: the program.
        ahead: how many pieces they have at once.
        random: draws who is done.
        notes: a detector that looks at what is not lost; None: nobody does.
    """

    shows = True

    def __init__(self, target: Target, ahead: int, random: Random, notes: Any) -> None:
        self.ahead = ahead
        self._target = target
        self._random = random
        self._notes = notes
        self._waiting: dict[int, bytes] = {}
        self._done: dict[int, bytes] = {}
        self._number = 0
        self.lost = 0

    def submit(self, work: Work) -> int:
        self._number += 1
        self._waiting[self._number] = pickle.dumps(work)
        return self._number

    def result(self, job: int) -> Yielded:
        while job not in self._done:
            other = self._random.choice(list(self._waiting))
            if self._random.random() < 0.1:
                self.lost += 1
                self._perform(other, None)  # somebody has done it, and died
                continue
            self._done[other] = pickle.dumps(self._perform(other, self._notes))
            del self._waiting[other]
        done: Yielded = pickle.loads(self._done.pop(job))
        return done

    def _perform(self, job: int, notes: Notes | None) -> Yielded:
        detectors: Any = [] if notes is None else [lambda: notes]
        worker = Worker(self._target, detectors, steps_max=2_000, failures_max=1 << 30)
        done = Yielded()
        perform(worker, pickle.loads(self._waiting[job]), done)
        return done

    def partly(self, job: int) -> Yielded | None:
        return None


def course_of(target: Target, piece: int, width: int, runs: int | None = None) -> WholeTree:
    course = whole_tree(runs, piece, entangled=bool(target.host))
    for tree in (course.tree, course.order):
        if tree is not None:
            tree.width = width
    return course


def shared(target: Target, course: WholeTree, crew: Any) -> Batch:
    """What a search that is shared out comes to."""
    whole = Batch()

    def take(batch: Batch) -> bool:
        whole.add(batch)
        return True

    conduct(course, crew, take, lambda last: None)
    return whole


def compare(seed: int, found: Forced, large: bool = False) -> str:
    """Hold a search that is shared out against brute force; what is wrong, "" for nothing."""
    classes, ends = found
    plans, own = draw_program(seed, LARGE if large else SHAPES)
    target = Target.of(main_of(plans, own), Config(ms=2, mutex="queue"))
    random = Random(seed)
    piece, width = random.choice((1, 1, 2, 3, 7)), random.choice((1, 2, 5, 30, 1000))
    notes = Notes(Counter(), set())
    course = course_of(target, piece, width)
    whole = shared(target, course, Scattered(target, random.choice((1, 2, 5)), random, notes))
    kept = notes.classes
    lost, other = len(classes.keys() - kept.keys()), len(kept.keys() - classes.keys())
    twice = sum(times - 1 for times in kept.values())
    if notes.ends == ends and not lost + other + twice and whole.schedules == len(classes):
        return ""
    return (
        f"seed {seed}, pieces of {piece}, {width} parts: of {len(classes)} classes {lost} lost, "
        f"{twice} twice, {other} more: {plans} {own}"
    )


@pytest.mark.parametrize("chunk", range(-(-PROGRAMS // CHUNK)))
def test_random_programs_lose_no_class_and_run_none_twice(chunk: int) -> None:
    """Pieces of a few schedules, done in any order and lost at times: the classes of brute force,
    with the same ends, one run each."""
    compared = 0
    wrong: list[str] = []
    large = PROGRAMS > USUAL and chunk % 20 == 0
    for seed in range(chunk * SEEDS_OF_CHUNK, (chunk + 1) * SEEDS_OF_CHUNK):
        found = forced(seed, large)
        if found is not None and len(found[0]) > 1:
            compared += 1
            wrong += filter(None, [compare(seed, found, large)])
            if compared == CHUNK:
                break
    assert not wrong, "\n".join(wrong)
    assert compared == CHUNK


def adders(ms: int, times: int) -> Main:
    """Ms that add to one word and to one of two others."""

    async def main(world: Any) -> None:
        word, others = Word("x"), [Word("y"), Word("z")]

        async def add(m: Any) -> None:
            for _ in range(times):
                await word.add(1)
            value = await m.choose(0, 1)
            await others[value].add(1)

        async with world.open_ms() as started:
            for _ in range(ms):
                started.start_soon(add)

    return main


@pytest.mark.parametrize("budget", [None, 137, 100, 240])
def test_the_figures_are_the_same_however_it_is_run(budget: int | None) -> None:
    """Schedules, those in vain, steps: the same for one worker as for many, in any order, whether
    the budget ends it or not, in the middle of a piece or where nothing of the next is run."""
    target = Target.of(adders(3, 2), Config(ms=3))
    figures = set()
    for ahead, seed in ((1, 0), (2, 1), (5, 2), (17, 3)):
        crew = Scattered(target, ahead, Random(seed), None)
        whole = shared(target, course_of(target, 10, 12 if budget is None else 40, budget), crew)
        assert crew.lost or ahead == 1
        figures.add((whole.schedules, whole.redundant, whole.steps))
    assert len(figures) == 1
    schedules, redundant, _ = figures.pop()
    if budget is None:
        alone = Worker(target, steps_max=2_000).tree("exhaustive")
        assert schedules == alone.schedules > 1_000
        assert redundant <= schedules // 10
    else:
        assert schedules + redundant == budget


def test_forks_that_no_part_needs_are_forgotten() -> None:
    """What is kept of a tree follows from what is left of it."""
    target = Target.of(adders(3, 2), Config(ms=3))
    course = course_of(target, 5, 12)
    tree = course.tree
    assert tree is not None
    tree.forks_kept = 10
    most = 0
    take = tree.take

    def watched() -> Any:
        nonlocal most
        most = max(most, len(tree.forks))
        return take()

    worker = Worker(target, steps_max=2_000)
    while (part := watched()) is not None:
        work, done = Climb(part, 5), Yielded()
        perform(worker, work, done)
        course.tell(work, done)
        tree.forks_kept = min(tree.forks_kept, 10)
    assert tree.next_fork > 80
    assert most < 60


async def steps() -> None:
    """Three tasks of trio's, of three, two and two checkpoints."""

    async def go(count: int) -> None:
        for _ in range(count):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for count in (3, 2, 2):
            nursery.start_soon(go, count)


@pytest.mark.parametrize(("piece", "width"), [(1, 1000), (3, 4), (20, 24), (7, 1)])
def test_every_order_is_shared_out_likewise(piece: int, width: int) -> None:
    """Of a program of trio's, every order once, in any number of parts."""
    target = Target.of(steps)
    alone = Worker(target, steps_max=2_000).tree("exhaustive")
    assert alone.complete
    crew = Scattered(target, 4, Random(piece), None)
    course = course_of(target, piece, width)
    whole = shared(target, course, crew)
    assert (whole.schedules, whole.steps) == (alone.schedules, alone.steps)
