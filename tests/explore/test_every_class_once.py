"""The exhaustive search against brute force: every class of interleavings, and none twice.

GORUN_MEM_PROGRAMS=100000 holds so many random programs against it instead of 1,500, and larger
ones among them. `test_broken_search` has each broken search found by the first 250 seeds.
"""

from __future__ import annotations

import os

import pytest

from tests.explore.brute_force import Plan, brute_force, compare, forced, main_of, search

USUAL = 1_500
PROGRAMS = int(os.environ.get("GORUN_MEM_PROGRAMS", USUAL))
CHUNK = 500
SEEDS_OF_CHUNK = 100_000

ADD, LOAD, STORE = ("add", 0, 1), ("load", 0), ("store", 0, 7)
SEND: Plan = (("store", 0, 1), ("store", 1, 1))
RECEIVE: Plan = (("load", 1), ("load", 0))


@pytest.mark.parametrize(
    ("plans", "interleavings", "classes"),
    [
        pytest.param([(ADD, ADD), (LOAD,), (LOAD,)], 12, 9, id="aa/l/l"),
        pytest.param([(ADD,), (LOAD, LOAD), (LOAD, LOAD)], 30, 9, id="a/ll/ll"),
        pytest.param([(ADD, ADD), (LOAD, LOAD), (LOAD,)], 30, 18, id="aa/ll/l"),
        pytest.param([(LOAD, ADD), (LOAD, ADD), (LOAD,)], 30, 12, id="la/la/l"),
        pytest.param([(LOAD, STORE), (LOAD, STORE), (LOAD,)], 30, 12, id="ls/ls/l"),
        pytest.param([SEND, RECEIVE, RECEIVE], 90, 9, id="message passing, two readers"),
        pytest.param([SEND[:1], SEND[1:], RECEIVE, tuple(reversed(RECEIVE))], 180, 15, id="IRIW"),
    ],
)
def test_known_numbers_of_classes(plans: list[Plan], interleavings: int, classes: int) -> None:
    """Three Ms and four: as many runs as brute force finds classes, each of another class."""
    main = main_of(plans)
    count, by_force, ends = brute_force(main)
    batch, kept, kept_ends = search(main)
    assert (count, len(by_force)) == (interleavings, classes)
    assert (batch.complete, batch.schedules, batch.redundant) == (True, classes, 0)
    assert set(kept) == set(by_force)
    assert kept_ends == ends


@pytest.mark.parametrize("chunk", range(-(-PROGRAMS // CHUNK)))
def test_random_programs_lose_no_class_and_run_none_twice(chunk: int) -> None:
    """The same classes with the same ends as all interleavings, one run each, none in vain."""
    compared = more = stuck = 0
    wrong: list[str] = []
    large = PROGRAMS > USUAL and chunk % 20 == 0
    for seed in range(chunk * SEEDS_OF_CHUNK, (chunk + 1) * SEEDS_OF_CHUNK):
        found = forced(seed, large)
        if found is not None:
            compared += 1
            more += len(found[0]) > 1
            stuck += any(end[1] == "DeadlockFound" for end in found[1])
            wrong += filter(None, [compare(seed, found, large)])
            if compared == CHUNK:
                break
    assert wrong == []
    assert compared == CHUNK
    assert more > CHUNK // 3
    assert stuck > CHUNK // 20


def test_numbers_of_ms_do_not_matter() -> None:
    """An M that is started second is the same M where it is started first, with another number."""
    waits: Plan = (("wait", 0), ("start", ((("load", 1),),), ()))
    starts: Plan = (("start", ((ADD,),), ()),)
    main = main_of([(ADD, ("set", 0)), waits, starts])
    _, classes, ends = brute_force(main)
    batch, kept, kept_ends = search(main)
    assert set(kept) == set(classes)
    assert kept_ends == ends
    assert (batch.schedules, batch.redundant) == (len(classes), 0)
