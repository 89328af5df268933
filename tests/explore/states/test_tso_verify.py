"""`verify --memory tso`: locks whose stores may be late."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from gorun_mem import verify
from gorun_mem.explore.states.again import make_again
from gorun_mem.explore.states.bounds import VerifyError
from gorun_mem.explore.states.examine import Examination, Reductions
from gorun_mem.explore.states.found import schedule_of
from gorun_mem.explore.states.locks import LockModel
from gorun_mem.explore.states.parts import LATE_MAX
from gorun_mem.locks import Mutex, UnlockOp, state
from gorun_mem.runtime.behaviour import KNOWN, PLATFORMS, UnknownRelease
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.mutex import default_mutex
from gorun_mem.runtime.mutex.settings import USUAL
from gorun_mem.runtime.mutex.spinbit import SpinbitMutex
from gorun_mem.runtime.op import MLike
from gorun_mem.sync import Word
from tests.explore.states.late_release import (
    FencedMutex,
    FencedRelease,
    LateGive,
    LateMutex,
    LateRelease,
)


def _locks() -> list[tuple[str, str]]:
    """Every lock that a release has on one of its platforms, with one M or with several."""
    found = set()
    for name in KNOWN:
        for platform in PLATFORMS:
            try:
                find_release(name).platform(platform)
            except UnknownRelease:
                continue
            found |= {(default_mutex(name, platform, ms), name) for ms in (1, 2)}
    return sorted(found)


@pytest.mark.parametrize(("mutex", "release"), _locks())
def test_the_locks_of_every_release_hold(mutex: str, release: str) -> None:
    """On one CPU and on several: their stores that matter are exchanges and compare-and-swaps."""
    for cpus in (1, 4):
        found = verify(mutex, release=release, cpus=cpus, memory="tso")
        assert found.verdict == "holds"
        assert "total store order memory" in found.sentence


@pytest.mark.parametrize("bounds", [
    {"mutex": "futex"}, {"mutex": "futex", "spurious": True}, {"mutex": "js"}, {"mutex": "wasip1"},
    {"mutex": "spinbit", "low_latency": True}, {"mutex": "spinbit", "profile": True},
    {"mutex": "spinbit", "ms": 3, "pairs": 1, "cpus": 1},
    {"mutex": "sema", "ms": 3, "cpus": 1, "release": "go1.23"},
])  # fmt: skip
def test_the_others_hold_too(bounds: dict[str, Any]) -> None:
    """futex, which Go has on Linux, the locks of one M, and spinbit in all its settings."""
    assert verify(**bounds, memory="tso").verdict == "holds"


def test_stores_of_spinbit_are_late() -> None:
    """It clears its link to the next sleeper by a plain store: there are more states than under
    sc."""
    states = {memory: verify("spinbit", memory=memory).states for memory in ("sc", "tso")}
    assert states["tso"] > states["sc"]


@pytest.mark.parametrize(
    ("late", "fenced"), [(LateRelease, FencedRelease), (LateMutex, FencedMutex)]
)
def test_a_late_release_is_found(late: type, fenced: type) -> None:
    """A lock word, and a count of sleepers in another: a plain store gives the lock back, the count
    is looked at before that is in memory, and an M sleeps for ever. Under sc nothing is wrong, and
    nothing is with an exchange."""
    assert verify(late, pairs=1, ms=2).verdict == "holds"
    assert verify(fenced, pairs=1, ms=2, memory="tso").verdict == "holds"
    found = verify(late, pairs=1, ms=2, memory="tso")
    assert found.verdict == "failed"
    assert found.wrong.startswith("deadlock")
    assert found.trace[-1].text == "store of key reaches memory"


def test_a_counterexample_is_made_again() -> None:
    """By its token: to the same deadlock, the steps of the buffer included."""
    where = f"{__file__.removesuffix('test_tso_verify.py')}late_release.py:LateMutex"
    found = verify(where, memory="tso")
    again = make_again(schedule_of(found))
    assert not again.divergence
    assert [step.text for step in again.found.trace] == [step.text for step in found.trace]
    assert again.found.bounds.memory == "tso"


@pytest.mark.parametrize("cls", [LateMutex, FencedMutex, SpinbitMutex])
def test_no_reduction_changes_what_is_found(cls: Any) -> None:
    """With and without local steps, dead registers and symmetry: the same complaints, and the same
    ends."""
    results = []
    for reductions in (Reductions(), Reductions(local=False, dead=False, symmetry=False)):
        model = LockModel(cls, USUAL, ms=2, cpus=1)
        model.buffers = True
        found = Examination(model, 2, reductions=reductions, collect=True).run()
        assert found.complete
        results.append((found.complaints, {end.words[:2] for end in found.ends}))
    assert results[0] == results[1]


class StoresMuch(LateGive):
    """Stores more than a buffer may hold before it looks."""

    __slots__ = ("left",)
    REGISTERS = ("left",)
    left: int

    @state("atomic.load")
    def look(self, m: MLike) -> object:
        self.left = LATE_MAX
        return self.goto(m, "once_more")

    @state("store")
    def once_more(self, m: MLike) -> object:
        self.store(m, "sleepers", 0)
        self.left -= 1
        return self.goto(m, "once_more") if self.left else None


class Overflowing(LateMutex):
    """Fills its buffer."""

    unlock_op: ClassVar[type[UnlockOp]] = StoresMuch


class Filling(Mutex):
    """A coroutine that does."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.key, self.more = Word("key"), Word("more")

    async def lock(self, m: Any) -> None:
        while not await self.key.cas(0, 1):
            pass

    async def unlock(self, m: Any) -> None:
        for _ in range(LATE_MAX + 1):
            await self.more.store_release(1)
        await self.key.store(0)


@pytest.mark.parametrize("lock", [Overflowing, Filling])
def test_a_full_buffer_is_no_proof(lock: type) -> None:
    """A buffer is bounded here and not in the model: what is beyond is named."""
    assert verify(lock, pairs=1, ms=1).verdict == "holds"
    found = verify(lock, pairs=1, ms=1, memory="tso")
    assert found.verdict == "inconclusive"
    assert f"at most {LATE_MAX} stores" in found.sentence


def test_what_memory_is_said() -> None:
    """In the sentence and in the document, whichever it is."""
    for memory, words in (("sc", "sequentially consistent memory"), ("tso", "total store order")):
        found = verify("queue", memory=memory)
        assert words in found.sentence
        assert found.document()["memory"] == memory


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"mutex": "note-futex"}, "is for locks"),
        ({"mutex": "semaphore"}, "is the kernel's"),
        ({"mutex": "sema", "live": True}, "--live with --memory tso"),
    ],
)
def test_what_cannot_be_is_refused(bounds: dict[str, Any], said: str) -> None:
    """Notes, the kernel's words and liveness, with what to do instead."""
    with pytest.raises(VerifyError, match=said):
        verify(**bounds, memory="tso")
    with pytest.raises(VerifyError, match="sc or tso"):
        verify("sema", memory="pso")
