"""Scenarios in a service's World: their Ms contend with clients', and their failures are theirs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from gorun_mem import M, World, scenario
from gorun_mem.machine.library import find, names
from gorun_mem.machine.scenario import ScenarioError
from gorun_mem.service.guests import GUESTS_MAX, Guest, TooManyGuests
from gorun_mem.service.settings import Limits, Settings
from gorun_mem.sync import Event
from tests.scenarios.test_same_log import SMALL
from tests.service.service_tools import InMemory, Talk, in_memory

pytestmark = pytest.mark.trio


async def ended(guest: Guest) -> str:
    with trio.fail_after(30):
        await guest.ended.wait()
    return guest.outcome


async def ask(talk: Talk, line: str) -> str:
    (answer,) = await talk.ask(line)
    return answer


@asynccontextmanager
async def service(**config: Any) -> AsyncIterator[InMemory]:
    async with in_memory(**{"ms": 256, **config}) as one:
        yield one


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def start(one: InMemory, path: Path, what: Any, ms: int | None = None, **options: Any) -> Guest:
    program = find(what) if isinstance(what, str) else what
    return one.server.guests.start(program, options, ms, str(path))


@scenario(ms=2)
async def fails(world: World) -> None:
    """A worker's own check fails while another sleeps."""

    async def wrong(m: M) -> None:
        await m.sys_alloc(65536)
        raise AssertionError("no, it is not")

    async def sleeps(m: M) -> None:
        await m.sleep(10**15)

    async with world.open_ms() as ms:
        ms.start_soon(sleeps)
        ms.start_soon(wrong)


@scenario(ms=2)
async def waits_for_ever(world: World) -> None:
    """Nobody ever sets the event."""
    event = Event("never")

    async def waits(m: M) -> None:
        await event.wait()

    async with world.open_ms() as ms:
        for _ in range(2):
            ms.start_soon(waits)


@scenario(ms=1)
async def awaits_trio(world: World) -> None:
    """Which no M of a service may."""
    await trio.sleep(0)


@scenario(ms=4)
async def goes_on(world: World) -> None:
    """Allocates and frees without end."""

    async def churns(m: M) -> None:
        while True:
            addr = await m.sys_alloc(65536)
            await m.sys_free(addr, 65536)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(churns)


async def test_its_ms_contend_with_clients(tmp_path: Path) -> None:
    """A client's calls wait for memlock while the scenario's Ms hold it, and the other way round:
    both stand in one log, and in the guest's own."""
    path = tmp_path / "guest.jsonl"
    async with service() as one:
        talk = await one.join()
        guest = start(one, path, "memlock_storm", 6, rounds=600)
        while guest.runs:
            address = await ask(talk, "alloc 65536")
            await ask(talk, f"free {address} 65536")
        assert guest.outcome == "ok"
        theirs = {m.id for m in guest.ms}
        client = 1
        assert client not in theirs
        waits = [e for e in lines(path) if e["event"] == "lock.acquire" and e.get("contended")]
        pairs = {
            (e["m"] in theirs, e["prev_owner_m"] in theirs) for e in waits if e["prev_owner_m"]
        }
        assert (False, True) in pairs
        assert (True, False) in pairs
        assert len(theirs) == 7


async def test_its_log_is_that_of_a_run(tmp_path: Path) -> None:
    """From run.start to run.end, numbered without gaps, timed from its beginning; it is reported
    as any other."""
    from gorun_mem.analysis.whole import LogAnalysis

    path = tmp_path / "guest.jsonl"
    async with service() as one:
        talk = await one.join()
        for _ in range(40):
            await ask(talk, f"free {await ask(talk, 'alloc 65536')} 65536")
        assert one.server.world.engine.now_ns > 10_000
        guest = start(one, path, "memlock_storm", 4, rounds=5)
        assert await ended(guest) == "ok"
        found = lines(path)
    assert [e["seq"] for e in found] == list(range(1, len(found) + 1))
    assert found[0]["event"] == "run.start"
    assert (found[0]["scenario"], found[0]["ms"]) == ("memlock_storm", 4)
    assert found[0]["options"]["rounds"] == 5
    assert found[-1]["event"] == "run.end"
    assert found[-1]["outcome"] == "ok"
    assert [e["t_ns"] for e in found] == sorted(e["t_ns"] for e in found)
    assert found[1]["t_ns"] < 10_000
    report = LogAnalysis.read(str(path))
    assert not report.condition.remarks()
    assert report.contention.locks["memlock"].contended > 0


