"""The search of `mutex_explorer` on far fewer states: for 3 Ms with up to 3 pairs each.

Four reductions, all exact; `test_reductions` compares with the plain search.

1. *Interning.* What Ms share (the word, who sleeps, links, semaphores) and what each M has for
   itself (where it is in its operation, its registers) are numbered, and a state is one int of
   these numbers. While an M is stepped the others have no operation and no count of locks, so a
   step reads what is shared and what is its M's own; each pair of the two is stepped once, and
   what a step adds to the int is kept. No hash stands for a state: the visited set holds the ints
   themselves. Time stands at 0, so the times of sampled releases are no part of a state.
2. *Local steps.* procyield and osyield touch nothing that another M can see and are always
   enabled, so they commute with all that others do: each is taken at once, as part of the step
   that leads to it. Both lead to an access of the word, so no cycle consists of them alone and
   nobody is put off for ever.
3. *Dead registers.* A register that is written before it is read is left out. The operation that
   is stepped does not have it at all (None in a state), so were a register wrongly called dead,
   reading it would raise AttributeError: each search proves its own table.
4. *Symmetry.* All Ms run the same program and meet only as addresses, which are compared for
   equality alone. A state stands for all that arise from it by renumbering the Ms, in words,
   links and registers.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.m import MState, m_address, m_number
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.op import PARKED
from tests.runtime.mutex.mutex_explorer import ExploredScheduler, Violation, bare

LIVE: dict[str, dict[str, tuple[str, ...]]] = {
    "SemaLock": {
        "look": ("i",),
        "take": ("v",),
        "look_again": ("i",),
        "sleep": (),
    },
    "SemaUnlock": {"free": (), "look_once_more": (), "wake": ("wakem",)},
    "FutexLock": {"announce": (), "sleep": ("wait",)},
    "SpinbitLock": {
        "look": ("i", "we_spin", "at_tail", "have_timers"),
        "take": ("i", "we_spin", "at_tail", "have_timers"),
        "restore_hint": (),
        "sleep": ("we_spin", "have_timers"),
    },
    "SpinbitUnlock": {
        "swap": (),
        "look": ("committed", "end_ticks", "have_stack_lock"),
        "lock_stack": ("v", "anti_starve", "committed"),
        "look_again": ("anti_starve", "committed"),
        "walk": ("v", "anti_starve", "committed"),
        "pop": ("v", "anti_starve", "committed", "wakem"),
        "look_for_pop": ("anti_starve", "committed"),
        "wake": ("wakem",),
        "blame": ("v", "anti_starve", "committed", "end_ticks"),
        "look_for_waiters": ("committed", "end_ticks"),
        "trade": ("v", "committed", "end_ticks"),
    },
}
"""Operation -> its state -> the registers that may be read before they are written; a state that
is not named here has all of them."""

SHARED_BITS = 24
SLOT_BITS = 24  # of which the lowest two are the pairs that are left
SHARED_MASK = (1 << SHARED_BITS) - 1
SLOT_MASK = (1 << SLOT_BITS) - 1
SHIFTS = tuple([SHARED_BITS + SLOT_BITS * i for i in range(3)])

Shared = tuple[Any, ...]
"""The word, the owner's number, the sleepers' numbers, and (parked, nextwaitm, waitsema, asleep)
of each M."""
Own = tuple[Any, ...]
"""Whether it locks, its count of locks, its operation's state, and the registers that live."""


class SteppedM:
    """An M as an operation sees it."""

    __slots__ = ("go", "id", "locks", "parked", "sched")

    def __init__(self, id: int, sched: ExploredScheduler) -> None:
        self.id = id
        self.sched = sched
        self.go = MState()
        self.locks: int  # that of the M that is stepped alone
        self.parked = False


class Numbers(dict[Any, int]):
    """Numbers things in the order they come, and gives them back by their number."""

    def __init__(self) -> None:
        super().__init__()
        self.things: list[Any] = []

    def __missing__(self, thing: Any) -> int:
        self.things.append(thing)
        number = self[thing] = len(self.things) - 1
        return number


class Images(dict[int, int]):
    """What a function makes of numbers, each computed once."""

    def __init__(self, image: Callable[[int], int]) -> None:
        super().__init__()
        self.image = image

    def __missing__(self, number: int) -> int:
        image = self[number] = self.image(number)
        return image


