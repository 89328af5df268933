"""`bench soak`: a service under clients that come and go, watchers that stall, and kills.

64 clients call at once, each checks every answer, lives for some hundred requests and leaves: by
`quit`, in the middle of a request, or by a reset. Watchers ask for all events and never read them.
After ten minutes the server must be as large as after the first quarter, its log sound, and no
answer wrong; never may all stand still, though nobody reads what the server says on stderr. It is a
test of the server, not of its speed, so it has no peer; it is run only where it is named. `--quick`
is a matter of seconds.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import trio

from gorun_mem.bench import Row
from gorun_mem.events.reader import read_events

CLIENTS: Final = 64
WATCHERS: Final = 4
LIVES: Final = (40, 400)
"""Requests between which a client's life has one."""
GROWTH_MAX: Final = 5.0
"""Per cent by which the server may grow after its first quarter."""
STANDSTILL_MAX_S: Final = 5.0
"""How long no client may have an answer; the machine may be busy with other things."""
LOG_MAX: Final = 64 << 20


class Soak:
    """One soak.

    Args:
        socket: path of the server's socket.
        seed: of what clients do.

    Attributes:
        counts: requests, lives, watched and wrong answers so far.
        wrong: the first wrong answers.
        standstill_s: the longest time in which nobody had an answer.
    """

    def __init__(self, socket: Path, seed: int) -> None:
        self._socket = socket
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.standstill_s = 0.0
        self._answered_at = time.monotonic()

    def note_answer(self) -> None:
        """A client has had an answer."""
        now = time.monotonic()
        self.standstill_s = max(self.standstill_s, now - self._answered_at)
        self._answered_at = now

    async def run(self, seconds: float) -> None:
        """Let clients come and go for so long."""
        self._answered_at = time.monotonic()
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for number in range(CLIENTS):
                    nursery.start_soon(self._again_and_again, number)
                for _ in range(WATCHERS):
                    nursery.start_soon(self._stall)
        self.note_answer()  # the end counts as one

    async def _again_and_again(self, number: int) -> None:
        rng = random.Random(f"{self._random.random()}/{number}")
        while True:
            stream = await trio.open_unix_socket(self._socket)
            try:
                await _Life(stream, rng, self).live()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.counts["refused"] += 1
                await trio.sleep(0.05)
            finally:
                await trio.aclose_forcefully(stream)

    async def _stall(self) -> None:
        """Watch, and read nothing for a while."""
        while True:
            stream = await trio.open_unix_socket(self._socket)
            try:
                await stream.send_all(b"watch\n")
                self.counts["watched"] += 1
                await trio.sleep(self._random.uniform(0.5, 5))
            except trio.BrokenResourceError:
                await trio.sleep(0.05)
            finally:
                await trio.aclose_forcefully(stream)

    def note_wrong(self, request: str, answer: str, wanted: str) -> None:
        """An answer is not what it must be."""
        self.counts["wrong"] += 1
        if len(self.wrong) < 5:
            self.wrong.append(f"{request}: {answer}, and not {wanted}")


class _Life:
    """One client from its greeting to its end."""

    def __init__(self, stream: trio.SocketStream, rng: random.Random, soak: Soak) -> None:
        self._stream = stream
        self._rng = rng
        self._soak = soak
        self._rest = b""
        self._owned: list[tuple[int, int, int]] = []

    async def live(self) -> None:
        soak, rng = self._soak, self._rng
        await self._line()
        soak.counts["lives"] += 1
        for _ in range(rng.randint(*LIVES)):
            await self._do_something()
        match rng.randrange(3):
            case 0:
                await self._ask("quit")
            case 1:
                await self._stream.send_all(b"alloc 65536\nalloc 65536\nfr")

    async def _do_something(self) -> None:
        rng = self._rng
        if self._owned and (rng.random() < 0.5 or len(self._owned) > 6):
            v, n, byte = self._owned.pop(rng.randrange(len(self._owned)))
            word = int.from_bytes(bytes([byte]) * 8, "little")
            await self._expect(f"iszero {v} {n}", str(n))
            await self._expect(f"load {v + n - 8}", str(word))
            await self._expect(f"free {v} {n}", "ok")
            return
        n = rng.choice((1, 2, 3, 16)) * 4096
        answer = await self._ask(f"alloc {n}")
        if not answer.isdigit() or answer == "0":
            self._soak.note_wrong(f"alloc {n}", answer, "an address")
            return
        v, byte = int(answer), rng.randrange(1, 256)
        await self._expect(f"iszero {v} {n}", "0")
        await self._expect(f"fill {v} {n} {byte}", "ok")
        self._owned.append((v, n, byte))

    async def _expect(self, request: str, wanted: str) -> None:
        answer = await self._ask(request)
        if answer != wanted:
            self._soak.note_wrong(request, answer, wanted)

    async def _ask(self, request: str) -> str:
        await self._stream.send_all(request.encode() + b"\n")
        self._soak.counts["requests"] += 1
        answer = await self._line()
        self._soak.note_answer()
        return answer

    async def _line(self) -> str:
        while b"\n" not in self._rest:
            data = await self._stream.receive_some()
            if not data:
                raise trio.BrokenResourceError
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


