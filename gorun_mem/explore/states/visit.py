"""`--strategy states`: every state of a program is visited, and what follows from that is said.

Where the program goes by what is counted (`unseen`), all is done once more with that in the states.
What cannot be compared at all is said by name.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from gorun_mem.explore.detectors.good_samaritan import PERIOD_MAX, ROUNDS, GoodSamaritan
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.states.unseen import Counts
from gorun_mem.explore.states.whole import ProgramStates
from gorun_mem.step.strategies.searching import Incomparable
from gorun_mem.step.strategies.states import Thence

Make = Callable[[str], ProgramStates]


def visit(worker: Any, batch: Any, make: Make = ProgramStates, *, runs: int | None = None) -> bool:
    """Visit every state of a worker's program; whether nothing was left, and nothing found.

    Args:
        worker: a `worker.Worker`, which runs it.
        batch: a `worker.Batch`, to which what comes of it is added; it is there also if the search
            is interrupted.
        make: makes the search, of what the program goes by of what is counted; "" for nothing.
        runs: schedules at most; None for any number.
    """
    batch.incomparable = _refusal(worker.target)
    searching = make("")
    complete = False
    try:
        while not batch.incomparable:
            try:
                complete = worker.climb(batch, searching, Random(worker.seed), runs)
                batch.out_of_states = searching.full
                break
            except Counts as error:
                batch.by_counts = str(error)
                searching = make(batch.by_counts)
            except Incomparable as error:
                batch.incomparable = str(error)
        return (
            complete
            and not searching.full
            and not (_finds_lost(worker, batch, searching) or _finds_kept(worker, batch, searching))
        )
    finally:
        batch.states = searching.count


def _refusal(target: Any) -> str:
    """Why the states of a program cannot be told, whatever it holds; "" where they can."""
    if target.host:
        return "it awaits trio, whose tasks hold what nobody here can read"
    if target.config.granularity == "access":
        return "with --granularity access an M may stand in the middle of the allocator's own code"
    if target.config.memory != "sc":
        return "stores that are late are in buffers, which are none of what is compared"
    return ""


def _finds_lost(worker: Any, batch: Any, searching: ProgramStates) -> bool:
    """Whether there is a state from which the program cannot come to its end; goes there, and on
    until that counts as without progress.
    """
    lost = searching.not_ending()
    if lost < 0:
        return False
    thence = Thence(searching.way(lost), searching.spins_whole)
    thence.begin(Random(worker.seed), worker.profile)
    one = worker.run(thence)
    batch.steps += one.steps
    worker.note(batch, one, searching.name, batch.schedules)
    if one.signature is None:
        batch.incomparable = (
            "a state was taken for another that is not the same, for the program came to its end "
            "where no state leads to one; it hangs on what is in none of its coroutines or globals"
        )
    return True


def _finds_kept(worker: Any, batch: Any, searching: ProgramStates) -> bool:
    """Whether an M may keep its CPU for ever, where somebody looks for that; makes a run of it."""
    if not any(isinstance(one, GoodSamaritan) for one in worker.detectors):
        return False
    kept = searching.keeps_cpu()
    if kept is None or kept[2] > PERIOD_MAX:
        return False
    state, m, period = kept
    steps = 3 * period * ROUNDS  # so many that the detector, which looks now and then, has seen it
    thence: Any = Thence(searching.way(state), searching.spins_whole, m, steps)
    thence.begin(Random(worker.seed), worker.profile)
    one = run_once(
        worker.target, thence, detectors=worker.detectors, steps_max=worker.steps_max,
        breathe=worker.breathe, on_world=worker.watched.watch,
    )  # fmt: skip
    batch.steps += one.steps
    worker.note(batch, one, searching.name, batch.schedules)
    return one.signature is not None