class Renumbering:
    """One permutation of the Ms; `to[i]` is where the M at place i goes."""

    def __init__(self, to: tuple[int, ...], shared: Numbers, own: Numbers) -> None:
        self.to = to
        self.same = to == tuple(range(len(to)))
        self.shared = Images(lambda n: shared[self.of_shared(shared.things[n])])
        self.slots = Images(lambda slot: own[self.of_own(own.things[slot >> 2])] << 2 | slot & 3)
        self.moves = [(SHIFTS[i], SHIFTS[there]) for i, there in enumerate(to)]

    def value(self, value: Any) -> Any:
        """A word or register: the M that it is the address of, if any, changes."""
        if type(value) is not int or value < m_address(1):
            return value
        number = m_number(value)
        return value - m_address(number) + m_address(self.to[number - 1] + 1)

    def of_shared(self, shared: Shared) -> Shared:
        key, owner, sleepers, *ms = shared
        moved: list[Any] = [None] * len(ms)
        for there, (parked, link, wakeups, asleep) in zip(self.to, ms, strict=True):
            moved[there] = (parked, self.value(link), wakeups, asleep)
        owner = self.to[owner - 1] + 1 if owner else 0
        return (self.value(key), owner, tuple([self.to[i - 1] + 1 for i in sleepers]), *moved)

    def of_own(self, own: Own) -> Own:
        return (*own[:3], *map(self.value, own[3:]))

    def of_state(self, state: int) -> int:
        if self.same:
            return state
        image = self.shared[state & SHARED_MASK]
        slots = self.slots
        for here, there in self.moves:
            image |= slots[state >> here & SLOT_MASK] << there
        return image


@dataclass
class Found:
    """What a search saw.

    Args:
        states: how many states, each standing for all that it is the same as.
        steps: how many steps between them.
        ends: what is shared in the states that nothing follows, in every numbering of the Ms.
        verdict: "ok", or what is wrong.
        trace: the accesses that lead there; Ms are renumbered on the way.
    """

    states: int = 0
    steps: int = 0
    ends: set[Shared] = field(default_factory=set)
    verdict: str = "ok"
    trace: list[str] = field(default_factory=list)