def soak(seconds: float, seed: int = 1) -> tuple[Soak, list[int], int, str]:
    """Soak a server for a while.

    Returns:
        What the clients saw, the server's resident KiB twice a second, its exit code, and what is
        wrong with its log.
    """
    with tempfile.TemporaryDirectory() as folder:
        socket, logs = Path(folder) / "s", Path(folder) / "logs"
        logs.mkdir()
        command = [
            sys.executable, "-m", "gorun_mem", "serve", "--listen", f"unix:{socket}", "--reclaim",
            "--platform", "plan9/amd64", "--report-every", "0", "--log",
            str(logs / "soak.jsonl.zst"), "--log-max", str(LOG_MAX),
        ]  # fmt: skip
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as server:
            try:
                assert server.stderr is not None
                server.stderr.readline()
                one, sizes = Soak(socket, seed), list[int]()
                trio.run(_measured, one, seconds, server.pid, sizes)
                server.send_signal(signal.SIGTERM)
                server.communicate(timeout=60)
            finally:
                server.kill()
        reader = read_events(logs)
        last = ""
        for event in reader:
            last = event.name
        damage = reader.describe_damage()
        if last != "run.end":
            damage += "; no run.end"
        return one, sizes, server.returncode, damage


async def _measured(one: Soak, seconds: float, pid: int, sizes: list[int]) -> None:
    async def measure() -> None:
        while True:
            await trio.sleep(0.5)
            sizes.append(_resident_kib(pid))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(measure)
        await one.run(seconds)
        nursery.cancel_scope.cancel()


def _resident_kib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * (os.sysconf("SC_PAGE_SIZE") // 1024)


def growth_percent(sizes: list[int]) -> float:
    """How much larger the last quarter is than the second, by their medians."""
    quarter = max(len(sizes) // 4, 1)
    before = statistics.median(sizes[quarter : 2 * quarter] or sizes)
    after = statistics.median(sizes[-quarter:])
    return 100 * (after - before) / before


def run(*, quick: bool = False) -> list[Row]:
    """Soak.

    Args:
        quick: for seconds, and not ten minutes.
    """
    seconds = 4.0 if quick else 600.0
    began = time.monotonic()
    one, sizes, code, damage = soak(seconds)
    took = time.monotonic() - began
    grown = growth_percent(sizes)
    figures = one.counts
    return [
        Row(name="requests", figure=figures["requests"], unit=f"in {took:.0f} s"),
        Row(name="clients that came and went", figure=figures["lives"], unit="clients"),
        Row(name="watchers that stalled", figure=figures["watched"], unit="watchers"),
        Row(
            name="wrong answers",
            figure=figures["wrong"],
            unit="answers",
            target="0",
            ok=figures["wrong"] == 0,
        ),
        Row(
            name="longest time without an answer for anybody",
            figure=one.standstill_s,
            unit="s",
            target=f"at most {STANDSTILL_MAX_S:g}",
            ok=one.standstill_s <= STANDSTILL_MAX_S,
        ),
        Row(
            name="resident memory, last quarter against second",
            figure=grown,
            unit="%",
            target=f"at most {GROWTH_MAX:g}" if not quick else "",
            ok=grown <= GROWTH_MAX if not quick else None,
        ),
        Row(
            name=f"exit code {code}; log {damage or 'sound'}",
            figure=float(code != 0 or bool(damage)),
            unit="faults",
            target="0",
            ok=code == 0 and not damage,
        ),
    ]