@pytest.mark.parametrize("what", [fails, waits_for_ever, awaits_trio])
async def test_its_failure_is_its_own(tmp_path: Path, what: Any) -> None:
    """A check that fails, a deadlock on its own objects, an await of trio: the guest ends, its Ms
    with it, and clients go on."""
    async with service() as one:
        talk = await one.join()
        guest = start(one, tmp_path / "guest.jsonl", what)
        assert await ended(guest) == "failed"
        wanted = {"fails": "no, it is not", "waits_for_ever": "deadlock", "awaits_trio": "trio"}
        assert wanted[what.name] in guest.error
        assert (await ask(talk, "alloc 65536")).isdigit()
        assert one.server.world.failure is None
        assert one.server.world.engine.alive == 2
        end = lines(tmp_path / "guest.jsonl")[-1]
        assert (end["outcome"], end["error"]) == ("failed", guest.error)


async def test_it_is_stopped_by_hand(tmp_path: Path) -> None:
    """One that would go on for ever ends where its Ms hold no lock; its number of Ms does not
    bound clients' calls."""
    async with service(cpus=2) as one:
        talk = await one.join()
        guest = start(one, tmp_path / "guest.jsonl", goes_on)
        for _ in range(20):
            await ask(talk, "alloc 65536")
        assert guest.runs
        guest.cancel_all()
        assert await ended(guest) == "cancelled"
        assert one.server.world.memlock.holder is None
        assert not one.server.world.memlock.book.waiting
        assert one.server.world.engine.alive == 2
        assert {m.id for m in guest.ms[1:]}.isdisjoint(
            t.id for t in one.server.world.engine.tasks if t.id
        )
        one.server.world.check()


async def test_a_lock_held_by_hand_holds_it_up(tmp_path: Path) -> None:
    """That is no deadlock: given back, the scenario goes on."""
    async with service() as one:
        talk = await one.join()
        assert await ask(talk, "lock memlock") == "ok"
        guest = start(one, tmp_path / "guest.jsonl", "memlock_storm", 3, rounds=2)
        await trio.sleep(0.1)
        assert guest.runs
        assert len(one.server.world.memlock.book.waiting) == 3
        assert await ask(talk, "unlock memlock") == "ok"
        assert await ended(guest) == "ok"


async def test_a_deadlock_on_a_runtime_lock_is_everybodys_end(tmp_path: Path) -> None:
    """As in one emulated program: the guest's log has its end too."""
    path = tmp_path / "guest.jsonl"
    async with service(release="go1.24.3") as one:
        talk = await one.join()
        start(one, path, "leaked_lock")
        line = ""
        while not line.startswith("end "):
            line = await talk.line()
        assert "no M can go on" in line
    assert lines(path)[-1]["outcome"] == "failed"


@pytest.mark.parametrize("name", sorted(set(names()) - {"leaked_lock", "real_program"}))
async def test_each_scenario_of_the_library(tmp_path: Path, name: str) -> None:
    """Ends well or fails by itself; the World is sound and serves on."""
    async with service() as one:
        talk = await one.join()
        guest = start(one, tmp_path / "guest.jsonl", name, 3, **SMALL[name])
        outcome = await ended(guest)
        assert one.server.world.failure is None, one.server.world.failure
        assert outcome == "ok" or guest.error, name
        assert (await ask(talk, "alloc 65536")).isdigit()
        one.server.world.check()


@scenario(ms=1)
async def sleeps_long(world: World) -> None:
    """Its Ms sleep again and again: few steps, much virtual time."""

    async def naps(m: M) -> None:
        while True:
            await m.sleep(10**12)

    async with world.open_ms() as ms:
        ms.start_soon(naps)


