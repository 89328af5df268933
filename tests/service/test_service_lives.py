"""A connection's life, its limits and its ends, over streams in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from gorun_mem.service.connection import SLICE
from gorun_mem.service.settings import Limits, Settings
from tests.service.service_tools import Talk, in_memory

PLAN9 = "plan9/amd64"


def settings(token: bytes | None = None, reclaim: bool = False, **limits: Any) -> Settings:
    return Settings(limits=Limits(**limits), token=token, reclaim=reclaim, report_s=0)


def test_requests_are_answered_in_order() -> None:
    """The greeting names release, platform, mutex and M; pipelined requests have one answer each,
    in order; blank lines and comments have none; quit ends the connection."""

    async def main() -> None:
        async with in_memory(release="go1.24.5", mutex="sema") as one:
            talk = one.connect()
            assert await talk.line() == "hello gorun_mem/1 go1.24.5 plan9/amd64 sema M1"
            await talk.send("alloc 4096", "", "# nothing", "store 1441792 7", "load 1441792")
            await talk.send("sleep 5000", "word 1441792", "free 1441792 4096", "quit", "alloc 1")
            assert await talk.rest() == ["1441792", "ok", "7", "ok", "7", "ok", "ok"]
            second = one.connect()
            assert (await second.line()).endswith(" M2")
        names = [event["event"] for event in one.events]
        assert names[0] == "run.start"
        assert names[-1] == "run.end"
        assert one.run is not None
        assert one.run.outcome.ok
        assert one.events[-1]["uncontrolled"] is True

    trio.run(main)


def test_illegal_requests_change_nothing() -> None:
    """What no correct program does is refused with a line, the World stays as it was, and the
    server goes on."""
    refused = [
        "free 1 1", "fill 1441792 4097 1", "fill 0 8 1", "store 64 1", "load 64",
        "store 18446744073709551615 1", "word 18446744073709551615", "iszero 1 99999999999",
        "alloc 18446744073709551615", "reserve_aligned 4096 3", "reserve_aligned 4096 0",
        "reserve 0 18446744073709551000", "free 1441792 18446744073709551615",
    ]  # fmt: skip
    unknown = ["aloc 1", "alloc", "alloc x", "free 1", "store 1", "watch nothing.*", "watch m=x"]

    async def main() -> None:
        async with in_memory() as one:
            talk = one.connect()
            await talk.line()
            assert await talk.ask("alloc 4096") == ["1441792"]
            before = await talk.ask("state", "dump full")
            for answer in await talk.ask(*refused):
                assert answer.startswith("illegal "), answer
            for answer in await talk.ask(*unknown):
                assert answer.startswith("error "), answer
            assert await talk.ask("state", "dump full") == before
            one.server.world.check()
            assert await talk.ask("free 1441792 4096", "free 1441792 4096") == [
                "ok",
                "illegal free of [0x160000, 0x161000) refused: [0x160000, 0x161000) was freed by "
                "M1 in call 2 (sysFreeOS); free each range once",
            ]
        assert one.run is not None
        assert one.run.outcome.ok

    trio.run(main)


def test_a_faithful_world_ends_as_go_does() -> None:
    """A double free under memDebug throws: who asked gets Go's text, all are told, exit 1."""

    async def main() -> None:
        async with in_memory(faithful=True, mem_debug=True) as one:
            talk, other = await one.join(), await one.join()
            answers = await talk.ask("alloc 4096", "alloc 4096", "alloc 4096", "alloc 4096")
            a = int(answers[1])
            await talk.send(f"free {a} 4096", f"free {a} 4096", f"free {a} 4096", "state")
            said = await talk.rest()
            assert said[-2].startswith(("throw ", "hang "))
            assert said[-1].startswith("end the World has ended: ")
            assert (await other.rest())[-1] == said[-1]
        assert one.run is not None
        assert one.run.outcome.verdict in ("throw", "no_progress")
        assert one.events[-1]["outcome"] == one.run.outcome.verdict

    trio.run(main)


@pytest.mark.parametrize(("release", "stuck"), [("go1.24.3", True), ("go1.24.5", False)])
def test_a_lost_lock_is_a_deadlock(release: str, stuck: bool) -> None:
    """go1.24.3 returns from an aligned reservation with memlock held: the next call hangs, the
    report names the M, and a connection that only watches is told. go1.24.5 goes on."""

    async def main() -> None:
        async with in_memory(release=release) as one:
            talk, other = await one.join(), await one.join()
            await talk.ask("alloc 131072", "alloc 4096", "free 1441792 131072")
            assert await talk.ask("reserve_aligned 65536 65536") == ["1441792 65536"]
            await other.send("alloc 4096")
            if not stuck:
                assert (await other.line()).isdigit()
                return
            assert (await other.rest())[0] == "hang lock2"
            assert "held by M1 in runtime.sysReserveAlignedSbrk" in (await talk.rest())[0]
        assert one.run is not None
        assert one.run.outcome.exit_code == (3 if stuck else 0)

    trio.run(main)


