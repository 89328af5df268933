"""The server: one World, its host, and the connections.

    server = Server(config, settings, recorder)
    run = await server.run(await listen(Address.parse("127.0.0.1:7059")))

What ends it: `drain` (a signal, a test), or the World's own end by a throw, a fault or a deadlock,
which is everybody's end, as one emulated program has it. Either way every connection is told, and
the log ends with `run.end`.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from gorun_mem._version import VERSION
from gorun_mem.events.errors import LogError
from gorun_mem.machine.interrupts import ending_signals
from gorun_mem.machine.outcome import DeadlockFound
from gorun_mem.machine.run import OpenRun, Run
from gorun_mem.machine.scenario import scenario
from gorun_mem.replay.ops import ending
from gorun_mem.report.units import count, size
from gorun_mem.runtime.errors import EmulatedFailure, Hang, IllegalUse, said
from gorun_mem.service.answers import Answers
from gorun_mem.service.broken import let_go
from gorun_mem.service.connection import Connection
from gorun_mem.service.guests import Guests
from gorun_mem.service.host import RECEIVE, ServiceHost
from gorun_mem.service.incoming import Stream
from gorun_mem.service.language import Request
from gorun_mem.service.outgoing import Outgoing
from gorun_mem.service.poll import Poller
from gorun_mem.service.settings import Settings
from gorun_mem.service.tally import BoundedTally
from gorun_mem.service.upkeep import Upkeep
from gorun_mem.service.watch import Hub

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.machine.config import Config
    from gorun_mem.machine.m import M
    from gorun_mem.machine.outcome import Verdict
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.mutex import StateMutex

SITE: Final = "its connection: requests come when clients send them"
"""What the log names as the reason why a service's run cannot be repeated by its seed."""


@scenario(ms=256, steps_max=1 << 62)
async def serve(world: World) -> None:
    """A World as a service: each connection is an M.

    The scenario itself only waits for the service to end.
    """
    await RECEIVE


