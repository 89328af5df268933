"""What a server does now and then: flush the log, close idle connections, say how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import trio

from gorun_mem.events.errors import LogError
from gorun_mem.report.units import count, ns, size
from gorun_mem.service.connection import Connection, Service

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.service.guests import Guests

TICK_S: Final = 0.5
"""How often the log is flushed and connections are looked after."""


class Tended(Service, Protocol):
    """What the upkeep needs of the server, besides what a connection does.

    Attributes:
        connections: those that are open.
        recorder: who logs.
        guests: scenarios that run in the World.
    """

    connections: dict[Connection, None]
    recorder: Recorder
    guests: Guests


class Upkeep:
    """The upkeep of one server.

    Args:
        server: whose.
    """

    def __init__(self, server: Tended) -> None:
        self._server = server

    async def run(self) -> None:
        """Look after the server until cancelled."""
        server, every_s = self._server, self._server.settings.report_s
        report_at = trio.current_time() + every_s
        before = self._progress()
        while True:
            await trio.sleep(TICK_S)
            now = trio.current_time()
            for connection in list(server.connections):
                if connection.over.is_set():
                    continue
                if connection.m is None and now >= connection.stranger_until:
                    connection.close(f"no token within {server.settings.limits.auth_s:g} s")
                elif connection.is_idle(now):
                    self._close_idle(connection)
            self._check_log()
            server.guests.look_after()
            if every_s and now >= report_at:
                after = self._progress()
                if after != before:
                    server.say(self._report(before, after, now - report_at + every_s))
                report_at, before = now + every_s, after

    def _check_log(self) -> None:
        """End where the log cannot be written any more, though nothing is logged."""
        server = self._server
        try:
            server.recorder.tick()
        except LogError as error:
            server.say(str(error))
            server.world.driver.failed(server.world.main, error)
            server.host.begin_turn()

    def _close_idle(self, connection: Connection) -> None:
        limits = self._server.settings.limits
        if connection.outgoing.is_taken:
            connection.active_at = trio.current_time() + limits.linger_s
            connection.close(f"idle for {limits.idle_s:g} s (--idle)")
            return
        self._server.say(
            f"{connection.name} has not read its answers for {limits.idle_s:g} s (--idle): closed"
        )
        connection.scope.cancel()

    def _progress(self) -> tuple[int, int, int]:
        """Calls, Ms, and how long was waited for locks."""
        server = self._server
        return server.answers.calls, len(server.speakers), server.recorder.lock_wait_ns

    def _report(
        self, before: tuple[int, int, int], after: tuple[int, int, int], seconds: float
    ) -> str:
        calls = after[0] - before[0]
        wait_ns = (after[2] - before[2]) / calls if calls else 0
        snapshot = self._server.answers.statistics()
        return (
            f"{count(after[1], 'M')}, {calls / seconds:,.0f} calls/s, "
            f"{snapshot['pages']:,} pages, {size(snapshot['live_bytes'] or 0)} handed out, "
            f"{ns(wait_ns)} lock wait a call"
        )
