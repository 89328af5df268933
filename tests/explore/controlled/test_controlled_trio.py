"""What a search of a trio program does beside trying every order."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from gorun_mem.explore import Schedule, Target, explore, replay
from gorun_mem.explore.controlled.versions import SUPPORTED, check_version
from gorun_mem.explore.report import render
from gorun_mem.machine.config import Config, ConfigError


def test_an_unknown_trio_is_refused_by_name() -> None:
    """Whoever has one is told which are known; this one is."""
    check_version()
    for minor in SUPPORTED:
        check_version(f"{minor}.0")
    for other in ("0.26.2", "0.36.0", "1.0", "unknown"):
        with pytest.raises(ConfigError, match=f"trio {other} is not known here.*0.27 to 0.35"):
            check_version(other)


# Waiting for ever.


async def _two_locks() -> None:
    first, second = trio.Lock(), trio.Lock()

    async def transfer(one: trio.Lock, other: trio.Lock) -> None:
        async with one, other:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(transfer, first, second)
        nursery.start_soon(transfer, second, first)


def test_a_deadlock_says_who_waits_where_for_what_and_who_holds_it() -> None:
    """With the program's lines; who only waits for those is left out."""
    failure = explore(_two_locks).failure
    assert failure is not None
    assert failure.signature.kind == "deadlock"
    assert len(failure.stuck) == 2
    assert {stuck.m for stuck in failure.stuck} == {1, 2}
    for stuck in failure.stuck:
        assert stuck.waits_for.startswith("Lock.acquire ")
        assert "at test_controlled_trio.py:" in stuck.waits_for
        assert stuck.held_by is not None
        assert stuck.held_by.m == 3 - stuck.m
        assert stuck.holds
    assert "The cycle: M1 -> M2 -> M1" in render(failure, Target.of(_two_locks))


def test_a_task_that_nobody_wakes_is_found_in_one_schedule() -> None:
    """No task can go on, and no deadline is left."""

    async def main() -> None:
        await trio.Event().wait()

    failure = explore(main, budget=1).failure
    assert failure is not None
    assert "Event.wait" in failure.text
    assert "test_controlled_trio.py:" in failure.text


# Time.


def test_time_is_virtual_and_jumps_where_nobody_can_go_on() -> None:
    """An hour's sleep takes no time, and deadlines are exact."""

    async def main() -> None:
        begun = trio.current_time()
        await trio.sleep(3600)
        assert trio.current_time() == begun + 3600
        with trio.move_on_after(0.5) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == begun + 3600.5

    begun = time.process_time()
    assert explore(main, strategy="exhaustive").outcome == "exhausted"
    assert time.process_time() - begun < 5


def test_deadlines_pass_in_their_order_and_only_when_nobody_can_go_on() -> None:
    """Unless they are the same: then in any."""
    seen = set()

    async def main() -> None:
        order: list[str] = []

        async def sleep(name: str, seconds: float) -> None:
            await trio.sleep(seconds)
            order.append(name)

        async with trio.open_nursery() as nursery:
            for name, seconds in (("b", 2), ("a", 1), ("c", 2)):
                nursery.start_soon(sleep, name, seconds)
        seen.add("".join(order))

    assert explore(main, strategy="exhaustive").outcome == "exhausted"
    assert seen == {"abc", "acb"}


def test_a_deadline_passes_at_any_moment_where_that_may_be() -> None:
    """The work that always won does not, with the fault "timeout"; and it is said."""

    async def main() -> None:
        with trio.move_on_after(10) as scope:
            await trio.sleep(1)
            await trio.lowlevel.checkpoint()
        assert not scope.cancelled_caught

    assert explore(main, strategy="exhaustive").outcome == "exhausted"
    found = explore(main, config=Config(faults=("timeout",)))
    assert found.failure is not None
    assert "a timer may fire at any moment before its time" in found.sentence
    token = Schedule.from_token(found.failure.token)
    again = replay(Target.of(main, Config(faults=("timeout",))), token)
    assert again.signature == found.failure.signature


def test_a_scope_is_cancelled_at_any_moment_where_that_may_be() -> None:
    """The cleanup that awaits is cut short, with the fault "cancel"; shielded it is not."""

    def program(shield: bool) -> Any:
        async def main() -> None:
            closed = []
            with trio.CancelScope():
                try:
                    await trio.lowlevel.checkpoint()
                finally:
                    with trio.CancelScope(shield=shield) as inner:
                        await trio.lowlevel.checkpoint()
                        closed.append(1)
            assert closed or inner.cancel_called

        return main

    config = Config(faults=("cancel",))
    assert explore(program(False), strategy="exhaustive").outcome == "exhausted"
    found = explore(program(False), config=config)
    assert found.failure is not None
    assert "canceller" in found.failure.ms.values()
    assert "may be cancelled at any moment, once in a run" in found.sentence
    assert explore(program(True), config=config, strategy="exhaustive").outcome == "exhausted"


