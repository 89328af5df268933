"""A lock of one's own, as a class or as FILE.py:Class, is a runtime lock as every other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

import pytest

from gorun_mem import M, World, scenario
from gorun_mem.explore import explore
from gorun_mem.explore.target import Target
from gorun_mem.locks import (
    LockOp,
    MLike,
    Mutex,
    MutexFileError,
    StateMutex,
    load_mutex,
)
from gorun_mem.machine.config import Config, ConfigError
from gorun_mem.machine.library import find
from gorun_mem.machine.outcome import in_words
from gorun_mem.machine.run import run
from gorun_mem.machine.trampoline import drive
from gorun_mem.runtime.errors import IllegalUse, Throw
from gorun_mem.runtime.mutex import UnknownMutex, make
from gorun_mem.service.byhand import LocksByHand
from gorun_mem.step.solo import SoloM, solo
from gorun_mem.sync import Word
from tests.locks.mcs import MCSLock
from tests.locks.ticket import BrokenTicketLock, TicketLock

SWAPPING = """
from gorun_mem.locks import LockOp, StateMutex, UnlockOp, state, CPU


class SwapLock(LockOp):
    __slots__ = ()
    FIRST = "swap"

    @state("atomic.xchg")
    def swap(self, m):
        before, self.mutex.key = self.mutex.key, 1
        if before:
            self.mutex.waits(m, self)
            return self.goto(m, "pause")
        self.mutex.acquired(m, self)

    @state("osyield", CPU)
    def pause(self, m):
        self.spins += 1
        return self.goto(m, "again")

    @state("atomic.xchg")
    def again(self, m):
        before, self.mutex.key = self.mutex.key, 1
        if before:
            return self.goto(m, "pause")
        self.mutex.acquired(m, self)


class SwapUnlock(UnlockOp):
    __slots__ = ()
    FIRST = "clear"

    @state("atomic.xchg")
    def clear(self, m):
        before, self.mutex.key = self.mutex.key, 0
        if not before:
            raise self.mutex.throw(m, self, "unlock of unlocked lock")
        self.mutex.released(m, self)


class SwapMutex(StateMutex):
    __slots__ = ()
    lock_op = SwapLock
    unlock_op = SwapUnlock
"""


def finished(world: World, program: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    """Run a program to its end; what ended it is raised."""
    drive(world.driver, program(world))
    if world.failure is not None:
        raise world.failure
    return world


async def storm(world: World) -> None:
    """Every M takes memlock a few times."""

    async def work(m: M) -> None:
        for _ in range(3):
            addr = await m.sys_alloc_os(4096)
            await m.sys_free_os(addr, 4096)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(work)


@pytest.mark.parametrize("strategy", ["timing", "random"])
def test_a_coroutine_lock_is_memlock(strategy: str) -> None:
    """It counts acquisitions, waits and who waited, and knows whether it is held."""
    world = finished(World(ms=3, mutex=TicketLock, strategy=strategy), storm)
    counted = world.lock_statistics()["memlock"]
    assert (counted.mutex, counted.acquisitions, counted.held) == ("TicketLock", 18, False)
    assert counted.contended == sum(share.contended for share in counted.by_m.values()) > 0
    assert counted.bypasses_max == 0
    assert world.settings.mutex == "tests/locks/ticket.py:TicketLock"
    assert world.settings.what_if


def test_a_state_lock_of_a_file_is_memlock(tmp_path: Path) -> None:
    """By its path; and its class is called by its name in statistics."""
    path = tmp_path / "swapping.py"
    path.write_text(SWAPPING)
    reference = f"{path}:SwapMutex"
    world = finished(World(ms=3, mutex=reference), storm)
    assert world.lock_statistics()["memlock"].mutex == "SwapMutex"
    assert world.lock_statistics()["memlock"].acquisitions == 18
    assert load_mutex(reference) is load_mutex(reference)
    assert load_mutex(str(path)).__name__ == "SwapMutex"
    assert issubclass(load_mutex(reference), StateMutex)


def test_two_locks_of_a_class_share_no_word() -> None:
    """What a lock makes of the kit bears its name; so does what it makes while it is taken."""

    class Lazy(TicketLock):
        async def lock(self, m: M) -> None:
            self.mine = Word(f"mine{m.id}")
            await super().lock(m)

    world = World(ms=1, mutex=Lazy)
    one, other = world.mutex("one"), world.mutex("other")

    async def program(world: World) -> None:
        await world.main.lock(one)
        await world.main.lock(other)
        await world.main.unlock(other)
        await world.main.unlock(one)

    finished(world, program)
    names = [[word.name for word in lock.made] for lock in (one, other)]  # type: ignore[attr-defined]
    assert names == [
        ["one:next", "one:serving", "one:mine0"], ["other:next", "other:serving", "other:mine0"],
    ]  # fmt: skip


def test_a_scenario_may_ask_for_one() -> None:
    """As a class, like any other setting; a class that no other process can find is not shared."""

    @scenario(ms=2, mutex=TicketLock)
    async def own(world: World) -> None:
        """Two Ms."""
        await storm(world)

    done = run(own, own.config())
    assert done.statistics.lock("memlock").mutex == "TicketLock"

    class Local(TicketLock):
        async def lock(self, m: M) -> None:
            await super().lock(m)

    assert Target.of(storm, Config(ms=2, mutex=TicketLock)).importable
    assert not Target.of(storm, Config(ms=2, mutex=Local)).importable


def test_a_search_finds_that_a_lock_does_not_exclude() -> None:
    """Two Ms are in it at once, told as a throw that names both; its repaired twin is exhausted."""

    async def program(world: World) -> None:
        lock = world.mutex("own")

        async def work(m: M) -> None:
            await m.lock(lock)
            await m.unlock(lock)

        async with world.open_ms() as ms:
            ms.start_soon(work)
            ms.start_soon(work)

    bad = explore(program, config=Config(ms=2, mutex=BrokenTicketLock), strategy="exhaustive")
    assert bad.failure is not None
    assert bad.failure.signature.kind == "throw"
    assert bad.failure.signature.obj == "gorun_mem: two Ms hold one lock"
    good = explore(program, config=Config(ms=2, mutex=TicketLock), strategy="exhaustive")
    assert good.verdict == "exhausted"


def test_unlocked_locks_and_locks_without_a_try_are_refused() -> None:
    """An unlock of an unlocked lock throws as Go's locks do; sema cannot be tried."""

    async def unlocks(world: World) -> None:
        await world.main.unlock(world.mutex("own"))

    async def tries(world: World) -> None:
        await world.main.try_lock(world.mutex("own"))

    with pytest.raises(Throw, match="unlock of unlocked lock"):
        finished(World(ms=1, mutex=TicketLock), unlocks)
    with pytest.raises(IllegalUse, match="own \\(sema\\) has no try_lock"):
        finished(World(ms=2, mutex="sema"), tries)


