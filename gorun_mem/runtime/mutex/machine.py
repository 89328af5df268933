"""Operations as state machines: what lock, unlock and the calls on a note are made of.

Go's `lock2`, `unlock2` and the like are loops around single atomic accesses. Here each is an
operation whose states are methods, one for every access that another M could see; `step` runs the
method of the state it is in. A machine is data: `snapshot` is a hashable tuple of the state's name
and the registers, `restore` sets them, so a search may visit each state of several Ms once.

Rejected: a coroutine per operation (a switch for each access, and no snapshot).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from gorun_mem.runtime.m import m_number
from gorun_mem.runtime.op import MORE, MLike, Op

if TYPE_CHECKING:
    from gorun_mem.runtime.mutex.base import Mutex
    from gorun_mem.runtime.mutex.note import Note

KEY: Final = "key"
"""The access is to the lock's own words."""
CPU: Final = "cpu"
"""The access is to nothing shared: the M spins or yields."""
SEMA: Final = "waitsema"
"""The access is to the M's own semaphore."""
WAKEE: Final = "wakee"
"""The access is to the semaphore of the M at address `wakem`."""
PROFILE_RATE: Final = "mutexprofilerate"
"""The access is to the word of runtime.SetMutexProfileFraction."""
READS: Final = frozenset({"atomic.load", "procyield", "osyield"})
"""Kinds of access that change nothing another M can see."""

Step = TypeVar("Step", bound=Callable[..., object])


class _Names(dict[int, str]):
    """The name of an access to what is one M's own, by the M's number; made at first use."""

    MOST: Final = 4096
    """How many to keep: where Ms come and go without end, their numbers have none either."""

    def __init__(self, on: str) -> None:
        super().__init__()
        self.on = on

    def __missing__(self, number: int) -> str:
        if len(self) >= self.MOST:
            self.clear()
        name = self[number] = f"m{number}.{self.on}"
        return name


_SPINS: Final = _Names(CPU)
_SLEEPS: Final = _Names(SEMA)


def state(kind: str, on: str = KEY, *, reads: bool = False) -> Callable[[Step], Step]:
    """Mark a method of a `MutexOp` as a state that makes one access.

    Args:
        kind: the access, such as "atomic.cas".
        on: what it touches: KEY, CPU, SEMA, WAKEE or PROFILE_RATE.
        reads: it changes nothing that another M can see, which most kinds say by themselves.
    """

    def mark(method: Step) -> Step:
        method.access = (kind, on, reads or kind in READS)  # type: ignore[attr-defined]
        return method

    return mark


class MutexOp(Op):
    """A lock or unlock under way, or an operation on a note.

    Args:
        mutex: the lock, or note, that it works on.
    """

    __slots__ = ("mutex", "reads_only", "run", "site")

    FIRST: ClassVar[str]
    """The state it starts in."""
    REGISTERS: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold what Go keeps in local variables, set when FIRST is left."""
    STATES: ClassVar[dict[str, tuple[Callable[..., object], str, str, bool]]] = {}
    """State -> its method, kind of access, what it touches, whether it only reads."""

    reads_only: bool

    def __init_subclass__(cls) -> None:
        """Gather the states; one that overrides a state keeps its access unless it says so."""
        super().__init_subclass__()
        states = dict(cls.STATES)
        for name, method in vars(cls).items():
            access = getattr(method, "access", None)
            if access is not None:
                states[name] = (method, *access)
            elif name in states:
                states[name] = (method, *states[name][1:])
        cls.STATES = states

    def __init__(self, mutex: Mutex | Note) -> None:
        self.mutex: Any = mutex
        self.site = ""
        self.reset()

    def reset(self) -> None:
        """Go to the first state."""
        self.run, self.kind, on, self.reads_only = self.STATES[self.FIRST]
        self.obj = self.mutex.key_obj if on is KEY else on

    def step(self, m: MLike) -> object:
        """Make the access of the state the machine is in."""
        return self.run(self, m)

    @property
    def pc(self) -> str:
        """The name of the state whose access comes next."""
        name: str = self.run.__name__
        return name

    def goto(self, m: MLike, pc: str) -> Any:
        """Let the next step be state `pc`; returns MORE, for the caller to return."""
        self.run, self.kind, on, self.reads_only = self.STATES[pc]
        if on is KEY:
            self.obj = self.mutex.key_obj
        elif on is WAKEE:
            self.obj = _SLEEPS[m_number(self.wakem)]  # type: ignore[attr-defined]
        elif on is CPU:
            self.obj = _SPINS[m.id]
        else:
            self.obj = _SLEEPS[m.id] if on is SEMA else PROFILE_RATE
        return MORE

    def snapshot(self) -> tuple[object, ...]:
        """The state's name and the registers; hashable."""
        pc = self.run.__name__
        if pc == self.FIRST:
            return (pc,)
        return (pc, *[getattr(self, name) for name in self.REGISTERS])

    def restore(self, m: MLike, snapshot: tuple[object, ...]) -> None:
        """Go back to what `snapshot` returned."""
        for name, value in zip(self.REGISTERS, snapshot[1:], strict=False):
            setattr(self, name, value)
        pc = snapshot[0]
        assert isinstance(pc, str)
        self.goto(m, pc)