def test_who_waits_until_all_are_blocked_waits_for_that() -> None:
    """`wait_all_tasks_blocked` comes back when nobody else can go on, before time jumps."""

    async def main() -> None:
        order: list[str] = []

        async def task() -> None:
            await trio.lowlevel.checkpoint()
            order.append("task")
            await trio.sleep(1)
            order.append("slept")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            await wait_all_tasks_blocked()
            order.append("main")
        assert order == ["task", "main", "slept"]

    assert explore(main, strategy="exhaustive").outcome == "exhausted"


# What trio has.


def test_structured_concurrency_is_trios_own() -> None:
    """Errors end siblings, groups nest, `start` waits for `started`, streams carry bytes."""

    async def main() -> None:
        cancelled = []

        async def sibling() -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                cancelled.append(1)
                raise

        async def fails() -> None:
            await trio.lowlevel.checkpoint()
            raise ValueError("no")

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sibling)
                nursery.start_soon(fails)
        except* ValueError:
            cancelled.append(2)
        assert cancelled[-1] == 2
        assert len(cancelled) in (1, 2)

        async def server(task_status: trio.TaskStatus[int]) -> None:
            await trio.lowlevel.checkpoint()
            task_status.started(7)
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            assert await nursery.start(server) == 7

        one, other = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.send_all, b"hello")
            assert await other.receive_some(5) == b"hello"

    found = explore(main, strategy="exhaustive", budget=3_000)
    assert found.outcome == "exhausted", found.sentence


def test_a_failure_in_a_group_is_named_by_what_came_first() -> None:
    """The program's line, not the group's."""

    async def fails() -> None:
        raise KeyError("x")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)

    failure = explore(main, budget=2).failure
    assert failure is not None
    assert failure.signature.kind == "KeyError"
    assert failure.signature.site.startswith("test_controlled_trio.py:")


def test_runs_leave_nothing_behind() -> None:
    """No task lives on after a run that got stuck, and trio itself runs as before."""
    alive: list[str] = []

    async def main() -> None:
        async def stuck() -> None:
            alive.append("in")
            try:
                with trio.CancelScope(shield=True):
                    await trio.Event().wait()
            finally:
                alive.append("out")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stuck)
            nursery.start_soon(stuck)

    assert explore(main, strategy="random", budget=4, failures_max=9, shrink=False).failures
    assert alive.count("in") == alive.count("out") > 0

    async def plain() -> float:
        await trio.sleep(1)
        return trio.current_time()

    assert trio.run(plain, clock=MockClock(autojump_threshold=0)) == 1


def test_a_search_may_run_inside_of_trio() -> None:
    """The run around it goes on where it was."""

    async def inner() -> None:
        await trio.sleep(1)

    async def outer() -> str:
        task = trio.lowlevel.current_task()
        outcome = explore(inner, strategy="exhaustive").outcome
        await trio.lowlevel.checkpoint()
        assert trio.lowlevel.current_task() is task
        return outcome

    assert trio.run(outer) == "exhausted"


# What no schedule controls.


async def _socket() -> None:
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        await ours.recv(1)


async def _thread() -> None:
    await trio.to_thread.run_sync(time.monotonic)


async def _process() -> None:
    await trio.run_process(["true"])


async def _file() -> None:
    await trio.Path("x").exists()


async def _signal() -> None:
    with trio.open_signal_receiver(2):
        await trio.sleep_forever()


async def _asyncio() -> None:
    import asyncio

    await asyncio.sleep(1)


async def _hidden() -> None:
    try:
        await _thread()
    except Exception:
        await trio.sleep(1)


@pytest.mark.parametrize(
    ("program", "helps"),
    [
        (_socket, "inject the stream: trio.testing.memory_stream_pair()"),
        (_thread, "inject what runs there"),
        (_process, "inject what runs there"),
        (_file, "inject what runs there"),
        (_signal, "inject what runs there"),
        (_asyncio, "write it against trio, or against anyio with trio under it"),
        (_hidden, "inject what runs there"),
    ],
)
def test_what_reaches_out_is_named_with_what_helps(program: Any, helps: str) -> None:
    """Inconclusive, by the program's own line."""
    found = explore(program)
    assert found.outcome == "inconclusive"
    assert found.exit_code == 5
    assert helps in found.reason
    line = (_thread if program is _hidden else program).__code__.co_firstlineno
    assert any(f"test_controlled_trio.py:{line + n}" in found.reason for n in range(1, 5))
