"""A counterexample as lanes: a column for each M, and the word by its bits after each step."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from gorun_mem.explore.states.examine import TraceStep
from gorun_mem.explore.states.found import Verification
from gorun_mem.explore.states.model import Model
from gorun_mem.runtime.mutex.machine import states_of

_SAID = {"acquired": "has the lock", "waits": "has to wait", "released": "gave it back"}
NOTHING = "."
_GUTTER = 7
_SAID_LEAST = 14
"""Columns that what happened needs behind a step."""


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


def render(found: Verification, model: Model | None, columns: int | None = None) -> list[str]:
    """The lanes, line by line.

    Args:
        found: with a counterexample.
        model: what was verified; None for a lock made of coroutines.
        columns: that a line may have, None for any. Where the Ms do not fit beside each other, who
            made a step stands in front of it.
    """
    trace, ms = found.trace, found.bounds.ms
    cells = [[NOTHING] * ms for _ in trace]
    for row, step in zip(cells, trace, strict=True):
        row[step.place] = step.text
    heads = [f"M{place + 1}" for place in range(ms)]
    widths = [max([4, *[len(row[place]) for row in cells]]) for place in range(ms)]
    word_width = max([4, *map(len, found.words)])
    if columns is not None and _GUTTER + sum(widths) + 2 * ms + word_width > columns:
        heads, cells = ["who"], [[f"M{step.place + 1} {step.text}"] for step in trace]
        widths = [max(3, *(len(row[0]) for row in cells))]
    head = "  ".join(name.ljust(width) for name, width in zip(heads, widths, strict=True))
    lines = [f" step  {head}  {'word'.ljust(word_width)}".rstrip()]
    before: TraceStep | None = None
    for number, (row, step, word) in enumerate(zip(cells, trace, found.words, strict=True), 1):
        lanes = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        told = happened(step, before)
        lines += _behind(f"{number:5}  {lanes}  {word.ljust(word_width)}  ", told, columns)
        before = step
    if not trace or trace[-1].wrong != found.wrong:
        lines.append(f"       => {found.wrong}")
    return lines if model is None else lines + _legend(trace, model)


def _behind(line: str, told: str, columns: int | None) -> list[str]:
    """What a step brought about, behind it; below it where there is no room."""
    if columns is None or len(line) + len(told) <= columns:
        return [f"{line}{told}".rstrip()]
    room = columns - len(line)
    if room < _SAID_LEAST:
        below = " " * (_GUTTER + 2)
        return [line.rstrip(), *wrap(told, columns, initial_indent=below, subsequent_indent=below)]
    first, *rest = wrap(told, room)
    return [line + first, *(" " * len(line) + part for part in rest)]


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
