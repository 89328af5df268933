"""What a step is: the one table of the kinds of operation.

An operation names the access that its next step makes by a kind, such as "atomic.cas". What follows
from that is asked by many: the timing engine (what it costs, whether it needs the cache line), the
searches (does it commute with everything, does its M only wait for others), the detectors (does it
order, acquire, wake). All of them ask here, so a kind that is in this table is known to all of
them, and one of which a field is not said cannot be made.

A program's own operations may use kinds that are not here. Nothing is then assumed of them: `OTHER`
costs a little, touches its object, and orders what it meets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from sys import intern
from typing import Final, Literal

Lock = Literal["", "takes", "gives"]
Line = Literal["", "copy", "own"]
Order = Literal["none", "plain", "acquire", "release", "both", "parent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a step of one kind does.

    Args:
        name: as operations, logs, tokens and cost tables have it.
        ns: what it costs where a cost table does not say otherwise; None: what "other" costs.
        reads: it changes nothing that another M can see, whoever makes it.
        local: it touches nothing that another M can see, so its order with others does not matter.
        waits: by it an M says that it waits for others to go on.
        yields: others may have its M's CPU after it.
        wakes: it may make another M runnable that sleeps on its object.
        lock: it takes the lock that is its object, gives it back, or neither.
        line: what of the cache line of its object its CPU needs: nothing, a copy, or to own it.
        order: in happens-before, what it is: "plain" (a data access, which nothing orders by
            itself), "none", "acquire" (after what was published on its object), "release"
            (publishes), "both" (an atomic access), or "parent" (a start or a join).
        parts: of a plain access, the parts of its object that it touches where not all of it.
        passes: where memory is TSO, it may be made while stores of its M are still in the M's store
            buffer. All others are fences: they wait until the buffer is empty.
        late: a store that goes into the buffer there, and reaches memory by a step of its own.
    """

    name: str
    ns: float | None
    reads: bool
    local: bool
    waits: bool
    yields: bool
    wakes: bool
    lock: Lock
    line: Line
    order: Order
    parts: tuple[str, ...]
    passes: bool
    late: bool


ON_LINE: Final = "@"
"""In an operation's object, before the name of the cache line that it lies on with others."""
KINDS: Final[dict[str, Kind]] = {}
"""Every kind that the package has, by name."""


def _kind(
    name: str,
    ns: float | None,
    *flags: Literal["reads", "local", "waits", "yields", "wakes", "passes", "late"],
    lock: Lock = "",
    line: Line = "",
    order: Order,
    parts: tuple[str, ...] = (),
) -> None:
    name = intern(name)  # as compiled code has it: found by being the same, not only equal
    KINDS[name] = Kind(
        name=name,
        ns=ns,
        reads="reads" in flags,
        local="local" in flags,
        waits="waits" in flags,
        yields="yields" in flags,
        wakes="wakes" in flags,
        lock=lock,
        line=line,
        order=order,
        parts=parts,
        passes="passes" in flags or "late" in flags,
        late="late" in flags,
    )


# A word that Ms share. The figures are those of a CPU that has the line to itself; costs.py has
# their sources.
_kind("atomic.load", 1.0, "reads", "passes", line="copy", order="both")
_kind("atomic.store", 8.5, line="own", order="both")
# What a MOV does, as C's store with memory_order_release: Go has no such store on amd64.
_kind("atomic.store_release", 1.0, "late", line="own", order="release")
_kind("fence", 8.5, "reads", "local", order="none")
# Not an M's: the oldest store of its buffer reaches memory.
FLUSH: Final = "flush"
_kind(FLUSH, 0.0, order="none")
_kind("atomic.cas", 9.0, line="own", order="both")
_kind("atomic.xchg", 7.0, line="own", order="both")
_kind("atomic.xchg8", 7.0, line="own", order="both")
_kind("atomic.add", 7.0, line="own", order="both")
_kind("atomic.or8", 7.0, line="own", order="both")
_kind("atomic.or", 7.0, line="own", order="both")
_kind("atomic.and", 7.0, line="own", order="both")
_kind("touch", 2.0, line="own", order="both")

# A lock as one step.
_kind("acquire", 9.0, lock="takes", line="own", order="acquire")
_kind("try", 9.0, lock="takes", line="own", order="acquire")
_kind("release", 7.0, lock="gives", line="own", order="release")
# A lock that is a coroutine over words: where its critical section begins and ends. What orders the
# sections are its words.
_kind("enter", 0.0, "passes", order="none")
_kind("leave", 0.0, "passes", order="none")

