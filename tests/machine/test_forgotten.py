"""What an M makes and never awaits ends the run, the search and the test."""

from __future__ import annotations

import gc
import re
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from gorun_mem import M, Op, World, scenario
from gorun_mem.explore import explore
from gorun_mem.machine.outcome import NeverAwaited
from gorun_mem.runtime.op import MLike
from gorun_mem.sync import Word
from tests.machine.machine_workloads import HOSTS, assert_ended, logged

MARK = "# here"


def line_of(text: str, mark: str = MARK) -> str:
    """The source line of this file that a message names."""
    found = re.search(r"test_forgotten\.py:(\d+)", text)
    assert found is not None, text
    number = int(found[1])
    with open(__file__) as file:
        return file.read().splitlines()[number - 1]


async def helper(m: M) -> None:
    await m.pause()


def calls_a_method(m: M, cell: Any) -> None:
    m.sys_alloc(65536)  # here


def makes_an_operation(m: M, cell: Any) -> None:
    cell.add(1)  # here


def takes_a_lock(m: M, cell: Any) -> None:
    m.world.memlock.lock("main.f")  # here


def calls_a_function_of_its_own(m: M, cell: Any) -> None:
    helper(m)  # here


FORGETS = (calls_a_method, makes_an_operation, takes_a_lock, calls_a_function_of_its_own)


def program(forget: Any, *, after: Any = 1) -> Any:
    """A scenario in which the second M does `forget` between two operations of its own."""

    @scenario(ms=2)
    async def forgetful(world: World) -> None:
        cell = Word("x")

        async def good(m: M) -> None:
            addr = await m.sys_alloc(4096)
            await m.sys_free(addr, 4096)
            await helper(m)

        async def bad(m: M) -> None:
            for _ in range(after):
                await cell.load()
            forget(m, cell)
            await cell.load()

        async with world.open_ms() as ms:
            ms.start_soon(good)
            ms.start_soon(bad)

    return forgetful


@pytest.mark.parametrize("forget", FORGETS)
def test_a_run_fails_with_the_line(forget: Any) -> None:
    """On either host with the same log; what is forgotten is an error of the M that forgot it."""
    logs = [logged(program(forget), host) for host in HOSTS]
    for log in logs:
        assert (log.outcome.verdict, log.outcome.exit_code) == ("failed", 1)
        assert isinstance(log.outcome.error, NeverAwaited)
        assert log.outcome.failed_m == 2
        assert MARK in line_of(str(log.outcome.error))
        assert "write `await` there" in str(log.outcome.error)
        assert_ended(log.events, "failed")
        assert log.events[-1].error_type == "never_awaited"
    assert list(logs[0].events) == list(logs[1].events)


@pytest.mark.parametrize("host", HOSTS)
def test_what_a_variable_holds_is_found_when_that_goes(host: str) -> None:
    """At the end of the M at the latest; of a coroutine the line where it was made is known."""

    @scenario(ms=1)
    async def keeps(world: World, *, method: bool = False) -> None:
        cell = Word("x")

        async def bad(m: M) -> None:  # of the operation
            kept = m.sys_alloc(1) if method else cell.add(1)  # here
            await cell.load()
            assert kept

        async with world.open_ms() as ms:
            ms.start_soon(bad)

    error = logged(keeps, host, {"method": True}).outcome.error
    assert MARK in line_of(str(error))
    error = logged(keeps, host).outcome.error
    assert str(error).startswith("<atomic.add x> was made somewhere in bad, which begins at ")
    assert "# of the operation" in line_of(str(error))


@pytest.mark.parametrize("host", HOSTS)
def test_the_scenario_itself_may_forget(host: str) -> None:
    """M 0 is watched as the others are."""

    @scenario(ms=1)
    async def itself(world: World) -> None:
        world.main.sleep(5)  # here

    log = logged(itself, host)
    assert MARK in line_of(str(log.outcome.error))
    assert log.outcome.failed_m == 0


@pytest.mark.parametrize("forget", FORGETS)
@pytest.mark.parametrize("strategy", ["exhaustive", "random"])
def test_a_search_finds_it(forget: Any, strategy: str) -> None:
    """The failure has a signature of its own, and its token leads to it again."""
    found = explore(program(forget), strategy=strategy, budget=50)
    assert found.verdict == "failed"
    assert found.failure is not None
    assert found.failure.signature.kind == "never_awaited"
    assert MARK in line_of(found.failure.signature.site)
    assert MARK in line_of(found.failure.text)


