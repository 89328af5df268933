"""What is verified: a few Ms, each with a little program, that meet in one lock.

A model says what each M may call next, and watches: its `Violation`s are what a search looks for.
The lock is the real one, but for its book: who waits since when is no part of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gorun_mem.explore.states.parts import Common, Outcomes, Own, refused
from gorun_mem.explore.states.values import Place, declared
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mutex.base import LockSettings, StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, MutexOp, UnlockOp
from gorun_mem.runtime.mutex.spinbit import LOTS
from gorun_mem.runtime.op import MLike, Scheduler

VALUES_MAX: Final = 64
"""Of a choice among more values than that, the first two and the last stand for all."""
FREE, HELD = "free", "held"
DIES, COUNT, TOLD_NO = " dies: ", "lock count", "try_lock said no"
"""What is said of an M that the runtime stops; and, of one that it stops for its count."""


class Violation(Exception):
    """What must never be has come about."""


class StatesM(MLike):
    """An M whose whole state a search sets and reads."""

    def __init__(self, id: int, sched: StatesScheduler) -> None:
        super().__init__(id, sched)
        self.parked = False
        self.timer = -1


class StatesScheduler(Scheduler):
    """Answers operations, and draws as a search says.

    Args:
        cpus: what Ms think they run on; 1 turns spinning off.

    Attributes:
        draws: what the next choices are to be; 0 where there are no more.
        drawn: (number of values, value) of the choices of this step.
        unparked: numbers of the Ms made runnable in this step.
        lots: how many of the choices are lots that Go draws at random.
    """

    def __init__(self, cpus: int) -> None:
        super().__init__(cpus)
        self.draws: list[int] = []
        self.drawn: list[tuple[int, int]] = []
        self.unparked: list[int] = []
        self.lots = 0

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable."""
        assert isinstance(m, StatesM)
        m.parked, m.timer = False, -1
        self.unparked.append(m.id)

    def disable(self, m: MLike) -> None:
        """Take a runnable M out of those that may go."""
        assert isinstance(m, StatesM)
        m.parked = True

    def charge(self, kind: str, units: int) -> None:
        """Time is no part of a state."""

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """Note until when `m` sleeps; `Stepper` lets that time come."""
        assert isinstance(m, StatesM)
        m.timer = t_ns

    def choice(self, m: MLike, n: int, label: str) -> int:
        """What the search says; each value in turn."""
        if n < 2:
            return 0
        if label in LOTS:
            n = 2
            self.lots += 1
        at = len(self.drawn)
        value = self.draws[at] if at < len(self.draws) else 0
        self.drawn.append((n, value))
        return value

    def values(self, n: int) -> Sequence[int]:
        """The values that a choice among `n` may have."""
        return range(n) if n <= VALUES_MAX else (0, 1, n - 1)


class Model:
    """The base of what is verified.

    Args:
        name: what is verified, for people.
        ms: how many Ms.
        cpus: what they think they run on.

    Attributes:
        monitor: what the model remembers of the past, hashable; part of a state.
        told: what the lock's code told in this step.
        phase: where in its program the M is that makes it.
        endless: rounds are not counted: the Ms go on for ever.
        rest_phase: where an M is in its program that wants nothing.
        interrupts: a sleep with a limit may end for no reason.
        buffers: memory is TSO: each M has a store buffer.
        full: a buffer was to hold more than LATE_MAX stores.
    """

    subject: Any
    endless = False
    rest_phase = ""
    interrupts = False
    buffers = False
    full = False

    def __init__(self, name: str, ms: int, cpus: int) -> None:
        self.name = name
        self.sched = StatesScheduler(cpus)
        self.ms = [StatesM(i + 1, self.sched) for i in range(ms)]
        self.monitor: tuple[Any, ...] = ()
        self.told: list[str] = []
        self.phase = ""
        self.key_before = 0

    def smaller(self) -> Model | None:
        """The same with fewer Ms, to learn from; None where there is no such thing."""
        return None

    # The words

    def words(self) -> tuple[Any, ...]:
        """The subject's words."""
        return tuple(self.subject.snapshot())

    def restore(self, words: tuple[Any, ...]) -> None:
        """Set them."""
        self.subject.restore(words)
        self.key_before = self.subject.key

    def any_op(self) -> MutexOp:
        """What stands for an operation that a lock keeps for its statistics."""
        raise NotImplementedError

    # The programs

    def first_phase(self, place: int) -> str:
        """Where the program of the M at `place` begins."""
        raise NotImplementedError

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """What it may call next: the names of `op`; nothing while it has to wait."""
        raise NotImplementedError

    def op(self, call: str) -> MutexOp:
        """A new operation."""
        raise NotImplementedError

    # What it watches

    def begins(self, place: int, call: str) -> None:
        """The M at `place` makes the first access of `call`."""

    def stepped(self, place: int, call: str) -> None:
        """The M at `place` has made an access.

        Raises:
            Violation: something is wrong.
        """

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """`call` is through; the M's next phase, and whether that ends a round.

        Raises:
            Violation: it should not have returned, or not that.
        """
        raise NotImplementedError

    def died(self, place: int, call: str, failure: EmulatedFailure) -> tuple[str, bool] | None:
        """As `returned`, where the M is meant to die of `call` so; None where it is not."""
        return None

    def may_wait_for_ever(self, place: int) -> bool:
        """Whether the M at `place` need not get through."""
        return False

    def owned(self, m: MLike, before: int, after: int) -> None:
        """Hold the bits that `m` believes are its own against the word.

        Raises:
            Violation: a bit was given to it, or taken from it, in its belief alone or in the word
                alone.
        """

    def clean(self) -> None:
        """Forget what is no part of a state."""

    def wrong_end(self, start: Common, end: Common, owns: Sequence[Own]) -> str:
        """What is wrong with a state that nothing follows and in which all are through."""
        for number, (m, own) in enumerate(zip(end.ms, owns, strict=True), 1):
            if own.locks:
                return f"M{number}'s count of locks ends as {own.locks}"
            if m.waitsema:
                return f"M{number} has {m.waitsema} wakeup that it never took"
            if m.asleep or m.blocked or m.timer >= 0:
                return f"M{number} is through, and still counts as asleep"
        if end.words != start.words:
            return f"the lock does not come to rest: {self.in_words(end)}"
        return ""

    def misuse(self, outcomes: Outcomes, shared: Common) -> str:
        """What is wrong with how a call is answered that nobody should make in this state.

        Args:
            outcomes: makes steps.
            shared: a state in which all are in their `rest_phase`.
        """
        return ""

    def in_words(self, shared: Common) -> str:
        """The words, for people."""
        return str(self.subject.in_words(shared.words[0]))


