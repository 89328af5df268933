"""Mutants of every lock, note and kernel word are found; those that are not have a reason.

`GORUN_MEM_MUTANTS=all` tries all of them; a draw from each module else.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.explore.states.mutants import CHECKS, Mutant, mutants_of, verdict
from tests.explore.states.survivors import REASONS, SURVIVORS

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
def test_a_mutant_is_found_or_has_a_reason(mutant: Mutant) -> None:
    """Wrong exactly where no reason says why it is not."""
    assert bool(verdict(mutant)) is (mutant.name not in SURVIVORS)


def test_there_are_enough() -> None:
    """Hundreds, of each module some; and most are found."""
    by_module = {module: mutants_of(module) for module in CHECKS}
    count = sum(map(len, by_module.values()))
    assert count >= 800
    assert min(map(len, by_module.values())) >= 15
    assert len(SURVIVORS) < count / 4
    assert sum(map(len, REASONS.values())) == len(SURVIVORS)


def test_survivors_are_mutants() -> None:
    """No reason is given for what is no mutant any more."""
    names = {mutant.name for module in CHECKS for mutant in mutants_of(module)}
    assert set() == SURVIVORS - names