def test_a_lock_can_be_tried() -> None:
    """A try that succeeds holds the lock, one that fails leaves everything as it was."""
    seen = []

    async def program(world: World) -> None:
        lock = world.mutex("own")
        m = world.main
        seen.append(await m.try_lock(lock))
        seen.append(lock.holder is not None and lock.holder.m == 0)
        seen.append(await m.try_lock(lock))
        seen.append(m.locks)  # type: ignore[arg-type]
        await m.unlock(lock)
        seen.append(m.locks)  # type: ignore[arg-type]

    world = finished(World(ms=1, mutex=TicketLock), program)
    assert seen == [True, True, False, world.mutex("own").locks_delta, 0]


def test_the_order_of_locks_is_checked() -> None:
    """By rank, before the first access, as GOEXPERIMENT=staticlockranking does."""
    cls = load_mutex(TicketLock)
    heap, sched = (
        make(cls, "go1.27", lock_name=rank, rank=rank, rank_checks="throw")
        for rank in ("mheap", "sched")
    )

    async def take(*locks: StateMutex) -> None:
        for lock in locks:
            await lock.lock("here")

    async def give_back(lock: StateMutex) -> None:
        await lock.unlock("here")

    m = SoloM()
    solo(take(sched, heap), m)
    solo(give_back(heap), m)
    with pytest.raises(Throw, match="unlock without matching lock acquire"):
        solo(give_back(heap), m)
    with pytest.raises(Throw, match="lock ordering problem"):
        solo(take(heap, sched), SoloM(2))


def test_clients_of_a_service_try_it_by_its_own_way() -> None:
    """By the lock's try_lock; a lock that has none is refused, and nothing is held."""
    seen = []

    async def program(world: World) -> None:
        by_hand = LocksByHand(world, True, lambda mutex: None)
        for _ in range(2):
            seen.append(await by_hand.operations["try_lock"](world.main, "own"))  # noqa: PERF401

    finished(World(ms=1, mutex=TicketLock), program)
    assert seen == ["ok", "busy"]
    with pytest.raises(IllegalUse, match="own \\(MCSLock\\) has no try_lock"):
        finished(World(ms=1, mutex=MCSLock), program)


def test_what_a_lock_raises_is_the_programs_failure() -> None:
    """At the line of the lock's own file; it can be caught by the M that called."""

    class Failing(TicketLock):
        async def lock(self, m: M) -> None:
            await self.next.add(1)
            raise ValueError("on purpose")

    async def program(world: World) -> None:
        async def work(m: M) -> None:
            with pytest.raises(ValueError, match="on purpose"):
                await m.lock(world.mutex("own"))
            assert m.locks == 0

        async with world.open_ms() as ms:
            ms.start_soon(work)
        await world.main.lock(world.mutex("own"))

    world = World(ms=1, mutex=Failing)
    with pytest.raises(ValueError, match="on purpose"):
        finished(world, program)
    assert not world.driver.internal
    found = explore(program, config=Config(ms=1, mutex=Failing))
    assert found.failure is not None
    assert found.failure.signature.site.startswith("test_own_locks.py:")


