"""The random walk, URW and SURW: which orders are how likely, as their papers have it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from math import exp, factorial, lgamma, log, prod
from typing import Any

import pytest

from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Step
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.step.strategies.searching import Profile
from gorun_mem.step.strategies.surw import Surw
from gorun_mem.step.strategies.urw import Urw
from gorun_mem.sync import Lock, Word
from tests.step.claims import Main, bound, chi_square, draw, order, order_on_x, profile, straight


@pytest.mark.parametrize("df", [4, 10, 30, 100, 460])
def test_the_bound_is_chi_squares(df: int) -> None:
    """For even df P(X > x) = exp(-x/2) * the sum of (x/2)^i / i! for i below df/2: about 1e-6."""
    half = bound(df) / 2
    terms = (exp(i * log(half) - lgamma(i + 1) - half) for i in range(df // 2))
    assert 3e-7 < sum(terms) < 1.3e-6


async def starting(world: World) -> None:
    """M1 starts M3 once it has begun, and goes on; nobody waits for anybody but M0."""
    x = Word("x")

    async def work(m: M, count: int) -> None:
        for _ in range(count):
            await x.add(1)

    async def parent(m: M) -> None:
        ms.start_soon(work, 2)
        await x.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(parent)
        ms.start_soon(work, 2)


# The random walk.


async def locked(world: World) -> None:
    """Two Ms with a critical section each, and one that needs no lock: who can go varies."""
    lock, x = Lock("L"), Word("x")

    async def work(m: M) -> None:
        await lock.acquire()
        await lock.release()

    async def other(m: M) -> None:
        await x.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(work)
        ms.start_soon(work)
        ms.start_soon(other)


@pytest.mark.parametrize("program", [straight(1, 2), straight(1, 1, 1), locked])
def test_random_walk(program: Main) -> None:
    """Every run has the chance that is the product of 1/enabled over its steps: the definition.

    The products of the runs that were seen sum to 1, so none was left out; the frequencies are
    theirs.
    """
    chances: dict[Hashable, Fraction] = {}

    def shows(steps: Sequence[Step]) -> Hashable:
        key = order(steps)
        chances[key] = prod((Fraction(1, len(step.enabled)) for step in steps), start=Fraction(1))
        return key

    # The rarest run of `locked` has 1/648: 12,000 runs miss one of some 100 so rare with 1e-6.
    seen = draw(program, SearchingWalk(), 12_000, shows)
    assert sum(chances.values()) == 1
    expected = {key: float(chance) for key, chance in chances.items()}
    assert chi_square(seen, expected) < bound(len(expected) - 1)


# URW and SURW.


def uniform(seen: Mapping[Any, int], count: int) -> bool:
    """Whether `count` outcomes are seen and all are as likely, as far as chi-square can tell."""
    if len(seen) > count:
        return False
    mean = sum(seen.values()) / count
    rest = (count - len(seen)) * mean
    return sum((n - mean) ** 2 / mean for n in seen.values()) + rest < bound(count - 1)


@pytest.mark.parametrize("counts", [(1, 2), (3, 1), (1, 1, 2)])
def test_urw_is_uniform_over_interleavings(counts: tuple[int, ...]) -> None:
    """Zhao et al., theorem 1: straight-line Ms whose steps are known, all orders as likely.

    An M with n additions makes n + 1 steps, so there are (sum)! / prod(steps!) orders. A random
    walk is far from it.
    """
    steps = [count + 1 for count in counts]
    orders = factorial(sum(steps)) // prod(map(factorial, steps))
    runs = 30 * orders
    assert uniform(draw(straight(*counts), Urw(), runs, order), orders)
    assert not uniform(draw(straight(*counts), SearchingWalk(), runs, order), orders)


STARTING_ORDERS = factorial(8) // (5 * 1 * factorial(3) * factorial(3))
"""Orders of a forest are n! / the product of the sizes of its subtrees: M1's first step has 5 below
and with it (1 addition, and 3 steps of M3), M2 and M3 are chains of 3."""


def test_urw_is_uniform_where_ms_start_ms() -> None:
    """What M1 will start counts with it: all 224 orders are as likely."""
    assert STARTING_ORDERS == 224
    runs = 30 * STARTING_ORDERS
    assert uniform(draw(starting, Urw(), runs, order), STARTING_ORDERS)
    assert not uniform(draw(starting, SearchingWalk(), runs, order), STARTING_ORDERS)


async def two_parents(world: World) -> None:
    """M1 starts an M of one step, M2 one of three: which of them is M3 is the schedule's doing."""
    x = Word("x")

    async def work(m: M, count: int) -> None:
        for _ in range(count):
            await x.add(1)

    async def parent(m: M, count: int) -> None:
        ms.start_soon(work, count)

    async with world.open_ms() as ms:
        ms.start_soon(parent, 0)
        ms.start_soon(parent, 2)


