"""What the kernel gives to locks, as what is verified: a semaphore of an M, a futex word.

The real functions are called, by operations made here, and held against what they stand for: a
count, and a queue in which who comes first is woken first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gorun_mem.explore.states.model import Model, Violation
from gorun_mem.explore.states.notes import LIMIT_NS
from gorun_mem.explore.states.parts import Common, Own
from gorun_mem.explore.states.values import Place
from gorun_mem.runtime.m import m_address
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.mutex.machine import SEMA, WAKEE, MutexOp, state
from gorun_mem.runtime.mutex.semaphore import sema_acquire, sema_wakeup
from gorun_mem.runtime.op import PARKED, MLike

LATE: Final = " late"
"""The time of this sleep was up once: the next has no limit, so that time has an end."""


class KernelWord:
    """What the operations here are made on, in place of a lock.

    Args:
        ms: the Ms.
    """

    key_obj = "word.key"

    def __init__(self, ms: Sequence[MLike]) -> None:
        self.key = 0
        self.ms = ms
        self.queue = FutexQueue()


class SemaAcquire(MutexOp):
    """semasleep, with a limit where `limited`."""

    __slots__ = ("limited",)
    FIRST = "sleep"

    limited: bool

    @state("semasleep", SEMA)
    def sleep(self, m: MLike) -> object:
        """Take a wakeup or sleep."""
        if sema_acquire(m):
            return True
        if self.limited:
            m.sched.sleep_until(m, m.sched.now_ns + LIMIT_NS)
            self.goto(m, "wake_up")
        return PARKED

    @state("semasleep", SEMA)
    def wake_up(self, m: MLike) -> object:
        """Was it a wakeup, or the time?"""
        woken = sema_acquire(m)
        m.go.asleep = False
        return woken


class SemaWake(MutexOp):
    """semawakeup of the first M."""

    __slots__ = ("wakem",)
    FIRST = "wake"

    wakem: int

    @state("semawakeup", WAKEE)
    def wake(self, m: MLike) -> object:
        """Wake it."""
        sema_wakeup(m, self.mutex.ms[0])
        return None


class SemaphoreModel(Model):
    """An M that takes wakeups, and others that send them.

    Args:
        ms: how many Ms.
        timeouts: it may stop waiting for one.
        cpus: what the Ms think they run on.
    """

    rest_phase = "rest"

    def __init__(self, *, ms: int, timeouts: bool, cpus: int) -> None:
        super().__init__("semaphore", ms, cpus)
        self.subject: Any = KernelWord(self.ms)
        self.timeouts = timeouts
        self.monitor = (0,)  # wakeups that were sent and not taken

    def words(self) -> tuple[Any, ...]:
        """None but the count."""
        return ()

    def restore(self, words: tuple[Any, ...]) -> None:
        """It is the M's own."""

    def in_words(self, shared: Common) -> str:
        """The count."""
        return f"{shared.ms[0].waitsema} wakeups"

    def first_phase(self, place: int) -> str:
        """The M that sleeps takes one wakeup of each other M a round."""
        return "1" if place == 0 else self.rest_phase

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """Take, or send."""
        if place:
            return ("semawakeup",)
        timed = self.timeouts and not phase.endswith(LATE)
        return ("semasleep", "semasleep with a limit") if timed else ("semasleep",)

    def op(self, call: str) -> MutexOp:
        """An operation on the real semaphore."""
        if call == "semawakeup":
            wake = SemaWake(self.subject)
            wake.wakem = m_address(1)
            return wake
        sleep = SemaAcquire(self.subject)
        sleep.limited = call != "semasleep"
        return sleep

    def stepped(self, place: int, call: str) -> None:
        """The M sleeps only while the count is 0, and the count is what was sent and not taken;
        once woken it counts as awake.

        Raises:
            Violation: not so.
        """
        if call == "semawakeup":
            self.monitor = (self.monitor[0] + 1,)
        m = self.ms[0]
        if m.parked and m.go.waitsema:
            raise Violation(f"M1 sleeps, and its semaphore is {m.go.waitsema}")
        if call == "semawakeup" and m.go.asleep:
            raise Violation("M1 was woken, and still counts as asleep")

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """What was taken had been sent.

        Raises:
            Violation: not so.
        """
        count = self.monitor[0]
        if place == 0 and result:
            count -= 1
            self.monitor = (count,)
        if count < 0:
            raise Violation("M1 took a wakeup that nobody sent")
        m = self.ms[0]
        if m.go.waitsema != count:
            raise Violation(f"the semaphore is {m.go.waitsema} where {count} wakeups are left")
        if place:
            return self.rest_phase, True
        if not result and call == "semasleep":
            raise Violation("semasleep without a limit returned without a wakeup")
        if m.go.asleep:
            raise Violation("M1's semasleep returned, and it still counts as asleep")
        turn = int(self.phase.removesuffix(LATE)) + int(bool(result))
        late = "" if result else LATE
        return (f"{turn}{late}", False) if turn < len(self.ms) else ("1", True)


LEFT: Final = "left"
"""The time of a sleep was up, and the kernel's list had the M still."""


