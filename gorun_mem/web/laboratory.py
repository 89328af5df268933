"""A process that computes what the page asks: schedules by hand, logs as columns.

Programs under test run there and not beside the service: they may loop, throw or take all of the
time, and the service's World goes on. The process is started when it is first needed; one that
takes too long is killed and started anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import trio

from gorun_mem.web.guard import Refused
from gorun_mem.web.of_tests import is_test

TIME_S: Final = 30.0
START_S: Final = 60.0
"""What a new process has beside that, for Python and, before a test, for pytest and its plugins."""
WAITING_MAX: Final = 16
"""Requests that wait for one helper."""
ANSWER_BYTES_MAX: Final = 64 << 20


class Helper:
    """One process, which answers one request after another.

    Args:
        folder: where it may leave files.
        code: beside the library's, what schedules that are looked at may run, as they name it.
    """

    def __init__(self, folder: str, code: Sequence[str] = ()) -> None:
        self._arguments = [folder, *code]
        self._process: trio.Process | None = None
        self._rest = b""
        self._busy = trio.Lock()
        self._waiting = 0

    async def ask(self, what: str, facts: dict[str, Any], time_s: float = TIME_S) -> bytes:
        """The answer to a request, as JSON.

        Raises:
            Refused: what was asked cannot be answered, or takes too long, or too many ask.
        """
        if self._waiting >= WAITING_MAX:
            raise Refused(429, "too many requests wait", "ask again in a moment")
        self._waiting += 1
        try:
            async with self._busy:
                return await self._ask(what, facts, time_s)
        finally:
            self._waiting -= 1

    async def _ask(self, what: str, facts: dict[str, Any], time_s: float) -> bytes:
        line: bytes | None = None
        is_fresh = self._process is None or self._process.poll() is not None
        try:
            with trio.move_on_after(time_s + (START_S if is_fresh else 0)):
                process = await self._started()
                assert process.stdin is not None
                request = msgspec.json.encode({"what": what, "facts": facts})
                await process.stdin.send_all(request + b"\n")
                line = await self._line(process)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            line = b""
        finally:
            if not line:  # too late, dead, or this request was cancelled: its answer is nobody's
                await self.aclose()
        if line is None:
            raise Refused(400, f"it takes more than {time_s:g} s", "ask for less")
        if not line:
            raise Refused(
                400, "the program ended the process that ran it", "ask for something else"
            )
        status, answer = line[:3], line[4:]
        if status != b"200":
            told = msgspec.json.decode(answer)
            raise Refused(int(status), told["error"], told["hint"])
        return answer

    async def _started(self) -> trio.Process:
        if self._process is None or self._process.poll() is not None:
            self._rest = b""
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "gorun_mem.web.worker", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self._process

    async def _line(self, process: trio.Process) -> bytes:
        assert process.stdout is not None
        parts = [self._rest]
        size = 0
        while True:
            data = bytes(await process.stdout.receive_some(1 << 18))
            size += len(data)
            if not data or size > ANSWER_BYTES_MAX:
                return b""
            head, newline, rest = data.partition(b"\n")
            parts.append(head)
            if newline:
                self._rest = rest
                return b"".join(parts)

    async def aclose(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                await stream.aclose()


class Laboratory:
    """The helpers: for what people play with, for logs, and for reports, which take longest.

    Args:
        folder: where they may leave files.
        code: beside the library's, what schedules that are looked at may run, as they name it.
    """

    def __init__(self, folder: str, code: Sequence[str] = ()) -> None:
        self.programs = Helper(folder, code)
        self.logs = Helper(folder)
        self.reports = Helper(folder, [one for one in code if not is_test(one)])

    async def aclose(self) -> None:
        """End the processes."""
        for helper in (self.programs, self.logs, self.reports):
            await helper.aclose()
