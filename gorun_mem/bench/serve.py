"""`bench serve`: requests a second of the service, beside a server that only echoes.

Clients are in a process of their own, one thread over epoll, so that they cost as little as may be;
each sends a line, waits for the line that answers it and sends the next. They alloc and free a
block each in turn, so every request is a call that takes memlock. The server is `gorun-mem serve`
with its defaults, the log included. The peer is a plain trio server with the same framing, a line
in and a line out, batched by read; it is what trio and the sockets cost, and so the limit. Both
take turns in one run.

A further row is what browsers cost: the same load at 64 clients with 32 pages open, each with its
two event streams (`/api/live`, and the log at level info), beside none, by turns on one server. A
process of its own reads the streams and throws them away. On a busy machine the row of the server's
CPU time is the one to believe: that process and the clients take what CPU they find.

Reported besides: latencies as clients see them, in real time; the CPU time that the server spends
on a call, which other programs on the machine disturb less than rates; and what share of the time
that Ms wait for or hold memlock is waiting, in virtual time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final

from gorun_mem.bench import Row
from gorun_mem.service.address import Address
from gorun_mem.service.client import Client

CLIENTS: Final = (1, 8, 64)
RATIO_MIN: Final = 0.5
"""Of the echo server's requests a second, at 64 clients."""
BROWSERS: Final = 32
BROWSERS_RATIO_MIN: Final = 0.9
"""Of the calls a second without browsers, with so many of them."""
STREAMS: Final = ("/api/live", "/api/events?level=info")
"""What an open page listens to."""
SIZES: Final = (4096, 65536, 131072)
"""Blocks that clients allocate, in bytes."""


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: a fraction of a second each; the figures are then rough.
    """
    rounds, seconds = (1, 0.3) if quick else (4, 1.5)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, _servers(Path(folder)) as (ours, echo):
        for clients in CLIENTS:
            rows += _rows(clients, _compare(ours, echo, clients, rounds, seconds))
    if find_spec("starlette") is None:
        sys.stderr.write("serve: browsers are left out: pip install 'gorun-mem[web]'\n")
        return rows
    with tempfile.TemporaryDirectory() as folder:
        rows += _browsers(Path(folder), rounds, seconds)
    return rows


class _ServerProcess:
    """A server in a process of its own.

    Args:
        process: it prints its address on stderr, third word of the first line.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.address = Address.parse(process.stderr.readline().split()[2].rstrip(":"))
        self._stat = Path(f"/proc/{process.pid}/stat")

    def cpu_s(self) -> float:
        """CPU time used so far, in seconds; 0 where the system has no /proc."""
        if not self._stat.exists():
            return 0.0
        user, system = self._stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class _Figures:
    """What one server did under one load, over several rounds."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.cpu_us = float("inf")
        self.p50_us = self.p99_us = 0.0
        self.wait_share = 0.0

    def better(self, found: dict[str, Any], cpu_s: float, wait_share: float = 0.0) -> None:
        """Keep the best round: what the machine can do when nothing disturbs it."""
        self.cpu_us = min(self.cpu_us, cpu_s / found["count"] * 1e6)
        if found["rate"] > self.rate:
            self.rate = found["rate"]
            self.p50_us, self.p99_us = found["p50_us"], found["p99_us"]
            self.wait_share = wait_share


def _compare(
    ours: _ServerProcess, echo: _ServerProcess, clients: int, rounds: int, seconds: float
) -> tuple[_Figures, _Figures]:
    mine, peer = _Figures(), _Figures()
    for _ in range(rounds):
        cpu = echo.cpu_s()
        found = _load(echo.address, clients, seconds, greets=False)
        peer.better(found, echo.cpu_s() - cpu)
        before, cpu = _locks(ours.address), ours.cpu_s()
        found = _load(ours.address, clients, seconds, greets=True)
        cpu = ours.cpu_s() - cpu
        waited, held = (b - a for a, b in zip(before, _locks(ours.address), strict=True))
        mine.better(found, cpu, waited / max(waited + held, 1))
    return mine, peer


def _rows(clients: int, figures: tuple[_Figures, _Figures]) -> Iterator[Row]:
    mine, peer = figures
    ratio = mine.rate / peer.rate
    judged = clients == CLIENTS[-1]
    who = f"{clients} client{'s' if clients > 1 else ''}"
    yield Row(
        name=f"{who}: calls",
        figure=mine.rate,
        unit="calls/s",
        peer="trio echo server",
        peer_figure=peer.rate,
        ratio=ratio,
        target=f"at least {RATIO_MIN:g} of the echo server's" if judged else "",
        ok=ratio >= RATIO_MIN if judged else None,
    )
    for name, value, other in (
        ("p50", mine.p50_us, peer.p50_us),
        ("p99", mine.p99_us, peer.p99_us),
        ("server's CPU", mine.cpu_us, peer.cpu_us),
    ):
        yield Row(
            name=f"{who}: {name}",
            figure=value,
            unit="us",
            peer="trio echo server",
            peer_figure=other,
            ratio=other / value if value else None,
        )
    yield Row(name=f"{who}: lock wait", figure=100 * mine.wait_share, unit="% of lock time")


def _browsers(folder: Path, rounds: int, seconds: float) -> Iterator[Row]:
    """Calls a second with browsers and without, by turns: the best of each; and what a call takes
    of the server's CPU time, the median of each."""
    clients = CLIENTS[-1]
    command = [*_serve_command(folder), "--http", "127.0.0.1:0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        server = _ServerProcess(process)
        assert process.stderr is not None
        page = process.stderr.readline().split("http://")[1].strip().rstrip("/")
        without: list[tuple[float, float]] = []
        beside: list[tuple[float, float]] = []
        for _ in range(3 * rounds):
            without.append(_rate_and_cpu(server, clients, seconds / 2))
            with _open_pages(Address.parse(page)):
                beside.append(_rate_and_cpu(server, clients, seconds / 2))
    finally:
        process.terminate()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
    who = f"{clients} clients, {BROWSERS} browsers"
    most, least = max(rate for rate, _ in beside), max(rate for rate, _ in without)
    yield _browsers_row(f"{who}: calls", "calls/s", most, least, most / least)
    more, less = (median(cpu_us for _, cpu_us in all_) for all_ in (beside, without))
    if more:
        yield _browsers_row(f"{who}: server's CPU", "us", more, less, less / more)


def _rate_and_cpu(server: _ServerProcess, clients: int, seconds: float) -> tuple[float, float]:
    """Calls a second, and the server's CPU time for one in us."""
    before = server.cpu_s()
    found = _load(server.address, clients, seconds, greets=True)
    return found["rate"], (server.cpu_s() - before) / found["count"] * 1e6


def _browsers_row(name: str, unit: str, figure: float, peer: float, ratio: float) -> Row:
    return Row(
        name=name,
        figure=figure,
        unit=unit,
        peer="no browser",
        peer_figure=peer,
        ratio=ratio,
        target=f"at least {BROWSERS_RATIO_MIN:g} of those without browsers",
        ok=ratio >= BROWSERS_RATIO_MIN,
    )


@contextmanager
def _open_pages(page: Address) -> Iterator[None]:
    """Browsers' event streams, read by another process while the block runs."""
    code = "from gorun_mem.bench.serve import browsers_main; browsers_main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(page), str(BROWSERS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def browsers_main() -> None:
    """Open every stream of so many pages, and read."""
    import selectors
    import socket

    page, count = Address.parse(sys.argv[1]), int(sys.argv[2])
    selector = selectors.DefaultSelector()
    for stream in STREAMS * count:
        sock = socket.create_connection((page.host, page.port))
        sock.sendall(f"GET {stream} HTTP/1.1\r\nhost: {page}\r\n\r\n".encode())
        if b" 200 " not in sock.recv(1 << 16):
            raise SystemExit(f"{stream} was refused")
        selector.register(sock, selectors.EVENT_READ)
    sys.stdout.write("open\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            key.fileobj.recv(1 << 18)  # type: ignore[union-attr]


def _locks(address: Address) -> tuple[int, int]:
    """memlock's wait and hold times so far, in virtual ns."""
    with Client(address, timeout_s=10) as client:
        lock = json.loads(client.ask("statistics"))["locks"]["memlock"]
    return lock["wait_ns"], lock["hold_ns"]


# The servers and the clients, each a process.


def _serve_command(folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "gorun_mem", "serve", "--listen", "127.0.0.1:0", "--report-every",
        "0", "--log", str(folder / "serve.jsonl.zst"),
    ]  # fmt: skip


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[_ServerProcess, _ServerProcess]]:
    ours = _serve_command(folder)
    echo = [sys.executable, "-c", "from gorun_mem.bench.serve import echo_main; echo_main()"]
    processes: list[subprocess.Popen[str]] = []
    try:
        processes.extend(
            subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            for command in (ours, echo)
        )
        yield _ServerProcess(processes[0]), _ServerProcess(processes[1])
    finally:
        for process in processes:
            process.terminate()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


def _load(address: Address, clients: int, seconds: float, *, greets: bool) -> dict[str, Any]:
    """What clients in another process see."""
    code = "from gorun_mem.bench.serve import clients_main; clients_main()"
    arguments = [str(address), str(clients), str(seconds), str(int(greets))]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def echo_main() -> None:
    """A trio server that answers a line with a line."""
    import trio

    async def echo(stream: trio.SocketStream) -> None:
        rest = b""
        try:
            async for data in stream:
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                await stream.send_all(b"".join(line + b"\n" for line in lines))
        except trio.BrokenResourceError:
            pass  # clients leave with an answer under way

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        sys.stderr.write(f"listening on 127.0.0.1:{port}:\n")
        sys.stderr.flush()
        await trio.serve_listeners(echo, listeners)

    trio.run(main)


def clients_main() -> None:
    """The clients; prints what they saw as JSON."""
    address, clients, seconds, greets = sys.argv[1:]
    found = drive(Address.parse(address), int(clients), float(seconds), greets=greets == "1")
    sys.stdout.write(json.dumps(found))


def drive(address: Address, clients: int, seconds: float, *, greets: bool) -> dict[str, Any]:
    """Let closed-loop clients ask for a while; each block is freed by the next request.

    Args:
        address: of the server.
        clients: how many, each with one request under way.
        seconds: how long.
        greets: the server says a line first.
    """
    import select
    import socket

    poller = select.epoll()
    socks: dict[int, socket.socket] = {}
    rounds: dict[int, int] = {}
    held: dict[int, int] = {}
    sent_at: dict[int, float] = {}
    latencies: list[float] = []
    for _ in range(clients):
        sock = socket.create_connection((address.host, address.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while greets and not sock.recv(4096).endswith(b"\n"):
            pass
        socks[sock.fileno()] = sock
        poller.register(sock, select.EPOLLIN)
    clock = time.perf_counter
    start = clock()
    end = start + seconds
    for fd, sock in socks.items():
        rounds[fd] = fd
        held[fd] = SIZES[fd % 3]
        sent_at[fd] = clock()
        sock.send(b"alloc %d\n" % held[fd])
    now = start
    while now < end:
        for fd, _ in poller.poll():
            sock = socks[fd]
            answer = sock.recv(4096)
            now = clock()
            latencies.append(now - sent_at[fd])
            sent_at[fd] = now
            if held[fd]:
                address_held = answer.strip() if greets else b"1441792"
                sock.send(b"free %s %d\n" % (address_held, held[fd]))
                held[fd] = 0
            else:
                rounds[fd] += 1
                held[fd] = SIZES[rounds[fd] % 3]
                sock.send(b"alloc %d\n" % held[fd])
    for sock in socks.values():
        sock.close()
    poller.close()
    latencies.sort()
    count = len(latencies)
    return {
        "count": count,
        "rate": count / (now - start),
        "p50_us": latencies[count // 2] * 1e6,
        "p99_us": latencies[count * 99 // 100] * 1e6,
    }
