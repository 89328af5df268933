"""The engine: who goes next, one operation at a time.

It knows Ms and their pending operations, and neither trio nor coroutines: a host resumes an M's
coroutine, hands the operation that it yields to `submit`, and asks `advance` for the next M whose
operation is through. Between the two the engine makes as many single accesses of as many Ms as it
takes. So both hosts run the same schedule, and an access costs no coroutine switch.

    host:    submit(M1, op) -> advance() -> M2 and its result -> resume M2 -> submit(M2, op) -> ...

A host that can resume an M by a plain call (`loop.Resumer`) gives itself to `advance`, which then
goes on until an M has no next operation: most of what an uncontended lock costs is that way to the
host and back.

Time is virtual. Here it is one clock that every step moves on by the step's cost, as if one CPU ran
all Ms; `timing.TimingEngine` keeps a clock for each M and CPUs for them to run on.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.costs import TIME_NS_MAX, CostTable
from gorun_mem.step.loop import Follower, Loop
from gorun_mem.step.streams import Streams
from gorun_mem.step.task import State, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS_MAX: Final = 50_000_000
BREATH = 20_000
"""Steps after which `advance` gives its host a chance to see to signals and the clock."""
TIME_END: Final[float] = float(TIME_NS_MAX)
_PAST_TIME: Final = TIME_NS_MAX + (1 << 61)
"""Where an M wakes that would sleep for longer than there is time."""
TIMER: Final = "timer"
"""Why an M was unparked that no M unparked."""


class Strategy(Protocol):
    """Who goes next; one small file each in `strategies/`."""

    @property
    def name(self) -> str:
        """What it is asked for by."""

    def next_task(self, runnable: Sequence[Task], current: Task | None) -> Task:
        """One of `runnable`, which is not empty.

        Args:
            runnable: the enabled Ms, in no particular but a deterministic order.
            current: who made the last step; it may be among `runnable` or not.
        """

    def choice(self, n: int) -> int:
        """A data choice or a lot: a number from 0 to n-1; not asked in a run that has streams."""


class StepsExceeded(Exception):
    """`steps_max` steps were made: the run makes no progress, or needs a higher bound."""


class Breath(Exception):
    """`advance` has made BREATH steps without an operation coming through; call it again."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Engine(Loop):
    """Runs Ms by a strategy.

    Args:
        strategy: who goes next.
        costs: what a step costs.
        cpus: how many Ms run at once; Go's ncpu.
        steps_max: steps after which `advance` raises StepsExceeded.
        table: `costs.table()`, where many engines share one.
        streams: what data and lots are drawn from; the strategy decides them if None.

    Attributes:
        undecided: it was the strategy that raised what came out of `advance`, and no step.
        entangled: any two steps may depend on one another, whatever they say of themselves.
        buffered: memory is TSO: each M has a store buffer.
        fresh: Ms made runnable since the strategy looked here last, for one that `follows` them.
    """

    entangled: bool = False
    buffered: bool = False

    def __init__(
        self,
        strategy: Strategy,
        *,
        costs: CostTable | None = None,
        cpus: int = 4,
        steps_max: int = STEPS_MAX,
        table: dict[str, float] | None = None,
        streams: Streams | None = None,
    ) -> None:
        super().__init__(cpus)
        self.follow(strategy)
        self.streams = streams
        self.costs = (costs or CostTable()).table() if table is None else table
        self._other_ns = self.costs["other"]
        self._step_ns = 0.0
        self.steps_max = steps_max
        self.tasks: list[Task] = []
        self.runnable: list[Task] = []
        self.alive = 0
        self.undecided = False
        self.fresh: list[Task] = []
        self._away = 0
        self._breath_at = min(BREATH, steps_max)
        self._timers: list[tuple[int, int, Task]] = []
        self._timer_number = 0

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.strategy.name}: {len(self.runnable)} of {self.alive} Ms "
            f"runnable after {self.steps} steps>"
        )

    # What operations ask: gorun_mem.runtime.op.Scheduler.

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable."""
        assert isinstance(m, Task)
        if m.state is State.PARKED:
            m.timer = 0
            self._note_unpark(m, self.current.id if self.current is not None else 0)
            self._enable(m)

    def disable(self, m: MLike) -> None:
        """Take a runnable M out of those that may go next."""
        assert isinstance(m, Task)
        if m.state is State.RUNNABLE:
            self._remove(m)
            self._park(m)

    def charge(self, kind: str, units: int) -> None:
        """Let the running step take longer, by `units` of `kind`."""
        self.clock_ns += self._price(kind, units)

    def choice(self, m: MLike, n: int, label: str) -> int:
        """A lot of a lock's or the machine's: a number from 0 to n-1."""
        streams = self.streams
        return self.strategy.choice(n) if streams is None else streams.lot(n, label)

    def data(self, m: MLike, n: int, label: str) -> int:
        """A choice of data of the M's: a number from 0 to n-1."""
        streams = self.streams
        if streams is None:
            return self.choice(m, n, label)
        assert isinstance(m, Task)
        return streams.data(m, n)

    def sleep_until(self, m: MLike, t_ns: int) -> None:
        """Unpark `m` at `t_ns`, unless somebody does before."""
        assert isinstance(m, Task)
        self._timer_number += 1
        m.timer = self._timer_number
        heappush(self._timers, (min(t_ns, _PAST_TIME), self._timer_number, m))

    # What hosts do.

    def follow(self, strategy: Strategy) -> None:
        """Let `strategy` say who goes next, from here on."""
        self.strategy = strategy
        self._next_task = strategy.next_task

    def add(self, task: Task) -> None:
        """Take in a new M, whose coroutine has not begun."""
        self.tasks.append(task)
        self.alive += 1

    def start(self, task: Task) -> None:
        """Take in an M whose coroutine is about to run."""
        self.add(task)
        task.state = State.RUNNING
        self.running = task
        self.switch_to(task)

    def submit(self, task: Task, op: Op) -> None:
        """The coroutine of `task` has yielded `op`."""
        task.op = op
        if self.running is task:
            self.running = None
        if not op.asks_first or op.begin(task):
            self._enable(task)
        else:
            self._park(task)

    def breathe_soon(self) -> None:
        """Let the next `advance` raise Breath before it makes a step."""
        self._breath_at = 0

    def exit(self, task: Task) -> None:
        """The coroutine of `task` has ended."""
        self._drop(task)
        task.state = State.DONE
        task.op = None
        self.alive -= 1

    def forget(self, task: Task) -> None:
        """Drop an M that has ended from `tasks`, where Ms come and go without end."""
        self.tasks.remove(task)

    def clear(self) -> None:
        """Drop every M; nothing is to be run any more."""
        self.tasks.clear()
        self.runnable.clear()
        self.fresh.clear()
        self._timers.clear()
        self.current = self.running = None

    def leave(self, task: Task) -> None:
        """The coroutine of `task` awaits something that is not an operation."""
        self._drop(task)
        task.state = State.AWAY
        self._away += 1

    def come_back(self, task: Task) -> None:
        """What `task` awaited has come; its coroutine runs again."""
        self._away -= 1
        task.state = State.RUNNING
        if self.running is None:
            self.running = task
        self.switch_to(task)

    def withdraw(self, task: Task) -> None:
        """The pending operation of `task` is not to happen: the M was cancelled.

        Its coroutine runs again after `come_back`.
        """
        self.leave(task)
        op, task.op = task.op, None
        if op is not None:
            op.withdrawn(task)

    def everybody(self) -> list[Task]:
        """Whoever makes steps: the Ms, and their store buffers where they have some."""
        return self.tasks

    @property
    def timers(self) -> list[tuple[int, int, Task]]:
        """When whose time is up, with numbers that tell the timer of an M from those it had before:
        one is still to come iff its number is the M's `timer`.
        """
        return self._timers

    @property
    def is_stuck(self) -> bool:
        """Whether nobody can ever go on though somebody has not ended."""
        return not self.runnable and not self._timers and not self._away and self.alive > 0

    # Inside.

    def _pick(self) -> Task | None:
        if self._timers:
            self._fire_timers()
        runnable = self.runnable
        if not runnable:
            return None
        if self.steps >= self._breath_at or self.clock_ns > TIME_END:
            self._out_of_breath()
        task = self._next_task(runnable, self.current)
        self._step_ns = self.costs.get(task.op.kind, self._other_ns)
        return task

    def _made(self, task: Task, result: object) -> None:
        self.clock_ns += self._step_ns

    def _sleep(self, task: Task) -> None:
        self._remove(task)
        self._park(task)

    def _through(self, task: Task, result: object) -> None:
        self._remove(task)
        self._resumes(task, result)

    def _resumes(self, task: Task, result: object) -> None:
        """The coroutine of `task` is to run."""
        task.result = result
        task.op = None
        task.state = State.RUNNING
        self.running = task

    def _go_on(self, task: Task, op: Op) -> None:
        self.submit(task, op)

    def _enable(self, task: Task) -> None:
        task.state = State.RUNNABLE
        task.since = self.clock_ns
        task.slot = len(self.runnable)
        self.runnable.append(task)

    def _park(self, task: Task) -> None:
        task.state = State.PARKED
        task.since = self.clock_ns
        if self.follower is not None:
            self._note_park(self.follower, task)

    def _note_park(self, follower: Follower, task: Task) -> None:
        if task.id:
            op = task.op
            follower.m_park(task.id, f"{op.kind} {op.obj}" if op else "")

    def _note_unpark(self, task: Task, by_m: int, reason: str = "") -> None:
        if self.follower is not None and task.id:
            self.follower.m_unpark(task.id, by_m, reason)

    def _remove(self, task: Task) -> None:
        """Take `task` out of the runnable ones; the last takes its place."""
        last = self.runnable.pop()
        if last is not task:
            self.runnable[task.slot] = last
            last.slot = task.slot

    def _drop(self, task: Task) -> None:
        if task.state is State.RUNNABLE:
            self._remove(task)
        elif task.state is State.AWAY:
            self._away -= 1
        if self.running is task:
            self.running = None
        task.timer = 0

    def _fire_timers(self) -> None:
        """Unpark whose time has come; move time on where nobody else can go."""
        timers = self._timers
        while timers:
            t_ns, number, task = timers[0]
            if task.timer != number:
                heappop(timers)
            elif t_ns <= self.clock_ns or not self.runnable:
                heappop(timers)
                self.clock_ns = max(self.clock_ns, t_ns)
                task.timer = 0
                self._note_unpark(task, 0, TIMER)
                self._enable(task)
            else:
                return

    def _price(self, kind: str, units: int) -> float:
        costs = self.costs
        ns = min(costs[kind if kind in costs else "other"] * units, TIME_END)
        return ns + costs["grow_call"] if kind == "grow" else ns

    def _out_of_breath(self) -> None:
        if self.clock_ns > TIME_END:
            raise StepsExceeded(
                f"virtual time has come to its end, {TIME_NS_MAX:,} ns; sleep less, or let steps "
                "cost less (--costs)"
            )
        if self.steps >= self.steps_max:
            raise StepsExceeded(
                f"no end after {self.steps:,} steps; raise steps_max if the scenario needs more"
            )
        self._breath_at = min(self.steps + BREATH, self.steps_max)
        raise Breath
