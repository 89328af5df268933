"""Random programs over the whole kit: each class of schedules once, by brute force.

Outcomes alone do not tell that a class is left out whose ends others have too.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.explore.kit.classes import Campaign, all_interleavings, classes_in_pieces
from tests.explore.kit.programs import Program, drawn, target_of
from tests.explore.kit.test_kit_programs import CLASSES, PROGRAMS

TRIES = 60 * PROGRAMS
"""Programs of which enough have few enough interleavings."""
MOST = 300 if PROGRAMS < 100 else 3_000
"""Interleavings of a program."""


@pytest.mark.parametrize("name", CLASSES)
def test_programs_lose_no_class_and_run_none_twice(name: str) -> None:
    """In one piece, and shared out in pieces that are done in any order and lost at times."""
    memory, kinds, times, faults = CLASSES[name]
    campaign = Campaign(MOST)
    for seed in range(TRIES):
        campaign.compare(drawn(seed, kinds, times, 3), memory, faults, seed)
        assert not campaign.wrong
        if campaign.programs == PROGRAMS // 2:
            break
    assert campaign.programs == PROGRAMS // 2


OVERTAKEN: dict[str, Program] = {
    "two whose time is up": (
        (
            (("recv", "c", None, 0),), (("send", "d", 1, None),),
            (("recv", "d", None, 0), ("load", 0)),
        ),
        (),
    ),
    "a select": (
        (
            (("recv", "c", None, 0),),
            (("call", ("list", 0), 2), ("select", (("send", "d", 1),), False, 0)),
            (("recv", "d", None, 0), ("call", ("list", 0), 1)),
        ),
        (),
    ),
}  # fmt: skip
"""An M whose time is up may go before who would serve it, in whichever order others are."""


@pytest.mark.parametrize("name", OVERTAKEN)
@pytest.mark.parametrize("faults", [(), ("timeout",)])
@pytest.mark.parametrize("seed", range(4))
def test_who_is_called_when_its_time_is_up_could_have_gone_before(
    name: str, faults: tuple[str, ...], seed: int
) -> None:
    """The order of two such waits was lost where a third M's step came last."""
    campaign = Campaign(MOST)
    campaign.compare(OVERTAKEN[name], "sc", faults, seed)
    assert (campaign.programs, campaign.wrong) == (1, [])


BLOCKED: Program = (
    (
        (("wtry", 0),), (("late", 0, 1),), (("wlock", 0, None), ("swap", 0, 1)),
        (("rlock", 0, None), ("runlock", 0)),
    ),
    (),
)  # fmt: skip
"""Where the first has the lock, and the second sleeps as another part has it, the others wait."""


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
@pytest.mark.parametrize("width", [1, 2, 5, 1000])
def test_who_is_blocked_in_a_run_in_vain_could_have_gone_before(piece: int, width: int) -> None:
    """In pieces, a class was lost where a run ended with nobody awake but those that waited."""
    target = target_of(BLOCKED)
    true = all_interleavings(target, MOST)
    _, found = classes_in_pieces(target, piece, width)
    assert found.classes == Counter(set(true.classes))


LEFT: Program = (
    (
        (("try", 0), ("if", (("unlock", 0),), ())), (("late", 0, 1),), (("load", 0),),
        (("lock", 0, None), ("unlock", 0), ("load", 0)),
    ),
    (),
)  # fmt: skip
"""What is found of it before the tree is shared out may be left to another part than needs it."""


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
@pytest.mark.parametrize("width", [2, 5, 1000])
def test_a_part_relies_on_nothing_that_was_left_to_another(piece: int, width: int) -> None:
    """In pieces of 3 and 7 a class was lost."""
    target = target_of(LEFT)
    true = all_interleavings(target, MOST)
    _, found = classes_in_pieces(target, piece, width)
    assert found.classes == Counter(set(true.classes))
