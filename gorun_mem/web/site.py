"""What a page is about, and what its endpoints share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gorun_mem.service.server import Server
from gorun_mem.web.hands import Hands
from gorun_mem.web.laboratory import Laboratory
from gorun_mem.web.live import Live
from gorun_mem.web.runs import OneRun, Runs
from gorun_mem.web.tails import Tails


@dataclass(slots=True)
class Site:
    """What the page is about.

    Args:
        runs: what it has run.
        laboratory: what computes.
        folder: where files for browsers are.
        server: the service; None where the page shows one run only.
        hands: the Ms that are driven from the page, likewise.
        live: the samples of its World, likewise.
        tails: who watches its log, likewise.
        shows: what the page opens on: {"kind": "live"}, {"kind": "run", "id": 1} or
            {"kind": "token", "token": ...}.
        token: what callers must say, None where they need not.
    """

    runs: Runs
    laboratory: Laboratory
    folder: Path
    server: Server | None = None
    hands: Hands | None = None
    live: Live | None = None
    tails: Tails | None = None
    shows: dict[str, Any] | None = None
    token: bytes | None = None
    library: bytes = b""
    streams: int = 0

    async def lanes_of(self, run: OneRun) -> bytes:
        """A log as columns, made once as long as the log stays as it is.

        Raises:
            Refused: it cannot be read.
        """
        async with run.reading:
            now = run.log_state()
            if run.lanes is None or run.lanes[0] != now:
                run.lanes = now, await self.laboratory.logs.ask("lanes", {"log": run.log}, 120)
            return run.lanes[1]
