"""The order of locks, as GOEXPERIMENT=staticlockranking checks it."""

from __future__ import annotations

import pytest

from gorun_mem.runtime.behaviour import KNOWN, release
from gorun_mem.runtime.errors import Throw
from gorun_mem.runtime.mutex import LEAF, RankMode, StateMutex, make
from gorun_mem.runtime.mutex.rank import RANKS, TABLES, RankChecks, UnknownRank
from gorun_mem.step.solo import SoloM, solo


def locks(
    mode: RankMode, *ranks: str, release: str = "go1.27", mutex: str = "js"
) -> list[StateMutex]:
    return [
        make(mutex, release, lock_name=f"{rank}{i}", rank=rank, rank_checks=mode)
        for i, rank in enumerate(ranks)
    ]


def checks(name: str) -> RankChecks:
    return RankChecks("throw", release(name).behaviour.lock_ranks)


async def take(mutexes: list[StateMutex]) -> None:
    for mutex in mutexes:
        await mutex.lock()


async def give_back(mutexes: list[StateMutex]) -> None:
    for mutex in mutexes:
        await mutex.unlock()


@pytest.mark.parametrize("mutex", ["js", "sema", "futex", "spinbit", "queue"])
@pytest.mark.parametrize("release", ["go1.19", "go1.20", "go1.23", "go1.27"])
def test_right_order_passes(mutex: str, release: str) -> None:
    """mheap, then globalAlloc, then memlock is how the runtime takes them; any order of unlocks."""
    taken = locks("throw", "mheap", "globalAlloc", LEAF, release=release, mutex=mutex)
    m = SoloM()
    solo(take(taken), m)
    solo(give_back([taken[1], taken[0], taken[2]]), m)
    assert (m.go.held, m.locks) == ([], 0)


@pytest.mark.parametrize("mutex", ["js", "sema", "futex", "spinbit", "queue"])
@pytest.mark.parametrize(
    "order", [("globalAlloc", "mheap"), (LEAF, "mheap"), (LEAF, LEAF), ("mheap", "mheap")]
)
def test_wrong_order_throws(mutex: str, order: tuple[str, str]) -> None:
    """A lower rank, a second leaf and a second lock of a rank throw, and nothing is taken."""
    first, second = locks("throw", *order, mutex=mutex)
    m = SoloM()
    with pytest.raises(Throw, match=r"^throw lock ordering problem$") as caught:
        solo(take([first, second]), m)
    assert caught.value.printed[1].startswith(f"0 : {order[0]} ")
    assert caught.value.printed[2].endswith(second.name)
    assert (m.go.held, second.holder, second.snapshot()) == ([first], None, (0,))


def test_ordinary_build_checks_nothing() -> None:
    """Without the checks the same order passes, as in an ordinary build of Go."""
    m = SoloM()
    solo(take(locks("off", "globalAlloc", "mheap")), m)
    assert len(m.go.held) == 2


def test_report_logs_and_goes_on() -> None:
    """In mode "report" a violation is a lock.throw event of type rank, and the lock is taken."""

    class Sink:
        seen: list[tuple[object, ...]]

        def lock_throw(self, *fields: object) -> None:
            self.seen.append(fields)

        def lock_acquire(self, *fields: object) -> None:
            pass

    sink = Sink()
    sink.seen = []
    taken = locks("report", "globalAlloc", "mheap")
    taken[1].sink = sink  # type: ignore[assignment]
    m = SoloM()
    solo(take(taken), m)
    assert sink.seen == [("mheap1", "", "rank", 0, "")]
    assert m.go.held == taken


def test_unlock_of_a_lock_not_held() -> None:
    """unlockWithRank throws before unlock2 sees the lock."""
    (mutex,) = locks("throw", "mheap", mutex="sema")
    with pytest.raises(Throw, match=r"^throw unlock without matching lock acquire$"):
        solo(give_back([mutex]), SoloM())


def test_ten_locks_at_most() -> None:
    """The eleventh lock held at once throws, whatever its rank."""
    chain = ["sysmon", "scavenge", "sched", "spanSetSpine", "stackpool", "mheap", "mheapSpecial"]
    m = SoloM()
    solo(take(locks("throw", *chain, "globalAlloc", LEAF)), m)
    solo(take(locks("off", LEAF)), m)
    with pytest.raises(Throw, match=r"^throw too many locks held concurrently"):
        solo(take(locks("throw", LEAF)), m)


def test_numbers_and_pairs_by_release() -> None:
    """The numbers moved between releases; 1.19 allowed fewer pairs than the closure of 1.21."""
    checks_of = {minor: checks(f"go1.{minor}.0") for minor in range(19, 28)}
    assert [checks_of[minor].number("mheap") for minor in (19, 20, 21, 23, 26, 27)] == [
        38, 43, 43, 48, 56, 57,
    ]  # fmt: skip
    assert checks_of[27].allows("sched", "globalAlloc")
    assert not checks_of[19].allows("sched", "globalAlloc")
    assert checks_of[19].allows("mheap", "globalAlloc")
    assert checks_of[27].number(LEAF) == 1000
    for minor in range(20, 28):
        number = checks_of[minor].number
        for rank, entry in RANKS.items():
            assert all(number(below) < number(rank) for below in entry.over)


def test_1234_moved_the_numbers() -> None:
    """1.23.4 put a rank before sweep: from there on all are one higher than in 1.23.0 to 1.23.3,
    and what the throw prints has that release's number."""
    before, after = checks("go1.23.3"), checks("go1.23.4")
    assert {name: after.number(name) - before.number(name) for name in RANKS} == {
        name: 0 if name in ("sysmon", "scavenge") else 1 for name in RANKS
    }
    for name, printed in (("go1.23.3", "0 : mheap 48 mheap0"), ("go1.23.4", "0 : mheap 49")):
        with pytest.raises(Throw, match="lock ordering problem") as caught:
            solo(take(locks("throw", "mheap", "sweep", release=name)), SoloM())
        assert caught.value.printed[1].startswith(printed)


def test_every_release_has_a_table_and_every_table_a_release() -> None:
    """What a release calls its ranks is a column of the table, and no column is for nobody."""
    named = {release(name).behaviour.lock_ranks for name in (*KNOWN, "go1.23.3")}
    assert named == set(TABLES)
    assert all(len(entry.numbers) == len(TABLES) for entry in RANKS.values())


def test_unknown_rank_names_the_nearest() -> None:
    """A misspelt rank is answered with the nearest."""
    with pytest.raises(UnknownRank, match=r"no lock rank 'mhaep': did you mean mheap\?"):
        make("js", "go1.27", rank="mhaep")