@pytest.mark.parametrize(
    ("what", "limits", "says"),
    [
        (goes_on, Limits(guest_steps=20_000), "20,000 steps (--guest-steps)"),
        (sleeps_long, Limits(guest_ns=10**15), "of virtual time (--guest-virtual)"),
        (goes_on, Limits(guest_steps=0, guest_ns=0, guest_s=0.3), "0.3 s (--guest-time)"),
    ],
)
async def test_one_that_never_ends_is_ended(
    tmp_path: Path, what: Any, limits: Limits, says: str
) -> None:
    """By steps, by virtual or by real time: it has failed and says of what, in its log, in each of
    its Ms' last events and on the terminal; clients go on, and no lock is left held."""
    async with service(settings=Settings(limits=limits)) as one:
        talk = await one.join()
        watcher = await one.join()
        assert await ask(watcher, "watch m.exit") == "ok"
        guest = start(one, tmp_path / "guest.jsonl", what)
        assert await ended(guest) == "failed"
        assert guest.error.startswith("too long: ")
        assert says in guest.error
        found = lines(tmp_path / "guest.jsonl")
        assert (found[-1]["outcome"], found[-1]["error_type"]) == ("failed", "too long")
        ends = [one["reason"] for one in found if one["event"] == "m.exit"]
        assert ends
        assert all(guest.error in reason for reason in ends)
        assert "left" in await watcher.line()  # its own M, for whoever watches is none
        assert guest.error in await watcher.line()
        assert one.server.world.failure is None
        assert one.server.world.memlock.holder is None
        assert (await ask(talk, "alloc 65536")).isdigit()


async def test_waiting_for_a_lock_held_by_hand_takes_real_time_only(tmp_path: Path) -> None:
    """No step is made and no virtual time goes on: real time ends it, once it has its lock; what
    passes while the World is paused is not counted."""
    async with service(settings=Settings(limits=Limits(guest_s=0.4))) as one:
        talk = await one.join()
        assert await ask(talk, "lock memlock") == "ok"
        guest = start(one, tmp_path / "guest.jsonl", "memlock_storm", 3, rounds=2)
        await trio.sleep(0.05)
        one.server.host.pace.set(paused=True, ns_per_s=None)
        await trio.sleep(1.2)
        assert not guest.error
        one.server.host.pace.set(paused=False, ns_per_s=None)
        for _ in range(200):
            await trio.sleep(0 if guest.error else 0.05)
        assert "--guest-time" in guest.error
        assert guest.runs
        assert await ask(talk, "unlock memlock") == "ok"
        assert await ended(guest) == "failed"


async def test_there_are_bounds(tmp_path: Path) -> None:
    """So many at once; options are checked; a service that ends takes none, and ends them."""
    async with service() as one:
        with pytest.raises(ScenarioError, match="rounds"):
            start(one, tmp_path / "x", "memlock_storm", rounds=-1)
        guests = [start(one, tmp_path / f"{i}", goes_on) for i in range(GUESTS_MAX)]
        with pytest.raises(TooManyGuests, match="as many as may be"):
            start(one, tmp_path / "x", goes_on)
        one.server.drain("it is late")
        with pytest.raises(TooManyGuests, match="ends"):
            start(one, tmp_path / "x", goes_on)
        for guest in guests:
            assert await ended(guest) == "cancelled"


async def test_a_log_that_cannot_be_written_ends_the_guest_alone(tmp_path: Path) -> None:
    """It says so, and the World serves on."""
    async with service() as one:
        talk = await one.join()
        guest = start(one, tmp_path / "no such folder" / "x.jsonl", "memlock_storm")
        assert await ended(guest) == "failed"
        assert "x.jsonl" in guest.error
        assert (await ask(talk, "alloc 65536")).isdigit()


async def test_it_ends_with_a_service_that_is_paused(tmp_path: Path) -> None:
    """Drained, the service goes on at full speed until its guests have ended."""
    async with service() as one:
        guest = start(one, tmp_path / "guest.jsonl", goes_on)
        one.server.host.pace.set(paused=True, ns_per_s=None)
        await trio.sleep(0.05)
        assert guest.runs
        one.server.drain("it is late")
        assert await ended(guest) == "cancelled"
