"""What a verification has found, in words, as JSON and as a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gorun_mem._notebook import facts, table
from gorun_mem.explore.states.bounds import Bounds
from gorun_mem.explore.states.examine import TraceStep
from gorun_mem.explore.states.live import NO_BOUND
from gorun_mem.explore.states.parts import LATE_MAX
from gorun_mem.step.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification has found.

    Args:
        bounds: in what world.
        verdict: "holds", "failed" or "inconclusive".
        wrong: what is wrong; "" where nothing is.
        states: how many states, each standing for all that it is the same as.
        steps: steps between them.
        seconds: of real time.
        trace: a shortest way to what is wrong.
        symmetric: states that differ in the Ms' numbers alone were taken for one.
        words: for each step of the trace, the words after it, for people.
        bypasses: with `live`, how often others may get the lock while one waits; -1: no bound.
        unreached: states of the operations that are never come to, as "lock: sleep".
        full: a store buffer was to hold more than LATE_MAX stores.
    """

    bounds: Bounds
    verdict: str
    wrong: str
    states: int
    steps: int
    seconds: float
    trace: tuple[TraceStep, ...] = ()
    symmetric: bool = True
    words: tuple[str, ...] = ()
    bypasses: int | None = None
    unreached: tuple[str, ...] = ()
    full: bool = False

    @property
    def ok(self) -> bool:
        """Nothing is wrong, and every state was seen."""
        return self.verdict == "holds"

    @property
    def exit_code(self) -> int:
        """0 holds, 1 failed, 5 inconclusive."""
        return {"holds": 0, "failed": 1}.get(self.verdict, 5)

    @property
    def sentence(self) -> str:
        """The verdict with its bounds."""
        where = f"{self.bounds.subject} ({self.bounds.in_words()})"
        if self.verdict == "failed":
            return f"failed: {where}: {self.wrong}"
        same = " up to the numbers of the Ms" if self.symmetric and self.bounds.ms > 1 else ""
        if self.verdict == "inconclusive" and self.full:
            return (
                f"inconclusive: {where}: nothing wrong in its {self.states:,} states{same} with at "
                f"most {LATE_MAX} stores in an M's store buffer, and there are others with more"
            )
        if self.verdict == "inconclusive":
            return (
                f"inconclusive: {where}: {self.wrong or 'nothing wrong'} in the first "
                f"{self.states:,} states{same}, and there are more"
            )
        if self.bypasses is None:
            return f"holds: {where}: nothing wrong in any of its {self.states:,} states{same}"
        return (
            f"holds: {where}: every M that waits gets the lock under fair scheduling, at most "
            f"{self.bypasses} others before it, in any of its {self.states:,} states"
        )

    @property
    def token(self) -> str:
        """The counterexample for `replay-schedule`; "" where there is none."""
        return schedule_of(self).token() if self.trace else ""

    def _repr_html_(self) -> str:
        """A notebook's view: the verdict, and the counterexample step by step."""
        told = facts(
            f"verify {self.bounds.subject}",
            [
                ("verdict", self.sentence),
                ("states", self.states),
                ("steps", self.steps),
                ("seconds", self.seconds),
            ],
        )
        words = [*self.words, *[""] * len(self.trace)]
        rows = [
            (number, f"M{step.place + 1}", step.text, word)
            for number, (step, word) in enumerate(zip(self.trace, words, strict=False), 1)
        ]
        head = ("step", "M", "access", "words after it")
        return told + (table("counterexample", head, rows) if rows else "")

    def document(self) -> dict[str, Any]:
        """As JSON."""
        bounds = {name: getattr(self.bounds, name) for name in Bounds.__dataclass_fields__}
        return {
            "verify": self.bounds.subject,
            **{name: value for name, value in bounds.items() if name != "subject"},
            "verdict": self.verdict,
            "sentence": self.sentence,
            "wrong": self.wrong,
            "states": self.states,
            "transitions": self.steps,
            "symmetric": self.symmetric,
            "bypasses_max": None if self.bypasses == NO_BOUND else self.bypasses,
            "bypasses_bounded": None if self.bypasses is None else self.bypasses != NO_BOUND,
            "unreached": list(self.unreached),
            "seconds": round(self.seconds, 3),
            "trace": [
                {
                    "step": number, "m": step.place + 1, "access": step.text, "word": word,
                    "told": list(step.told),
                }
                for number, (step, word) in enumerate(
                    zip(self.trace, self.words, strict=True), 1
                )
            ],
            "token": self.token,
        }  # fmt: skip


def schedule_of(found: Verification) -> Schedule:
    """The counterexample as a schedule.

    For each step the tape has the M's number, how many numbers say which step it made, and these,
    each two higher; its name is the access.
    """
    tape: list[int] = []
    for step in found.trace:
        tape += [step.place + 1, len(step.branch), *[number + 2 for number in step.branch]]
    bounds = found.bounds
    about = {
        name: getattr(bounds, name)
        for name, one in Bounds.__dataclass_fields__.items()
        if name in ("subject", "release") or getattr(bounds, name) != one.default
    }
    names = tuple([step.text for step in found.trace])
    return Schedule(tuple(tape), names, {"verify": about, "wrong": found.wrong})
