"""Small trio programs as data, and what they may do by a model of trio that is written anew here.

A program is a list of tasks, a task a list of instructions. `as_trio` makes a coroutine function of
it that awaits trio; `outcomes` enumerates every schedule of the model, which knows locks, events,
channels, deadlines and scopes from trio's documentation and has nothing of the code under test.

    ("log", x)          ("checkpoint",)     ("set", event)      ("wait", event)
    ("lock", l, body)   ("send", x)         ("receive",)        ("sleep", seconds)
    ("timeout", seconds, body)              ("cancel", task)    its outermost scope, if it is in one
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator
from random import Random
from typing import Any

import trio

Instruction = tuple[Any, ...]
Program = list[list[Instruction]]
Log = tuple[Any, ...]
STUCK = "stuck"


def random_program(random: Random) -> Program:
    """Two or three tasks of a few instructions each."""
    tasks = random.choice([2, 2, 3])
    return [_body(random, 4 if tasks == 2 else 2, tasks, 0) for _ in range(tasks)]


def _body(random: Random, room: int, tasks: int, depth: int) -> list[Instruction]:
    body: list[Instruction] = []
    left = random.randint(1, room)
    while left > 0:
        left -= 1
        what = random.choice(
            ["checkpoint", "set", "wait", "lock", "send", "receive", "sleep", "timeout", "cancel"]
        )
        if what in ("lock", "timeout"):
            if depth == 2:
                continue
            inner = _body(random, max(left, 1), tasks, depth + 1)
            left -= len(inner)
            body.append((what, random.choice([0, 1]), inner))
        elif what == "send":
            body.append((what, random.randint(0, 9)))
        elif what == "sleep":
            body.append((what, random.choice([0, 1, 1, 2])))
        elif what in ("set", "wait"):
            body.append((what, random.choice([0, 1])))
        elif what == "cancel":
            body.append((what, random.randrange(tasks)))
        else:
            body.append((what,))
    return body


# As a program of trio's.


def as_trio(program: Program, log: list[Any]) -> Callable[[], Awaitable[None]]:
    """An async function that does it, and notes in `log` what happened."""

    async def main() -> None:
        events = [trio.Event(), trio.Event()]
        locks = [trio.Lock(), trio.Lock()]
        sender, receiver = trio.open_memory_channel[int](1)
        scopes: dict[int, list[trio.CancelScope]] = {}

        async def run(me: int, body: list[Instruction]) -> None:
            for what, *rest in body:
                if what == "checkpoint":
                    await trio.lowlevel.checkpoint()
                elif what == "set":
                    events[rest[0]].set()
                elif what == "wait":
                    await events[rest[0]].wait()
                elif what == "lock":
                    try:
                        async with locks[rest[0]]:
                            log.append((me, "in", rest[0]))
                            await run(me, rest[1])
                    except RuntimeError:  # it has the lock already
                        log.append((me, "twice", rest[0]))
                elif what == "send":
                    await sender.send(rest[0])
                elif what == "receive":
                    log.append((me, "got", await receiver.receive()))
                elif what == "sleep":
                    await trio.sleep(rest[0])
                elif what == "timeout":
                    with trio.move_on_after(rest[0]) as scope:
                        scopes.setdefault(me, []).append(scope)
                        try:
                            await run(me, rest[1])
                        finally:
                            scopes[me].remove(scope)
                    log.append((me, "out", scope.cancelled_caught))
                elif what == "cancel" and scopes.get(rest[0]):
                    scopes[rest[0]][0].cancel()
                log.append((me, what))

        async with trio.open_nursery() as nursery:
            for number, body in enumerate(program):
                nursery.start_soon(run, number, body)

    return main


# As a model.


class _Cancelled(Exception):
    pass


class _Scope:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.cancelled = False


Steps = Generator[None, None, None]


class _Task:
    """A task of the model: it is ready, or blocked until something lets it go."""

    def __init__(self, world: _World, me: int, body: list[Instruction]) -> None:
        self.world = world
        self.me = me
        self.ready = True
        self.done = False
        self.raises = False
        self.value: Any = None
        self.give_up: Callable[[], None] | None = None
        self.scopes: list[_Scope] = []
        self.steps = self._run(body)

    @property
    def cancelled(self) -> bool:
        return any(scope.cancelled for scope in self.scopes)

    def _block(self, give_up: Callable[[], None]) -> Generator[None, None, Any]:
        """Blocked until `go`, or until a scope is cancelled; then it gives up what it waits for."""
        self.ready = False
        self.give_up = give_up
        self.see_cancelled()
        yield
        if self.raises:
            self.raises = False
            raise _Cancelled
        return self.value

    def see_cancelled(self) -> None:
        """Give up where a scope is cancelled."""
        if not self.ready and self.cancelled and self.give_up is not None:
            self.give_up()
            self.raises = True
            self.ready = True

    def go(self, value: Any = None) -> None:
        """What was waited for has come."""
        self.value = value
        self.ready = True

    def _checkpoint(self) -> Steps:
        yield
        if self.cancelled:
            yield
            raise _Cancelled

    def _if_cancelled(self) -> Steps:
        if self.cancelled:
            yield from self._checkpoint()

    def _in_scope(self, scope: _Scope, body: Steps) -> Generator[None, None, bool]:
        """Run `body` in a scope; whether the scope took a cancellation."""
        world = self.world
        if scope.deadline <= world.now:
            scope.cancelled = True
        else:
            world.timers.append((scope, self))
        self.scopes.append(scope)
        caught = False
        try:
            yield from body
        except _Cancelled:
            outer = any(other.cancelled for other in self.scopes[:-1])
            if outer or not scope.cancelled:
                raise
            caught = True
        finally:
            self.scopes.pop()
            world.timers = [timer for timer in world.timers if timer[0] is not scope]
        return caught

    def _forever(self) -> Steps:
        yield from self._block(lambda: None)

    def _run(self, body: list[Instruction]) -> Steps:
        world, me = self.world, self.me
        log = world.log
        for what, *rest in body:
            if what == "checkpoint":
                yield from self._checkpoint()
            elif what == "set":
                world.happened[rest[0]] = True
                for task in world.waiting[rest[0]]:
                    task.go()
                world.waiting[rest[0]] = []
            elif what == "wait":
                if world.happened[rest[0]]:
                    yield from self._checkpoint()
                else:
                    waiting = world.waiting[rest[0]]
                    waiting.append(self)
                    yield from self._block(lambda waiting=waiting: waiting.remove(self))  # type: ignore[misc]
            elif what == "lock":
                yield from self._locked(rest[0], rest[1])
            elif what == "send":
                yield from self._send(rest[0])
            elif what == "receive":
                value = yield from self._receive()
                log.append((me, "got", value))
            elif what == "sleep":
                if rest[0]:
                    scope = _Scope(world.now + rest[0])
                    yield from self._in_scope(scope, self._forever())
                else:
                    yield from self._checkpoint()
            elif what == "timeout":
                scope = _Scope(world.now + rest[0])
                mine = world.scopes.setdefault(me, [])

                def inside(scope: _Scope = scope, body: Any = rest[1]) -> Steps:
                    world.scopes[me].append(scope)
                    try:
                        yield from self._run(body)
                    finally:
                        world.scopes[me].remove(scope)

                caught = yield from self._in_scope(scope, inside())
                log.append((me, "out", caught))
                assert mine is world.scopes[me]
            elif what == "cancel" and world.scopes.get(rest[0]):
                world.cancel(world.scopes[rest[0]][0])
            log.append((me, what))

    def _locked(self, lock: int, body: list[Instruction]) -> Steps:
        world = self.world
        yield from self._if_cancelled()
        if world.owners[lock] is self:
            world.log.append((self.me, "twice", lock))
            return
        queue = world.queues[lock]
        if world.owners[lock] is None:
            world.owners[lock] = self
            yield
        else:
            queue.append(self)
            yield from self._block(lambda: queue.remove(self))
        try:
            world.log.append((self.me, "in", lock))
            yield from self._run(body)
        finally:
            world.owners[lock] = queue.pop(0) if queue else None
            owner = world.owners[lock]
            if owner is not None:
                owner.go()

    def _send(self, value: int) -> Steps:
        world = self.world
        yield from self._if_cancelled()
        if world.receivers:
            world.receivers.pop(0).go(value)
            yield
        elif not world.buffer:
            world.buffer.append(value)
            yield
        else:
            entry = self, value
            world.senders.append(entry)
            yield from self._block(lambda: world.senders.remove(entry))

    def _receive(self) -> Generator[None, None, Any]:
        world = self.world
        yield from self._if_cancelled()
        if world.senders:
            task, value = world.senders.pop(0)
            task.go()
            world.buffer.append(value)
        if world.buffer:
            value = world.buffer.pop(0)
            yield
            return value
        world.receivers.append(self)
        return (yield from self._block(lambda: world.receivers.remove(self)))


class _World:
    """The state of the model in one run."""

    def __init__(self, program: Program) -> None:
        self.now = 0.0
        self.log: list[Any] = []
        self.timers: list[tuple[_Scope, _Task]] = []
        self.happened = [False, False]
        self.waiting: list[list[_Task]] = [[], []]
        self.owners: list[_Task | None] = [None, None]
        self.queues: list[list[_Task]] = [[], []]
        self.buffer: list[int] = []
        self.senders: list[tuple[_Task, int]] = []
        self.receivers: list[_Task] = []
        self.scopes: dict[int, list[_Scope]] = {}
        self.tasks = [_Task(self, me, body) for me, body in enumerate(program)]

    def cancel(self, scope: _Scope) -> None:
        """Cancel a scope, and what lies in it and is due: as `CancelScope.cancel_called` says.

        It is asked as far in as a scope is found that was cancelled before.
        """
        for task in self.tasks:
            if scope in task.scopes:
                at = task.scopes.index(scope)
                was = any(outer.cancelled for outer in task.scopes[: at + 1])
                scope.cancelled = True
                for inner in task.scopes[at + 1 :]:
                    if was:
                        break
                    was = inner.cancelled
                    inner.cancelled |= inner.deadline <= self.now
                task.see_cancelled()
        self.timers = [timer for timer in self.timers if not timer[0].cancelled]

    def ways(self, early: bool) -> list[_Task | _Scope]:
        """What may happen next; time passes where nothing can."""
        ready: list[_Task | _Scope] = [t for t in self.tasks if t.ready and not t.done]
        first = min((scope.deadline for scope, _ in self.timers), default=None)
        if first is None:
            return ready
        if not ready and not early:
            self.now = max(self.now, first)
        if early or first <= self.now:
            ready += [scope for scope, _ in self.timers if scope.deadline == first]
        return ready

    def step(self, way: _Task | _Scope) -> None:
        """Let it happen."""
        if isinstance(way, _Scope):
            self.now = max(self.now, way.deadline)
            self.cancel(way)
            return
        try:
            next(way.steps)
        except StopIteration:
            way.done = True


def outcomes(program: Program, *, early: bool = False, runs_max: int = 0) -> tuple[set[Log], int]:
    """Every log that the model comes to, and of how many schedules.

    Args:
        program: what is run.
        early: deadlines may pass at any moment.
        runs_max: schedules after which it gives up, with no outcomes; 0 for never.
    """
    found: set[Log] = set()
    runs = 0
    for log in _runs(program, early):
        found.add(log)
        runs += 1
        if runs == runs_max:
            return set(), runs
    return found, runs


def _runs(program: Program, early: bool) -> Iterator[Log]:
    prefix: list[int] = []
    while True:
        world = _World(program)
        counts: list[int] = []
        while ways := world.ways(early):
            at = len(counts)
            if at == len(prefix):
                prefix.append(0)
            counts.append(len(ways))
            world.step(ways[prefix[at]])
        ended = all(task.done for task in world.tasks)
        yield tuple(world.log) if ended else (*world.log, STUCK)
        while prefix and prefix[-1] + 1 == counts[len(prefix) - 1]:
            prefix.pop()
        if not prefix:
            return
        prefix[-1] += 1
