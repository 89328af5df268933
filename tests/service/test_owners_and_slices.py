"""What one client can do to the others: nothing, by owning, asking for much, or staying silent."""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from gorun_mem.replay.digest import READY_BYTES, CopyRoom
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.service import slices
from gorun_mem.service.host import BREATHE
from gorun_mem.service.owners import OwnersLedger
from gorun_mem.service.settings import Limits, Settings
from gorun_mem.service.watch import WORD_MAX, BadFilter, Filter, Watcher
from tests.service.service_tools import Talk, in_memory

MiB = 1 << 20


def settings(**given: object) -> Settings:
    limits = {name: given.pop(name) for name in list(given) if name in Limits.__slots__}
    return Settings(limits=Limits(**limits), report_s=0, **given)  # type: ignore[arg-type]


def test_what_a_client_got_is_its_own() -> None:
    """Another can neither load, store, fill nor free it, until it is shared; what nobody is left
    to own is anybody's."""

    async def main() -> None:
        async with in_memory(settings()) as one:
            mine, other = await one.join(), await one.join()
            (v,) = await mine.ask("alloc 65536")
            tries = [f"load {v}", f"store {v} 7", f"fill {v} 4096 1", f"free {v} 4096"]
            for answer in await other.ask(*tries):
                assert answer.startswith("illegal ")
                assert "only M1 may touch it" in answer
            assert await mine.ask(f"share {v} 8192") == ["ok"]
            assert await other.ask(*tries) == ["0", "ok", "ok", "ok"]
            (answer,) = await other.ask(f"free {int(v) + 8192} 4096")
            assert "only M1 may touch it" in answer
            (answer,) = await other.ask(f"share {v} 8192")
            assert answer.startswith("illegal share")
            # A page that was freed and handed out again is not shared any more.
            (again,) = await mine.ask("alloc 4096")
            assert again == v
            (answer,) = await other.ask(f"load {again}")
            assert "only M1 may touch it" in answer
            await mine.ask("quit")
            assert await other.ask(f"load {again}") == ["0"]

    trio.run(main)


def test_a_shared_service_has_no_owners() -> None:
    """With --shared any client frees what any got, as an M may in Go."""

    async def main() -> None:
        async with in_memory(settings(shared=True)) as one:
            mine, other = await one.join(), await one.join()
            (v,) = await mine.ask("alloc 65536")
            assert await other.ask(f"store {v} 7", f"free {v} 65536") == ["ok", "ok"]

    trio.run(main)


def test_what_concerns_all_needs_a_right() -> None:
    """limit, failnext and hostgrow: with --admin, or by the admin's token."""
    words = ("limit 65536", "failnext 0")

    async def main() -> None:
        async with in_memory(settings()) as one:
            for answer in await (await one.join()).ask(*words):
                assert "concerns all clients" in answer
        async with in_memory(settings(admin=True)) as one:
            assert await (await one.join()).ask(*words) == ["ok", "ok"]
        async with in_memory(settings(token=b"t", admin_token=b"a")) as one:
            for token, allowed in (("t", False), ("a", True)):
                talk = one.connect()
                await talk.line()
                await talk.ask(f"auth {token}")
                answers = await talk.ask(*words)
                assert (answers == ["ok", "ok"]) is allowed

    trio.run(main)


def test_requests_clients_and_the_world_have_bounds() -> None:
    """Each is refused with its own option named, and nothing changes."""
    bounds = {
        "request_bytes": 8 * MiB, "client_bytes": 12 * MiB, "client_ranges": 3,
        "resident_bytes": 4 * MiB,
    }  # fmt: skip

    async def main() -> None:
        async with in_memory(settings(**bounds)) as one:
            talk = await one.join()
            for request in (f"alloc {9 * MiB}", f"reserve 0 {9 * MiB}", f"iszero 65536 {9 * MiB}"):
                assert "--request-max" in (await talk.ask(request))[0]
            (v,) = await talk.ask(f"alloc {8 * MiB}")
            assert "--client-max" in (await talk.ask(f"alloc {8 * MiB}"))[0]
            assert "--resident-max" in (await talk.ask(f"fill {v} {8 * MiB} 1"))[0]
            assert await talk.ask(f"fill {v} {4 * MiB - 65536} 1") == ["ok"]
            assert await talk.ask(f"fill {v} {4 * MiB - 65536} 2") == ["ok"], "written already"
            await talk.ask("alloc 4096", "alloc 4096")
            assert "--ranges-max" in (await talk.ask("alloc 4096"))[0]
            other = await one.join()
            assert (await other.ask("alloc 4096"))[0].isdigit()

    trio.run(main)


async def asked(talk: Talk, until: trio.Event) -> int:
    """How many small requests are answered meanwhile."""
    count = 0
    while not until.is_set():
        await talk.ask("alloc 4096")
        count += 1
    return count


