"""Runs that the page has started, and logs that it was told to show.

A run is `gorun-mem run` in a process of its own, with its JSON summary, or a guest in the service's
World (`gorun_mem.service.guests`). Either writes a log at level debug: what the page shows of it is
read from that log, as of any other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from gorun_mem.service.guests import TooManyGuests
from gorun_mem.web.documents import NewRun
from gorun_mem.web.guard import Refused

if TYPE_CHECKING:
    from gorun_mem.machine.scenario import Scenario
    from gorun_mem.service.guests import Guest, Guests

AT_ONCE_MAX: Final = 3
KEPT_MAX: Final = 20
RUN_S_MAX: Final = 120.0
LOG_BYTES_MAX: Final = 1 << 30
_SAID_MAX: Final = 4000
_SUMMARY_BYTES_MAX: Final = 1 << 20


class OneRun:
    """One run, or one log.

    Attributes:
        id: from 1.
        title: for people.
        log: the file.
        state: "running", "done" or "stopped".
        summary: what `run --json` said; None where it said nothing, or a log was opened.
        said: what it said to people, and why it was stopped.
        exit: its exit code; None while it runs.
        lanes: size and time of the log, and what was read of it then; None where nothing was.
        reading: held by who reads the log.
        guest: what runs in the service's World; None elsewhere.
        recording: of the real program that the log was replayed from, "" where it was not.
    """

    def __init__(self, id: int, title: str, log: str, ours: bool, asked: dict[str, Any]) -> None:
        self.id = id
        self.title = title
        self.log = log
        self.ours = ours
        self.asked = asked
        self.state = "running" if ours else "done"
        self.summary: Any = None
        self.said = ""
        self.exit: int | None = None
        self.lanes: tuple[tuple[int, int], bytes] | None = None
        self.reading = trio.Lock()
        self.process: trio.Process | None = None
        self.guest: Guest | None = None
        self.recording = ""
        self.started_s = time.monotonic()
        self.took_s = 0.0

    @property
    def in_parts(self) -> bool:
        """Whether the log is a folder of parts, as a service's is."""
        return os.path.isdir(self.log)

    def log_state(self) -> tuple[int, int]:
        """The log's size and time; zeros where there is none."""
        try:
            parts = [self.log]
            if self.in_parts:
                parts += [one.path for one in os.scandir(self.log)]
            there = [os.stat(part) for part in parts]
        except OSError:
            return 0, 0
        return sum(one.st_size for one in there), max(one.st_mtime_ns for one in there)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        took = self.took_s or time.monotonic() - self.started_s
        return {
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "exit": self.exit,
            "log": self.log,
            "log_bytes": self.log_state()[0],
            "seconds": round(took, 3) if self.ours else None,
            "asked": self.asked,
            "recording": self.recording,
            "where": "service" if self.guest is not None else "own",
            "summary": self.summary,
            "said": self.said,
        }