def test_a_client_that_vanishes_finishes_its_call() -> None:
    """Connections closed while their requests are under way leave no lock held; what they owned is
    reported, and freed with reclaim."""

    async def main(reclaim: bool) -> None:
        async with in_memory(settings(reclaim=reclaim)) as one:
            talks = [one.connect() for _ in range(20)]
            for talk in talks:
                await talk.line()
            for talk in talks:
                await talk.send(*["alloc 4096"] * 50)
            for talk in talks:
                await talk.stream.aclose()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not one.server.connections
            assert not one.server.speakers
            statistics = one.server.world.statistics()
            assert statistics.lock("memlock").waiting == 0
            assert one.server.world.memlock.holder is None
            assert (statistics.memory.live_bytes == 0) is reclaim
            assert any(("reclaim" if reclaim else "still owns") in line for line in one.said)
        exits = [event for event in one.events if event["event"] == "m.exit"]
        assert len(exits) == 20
        returned = sum(event["event"] == "mem.return" for event in one.events)
        assert returned == sum(event["event"] == "lock.release" for event in one.events) > 0

    for reclaim in (False, True):
        trio.run(main, reclaim)


def test_limits_say_what_was_reached() -> None:
    """Too many connections, too long a line and an idle client: a clear line, then the end."""

    async def main() -> None:
        async with in_memory(settings(connections=2, line_bytes=64, idle_s=0.2)) as one:
            first, second = await one.join(), await one.join()
            assert await one.connect().rest() == [
                "end 2 connections are open, as many as may be (--connections-max)"
            ]
            await second.stream.send_all(b"info\n" + b"x" * 65)
            answer, end = await second.rest()
            assert answer.startswith("go1.")
            assert end == "end a line is longer than 64 bytes (--line-max)"
            assert await first.rest() == ["end idle for 0.2 s (--idle)"]

    trio.run(main)


def test_a_client_that_does_not_read_is_held_back() -> None:
    """Requests wait while answers do: no more than --queue-max is kept, nobody else is slowed, and
    after --idle seconds the client is let go."""

    async def main() -> None:
        async with in_memory(settings(queue_bytes=4096, pipeline=100, idle_s=0.3)) as one:
            good = one.connect()
            await good.line()
            deaf = one.connect(lockstep=True)
            await deaf.line()
            with trio.move_on_after(0.1):
                await deaf.send(*["statistics"] * 1000)
            (connection,) = [c for c in one.server.connections if c.m and c.m.id == 2]
            assert connection.outgoing.waiting_bytes < 4096 + 4096
            assert len(connection._inbox) <= 100 + 16 * 1024 // 11
            assert connection.held_back == 1
            assert any("--pipeline-max" in line for line in one.said)
            assert len(await good.ask(*["alloc 4096"] * 20)) == 20
            while connection in one.server.connections:
                await good.ask("info")
                await trio.sleep(0.02)
            assert any("has not read its answers" in line for line in one.said)

    trio.run(main)


def test_tokens_are_asked_for_first() -> None:
    """Without the token nothing is answered and no M begins; a wrong one closes."""

    async def main() -> None:
        async with in_memory(settings(token=b"open-sesame")) as one:
            for line in ("auth wrong", "info", "auth", "auth open-sesame2", "auth open"):
                talk = one.connect()
                assert await talk.line() == "hello gorun_mem/1: say auth TOKEN first"
                await talk.send(line, "alloc 4096")
                wrong = line.split()[0] == "auth"
                assert await talk.rest() == [
                    "end wrong token" if wrong else "end say auth TOKEN first"
                ]
            assert not any(event["event"] == "m.start" for event in one.events)
            talk = one.connect()
            await talk.line()
            await talk.send("auth open-sesame", "info")
            assert (await talk.line()).endswith("M1")
            assert (await talk.line()).startswith("go1.")
            assert json.loads((await talk.ask("statistics"))[0])["failed_auths"] == 5

    trio.run(main)


def test_watchers_get_the_log() -> None:
    """Two watchers are sent exactly the events of their filters, as the log has them."""

    async def main() -> None:
        async with in_memory() as one:
            locks, second, actor = [await one.join() for _ in range(3)]
            assert await locks.ask("watch lock.* mem.return") == ["ok"]
            assert await second.ask("watch m=3,m=99") == ["ok"]
            await actor.ask("alloc 4096", "alloc 8192", "free 1441792 4096")
            other = one.connect()
            await other.line()
            await other.ask("alloc 4096")
            await actor.send("quit")
            await actor.rest()
        sink = [line.decode() for line in one.sink.lines]
        from_watch = sink[sink.index(next(x for x in sink if '"mem.call"' in x)) :]
        watched = ('"event":"lock.', '"event":"mem.return')
        seen = [line for line in await locks.rest() if not line.startswith("end")]
        assert seen == [line for line in from_watch if any(kind in line for kind in watched)]
        seen = [line for line in await second.rest() if not line.startswith("end")]
        assert seen == [line for line in from_watch if json.loads(line)["m"] == 3]
        assert len(seen) > 15

    trio.run(main)