def test_a_search_finds_it_on_the_one_path_that_has_it() -> None:
    """No schedule is called good that another would have shown to be bad."""

    @scenario(ms=2)
    async def rarely(world: World, *, fixed: bool = False) -> None:
        cell = Word("x")

        async def first(m: M) -> None:
            await cell.store(1)
            await cell.store(2)

        async def second(m: M) -> None:
            if await cell.load() == 1:
                made = cell.add(1)
                if fixed:
                    await made

        async with world.open_ms() as ms:
            ms.start_soon(first)
            ms.start_soon(second)

    assert explore(rarely, strategy="exhaustive").verdict == "failed"
    fixed = explore(rarely, strategy="exhaustive", options={"fixed": True})
    assert fixed.verdict == "exhausted"


@pytest.mark.parametrize("host", HOSTS)
def test_awaited_ones_are_not_mentioned(host: str) -> None:
    """Kept and awaited later, performed, stepped by another, or left by an error of its own."""

    class Twice(Op):
        __slots__ = ("_inner",)
        kind = "twice"
        obj = "x"

        def __init__(self, inner: Any) -> None:
            inner.awaited = True
            self._inner = inner

        def step(self, m: MLike) -> Any:
            self._inner.step(m)
            return self._inner.step(m)

    @types.coroutine
    def yields(op: Any) -> Iterator[Any]:
        op.awaited = True
        return (yield op)

    class Refused(Op):
        __slots__ = ()

        def __init__(self, n: int) -> None:
            raise ValueError(n)

    @scenario(ms=1)
    async def good(world: World) -> None:
        cell = Word("x")

        async def worker(m: M) -> None:
            later = [cell.add(1), m.sys_alloc(4096)]
            await m.pause()
            for one in later:
                await one
            await m.perform(cell.add(1))
            assert await Twice(cell.add(1)) == 4
            await yields(cell.add(1))
            await m.lock(world.memlock)
            await m.unlock(world.memlock)
            with pytest.raises(ValueError, match="3"):
                Refused(3)

        with pytest.raises(ZeroDivisionError):
            async with world.open_ms() as ms:
                raise ZeroDivisionError
        async with world.open_ms() as ms:
            ms.start_soon(worker)
        world.result("x", cell.value)

    log = logged(good, host)
    assert log.outcome.error is None
    assert log.run.results["x"] == 5


def test_what_a_world_aside_forgets_is_raised() -> None:
    """It is that World's failure, and ends the M that had it run."""

    @scenario(ms=1)
    async def outer(world: World) -> None:
        async def inner(other: Any) -> None:
            Word("x").add(1)  # here

        world.aside(inner)

    log = logged(outer)
    assert isinstance(log.outcome.error, NeverAwaited)
    assert MARK in line_of(str(log.outcome.error))


def test_what_the_collector_drops_is_no_ms() -> None:
    """It goes at another time in another run, so nobody is blamed for it."""

    @scenario(ms=1)
    async def cycle(world: World) -> None:
        made = [Word("x").add(1)]
        made.append(made)  # type: ignore[arg-type]
        del made
        gc.collect()

    assert logged(cycle).outcome.ok


@pytest.mark.parametrize("host", HOSTS)
def test_the_interpreter_is_left_as_it_was(host: str) -> None:
    """Its own warning is said of what is forgotten outside of a run, also within the same trio."""
    hook, tracking = warnings._warn_unawaited_coroutine, sys.get_coroutine_origin_tracking_depth()  # type: ignore[attr-defined]
    for forget in (calls_a_method, lambda m, cell: None):
        logged(program(forget), host)
        assert warnings._warn_unawaited_coroutine is hook  # type: ignore[attr-defined]
        assert sys.get_coroutine_origin_tracking_depth() == tracking
    with pytest.warns(RuntimeWarning, match="never awaited"):
        helper(None)  # type: ignore[arg-type]


@pytest.mark.trio
async def test_other_tasks_of_trio_are_not_watched() -> None:
    """A coroutine that another task forgets while a World runs is that task's own business."""
    import trio

    from gorun_mem.machine.run import run_on_trio

    @scenario(ms=1)
    async def waits(world: World) -> None:
        await trio.sleep(0.02)

    async def other() -> None:
        with pytest.warns(RuntimeWarning, match="never awaited"):
            helper(None)  # type: ignore[arg-type]
        Word("x").add(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        ended = await run_on_trio(waits, waits.config())
    assert ended.outcome.ok