@pytest.mark.parametrize("request_", ["dump full", "dump", "snapshot", "iszero", "fill", "free"])
def test_long_requests_let_others_go_on(request_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one client has something long answered, another's calls are answered in between, many
    times; the answers are right."""
    size = 4 * MiB
    monkeypatch.setattr(slices, "ENTRIES", 100)
    monkeypatch.setattr(slices, "FILL_BYTES", 64 << 10)
    monkeypatch.setattr(slices, "LOOK_BYTES", 64 << 10)

    async def main() -> None:
        async with in_memory(settings(client_ranges=40_000)) as one:
            slow, quick = await one.join(), await one.join()
            (v,) = await slow.ask(f"alloc {size}")
            await slow.ask(f"fill {v} {size} 3")
            if request_ in ("dump", "snapshot"):
                await slow.send(*["alloc 4096"] * 8000)
                blocks = [await slow.line() for _ in range(8000)]
                await slow.send(*[f"free {block} 4096" for block in blocks[::2]])
                assert {await slow.line() for _ in blocks[::2]} == {"ok"}
            range_ = f"{request_} {v} {size}"
            request = {"iszero": range_, "fill": f"{range_} 9", "free": range_}.get(
                request_, request_
            )
            done = trio.Event()
            answered: list[int] = []

            async def look() -> None:
                answered.append(await asked(quick, done))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(look)
                (answer,) = await slow.ask(request)
                done.set()
            assert answered[0] > 5, "it was answered in one piece"
            if request_ == "iszero":
                assert answer == str(size)
            elif request_ == "free":
                assert answer == "ok"
            elif request_ == "dump full":
                assert json.loads(answer)["nonzero_words"] >= size // 8
            elif request_ == "dump":
                assert len(json.loads(answer)["free"]) >= 4000
            elif request_ == "snapshot":
                found = json.loads(answer)
                assert len(found["live"]) >= 4000
                assert len(found["free"]) >= 4000

    trio.run(main)


def test_a_free_that_is_refused_clears_nothing() -> None:
    """Large and larger than what is owned: refused, and the memory is as it was."""

    async def main() -> None:
        async with in_memory(settings()) as one:
            talk = await one.join()
            (v,) = await talk.ask(f"alloc {32 * MiB}")
            await talk.ask(f"fill {v} {32 * MiB} 5")
            (answer,) = await talk.ask(f"free {v} {33 * MiB}")
            assert answer.startswith("illegal free")
            assert await talk.ask(f"iszero {v} {32 * MiB}") == [str(32 * MiB)]

    trio.run(main)


def test_a_sliced_dump_is_that_of_a_script() -> None:
    """`dump` and `snapshot` put together from slices are what the World says at once."""

    async def main() -> None:
        async with in_memory(settings()) as one:
            talk = await one.join()
            blocks = await talk.ask(*["alloc 4096"] * 50)
            await talk.ask(*[f"free {block} 4096" for block in blocks[::3]])
            onlooker = one.server.answers._onlooker
            assert await talk.ask("dump") == [onlooker.inspections["dump"]()]
            assert await talk.ask("dump full") == [onlooker.inspections["dump full"]()]
            snapshot = one.server.world.snapshot()
            found = json.loads((await talk.ask("snapshot"))[0])
            assert found["free"] == [list(block) for block in snapshot.free]
            assert found["live"] == [list(entry) for entry in snapshot.live]
            assert (found["pages"], found["grows"]) == (snapshot.pages, snapshot.grows)

    trio.run(main)


def test_silent_strangers_lock_nobody_out() -> None:
    """300 connections that say no token have a share of their own and some seconds; whoever says
    it is let in meanwhile, and at most 256 bytes are read of a stranger."""

    async def main() -> None:
        given = settings(token=b"t", connections=4, strangers=16, auth_s=0.4)
        async with in_memory(given) as one:
            silent = [one.connect() for _ in range(300)]
            await trio.testing.wait_all_tasks_blocked()
            assert sum(c.m is None and not c.over.is_set() for c in one.server.connections) <= 16
            talk = one.connect()
            await talk.line()
            assert (await talk.ask("auth t"))[0].startswith("hello ")
            said = [(await stranger.rest())[-1] for stranger in silent]
            assert set(said) == {
                "end too many clients have not said a token", "end no token within 0.4 s"
            }  # fmt: skip
            loud = one.connect()
            await loud.line()
            await loud.stream.send_all(b"x" * 300)
            assert "longer than 256 bytes" in (await loud.rest())[-1]
            assert (await talk.ask("alloc 4096"))[0].isdigit()

    trio.run(main)


def test_a_filter_costs_little() -> None:
    """A long glob is refused before it is compiled."""
    began = time.perf_counter()
    for words in (["[!" * 1500], ["x"] * 100, ["[!" * (WORD_MAX // 2)]):
        with pytest.raises(BadFilter):
            Filter(words)
    assert time.perf_counter() - began < 1


def test_the_book_by_client_agrees_with_the_ledger() -> None:
    """After random calls, what each M owns, its bytes and its ranges are what the plain ledger has
    by address; so it is for what is left of parts, and when Ms go."""
    rng = random.Random(11)
    plain, owners = Ledger(), OwnersLedger()
    for step in range(4000):
        m, start = rng.randrange(1, 6), rng.randrange(0, 200) * 16
        n = rng.randrange(1, 12) * 16
        free = plain.refusal(start, n, "x") is None
        if free:
            for ledger in (plain, owners):
                ledger.freed(start, n, "f", m)
        elif not any(owner.live for _, _, owner in plain.overlapping(start, start + n)):
            for ledger in (plain, owners):
                ledger.handed_out(start, n, "a", m)
        if step % 50 == 0:
            owners.forget(rng.randrange(1, 6))
        live = plain.live_ranges()
        assert [one for some in owners.live_copied() for one in some] == [
            (low, high, owners.ownership(low)) for low, high, _ in live
        ]
        assert owners.live_count == len(live)
        for one in range(1, 6):
            mine = [(low, high) for low, high, owner in live if owner.m == one]
            assert owners.ranges_of(one) == mine
            assert owners.bytes_of(one) == sum(high - low for low, high in mine)
            assert owners.count_of(one) == len(mine)


def test_sharing_needs_ownership() -> None:
    """Only all of one's own can be shared; a part that is shared is free to touch, the rest not."""
    ledger = OwnersLedger()
    ledger.handed_out(0x1000, 0x1000, "a", 1)
    ledger.handed_out(0x2000, 0x1000, "a", 2)
    for start, end, m in ((0x1000, 0x3000, 1), (0x1000, 0x2000, 2), (0x3000, 0x4000, 1)):
        with pytest.raises(IllegalUse):
            ledger.share(start, end, m)
    ledger.share(0x1000, 0x1800, 1)
    assert ledger.foreign(0x1000, 0x800, 2, "x") is None
    assert ledger.foreign(0x1000, 0x801, 2, "x") is not None
    ledger.freed(0x1000, 0x400, "f", 2)
    ledger.handed_out(0x1000, 0x400, "a", 1)
    assert ledger.foreign(0x1000, 8, 2, "x") is not None
    assert ledger.foreign(0x1400, 8, 2, "x") is None


def test_breathing_is_no_step() -> None:
    """The operation that ends a slice is never stepped."""
    with pytest.raises(AssertionError):
        BREATHE.step(None)  # type: ignore[arg-type]


def test_what_a_stalled_watcher_left_unread_goes_with_it() -> None:
    """Its queue is given back when it goes: it lies in a cycle with its connection, and a server
    that waits for the garbage collector grows by it."""
    watcher = Watcher(Filter(), 1 << 20, lambda: None)
    line = b"x" * 1000
    before = sys.getrefcount(line)
    for _ in range(100):
        watcher.offer(line)
    assert sys.getrefcount(line) == before + 100
    watcher.drop()
    watcher.offer(line)
    assert sys.getrefcount(line) == before


def test_a_dump_in_full_copies_into_what_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Touching 60 MiB for the first time held everybody for 70 ms; others go on between the
    pieces, and what they write meanwhile has room too."""
    asked: list[int] = []

    async def main() -> None:
        async with in_memory(settings()) as one:
            mine, other = await one.join(), await one.join()
            (v,) = await mine.ask(f"alloc {16 * MiB}")
            await mine.ask(f"fill {v} {9 * MiB} 7")
            memory = one.server.world.runtime.memory

            copy_of = CopyRoom.copy_of
            make_ready = CopyRoom.make_ready

            def ready(room: CopyRoom) -> None:
                make_ready(room)
                asked.append(room.ready)
                if len(asked) == 2:
                    memory.fill(int(v) + 9 * MiB, 4 * MiB, 8)

            def copied(room: CopyRoom, written: Iterator[Any]) -> Iterator[Any]:
                assert room.ready >= memory.written_bytes > 13 * MiB
                return copy_of(room, written)

            monkeypatch.setattr(CopyRoom, "make_ready", ready)
            monkeypatch.setattr(CopyRoom, "copy_of", copied)
            (answer,) = await mine.ask("dump full")
            (again,) = await other.ask("dump full")
            assert answer == again

    trio.run(main)
    steps = [b - a for a, b in itertools.pairwise(asked) if b > a]
    assert set(steps) == {READY_BYTES}
