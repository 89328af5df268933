"""What each strategy is published to do, held against what it does.

Every test draws with a fixed seed. Where a distribution is known the frequencies are held against
it by Pearson's chi-square, and the bound is the value that a right strategy exceeds with a chance
of 1e-6 (`bound`, checked below against a table). Where a lower bound on a probability is known, so
many runs are drawn that a strategy that just reaches it misses with a chance of 1e-6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from math import exp, factorial, lgamma, log, prod, sqrt
from random import Random
from typing import Any

import pytest

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.program import Cell, Lock
from gorun_mem.explore.space import profile_of
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sched.schedule import Step
from gorun_mem.sched.strategies.pct import Pct
from gorun_mem.sched.strategies.pos import Pos
from gorun_mem.sched.strategies.random_walk import SearchingWalk
from gorun_mem.sched.strategies.searching import Profile, Searching
from gorun_mem.sched.strategies.surw import Surw
from gorun_mem.sched.strategies.urw import Urw

Main = Callable[[World], Any]
Z: float = 4.753
"""A standard normal exceeds it with a chance of 1e-6."""


def bound(df: int) -> float:
    """What chi-square with `df` degrees exceeds with a chance of about 1e-6 (Wilson, Hilferty)."""
    spread = 2 / (9 * df)
    return df * (1 - spread + Z * sqrt(spread)) ** 3


def chi_square(seen: Mapping[Any, int], chances: Mapping[Any, float]) -> float:
    """Pearson's statistic; what must not be and was seen makes it infinite."""
    runs = sum(seen.values())
    if set(seen) - set(chances):
        return float("inf")
    return sum((seen.get(k, 0) - runs * p) ** 2 / (runs * p) for k, p in chances.items())


@pytest.mark.parametrize("df", [4, 10, 30, 100, 460])
def test_the_bound_is_chi_squares(df: int) -> None:
    """For even df P(X > x) = exp(-x/2) * the sum of (x/2)^i / i! for i below df/2: about 1e-6."""
    half = bound(df) / 2
    terms = (exp(i * log(half) - lgamma(i + 1) - half) for i in range(df // 2))
    assert 3e-7 < sum(terms) < 1.3e-6


def profile(main: Main, runs: int = 8) -> Profile:
    """What a search knows of a program before it draws."""
    walk, random, target = SearchingWalk(), Random(1), Target.of(main)
    walk.begin(random, Profile())
    return profile_of([run_once(target, walk, transcribe=True).named_steps for _ in range(runs)])


def draw(
    main: Main,
    strategy: Searching,
    runs: int,
    shows: Callable[[Sequence[Step]], Hashable],
    seed: int = 3,
) -> Counter[Any]:
    """How often each outcome comes, under a strategy that knows the program."""
    known, random, target = profile(main), Random(seed), Target.of(main, Config(ms=2))
    seen: Counter[Any] = Counter()
    for _ in range(runs):
        strategy.begin(random, known)
        seen[shows(run_once(target, strategy, transcribe=True).named_steps)] += 1
    return seen


def order(steps: Sequence[Step]) -> Hashable:
    """Who made each step."""
    return tuple(step.m for step in steps)


def order_on_x(steps: Sequence[Step]) -> Hashable:
    """Who made each step on the variable x."""
    return tuple(step.m for step in steps if step.obj == "x")


def straight(*counts: int) -> Main:
    """Ms that add so often to one variable, and nothing else."""

    async def main(world: World) -> None:
        x = Cell("x")

        async def work(m: M, count: int) -> None:
            for _ in range(count):
                await x.add(1)

        async with world.open_ms() as ms:
            for count in counts:
                ms.start_soon(work, count)

    return main


async def starting(world: World) -> None:
    """M1 starts M3 once it has begun, and goes on; nobody waits for anybody but M0."""
    x = Cell("x")

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
    lock, x = Lock("L"), Cell("x")

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
    x = Cell("x")

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
    assert profile(two_parents).steps == {(): 1, (1,): 1, (2,): 1, (1, 1): 1, (2, 1): 3}
    assert uniform(draw(two_parents, Urw(), 3_000, order), 15)


class Childless(Urw):
    """URW that takes an M for as short as it is by itself."""

    def begin(self, random: Random, profile: Profile) -> bool:
        """Drop from what M1 has left what it will start."""
        super().begin(random, profile)
        self._shares._whole = dict(profile.steps)
        meet = self._shares.meet

        def meet_alone(tasks: Any) -> Any:
            before = len(self._shares.left)
            new = meet(tasks)
            for task in new:
                if before:
                    self._shares.left[task.starter] += self._shares.left[task.id]
            return new

        self._shares.meet = meet_alone  # type: ignore[method-assign]
        return True


def test_the_claim_is_seen_to_fail() -> None:
    """URW that counts a child with nobody until it is there is not uniform."""
    runs = 30 * STARTING_ORDERS
    assert not uniform(draw(starting, Childless(), runs, order), STARTING_ORDERS)


async def joined(world: World) -> None:
    """A parent that waits for its child, beside another M."""
    x = Cell("x")

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
    x = Cell("x")

    async def work(m: M, plan: str) -> None:
        mine = Cell(f"mine of {m.id}")
        for what in plan:
            await (x if what == "x" else mine).add(1)

    async with world.open_ms() as ms:
        for plan in ("xx", "..x", "x.....x"):
            ms.start_soon(work, plan)


async def starting_late(world: World) -> None:
    """M1 starts M3 between its two steps on x."""
    x, mine = Cell("x"), Cell("mine")

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
        cells = {letter: Cell(letter) for letter in "xy"}

        async def work(m: M, plan: str) -> None:
            mine = Cell(f"mine of {m.id}")
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