def test_a_slow_watcher_misses_events_and_is_told() -> None:
    """A watcher that does not read loses events, is told exactly how many, and the Ms go on."""

    async def main() -> None:
        async with in_memory(settings(queue_bytes=8192)) as one:
            slow, quick = one.connect(lockstep=True), one.connect()
            await slow.line()
            await quick.line()
            await slow.ask("watch")
            await quick.ask(*["alloc 4096"] * 500)  # answered though nobody reads the events
            await quick.send("quit")
            await quick.rest()
            connection = next(c for c in one.server.connections if c.watcher is not None)
            assert connection.watcher is not None
            assert connection.watcher.missed_in_all > 1000
            got, missed, last_seq, at_gaps = 0, 0, 0, True
            while True:
                with trio.move_on_after(0.2) as scope:
                    event = json.loads(await slow.line())
                if scope.cancelled_caught:
                    break
                if event["event"] == "watch.missed":
                    missed += event["missed"]
                    continue
                got += 1
                at_gaps &= last_seq == 0 or event["seq"] == last_seq + 1 or missed > 0
                last_seq = event["seq"]
            assert at_gaps
            assert missed == connection.watcher.missed_in_all
            first = next(e["seq"] for e in one.events if e["event"] == "m.exit")
            total = len(one.events) - first + 1
            assert got + missed == total

    trio.run(main)


def test_no_client_keeps_the_others_waiting() -> None:
    """With one P a client that has sent a thousand requests gives way after a slice of them."""

    async def main() -> None:
        async with in_memory(Settings(report_s=0, procs=1)) as one:
            greedy, modest = await one.join(), await one.join()
            await trio.testing.wait_all_tasks_blocked()  # both wait for requests
            for connection, lines in zip(one.server.connections, (1000, 1), strict=True):
                assert connection._incoming.take(b"alloc 4096\n" * lines)  # nothing runs in between
            await modest.line()
            for _ in range(1000):
                await greedy.line()
        callers = [event["m"] for event in one.events if event["event"] == "mem.return"]
        assert callers.index(2) == SLICE

    trio.run(main)


@pytest.mark.parametrize(("procs", "waits"), [(1, 0), (4, 3), (8, 7), (0, 3)])
def test_requests_that_come_together_contend(procs: int, waits: int) -> None:
    """Eight calls that came in one pass of the loop: as many as have a P start at once, and all of
    these but one find memlock taken; with one P none does."""

    async def main() -> None:
        async with in_memory(Settings(report_s=0, procs=procs), cpus=4, mutex="queue") as one:
            talks = [await one.join() for _ in range(8)]
            await trio.testing.wait_all_tasks_blocked()
            for connection in one.server.connections:
                assert connection._incoming.take(b"alloc 4096\n")  # nothing runs in between
            for talk in talks:
                await talk.line()
            lock = one.server.world.statistics().lock("memlock")
            assert lock.acquisitions == 8
            assert (lock.contended >= waits) if waits else lock.contended == 0
            assert lock.queue_depth_max <= (procs or 4)

    trio.run(main)


def test_a_second_drain_ends_at_once() -> None:
    """The first lets calls finish, the second stops the World where it is: interrupted."""

    async def main() -> None:
        async with in_memory() as one:
            talk = one.connect()
            await talk.line()
            await talk.send(*["alloc 4096"] * 500)
            one.server.drain("a signal")
            one.server.drain("a signal")
        assert one.run is not None
        assert one.run.outcome.verdict == "interrupted"
        assert one.events[-1]["event"] == "run.end"

    trio.run(main)


def test_ms_come_and_go_without_end() -> None:
    """A thousand connections, one after the other, leave nothing of theirs in the World."""

    async def main() -> None:
        async with in_memory(ms=2) as one:
            server = one.server

            def kept() -> tuple[int, ...]:
                engine, tally = server.world.engine, server.tallies["memlock"]
                return (
                    len(engine.tasks), len(server.speakers), len(server.asking), len(tally._by),
                    server.world.driver.alive,
                    len(one.recorder.calls), len(one.recorder.closed), len(server.host._coros),
                )  # fmt: skip

            sizes = []
            for _ in range(1000):
                talk: Talk = one.connect()
                await talk.line()
                (addr,) = await talk.ask("alloc 4096")
                await talk.send(f"free {addr} 4096", "quit")
                await talk.rest()
                sizes.append(kept())
            assert sizes[-1] == sizes[10]
            assert server.world.statistics().lock("memlock").by_m[0].acquisitions == 2000

    trio.run(main)
