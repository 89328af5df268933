"""What Go writes in assembly or leaves to the kernel, for locks that are run from their source.

Atomics, procyield, the semaphores of Plan 9 and the futexes of Linux; an M's address has no low
bits, so that no layout of `m` is needed.
"""

from __future__ import annotations

from typing import Any, Final

from gorun_mem.runtime.m import m_address, m_number
from tests.runtime.mutex.go_interpreter import (
    ACCESS,
    Fault,
    Reference,
    Running,
    Shared,
    Struct,
    Thrown,
)
from tests.runtime.mutex.walks import FLAGS, Shape

PARKS: Final = "parks"
READS_TIME: Final = "reads time"
"""What is yielded besides ACCESS."""


class LowByte(Reference):
    """The address of the low byte of a word."""

    def get(self) -> Any:
        """The byte."""
        return super().get() & 0xFF

    def set(self, value: Any) -> None:
        """Put it there."""
        super().set(super().get() & ~0xFF | value)


class Kernel:
    """What Go's functions are built on.

    Args:
        shape: of the walk.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.clock_ns = 0
        self.lot = 0
        self.sleepers: list[Any] = []
        self.samples = (0, 0)
        self.known: set[int] = set()
        """Ms that have waited."""
        self.access = ""
        """The latest access."""
        self.woken: list[int] = []
        self.hops = 0
        self.printed = ""
        """In the latest step."""
        single = shape.lock in ("single", "note")
        self.subject: Any = (Struct if single else Shared)(key=0, status=0, gp=None)
        self.ms = [self._new_m(number + 1) for number in range(shape.ms)]

    def _new_m(self, number: int) -> Any:
        m = Struct(
            number=number, locks=0, nextwaitm=0, mWaitList=Struct(next=0, startTicks=0),
            waitsemacount=0, blocked=False, mLockProfile=Struct(
                end=lambda *_: None, start=lambda: 0, store=lambda: None,
                recordUnlock=self._record, recordLock=lambda *_: None,
            ), parked=False, timer=-1, spins=0, sleeps=0,
        )  # fmt: skip
        vars(m)["g0"] = Struct(m=m, preempt=False, preemptoff="", stackguard0=0)
        return m

    def _record(self, cycles: Any) -> None:
        if isinstance(cycles, int):  # up to 1.24 it is the lock, and a wait is told of elsewhere
            self.samples = (self.samples[0] + 1, self.samples[1] + max(cycles, 0))

    def globals(self) -> dict[str, Any]:
        """Package variables."""
        low_latency = self.subject if self.shape.low_latency else Struct()
        return {
            "ncpu": self.shape.cpus, "numCPUStartup": self.shape.cpus, "GOOS": "plan9",
            "cgo_yield": Reference(Struct(value=None), "value"),
            "sched": Struct(lock=low_latency),
            "mutexprofilerate": Reference(Struct(value=self.shape.rate), "value"),
            "stackPreempt": 0,
        }  # fmt: skip

    def builtins(self, place: int) -> dict[str, Any]:
        """What the M at `place` calls that is not run from its source."""
        m: Any = self.ms[place]
        atomics = {
            "Loaduintptr": self.load, "Load": self.load, "Load64": self.load_rate,
            "Casuintptr": self.cas, "Cas": self.cas, "Xchg": self.xchg, "Xchg8": self.xchg8,
            "Or8": self.or8,
        }  # fmt: skip
        return {
            **{f"atomic.{name}": function for name, function in atomics.items()},
            "unsafe.Pointer": lambda value: value, "uintptr": self.address,
            "muintptr": self.address, "ptr": self.follow, "*m": self.pointer,
            "int64": int, "uint64": int, "int32": int, "uint32": lambda value: value & 0xFFFFFFFF,
            "uint8": lambda value: value & 0xFF, "getg": lambda: m.g0,
            "key8": lambda word: LowByte(word.of, word.field), "key32": lambda word: word,
            "mutexWaitListHead": self.head, "throw": self.throw, "print": self.print,
            "semacreate": self.semacreate,
            "procyield": lambda _: self.spin(m, "procyield"),
            "osyield": lambda: self.spin(m, "osyield"),
            "plan9_semacquire": lambda word, _: self.semacquire(m, word, -1),
            "plan9_tsemacquire": lambda word, ms: self.semacquire(m, word, ms),
            "plan9_semrelease": self.semrelease,
            "timediv": lambda value, by, _: min(value // by, (1 << 31) - 1),
            "futexsleep": lambda word, value, ns: self.futexsleep(m, word, value, ns),
            "futexwakeup": self.futexwakeup, "cputicks": self.time, "nanotime": self.time,
            "cheaprandn": lambda n: self.lot if n > 1 else 0, "cheaprandu64": lambda: self.lot,
            "goready": self.goready,
        }  # fmt: skip

    # Values

    def address(self, value: Any) -> int:
        """A pointer as a number."""
        return m_address(value.number) if isinstance(value, Struct) else int(value)

    def pointer(self, value: Any) -> Any:
        """A number as a pointer to an M."""
        if isinstance(value, Struct):
            return value
        return self.ms[m_number(value) - 1] if value else None

    def head(self, word: int) -> int:
        """The first M of a stack, by the word; following it is no hop along the stack."""
        self.hops -= word & ~FLAGS != 0
        return word & ~FLAGS

    def follow(self, value: Any) -> Any:
        """A pointer is followed."""
        self.hops += value != 0 and self.shape.lock == "spinbit"
        return self.pointer(value)

    def print(self, *values: object) -> None:
        """Go's print."""
        self.printed += "".join([str(value) for value in values]).replace("\\n", "")

    def semacreate(self, m: Any) -> None:
        """Called where an M has to wait, and by nobody else."""
        self.known.add(m.number)

    def throw(self, text: str) -> None:
        """End the program."""
        raise Thrown(text)

    def goready(self, gp: Any, skip: int) -> None:
        """A goroutine goes on."""
        if gp is None:
            raise Fault

    # Accesses

    def load(self, word: Reference) -> Running:
        """Read."""
        yield ACCESS
        self.access = "atomic.load"
        return word.get()

    def load_rate(self, word: Reference) -> Running:
        """Read the rate of samples, which is no access where there are none, as here."""
        return (yield from self.load(word)) if self.shape.rate else word.get()

    def cas(self, word: Reference, old: int, new: int) -> Running:
        """Write if it is as expected."""
        yield ACCESS
        self.access = "atomic.cas"
        if word.get() != old:
            return False
        word.set(new)
        return True

    def xchg(self, word: Reference, new: int) -> Running:
        """Exchange."""
        yield ACCESS
        self.access = "atomic.xchg"
        before = word.get()
        word.set(new)
        return before

    def xchg8(self, word: Reference, new: int) -> Running:
        """Exchange a byte."""
        before = yield from self.xchg(word, new)
        self.access = "atomic.xchg8"
        return before

    def or8(self, word: Reference, bits: int) -> Running:
        """Set bits."""
        yield ACCESS
        self.access = "atomic.or8"
        word.set(word.get() | bits)

    def spin(self, m: Any, how: str) -> Running:
        """Spin, or yield."""
        yield ACCESS
        self.access = how
        m.spins += 1

    def time(self) -> Running:
        """What time it is."""
        yield READS_TIME
        return self.clock_ns

    # The kernel

    def _park(self, m: Any, ns: int) -> Running:
        m.parked, m.timer = True, self.clock_ns + ns if ns >= 0 else -1
        m.sleeps += 1
        yield PARKS

    def unpark(self, m: Any) -> None:
        """Let it go on."""
        m.parked, m.timer = False, -1

    def semacquire(self, m: Any, word: Reference, ms: int) -> Running:
        """Plan 9's: take one off, or sleep until there is one, up to `ms` ms."""
        slept = False
        while True:
            yield ACCESS
            self.access = "semasleep"
            if word.get() > 0:
                word.set(word.get() - 1)
                return 1
            if slept and ms >= 0:
                return 0
            yield from self._park(m, ms * 1_000_000)
            slept = True

    def semrelease(self, word: Reference, count: int) -> Running:
        """Plan 9's: add one, and wake who sleeps."""
        yield ACCESS
        self.access = "semawakeup"
        self.woken.append(word.of.number)
        word.set(word.get() + count)
        if word.of.parked:
            self.unpark(word.of)

    def futexsleep(self, m: Any, word: Reference, value: int, ns: int) -> Running:
        """Linux's."""
        yield ACCESS
        self.access = "futexsleep"
        if word.get() != value or (self.shape.spurious and self.lot):
            return
        self.sleepers.append(m)
        yield from self._park(m, ns)
        if m in self.sleepers:
            self.sleepers.remove(m)

    def futexwakeup(self, word: Reference, count: int) -> Running:
        """Linux's."""
        yield ACCESS
        self.access = "futexwakeup"
        woken, self.sleepers = self.sleepers[:count], self.sleepers[count:]
        for m in woken:
            self.woken.append(m.number)
            self.unpark(m)
