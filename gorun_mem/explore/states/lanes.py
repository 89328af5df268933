"""A counterexample as lanes: a column for each M, and the word by its bits after each step."""

from __future__ import annotations

from collections.abc import Sequence

from gorun_mem.explore.states.examine import TraceStep
from gorun_mem.explore.states.model import Model
from gorun_mem.explore.states.verification import Verification
from gorun_mem.runtime.mutex.machine import states_of

_SAID = {"acquired": "has the lock", "waits": "has to wait", "released": "gave it back"}
NOTHING = "."


def happened(step: TraceStep, before: TraceStep | None) -> str:
    """What a step brought about, in words."""
    name = f"M{step.place + 1}"
    said = [f"{name} draws {', '.join(map(str, step.branch[1:]))}"] if step.branch[1:] else []
    said += [f"{name} {_SAID.get(told, told)}" for told in step.told]
    if step.common is not None:
        for place, m in enumerate(step.common.ms):
            was = (
                before is not None and before.common is not None and before.common.ms[place].parked
            )
            if m.parked and not was:
                said.append(f"M{place + 1} sleeps")
            elif was and not m.parked:
                said.append(f"M{place + 1} can go on")
    if step.wrong:
        said.append(f"=> {step.wrong}")
    return ", ".join(said)


def render(found: Verification, model: Model | None) -> list[str]:
    """The lanes, line by line.

    Args:
        found: with a counterexample.
        model: what was verified; None for a lock made of coroutines.
    """
    trace, ms = found.trace, found.bounds.ms
    cells = [[NOTHING] * ms for _ in trace]
    for row, step in zip(cells, trace, strict=True):
        row[step.place] = step.text
    widths = [max([4, *[len(row[place]) for row in cells]]) for place in range(ms)]
    word_width = max([4, *map(len, found.words)])
    head = "  ".join(f"M{place + 1}".ljust(width) for place, width in enumerate(widths))
    lines = [f" step  {head}  {'word'.ljust(word_width)}".rstrip()]
    before: TraceStep | None = None
    for number, (row, step, word) in enumerate(zip(cells, trace, found.words, strict=True), 1):
        lanes = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        told = happened(step, before)
        lines.append(f"{number:5}  {lanes}  {word.ljust(word_width)}  {told}".rstrip())
        before = step
    if not trace or trace[-1].wrong != found.wrong:
        lines.append(f"       => {found.wrong}")
    return lines if model is None else lines + _legend(trace, model)


def _legend(trace: Sequence[TraceStep], model: Model) -> list[str]:
    """What the steps do, from the lock's own docstrings, where they are at hand."""
    lines: list[str] = []
    seen = dict.fromkeys(step.text for step in trace)
    for text in seen:
        call, _, pc = text.partition(": ")
        if not pc:
            continue
        method = states_of(type(model.op(call))).get(pc)
        doc = (getattr(method[1], "__doc__", None) or "").strip() if method else ""
        if method and doc:
            lines.append(f"  {text:24} {method[2]}: {doc.splitlines()[0]}")
    return ["", "what the steps are", *lines] if lines else []
