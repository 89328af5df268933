"""Random programs over the whole kit: the exhaustive search ends them as an independent machine."""

from __future__ import annotations

import os

import pytest

from tests.explore.kit.machine import TooManyStates, outcomes
from tests.explore.kit.programs import KINDS, drawn, searched, target_of, wrong_with

PROGRAMS = int(os.environ.get("GORUN_MEM_PROGRAMS", 25))
"""Of each class; 500 were held against the machine once, 1,500 of those with a time."""
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