def to_stderr(text: str) -> None:
    """A line on the terminal."""
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class Server:
    """One World as a service.

    Args:
        config: the World's settings; `ms` is the most Ms at once.
        settings: how the server behaves.
        recorder: who logs.
        say: prints a line on the terminal.
        on_fault: told of a fault of ours in one connection; what to print.

    Attributes:
        world: the shared World.
        host: drives its Ms.
        hub: hands events to watchers.
        poller: reads plain sockets, where the system can do that for all at once.
        answers: what requests come to.
        guests: scenarios that run in the World.
        tallies: what is counted of each lock, by name.
        speakers: the connection of each M, by id.
        asking: the request that each M is in, by id.
        recorder: who logs.
        dirty: who has answers that are to be sent after the turn.
        parsed: requests by their line.
        draining: why no call is begun any more, "" while the service runs.

    Raises:
        ConfigError and its like: the World's settings are wrong.
    """

    def __init__(
        self,
        config: Config,
        settings: Settings,
        recorder: Recorder,
        say: Callable[[str], None] = to_stderr,
        on_fault: Callable[[BaseException], str] | None = None,
    ) -> None:
        self.settings = settings
        self._on_fault = on_fault or _fault_line
        self.say = say
        self.recorder = recorder
        self._execution = OpenRun(serve, config, {}, recorder)
        self._execution.uncontrolled = (SITE,)
        self.world = self._execution.world
        procs = settings.procs or self.world.config.cpus
        self.host = ServiceHost(self.world.driver, self._after_turn, procs)
        self.hub = Hub(recorder)
        self.poller = Poller.make()
        self.tallies: dict[str, BoundedTally] = {}
        for mutex in self.world.mutexes.values():
            self._count(mutex)
        self.answers = Answers(self.world, settings, self._count)
        self.host.comes_back = self.answers.by_hand.somebody_comes_back
        self.guests = Guests(self, self._count)
        self.host.comes_free = self.guests.give_up
        self.connections: dict[Connection, None] = {}
        self.speakers: dict[int, Connection] = {}
        self.asking: dict[int, Request] = {}
        self.dirty: list[Outgoing] = []
        self.parsed: dict[bytes | str, Request] = {}
        self.draining = ""
        self.refused = 0
        self.failed_auths = 0
        self.accepted = 0
        self.abandoned_bytes = 0
        self._cut: Verdict | None = None
        self._started_at = time.monotonic()
        self._listening = trio.CancelScope()
        self._over = False
        self._empty = trio.Event()

    def __repr__(self) -> str:
        return f"<Server {len(self.connections)} connections {self.world!r}>"

    def _count(self, mutex: StateMutex) -> None:
        """Count what becomes of a lock, in bounded memory."""
        tally = self.tallies[mutex.name] = BoundedTally()
        mutex.book.count_with(tally)

    # The run.

    async def run(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> Run:
        """Serve until drained or until the World has ended; then write `run.end`.

        Raises:
            LogError: the log cannot be written.
        """
        main = self._execution.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Upkeep(self).run)
            if self.poller is not None:
                nursery.start_soon(self.poller.run)
            nursery.start_soon(self._listen, listeners, nursery)
            task_status.started()
            try:
                await self.host.run(main)
            except trio.Cancelled:
                self._execution.end("cancelled")
                raise
            self._listening.cancel()
            failure = self.world.failure
            self.guests.world_ended("cancelled" if failure is None else "failed", str(failure))
            self._tell_the_end()
            try:
                done = self._execution.end(self._cut)
            finally:
                await self._close_all()
                nursery.cancel_scope.cancel()
        return done

    async def _listen(self, listeners: list[trio.SocketListener], handlers: trio.Nursery) -> None:
        if not listeners:
            return  # of a test over streams in memory
        logger = logging.getLogger("trio.serve_listeners")
        quiet = _SayInstead(self.say)
        logger.addHandler(quiet)
        propagate, logger.propagate = logger.propagate, False
        try:
            with self._listening:
                await trio.serve_listeners(self.handle, listeners, handler_nursery=handlers)
        finally:
            logger.removeHandler(quiet)
            logger.propagate = propagate

    async def handle(self, stream: Stream) -> None:
        """Serve one client to its end; whatever is wrong with it concerns nobody else."""
        self.accepted += 1
        most = self.settings.limits.connections
        if self.settings.token is not None:
            self._make_room_for_a_stranger()
            full_now = False  # whoever says a token is counted then
        else:
            full_now = self.is_full()
        if full_now or self.draining or self.world.driver.stopped:
            self.refused += 1
            full = f"{most:,} connections are open, as many as may be (--connections-max)"
            await _refuse(stream, self.draining or full)
            return
        connection = Connection(self, stream)
        self.connections[connection] = None
        try:
            await connection.serve()
        except Exception as error:
            self.say(f"{connection.name}: {self._on_fault(error)}")
        finally:
            del self.connections[connection]
            if connection.watcher is not None:
                self.hub.remove(connection.watcher)
                connection.watcher.drop()
            if not self.connections and self._over:
                self._empty.set()

    def _make_room_for_a_stranger(self) -> None:
        """Who has not said a token has a share of its own: the one that waits longest goes."""
        strangers = [one for one in self.connections if one.m is None and not one.over.is_set()]
        if len(strangers) >= self.settings.limits.strangers:
            self.refused += 1
            strangers[0].close("too many clients have not said a token")

    def is_full(self) -> bool:
        """Whether no more clients can become an M."""
        known = sum(one.m is not None for one in self.connections)
        return known >= self.settings.limits.connections

    def drain(self, why: str, cut: Verdict | None = None) -> None:
        """Begin no call any more, finish those that have begun, and end; at once if asked again.

        Args:
            why: what connections are told.
            cut: the run's outcome if it is not to be "ok".
        """
        self._cut = cut
        if self.draining:
            self._cut = cut or "interrupted"
            self.say("ended at once: calls that had begun are not finished, and have no answer")
            self.world.driver.stop()
            self.host.begin_turn()
            return
        self.draining = why
        self.host.pace.set(paused=False, ns_per_s=None)
        self.guests.stop_all()
        self._listening.cancel()
        for connection in list(self.speakers.values()):
            if connection.m is not None:
                self.host.wake(connection.m)
        self._end_if_alone()

    async def drain_at_signals(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Drain at SIGTERM and SIGHUP, at Ctrl-C as interrupted; a second one ends at once."""
        with trio.open_signal_receiver(*ending_signals()) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGINT:
                    self.drain("the server was interrupted", "interrupted")
                else:
                    self.drain("the server is being stopped")

    # Inside the run.

    def _after_turn(self) -> None:
        """All Ms wait: send what they have answered."""
        self.flush()
        self.guests.look_after()
        self._end_if_alone()

    def flush(self) -> None:
        """Send what has been answered."""
        dirty = self.dirty.copy()
        self.dirty.clear()
        for outgoing in dirty:
            outgoing.flush()

    def _end_if_alone(self) -> None:
        """The scenario ends when the service is drained and all Ms have ended."""
        if self.draining and self.host.is_alone:
            self.host.wake(self.world.main)

    async def leave(self, connection: Connection, m: M) -> str:
        """An M's last act: see to the memory that it leaves behind; why it ended, for the log."""
        held = await self.answers.by_hand.give_back(m)
        if held:
            self.say(f"M{m.id} has gone; {', '.join(held)}, which it held, was given back")
        ledger = self.answers.ledger
        owned = ledger.count_of(m.id) if ledger is not None and not self.draining else 0
        reason = "drained" if self.draining else "lost" if connection.gone else "left"
        if ledger is not None and owned:
            bytes_owned = ledger.bytes_of(m.id)
            what = f"{count(owned, 'range')}, {size(bytes_owned)}"
            if self.settings.reclaim:
                await self._reclaim(ledger.ranges_of(m.id))
                reason += f", {what} reclaimed"
                self.say(f"M{m.id} has gone; {what} that it owned were freed (--reclaim)")
            else:
                self.abandoned_bytes += bytes_owned
                reason += f", owns {what}"
                first, end = ledger.first_of(m.id)
                self.say(
                    f"M{m.id} has gone and still owns {what}, the first at [{first:#x}, {end:#x})"
                )
        if ledger is not None:
            ledger.forget(m.id)
        self.answers.admins.discard(m.id)
        for tally in self.tallies.values():
            tally.forget(m.id)
        del self.speakers[m.id]
        if connection.watcher is None:
            connection.over.set()
        return reason

    async def _reclaim(self, owned: list[tuple[int, int]]) -> None:
        """Free ranges; one that another M frees meanwhile is no matter."""
        for low, high in owned:
            try:
                await self.answers.give_back(low, high - low)
            except IllegalUse:
                continue

    # The end.

    def _tell_the_end(self) -> None:
        """Tell every connection why the service ends, and whoever asked what came of it."""
        failure = self.world.failure
        why = f"end {self._last_words(failure)}" if failure is not None else f"end {self.draining}"
        for m_id, connection in self.speakers.items():
            answer = self._last_answer(m_id, failure)
            if answer:
                connection.put(answer)
        for connection in self.connections:
            if connection.watcher is None and not connection.over.is_set():
                connection.put(why)

    def _last_answer(self, m_id: int, failure: BaseException | None) -> str:
        """The answer of an M whose call did not return."""
        if m_id not in self.asking or failure is None:
            return ""
        if isinstance(failure, DeadlockFound):
            return ending(Hang("lock2", 0))  # its loop is where a real M would stay
        if m_id == self.world.driver.failed_m and isinstance(failure, EmulatedFailure):
            return ending(failure)
        return ""

    def _last_words(self, failure: BaseException) -> str:
        if isinstance(failure, DeadlockFound):
            return f"the World has ended: {failure}"
        if isinstance(failure, EmulatedFailure):
            request = self.asking.get(self.world.driver.failed_m)
            call = " ".join(map(str, (request.name, *request.operands))) if request else "its call"
            return f"the World has ended: {failure}, by M{self.world.driver.failed_m} in {call}"
        if isinstance(failure, LogError):
            return f"the log could not be written: {failure}"
        return f"internal fault, {type(failure).__name__}"

    async def _close_all(self) -> None:
        """Let connections read their last lines, for a while."""
        self._over = True
        for connection in self.connections:
            connection.over.set()
        if self.connections:
            with trio.move_on_after(self.settings.limits.linger_s, shield=True):
                await self._empty.wait()

    # What is asked.

    def statistics_line(self, connection: Connection) -> str:
        """What the server and the World have counted, as one line of JSON."""
        settings = self.world.settings
        return json.dumps(
            {
                "m": connection.m.id if connection.m is not None else 0,
                "version": VERSION,
                "release": settings.release.name,
                "platform": settings.platform.name,
                "mutex": settings.mutex,
                "uptime_s": round(time.monotonic() - self._started_at, 3),
                "ms": len(self.speakers),
                "connections": len(self.connections),
                "watchers": len(self.hub.watchers),
                "accepted": self.accepted,
                "refused": self.refused,
                "failed_auths": self.failed_auths,
                "held_back": sum(one.held_back for one in self.connections),
                "abandoned_bytes": self.abandoned_bytes,
                "log_lines": self.recorder.seq,
                **self.answers.statistics(),
            }
        )


class _SayInstead(logging.Handler):
    """What trio logs when it cannot accept, without its traceback."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        self._say(record.getMessage())


async def _refuse(stream: Stream, why: str) -> None:
    """Tell a client that it cannot be served."""
    with trio.move_on_after(1):
        try:
            await stream.send_all(f"end {why}\n".encode())
        except trio.BrokenResourceError as error:
            let_go(error)


def _fault_line(error: BaseException) -> str:
    return f"internal fault, {type(error).__name__}: {said(error)}"