class Runs:
    """The runs of one page.

    Args:
        folder: where their logs are.
        nursery: where they are looked after.
    """

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self._by_id: dict[int, OneRun] = {}
        self._last = 0

    def all(self) -> list[OneRun]:
        """Every run that is kept, the newest first."""
        return list(reversed(self._by_id.values()))

    def of(self, id: int) -> OneRun:
        """The run with that id.

        Raises:
            Refused: there is none.
        """
        try:
            return self._by_id[id]
        except KeyError:
            raise Refused(404, f"no run {id}", "GET /api/runs lists those there are") from None

    def show(self, log: str) -> OneRun:
        """Take in a log that is there."""
        return self._add(OneRun(self._last + 1, Path(log).name, log, False, {}))

    async def start(self, wanted: NewRun) -> OneRun:
        """Start a scenario.

        Raises:
            Refused: too many run.
        """
        if sum(run.process is not None and run.state == "running" for run in self.all()) >= (
            AT_ONCE_MAX
        ):
            raise Refused(
                429, f"{AT_ONCE_MAX} runs are under way, as many as may be", "wait, or stop one"
            )
        id = self._last + 1
        log = self._folder / f"run-{id}.jsonl"
        asked = msgspec.to_builtins(wanted)
        run = self._add(OneRun(id, wanted.scenario, os.fspath(log), True, asked))
        run.process = await trio.lowlevel.open_process(
            [
                sys.executable,
                "-m",
                "gorun_mem.web.followed",
                str(os.getpid()),
                *arguments(wanted, log),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._nursery.start_soon(self._look_after, run)
        return run

    def start_inside(self, guests: Guests, scenario: Scenario, wanted: NewRun) -> OneRun:
        """Start a scenario in the service's World.

        Raises:
            Refused: too many run there, or the service ends.
        """
        id = self._last + 1
        log = os.fspath(self._folder / f"run-{id}.jsonl")
        try:
            guest = guests.start(scenario, wanted.options, wanted.settings.ms, log)
        except TooManyGuests as error:
            raise Refused(429, str(error), "wait, or stop one") from None
        run = self._add(OneRun(id, wanted.scenario, log, True, msgspec.to_builtins(wanted)))
        run.guest = guest
        self._nursery.start_soon(self._await_end, run, guest)
        return run

    async def _await_end(self, run: OneRun, guest: Guest) -> None:
        await guest.ended.wait()
        run.took_s = time.monotonic() - run.started_s
        run.exit = 0 if guest.outcome == "ok" else 1
        run.said = f"{run.said}{guest.error}"[-_SAID_MAX:]
        run.summary = {"outcome": guest.outcome, "results": guest.results}
        if run.state == "running":
            run.state = "done"

    def stop(self, id: int) -> None:
        """End a run, or forget one that has ended."""
        run = self.of(id)
        if run.guest is not None and run.guest.runs:
            run.guest.cancel_all()
            return
        if run.state == "running":
            self._kill(run, "stopped by hand")
            return
        del self._by_id[id]
        if run.ours:
            Path(run.log).unlink(missing_ok=True)

    def _add(self, run: OneRun) -> OneRun:
        self._last = run.id
        self._by_id[run.id] = run
        for old in list(self._by_id.values()):
            if len(self._by_id) <= KEPT_MAX:
                break
            if old.state != "running":
                self.stop(old.id)
        return run

    def _kill(self, run: OneRun, why: str) -> None:
        run.state = "stopped"
        run.said = f"{run.said}{why}\n"
        if run.process is not None:
            run.process.kill()

    async def _look_after(self, run: OneRun) -> None:
        """Hear what it says, and end what goes too far."""
        process = run.process
        assert process is not None
        out: list[bytes] = []
        err: list[bytes] = []
        try:
            async with trio.open_nursery() as bound:
                bound.start_soon(self._bound, run)
                async with trio.open_nursery() as reading:
                    reading.start_soon(_read, process.stdout, out, _SUMMARY_BYTES_MAX)
                    reading.start_soon(_read, process.stderr, err, _SAID_MAX)
                    await process.wait()
                    reading.cancel_scope.deadline = trio.current_time() + 1
                bound.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                if process.poll() is None:
                    process.kill()
                    await process.wait()
                for stream in (process.stdout, process.stderr):
                    assert stream is not None
                    await stream.aclose()
        run.took_s = time.monotonic() - run.started_s
        run.exit = process.returncode
        run.said = run.said + b"".join(err).decode("utf-8", "replace")[-_SAID_MAX:]
        if run.state == "running":
            run.state = "done"
        try:
            run.summary = msgspec.json.decode(b"".join(out))
        except msgspec.DecodeError:
            run.summary = None

    async def _bound(self, run: OneRun) -> None:
        while True:
            await trio.sleep(0.2)
            if time.monotonic() - run.started_s > RUN_S_MAX:
                self._kill(run, f"it took more than {RUN_S_MAX:g} s")
                return
            if run.document()["log_bytes"] > LOG_BYTES_MAX:
                self._kill(run, f"its log has more than {LOG_BYTES_MAX:,} bytes")
                return


async def _read(stream: Any, into: list[bytes], most: int) -> None:
    size = 0
    async for data in stream:
        if size < most:
            into.append(bytes(data))
        size += len(data)


def arguments(wanted: NewRun, log: Path) -> list[str]:
    """The command line of a run, as a person would write it."""
    settings = wanted.settings
    words = ["run", wanted.scenario, "--json", "--log", os.fspath(log), "--log-level", "debug"]
    for name in (
        "ms",
        "cpus",
        "seed",
        "release",
        "platform",
        "mutex",
        "policy",
        "strategy",
        "max_pages",
    ):
        value = getattr(settings, name)
        if value is not None:
            words.append(f"--{name.replace('_', '-')}={value}")
    words += [f"--set={name}={value}" for name, value in wanted.options.items()]
    return words