def test_ms_are_known_by_who_started_them() -> None:
    """Not by their ids: what is expected of a child is expected of it in every run.

    Two chains, of 2 and of 4 steps, have 6! / (2! 4!) = 15 orders, all as likely.
    """
    assert profile(two_parents).steps == {"0": 1, "0.1": 1, "0.2": 1, "0.1.1": 1, "0.2.1": 3}
    assert uniform(draw(two_parents, Urw(), 3_000, order), 15)


def test_the_claim_is_seen_to_fail() -> None:
    """URW that does not count the child with its parent is not uniform, by the same measure."""
    alone = {m: count for m, count in profile(starting).steps.items() if m != "0.1.1"}
    runs = 30 * STARTING_ORDERS
    seen = draw(starting, Urw(), runs, order, known=Profile(steps=alone))
    assert not uniform(seen, STARTING_ORDERS)


async def joined(world: World) -> None:
    """A parent that waits for its child, beside another M."""
    x = Word("x")

    async def leaf(m: M) -> None:
        for _ in range(3):
            await x.add(1)

    async def parent(m: M) -> None:
        async with world.open_ms() as ms:
            ms.start_soon(leaf)

    async def other(m: M) -> None:
        for _ in range(4):
            await x.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(parent)
        ms.start_soon(other)


def chances_of_joined() -> dict[Hashable, Fraction]:
    """What URW's rule gives the orders of `joined`.

    Parent and child are a chain of 6 steps beside 5 of the other M. Until the child is there the
    parent counts all 6; then it waits, and its last step counts with nobody.
    """
    chain = (1, 3, 3, 3, 3, 1)
    chances: dict[Hashable, Fraction] = {}

    def go(made: tuple[int, ...], c: int, o: int, chance: Fraction) -> None:
        if c == len(chain) and o == 5:
            chances[(*made, 0)] = chance
            return
        weight = {0: 6, 6: 0}.get(c, max(5 - c, 1))
        left = 5 - o
        if weight:
            go((*made, chain[c]), c + 1, o, chance * Fraction(weight, weight + left))
        if left:
            go((*made, 2), c, o + 1, chance * Fraction(left, weight + left))

    go((), 0, 0, Fraction(1))
    return chances


def test_urw_is_nearly_uniform_where_an_m_waits_for_its_child() -> None:
    """C(11, 5) = 462 orders with the chances of the rule, the most likely 2 times the mean.

    That one is M1's first step, then all of M2: 10/9 * 9/8 * 8/7 * 7/6 * 6/5. Of 4,000 runs it has
    17.3, deviation 4.2; 17.3 + 4.753 * 4.2 = 37 are 4.3 times the mean of 8.66. A plain
    walk halves the chance at each of M2's 5 steps and then has no choice: 462/32 = 14 times.
    """
    exact = chances_of_joined()
    assert len(exact) == 462
    assert max(exact.values()) * 462 == 2
    seen = draw(joined, Urw(), 4_000, order)
    chances = {key: float(chance) for key, chance in exact.items()}
    assert chi_square(seen, chances) < bound(461)
    assert max(seen.values()) * 462 / 4_000 < 4.3
    walk = draw(joined, SearchingWalk(), 4_000, order)
    assert max(walk.values()) * 462 / 4_000 > 10


async def private_ways(world: World) -> None:
    """Steps on x, with steps on variables of an M's own between them in each M but one."""
    x = Word("x")

    async def work(m: M, plan: str) -> None:
        mine = Word(f"mine of {m.id}")
        for what in plan:
            await (x if what == "x" else mine).add(1)

    async with world.open_ms() as ms:
        for plan in ("xx", "..x", "x.....x"):
            ms.start_soon(work, plan)


async def starting_late(world: World) -> None:
    """M1 starts M3 between its two steps on x."""
    x, mine = Word("x"), Word("mine")

    async def parent(m: M) -> None:
        await x.add(1)
        ms.start_soon(child)
        for _ in range(3):
            await mine.add(1)
        await x.add(1)

    async def child(m: M) -> None:
        await x.add(1)

    async def other(m: M) -> None:
        await x.add(1)
        await x.add(1)

    async with world.open_ms() as ms:
        ms.start_soon(parent)
        ms.start_soon(other)


@pytest.mark.parametrize(
    ("program", "orders"),
    [
        (straight(2, 2), 6),
        (private_ways, factorial(5) // (2 * 1 * 2)),
        # A forest: the first step of M1 has 3 (its second, M3's and itself), M2 is a chain of 2.
        (starting_late, factorial(5) // (3 * 2)),
    ],
)
def test_surw_is_uniform_over_the_orders_of_the_chosen_steps(program: Main, orders: int) -> None:
    """Zhao et al.: whatever lies between, all orders of the interesting steps are as likely."""
    runs = 150 * orders
    assert uniform(draw(program, Surw(), runs, order_on_x), orders)
    if program.__name__ != "main":
        assert not uniform(draw(program, SearchingWalk(), runs, order_on_x), orders)