def watched(
    cls: type[StateMutex], model: LockModel, settings: LockSettings, name: str
) -> StateMutex:
    """A mutex that tells a model what it does, in place of its book."""

    def waits(self: StateMutex, m: MLike, op: LockOp) -> None:
        m.locks += self.locks_delta
        op.spins = op.sleeps = 0
        model.told.append("waits")

    def acquired(self: StateMutex, m: MLike, op: LockOp) -> None:
        if not m.locks:  # it has not waited
            m.locks += self.locks_delta
        model.acquired(m)

    def released(self: StateMutex, m: MLike, op: UnlockOp, next_m: int = 0) -> None:
        model.released(m)

    def woke(self: StateMutex, m_id: int, op: UnlockOp) -> None:
        model.told.append(f"woke M{m_id}")

    watching = {"waits": waits, "acquired": acquired, "released": released, "woke": woke}
    mixed: Callable[..., StateMutex] = type(cls.__name__, (cls,), watching)
    return mixed(name, settings)


def own_words(mutex: StateMutex) -> tuple[str, ...]:
    """The attributes of a lock that has words besides `key` and no `snapshot` to tell of them."""
    cls = type(mutex)
    if cls.snapshot is not StateMutex.snapshot:
        return ()
    names = {**declared(cls), **dict.fromkeys(getattr(mutex, "__dict__", {}))}
    of_all = {*declared(StateMutex), "ms", "__dict__", "__weakref__"}
    return tuple(sorted(names.keys() - of_all))


