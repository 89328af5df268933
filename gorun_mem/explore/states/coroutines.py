"""Locks made of coroutines: their states by running anew, and what they hold to tell them apart.

What a coroutine holds cannot be set, so a state is come to by making all steps that lead there, on
a lock made anew. Two states are one if the lock, what it has made of the kit, and every M hold the
same: of a coroutine where it stands, its variables and the values that it is in the middle of. What
is counted for people is left out. No symmetry and no local steps: such a search is some hundred
times slower than that of a lock made of states, and right for the same reasons.

Limits: what a lock keeps outside of itself (globals, files, clocks) is not seen; what it holds must
be numbers, text, containers, objects of classes written in Python, or the kit's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from typing import Any, Final

from gorun_mem.explore.states.contents import Contents, How
from gorun_mem.explore.states.locks import FREE, HELD
from gorun_mem.explore.states.model import StatesM, StatesScheduler, Violation
from gorun_mem.explore.states.parts import LATE_MAX, Common, MShare
from gorun_mem.explore.states.values import Place
from gorun_mem.locks.coroutine import CoroutineMutex
from gorun_mem.machine.ops import Compute, Pause, Sleep
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.machine import LockOp, UnlockOp
from gorun_mem.runtime.mutex.settings import LockSettings
from gorun_mem.runtime.op import MORE, PARKED, MLike, Op, StoreBuffer
from gorun_mem.sync.base import KitObject

_STEPS_ALONE: Final = 2_000
REACHES_MEMORY: Final = "reaches memory"
"""What the oldest store of a buffer does, in place of a call."""


class CoroutineM(StatesM):
    """An M with what a lock of coroutines may call."""

    async def pause(self) -> None:
        """Let others go first."""
        await Pause()

    async def compute(self, ns: int) -> None:
        """Use the CPU; time is no part of a state."""
        await Compute(ns)

    async def sleep(self, ns: int) -> None:
        """Sleep."""
        await Sleep(ns)


class LockContents(Contents):
    """Writes down what the coroutines of a lock hold.

    Args:
        mutex: the lock; itself and its user's object are not written again.
    """

    def __init__(self, mutex: CoroutineMutex) -> None:
        super().__init__()
        self.mutex = mutex
        self.timed = True

    def how(self, kind: type) -> tuple[How, bool]:
        """An M by its place, an object of the kit by its name: they are written once."""
        if issubclass(kind, MLike):
            return _place, False
        if issubclass(kind, KitObject):
            return _name, False
        return super().how(kind)

    def of(self, value: Any) -> Any:
        """What a value holds."""
        if value is self.mutex or value is self.mutex.user:
            return "the lock"
        return super().of(value)


def _place(m: MLike) -> Place:
    return Place(m.id - 1)


def _name(one: KitObject) -> tuple[str, str]:
    return ("kit", one.name)


class CoroutineRun:
    """Some Ms under way through a lock of coroutines.

    Args:
        cls: the lock's class.
        settings: what it is made with.
        ms: how many Ms.
        rounds: how often each locks and unlocks.
        cpus: what they think they run on.
        try_locks: they may also try.

    Attributes:
        full: a store buffer was to hold more than LATE_MAX stores.
    """

    def __init__(
        self,
        cls: type[StateMutex],
        settings: LockSettings,
        *,
        ms: int,
        rounds: int,
        cpus: int,
        try_locks: bool,
    ) -> None:
        self.sched = StatesScheduler(cpus)
        self.ms = [CoroutineM(i + 1, self.sched) for i in range(ms)]
        self.told: list[str] = []
        self.holder: int | None = None
        self.phase = [FREE] * ms
        self.left = [rounds] * ms
        self.ops: list[LockOp | UnlockOp | None] = [None] * ms
        self.calls = ("lock", "try_lock") if try_locks else ("lock",)
        self.full = False
        self.mutex = self._made(cls, settings)

    def _made(self, cls: type[StateMutex], settings: LockSettings) -> Any:
        """The lock, which tells what it does."""
        run = self

        def waits(self: StateMutex, m: MLike, op: LockOp) -> None:
            m.locks += self.locks_delta
            op.spins = op.sleeps = 0
            self.book.waiting[m.id] = (op, 0, 0)
            run.told.append("waits")

        def acquired(self: StateMutex, m: MLike, op: LockOp) -> None:
            if self.book.waiting.pop(m.id, None) is None:
                m.locks += self.locks_delta
            run.told.append("acquired")
            if run.holder is not None:
                raise Violation(f"M{m.id} got the lock that M{run.holder} holds")
            run.holder = m.id
            self.owner = m

        def released(self: StateMutex, m: MLike, op: UnlockOp, next_m: int = 0) -> None:
            run.told.append("released")
            if run.holder != m.id:
                raise Violation(f"M{m.id} gave back the lock that it does not hold")
            run.holder = None
            self.owner = None

        def woke(self: StateMutex, m_id: int, op: UnlockOp) -> None:
            run.told.append(f"woke M{m_id}")

        watching = {"waits": waits, "acquired": acquired, "released": released, "woke": woke}
        make: Callable[..., StateMutex] = type(cls.__name__, (cls,), watching)
        return make("lock", settings)

    # Steps

    def able(self) -> list[int]:
        """The places of the Ms that may make a step."""
        return [place for place in range(len(self.ms)) if self.choices(place)]

    def choices(self, place: int) -> Sequence[str]:
        """What the M at `place` may call next; what it is in, where it is; what its buffer does."""
        m, op = self.ms[place], self.ops[place]
        able = self.left[place] > 0 and (not m.parked or m.timer >= 0)
        if m.buffer is not None and m.buffer.late:
            if op is not None and not m.parked and self._must_wait(m, op):
                able = False
            own = self.choices_of(place) if able else ()
            return (*own, REACHES_MEMORY)
        return self.choices_of(place) if able else ()

    def choices_of(self, place: int) -> Sequence[str]:
        """The same of an M that can go on."""
        if self.ops[place] is not None:
            return ("",)
        return self.calls if self.phase[place] == FREE else ("unlock",)

    # Where memory is TSO

    def have_buffers(self) -> None:
        """Let each M have a store buffer."""
        for m in self.ms:
            m.buffer = StoreBuffer()

    def _must_wait(self, m: CoroutineM, op: Op) -> bool:
        """Whether the next access of `m` is not made before its buffer is empty."""
        buffer, kind = m.buffer, kind_of(op.kind)
        if buffer is None or not buffer.late:
            return False
        if kind.late and len(buffer.late) >= LATE_MAX:
            self.full = True
            return True
        return not kind.passes

    def _flush(self, m: CoroutineM) -> tuple[str, str]:
        """The oldest store of the buffer of `m` reaches memory."""
        assert m.buffer is not None
        oldest = m.buffer.late.pop(0)
        oldest.write(oldest.value)
        return f"store of {_short(oldest.obj)} {REACHES_MEMORY}", ""

    def step(self, place: int, branch: tuple[int, ...]) -> tuple[str, str]:
        """Make one step: the access, and what is wrong with it.

        Args:
            place: whose.
            branch: the number of the call, where it begins one, and what is drawn.
        """
        m, sched = self.ms[place], self.sched
        choices = self.choices(place)
        self.told = []
        sched.draws, sched.drawn, sched.unparked = list(branch[1:]), [], []
        if choices[branch[0]] == REACHES_MEMORY:
            return self._flush(m)
        if m.parked:  # its time is up
            sched.clock_ns = max(sched.clock_ns, m.timer)
            m.parked, m.timer = False, -1
            return "its time is up", ""
        op, begins = self.ops[place], False
        if op is None:
            call = choices[branch[0]]
            op = self.ops[place] = getattr(self.mutex, call)("verify")
            begins = True
        assert op is not None
        name = "unlock" if isinstance(op, UnlockOp) else "lock"
        wrong = ""
        try:
            able = op.begin(m) if begins and op.asks_first else True
            text = f"{name}: {op.kind} {_short(op.obj)}"
            if begins and able and self._must_wait(m, op):
                pass  # it has come to a fence, which is made when the buffer is empty
            elif able:
                self._step(place, m, op)
            else:
                m.parked = True
        except Violation as violation:
            wrong = str(violation)
        except EmulatedFailure as failure:
            wrong = f"M{m.id} dies: {failure}"
        return text, wrong

    def _step(self, place: int, m: CoroutineM, op: Any) -> None:
        result = op.step(m)
        if result is PARKED:
            m.parked = True
        elif result is not MORE:
            self._through(place, op, result)

    def _through(self, place: int, op: Any, result: object) -> None:
        self.ops[place] = None
        error = getattr(op, "error", None)
        if error is not None:
            raise Violation(f"M{place + 1} fails: {type(error).__name__}: {error}")
        mine = self.holder == place + 1
        if isinstance(op, UnlockOp) or result is False:
            if mine:
                raise Violation(f"M{place + 1} is through with the lock, and still holds it")
            self.phase[place] = FREE
            self.left[place] -= 1
            return
        if not mine:
            raise Violation(f"M{place + 1}'s lock returned, and it does not hold the lock")
        self.phase[place] = HELD

    def drawn(self) -> list[tuple[int, int]]:
        """The choices of the last step: number of values, value."""
        return self.sched.drawn

    # States

    def state(self) -> Any:
        """All that the future depends on, hashable.

        Raises:
            Unreadable: something that the lock holds cannot be compared.
        """
        contents = LockContents(self.mutex)

        def late(m: CoroutineM) -> Any:
            stores = m.buffer.late if m.buffer is not None else ()
            return tuple([(one.obj, contents.of(one.value)) for one in stores])

        kit = [
            (one.name, *contents.attributes(one))
            for one in sorted(self.mutex.made, key=lambda one: one.name)
        ]
        user = [
            (name, contents.of(value))
            for name, value in sorted(vars(self.mutex.user).items())
            if name != "name"
        ]
        ms = [
            (self.phase[i], self.left[i], m.parked, m.timer, contents.of(self.ops[i]), late(m))
            for i, m in enumerate(self.ms)
        ]
        return (self.holder, int(self.sched.clock_ns), tuple(user), tuple(kit), tuple(ms))

    def common(self) -> Common:
        """What Ms share, for people."""
        words = tuple([
            (_short(one.name), repr(one.value)) for one in self.mutex.made if hasattr(one, "value")
        ])  # fmt: skip
        ms = tuple([MShare(m.parked, m.timer, 0, 0, 0, False, False) for m in self.ms])
        return Common(words, (self.holder,), int(self.sched.clock_ns), ms)

    def wrong_end(self) -> str:
        """What is wrong with a state in which all are through; changes it."""
        for m in self.ms:
            if m.locks:
                return f"M{m.id}'s count of locks ends as {m.locks}"
        for place in range(len(self.ms)):
            self.left[place] = 1
            for _ in range(_STEPS_ALONE):
                if not self.left[place] and not self.choices(place):
                    break
                if place not in self.able() or self.step(place, (0,))[1]:
                    return f"M{place + 1} alone cannot take the lock that all have given back"
            else:
                return f"M{place + 1} alone does not get the lock that all have given back"
        return ""

    def close(self) -> None:
        """Drop what is under way, without a word of coroutines that were never awaited."""
        for op in self.ops:
            coro: Coroutine[Any, Any, Any] | Generator[Any, Any, Any] | None
            coro = getattr(op, "coro", None)
            if coro is not None:
                try:
                    coro.close()
                except RuntimeError:
                    pass


def in_words(common: Common) -> str:
    """The words of a lock, for people."""
    return " ".join(f"{name}={value}" for name, value in common.words)


def _short(name: str) -> str:
    """The name of a word without its lock's."""
    return name.rpartition(":")[2]


def branches(
    drawn: Sequence[tuple[int, int]], values: Callable[[int], Sequence[int]], known: int
) -> Iterator[tuple[int, ...]]:
    """What else might have been drawn after the first `known` choices."""
    made = [value for _, value in drawn]
    for at in range(known, len(drawn)):
        for other in values(drawn[at][0])[1:]:
            yield (*made[:at], other)
