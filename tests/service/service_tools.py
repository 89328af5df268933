"""Servers to test: one in a process of its own, one over streams in memory."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
import trio.testing

from gorun_mem.events import Recorder
from gorun_mem.events.log import json_logger
from gorun_mem.events.sinks import MemorySink
from gorun_mem.machine.config import Config
from gorun_mem.machine.run import Run
from gorun_mem.service.address import Address
from gorun_mem.service.client import Client
from gorun_mem.service.server import Server, serve
from gorun_mem.service.settings import Settings
from tests import ROOT, heed_interrupts


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gorun_mem", *arguments]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "GORUN_MEM_HOME": str(home)}


@dataclass
class Served:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: Address
    log: Path
    said: list[str] = field(default_factory=list)

    def client(self) -> Client:
        return Client(self.address, timeout_s=20)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        # Not `communicate`: it misses what came together with the first line.
        self.said += [self.process.stderr.read(), self.process.stdout.read()]
        return self.process.wait(timeout=20)

    def rss_kib(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise AssertionError("the server has gone")


@contextmanager
def served(folder: Path, *options: str, listen: str = "127.0.0.1:0") -> Iterator[Served]:
    """`gorun-mem serve` while the block runs."""
    log = folder / "serve.jsonl"
    process = subprocess.Popen(
        command("serve", "--listen", listen, "--log", str(log), *options),
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("listening on "), line + process.stderr.read()
        yield Served(process, Address.parse(line.split()[2].rstrip(":")), log)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def events_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


class InMemory:
    """A server over streams in memory, with its log."""

    def __init__(self, config: Config, settings: Settings) -> None:
        self.sink = MemorySink()
        self.recorder = Recorder(json_logger(self.sink))
        self.said: list[str] = []
        self.server = Server(config, settings, self.recorder, self.said.append)
        self.run: Run | None = None
        self._nursery: trio.Nursery

    def connect(self, *, lockstep: bool = False) -> Talk:
        pair = trio.testing.lockstep_stream_pair if lockstep else trio.testing.memory_stream_pair
        ours, theirs = pair()
        self._nursery.start_soon(self._handle, theirs)
        return Talk(ours)

    async def join(self) -> Talk:
        """A client that has been greeted, so that Ms are numbered in the order of joining."""
        talk = self.connect()
        await talk.line()
        return talk

    async def _handle(self, stream: trio.abc.Stream) -> None:
        """As trio.serve_listeners does: close the stream behind the handler."""
        try:
            await self.server.handle(stream)
        finally:
            await trio.aclose_forcefully(stream)

    @property
    def events(self) -> list[dict[str, Any]]:
        return events_of(self.sink.data)


class Talk:
    """A client over a stream in memory."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, *lines: str) -> None:
        await self.stream.send_all("".join(f"{line}\n" for line in lines).encode())

    async def line(self) -> str:
        while b"\n" not in self._rest:
            more = await self.stream.receive_some()
            if not more:
                raise EOFError
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    async def ask(self, *lines: str) -> list[str]:
        await self.send(*lines)
        return [await self.line() for _ in lines]

    async def rest(self) -> list[str]:
        """All lines to the end of the connection."""
        lines = []
        while True:
            try:
                lines.append(await self.line())
            except EOFError:
                return lines


@asynccontextmanager
async def in_memory(settings: Settings | None = None, **config: Any) -> AsyncIterator[InMemory]:
    """A server while the block runs; it is drained at its end."""
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            given = settings or Settings(report_s=0)
            one = InMemory(serve.config(**{"ms": 64, **config}), given)
            one._nursery = nursery

            async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                one.run = await one.server.run([], task_status=task_status)

            await nursery.start(run)
            yield one
            if one.run is None:
                one.server.drain("the test is over")


class LegalClient:
    """Random legal requests of one client that owns what it writes, and checks every answer.

    Args:
        seed: of its choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._byte = seed % 255 + 1
        self._owned: list[tuple[int, int]] = []
        self._next: list[tuple[str, Any]] = []
        self.answers: list[tuple[str, str]] = []
        """(request, answer) of each call of the OS layer, in order."""

    def requests(self) -> list[str]:
        """The next few requests, which do not depend on each other's answers."""
        self._next = []
        draw = self._random.random()
        if self._owned and (draw < 0.45 or len(self._owned) > 8):
            v, n = self._owned.pop(self._random.randrange(len(self._owned)))
            word = int.from_bytes(bytes([self._byte]) * 8, "little")
            self._want(f"iszero {v} {n}", str(n))
            self._want(f"word {v + n - 8}", str(word))
            self._want(f"load {v}", str(word))
            half = n // 2 // 4096 * 4096
            if half and draw < 0.1:
                self._owned.append((v + half, n - half))
                n = half
            self._want(f"free {v} {n}", "ok")
            return [request for request, _ in self._next]
        size = self._random.choice((1, 2, 3, 16, 33)) * 4096
        kind = self._random.choice(("alloc", "alloc", "reserve", "reserve_aligned"))
        request = {
            "alloc": f"alloc {size}",
            "reserve": f"reserve 0 {size}",
            "reserve_aligned": f"reserve_aligned {size} 65536",
        }[kind]
        self._next.append((request, size))
        return [request]

    def _want(self, request: str, answer: str) -> None:
        self._next.append((request, answer))

    def take(self, answers: list[str]) -> list[str]:
        """Check the answers; what is to be asked at once because of them."""
        then: list[str] = []
        for (request, wanted), answer in zip(self._next, answers, strict=True):
            if isinstance(wanted, str):
                assert answer == wanted, (request, answer, wanted)
            else:
                v, n = (*map(int, answer.split()), wanted)[:2]
                assert v > 0, (request, answer)
                self._owned.append((v, n))
                then.append(f"fill {v} {n} {self._byte}")
            if request.startswith(("alloc", "free", "reserve")):
                self.answers.append((request, answer))
        self._next = [(request, "ok") for request in then]
        return then
