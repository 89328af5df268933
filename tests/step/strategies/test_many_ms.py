"""Many Ms: the strategies draw as they do for few, without looking at every M at every step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from math import sqrt
from random import Random
from typing import Any

import pytest

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies import pos, searching, surw
from gorun_mem.step.strategies.pct import Pct
from gorun_mem.step.strategies.pos import Pos
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.searching import Profile, Searching
from gorun_mem.step.strategies.surw import Surw
from gorun_mem.step.strategies.urw import Urw
from gorun_mem.sync import Cell, Lock
from tests.explore.brute_force import Main, draw_plan, main_of
from tests.step.claims import bound

RUNS = 3_000
Order = tuple[tuple[int, str], ...]


@pytest.fixture
def all_are_many(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called: from then on two Ms are many."""

    def switch() -> None:
        for module in (pos, searching, surw):
            monkeypatch.setattr(module, "FEW", 0)

    return switch


def orders(main: Main, strategy: Searching, seed: str, runs: int = RUNS) -> Counter[Order]:
    target = Target.of(main, Config(ms=2))
    walk = SearchingWalk()
    walk.begin(Random(1), Profile())
    known = profile_of([run_once(target, walk, transcribe=True) for _ in range(4)])
    random = Random(seed)
    seen: Counter[Order] = Counter()
    for _ in range(runs):
        strategy.begin(random, known)
        done = run_once(target, strategy, transcribe=True, steps_max=200)
        seen[tuple((step.m, step.kind) for step in done.named_steps)] += 1
    return seen


def differ(one: Counter[Any], other: Counter[Any]) -> tuple[float, int]:
    """Chi-square of two samples, rare outcomes taken together; and its degrees of freedom."""
    often = {k for k in {*one, *other} if one[k] + other[k] >= 20}
    cells = [(one[k], other[k]) for k in often]
    rest = (
        sum(one.values()) - sum(a for a, _ in cells),
        sum(other.values()) - sum(b for _, b in cells),
    )
    if sum(rest) >= 20:
        cells.append(rest)
    x, y = sqrt(sum(other.values()) / sum(one.values())), 0.0
    y = 1 / x
    return sum((x * a - y * b) ** 2 / (a + b) for a, b in cells), max(len(cells) - 1, 1)


def touching(*plans: str) -> Main:
    """A program whose Ms write (capital) and read (small) variables called by letters."""

    async def main(world: World) -> None:
        cells = {letter: Cell(letter) for letter in "xyz"}
        lock = Lock("L")

        async def follow(m: M, plan: str) -> None:
            for letter in plan:
                if letter == "(":
                    await lock.acquire()
                elif letter == ")":
                    await lock.release()
                elif letter.isupper():
                    await cells[letter.lower()].store(m.id)
                else:
                    await cells[letter].load()

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(follow, plan)

    return main


@pytest.mark.parametrize("make", [Pos, Urw, Surw])
@pytest.mark.parametrize(
    "plans",
    [
        ("X", "X", "X"),
        ("Xx", "xX"),
        ("XY", "yX"),
        ("x", "x", "XX"),
        ("(x)", "(X)", "X"),
        ("Xyx",) * 2,
    ],
    ids="/".join,
)
def test_many_are_drawn_as_few(
    make: type[Searching], plans: tuple[str, ...], all_are_many: Callable[[], None]
) -> None:
    """Every order is as frequent where an M counts as one of many as where all are looked at.

    Two samples of 3,000; chi-square exceeds the bound with a chance of 1e-6 if they are alike.
    """
    few = orders(touching(*plans), make(), "few")
    all_are_many()
    many = orders(touching(*plans), make(), "many")
    statistic, df = differ(few, many)
    assert statistic < bound(df), (few.most_common(8), many.most_common(8))


def test_a_wrong_draw_is_seen(
    all_are_many: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison fails where those that are due keep an old bound."""
    few = orders(touching("Xx", "xX", "X"), Pos(), "few")
    all_are_many()

    def biased(self: pos.Crowd, group: Any, at: int, priority: float) -> None:
        lead(self, group, at, priority**4)

    lead = pos.Crowd._lead
    monkeypatch.setattr(pos.Crowd, "_lead", biased)
    statistic, df = differ(few, orders(touching("Xx", "xX", "X"), Pos(), "many"))
    assert statistic > bound(df)


@pytest.mark.parametrize("make", [Pos, Pct, Urw, Surw])
def test_random_programs_run_to_their_end(
    make: type[Searching], all_are_many: Callable[[], None]
) -> None:
    """Locks, events, waits and Ms that start Ms: whoever can go is known to the strategy."""
    all_are_many()
    for seed in range(150):
        random = Random(seed)
        plans = [draw_plan(random, random.randint(1, 5), 2) for _ in range(random.randint(2, 4))]
        target = Target.of(main_of(plans), Config(ms=2, mutex="queue"))
        strategy = make()
        for _ in range(4):
            strategy.begin(random, Profile(decisions=10))
            done = run_once(target, strategy, steps_max=2_000)
            assert done.steps < 2_000 or done.signature is not None


def step_ns(ms: int, strategy: Searching, known: Profile) -> float:
    target = Target.of(touching(*(["XXXXXXXXXX" * 4] * ms)), Config(ms=ms))
    random = Random(1)
    best = 1e9
    for _ in range(5):
        strategy.begin(random, known)
        start = time.process_time()
        done = run_once(target, strategy, steps_max=100_000)
        best = min(best, (time.process_time() - start) / done.steps)
    return best * 1e9


@pytest.mark.parametrize("make", [Pct, Urw, Surw, Pos])
def test_a_step_of_64_ms_costs_little_more(make: type[Searching]) -> None:
    """At 64 Ms a step costs at most 2.2 times what it costs at 2, where a walk over all costs 2.5
    to 4 times as much; `bench explore` has the figures."""
    known = Profile(
        100, {f"0.{n}": 40 for n in range(1, 65)}, {"x": {f"0.{n}": 40 for n in range(1, 65)}}
    )
    assert step_ns(64, make(), known) < 2.2 * step_ns(2, make(), known)
