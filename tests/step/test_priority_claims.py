"""PCT and POS: the chances that their papers promise."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from itertools import permutations
from math import sqrt
from typing import Any

import pytest

from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Step
from gorun_mem.step.strategies.pct import Pct
from gorun_mem.step.strategies.pos import Pos
from gorun_mem.sync import Word
from tests.step.claims import Main, Z, bound, chi_square, draw, order_on_x, profile, straight

# PCT.


async def last_of_four(world: World) -> None:
    """Depth 1: M4 is to come after everything of three others."""
    await straight(2, 2, 2, 1)(world)


async def between_two(world: World) -> None:
    """Depth 2: all of M2 and M3 is to come between the first and the second step of M1."""
    await straight(2, 1, 1)(world)


async def two_stops(world: World) -> None:
    """Depth 3: M1 is to be stopped before its second step, then M2, then M3 goes."""
    await straight(2, 2, 1)(world)


def _is_last(steps: Sequence[Step]) -> bool:
    ms = [step.m for step in steps if step.m]
    return ms.index(4) == len(ms) - 2


PCT_BUGS: list[tuple[Main, int, int, Callable[[Sequence[Step]], bool]]] = [
    (last_of_four, 4, 1, _is_last),
    (between_two, 3, 2, lambda steps: order_on_x(steps) in ((1, 2, 3, 1), (1, 3, 2, 1))),
    (two_stops, 3, 3, lambda steps: order_on_x(steps) in ((1, 2, 3, 1, 2), (1, 2, 3, 2, 1))),
]


@pytest.mark.parametrize(("program", "n", "d", "is_hit"), PCT_BUGS)
def test_pct_finds_a_bug_of_depth_d_with_the_chance_it_promises(
    program: Main, n: int, d: int, is_hit: Callable[[Sequence[Step]], bool]
) -> None:
    """Burckhardt et al., theorem 9: at least 1/(n k^(d-1)), for depths 1 to 3.

    With N = 60/p runs a strategy that just reaches p hits 60 times, deviation sqrt(60) = 7.7; less
    than 60 - 4.753 * 7.7 = 23 hits have a chance of 1e-6.
    """
    k = profile(program).decisions
    p = 1 / (n * k ** (d - 1))
    seen = draw(program, Pct(d), round(60 / p), is_hit)
    assert seen[True] >= 60 - Z * sqrt(60)


@pytest.mark.parametrize(("program", "n", "d", "is_hit"), PCT_BUGS[1:])
def test_fewer_changes_than_the_depth_do_not_find_it(
    program: Main, n: int, d: int, is_hit: Callable[[Sequence[Step]], bool]
) -> None:
    """The bugs are as deep as they are said to be: PCT of depth d - 1 never has them."""
    assert not draw(program, Pct(d - 1), 2_000, is_hit)[True]


def test_of_two_that_fell_either_may_be_the_lower() -> None:
    """Each change has a level of its own, whichever comes first in the run.

    M1 is stopped, then M2, then M3 goes: M1 > M2 > M3 (1/6), and the two changes at the 3rd and the
    6th of k decisions, in either order of their levels: 1/(6 k (k - 1)) for M1 before M2 at the end
    and as much for M2 before M1. 10,000 runs have 40 of each for k = 7; less than 40 - 4.753 *
    sqrt(40) = 9 have a chance of 1e-6.
    """
    assert profile(two_stops).decisions == 7
    seen = draw(two_stops, Pct(3), 10_080, order_on_x)
    for end in ((1, 2), (2, 1)):
        assert 9 < seen[(1, 2, 3, *end)] < 71


# POS.


def sampled(ms: Sequence[str], shows: Callable[[Sequence[int]], Hashable]) -> dict[Any, Fraction]:
    """The exact chances of POS by its definition (Yuan et al., algorithm 2), by enumeration.

    Priorities are drawn from one distribution, so only their order matters: each new one is equally
    likely to come at any place among those that were drawn so far.

    Args:
        ms: what each M touches, step by step: a letter an object, "." one that nobody else has.
        shows: what of an order of Ms is of interest.
    """
    chances: dict[Any, Fraction] = {}

    def go(
        at: tuple[int, ...], ranks: list[int], slots: dict[int, int], due: list[int],
        made: list[int], chance: Fraction,
    ) -> None:  # fmt: skip
        if due:
            m, rest = due[0], due[1:]
            number = len(ranks)
            for place in range(number + 1):
                moved = [rank + (rank >= place) for rank in ranks]
                go(at, [*moved, place], {**slots, m: number}, rest, made, chance / (number + 1))
            return
        pending = [m for m, n in enumerate(at) if n < len(ms[m])]
        if not pending:
            key = shows(made)
            chances[key] = chances.get(key, Fraction(0)) + chance
            return
        best = max(pending, key=lambda m: ranks[slots[m]])
        obj = ms[best][at[best]]
        now = tuple(n + (m == best) for m, n in enumerate(at))
        races = [m for m in pending if m != best and obj != "." and ms[m][now[m]] == obj]
        own = [best] if now[best] < len(ms[best]) else []
        go(now, ranks, slots, own + races, [*made, best], chance)

    go((0,) * len(ms), [], {}, list(range(len(ms))), [], Fraction(1))
    assert sum(chances.values()) == 1
    return chances


def touching(*plans: str) -> Main:
    """Ms that touch what their plans say; "." a variable of the M's own."""

    async def main(world: World) -> None:
        cells = {letter: Word(letter) for letter in "xy"}

        async def work(m: M, plan: str) -> None:
            mine = Word(f"mine of {m.id}")
            for letter in plan:
                await cells.get(letter, mine).add(1)

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(work, plan)

    return main


