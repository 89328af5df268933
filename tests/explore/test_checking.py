"""Checking mode: an operation that does not say what it touches is found, and its twin is not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gorun_mem.explore.checking import check_operations
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex import NOTES, make_note
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.op import Op
from gorun_mem.sync import Cell
from tests.explore.brute_force import draw_program, main_of

Main = Callable[[World], Coroutine[Any, Any, None]]


class Say(Op):
    """An operation that says one thing and does another."""

    def __init__(self, kind: str, obj: str, reads: bool, effect: Callable[[], object]) -> None:
        self.kind, self.obj, self.reads_only = kind, obj, reads
        self._effect = effect

    def step(self, m: Any) -> object:
        return self._effect()


class Honest(Say):
    """One that does not."""


Maker = Callable[[Cell, Cell], Op]


def beside(liar: Maker, honest: Callable[[Cell, Cell], list[Op]]) -> Main:
    """Two Ms that do the one, one M that does the other."""

    async def main(world: World) -> None:
        x, y = Cell("x"), Cell("y")

        async def lie(m: M) -> None:
            for _ in range(2):
                await liar(x, y)

        async def work(m: M) -> None:
            for op in honest(x, y):
                await op

        async with world.open_ms() as ms:
            ms.start_soon(lie)
            ms.start_soon(lie)
            ms.start_soon(work)

    return main


def bump(cell: Cell) -> int:
    cell.value += 1
    return int(cell.value)


def raise_at(cell: Cell, value: int) -> None:
    if cell.value == value:
        raise RuntimeError("seen")


LIARS: dict[str, tuple[Maker, Maker, tuple[str, str]]] = {
    "reads_only, and changes it": (
        lambda x, y: Say("peek", "x", True, lambda: bump(x)),
        lambda x, y: Honest("bump", "x", False, lambda: bump(x)),
        ("peek", "x"),
    ),
    "changes another object": (
        lambda x, y: Say("poke", "x", False, lambda: bump(y)),
        lambda x, y: Honest("poke", "y", False, lambda: bump(y)),
        ("poke", "x"),
    ),
    "reads_only, and changes another object": (
        lambda x, y: Say("peek", "x", True, lambda: bump(y) * 0),
        lambda x, y: Honest("peek", "y", False, lambda: bump(y) * 0),
        ("peek", "x"),
    ),
    "reads another object": (
        lambda x, y: Say("look", "z", True, lambda: y.value),
        lambda x, y: Honest("look", "y", True, lambda: y.value),
        ("look", "z"),
    ),
    "says it touches nothing": (
        lambda x, y: Say("compute", "cpu", True, lambda: bump(y)),
        lambda x, y: Honest("change", "y", False, lambda: bump(y)),
        ("compute", "cpu"),
    ),
    "fails by another object": (
        lambda x, y: Say("look", "z", True, lambda: raise_at(y, 7)),
        lambda x, y: Honest("look", "y", True, lambda: raise_at(y, 7)),
        ("look", "z"),
    ),
}


def honest_work(x: Cell, y: Cell) -> list[Op]:
    return [y.load(), x.load(), y.store(7), x.store(8), y.load(), x.load()]


@pytest.mark.parametrize("name", LIARS)
@pytest.mark.parametrize("seed", range(3))
def test_a_liar_is_found_and_named(name: str, seed: int) -> None:
    """By its class, its kind and the object it says; beside operations that are believed."""
    liar, _, (kind, obj) = LIARS[name]
    target = Target.of(beside(liar, honest_work), Config(ms=3))
    checked = check_operations(target, runs=16, seed=seed)
    assert checked.lies
    assert {(lie.op.cls, lie.op.kind, lie.op.obj) for lie in checked.lies if lie.sure} == {
        (f"{__name__}.Say", kind, obj)
    }
    assert f"{__name__}.Say ({kind} {obj}" in str(checked.lies[0])


@pytest.mark.parametrize("name", LIARS)
def test_its_twin_is_not(name: str) -> None:
    """The same effect, said."""
    _, twin, _ = LIARS[name]
    checked = check_operations(Target.of(beside(twin, honest_work), Config(ms=3)), runs=20)
    assert checked.lies == []
    assert checked.pairs > 20


def test_of_two_of_a_users_own_both_are_named() -> None:
    """Two runs cannot tell which of them is it, and the message says so."""

    def work(x: Cell, y: Cell) -> list[Op]:
        return [Honest("store", "y", False, lambda: y.__setattr__("value", 7))]

    liar = LIARS["changes another object"][0]
    lies = check_operations(Target.of(beside(liar, work), Config(ms=3))).lies
    assert lies
    assert not any(lie.sure for lie in lies)
    named = {f"{__name__}.Say (poke x)", f"{__name__}.Honest (store y)"}
    assert all(set(str(lie).split(" touches what ")[0].split(" or ")) == named for lie in lies)


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernels_say_what_they_touch(name: str) -> None:
    """Each kernel and its twin, whatever else is wrong with it."""
    for target in (KERNELS[name].target(), KERNELS[name].twin()):
        assert check_operations(target, runs=6).lies == []


def test_what_programs_are_made_of_says_what_it_touches() -> None:
    """Variables, locks, events, wait lists, choices, Ms that start Ms, of random programs."""
    pairs = 0
    classes: set[str] = set()
    for seed in range(150):
        checked = check_operations(Target.of(main_of(*draw_program(seed))), runs=2, seed=seed)
        assert checked.lies == [], seed
        pairs += checked.pairs
        classes |= checked.classes
    assert pairs > 500
    known = {"_Load", "_Store", "_Add", "_CompareAndSwap", "Entry", "Effect", "_Draw", "_Sleep"}
    assert known <= {name.rsplit(".", 1)[1] for name in classes}


def of_runtime(make: Callable[[World, str], StateMutex] | None) -> Main:
    """Locks, memory, words of it, time and chance."""

    async def main(world: World) -> None:
        locks = [make(world, name) for name in ("a", "b")] if make is not None else []
        shared = await world.main.sys_alloc(8192)

        async def work(m: M, at: int) -> None:
            for lock in locks[at % 2 :]:
                await m.lock(lock)
            await m.store(shared + 8 * at, m.id)
            await m.load(shared)
            for lock in locks[at % 2 :]:
                await m.unlock(lock)
            addr = await m.sys_alloc(8192 * (1 + m.randrange(2)))
            if await m.choose(False, True):
                await m.store(addr, 1)
            await m.pause()
            await m.compute(10)
            await m.sys_free(addr, 8192)

        async with world.open_ms() as ms:
            for at in range(3):
                ms.start_soon(work, at)

    return main


@pytest.mark.parametrize("mutex", ["queue", "sema", "futex", "spinbit", "any"])
def test_the_runtime_says_what_it_touches(mutex: str) -> None:
    """Every algorithm's lock and unlock, and what is done to the memory under it."""
    config = Config(ms=3, mutex=mutex)

    def make(world: World, name: str) -> StateMutex:
        return world.mutex(name)

    checked = check_operations(Target.of(of_runtime(make), config), runs=6, pairs_max=40)
    assert checked.lies == []
    assert checked.pairs > 60
    mutex = {"any": "choice"}.get(mutex, mutex)
    names = {name.rsplit(".", 1)[1].lower() for name in checked.classes}
    assert {f"{mutex}lock", f"{mutex}unlock", "access", "start", "pause"} <= names


def test_every_access_of_the_allocator_says_what_it_touches() -> None:
    """With no lock at all, so that they meet."""
    config = Config(ms=3, mutex="none", granularity="access", platform="plan9/amd64")
    checked = check_operations(Target.of(of_runtime(None), config), runs=6, pairs_max=40)
    assert checked.lies == []
    assert any(name.endswith(".Point") for name in checked.classes)


@pytest.mark.parametrize("flavour", sorted(NOTES))
def test_notes_say_what_they_touch(flavour: str) -> None:
    """A note that is slept on, woken and cleared, beside another."""

    async def main(world: World) -> None:
        notes = [make_note(flavour, name) for name in ("n", "o")]

        async def wake(m: M) -> None:
            for note in notes:
                await note.wakeup()

        async def sleep(m: M, at: int) -> None:
            await notes[at].sleep()
            await notes[at].clear()

        async with world.open_ms() as ms:
            ms.start_soon(wake)
            ms.start_soon(sleep, 0)
            ms.start_soon(sleep, 1)

    checked = check_operations(Target.of(main, Config(ms=3)), runs=10)
    assert checked.lies == []
    assert checked.pairs > 5