class Search:
    """Every state of some Ms that each lock and unlock as often.

    Args:
        mutex: an unused mutex whose class has Bare mixed in.
        ms: how many Ms.
        cpus: what Ms think they run on; 1 turns spinning off.
        local: take local steps at once.
        dead: leave out dead registers.
        symmetry: states that differ in the Ms' numbers alone are one.
    """

    def __init__(
        self,
        mutex: StateMutex,
        ms: int,
        cpus: int,
        *,
        local: bool = True,
        dead: bool = True,
        symmetry: bool = True,
    ) -> None:
        self.mutex = mutex
        self.sched = ExploredScheduler(cpus)
        self.ms = [SteppedM(i + 1, self.sched) for i in range(ms)]
        if hasattr(mutex, "ms"):
            mutex.ms.update({m.id: m for m in self.ms})
        self.local = local
        self.symmetry = symmetry
        self.ops = {True: type(mutex.lock()), False: type(mutex.unlock())}
        self.live = {op: _live(op, dead) for op in self.ops.values()}
        self.timed = not dead or getattr(mutex, "samples", False)
        self.shared = Numbers()
        self.own = Numbers()
        self.start_own = self.own[True, 0, self.ops[True].FIRST]
        self.deltas: dict[int, tuple[int, ...]] = {}
        self.labels: dict[int, str] = {}
        self.turns = [Renumbering(to, self.shared, self.own) for to in permutations(range(ms))]
        self.sorting: dict[int, tuple[Renumbering, ...]] = {}
        kinds, things = Numbers(), self.own.things
        self.kinds = Images(lambda slot: kinds[_kind(things[slot >> 2])] << 2 | slot & 3)

    # One step

    def _moves(self, here: int, i: int, shared: int, own: int) -> tuple[int, ...]:
        """What each step of the M at place `i` adds to a state; kept under `here`."""
        shift = SHIFTS[i]
        deltas = []
        if not self.shared.things[shared][3 + i][0]:
            for shared_after, own_after, through in self._steps(i, shared, own):
                slot = ((own_after - own) << 2) - through
                deltas.append(shared_after - shared + (slot << shift))
        moves = self.deltas[here] = tuple(dict.fromkeys(deltas))
        return moves

    def _steps(self, i: int, shared: int, own: int) -> Iterator[tuple[int, int, bool]]:
        """Each step of an M: shared and own after it, and whether a pair is through."""
        draws = [0]
        while draws:
            draw = draws.pop()
            m = self._set(i, self.shared.things[shared])
            locking, m.locks, pc, *registers = self.own.things[own]
            op = self.ops[locking](self.mutex)
            if locking:
                op.spins = op.sleeps = 0
            for name, value in zip(self._names(op, pc), registers, strict=True):
                if value is not None:
                    setattr(op, name, value)
            op.restore(m, (pc,))
            self.sched.draw, self.sched.drawn = draw, False
            result = op.step(m)
            if self.sched.drawn and not draw:
                draws.append(1)
            while self.local and result is not None and op.kind in ("procyield", "osyield"):
                result = op.step(m)
            m.parked = m.parked or result is PARKED
            if result is None:
                op = self.ops[not locking](self.mutex)
            self.mutex.lock_ops.clear()
            self.mutex.unlock_ops.clear()
            turned = locking is (result is not None)
            pc = op.pc
            values = [getattr(op, name, None) for name in self._names(op, pc)]
            after = self.own[(turned, m.locks, pc, *values)]
            del m.locks
            yield self.shared[self._get()], after, result is None and not locking

    def _names(self, op: Any, pc: str) -> tuple[str, ...]:
        """The registers that a state is told apart by."""
        if pc == op.FIRST:
            return ()
        names = self.live[type(op)].get(pc, op.REGISTERS)
        return names if self.timed else tuple([n for n in names if n != "have_timers"])

    def _set(self, i: int, shared: Shared) -> SteppedM:
        mutex = self.mutex
        mutex.key, owner, sleepers, *ms = shared
        mutex.owner = self.ms[owner - 1] if owner else None
        if hasattr(mutex, "word"):
            mutex.word.sleepers[:] = [self.ms[number - 1] for number in sleepers]
        for m, mine in zip(self.ms, ms, strict=True):
            m.parked, m.go.nextwaitm, m.go.waitsema, m.go.asleep = mine
        return self.ms[i]

    def _get(self) -> Shared:
        mutex = self.mutex
        word = getattr(mutex, "word", None)
        return (
            mutex.key,
            mutex.owner.id if mutex.owner else 0,
            tuple([m.id for m in word.sleepers]) if word else (),
            *[(m.parked, m.go.nextwaitm, m.go.waitsema, m.go.asleep) for m in self.ms],
        )

    # Symmetry

    def canonical(self, state: int) -> int:
        """The one of all renumberings of a state that stands for them.

        Ms are sorted by what does not depend on their numbers; where that leaves a choice, the
        least int is taken.
        """
        kinds = self.kinds
        a = kinds[state >> SHIFTS[0] & SLOT_MASK]
        b = kinds[state >> SHIFTS[1] & SLOT_MASK]
        c = kinds[state >> SHIFTS[2]]  # that of a fresh M where there are only two
        less = (a < b) | (b < c) << 1 | (a < c) << 2
        order = less | (a == b) << 3 | (b == c) << 4 | (a == c) << 5
        turns = self.sorting.get(order)
        if turns is None:
            turns = self.sorting[order] = self._turns_that_sort((a, b, c)[: len(self.ms)])
        if len(turns) == 1:
            return turns[0].of_state(state)
        return min([turn.of_state(state) for turn in turns])

    def _turns_that_sort(self, key: tuple[int, ...]) -> tuple[Renumbering, ...]:
        wanted = sorted(key)
        return tuple([turn for turn in self.turns if [wanted[to] for to in turn.to] == list(key)])

    # All states

    def start(self, pairs: int) -> int:
        state = self.shared[(0, 0, (), *[(False, 0, 0, False)] * len(self.ms))]
        for i in range(len(self.ms)):
            state |= (self.start_own << 2 | pairs) << SHIFTS[i]
        return state

    def search(self, pairs: int, states_max: int = 20_000_000) -> Found:
        """Visit every state; check ends, and that each state can still end well."""
        start = self.start(pairs)
        number = {start: 0}
        states = [start]
        parents = array("i", [0])
        last_edge = array("i", [-1])  # state -> the latest edge into it
        edge_from, edge_before = array("i"), array("i")
        todo = [0]
        ends: list[int] = []
        found = Found()
        deltas, symmetry, canonical = self.deltas, self.symmetry, self.canonical
        places = list(enumerate(SHIFTS[: len(self.ms)]))
        while todo:
            here = todo.pop()
            state = states[here]
            shared = state & SHARED_MASK
            stopped = True
            for i, shift in places:
                slot = state >> shift & SLOT_MASK
                if not slot & 3:
                    continue
                at = (shared << SLOT_BITS | slot >> 2) << 2 | i
                moves = deltas.get(at)
                if moves is None:
                    try:
                        moves = self._moves(at, i, shared, slot >> 2)
                    except (Violation, EmulatedFailure) as failure:
                        return self._end(found, states, parents, here, str(failure))
                for delta in moves:
                    stopped = False
                    after = state + delta
                    if symmetry:
                        after = canonical(after)
                    there = number.get(after)
                    if there is None:
                        there = number[after] = len(states)
                        states.append(after)
                        parents.append(here)
                        last_edge.append(-1)
                        todo.append(there)
                    edge_from.append(here)
                    edge_before.append(last_edge[there])
                    last_edge[there] = len(edge_from) - 1
            if stopped:
                wrong = self._wrong_end(state)
                if wrong:
                    return self._end(found, states, parents, here, wrong)
                ends.append(here)
            assert len(states) <= states_max, f"more than {states_max} states"
        assert len(self.shared) <= SHARED_MASK + 1
        assert len(self.own) <= (SLOT_MASK >> 2) + 1
        found.steps = len(edge_from)
        found.ends = self._ends([states[end] for end in ends])
        reached = bytearray(len(states))
        todo = list(ends)
        for end in ends:
            reached[end] = 1
        while todo:
            edge = last_edge[todo.pop()]
            while edge >= 0:
                earlier = edge_from[edge]
                if not reached[earlier]:
                    reached[earlier] = 1
                    todo.append(earlier)
                edge = edge_before[edge]
        stuck = reached.find(0)
        if stuck >= 0:
            return self._end(found, states, parents, stuck, "no progress")
        return self._end(found, states, parents, 0, "ok")

    def _ends(self, states: list[int]) -> set[Shared]:
        turns = self.turns if self.symmetry else self.turns[:1]
        numbers = {turn.shared[state & SHARED_MASK] for state in states for turn in turns}
        return {self.shared.things[number] for number in numbers}

    def _wrong_end(self, state: int) -> str:
        """What is wrong with a state that nothing follows; empty if all is well."""
        slots = [state >> SHIFTS[i] & SLOT_MASK for i in range(len(self.ms))]
        waiting = [f"M{i + 1}" for i, slot in enumerate(slots) if slot & 3]
        if waiting:
            return f"deadlock: {', '.join(waiting)} wait for ever"
        key, _, _, *ms = self.shared.things[state & SHARED_MASK]
        if key:
            return f"the lock's word ends as {key:#x}"
        if any(self.own.things[slot >> 2][1] for slot in slots):
            return "locks does not end as 0"
        if any(m[2] for m in ms):
            return "a semaphore does not end as 0"
        return ""

    def _end(
        self, found: Found, states: list[int], parents: array[int], at: int, verdict: str
    ) -> Found:
        found.states = len(states)
        found.verdict = verdict
        while verdict != "ok" and at:
            found.trace.append(self._label(states[parents[at]], states[at]))
            at = parents[at]
        found.trace.reverse()
        return found

    def _label(self, state: int, after: int) -> str:
        """The access that leads from a state to the next."""
        for i in range(len(self.ms)):
            slot = state >> SHIFTS[i] & SLOT_MASK
            at = ((state & SHARED_MASK) << SLOT_BITS | slot >> 2) << 2 | i
            for delta in self.deltas.get(at, ()) if slot & 3 else ():
                if after in (state + delta, self.canonical(state + delta)):
                    return f"M{i + 1} {self.own.things[slot >> 2][2]}"
        raise AssertionError("no step leads from one state to the next")


