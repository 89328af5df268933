"""Mutants of every lock, note and kernel word are found: by `verify`, or by walks, where what is
wrong is nobody's safety. What neither finds does the same as the original, which is looked at.

`GORUN_MEM_MUTANTS=all` tries all of them; a draw from each module else.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.explore.states.exact import same_steps, walked
from tests.explore.states.mutants import CHECKS, Mutant, mutants_of, verdict
from tests.explore.states.survivors import SAME, SAME_NAMES, SURVIVORS, WALKS_FIND

SEED = 5
PER_MODULE = 4
NAMED = (
    ("note_futex", "dropped: self.mutex.word.leave(m)"),
    ("note_futex", "True for False"),
    ("note_futex", "turned: self.mutex.key != 0"),
    ("spinbit", "always: if mutex.key == self.v"),
    ("futex_queue", "another operator"),
    ("futex_queue", "dropped: del self.sleepers[:count]"),
)
"""Module and what is changed: of each that fits, the first is tried besides the draw."""

SMALL = {"single"}
"""Modules that have fewer than 20 places to do wrong."""


def drawn() -> list[Mutant]:
    """The mutants to try."""
    random = Random(SEED)
    found: list[Mutant] = []
    for module in CHECKS:
        mutants = mutants_of(module)
        if os.environ.get("GORUN_MEM_MUTANTS") == "all":
            found += mutants
            continue
        found += random.sample(mutants, PER_MODULE)
        for of, what in NAMED:
            if of == module:
                found += [one for one in mutants if one.what.startswith(what)][:1]
    return found


@pytest.mark.parametrize("mutant", drawn(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_or_does_the_same(mutant: Mutant) -> None:
    """`verify` finds it, unless a reason says why it need not. Then walks find that it is not what
    Go's code does, or not what a plain lock does; or it does, step by step, what the original does.
    """
    assert bool(verdict(mutant)) is (mutant.name not in SURVIVORS)
    if mutant.name in SURVIVORS:
        found = walked(mutant)
        assert bool(found) is (mutant.name not in SAME_NAMES), found
    if mutant.name in SAME_NAMES:
        assert same_steps(mutant)


def test_there_are_enough() -> None:
    """Hundreds, of each module 20, but for `single`, which is a flag and has 19 places to do wrong.
    Of four, three are found by `verify`, and hardly one of fifteen does the same as the original.
    """
    by_module = {module: mutants_of(module) for module in CHECKS}
    count = sum(map(len, by_module.values()))
    assert count >= 800
    assert {module for module, mutants in by_module.items() if len(mutants) < 20} <= SMALL
    assert len(by_module["single"]) == 19
    assert len(SURVIVORS) < count / 4
    assert len(SAME_NAMES) < count / 15


def test_survivors_are_mutants() -> None:
    """Each is named once, and none that is no mutant any more."""
    names = {mutant.name for module in CHECKS for mutant in mutants_of(module)}
    listed = [name for group in (WALKS_FIND, SAME) for some in group.values() for name in some]
    assert len(listed) == len(set(listed))
    assert set() == set(listed) - names
