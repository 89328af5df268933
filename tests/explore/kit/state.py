"""A machine of its own for little programs over the whole kit: its state, and what a step may be.

It is written from what the kit's objects say they do, Go's and POSIX's words among it, and knows
nothing of the package: no engine, no operations, no notion of what depends on what. A state is what
the objects hold, and for each M what is left to it, what it saw and its store buffer. With `tso`
off a store is in memory at once. A wait with a time may end at any moment that it cannot go in.

The steps are in `steps`, `sleeps` and `channels`; `machine` visits all states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Op = tuple[Any, ...]
"""What is done, on which of its kind, and with what; see `Machine` for what there is."""
Plan = tuple[Op, ...]
Name = tuple[int, ...]
"""Of an M: as which of whose children it was started; () is M 0."""
Outcome = tuple[Any, ...]
Way = Callable[["Machine", "Thread"], None]
"""How a step changes the machine and who makes it."""

READS_OWN: Final = frozenset({"load", "late", "fload", "once", "spin"})
"""What is made whatever the M's buffer holds, as a MOV is; so is all that is no operation at all:
to go on after a wait that has ended, to begin, to choose."""
LOCAL: Final = frozenset({"resume", "choose", "pause"})
WAITS: Final = frozenset({"lock", "down", "wait", "choose"})
"""Where an M that is cancelled ends, of what programs with that fault are made of."""


class Failed(Exception):
    """An M does what it must not."""


class Thread:
    """An M.

    Attributes:
        todo: what is left to it, markers among it: ("end catch",), ("join", names).
        last: what its last operation came to; `seen` all of them.
        buffer: its stores that are late: (place, value), the oldest first.
        waits: what it sleeps in, with what that needs; None: it does not.
        left: stores of its starter that have to leave that's buffer before it begins.
        cancelled: it ends where it waits.
    """

    __slots__ = ("buffer", "cancelled", "last", "left", "seen", "todo", "waits")

    def __init__(self, todo: Plan, left: int = 0) -> None:
        self.todo = todo
        self.last: Any = 0
        self.seen: tuple[Any, ...] = ()
        self.buffer: tuple[Any, ...] = ()
        self.waits: Any = None
        self.left = left
        self.cancelled = False

    def copy(self) -> Thread:
        """Another of the same state."""
        made = Thread(self.todo, self.left)
        made.last, made.seen, made.buffer = self.last, self.seen, self.buffer
        made.waits, made.cancelled = self.waits, self.cancelled
        return made

    def key(self) -> Any:
        """Its state."""
        last = repr(self.last)
        return self.todo, last, self.seen, self.buffer, self.waits, self.left, self.cancelled


class Machine:
    """A state of the machine.

    Attributes:
        memory: of words and futex words, by ("x", 0) and ("f", 0).
        owners: of locks, by name; None: free.
        counts: of semaphores, events, readers, groups, by name.
        queues: of futex words, channels and lists, in order.
        closed: channels.
        claims: of readers' and writers' locks, (who, whether in).
        cancels: an M may still be cancelled.
        threads: by name.
        steps: by what is done, the ways to.
    """

    def __init__(
        self,
        plans: tuple[Plan, ...],
        own: Plan,
        steps: Mapping[str, Callable[..., list[Way]]],
        *,
        tso: bool,
        spurious: bool,
        cancel: bool = False,
    ) -> None:
        self.steps = steps
        self.cancels = cancel
        self.tso = tso
        self.spurious = spurious
        self.memory: dict[Any, Any] = {}
        self.owners: dict[Any, Name | None] = {}
        self.counts: dict[Any, int] = {("sem", 1): 1}
        self.queues: dict[Any, tuple[Any, ...]] = {}
        self.closed: frozenset[Any] = frozenset()
        self.claims: dict[Any, tuple[Name, bool]] = {}
        self.threads: dict[Name, Thread] = {(): Thread((("spawn", plans, own),))}
        self.children: dict[Name, int] = {}
        self.failed = ""

    def copy(self) -> Machine:
        """Another of the same state."""
        made = object.__new__(Machine)
        made.steps = self.steps
        made.tso, made.spurious, made.failed = self.tso, self.spurious, self.failed
        made.cancels = self.cancels
        made.memory, made.owners = dict(self.memory), dict(self.owners)
        made.counts, made.queues = dict(self.counts), dict(self.queues)
        made.closed, made.claims = self.closed, dict(self.claims)
        made.threads = {name: thread.copy() for name, thread in self.threads.items()}
        made.children = dict(self.children)
        return made

    def key(self) -> Any:
        """The state."""
        objects = [
            tuple(sorted(held.items(), key=repr))
            for held in (self.memory, self.owners, self.counts, self.queues, self.claims)
        ]
        threads = tuple([(name, t.key()) for name, t in sorted(self.threads.items())])
        return (*objects, tuple(sorted(self.closed)), threads, self.failed, self.cancels)

    def outcome(self) -> Outcome:
        """How it has ended."""
        if self.failed:
            return ("failed", self.failed)
        seen = tuple([(name, t.seen) for name, t in sorted(self.threads.items()) if t.seen])
        kind = "ended" if all(not t.todo for t in self.threads.values()) else "stuck"
        memory = tuple([self.memory.get(("x", n), 0) for n in range(2)])
        return (kind, seen, memory, tuple([self.counts.get(("sem", n), n) for n in range(2)]))

    # Steps.

    def successors(self) -> Iterator[Machine]:
        """The states that one step leads to."""
        if self.failed:
            return
        for name, thread in self.threads.items():
            if thread.buffer:
                after = self.copy()
                after.flush(name)
                yield after
            if self.cancels and name and thread.todo:
                after = self.copy()
                after.cancel(name)
                yield after
            for go in self.ways(name, thread):
                after = self.copy()
                mover = after.threads[name]
                try:
                    go(after, mover)
                except Failed as failure:
                    after.fails(mover, str(failure))
                after.settle(name)
                yield after

    def cancel(self, name: Name) -> None:
        """`name` ends where it waits next, or does so now; once in a run."""
        self.cancels = False
        self.threads[name].cancelled = True
        self.settle(name)

    def flush(self, name: Name) -> None:
        """The oldest late store of `name` reaches memory."""
        thread = self.threads[name]
        (place, value), *rest = thread.buffer
        self.memory[place] = value
        thread.buffer = tuple(rest)
        for child, other in self.threads.items():
            if child[:-1] == name and child != name and other.left:
                other.left -= 1

    def settle(self, name: Name) -> None:
        """Do all of `name` that is no step."""
        thread = self.threads[name]
        while thread.todo and not self.failed:
            what, *args = thread.todo[0]
            if thread.cancelled and what in WAITS:
                thread.todo = ()
            elif what == "if":
                is_so = thread.last[-1] if isinstance(thread.last, tuple) else thread.last
                thread.todo = (*(args[0] if is_so else args[1]), *thread.todo[1:])
            elif what == "catch":
                thread.todo = (*args[0], ("end catch",), *thread.todo[1:])
            elif what == "end catch":
                thread.todo = thread.todo[1:]
            elif what == "raise":
                self.fails(thread, "Oops")
            elif what == "spawn":
                self.spawn(name, thread, *args)
            else:
                return

    def spawn(self, name: Name, thread: Thread, plans: tuple[Plan, ...], own: Plan) -> None:
        """Start Ms; do `own` beside them; wait for them."""
        started = []
        for plan in plans:
            number = self.children.get(name, 0)
            self.children[name] = number + 1
            started.append((*name, number))
            self.threads[started[-1]] = Thread((("begin",), *plan), len(thread.buffer))
        thread.todo = (*own, ("join", tuple(started)), *thread.todo[1:])

    def fails(self, thread: Thread, why: str) -> None:
        """An error: who catches it goes on, else all is over; a throw of Go's nobody catches."""
        thread.waits = None
        while thread.todo and why != "Throw":
            what = thread.todo[0][0]
            thread.todo = thread.todo[1:]
            if what == "end catch":
                thread.seen += (("caught", why),)
                return
        self.failed = why

    def ways(self, name: Name, thread: Thread) -> list[Callable[[Machine, Thread], None]]:
        """What `name` can do now."""
        if not thread.todo:
            return []
        op = thread.todo[0]
        what = op[0]
        if what == "begin":
            return [] if thread.left else [passed]
        passes = what in READS_OWN or what in LOCAL or (thread.waits or ("",))[0] == "is in"
        if thread.buffer and not passes:
            return []
        if what == "join":
            others = [self.threads[other] for other in op[1]]
            return [passed] if not any(o.todo or o.buffer for o in others) else []
        return list(self.steps[what](self, name, thread, *op[1:]))

    @property
    def is_alone(self) -> bool:
        """Nobody but M 0 is there, or all others were waited for."""
        waiting = self.threads[()].todo
        return not any(op[0] == "join" for op in waiting)

    # What steps are made of.

    def read(self, thread: Thread, place: Any) -> Any:
        """What `thread` finds at `place`."""
        for other, value in reversed(thread.buffer):
            if other == place:
                return value
        return self.memory.get(place, 0)

    def call_readers(self, lock: Any) -> None:
        """The writer is gone: the readers that it has kept out are in."""
        self.claims.pop(lock, None)
        for thread in self.threads.values():
            if thread.waits == ("read", lock):
                self.counts["readers", lock] = self.counts.get(("readers", lock), 0) + 1
                thread.waits = ("is in", True)

    def push(self, queue: Any, item: Any) -> None:
        """One more at the end of a queue."""
        self.queues[queue] = (*self.queues.get(queue, ()), item)

    def leave(self, name: Name) -> None:
        """`name` waits in no queue any more."""
        for queue, items in self.queues.items():
            if queue[0] != "held":
                self.queues[queue] = tuple([item for item in items if item[0] != name])


def done(thread: Thread, *result: Any) -> None:
    """The operation is through; its result, where it has one, is noted."""
    what, *args = thread.todo[0]
    thread.todo = thread.todo[1:]
    thread.waits = None
    if result:
        thread.last = result[0]
        if what != "sleep" or args[0][0] != "cond":  # that is through once the lock is taken
            thread.seen += result


def passed(machine: Machine, thread: Thread) -> None:
    done(thread)


def result_of(value: Any) -> Way:
    """The operation is through, and comes to `value`."""
    return lambda machine, thread: done(thread, value)


def change(effect: Callable[[Machine], Any], *, says: bool = True) -> list[Way]:
    """One way, which changes the machine; what `effect` answers is the result."""

    def go(machine: Machine, thread: Thread) -> None:
        result = effect(machine)
        if says:
            done(thread, result)
        else:
            done(thread)

    return [go]