class NoUnlock(Mutex):
    async def lock(self, m: MLike) -> None:
        """Not async enough: there is no unlock."""


class Half(StateMutex):
    lock_op = LockOp


class Plain(Mutex):
    def lock(self, m: MLike) -> None:  # type: ignore[override]  # which is the mistake
        """No coroutine."""

    async def unlock(self, m: MLike) -> None:
        """There."""


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (NoUnlock, "NoUnlock has no unlock: write `async def unlock(self, m)`"),
        (Plain, "Plain.lock is no async function: write `async def lock(self, m)`"),
        (Half, "Half has no unlock_op"),
        (int, "int is no lock: derive it from gorun_mem.locks.Mutex"),
    ],
)
def test_a_class_that_is_no_lock_is_refused_with_its_line(cls: type, why: str) -> None:
    """File, line and what to do."""
    with pytest.raises(MutexFileError) as refused:
        Config(mutex=cls)
    assert why in str(refused.value)
    if cls is not int:
        assert f"{Path(__file__)}:" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("\nnowhere\n", "", "does not run: NameError: name 'nowhere' is not defined, line 2"),
        ("x = 1\n", "", "own.py defines no lock: derive one from gorun_mem.locks.Mutex"),
        (SWAPPING, ":SwapMutx", "own.py has no class 'SwapMutx': did you mean SwapMutex?"),
        (SWAPPING, ":SwapLock", "own.py:5: SwapLock is no lock: derive it from"),
        (
            "from gorun_mem.locks import Mutex\nclass A(Mutex):\n    def __init__(self, name):\n"
            "        super().__init__(nam)\n    async def lock(self, m): ...\n"
            "    async def unlock(self, m): ...\n",
            ":A", "own.py:4: A cannot be made: NameError: name 'nam' is not defined",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_where_and_why(
    tmp_path: Path, text: str, name: str, why: str
) -> None:
    """The file's line, no traceback of ours."""
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(MutexFileError) as refused:
        World(mutex=f"{path}{name}")
    assert why in str(refused.value)


def test_a_file_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    """And a name that is no file's lists the mutexes."""
    (tmp_path / "ticket.py").write_text("")
    with pytest.raises(MutexFileError, match=r"tickt.py; scripts there are ticket.py"):
        load_mutex(f"{tmp_path}/tickt.py:TicketLock")
    with pytest.raises(UnknownMutex, match=r"FILE.py:Class is one of your own"):
        load_mutex("smea")


def test_access_granularity_still_wants_no_lock() -> None:
    """A lock of one's own excludes, so there is nothing to interleave."""
    with pytest.raises(ConfigError, match="no two Ms are ever inside a lock"):
        World(ms=2, mutex=TicketLock, granularity="access")


def test_an_own_lock_replays_from_its_token() -> None:
    """A token names the file, so another process finds it."""
    config = find("memlock_storm").config(ms=2, mutex=TicketLock)
    target = Target.of(find("memlock_storm"), config, {"rounds": "1"})
    assert target.about["config"]["mutex"] == "tests/locks/ticket.py:TicketLock"
    again = Target.from_about(target.about)
    assert again.settings.lock.__name__ == "TicketLock"


WRONG = """
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class Wrong(Mutex):
    def __init__(self, name):
        super().__init__(name)
        self.word = Word("w")

    async def lock(self, m):
        while not await self.word.cas(0, 1):
            await m.pauze()

    async def unlock(self, m):
        await self.word.store(0)


class Forgets(Wrong):
    async def lock(self, m):
        await self.word.load()
        self.word.store(0)


class Foreign(Wrong):
    async def lock(self, m):
        import trio
        await self.word.load()
        await trio.sleep(0)
"""


@pytest.mark.parametrize("host", ["trio", "trampoline"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Wrong", "AttributeError: 'M' object has no attribute 'pauze'\nat wrong.py:13, in lock"),
        ("Forgets", "<atomic.store memlock:w> was made at wrong.py:22 and never awaited"),
        ("Foreign", "lock memlock awaits what is no operation at "),
    ],
)
def test_what_fails_in_a_locks_file_is_told_with_its_line(
    tmp_path: Path, host: Literal["trio", "trampoline"], name: str, said: str
) -> None:
    """On either host, in the words of how the run ended."""
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    storm = find("memlock_storm")
    done = run(storm, storm.config(ms=3, mutex=f"{path}:{name}"), {"rounds": 3}, host=host)
    assert done.outcome.verdict == "failed"
    assert done.outcome.error is not None
    assert said in in_words(done.outcome.error, storm.file)