class FutexSleep(MutexOp):
    """futexsleep while the word is 0, with a limit where `limited`."""

    __slots__ = ("limited",)
    FIRST = "sleep"

    limited: bool

    @state("futexsleep")
    def sleep(self, m: MLike) -> object:
        """Sleep if the word is 0."""
        word: KernelWord = self.mutex
        if not word.queue.sleep(m, word.key, 0):
            return False
        if self.limited:
            m.sched.sleep_until(m, m.sched.now_ns + LIMIT_NS)
        self.goto(m, "wake_up")
        return PARKED

    @state("futexsleep")
    def wake_up(self, m: MLike) -> object:
        """Come back."""
        word: KernelWord = self.mutex
        return LEFT if word.queue.leave(m) else True


class FutexWake(MutexOp):
    """futexwakeup of some sleepers."""

    __slots__ = ("count",)
    FIRST = "wake"

    count: int

    @state("futexwakeup")
    def wake(self, m: MLike) -> object:
        """Wake them."""
        word: KernelWord = self.mutex
        return [woken.id for woken in word.queue.wakeup(m, self.count)]


class FutexSet(MutexOp):
    """The word becomes 1: nobody may sleep any more."""

    __slots__ = ()
    FIRST = "set"

    @state("atomic.store")
    def set(self, m: MLike) -> object:
        """Write it."""
        self.mutex.key = 1
        return None


class FutexModel(Model):
    """Ms that sleep on a word, and the last of them, which wakes.

    Args:
        ms: how many Ms.
        timeouts: a sleep may have a limit.
        spurious: a sleep may end for no reason.
        cpus: what the Ms think they run on.
    """

    rest_phase = "rest"

    def __init__(self, *, ms: int, timeouts: bool, spurious: bool, cpus: int) -> None:
        super().__init__("futex word", ms, cpus)
        self.subject: Any = KernelWord(self.ms)
        self.subject.queue.spurious = spurious
        self.timeouts = timeouts
        self.spurious = spurious
        self.monitor = ()  # who sleeps, the first first
        self.was_listed = False

    def words(self) -> tuple[Any, ...]:
        """The word, and who sleeps."""
        return (self.subject.key, tuple(self.subject.queue.sleepers))

    def restore(self, words: tuple[Any, ...]) -> None:
        """Set them."""
        self.subject.key, sleepers = words
        self.subject.queue.sleepers[:] = sleepers

    def in_words(self, shared: Common) -> str:
        """Word and sleepers."""
        key, sleepers = shared.words
        return f"{key} | sleepers: {', '.join(f'M{one.at + 1}' for one in sleepers) or 'none'}"

    def first_phase(self, place: int) -> str:
        """The last wakes."""
        return "wakes" if place == len(self.ms) - 1 else self.rest_phase

    def calls(self, place: int, phase: str) -> tuple[str, ...]:
        """Sleep; or wake who sleeps, and write the word once."""
        if phase == self.rest_phase:
            return ("sleep", "sleep with a limit") if self.timeouts else ("sleep",)
        once = ("set",) if phase == "wakes" else ()
        return ("wake 1", "wake 2", *once) if self.monitor else once

    def may_wait_for_ever(self, place: int) -> bool:
        """The one who wakes waits for others to sleep."""
        return place == len(self.ms) - 1

    def op(self, call: str) -> MutexOp:
        """An operation on the real queue."""
        if call == "set":
            return FutexSet(self.subject)
        if call.startswith("wake"):
            wake = FutexWake(self.subject)
            wake.count = int(call[5:])
            return wake
        sleep = FutexSleep(self.subject)
        sleep.limited = call != "sleep"
        return sleep

    def stepped(self, place: int, call: str) -> None:
        """Who came first is woken first, and as many as were to be.

        Raises:
            Violation: not so.
        """
        queue, me, m = self.monitor, Place(place), self.ms[place]
        self.was_listed = me in queue
        if call.startswith("wake"):
            count = int(call[5:])
            expected, queue = queue[:count], queue[count:]
            woken = [Place(number - 1) for number in self.sched.unparked]
            if tuple(woken) != expected:
                raise Violation(f"woke {_named(woken)} where {_named(expected)} came first")
        elif m.parked:
            if self.subject.key:
                raise Violation(f"M{m.id} sleeps though the word is not as it expected")
            queue = (*queue, me)
        else:
            queue = tuple([one for one in queue if one != me])
        self.monitor = queue
        listed = tuple([Place(one.id - 1) for one in self.subject.queue.sleepers])
        if listed != queue:
            raise Violation(f"the kernel's list is {_named(listed)}, and {_named(queue)} sleep")

    def returned(self, place: int, call: str, result: object) -> tuple[str, bool]:
        """Nobody is kept awake while the word is as expected.

        Raises:
            Violation: not so.
        """
        if call == "set":
            return "only wakes", False
        if call.startswith("wake"):
            woken = list(self.sched.unparked)
            if result != woken:
                raise Violation(f"futexwakeup says that it woke {result}, and woke {woken}")
            return ("only wakes" if self.subject.key else "wakes"), False
        if result is not False and (result == LEFT) is not self.was_listed:
            raise Violation(
                f"M{place + 1} is told wrongly whether it was still on the kernel's list"
            )
        if result is False and not self.subject.key and not self.spurious:
            raise Violation(f"M{place + 1} did not sleep though the word is as it expected")
        return self.rest_phase, True

    def wrong_end(self, start: Common, end: Common, owns: Sequence[Own]) -> str:
        """Nobody sleeps."""
        if end.words[1]:
            return f"somebody is still on the kernel's list: {self.in_words(end)}"
        return super().wrong_end(end, end, owns)


def _named(places: Sequence[Place]) -> str:
    return " and ".join(f"M{one.at + 1}" for one in places) or "nobody"
