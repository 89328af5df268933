"""An explicit-state search over every interleaving of a few Ms that lock and unlock.

A state is a tuple: the lock's words, who holds it, and for each M where it is in its program and in
its operation, its semaphore and its link. Each state is visited once, so spin loops are cycles and
not unbounded runs. Where an operation draws a lot, both kinds of outcome are followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.mutex.spinbit import LOW_LATENCY
from gorun_mem.runtime.op import PARKED, MLike, Op, Scheduler


class Violation(Exception):
    """Two Ms hold the lock, or somebody gives back what he does not hold."""


class Bare(StateMutex):
    """Only who holds the lock, in place of the book: mixed in before a mutex class."""

    __slots__ = ()

    def waits(self, m: MLike, op: LockOp) -> None:
        m.locks += self.locks_delta
        op.spins = op.sleeps = 0

    def acquired(self, m: MLike, op: LockOp) -> None:
        if op.pc == op.first:  # it has not waited
            m.locks += self.locks_delta
        if self.owner is not None:
            raise Violation(f"M{m.id} got the lock that M{self.owner.id} holds")
        self.owner = m

    def released(self, m: MLike, op: UnlockOp, next_m: int = 0) -> None:
        if self.owner is not m:
            raise Violation(f"M{m.id} gave back the lock of {self.owner}")
        self.owner = None

    def woke(self, m_id: int, op: UnlockOp) -> None:
        pass


class ExploredM(MLike):
    """An M whose whole state the search sets and reads."""

    __slots__ = ("lock", "op", "pairs", "parked", "unlock")

    def __init__(self, id: int, sched: ExploredScheduler, mutex: StateMutex) -> None:
        super().__init__(id, sched)
        self.parked = False
        self.pairs = 0
        self.lock = mutex.lock()
        self.unlock = mutex.unlock()
        self.op: LockOp | UnlockOp = self.lock

    def snapshot(self) -> tuple[object, ...]:
        go = self.go
        return (
            self.pairs,
            self.op is self.lock,
            self.op.snapshot(),
            self.parked,
            self.locks,
            go.nextwaitm,
            go.waitsema,
            go.asleep,
        )

    def restore(self, snapshot: tuple[object, ...]) -> None:
        go = self.go
        (
            self.pairs,
            locking,
            op,
            self.parked,
            self.locks,
            go.nextwaitm,
            go.waitsema,
            go.asleep,
        ) = snapshot  # type: ignore[assignment]
        self.op = self.lock if locking else self.unlock
        self.op.restore(self, op)  # type: ignore[arg-type]


class ExploredScheduler(Scheduler):
    """Answers operations; draws lots as the search says."""

    def __init__(self, cpus: int) -> None:
        super().__init__(cpus)
        self.draw = 0
        self.drawn = False

    def unpark(self, m: MLike) -> None:
        m.parked = False  # type: ignore[attr-defined]

    def disable(self, m: MLike) -> None:
        raise NotImplementedError

    def charge(self, kind: str, units: int) -> None:
        pass

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        raise NotImplementedError

    def choice(self, m: MLike, n: int, label: str) -> int:
        """0, or 1 standing for all the others: Go compares with 0 only."""
        self.drawn = True
        return self.draw


State = tuple[tuple[object, ...], ...]


@dataclass
class Result:
    """What a search saw.

    Args:
        states: how many distinct states.
        steps: how many steps between them.
        verdict: "ok", or what is wrong.
        trace: the accesses that lead there.
        visited: the states of the machines that were stepped.
        ends: what is shared in the states that nothing follows.
    """

    states: int = 0
    steps: int = 0
    verdict: str = "ok"
    trace: list[str] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    ends: set[tuple[object, ...]] = field(default_factory=set)


class Explorer:
    """Searches all interleavings of Ms that lock and unlock.

    Args:
        mutex: an unused mutex whose class has Bare mixed in.
        pairs: for each M, how often it locks and unlocks.
        cpus: what Ms think they run on; 1 turns spinning off.
    """

    def __init__(self, mutex: StateMutex, pairs: Sequence[int], cpus: int = 4) -> None:
        self.mutex = mutex
        self.sched = ExploredScheduler(cpus)
        self.ms = [ExploredM(i + 1, self.sched, mutex) for i in range(len(pairs))]
        if hasattr(mutex, "ms"):
            mutex.ms.update({m.id: m for m in self.ms})
        for m, times in zip(self.ms, pairs, strict=True):
            m.pairs = times

    def search(self, states_max: int = 2_000_000, progress: bool = True) -> Result:
        """Visit every state; with `progress`, also check that each can still end well."""
        start = self._snapshot()
        number = {start: 0}
        parents: list[tuple[int, str]] = [(0, "")]
        before: list[list[int]] = [[]]  # the states that lead to a state
        ends: list[int] = []
        todo = [start]
        result = Result()
        while todo:
            state = todo.pop()
            here = number[state]
            successors = 0
            try:
                for label, after in self._successors(state):
                    successors += 1
                    result.steps += 1
                    result.visited.add(label.partition(" ")[2])
                    there = number.get(after)
                    if there is None:
                        there = number[after] = len(parents)
                        parents.append((here, label))
                        before.append([])
                        todo.append(after)
                    before[there].append(here)
            except (Violation, EmulatedFailure) as failure:
                return self._found(result, number, parents, here, str(failure))
            if not successors:
                wrong = self._wrong_end(state)
                if wrong:
                    return self._found(result, number, parents, here, wrong)
                ends.append(here)
                key, *sleepers, _, owner = state[0]
                shared = [(m[3], *m[5:]) for m in state[1:]]
                result.ends.add((key, owner, tuple(sleepers), *shared))
            assert len(parents) <= states_max, f"more than {states_max} states"
        result.states = len(parents)
        stuck = self._stuck(before, ends) if progress else -1
        if stuck >= 0:
            return self._found(result, number, parents, stuck, "no progress")
        return result

    def _successors(self, state: State) -> Iterator[tuple[str, State]]:
        for i, m in enumerate(self.ms):
            snapshot = state[i + 1]
            if snapshot[3] or not snapshot[0]:  # parked, or through
                continue
            for draw in (0, 1):
                self.restore(state)
                self.sched.draw, self.sched.drawn = draw, False
                label = f"M{m.id} {m.op.pc}"
                self._step(m)
                yield label, self._snapshot()
                if not self.sched.drawn:
                    break

    def _step(self, m: ExploredM) -> None:
        op = m.op
        result = op.step(m)
        if result is PARKED:
            m.parked = True
        elif result is None:
            if op is m.lock:
                m.op = m.unlock
            else:
                m.pairs -= 1
                m.op = m.lock
            m.op.reset()  # an earlier branch may have left it anywhere

    def _snapshot(self) -> State:
        owner = self.mutex.owner
        return (
            (*self.mutex.snapshot(), -1, owner.id if owner else 0),
            *[m.snapshot() for m in self.ms],
        )

    def restore(self, state: State) -> None:
        """Set the lock and all Ms."""
        words: list[Any]
        owner: Any
        *words, _, owner = state[0]
        mutex = self.mutex
        mutex.owner = self.ms[owner - 1] if owner else None
        mutex.restore(tuple(words))
        for m, snapshot in zip(self.ms, state[1:], strict=True):
            m.restore(snapshot)

    def _wrong_end(self, state: State) -> str:
        """What is wrong with a state that nothing follows; empty if all is well."""
        waiting = [i + 1 for i, m in enumerate(state[1:]) if m[0]]
        if waiting:
            return f"deadlock: M{', M'.join(map(str, waiting))} wait for ever"
        if state[0][0]:
            return f"the lock's word ends as {state[0][0]:#x}"
        if any(m[4] for m in state[1:]):
            return "locks does not end as 0"
        if any(m[6] for m in state[1:]):
            return "a semaphore does not end as 0"
        return ""

    def _stuck(self, before: list[list[int]], ends: list[int]) -> int:
        """A state from which no good end can be reached; -1 if there is none."""
        reached = bytearray(len(before))
        todo = list(ends)
        for end in ends:
            reached[end] = 1
        while todo:
            for earlier in before[todo.pop()]:
                if not reached[earlier]:
                    reached[earlier] = 1
                    todo.append(earlier)
        return reached.find(0)

    def _found(
        self,
        result: Result,
        number: dict[State, int],
        parents: list[tuple[int, str]],
        at: int,
        verdict: str,
    ) -> Result:
        result.states = len(number)
        result.verdict = verdict
        while at:
            at, label = parents[at]
            result.trace.append(label)
        result.trace.reverse()
        return result


def bare(
    cls: type[StateMutex], minor: int, *, low_latency: bool = False, **config: int
) -> StateMutex:
    """A mutex with Bare mixed in.

    Args:
        cls: the mutex class.
        minor: the Go release, 24 for 1.24.
        low_latency: as `sched.lock` is.
        config: other settings of a lock.
    """
    mixed = type(f"Bare{cls.__name__}", (Bare, cls), {"__slots__": ()})
    name = LOW_LATENCY if low_latency else "memlock"
    behaviour = release(f"go1.{minor}").behaviour
    mutex: StateMutex = mixed(name, LockSettings(behaviour=behaviour, **config))  # type: ignore[arg-type]
    return mutex


def explore(
    cls: type[StateMutex], *pairs: int, cpus: int = 4, minor: int = 24, **config: int
) -> Result:
    """Search a mutex class with Bare mixed in.

    Args:
        cls: the mutex class.
        pairs: for each M, how often it locks and unlocks.
        cpus: 1 turns spinning off.
        minor: the Go release, 24 for 1.24.
        config: as `bare` takes it.
    """
    return Explorer(bare(cls, minor, **config), pairs, cpus).search()  # type: ignore[arg-type]


__all__ = ["Bare", "Explorer", "Op", "Result", "Violation", "bare", "explore"]
