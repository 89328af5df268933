"""The page's application to test: in memory, over ASGI, and as a process."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import trio

from gorun_mem.web.app import application
from gorun_mem.web.guard import Rules
from gorun_mem.web.hands import Hands
from gorun_mem.web.laboratory import Laboratory
from gorun_mem.web.live import Live
from gorun_mem.web.runs import Runs
from gorun_mem.web.site import Site
from gorun_mem.web.tails import Tails
from tests.service.service_tools import InMemory, command, environment, in_memory

BASE = "http://127.0.0.1:80"


@dataclass
class OverAsgi:
    """A page beside a service, both in memory."""

    client: httpx.AsyncClient
    service: InMemory
    site: Site
    faults: list[BaseException] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"content-type": "application/json"} if method != "GET" else {}
        answer = await self.client.request(method, path, json=body, headers=headers)
        return answer.status_code, answer.json()


@asynccontextmanager
async def over_asgi(**config: Any) -> AsyncIterator[OverAsgi]:
    """The whole application over ASGI."""
    faults: list[BaseException] = []
    with TemporaryDirectory() as folder:
        async with in_memory(**config) as service, trio.open_nursery() as nursery:
            hands = Hands(service.server, nursery)
            live = Live(service.server, hands)
            site = Site(Runs(Path(folder), nursery), Laboratory(folder), Path(folder))
            site.server, site.hands, site.live = service.server, hands, live
            site.tails = Tails(service.recorder, 1 << 16)
            nursery.start_soon(live.run)
            app = application(site, lambda: Rules(80), faults.append)
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, timeout=60) as client:
                yield OverAsgi(client, service, site, faults)
            await site.laboratory.aclose()
            nursery.cancel_scope.cancel()
    assert faults == []


@dataclass
class PageProcess:
    """`gorun-mem serve --http` or `view` in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def raw(self, data: bytes, timeout_s: float = 10) -> bytes:
        """All that the server answers to some bytes before it closes, or is silent for long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as sock:
            sock.sendall(data)
            answer = b""
            try:
                while more := sock.recv(65536):
                    answer += more
            except (TimeoutError, ConnectionResetError):
                pass
        return answer


@contextmanager
def page_process(folder: Path, *words: str) -> Iterator[PageProcess]:
    """A process that serves the page while the block runs; it must say nothing bad."""
    process = subprocess.Popen(
        command(*words), env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "http://" in line:
                address = line.split("http://")[1].split()[0].rstrip(",")
                yield PageProcess(process, f"http://{address}", said)
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.terminate()
        out, err = process.communicate(timeout=20)
        said += [out, err]
    assert "Traceback" not in "".join(said), "".join(said)
    assert "internal" not in "".join(said), "".join(said)


def serving(folder: Path, *words: str) -> Any:
    """A service with its page on a free port."""
    log = str(folder / "serve.jsonl")
    addresses = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    return page_process(folder, "serve", *addresses, "--log", log, *words)
