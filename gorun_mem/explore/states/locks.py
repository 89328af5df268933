"""A lock as a model: Ms take it and give it back.

The lock is the real one, but for its book: who waits since when is no part of a state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gorun_mem.explore.states.model import Model, Violation
from gorun_mem.explore.states.parts import Common, Outcomes, Own, refused
from gorun_mem.explore.states.values import Place, declared
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, MutexOp, UnlockOp
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import MLike

FREE, HELD = "free", "held"
DIES, COUNT, TOLD_NO = " dies: ", "lock count", "try_lock said no"
"""What is said of an M that the runtime stops; and, of one that it stops for its count."""


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
