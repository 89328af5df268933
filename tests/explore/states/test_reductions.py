"""No reduction changes what is found: on mutants of locks, beside the search that has none."""

from __future__ import annotations

from random import Random

import pytest

from gorun_mem.explore.states.examine import Examination, Examined, Reductions
from tests.explore.states.mutants import CHECKS, Mutant, mutants_of
from tests.explore.states.planted import NONE

SEED = 11
PER_MODULE = {"sema": 8, "futex": 8, "spinbit": 8, "queue": 4, "note_sema": 6, "note_futex": 6}
STATES_MAX = 10_000


def _drawn() -> list[Mutant]:
    random = Random(SEED)
    return [
        mutant
        for module, count in PER_MODULE.items()
        for mutant in random.sample(mutants_of(module), count)
    ]


def _found(mutant: Mutant, check: int, reductions: Reductions) -> Examined:
    make, rounds = CHECKS[mutant.module][check]
    model = make(mutant.load())
    return Examination(
        model, rounds, reductions=reductions, states_max=STATES_MAX, collect=True
    ).run()


@pytest.mark.parametrize("mutant", _drawn(), ids=lambda mutant: mutant.name)
def test_the_same_goes_wrong(mutant: Mutant) -> None:
    """All that goes wrong in any state goes wrong in a state that stands for it, and only that; and
    each reduction alone finds the same."""
    for check in range(min(2, len(CHECKS[mutant.module]))):
        try:
            plain = _found(mutant, check, NONE)
        except AttributeError:
            continue  # the lock cannot be made
        if not plain.complete:
            continue
        for reductions in (
            Reductions(),
            Reductions(local=True, dead=False, symmetry=False),
            Reductions(local=False, dead=True, symmetry=False),
            Reductions(local=False, dead=False, symmetry=True),
        ):
            found = _found(mutant, check, reductions)
            assert found.complete
            assert found.complaints == plain.complaints, reductions
            assert found.states <= plain.states