def _live(op: type, dead: bool) -> dict[str, tuple[str, ...]]:
    """The registers that live in each state of an operation of Go's, or of one with a bug."""
    names: dict[str, tuple[str, ...]] = {}
    for cls in reversed(op.__mro__):
        names = {pc: live for pc, live in names.items() if pc not in vars(cls)}
        if dead:
            names |= LIVE.get(cls.__name__, {})
    return names


def _kind(own: Own) -> Own:
    """What of an M's own is the same however Ms are numbered."""
    return tuple([x % m_address(1) if type(x) is int and x > 0 else x for x in own])


def exhaust(
    cls: type[StateMutex],
    ms: int,
    pairs: int,
    *,
    cpus: int,
    minor: int = 24,
    reductions: dict[str, bool] | None = None,
    **config: Any,
) -> Found:
    """Search a mutex class, as `mutex_explorer.explore` does.

    Args:
        cls: the mutex class.
        ms: how many Ms, 2 or 3.
        pairs: how often each locks and unlocks, 1 to 3.
        cpus: 1 turns spinning off.
        minor: the Go release, 24 for 1.24.
        reductions: which of `local`, `dead` and `symmetry` to leave out, as False.
        config: as `bare` takes it.
    """
    return Search(bare(cls, minor, **config), ms, cpus, **(reductions or {})).search(pairs)
