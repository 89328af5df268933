"""Data races: two accesses to one object, one of them a write, that nothing orders.

Each M has a vector clock; so has each lock and each atomic word. Taking a lock joins its clock into
the M's, giving it back joins the M's into it, and so on for every operation that is not a plain
load or store. A plain access races with an earlier one that is not before the M's clock. Of writes
the last is kept, of reads the last as long as they are ordered, and one an M from then on.

What is a plain access: the load and store of a `Cell` and of user memory, word by word. Under mutex
"none" the body of each call of the memory layer runs as one with the step that enters it, so that
step is a write to the free list and to the break. Atomic accesses are no races, whatever they meet.
Entering and leaving such a lock orders nothing, nor does yielding, sleeping or drawing a lot.

Where every access of the allocator is a step (granularity "access"), these are plain accesses too,
to the head of the list, to the two words of the break and to the header words and the rest of each
page. A program's own loads and stores say there which page they touch and not which word, so they
are not judged.

Where memory is TSO a plain store is where its M makes it, and a store that releases publishes when
it reaches memory.

Memory that was freed and handed out anew has no past: what is known of a word counts as long as
nobody gave the word back or got it.

Sources: C. Flanagan, S. Freund, "FastTrack: Efficient and Precise Dynamic Race Detection", PLDI
2009; E. Pozniansky, A. Schuster, "MultiRace", 2007 (DJIT+).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from mypy_extensions import mypyc_attr

from gorun_mem.explore.detectors.watch import Place, Watch, in_words, watch
from gorun_mem.explore.failure import Finding
from gorun_mem.machine.m import M
from gorun_mem.machine.ops import Access
from gorun_mem.runtime.kinds import FLUSH, KINDS, OTHER
from gorun_mem.runtime.op import Op
from gorun_mem.step.task import State, Task, owner_of

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

FINDINGS_MAX: Final = 16
"""More races of one run are not told."""
MEMORY: Final = "mem:"
LATE_RELEASE: Final = "atomic.store_release"
LAYER: Final = ("free list", "bloc")
"""What the body of a call of the memory layer changes."""

Clock = dict[int, int]


class _Past(NamedTuple):
    """An access that was made."""

    m: int
    clock: int
    step: int
    place: Place
    writes: bool


class _Shadow:
    """What is known of an object: the last write, and the reads since that nothing orders.

    `call` is the one by which it changed hands; 0 for what nobody owns.
    """

    __slots__ = ("call", "read", "reads", "write")

    def __init__(self, call: int) -> None:
        self.write: _Past | None = None
        self.read: _Past | None = None
        self.reads: dict[int, _Past] | None = None
        self.call = call


@mypyc_attr(allow_interpreted_subclasses=True)
class Races:
    """Finds data races by happens-before; kind "race".

    Args:
        places: say where the two accesses are; without, only whether there is a race.
    """

    name = "races"
    usual: ClassVar[int] = 50
    flushes = True
    screened = True
    midway = True

    def __init__(self, places: bool = True) -> None:
        self._places = places

    def begin(self, world: World) -> None:
        """Forget the run before."""
        self._world: Any = world
        self._watch: Watch = watch(world)
        self._tasks = world.engine.tasks
        self._known = len(self._tasks)
        self._last = 0
        self._clocks: dict[int, Clock] = {0: {0: 1}}
        self._synced: dict[str, Clock] = {}
        self._shadows: dict[str | int, _Shadow] = {}
        self._joins: dict[int, object] = {}
        self._late: dict[tuple[int, str], list[Clock]] = {}
        self._findings: dict[tuple[str, str], Finding] = {}
        self._whole_calls = world.config.granularity == "sync"

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Order the access, or look whether it races."""
        if len(self._tasks) != self._known:
            self._meet_new()
        m = self._last = task.id
        what = KINDS.get(kind, OTHER)
        order = what.order
        if op.orders is not None:
            self._order(m, *op.orders)
        elif order == "both":
            self._synchronise(m, order, obj, reads)
        elif order == "none" and kind != "none.lock":
            if kind == FLUSH:
                self._reaches_memory(owner_of(m), obj)
            return
        elif kind == LATE_RELEASE and task.buffer is not None and task.buffer.newest_is(obj):
            self._publish_late(m, obj)
        elif what.parts:
            for part in what.parts:
                self._access(m, f"{obj}.{part}", obj, not what.reads, None, 0)
        elif order == "plain":
            writes = not what.reads
            if obj.startswith(MEMORY):
                if self._whole_calls:
                    self._access_memory(m, int(obj[len(MEMORY) :], 16), writes)
                elif not isinstance(op, Access):
                    self._access(m, f"{obj}.rest", obj, writes, None, 0)
            else:
                self._access(m, obj, obj, writes, None, 0)
        elif kind == "none.lock":
            if self._whole_calls:
                self._enter_layer(m, op)
        elif kind == "join":
            for other, join in self._joins.items():
                if join is op:
                    _join(self._clocks[m], self._clocks[other])
        elif order != "parent":
            self._synchronise(m, order, obj, reads)

    def end(self, world: World) -> Sequence[Finding]:
        """The races of the run."""
        return tuple(self._findings.values())

    # Order.

    def _meet_new(self) -> None:
        """Ms were started since the last step, by the M that made it."""
        parent = self._clocks[self._last]
        for task in self._tasks[self._known :]:
            if task.id:
                self._clocks[task.id] = {**parent, task.id: 1}
                if isinstance(task, M) and task.state is not State.DONE:
                    self._joins[task.id] = task.join
        parent[self._last] += 1
        self._known = len(self._tasks)

    def _synchronise(self, m: int, order: str, obj: str, reads: bool) -> None:
        clock = self._clocks[m]
        synced = self._synced.get(obj)
        if synced is not None and order != "release":
            _join(clock, synced)
        if reads or order == "acquire":
            return
        if synced is None or order != "release":  # it is before the M's clock by now
            self._synced[obj] = clock.copy()
        else:
            _join(synced, clock)
        clock[m] += 1

    def _publish_late(self, m: int, obj: str) -> None:
        """What `m` has done is published when its store reaches memory, not before."""
        clock = self._clocks[m]
        self._late.setdefault((m, obj), []).append(clock.copy())
        clock[m] += 1

    def _reaches_memory(self, m: int, obj: str) -> None:
        """The oldest store of `m` to `obj` does."""
        late = self._late.get((m, obj))
        if late:
            _join(self._synced.setdefault(obj, {}), late.pop(0))

    def _order(self, m: int, acquires: tuple[str, ...], releases: tuple[str, ...]) -> None:
        """Order a step by names that it says itself."""
        clock = self._clocks[m]
        for name in acquires:
            _join(clock, self._synced.get(name, {}))
        for name in releases:
            _join(self._synced.setdefault(name, {}), clock)
        if releases:
            clock[m] += 1

    # Accesses.

    def _enter_layer(self, m: int, op: Any) -> None:
        if op.mutex.name == "memlock":
            for obj in LAYER:
                self._access(m, obj, obj, True, op.site or None, 0)

    def _access_memory(self, m: int, addr: int, writes: bool) -> None:
        runtime = self._world.runtime
        word = runtime.platform.word_size
        ledger = runtime.os.ledger
        for at in range(addr & -word, addr + word, word):
            owner = ledger.ownership(at) if ledger is not None else None
            self._access(m, at, "user memory", writes, None, owner.call if owner else 0)

    def _access(
        self, m: int, key: str | int, obj: str, writes: bool, place: Place | None, call: int
    ) -> None:
        shadow = self._shadows.get(key)
        if shadow is None or shadow.call != call:
            shadow = self._shadows[key] = _Shadow(call)
        clock = self._clocks[m]
        if not self._places:
            if _is_known(shadow, m, clock[m], writes):
                return
            place = ""
        elif place is None:
            place = self._watch.place(m)
        now = _Past(m, clock[m], self._watch.step, place, writes)
        last = shadow.write
        if last is not None and last.clock > clock.get(last.m, 0):
            self._report(obj, key, last, now)
        if not writes:
            self._note_read(shadow, now, clock)
            return
        if shadow.reads is not None:
            for read in shadow.reads.values():
                if read.clock > clock.get(read.m, 0):
                    self._report(obj, key, read, now)
        elif shadow.read is not None and shadow.read.clock > clock.get(shadow.read.m, 0):
            self._report(obj, key, shadow.read, now)
        shadow.write = now
        shadow.read = shadow.reads = None

    def _note_read(self, shadow: _Shadow, now: _Past, clock: Clock) -> None:
        if shadow.reads is not None:
            shadow.reads[now.m] = now
            return
        last = shadow.read
        if last is None or last.clock <= clock.get(last.m, 0):
            shadow.read = now
            return
        shadow.reads = {last.m: last, now.m: now}

    def _report(self, obj: str, key: str | int, first: _Past, second: _Past) -> None:
        if obj.startswith(MEMORY):
            obj = "free list"
        site = " and ".join(sorted((in_words(first.place), in_words(second.place))))
        if (obj, site) in self._findings or len(self._findings) >= FINDINGS_MAX:
            return
        where = f"word {key:#x}" if isinstance(key, int) else key
        text = f"data race on {where}: {_say(second)}, and nothing orders it after {_say(first)}"
        ms = (first.m, second.m)
        self._findings[obj, site] = Finding("race", obj, site, text, ms, second.step)


def _is_known(shadow: _Shadow, m: int, count: int, writes: bool) -> bool:
    """Whether an access like this one was made since the M's clock moved on, and is the last."""
    last = shadow.write if writes else shadow.read
    if last is None or last.m != m or last.clock != count or shadow.reads is not None:
        return False
    return not writes or shadow.read is None


def _join(clock: Clock, other: Clock) -> None:
    for m, count in other.items():
        if count > clock.get(m, 0):
            clock[m] = count


def _say(access: _Past) -> str:
    verb = "write" if access.writes else "read"
    return f"the {verb} by M{access.m} at {in_words(access.place)} (step {access.step})"
