"""`bench contention`: the virtual-time engine under a contended lock, beside SimPy.

Each of 4, 16 and 64 Ms takes one lock, computes for a short time and gives it back, again and again
with nothing in between, on 4 and on 20 emulated CPUs. The `timing` strategy decides who goes next;
no log is written, and the Ms' coroutines are driven by the trampoline.

What is counted:

    lock steps      accesses of the lock's state machine: one for each atomic access, pause, yield,
                    sleep or wakeup of Go's lock2 and unlock2. The M's own operations (to start, to
                    compute: two steps) are run in the time that is measured and are not counted.
    all steps       these too: what `engine.steps` has. An access for which a cache line must come
                    over is queued twice and counts once.
    SimPy's events  what `Environment.step` processes under the same load: as many processes that
                    request a `Resource` of capacity 1, wait for a timeout as long, and release it.
                    A round is three events there (request, timeout, release), and nothing is
                    emulated: no atomic accesses, no spinning, no CPUs, no cache lines.

So "all steps" beside SimPy's events is like beside like, and that ratio is the one that has a
target; lock steps a second have a target of their own, which is for a core that does nothing else
and for the mutexes that Go has: `queue` makes three lock steps a round, so that most of the time
goes to what is not counted, the two other steps and the way into the Ms' coroutines and back.
What a step costs with 64 Ms over what it costs with 4 says whether the engine is held up by the
number of Ms. It is the cost of a step of any kind, by the mean of the algorithm's mix of them.

SimPy is in the extra `bench`; without it there is nothing beside ours.

All candidates of a number of Ms take turns in one process, and the least time of each counts.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from gorun_mem.bench import Row, best_of

ALGORITHMS: Final = ("spinbit", "sema", "futex", "queue")
GOS: Final = ("spinbit", "sema", "futex")
"""Those that Go has, for which lock steps have a target."""
MS: Final = (4, 16, 64)
CPUS: Final = (4, 20)
HOLD_NS: Final = 200
"""How long an M computes with the lock held: longer than an access, shorter than a spin."""
ROUNDS: Final = 6400
"""Acquisitions of all Ms together in one measurement."""
COMPUTE_STEPS: Final = 2
"""Steps that an M's `compute` is made of."""
LOCK_STEPS_MIN: Final = 1e6
RATIO_MIN: Final = 2.0
GROWTH_MAX: Final = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement of ours.

    Args:
        mutex: the algorithm.
        ms: how many Ms.
        cpus: emulated CPUs.
    """

    mutex: str
    ms: int
    cpus: int

    def __str__(self) -> str:
        return f"{self.mutex}, {self.ms} Ms on {self.cpus} CPUs"


@dataclass(frozen=True, slots=True)
class Steps:
    """What a run has counted.

    Args:
        all: accesses of any kind.
        lock: accesses of the lock's state machine.
    """

    all: int
    lock: int


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer rounds; the figures are then rough.
    """
    turns, rounds = (2, ROUNDS // 4) if quick else (7, ROUNDS)
    has_peer = find_spec("simpy") is not None
    rows: list[Row] = []
    step_s: dict[Case, float] = {}
    for ms in MS:
        cases = [Case(mutex, ms, cpus) for mutex in ALGORITHMS for cpus in CPUS]
        ours = [partial(contend, case) for case in cases]
        peers = [partial(simpy_events, ms)] if has_peer else []
        seconds = [each * rounds for each in best_of(turns, rounds, *ours, *peers)]
        events_per_s = simpy_events(ms, rounds) / seconds[-1] if has_peer else None
        for case, run_s in zip(cases, seconds, strict=False):
            steps = contend(case, rounds)
            step_s[case] = run_s / steps.all
            rows.append(_lock_row(case, steps.lock / run_s))
            rows.append(_all_row(case, steps.all / run_s, events_per_s))
    return [*rows, *(_growth(mutex, cpus, step_s) for mutex in ALGORITHMS for cpus in CPUS)]


def contend(case: Case, rounds: int) -> Steps:
    """Let the Ms of `case` contend for one lock; `rounds` acquisitions of all together."""
    from gorun_mem import Config, World
    from gorun_mem.machine.trampoline import drive

    world = World(
        Config(
            ms=case.ms,
            cpus=case.cpus,
            mutex=case.mutex,
            strategy="timing",
            platform="plan9/amd64",
        )
    )
    each = rounds // case.ms

    async def main() -> None:
        lock = world.mutex("contended")

        async def worker(m: Any) -> None:
            for _ in range(each):
                await lock.lock("bench")
                await m.compute(HOLD_NS)
                await lock.unlock("bench")

        async with world.open_ms() as ms:
            for _ in range(case.ms):
                ms.start_soon(worker)

    drive(world.driver, main())
    if world.failure is not None:
        raise world.failure
    others = case.ms * (1 + COMPUTE_STEPS * each) + 1  # each M's start, and the scenario's join
    return Steps(world.engine.steps, world.engine.steps - others)


def simpy_events(ms: int, rounds: int) -> int:
    """The same load in SimPy; returns how many events it has processed."""
    import simpy

    env = simpy.Environment()
    lock = simpy.Resource(env, capacity=1)

    def worker() -> Generator[Any, Any, None]:
        for _ in range(rounds // ms):
            request = lock.request()
            yield request
            yield env.timeout(HOLD_NS)
            yield lock.release(request)

    for _ in range(ms):
        env.process(worker())
    env.run()
    # A process is an event to begin with and one at its end.
    return ms * (2 + 3 * (rounds // ms))


def _lock_row(case: Case, per_s: float) -> Row:
    if case.mutex not in GOS:
        return Row(name=f"{case}: lock steps", figure=per_s / 1e6, unit="M/s")
    return Row(
        name=f"{case}: lock steps",
        figure=per_s / 1e6,
        unit="M/s",
        target=f"at least {LOCK_STEPS_MIN / 1e6:g} M/s on a quiet core",
        ok=per_s >= LOCK_STEPS_MIN,
    )


def _all_row(case: Case, per_s: float, events_per_s: float | None) -> Row:
    name = f"{case}: all steps"
    if events_per_s is None:
        return Row(name=name, figure=per_s / 1e6, unit="M/s", peer="SimPy, which is not installed")
    return Row(
        name=name,
        figure=per_s / 1e6,
        unit="M/s",
        peer="SimPy's events",
        peer_figure=events_per_s / 1e6,
        ratio=per_s / events_per_s,
        target=f"at least {RATIO_MIN:g} times the peer",
        ok=per_s >= RATIO_MIN * events_per_s,
    )


def _growth(mutex: str, cpus: int, step_s: dict[Case, float]) -> Row:
    few, many = (step_s[Case(mutex, ms, cpus)] for ms in (MS[0], MS[-1]))
    return Row(
        name=f"{mutex} on {cpus} CPUs: cost of a step, {MS[-1]} Ms over {MS[0]}",
        figure=many / few,
        unit="times",
        target=f"at most {GROWTH_MAX:g} times",
        ok=many <= GROWTH_MAX * few,
    )
