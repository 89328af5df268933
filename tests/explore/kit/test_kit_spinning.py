"""Ms that go round until something has changed: the search loses none of their orders or ends.

It lets an M that yields go round twice at most before another goes. The machine knows no such rule:
there, going round changes nothing.
"""

from __future__ import annotations

import pytest

from tests.explore.kit.classes import Campaign
from tests.explore.kit.machine import TooManyStates, outcomes
from tests.explore.kit.programs import drawn_spinning, searched, target_of, wrong_with
from tests.explore.kit.test_kit_programs import PROGRAMS

MOST = 300 if PROGRAMS < 100 else 3_000


@pytest.mark.parametrize("memory", ["sc", "tso"])
def test_who_spins_sees_what_the_machine_says_in_every_order(memory: str) -> None:
    """Every outcome; every class of brute force that goes by the same rule, once, in pieces too.

    Left out are programs in which an M may spin for ever, or two turn by turn: they have no end.
    """
    campaign = Campaign(MOST)
    ended = rested = seed = 0
    while campaign.programs < PROGRAMS // 2:
        seed += 1
        program = drawn_spinning(seed)
        try:
            true = outcomes(*program, tso=memory == "tso", most=MOST)
        except TooManyStates:
            continue
        if any(kind == "stuck" for kind, *_ in true):
            continue
        batch, found = searched(target_of(program, memory), MOST)
        if not batch.complete:
            continue
        assert wrong_with(found, true) == "", (seed, program)
        ended += 1
        rested += batch.rested
        campaign.compare(program, memory, seed=seed)
        assert not campaign.wrong
    assert ended >= campaign.programs
    assert rested > PROGRAMS // 5
