"""One step of one M, made by the lock's own code: what a search of states knows of a lock.

A state is taken apart into what Ms share (`Common`) and what each M has for itself (`Own`). A step
is given the two, sets the lock, its words and the Ms to them, lets the operation make its access,
and reads both back. While one M is stepped the others have no operation, so a step depends on the
two alone, and who searches may keep what it led to.

*Live registers.* An M's own holds a register only in those states of its operation in which it
has been seen to be read before it is written; what is not held is not set. A register wrongly taken
for dead therefore raises AttributeError when it is read, is live from then on (`Learnt`), and the
search begins again: what a search ends with is proved by itself. Registers that an operation is
made with, or that a class gives a default, are always held.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, cast

from gorun_mem.explore.states.model import Model, Violation
from gorun_mem.explore.states.parts import (
    FIRE,
    FLUSH,
    INTERRUPT,
    LATE_MAX,
    PASS,
    Common,
    Move,
    MShare,
    Own,
)
from gorun_mem.explore.states.values import Place, declared, read, written
from gorun_mem.runtime.errors import EmulatedFailure, Fault
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.mutex.machine import LockOp, MutexOp
from gorun_mem.runtime.op import MORE, PARKED, Late, MLike, StoreBuffer

MS_NS: Final = 1_000_000
_OF_EVERY_OPERATION: Final = frozenset(
    (
        "awaited", "kind", "obj", "first", "key_obj", "mutex", "pc", "reads_only", "run", "site",
        "states", "sleeps", "spins", "wait_since_ns", "__dict__", "__weakref__",
    )
)  # fmt: skip
_ABSENT: Final = object()


class Learnt(Exception):
    """A guess by which states were taken for the same was wrong; it is corrected, search again."""


class Stepper:
    """Makes steps of the Ms of a model.

    Args:
        model: what is stepped.
        dead: leave out registers that are dead.
    """

    def __init__(self, model: Model, dead: bool = True) -> None:
        self.model = model
        self.sched = model.sched
        self.ms = model.ms
        self.dead = dead
        self.live: dict[tuple[type, str], set[str]] = {}
        """Operation and state -> the registers that may be read before they are written."""
        self._first = self._shared()
        self._droppable: dict[tuple[type, str], bool] = {}
        self._names: dict[type, tuple[str, ...]] = {}

    def start(self) -> tuple[Common, list[Own]]:
        """The state before the first step."""
        owns = [Own(self.model.first_phase(place), 0) for place in range(len(self.ms))]
        return self._first, owns

    def outcomes(self, place: int, shared: Common, own: Own) -> list[Move]:
        """All that the next step of the M at `place` may lead to; nothing where it cannot go.

        Raises:
            Learnt: a register was dead only by a wrong guess.
        """
        mine = shared.ms[place]
        if mine.parked:
            return list(self._time(place, shared, own)) if mine.timer >= 0 else []
        found: list[Move] = []
        if own.late:
            found.append(self._flush(shared, own))
        if own.call:
            calls: tuple[str, ...] = (own.call,)
        else:
            self.load(shared)
            calls = self.model.calls(place, own.phase)
        for number, call in enumerate(calls):
            if own.late and self._must_wait(place, shared, own, call):
                continue
            todo: list[tuple[int, ...]] = [()]
            while todo:
                draws = todo.pop()
                found.append(self._step(place, shared, own, (number, call), draws))
                drawn = self.sched.drawn
                values = [value for _, value in drawn]
                for at in range(len(draws), len(drawn)):
                    others = self.sched.values(drawn[at][0])[1:]
                    todo.extend((*values[:at], other) for other in others)
        return found

    # Where memory is TSO

    def flushes(self, shared: Common, own: Own) -> list[Move]:
        """What an M does that is through, and of which stores are not in memory yet."""
        return [self._flush(shared, own)] if own.late else []

    def _flush(self, shared: Common, own: Own) -> Move:
        """The oldest store of the M's buffer reaches memory."""
        self.load(shared)
        oldest = self._late(own.late[0])
        oldest.write(oldest.value)
        self.model.told = []
        self.model.clean()
        text = f"store of {oldest.obj} reaches memory"
        return Move((FLUSH,), text, self._shared(), own._replace(late=own.late[1:]))

    def _must_wait(self, place: int, shared: Common, own: Own, call: str) -> bool:
        """Whether the next access of an M is not made before its buffer is empty."""
        self.load(shared)
        op, m = self.model.op(call), self.ms[place]
        self._resume(op, m, own)
        if op.asks_first and not own.call:
            return True
        kind = kind_of(op.kind)
        if kind.late and len(own.late) >= LATE_MAX:
            self.model.full = True
            return True
        return not kind.passes

    def _late(self, one: tuple[str, Any, Any]) -> Late:
        """A store that is in a buffer."""
        field, of, written_value = one
        value = read(written_value, self.ms, self.model.any_op)
        if of is not None:
            m = self.ms[of.at]
            return Late((field, m.id), f"m{m.id}.{field}", value, m.go.link)
        subject = self.model.subject
        return Late((field, 0), field, value, partial(setattr, subject, field))

    def _fill(self, m: MLike, own: Own) -> None:
        """Let `m` have its store buffer."""
        m.buffer = StoreBuffer()
        for one in own.late:
            m.buffer.put(self._late(one))

    def _emptied(self, m: MLike) -> tuple[tuple[str, Any, Any], ...]:
        """What is in the buffer of `m`, which it has no longer: so it is read and written back."""
        buffer, m.buffer = m.buffer, None
        found: list[tuple[str, Any, Any]] = []
        for late in buffer.late if buffer is not None else ():
            field, number = cast("tuple[str, int]", late.place)
            found.append((field, Place(number - 1) if number else None, written(late.value)))
        return tuple(found)

    def _time(self, place: int, shared: Common, own: Own) -> Iterator[Move]:
        """What time may do for an M that sleeps until then: pass, and be noticed."""
        mine = shared.ms[place]
        at = max(shared.clock_ns, mine.timer)
        ms = list(shared.ms)
        ms[place] = mine._replace(parked=False, timer=-1)
        woken = shared._replace(clock_ns=at, ms=tuple(ms))
        yield Move((FIRE,), "its time is up", woken, own)
        if at > shared.clock_ns:
            yield Move((PASS,), "time passes", shared._replace(clock_ns=at), own)
            if self.model.interrupts:
                later = shared.clock_ns + MS_NS
                early = woken._replace(clock_ns=later if later < at else shared.clock_ns)
                yield Move((INTERRUPT,), "is woken for no reason", early, own)

    # The lock and its Ms

    def load(self, shared: Common) -> None:
        """Set the lock, its words, and all that Ms share."""
        model, ms = self.model, self.ms
        for m, mine in zip(ms, shared.ms, strict=True):
            go = m.go
            m.parked, m.timer = mine.parked, mine.timer
            go.nextwaitm, go.start_ticks, go.waitsema = mine[2:5]
            go.asleep, go.blocked = mine.asleep, mine.blocked
        model.monitor = shared.monitor
        model.restore(tuple([read(word, ms, model.any_op) for word in shared.words]))
        self.sched.clock_ns = shared.clock_ns

    def _shared(self) -> Common:
        model = self.model
        return Common(
            tuple([written(word) for word in model.words()]),
            model.monitor,
            int(self.sched.clock_ns),
            tuple([
                MShare(
                    m.parked, m.timer, m.go.nextwaitm, m.go.start_ticks, m.go.waitsema,
                    m.go.asleep, m.go.blocked,
                )
                for m in self.ms
            ]),
        )  # fmt: skip

    def _step(
        self,
        place: int,
        shared: Common,
        own: Own,
        call: tuple[int, str],
        draws: Sequence[int],
    ) -> Move:
        self.load(shared)
        model, m, sched = self.model, self.ms[place], self.sched
        number, name = call
        sched.draws, sched.drawn, sched.unparked, sched.lots = list(draws), [], [], 0
        model.told = []
        m.locks = own.locks
        after: Own | None = None
        if model.buffers:
            self._fill(m, own)
        try:
            op = model.op(name)
        except Exception as error:
            return Move((number,), name, None, None, wrong=f"M{m.id} fails: {_in_words(error)}")
        text = f"{name}: {own.pc or op.pc}"
        done, wrong = False, ""
        try:
            after, done = self._access(place, own, op, name)
        except Violation as violation:
            wrong = str(violation)
        except AttributeError as error:
            self._learn(error, type(op), own.pc)
            wrong = f"M{m.id} fails: {_in_words(error)}"
        except EmulatedFailure as failure:
            died = model.died(place, name, failure)
            if died is not None:
                after, done = Own(died[0], m.locks), died[1]
            else:
                wrong = f"M{m.id} dies: {failure}{_detail(failure)}"
        except Learnt:
            raise
        except Exception as error:
            wrong = f"M{m.id} fails: {_in_words(error)}"
        late = self._emptied(m)
        if after is not None and late:
            after = after._replace(late=late)
        model.clean()
        branch = (number, *[value for _, value in sched.drawn])
        result = self._shared() if after is not None else None
        told = tuple(model.told)
        return Move(branch, text, result, after, done, told, wrong, sched.lots > 0)

    def _access(self, place: int, own: Own, op: MutexOp, name: str) -> tuple[Own, bool]:
        """Make one access: the M's own after it, and whether that ends a round."""
        model, m = self.model, self.ms[place]
        model.phase = own.phase
        self._resume(op, m, own)
        claimed = op.claims() if own.pc else 0
        result: object = MORE
        if not own.call:
            model.begins(place, name)
        if op.asks_first and not own.call:
            m.parked = not op.begin(m)
        else:
            result = op.step(m)
        m.parked = m.parked or result is PARKED
        model.stepped(place, name)
        if result is MORE or result is PARKED:
            after, done, claims = self._own_after(own, op, m.locks, name), False, op.claims()
        else:
            phase, done = model.returned(place, name, result)
            after, claims = Own(phase, m.locks), 0
        model.owned(m, claimed, claims)
        return after, done

    def _resume(self, op: MutexOp, m: Any, own: Own) -> None:
        """Set the registers and the state of an operation under way."""
        if own.pc:
            if isinstance(op, LockOp):
                op.spins = op.sleeps = 0
            for name, value in own.registers:
                setattr(op, name, read(value, self.ms, self.model.any_op))
            op.restore(m, (own.pc,))

    def _own_after(self, own: Own, op: MutexOp, locks: int, call: str) -> Own:
        """The M's own while its operation goes on: the registers that are live there."""
        cls, pc = type(op), op.pc
        live = self.live.get((cls, pc), ())
        held: list[tuple[str, Any]] = []
        for name in self._registers(op):
            value = getattr(op, name, _ABSENT)
            if value is _ABSENT:
                if name in live and own.pc:
                    self._mark(cls, own.pc, name)
            elif name in live or not self._may_drop(cls, name, call):
                held.append((name, written(value)))
        return Own(own.phase, locks, call, pc, tuple(held))

    def _registers(self, op: MutexOp) -> tuple[str, ...]:
        """The attributes that an operation has for itself."""
        cls = type(op)
        names = self._names.get(cls)
        if names is None:
            names = tuple([name for name in declared(cls) if name not in _OF_EVERY_OPERATION])
            self._names[cls] = names
        more = getattr(op, "__dict__", None)
        if not more:
            return names
        return (*names, *[n for n in more if n not in names and n not in _OF_EVERY_OPERATION])

    def _may_drop(self, cls: type, name: str, call: str) -> bool:
        """Whether an operation that was just made has no such register: reading it tells."""
        known = self._droppable.get((cls, name))
        if known is None:
            known = self.dead and not hasattr(self.model.op(call), name)
            self._droppable[cls, name] = known
        return known

    def _learn(self, error: AttributeError, cls: type, pc: str) -> None:
        """Note which register was read that was taken for dead.

        Raises:
            Learnt: it was one.
        """
        words = set(re.findall(r"\w+", str(error)))
        if isinstance(error.name, str):
            words.add(error.name)
        for owner, name in tuple(self._droppable):
            if owner is cls and name in words:
                self._mark(cls, pc, name)

    def _mark(self, cls: type, pc: str, name: str) -> None:
        live = self.live.setdefault((cls, pc), set())
        if pc and name not in live:
            live.add(name)
            raise Learnt(f"{name} is live in {pc}")


def _detail(failure: EmulatedFailure) -> str:
    """What is known of a failure besides its name."""
    if isinstance(failure, Fault):
        return f": {failure.detail}" if failure.detail else ""
    printed = getattr(failure, "printed", ())
    return f" ({'; '.join(printed)})" if printed else ""


def _in_words(error: Exception) -> str:
    """An error of the lock's own code, with its place."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f", at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