# What Ms let each other in by, one step each.
_kind("rw.read", 7.0, lock="takes", line="own", order="acquire")
_kind("rw.try_read", 7.0, lock="takes", line="own", order="acquire")
_kind("rw.release_read", 7.0, lock="gives", line="own", order="release")
_kind("rw.claim", 7.0, line="own", order="acquire")
_kind("rw.write", 7.0, lock="takes", line="own", order="acquire")
_kind("rw.try_write", 7.0, lock="takes", line="own", order="acquire")
_kind("rw.release_write", 7.0, lock="gives", line="own", order="release")
_kind("rw.give_up", 7.0, line="own", order="release")
_kind("sem.down", 7.0, line="own", order="acquire")
_kind("sem.try", 7.0, line="own", order="acquire")
_kind("sem.up", 7.0, line="own", order="release")
_kind("group.wait", 7.0, line="own", order="acquire")
_kind("group.add", 7.0, line="own", order="release")
_kind("cond.add", 7.0, line="own", order="none")
_kind("cond.sleep", 1500.0, order="acquire")
_kind("cond.wake", 1200.0, "wakes", order="release")
for _name in ("send", "recv", "close"):
    _kind(f"chan.{_name}", 30.0, line="own", order="both")
    _kind(f"pipe.{_name}", 30.0, line="own", order="both")
_kind("chan.select", 60.0, line="own", order="both")
CHANNELS: Final = frozenset({"chan.send", "chan.recv", "chan.close", "chan.select"})
"""Kinds whose objects count as one: by a select, what is done to one channel changes others."""
# Coming back from a wait that another has ended: what that did to the M is the M's alone by then.
RESUME: Final = "resume"
_kind(RESUME, 1500.0, "reads", "local", "passes", order="none")
_kind("none.lock", 10.0, order="none")
_kind("none.unlock", 10.0, order="none")

# Waiting on a CPU, asleep, and being woken.
_kind("procyield", 560.0, "reads", "local", "waits", "passes", order="none")
_kind("osyield", 340.0, "reads", "local", "waits", "yields", "passes", order="none")
_kind("yield", 340.0, "reads", "local", "waits", "yields", "passes", order="none")
_kind("semasleep", 500.0, order="both")
_kind("semawakeup", 170.0, "wakes", order="release")
_kind("futexsleep", 260.0, order="both")
_kind("futexwakeup", 170.0, "wakes", order="release")
_kind("notesleep", 500.0, order="both")
_kind("wait", None, order="acquire")
_kind("set", None, "wakes", order="release")
_kind("unset", None, order="none")
_kind("wake", None, "wakes", order="both")
_kind("stack.walk", 60.0, order="both")

# An M's own.
_kind("start", 0.0, "reads", "local", "passes", order="parent")
_kind("join", 0.0, "reads", "local", order="parent")
_kind("choice", 0.0, "reads", "local", "passes", order="none")
_kind("compute", 1.0, "reads", "local", "passes", order="none")
_kind("sleep", 500.0, "reads", "local", "passes", order="none")

# An operation of a program's own object, whose history is kept: it begins, it ends.
_kind("op.call", 0.0, "reads", "passes", order="none")
_kind("op.return", 0.0, "reads", "passes", order="none")

# The host.
_kind("host.grow", None, order="both")

# Plain memory, and the allocator taken apart.
_kind("load", 5.0, "reads", "passes", order="plain")
_kind("store", 5.0, "late", order="plain")
_kind("load.next", None, "reads", order="plain", parts=("next",))
_kind("load.size", None, "reads", order="plain", parts=("size",))
_kind("store.next", None, order="plain", parts=("next",))
_kind("store.size", None, order="plain", parts=("size",))
_kind("clear", 0.023, order="plain", parts=("next", "size", "rest"))
_kind("memory.grow", None, order="plain", parts=("size",))
_kind("brk", None, order="plain", parts=("size",))

OTHER: Final = Kind(
    name="other",
    ns=None,
    reads=False,
    local=False,
    waits=False,
    yields=False,
    wakes=False,
    lock="",
    line="",
    order="both",
    parts=(),
    passes=False,
    late=False,
)
"""A kind that is not in the table."""


def kind_of(name: str) -> Kind:
    """What a kind does; `OTHER` for one that the package does not have."""
    return KINDS.get(name, OTHER)


def named(which: Callable[[Kind], bool]) -> frozenset[str]:
    """The names of those kinds for which `which` holds."""
    return frozenset(kind.name for kind in KINDS.values() if which(kind))


_WAKING: Final = ("wake", "signal", "notify", "broadcast", "post")
"""What a name has in it by which a program's own operation says that it wakes others."""


def says_wakeup(name: str) -> bool:
    """Whether an access wakes others: a kind of the package says so, another by its name."""
    kind = KINDS.get(name)
    return any(word in name for word in _WAKING) if kind is None else kind.wakes
