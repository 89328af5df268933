"""Make a failing schedule small: the same failure with few switches and few steps.

A schedule is a tape of departures from run-to-block. Departures are taken out in halves, quarters
and one by one; stretches of the tape are cut out; data choices are lowered towards 0; and an M's
steps are moved across steps that they do not depend on, to where the M goes anyway. Each try is
run, with 0 where the tape does not fit, and counts if it fails with the same signature and costs
less. What the run really did becomes the new schedule, so nothing after the failure survives.

What a schedule costs is what there is to read: its steps, and its switches as `SWITCH` steps each,
`FORCED` more where one was forced. Switches alone would let an M spin through 40 steps to spare one
switch. And no try may be longer than the run that was found by more than a fifth.

Source: A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", TSE 2002.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from gorun_mem.explore.drive import Execution, replay, run_once
from gorun_mem.explore.failure import Detector, Signature
from gorun_mem.explore.target import Target
from gorun_mem.step.engine import Strategy
from gorun_mem.step.schedule import Schedule, Step
from gorun_mem.step.strategies.replay import Order
from gorun_mem.step.strategies.searching import WAITS

TRIES_MAX: Final = 2_000
SECONDS_MAX: Final = 20.0
SWITCH: Final = 4
FORCED: Final = 8

Cost = tuple[int, int, int]
"""Less is better; see `_cost`."""


class Shrinker:
    """Shrinks one failure.

    Args:
        target: the program.
        signature: of the failure, which every try must have.
        detectors: those that may have found it.
        steps_max: bound of steps of a try.
        tries_max: bound of tries.
        seconds_max: bound of real time.

    Attributes:
        tries: runs made.
    """

    def __init__(
        self,
        target: Target,
        signature: Signature,
        *,
        detectors: Sequence[Detector] = (),
        steps_max: int,
        tries_max: int = TRIES_MAX,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._target = target
        self._signature = signature
        self._detectors = detectors
        self._steps_max = steps_max
        self._tries_max = tries_max
        self._until = time.monotonic() + seconds_max
        self.tries = 0
        self._tried: set[tuple[int, ...]] = set()
        self._tape: list[int] = []
        self._steps: tuple[Step, ...] = ()
        self._cost: Cost = (1 << 60, 0, 0)
        self._longest = 0

    def shrink(self, found: Execution) -> Schedule | None:
        """The smallest schedule found; None where `found` does not fail again when replayed.

        Args:
            found: the failing run, transcribed.
        """
        assert found.transcriber is not None
        self._longest = longest(len(found.named_steps))
        if not self._try_tape(found.transcriber.tape):
            return None
        self._try_tape([])
        passes: tuple[Callable[[], bool], ...] = (
            self._drop_departures,
            self._cut_out,
            self._commute,
            self._lower_values,
            self._postpone,
            self._end_spins,
        )
        improved = True
        while improved and self._may_go_on():
            improved = False
            for one in passes:
                while one() and self._may_go_on():
                    improved = True
        return Schedule(
            _stripped(self._tape), tuple(step.name for step in self._steps), self._target.about
        )

    def _may_go_on(self) -> bool:
        return self.tries < self._tries_max and time.monotonic() < self._until

    # Tries.

    def _try_tape(self, tape: Sequence[int]) -> bool:
        """Whether `tape` leads to the failure at less cost; then it is the new schedule."""
        key = _stripped(tape)
        if key in self._tried or not self._may_go_on():
            return False
        self._tried.add(key)
        done = replay(
            self._target,
            Schedule(key),
            detectors=self._detectors,
            on_divergence="default",
            steps_max=self._bound,
        )
        return self._accept(done)

    def _try_order(self, order: Sequence[int]) -> bool:
        """Whether letting Ms go in `order` leads to the failure at less cost."""
        if not self._may_go_on():
            return False
        values = [value for step in self._steps for _, _, value in step.choices]
        strategy: Strategy = Order(order, values)
        done = run_once(
            self._target,
            strategy,
            detectors=self._detectors,
            transcribe=True,
            steps_max=2 * self._bound,
        )
        return self._accept(done)

    @property
    def _bound(self) -> int:
        """Half the steps of a try at most: what is longer than allowed need not be run on.

        But where the failure is that a run does not end, that is known at the search's bound only.
        """
        if self._signature.kind == "no_progress":
            return self._steps_max
        return min(self._steps_max, (self._longest + 1) // 2)

    def _accept(self, done: Execution) -> bool:
        self.tries += 1
        assert done.transcriber is not None
        if done.signature != self._signature or len(done.named_steps) > self._longest:
            return False
        cost = _cost(done.transcriber.tape, done.named_steps)
        if cost >= self._cost:
            return False
        self._cost = cost
        self._tape = list(_stripped(done.transcriber.tape))
        self._steps = done.named_steps
        return True

    # Passes: each makes one improvement and says whether it did.

    def _drop_departures(self) -> bool:
        """Set departures to 0, many at once first."""
        places = [place for place, number in enumerate(self._tape) if number]
        size = len(places)
        while size:
            for start in range(0, len(places), size):
                dropped = set(places[start : start + size])
                tape = [0 if place in dropped else n for place, n in enumerate(self._tape)]
                if self._try_tape(tape):
                    return True
            size //= 2
        return False

    def _cut_out(self) -> bool:
        """Take stretches out of the tape."""
        size = len(self._tape) // 2
        while size:
            for start in range(0, len(self._tape) - size + 1, max(size // 2, 1)):
                if self._try_tape(self._tape[:start] + self._tape[start + size :]):
                    return True
            size //= 2
        return False

    def _lower_values(self) -> bool:
        """Lower numbers one by one."""
        for place, number in enumerate(self._tape):
            for lower in sorted({0, 1, number // 2, number - 1}):
                if 0 <= lower < number and self._try_tape(
                    [*self._tape[:place], lower, *self._tape[place + 1 :]]
                ):
                    return True
        return False

    def _postpone(self) -> bool:
        """Move departures to the decision after, where the M may have to stop anyway."""
        for place in range(len(self._tape)):
            if self._tape[place]:
                tape = [*self._tape, 0]
                tape[place], tape[place + 1] = tape[place + 1], tape[place]
                if self._try_tape(tape):
                    return True
        return False

    def _end_spins(self) -> bool:
        """Let another M go where one begins to spin, which may spare it the rest."""
        for place, others in _spins(self._steps):
            tape = [*self._tape, *[0] * (place - len(self._tape))]
            for other in others:
                start = [*tape[:place], other + 1]
                if self._try_tape(start) or self._try_tape([*start, *tape[place + 1 :]]):
                    return True
        return False

    def _commute(self) -> bool:
        """Move a block of one M's steps to its neighbours across steps that do not depend on it."""
        return any(self._try_order(order) for order in merged_orders(self._steps))


