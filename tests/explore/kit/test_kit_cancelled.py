"""Fault "cancel": an M may be cancelled at any moment, once in a run; every order is run, once.

No two steps are taken to commute there, so the search is a walk over all orders. It is held against
the machine by how programs end, and against brute force by how many orders there are. Where Ms
start Ms of their own, and where waits leave something behind that others see, is not said here.
"""

from __future__ import annotations

import pytest

from gorun_mem.explore.target import Target
from tests.explore.brute_force import Everything, every_run
from tests.explore.kit.classes import classes_in_pieces
from tests.explore.kit.machine import TooManyStates, outcomes
from tests.explore.kit.programs import Program, drawn, searched, target_of, wrong_with
from tests.explore.kit.test_kit_programs import PROGRAMS

KINDS = ("words", "locks", "sems", "events", "others")
MOST = 120 if PROGRAMS < 100 else 1_000


def orders(target: Target) -> int:
    """How many interleavings there are."""
    return every_run(target, Everything(eager=False), 1 << 30)


def test_who_is_cancelled_ends_as_the_machine_says_in_every_order() -> None:
    """Every outcome, every interleaving once, in one piece and in pieces."""
    compared = changed = seed = 0
    while compared < PROGRAMS // 3:
        seed += 1
        program = drawn(seed, KINDS, (None,), 3)
        if "spawn" in repr(program):
            continue
        try:
            true = outcomes(*program, cancel=True, most=1_000)
        except TooManyStates:
            continue
        target = target_of(program, "sc", ("cancel",))
        batch, found = searched(target, MOST)
        if not batch.complete:
            continue
        assert wrong_with(found, true) == "", (seed, program)
        if not any(kind == "failed" for kind, *_ in true):
            whole, _ = classes_in_pieces(target, 3, 5, ahead=2, seed=seed)
            assert batch.schedules == whole.schedules == orders(target), (seed, program)
        compared += 1
        changed += true != outcomes(*program)
    assert changed > PROGRAMS // 12


LOCKED: Program = ((("lock", 0, None), ("add", 0, 1), ("unlock", 0)),) * 2, ()


@pytest.mark.parametrize("program", [LOCKED])
def test_who_is_cancelled_before_a_lock_leaves_it_alone(program: Program) -> None:
    """One adds, or both; and whoever has the lock gives it back."""
    _, found = searched(target_of(program, "sc", ("cancel",)))
    assert found == outcomes(*program, cancel=True)
    assert {(kind, memory[0]) for kind, _, memory, _ in found} == {("ended", 1), ("ended", 2)}
