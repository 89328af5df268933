"""What a service keeps of clients that have gone: nothing, and not for the collector either."""

from __future__ import annotations

import gc
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gorun_mem.events import Recorder
from gorun_mem.events.log import json_logger
from gorun_mem.events.sinks import MemorySink
from gorun_mem.machine.m import M
from gorun_mem.runtime.mutex import StateMutex
from gorun_mem.runtime.mutex.spinbit import SpinbitMutex
from gorun_mem.service.address import Address, listen
from gorun_mem.service.connection import Connection
from gorun_mem.service.server import Server, serve
from gorun_mem.service.settings import Settings

CLIENTS = 12


async def come_and_go(path: Path, how: str) -> None:
    stream = await trio.open_unix_socket(path)
    await stream.receive_some(1000)
    for _ in range(3):
        await stream.send_all(b"alloc 4096\n")
        await stream.receive_some(1000)
    if how == "half":
        await stream.send_all(b"alloc 4096\nallo")
    elif how == "reset":
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    elif how:
        await stream.send_all(how.encode() + b"\n")
        await stream.receive_some(1000)
    await stream.aclose()


@asynccontextmanager
async def serving(folder: Path, mutex: str | None = None) -> AsyncIterator[tuple[Server, Path]]:
    recorder = Recorder(json_logger(MemorySink()), level="canonical")
    config = serve.config(ms=64, platform="plan9/amd64", mutex=mutex)
    server = Server(config, Settings(report_s=0, reclaim=True), recorder, lambda text: None)
    path = folder / "s"
    listeners = await listen(Address.parse(f"unix:{path}"))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, listeners)
        yield server, path
        server.drain("the test is over")


async def nobody_in(server: Server) -> None:
    while server.connections or server.speakers:  # noqa: ASYNC110 - nothing says so
        await trio.sleep(0.01)


async def left_behind(folder: Path, how: str) -> Counter[str]:
    """The objects that only the collector finds, once some clients have come and gone."""
    async with serving(folder) as (server, path):
        await come_and_go(path, how)
        await nobody_in(server)
        gc.collect()
        gc.disable()
        try:
            for _ in range(CLIENTS):
                await come_and_go(path, how)
            await nobody_in(server)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            return Counter(type(one).__name__ for one in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


@pytest.mark.parametrize("how", ["", "quit", "half", "reset", "watch", "statistics"])
def test_clients_leave_no_circles(how: str, tmp_path: Path) -> None:
    """However they leave: a service makes clients by the hundred thousand, and its collector comes
    seldom."""
    assert trio.run(left_behind, tmp_path, how) == {}


def test_a_circle_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is kept by what it made is found, one for each that came."""
    end = Connection.lose

    def keep_a_circle(connection: Connection) -> None:
        end(connection)
        connection.put = lambda text: connection.say(text)

    monkeypatch.setattr(Connection, "lose", keep_a_circle)
    assert trio.run(left_behind, tmp_path, "quit")["Connection"] > CLIENTS // 2


async def ms_kept(folder: Path, mutex: str, rounds: int) -> int:
    """How many Ms there are once clients that waited for one another have gone."""
    async with serving(folder, mutex) as (server, path):
        before = sum(isinstance(one, M) for one in gc.get_objects())
        for _ in range(rounds):
            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS):
                    nursery.start_soon(come_and_go, path, "quit")
            await nobody_in(server)
        waits = server.world.mutexes["memlock"].statistics().contended
        assert waits > 0 or mutex == "none"
        return sum(isinstance(one, M) for one in gc.get_objects()) - before


@pytest.mark.parametrize("mutex", ["sema", "futex", "spinbit", "queue", "any", "none"])
def test_a_lock_forgets_who_waited_for_it(mutex: str, tmp_path: Path) -> None:
    """Whatever the lock: the last few Ms may be known still, but not each that ever waited."""
    assert trio.run(ms_kept, tmp_path, mutex, 4) <= 3


def test_a_lock_that_does_not_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps an M for each client."""
    monkeypatch.setattr(StateMutex, "forget", lambda lock, m: None)
    monkeypatch.setattr(SpinbitMutex, "forget", lambda lock, m: None)
    assert trio.run(ms_kept, tmp_path, "spinbit", 2) > CLIENTS
