"""What `explore --assert` asks of every schedule, as a detector.

The metrics are those of `run --json`: each schedule is run a second time, by its tape, with the
events summed up. So a search with assertions takes several times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gorun_mem.analysis.metrics import Expression
from gorun_mem.analysis.summary import Summary
from gorun_mem.cli._by_schedule import follow
from gorun_mem.events.recorder import Recorder
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.failure import Finding
from gorun_mem.explore.search import steps_bound
from gorun_mem.explore.target import Target
from gorun_mem.machine.library import find
from gorun_mem.step.strategies.replay import Picks

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.op import Op
    from gorun_mem.step.task import Task


class Asserted:
    """Finds schedules for which an assertion does not hold; kind "assert".

    Args:
        about: names the scenario and its settings (`Target.about`).
        expressions: what is to hold.
    """

    name = "assert"

    def __init__(self, about: Mapping[str, Any], expressions: Sequence[Expression]) -> None:
        self._target = Target.from_about(about)
        self._scenario = find(about["scenario"])
        self._expressions = expressions

    def begin(self, world: World) -> None:
        """Nothing: it looks at whole runs."""

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Nothing."""

    def end(self, world: World) -> Sequence[Finding]:
        """The assertions that do not hold, with the value.

        Raises:
            ExpressionError: there is no such metric in a run of this scenario.
        """
        if world.failure is not None:
            return ()
        engine: Any = world.engine
        metrics = self._metrics(engine.tape)
        return [
            Finding(
                "assert",
                expression.text,
                text=f"{expression.name} = {metrics[expression.name]:,}, and {expression.text} was "
                "asserted",
            )
            for expression in self._expressions
            if not expression.holds(metrics)
        ]

    def _metrics(self, tape: Sequence[int]) -> Mapping[str, Any]:
        """Of the run that `tape` describes, made again with its events summed up."""
        target = self._target
        bound = 2 * steps_bound(target)
        again = run_once(target, Picks(tape), transcribe=True, steps_max=bound)
        assert again.transcriber is not None
        schedule = again.transcriber.schedule(target.about)
        summary = Summary(whole=True)
        recorder = Recorder(None)
        recorder.subscribe(summary.feed)
        done = follow(self._scenario, target, schedule, "trampoline", recorder, watch_s=0)
        if not done.outcome.ok:
            raise RuntimeError(f"a run that ended well does not when made again: {done.outcome}")
        return summary.metrics()
