"""Random programs over the whole kit: the exhaustive search ends them as an independent machine."""

from __future__ import annotations

import os
from random import Random

import pytest

from gorun_mem.explore.target import Target
from tests.explore.kit.machine import TooManyStates, outcomes
from tests.explore.kit.programs import (
    DENSE,
    KINDS,
    Outcomes,
    Program,
    drawn,
    drawn_dense,
    searched,
    target_of,
    wrong_with,
)
from tests.explore.kit.state import Outcome
from tests.explore.test_shared_tree import Scattered, course_of, shared

PROGRAMS = int(os.environ.get("GORUN_MEM_KIT_PROGRAMS", 25))
"""Of each class, of which there are many; 500 were held against the machine once, 1,500 of those
with a time."""
MOST = 600 if PROGRAMS < 100 else 3_000

Class = tuple[str, tuple[str, ...], tuple[int | None, ...], tuple[str, ...]]

ALL = (*KINDS, "others")
LATE = (*KINDS, "words", "words", "others")
CLASSES: dict[str, Class] = {
    **{kind: ("sc", (kind, "words", "others"), (None,), ()) for kind in KINDS},
    "several": ("sc", ALL, (None,), ()),
    "no time": ("sc", ALL, (None, 0, 0), ()),
    "at any moment": ("sc", ALL, (None, 500), ("timeout",)),
    "spurious": ("sc", ("futex", "words", "locks"), (None, 500), ("spurious", "timeout")),
    "several, tso": ("tso", LATE, (None,), ()),
    "at any moment, tso": ("tso", LATE, (None, 500, 0), ("timeout",)),
    "spurious, tso": ("tso", ("futex", "words"), (None,), ("spurious",)),
}


@pytest.mark.parametrize("name", CLASSES)
def test_programs_end_as_the_machine_says(name: str) -> None:
    """Every outcome of the machine's is found, and no other."""
    memory, kinds, times, faults = CLASSES[name]
    compared = several = seed = 0
    while compared < PROGRAMS:
        seed += 1
        program = drawn(seed, kinds, times, 3)
        try:
            true = outcomes(*program, tso=memory == "tso", spurious="spurious" in faults, most=MOST)
        except TooManyStates:
            continue
        batch, found = searched(target_of(program, memory, faults))
        assert batch.complete, (seed, program)
        assert not batch.keeps_time, (seed, program)
        assert wrong_with(found, true) == "", (seed, program)
        compared += 1
        several += len(true) > 1
    assert several > PROGRAMS // 3


@pytest.mark.parametrize("kind", DENSE)
def test_programs_of_one_kind_end_as_the_machine_says(kind: str) -> None:
    """A rule of the search that is left out is missed in few of them."""
    memory = "tso" if kind == "late" else "sc"
    compared = seed = 0
    while compared < PROGRAMS // 2:
        seed += 1
        program = drawn_dense(seed, kind)
        batch, found = searched(target_of(program, memory), runs=100)
        if not batch.complete:
            continue
        try:
            true = outcomes(*program, tso=memory == "tso", most=MOST)
        except TooManyStates:
            continue
        assert wrong_with(found, true) == "", (seed, program)
        compared += 1


LATE_PROGRAMS: dict[str, Program] = {
    "a store before what its M did": (
        ((("swap", 1, 2), ("add", 0, 1), ("late", 1, 2)), (("fence",),), (("load", 0),)), (),
    ),
    "a fence before the store that it waits for": (
        (
            (("add", 0, 2), ("late", 0, 1), ("swap", 1, 1)), (("late", 1, 2), ("load", 0)),
            (("add", 0, 2),),
        ),
        (),
    ),
}  # fmt: skip
"""What a search would take for possible that did not know what comes after what in a buffer."""


@pytest.mark.parametrize("name", LATE_PROGRAMS)
def test_what_comes_after_what_in_a_buffer_is_known(name: str) -> None:
    """No outcome is lost."""
    program = LATE_PROGRAMS[name]
    batch, found = searched(target_of(program, "tso"))
    assert batch.complete
    assert found == outcomes(*program, tso=True)


def alone_and_shared(target: Target, seed: int) -> tuple[int, int, set[Outcome]]:
    """How many schedules a search in one piece has, how many one that is shared out in pieces, and
    what that finds."""
    batch, _ = searched(target)
    random, seen = Random(seed), Outcomes()
    piece, width = random.choice((1, 1, 2, 3, 7)), random.choice((1, 2, 5, 30, 1000))
    crew = Scattered(target, random.choice((1, 2, 5)), random, seen)
    whole = shared(target, course_of(target, piece, width), crew)
    return batch.schedules, whole.schedules, seen.found


CALLED_LATE: dict[str, Program] = {
    "woken": (((("fwait", 0, 0, 500),), (("fwait", 0, 0, 500),), (("fwake", 0, 2),)), ()),
    "called": (
        (
            (("ticket", ("list", 0), 0),), (("ticket", ("list", 0), 0),), (("down", 0, None),),
            (("call", ("list", 0), 2),),
        ),
        (),
    ),
    "served": (
        (
            (("recv", "d", None, 0), ("recv", "c", None, 0)), (("recv", "c", None, None),),
            (("send", "d", 2, None),),
        ),
        (),
    ),
}  # fmt: skip
"""An M whose time is up, and who is called before it goes on: it comes after who called it."""


@pytest.mark.parametrize("name", CALLED_LATE)
@pytest.mark.parametrize("seed", range(6))
def test_who_is_called_when_its_time_is_up_comes_after_the_call(name: str, seed: int) -> None:
    """No outcome is lost, and the pieces of a shared search are the whole."""
    program = CALLED_LATE[name]
    faults = ("timeout", "spurious")
    alone, pieces, found = alone_and_shared(target_of(program, "sc", faults), seed)
    assert alone == pieces
    assert found == outcomes(*program, spurious=True)


@pytest.mark.parametrize("name", ["several", "no time", "several, tso", "at any moment, tso"])
def test_shared_out_they_end_as_the_machine_says(name: str) -> None:
    """In pieces of a few schedules, done in any order and lost at times: as many as in one."""
    memory, kinds, times, faults = CLASSES[name]
    compared = seed = 0
    while compared < PROGRAMS // 2:
        seed += 1
        program = drawn(seed, kinds, times)
        try:
            true = outcomes(*program, tso=memory == "tso", most=MOST // 3)
        except TooManyStates:
            continue
        alone, pieces, found = alone_and_shared(target_of(program, memory, faults), seed)
        assert wrong_with(found, true) == "", (seed, program)
        assert alone == pieces or any(one[0] == "failed" for one in true), (seed, program)
        compared += 1