@pytest.mark.parametrize(
    "plans", [("x", "x"), ("xx", "x"), ("..x", "x"), ("x", "x", "x"), ("xy", "yx")]
)
def test_pos_has_the_chances_of_its_definition(plans: tuple[str, ...]) -> None:
    """Whole orders, as often as the definition says: priorities are redrawn where steps race only.

    Every M starts with a step that races with nothing.
    """
    exact = sampled([f".{plan}" for plan in plans], lambda made: tuple(m + 1 for m in made))
    chances = {key: float(chance) for key, chance in exact.items()}
    runs = max(4_000, round(8 / min(chances.values())))

    def shows(steps: Sequence[Step]) -> Hashable:
        return tuple(step.m for step in steps if step.m)

    seen = draw(touching(*plans), Pos(), min(runs, 12_000), shows)
    assert chi_square(seen, chances) < bound(len(chances) - 1)


@pytest.mark.parametrize("way", [1, 4, 9, 19])
def test_pos_samples_a_partial_order_however_long_the_way(way: int) -> None:
    """Steps that race with nothing keep their priority: the other order of one race has 1/O(n).

    M1 makes a start and `way` steps of its own, then x; all of them before M2's first step iff that
    one's priority is the lowest of way + 3 that are drawn alike: 1/(way + 3). A random walk has
    2^-(way + 2), which for 19 steps is one in two million.
    """
    chance = 1 / (way + 3)
    runs = 3_000

    def all_first(steps: Sequence[Step]) -> Hashable:
        return [step.m for step in steps].index(2) == way + 2

    seen = draw(touching("." * way + "x", "x"), Pos(), runs, all_first)
    deviation = sqrt(runs * chance * (1 - chance))
    assert abs(seen[True] - runs * chance) < Z * deviation


@pytest.mark.parametrize("n", [2, 3])
def test_pos_reaches_every_partial_order(n: int) -> None:
    """Ms that each touch x and y once: every order of both is drawn that can be."""
    program = touching(*["xy"] * n)

    def shows(steps: Sequence[Step]) -> Hashable:
        return order_on_x(steps), tuple(step.m for step in steps if step.obj == "y")

    seen = draw(program, Pos(), 2_000 * n, shows)
    ms = range(1, n + 1)
    possible = {(a, b) for a in permutations(ms) for b in permutations(ms)}
    assert set(seen) == possible
