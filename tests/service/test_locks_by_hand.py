"""Locks that clients take by hand, and the pace of the World, over streams in memory."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.service.service_tools import in_memory

ALGORITHMS = ("sema", "futex", "spinbit", "queue")


@pytest.mark.parametrize("mutex", ALGORITHMS)
def test_a_lock_is_held_between_requests(mutex: str) -> None:
    """Who holds a lock by hand keeps others waiting, calls too where it is memlock, and that is no
    deadlock; who gives it back lets them go on."""

    async def main() -> None:
        async with in_memory(mutex=mutex, release="go1.24.5") as one:
            a, b, c = await one.join(), await one.join(), await one.join()
            assert await a.ask("lock memlock") == ["ok"]
            assert await b.ask("try_lock memlock") == ["busy"]
            await b.send("lock memlock")
            await c.send("alloc 4096")
            await trio.testing.wait_all_tasks_blocked()
            lock = one.server.world.memlock
            assert lock.holder is not None
            assert lock.holder.m == 1
            assert [waiter.m for waiter in lock.waiters] == [2, 3]
            assert await a.ask("unlock memlock") == ["ok"]
            # Either may be next.
            with trio.move_on_after(0.2):
                assert await c.line() == "1441792"
            assert await b.line() == "ok"
            assert await b.ask("unlock memlock", "try_lock mine", "unlock mine") == ["ok"] * 3
        assert one.run is not None
        assert one.run.outcome.ok

    trio.run(main)


def test_what_would_wait_for_ever_is_refused() -> None:
    """A lock twice, a call under memlock, a circle, and what is not held: refused, nothing
    changed."""

    async def main() -> None:
        async with in_memory() as one:
            a, b = await one.join(), await one.join()
            assert await a.ask("lock one", "lock memlock") == ["ok", "ok"]
            for line in ("lock one", "alloc 4096", "unlock two"):
                assert (await a.ask(line))[0].startswith("illegal "), line
            assert await a.ask("unlock memlock") == ["ok"]
            assert await b.ask("lock two") == ["ok"]
            await a.send("lock two")
            await trio.testing.wait_all_tasks_blocked()
            (refusal,) = await b.ask("lock one")
            assert refusal == (
                "illegal lock one by M2: M1 holds one and waits for two, which M2 holds"
            )
            assert await b.ask("unlock two") == ["ok"]
            assert await a.line() == "ok"
            assert (await a.ask("lock no/name"))[0].startswith("error lock: 'no/name'")
        assert one.run is not None
        assert one.run.outcome.ok

    trio.run(main)


def test_who_goes_gives_back_what_it_held() -> None:
    """A client that leaves, or a service that is drained, leaves no lock held."""

    async def main() -> None:
        async with in_memory() as one:
            a, b = await one.join(), await one.join()
            assert await a.ask("lock mine") == ["ok"]
            await b.send("lock mine")
            await a.send("quit")
            assert await b.line() == "ok"
            await b.send("lock memlock")
            assert await b.line() == "ok"
        assert one.run is not None
        assert one.run.outcome.ok
        assert any("mine, which it held, was given back" in line for line in one.said)

    trio.run(main)


def test_who_waits_for_a_lock_held_by_hand_keeps_nobody_out() -> None:
    """With all Ps taken by Ms that wait for it, its holder can give it back, and others can call
    what does not need it."""

    async def main() -> None:
        async with in_memory(cpus=2) as one:
            a, *others = [await one.join() for _ in range(7)]
            assert await a.ask("lock memlock") == ["ok"]
            for other in others:
                await other.send("alloc 4096")
            await trio.testing.wait_all_tasks_blocked()
            assert await a.ask("lock mine", "unlock mine", "unlock memlock") == ["ok"] * 3
            for other in others:
                assert (await other.line()).isdigit()
            assert await a.ask("alloc 4096") != ["0"]
        assert one.run is not None
        assert one.run.outcome.ok

    trio.run(main)


def test_a_circle_in_a_faithful_world_is_a_deadlock() -> None:
    """Nothing is refused there, and nobody can end a circle: the World ends."""

    async def main() -> None:
        async with in_memory(faithful=True) as one:
            a, b = await one.join(), await one.join()
            assert await a.ask("lock one") == ["ok"]
            assert await b.ask("lock two") == ["ok"]
            await a.send("lock two")
            await trio.testing.wait_all_tasks_blocked()
            await b.send("lock one")
            assert "deadlock" in (await b.line()) or "hang" in (await a.line())
        assert one.run is not None
        assert one.run.outcome.verdict == "deadlock"

    trio.run(main)


def test_slow_motion_and_pause() -> None:
    """In slow motion virtual time goes on by so much a second; paused, nobody makes a step."""

    async def main() -> None:
        async with in_memory() as one:
            a = await one.join()
            one.server.host.pace.set(paused=False, ns_per_s=10_000)
            before, started = one.server.world.engine.now_ns, trio.current_time()
            assert await a.ask("sleep 20000", "sleep 1") == ["ok", "ok"]
            went = one.server.world.engine.now_ns - before
            assert went >= 20_000
            assert trio.current_time() - started >= 0.9 * 2
            one.server.host.pace.set(paused=True, ns_per_s=None)
            await a.send("alloc 4096")
            with trio.move_on_after(5) as scope:
                await a.line()
            assert scope.cancelled_caught
            one.server.host.pace.set(paused=False, ns_per_s=None)
            assert await a.line() == "1441792"

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