def _spins(steps: Sequence[Step]) -> Iterator[tuple[int, list[int]]]:
    """Where on the tape an M that goes on and on begins to spin, and who might go instead."""
    place = 0
    spinner = -1
    for step in steps:
        if step.m != spinner:
            spinner = -1
        if len(step.enabled) > 1:
            if step.kind in WAITS and step.m != spinner:
                spinner = step.m
                yield place, [m for m in step.enabled if m != step.m]
            place += 1
        place += len(step.choices)


def merged_orders(steps: Sequence[Step], across: bool = False) -> Iterator[list[int]]:
    """Orders in which one block of an M's steps has joined the M's block before or after it.

    Args:
        steps: of a run.
        across: also where steps are in between that it depends on.
    """
    blocks: list[list[Step]] = []
    for step in steps:
        if blocks and blocks[-1][0].m == step.m:
            blocks[-1].append(step)
        else:
            blocks.append([step])
    for index, block in enumerate(blocks):
        for towards in (-1, 1):
            at = index + towards
            while 0 <= at < len(blocks) and blocks[at][0].m != block[0].m:
                if not across and _depends(blocks[at], block):
                    break
                at += towards
            else:
                if 0 <= at < len(blocks):
                    rest = blocks[:index] + blocks[index + 1 :]
                    place = at + 1 if towards < 0 else at - 1
                    order = [*rest[:place], block, *rest[place:]]
                    yield [step.m for part in order for step in part]


def _depends(some: Sequence[Step], others: Sequence[Step]) -> bool:
    return any(a.obj == b.obj and not (a.reads and b.reads) for a in some for b in others)


def longest(steps: int) -> int:
    """How many steps the schedule may have that is made of one with `steps`."""
    return steps + steps // 5


def _cost(tape: Sequence[int], steps: Sequence[Step]) -> Cost:
    """Steps with what switches weigh, departures, the sum of the numbers."""
    switches = sum(a.m != b.m for a, b in pairwise(steps))
    forced = sum(step.preempts for step in steps)
    departures = sum(1 for number in tape if number)
    return len(steps) + SWITCH * switches + FORCED * forced, departures, sum(tape)


def _stripped(tape: Sequence[int]) -> tuple[int, ...]:
    end = len(tape)
    while end and not tape[end - 1]:
        end -= 1
    return tuple(tape[:end])
