"""Fair cycles and bypasses, beside plain enumerations on random graphs."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from gorun_mem import verify
from gorun_mem.explore.states.live import (
    NO_BOUND,
    Action,
    components,
    end_components,
    most_bypasses,
)


def random_actions(seed: int) -> dict[int, list[Action]]:
    """A small game: in each state some actions, of which some hang on lots."""
    random = Random(seed)
    count = random.randint(1, 6)
    return {
        at: [
            Action(
                random.randrange(2),
                tuple(random.randrange(count) for _ in range(random.choice((1, 1, 1, 2)))),
                random.random() < 0.3,
            )
            for _ in range(random.randint(0, 2))
        ]
        for at in range(count)
    }


def reach(edges: dict[int, list[int]], start: int) -> set[int]:
    """What can be reached by one step or more."""
    found: set[int] = set()
    todo = list(edges.get(start, ()))
    while todo:
        here = todo.pop()
        if here not in found:
            found.add(here)
            todo += edges.get(here, ())
    return found


@pytest.mark.parametrize("seed", range(300))
def test_components(seed: int) -> None:
    """Two states are in one component iff each can be reached from the other."""
    edges = {
        at: [t for one in ones for t in one.after] for at, ones in random_actions(seed).items()
    }
    found = {frozenset(one) for one in components(edges, edges)}
    expected = {
        frozenset(b for b in edges if b == a or (b in reach(edges, a) and a in reach(edges, b)))
        for a in edges
    }
    assert found == expected


def stays(actions: dict[int, list[Action]], inside: frozenset[int]) -> bool:
    """Whether a set can be stayed in for ever past all of its states, by the definition."""
    kept = {a: [one for one in actions[a] if inside.issuperset(one.after)] for a in inside}
    edges = {at: [t for one in ones for t in one.after] for at, ones in kept.items()}
    return all(kept.values()) and all(reach(edges, at) == inside for at in inside)


@pytest.mark.parametrize("seed", range(300))
def test_end_components(seed: int) -> None:
    """The largest of all sets that can be stayed in, found by trying every set."""
    actions = random_actions(seed)
    waiting = set(actions) - {seed % 7}
    sets = [frozenset(one) for n in range(1, len(waiting) + 1) for one in combinations(waiting, n)]
    staying = [one for one in sets if stays(actions, one)]
    largest = {one for one in staying if not any(one < other for other in staying)}
    assert {frozenset(one) for one in end_components(actions, waiting)} == largest


@pytest.mark.parametrize("seed", range(300))
def test_most_bypasses(seed: int) -> None:
    """The most in any walk, by walking: no bound where a long walk has more than a short one."""
    actions = random_actions(seed)
    waiting = set(actions) - {seed % 7}

    def most(steps: int) -> int:
        best = dict.fromkeys(waiting, 0)
        for _ in range(steps):
            best = {
                at: max(
                    [
                        best.get(there, 0) + one.gets
                        for one in actions[at]
                        for there in one.after
                        if there in waiting or one.gets
                    ],
                    default=0,
                )
                for at in waiting
            }
        return max(best.values(), default=0)

    short, long = most(50), most(200)
    assert most_bypasses(actions, waiting) == (short if short == long else NO_BOUND)


@pytest.mark.parametrize(("ms", "most"), [(2, 1), (3, 2), (4, 3)])
def test_a_queue_is_fair(ms: int, most: int) -> None:
    """Whoever waits for a queue is passed by those before it only."""
    found = verify("queue", ms=ms, live=True)
    assert (found.verdict, found.bypasses) == ("holds", most)


@pytest.mark.parametrize("mutex", ["sema", "futex", "spinbit", "any"])
def test_no_lock_of_go_is(mutex: str) -> None:
    """A waiting M can be passed for ever though the scheduler is fair; the way there goes round."""
    found = verify(mutex, live=True)
    assert (found.verdict, found.bypasses) == ("failed", NO_BOUND)
    assert "M1 may wait for ever, while others get the lock" in found.wrong
    first = int(found.wrong.partition("from step ")[2].split()[0])
    before = found.trace[first - 2].common
    assert before == found.trace[-1].common
