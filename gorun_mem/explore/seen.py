"""A failing run as its explanation needs it: steps, what they came to, who took and gave locks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gorun_mem.explore.sights import Sights
from gorun_mem.runtime.kinds import kind_of
from gorun_mem.step.schedule import Step
from gorun_mem.step.task import BUFFERS


class SeenRun:
    """The steps of a run, and what another run of its schedule has shown of them.

    Args:
        steps: of the run.
        sights: None where there was no other run.

    Attributes:
        steps: as given, as is `sights`; what a store buffer does is its M's.
    """

    def __init__(self, steps: Sequence[Step], sights: Sights | None) -> None:
        self.steps = [step if step.m < BUFFERS else replace(step, m=step.owner) for step in steps]
        self.sights = sights

    def op(self, at: int) -> Any:
        """The operation of a step; None where it is not known."""
        ops = self.sights.ops if self.sights is not None else ()
        return ops[at] if at < len(ops) else None

    def result(self, at: int) -> object:
        """What a step came to."""
        results = self.sights.results if self.sights is not None else ()
        return results[at] if at < len(results) else None

    def what(self, at: int) -> str:
        """A step without its M: kind, object and value."""
        values = self.sights.values if self.sights is not None else ()
        value = values[at] if at < len(values) else ""
        name = self.steps[at].name
        return f"{name} {value}" if value else name

    def told(self, at: int) -> str:
        """A step without its M, and its number."""
        return f"{self.what(at)} (step {at + 1})"

    def name(self, at: int) -> str:
        """A step in a sentence."""
        return f"M{self.steps[at].m}'s {self.told(at)}"

    def lock(self, at: int) -> tuple[str, bool] | None:
        """The lock that a step took (True) or gave back (False); None where it did neither."""
        if self.sights is not None:
            locks = self.sights.locks
            return locks[at] if at < len(locks) else None
        step = self.steps[at]
        role = kind_of(step.kind).lock
        return (step.obj, role == "takes") if role else None

    def is_lock(self, at: int) -> bool:
        """Whether a step is about a lock or a note, not about what the program has of its own."""
        op = self.op(at)
        return getattr(op, "mutex", None) is not None or bool(kind_of(self.steps[at].kind).lock)

    def is_of_object(self, at: int) -> bool:
        """Whether a step is about an object, which others can be about too.

        A task of trio that starts, sleeps or gives way is named by the function it stands in.
        """
        stands = getattr(self.op(at), "at", None)
        return stands is None or stands.thing is not None

    def raised_at(self) -> int | None:
        """The last step of the task that raised what a nursery of trio's has ended in."""
        failed = self.sights.failed if self.sights is not None else None
        if failed is None:
            return None
        return max((at for at, step in enumerate(self.steps) if step.m == failed), default=None)

    def held_at_end(self) -> dict[str, int]:
        """The index of the step that took it, for each lock that nobody has given back."""
        held: dict[str, int] = {}
        for at in range(len(self.steps)):
            event = self.lock(at)
            if event is not None:
                if event[1]:
                    held[event[0]] = at
                else:
                    held.pop(event[0], None)
        return held

    def pending(self, m: int) -> str:
        """Kind and object of the step that an M would make next; "" where it has ended."""
        return self.sights.pending.get(m, "") if self.sights is not None else ""

    def wait_of(self, m: int) -> tuple[float, list[int]]:
        """Where the wait of `m` at the end begins, as an index, and its steps.

        Where it waits in an operation that has made none, half a step after the last at which it
        could have gone.
        """
        made = self.sights.waiting.get(m, []) if self.sights is not None else []
        if made:
            return made[0], made
        return max((i for i, s in enumerate(self.steps) if m in s.enabled), default=-1) + 0.5, []

    def since(self, m: int) -> str:
        """Since when `m` waits, in words."""
        begins, made = self.wait_of(m)
        return f"from step {made[0] + 1} on" if made else f"after step {int(begins + 0.5)}"
