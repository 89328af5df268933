"""Virtual time on several CPUs: the next M is the one whose clock is least.

Up to `cpus` Ms run at once, each with a clock of its own that its steps move on; the engine always
steps the one that is furthest behind, so accesses happen in the order of their times. An M that
spins goes on using its CPU. One that sleeps gives it up, and so does one whose time slice is over
while others wait for a CPU: the Ms above `cpus` queue, first come first served. So a holder that is
preempted holds its lock for as long as the others run.

    clock      0        10        20        30
    CPU 1      M1 ===lock==>M1 ==unlock==>M3 (switch) ==>
    CPU 2      M2 ===spin=====>M2 ==sleep>            M2 (wake) ==>

The scenario itself (M 0) is no M of Go's and takes no CPU. Ties go by a fixed order of the Ms that
is drawn from the seed.

An atomic access costs what the table says where the CPU has the word's cache line to itself. Where
it has not, the line must come over first, as MESI has it: a line is held by one CPU that may write
it, or copied by any number that read it. Lines go round in the order of the requests, one transfer
at a time, and whoever has got one goes on with it for a while after the next request has come
through to it. So Ms that look at a lock slow down whoever holds it, the more the more of them there
are. A read of a line that its owner has written takes the line over, for whoever reads what another
has written mostly writes next; so an M that looks in the very moment in which a lock is free gets
it, however soon its owner wants it back.

    CPU 1   write write           ---ask---wait---> write
    CPU 2     ask ------wait----> read                 (copy gone)
    CPU 3       ask --------wait-------> read          (copy gone)

A line is an operation's `obj`, or what that names behind an "@": then several lie on one.

What varies on a real machine varies here: spins and calls, how long a sleeper takes to wake, and
now and then an M's CPU is away, with interrupts or its hypervisor. All of it is drawn from one
stream of the seed; `costs.MECHANISMS` has what can be switched off, and `gorun_mem.calibration`
what of it was measured where.

Simplified: two locks of the package never share a line; how far apart two CPUs are is drawn anew
for each transfer; an M takes the CPU that has been idle for longest, not its last; interrupts come
to Ms, not to CPUs, and an operation that takes long is prolonged by them at its end. Plain loads
and stores of the emulated memory cost the same everywhere, for a block is one M's at a time.

Rejected: making the access when it is asked for and charging the wait afterwards, which saves going
round the queue of Ms twice. Requests that wait for one line would then see it as it was before the
release that they wait for, and Ms fall into step with each other for ever.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush, heappushpop
from math import inf
from typing import Final

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.kinds import ON_LINE
from gorun_mem.runtime.op import MORE, OFF_CPU, MLike, Op
from gorun_mem.step.costs import CostTable
from gorun_mem.step.draws import EXPONENTIAL, SIZE, log_logistic
from gorun_mem.step.engine import STEPS_MAX, TIME_END, TIMER, Engine, Strategy
from gorun_mem.step.hardware import Line, Price, prices
from gorun_mem.step.streams import Streams, schedule_stream, stream
from gorun_mem.step.task import State, Task

RUNNABLE: Final = State.RUNNABLE
POP: Final = heappop
PUSH: Final = heappush
PUSH_POP: Final = heappushpop
UNTIL: Final = EXPONENTIAL
"""Named again, for compiled code holds a Final and looks up by name what is imported."""
INTERRUPTS_DRAWN: Final = 64
"""So many interrupts of one step are drawn one by one."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TimingEngine(Engine):
    """An engine with a clock for each M and a number of CPUs.

    Invariants:
        1. a task is in `_running`, or is the one in hand, iff it is RUNNABLE and
           has a CPU (slot 1);
        2. it is in `_ready` iff it is RUNNABLE and has none (slot 0);
        3. CPUs in use and entries of `_idle_since` make `cpus` together.

    Args:
        strategy: draws data choices.
        seed: of the order of Ms whose clocks are equal, and of what varies in the machine.
        costs: what a step costs.
        cpus: how many Ms run at once.
        steps_max: steps after which `advance` raises StepsExceeded.
        streams: as `Engine` has it.
    """

    def __init__(
        self,
        strategy: Strategy,
        seed: int,
        *,
        costs: CostTable | None = None,
        cpus: int = 4,
        steps_max: int = STEPS_MAX,
        streams: Streams | None = None,
    ) -> None:
        super().__init__(strategy, costs=costs, cpus=cpus, steps_max=steps_max, streams=streams)
        model = costs or CostTable()
        self._slice_ns = model.time_slice_ns
        self._running: list[tuple[float, float, int, Task]] = []
        self._in_hand: Task | None = None
        self._yields = False
        self._ready: deque[Task] = deque()
        self._idle_since = [(0.0, cpu) for cpu in range(cpus)]
        self._ties = schedule_stream(seed).random
        self._draw = stream(seed, "machine").random
        self._lines: dict[str, Line] = {}
        self._named_lines: dict[str, Line] = {}
        self._awake: set[int] = set()
        table = self.costs
        self._fetch_ns = table["line.fetch"]
        self._spread_ns = min(table["line.spread"], self._fetch_ns)
        self._share_ns = table["line.share"]
        self._invalidate_ns = table["line.invalidate"]
        self._migrates = model.has("migrate")
        self._keep_ns = table["line.keep"] if model.has("keep") else -1.0
        spreads = model.spreads()
        self._wake_least_ns = min(table["wake.least"], table["wake"])
        self._wake_ns = table["wake"] - self._wake_least_ns
        self._wakes = log_logistic(spreads["wake"])
        self._wake_call_ns = table["wake.call"]
        self._interrupt_ns = table["interrupt"]
        self._interrupts = log_logistic(spreads["interrupt"])
        self._interrupt_mean_ns = self._interrupt_ns * sum(self._interrupts) / SIZE
        self._interrupt_every_ns = table["interrupt.every"] if model.has("interrupts") else 0.0
        self._switch_ns = table["switch"]
        self._prices = prices(table, spreads)
        self._other: Price = self._prices["other"]

    @property
    def is_stuck(self) -> bool:
        """Whether nobody can ever go on though somebody has not ended."""
        idle = not (self._running or self._ready or self._timers or self._away)
        return idle and self.alive > 0

    def add(self, task: Task) -> None:
        """Take in a new M."""
        super().add(task)
        task.slot = 0
        task.cpu = self.cpus  # the scenario's; an M gets one of its own before its first step
        task.priority = self._ties()
        task.clock_ns = self.clock_ns
        task.interrupt_ns = self._interrupt_after(self.clock_ns) if task.id else inf

    def unpark(self, m: MLike) -> None:
        """Make a parked M runnable once the latency of a wakeup has passed.

        The waker, whose call takes the longer for it, goes on meanwhile.
        """
        assert isinstance(m, Task)
        if m.state is State.PARKED:
            m.timer = 0
            waker = self.current
            if self.follower is not None:
                self._note_unpark(m, waker.id if waker is not None else 0)
            clock = self.clock_ns
            if m.id in self._awake:
                self._awake.discard(m.id)
            else:
                if waker is not None:
                    waker.clock_ns += self._wake_call_ns
                draw = self._wakes[int(self._draw() * SIZE)]
                clock += self._wake_least_ns + self._wake_ns * draw
            if clock > m.clock_ns:
                m.clock_ns = clock
            self._enable(m)

    def disable(self, m: MLike) -> None:
        """Take a runnable M out of those that may go next: it has been woken, and need not be again
        when it may go, or whoever comes by meanwhile would keep it out for ever."""
        assert isinstance(m, Task)
        if m.state is RUNNABLE:
            self._awake.add(m.id)
            super().disable(m)

    def charge(self, kind: str, units: int) -> None:
        """Let the running step take longer."""
        assert self.current is not None
        self.current.clock_ns += self._price(kind, units)

    def come_back(self, task: Task) -> None:
        """What `task` awaited has come."""
        super().come_back(task)
        task.clock_ns = max(task.clock_ns, self.clock_ns)

    # What the loop asks.

    def _pick(self) -> Task | None:
        """Who is furthest behind, has a CPU and has got there the line that it needs."""
        running, timers = self._running, self._timers
        task = self._in_hand
        while True:
            if task is not None:
                clock = task.clock_ns
                if timers:
                    self._push(task)
                    task = None
                elif running and running[0][0] <= clock:
                    task = PUSH_POP(running, (clock, task.priority, task.id, task))[3]
            if task is None:
                if timers:
                    self._fire_timers()
                if not running:
                    self._in_hand = None
                    return None
                task = POP(running)[3]
            clock = self.clock_ns = task.clock_ns
            if self.steps >= self._breath_at or clock > TIME_END:
                self._in_hand = None
                self._push(task)
                self._out_of_breath()
            if clock >= task.stop_ns and self._stopped(task):
                task = None
                continue
            pending = task.op
            price = self._prices.get(pending.kind, self._other)
            writes = price.writes
            wait_ns = 0.0
            if task.has_line:
                task.has_line = False
            elif writes is not None:
                line = self._lines.get(pending.obj)
                if line is None or line.sole != task.cpu:
                    wait_ns = self._transfer(task, pending.obj, line, writes)
                elif writes:
                    line.written = True
            else:
                wait_ns = price.before_ns
            if not wait_ns:
                ns = self._step_ns = price.ns
                if price.spread:
                    self._step_ns = ns * (1 + (self._draw() * 2 - 1) * price.spread)
                self._yields = price.yields
                self._in_hand = task
                return task
            task.clock_ns = clock + wait_ns
            task.has_line = True

    def _made(self, task: Task, result: object) -> None:
        task.clock_ns += self._step_ns
        if self._yields and result is MORE and self._ready:
            self._in_hand = None
            self._give_way(task)

    def _sleep(self, task: Task) -> None:
        self._in_hand = None
        self._park(task)

    def _through(self, task: Task, result: object) -> None:
        self._in_hand = None
        self._resumes(task, result)

    def _go_on(self, task: Task, op: Op) -> None:
        """As `submit`; but `task` stays in hand, as it mostly is the next again."""
        self.running = None
        task.op = op
        if op.asks_first and not op.begin(task):
            self._park(task)
            return
        task.state = RUNNABLE
        task.since = task.clock_ns
        self._in_hand = task

    # Inside.

    def _transfer(self, task: Task, obj: str, line: Line | None, writes: bool) -> float:
        """Ask for the line of `obj` on behalf of `task`.

        Returns:
            ns until it is there; 0 where the CPU has it, or has a copy and wants no more.
        """
        if line is None:
            line = self._lines[obj] = self._line_of(obj)
        clock, bit, copies = task.clock_ns, 1 << task.cpu, line.copies
        if (not writes and copies & bit) or (
            clock < task.keeps_until_ns and task.keeps == line.name
        ):
            return 0.0
        free_ns = line.free_ns
        wait_ns = free_ns - clock if free_ns > clock else 0.0
        if not writes and line.sole < 0:
            line.copies = copies | bit
            return wait_ns + self._share_ns if copies else wait_ns
        others = copies & ~bit
        if others:
            fetch_ns = self._fetch_ns + (self._draw() * 2 - 1) * self._spread_ns
            wait_ns += fetch_ns + self._invalidate_ns * (others.bit_count() - 1)
            if line.owner is not None:
                line.owner.keeps = line.name
                line.owner.keeps_until_ns = clock + wait_ns - fetch_ns + self._kept_ns(fetch_ns)
        if writes or (line.written and self._migrates):
            line.sole, line.owner, line.copies, line.written = task.cpu, task, bit, writes
        else:
            line.sole, line.owner, line.copies, line.written = -1, None, copies | bit, False
        line.free_ns = clock + wait_ns
        return wait_ns

    def _kept_ns(self, fetch_ns: float) -> float:
        """How long an owner goes on with a line after the one before it is done with it."""
        keep_ns = self._keep_ns
        if keep_ns < 0:  # the request takes half the way to get there
            return fetch_ns / 2
        return keep_ns * UNTIL[int(self._draw() * SIZE)]

    def _line_of(self, obj: str) -> Line:
        """The line that an object lies on which has not been touched yet."""
        name = obj.partition(ON_LINE)[2] or obj
        line = self._named_lines.get(name)
        if line is None:
            line = self._named_lines[name] = Line(name)
        return line

    def _push(self, task: Task) -> None:
        PUSH(self._running, (task.clock_ns, task.priority, task.id, task))

    def _enable(self, task: Task) -> None:
        task.state = State.RUNNABLE
        task.since = task.clock_ns
        if task.slot == 1 or task.id == 0:
            task.slot = 1
            self._push(task)
        elif self._idle_since:
            free_ns, cpu = POP(self._idle_since)
            self._run_on(task, free_ns, cpu)
        else:
            self._queue(task)

    def _queue(self, task: Task) -> None:
        """`task` has to wait for a CPU; the log says so of one that holds locks meanwhile."""
        task.slot = 0
        self._ready.append(task)
        if self.follower is not None and task.go.held:
            self.follower.m_park(task.id, OFF_CPU)

    def _run_on(self, task: Task, free_ns: float, cpu: int) -> None:
        """Give `task` the CPU `cpu`, which is free since `free_ns`."""
        task.slot = 1
        task.cpu = cpu
        clock = task.clock_ns
        if free_ns > clock:
            clock = task.clock_ns = free_ns
        self._begin_slice(task)
        if clock > task.interrupt_ns:  # it came while the CPU had nothing to do
            task.interrupt_ns = self._interrupt_after(clock)
            task.stop_ns = min(task.slice_end_ns, task.interrupt_ns)
        PUSH(self._running, (clock, task.priority, task.id, task))

    def _release_cpu(self, task: Task) -> None:
        task.has_line = False
        if task.slot != 1:
            return
        task.slot = 0
        if task.id:
            self._cpu_is_free(task)

    def _cpu_is_free(self, task: Task) -> None:
        """The CPU of `task`, which leaves it, is another's now, or idle."""
        if self._ready:
            following = self._ready.popleft()
            self._run_on(following, task.clock_ns + self._switch_ns, task.cpu)
            if following.go.held:
                self._note_unpark(following, 0, OFF_CPU)
        else:
            PUSH(self._idle_since, (task.clock_ns, task.cpu))

    def _park(self, task: Task) -> None:
        task.state = State.PARKED
        task.since = task.clock_ns
        if self.follower is not None:
            self._note_park(self.follower, task)
        self._release_cpu(task)

    def _begin_slice(self, task: Task) -> None:
        task.slice_end_ns = task.clock_ns + self._slice_ns
        task.stop_ns = min(task.slice_end_ns, task.interrupt_ns)

    def _stopped(self, task: Task) -> bool:
        """The slice of `task` is over, or its CPU is away: whether it cannot go on yet."""
        if task.clock_ns >= task.interrupt_ns:
            self._interrupted(task)
            self._push(task)
            return True
        if not self._ready or task.id == 0:
            self._begin_slice(task)
            return False
        self._give_way(task)
        return True

    def _interrupted(self, task: Task) -> None:
        """Let `task` be away for every interrupt that has come until now."""
        at_ns, away_ns = task.interrupt_ns, 0.0
        many_ns = INTERRUPTS_DRAWN * self._interrupt_every_ns
        if task.clock_ns - at_ns > many_ns:  # after so many, the mean will do for those before
            skipped_ns = task.clock_ns - many_ns - at_ns
            away_ns = skipped_ns / self._interrupt_every_ns * self._interrupt_mean_ns
            at_ns += skipped_ns
        while at_ns <= task.clock_ns:
            away_ns += self._interrupt_ns * self._interrupts[int(self._draw() * SIZE)]
            at_ns = self._interrupt_after(at_ns)
        task.clock_ns += away_ns
        task.interrupt_ns = at_ns + away_ns
        task.stop_ns = min(task.slice_end_ns, task.interrupt_ns)

    def _interrupt_after(self, clock_ns: float) -> float:
        """When the next interrupt comes; never where there are none."""
        every_ns = self._interrupt_every_ns
        return clock_ns + every_ns * UNTIL[int(self._draw() * SIZE)] if every_ns else inf

    def _give_way(self, task: Task) -> None:
        self._release_cpu(task)
        self._queue(task)

    def _remove(self, task: Task) -> None:
        """Take a runnable task out; rare, so the heap is searched and ordered anew."""
        if task.slot == 1:
            entry = next(e for e in self._running if e[3] is task)
            self._running.remove(entry)
            self._running.sort()
        else:
            self._ready.remove(task)

    def _drop(self, task: Task) -> None:
        super()._drop(task)
        self._release_cpu(task)

    def _fire_timers(self) -> None:
        timers = self._timers
        while timers:
            t_ns, number, task = timers[0]
            if task.timer != number:
                POP(timers)
            elif not self._running or t_ns <= self._running[0][0]:
                POP(timers)
                self.clock_ns = max(self.clock_ns, t_ns)
                task.timer = 0
                task.clock_ns = max(task.clock_ns, t_ns)
                self._note_unpark(task, 0, TIMER)
                self._enable(task)
            else:
                return