class LockModel(Model):
    """Ms that take a lock and give it back.

    Args:
        cls: the lock's class.
        settings: what it is made with.
        ms: how many Ms.
        cpus: what they think they run on.
        lock_name: its name; spinbit knows one lock by it.
        try_locks: the Ms may also try for it.
        endless: they go on for ever.
    """

    def __init__(
        self,
        cls: type[StateMutex],
        settings: LockSettings,
        *,
        ms: int,
        cpus: int,
        lock_name: str = "memlock",
        try_locks: bool = False,
        endless: bool = False,
    ) -> None:
        super().__init__(cls.algorithm, ms, cpus)
        self.subject: StateMutex = watched(cls, self, settings, lock_name)
        self.cls, self.settings = cls, settings
        self.how: dict[str, Any] = {
            "ms": ms, "cpus": cpus, "lock_name": lock_name, "try_locks": try_locks,
            "endless": endless,
        }  # fmt: skip
        self.endless = endless
        self.tries = ("lock", "try_lock") if try_locks else ("lock",)
        self.monitor = (None,)
        table = getattr(self.subject, "ms", None)
        self._table: dict[int, MLike] | None = table if isinstance(table, dict) else None
        self._more = own_words(self.subject)
        self._asks_first = cls.lock_op.asks_first

    def smaller(self) -> Model | None:
        """Two Ms."""
        if len(self.ms) <= 2:
            return None
        model = LockModel(self.cls, self.settings, **{**self.how, "ms": 2})
        model.buffers = self.buffers
        return model

    def any_op(self) -> MutexOp:
        """A lock operation."""
        return self.subject.lock_op(self.subject)

    def words(self) -> tuple[Any, ...]:
        """What the lock says that Ms share; where it does not say it, all that it has."""
        found = super().words()
        if self._more:
            found += tuple([getattr(self.subject, name, None) for name in self._more])
        return found

    def restore(self, words: tuple[Any, ...]) -> None:
        """Set the words; an M's address leads to it."""
        count = len(words) - len(self._more)
        super().restore(words[:count])
        for name, value in zip(self._more, words[count:], strict=True):
            setattr(self.subject, name, value)
        mutex, holder = self.subject, self.monitor[0]
        mutex.owner = self.ms[holder.at] if holder else None
        if self._table is not None:
            self._table.update({m.id: m for m in self.ms})

    def first_phase(self, place: int) -> str:
        """Free."""
        return FREE

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """Lock, or try, and then unlock."""
        return self.tries if phase == FREE else ("unlock",)

    def op(self, call: str) -> MutexOp:
        """The real operation."""
        mutex: Any = self.subject
        made: MutexOp = getattr(mutex, call)()
        return made

    def begins(self, place: int, call: str) -> None:
        """An address leads to the M only once it has said so itself."""
        if self._table is not None and call != "unlock":
            self._table.pop(place + 1, None)

    def stepped(self, place: int, call: str) -> None:
        """Who is told of as woken is woken, and who waits says so and can be found.

        Raises:
            Violation: not so.
        """
        number, m = place + 1, self.ms[place]
        if m.parked and not m.locks and not self._asks_first:
            raise Violation(f"M{number} sleeps, and has not told that it waits")
        if "waits" in self.told and self._table is not None and number not in self._table:
            raise Violation(f"M{number} waits, and no address leads to it")
        for told in self.told:
            if told.startswith("woke ") and int(told[6:]) not in self._woken():
                raise Violation(f"M{number} tells that it {told}, and does not")

    def _woken(self) -> set[int]:
        return {*self.sched.unparked, *[m.id for m in self.ms if m.go.waitsema]}

    def acquired(self, m: MLike) -> None:
        """`m` has the lock.

        Raises:
            Violation: somebody else has it.
        """
        self.told.append("acquired")
        holder = self.monitor[0]
        if holder:
            raise Violation(f"M{m.id} got the lock that M{holder.at + 1} holds")
        self.monitor = (Place(m.id - 1),)
        self.subject.owner = m

    def released(self, m: MLike) -> None:
        """`m` has given it back.

        Raises:
            Violation: it was not the one who had it.
        """
        holder = self.monitor[0]
        self.told.append("released")
        if holder != Place(m.id - 1):
            had = f"M{holder.at + 1} holds" if holder else "nobody holds"
            raise Violation(f"M{m.id} gave back the lock that {had}")
        self.monitor = (None,)
        self.subject.owner = None

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """What a call says it has done, it has done.

        Raises:
            Violation: not so.
        """
        mine = self.monitor[0] == Place(place)
        if call == "unlock":
            if mine:
                raise Violation(f"M{place + 1}'s unlock returned, and it still holds the lock")
            return FREE, True
        if call == "try_lock" and not result:
            if mine:
                raise Violation(f"M{place + 1}'s {TOLD_NO}, and it holds the lock")
            return FREE, True
        if not mine:
            raise Violation(f"M{place + 1}'s {call} returned, and it does not hold the lock")
        return HELD, False

    def owned(self, m: MLike, before: int, after: int) -> None:
        """Hold the bits that `m` believes are its own against the word.

        Raises:
            Violation: see `Model.owned`.
        """
        mutex = self.subject
        mask = mutex.claimed
        was, now = self.key_before & mask, mutex.key & mask
        if was == now and before == after:
            return
        for name, bit in mutex.bits.items():
            change = bool(now & bit) - bool(was & bit)
            if mask & bit and bool(after & bit) - bool(before & bit) != change:
                word = f"the word {'has' if now & bit else 'has no'} bit {name}"
                belief = "believes it is its own" if after & bit else "does not hold it"
                raise Violation(f"{word} after this step, and M{m.id} {belief}")

    rest_phase = FREE

    def misuse(self, outcomes: Outcomes, shared: Common) -> str:
        """What a wrong user does to the lock that nobody holds and nobody wants must be refused:
        an unlock, a lock of what one holds, and a call with a wrong count of locks."""
        delta = self.subject.locks_delta
        if not refused(outcomes, 0, shared, Own(HELD, delta), (DIES,)):
            return "an unlock of the lock that nobody holds is not refused"
        if not refused(outcomes, 0, shared, Own(FREE, -delta), (COUNT,)):
            return "a lock by an M whose count of locks is negative is not refused"
        held, own = shared, Own(FREE, 0)
        while not (own.phase == HELD and not own.call):
            move = outcomes(0, held, own)[0]
            if move.shared is None or move.own is None:
                return move.wrong
            held, own = move.shared, move.own
        if not refused(outcomes, 0, held, Own(FREE, delta), (DIES, TOLD_NO)):
            return "an M that locks what it holds gets it"
        if not refused(outcomes, 0, held, Own(HELD, 0), (COUNT,)):
            return "an unlock by an M whose count of locks is 0 is not refused"
        return ""

    def clean(self) -> None:
        """Operations are not used again."""
        self.subject.lock_ops.clear()
        self.subject.unlock_ops.clear()
