"""The tree of `auto` is shared out, and what comes of it does not depend on who works."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.conduct import conduct
from gorun_mem.explore.rounds import TREE, Rounds, rounds_of
from gorun_mem.explore.search import explore
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.target import Target
from gorun_mem.explore.work import Climb
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.sync import Word
from tests.explore.test_shared_tree import Scattered


async def adds(world: World) -> None:
    """Four Ms that add twice to one word: each order of the additions is its own class."""
    word = Word("x")

    async def twice(m: M) -> None:
        await word.add(1)
        await word.add(1)

    async with world.open_ms() as ms:
        for _ in range(4):
            ms.start_soon(twice)


CLASSES = 2520  # 8! / 2!^4


def _conducted(ahead: int, budget: int) -> tuple[Rounds, list[Any], int]:
    """`auto` with so many pieces at once: what it comes to, batch by batch; parts at once."""
    target = Target.of(adds, Config(ms=2))
    worker = Worker(target)
    walk = SearchingWalk()
    walk.begin(Random(0), worker.profile)
    worker.profile = profile_of([worker.run(walk, transcribe=True)])
    rounds = rounds_of(worker)
    rounds.plan(worker, True, budget)
    told: list[Any] = []
    parts = 0

    def take(batch: Batch) -> bool:
        told.append((batch.schedules, dict(batch.by_strategy), batch.redundant, batch.complete))
        return not batch.complete

    def keep(last: bool) -> None:
        nonlocal parts
        parts = max(parts, sum(one.strategy == TREE for one in rounds.planned))

    conduct(rounds, Scattered(target, ahead, Random(ahead), None), take, keep)
    return rounds, told, parts


def test_pieces_of_the_tree_are_the_same_whoever_does_them() -> None:
    """One at a time or seven, done in any order and some twice: the same batches in the same order,
    and the tree is at its end when all of its classes were run."""
    alone, together = _conducted(1, 9_000), _conducted(7, 9_000)
    assert alone[1] == together[1]
    assert alone[0].complete
    assert together[0].complete
    assert alone[2] >= 4  # the tree is shared out
    assert sum(by.get(TREE, 0) for _, by, _, _ in alone[1]) == CLASSES


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_search_by_auto_says_the_same_on_any_number_of_jobs(jobs: int) -> None:
    """The sentence and the schedules, with processes."""
    found = explore(adds, strategy="auto", budget=9_000, jobs=jobs, canary=False)
    assert found.verdict == "exhausted"
    assert found.statistics.schedules == CLASSES


def test_a_piece_is_a_part_of_its_slice() -> None:
    """No schedule more and none less than the round says."""
    rounds = _conducted(1, 400)[0]
    assert not rounds.complete
    rounds.extend(4_000)
    climbs = []
    while (work := rounds.next_work()) is not None:
        climbs.append(work)
    trees = [work for work in climbs if isinstance(work, Climb)]
    assert len(trees) > 1
    firsts = [work.of.first for work in trees if work.of is not None]
    runs = [work.runs for work in trees]
    assert firsts == [firsts[0] + sum(runs[:at]) for at in range(len(runs))]
