"""Locks made of coroutines: the classic ones hold in every state, and their broken twins do not."""

from __future__ import annotations

from random import Random

import pytest

from gorun_mem import verify
from gorun_mem.explore.states.again import make_again
from gorun_mem.explore.states.bounds import Bounds
from gorun_mem.explore.states.found import schedule_of
from gorun_mem.explore.states.rerun import Path, RerunSearch
from gorun_mem.explore.states.values import Unreadable
from gorun_mem.explore.states.verification import runs_of
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word
from tests import ROOT

FOLDER = ROOT / "tests" / "locks"
SOUND = {
    "ticket.py:TicketLock": 2, "mcs.py:MCSLock": 1, "clh.py:CLHLock": 2,
    "peterson.py:PetersonLock": 2, "dekker.py:DekkerLock": 2, "bakery.py:BakeryLock": 1,
    "drepper.py:DrepperLock": 2, "with_cond.py:CondLock": 1,
}  # fmt: skip
BROKEN = {
    "ticket.py:BrokenTicketLock": (2, "got the lock that"),
    "mcs.py:BrokenMCSLock": (2, "no progress|alone"),
    "clh.py:BrokenCLHLock": (2, "alone does not get|got the lock"),
    "peterson.py:BrokenPetersonLock": (2, "got the lock that"),
    "dekker.py:BrokenDekkerLock": (2, "got the lock that"),
    "bakery.py:BrokenBakeryLock": (2, "got the lock that"),
    "drepper.py:BrokenDrepperLock": (3, "deadlock: M"),
    "with_cond.py:StaleCondLock": (2, "got the lock that|deadlock"),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_lock_holds(name: str) -> None:
    """In every state of two Ms."""
    found = verify(str(FOLDER / name), ms=2, pairs=SOUND[name])
    assert (found.verdict, found.wrong) == ("holds", "")
    assert found.states > 20


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_does_not(name: str) -> None:
    """With a way there that its token makes again."""
    ms, wrong = BROKEN[name]
    found = verify(str(FOLDER / name), ms=ms, pairs=1 if ms == 3 else 2)
    assert found.verdict == "failed"
    assert any(text in found.wrong for text in wrong.split("|")), found.wrong
    again = make_again(schedule_of(found))
    assert (again.divergence, again.found.wrong) == ("", found.wrong)
    assert [step.text for step in again.found.trace] == [step.text for step in found.trace]


@pytest.mark.parametrize("name", ["mcs.py:MCSLock", "drepper.py:DrepperLock", "clh.py:CLHLock"])
def test_states_that_are_one_have_one_future(name: str) -> None:
    """Two ways to one state: whatever comes then is the same, step by step and state by state."""
    random = Random(3)
    make = runs_of(Bounds(subject=str(FOLDER / name), ms=2, pairs=2))
    search = RerunSearch(make, 1, None)
    ways: dict[object, list[Path]] = {}
    for _ in range(150):
        run, path = make(), ()
        for _ in range(random.randrange(30)):
            able = run.able()
            if not able:
                break
            step = (random.choice(able), (0,))
            run.step(*step)
            path = (*path, step)  # type: ignore[assignment]
        ways.setdefault(run.state(), []).append(path)
        run.close()
    pairs = [two for two in ways.values() if len(set(two)) > 1]
    assert len(pairs) >= 10
    for one, other, *_ in pairs:
        a, b = search.come_to(one), search.come_to(other)
        for _ in range(40):
            assert a.able() == b.able()
            if not a.able():
                break
            place = random.choice(a.able())
            assert a.step(place, (0,)) == b.step(place, (0,))
            assert a.state() == b.state()
        a.close()
        b.close()


class KeepsAFile(Mutex):
    """Holds what cannot be compared."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.word = Word("word", 0)
        self.seen = memoryview(b"x")

    async def lock(self, m: object) -> None:
        await self.word.store(1)

    async def unlock(self, m: object) -> None:
        await self.word.store(0)


def test_what_cannot_be_compared_is_said() -> None:
    """No state is taken for another on a guess."""
    with pytest.raises(Unreadable, match="a memoryview cannot be compared"):
        verify(KeepsAFile)
