"""Steps as lanes: a column for each M, a line for each step, within a number of lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import pairwise
from typing import Final

from gorun_mem.explore.account import LaneStep
from gorun_mem.explore.words import count

COLUMNS: Final = 100
screen: Final = ContextVar("screen", default=COLUMNS)
"""Columns of the screen that is being written."""
LANES_MAX: Final = 6
"""Ms that the diagram has room for."""
PLAIN_MAX: Final = 45
"""Of a run of so many steps those between switches are shown too, where there is room."""
_GUTTER: Final = 7


def lanes(steps: Sequence[LaneStep], names: Mapping[int, str], room: int) -> list[str]:
    """The diagram: a line of names, then a line for each step shown; at most `room` lines.

    Args:
        steps: of a run.
        names: of the Ms by id.
        room: lines.
    """
    if not steps or room < 3:
        return []
    files = {step.place.rpartition(":")[0] for step in steps if step.place}
    shown = _shown(steps, max(room - (2 if files else 1), 2))
    ms = _lanes_of(steps, shown)
    width = (screen.get() - _GUTTER) // max(len(ms), 1)
    titles = [fit(f"M{m} {names.get(m, '')}".rstrip(), width) for m in ms]
    lines = [f"{'step':>{_GUTTER - 2}}  {''.join(titles)}".rstrip()]
    one_file = len(files) == 1 and room > 3  # then the numbers of its lines will do
    if one_file:
        lines.insert(0, f"{'':>{_GUTTER}}(behind each step: its line in {files.pop()})")
    before = -1
    for index in shown:
        left_out = index - before - 1
        if left_out:
            lines.append(f"{':':>{_GUTTER - 2}}  ({count(left_out, 'step')})")
        place = steps[index].place
        if one_file and place:
            place = f":{place.rpartition(':')[2]}"
        lines.append(_lane_line(steps, index, ms, width, place))
        before = index
    return lines


def beside(
    steps: Sequence[LaneStep], others: Sequence[LaneStep], first: int, room: int
) -> list[str]:
    """Two runs beside each other from the step at which they part.

    Args:
        steps: of the one that fails.
        others: of the one that passes.
        first: number of the step at which they part, from 1.
        room: lines of steps.
    """
    width = (screen.get() - 2) // 2
    lines = [f"  {fit(' step  it fails', width)}| step  it passes"]
    for at in range(first - 1, min(max(len(steps), len(others)), first - 1 + room)):
        left, right = (_beside_line(run, at, width) for run in (steps, others))
        lines.append(f"  {fit(left, width)}|{right}".rstrip())
    return lines


def _beside_line(steps: Sequence[LaneStep], at: int, width: int) -> str:
    if at >= len(steps):
        return ""
    step = steps[at]
    room = width - _GUTTER - 1
    text = f"M{step.m} {_shortened(step, room - 4)}"
    return f"{at + 1:>{_GUTTER - 2}}{'>' if step.preempts else ' '} {text}"


def _lane_line(
    steps: Sequence[LaneStep], index: int, ms: Sequence[int], width: int, place: str
) -> str:
    step = steps[index]
    mark = ">" if step.preempts else " "
    if step.m not in ms:
        return f"{index + 1:>{_GUTTER - 2}}{mark} (M{step.m} {step.text})"[: screen.get()]
    cells = []
    for m in ms:
        line = "|" if _lives(steps, m, index) else ""
        cells.append(fit(_placed(step, place, width), width) if m == step.m else line.ljust(width))
    return f"{index + 1:>{_GUTTER - 2}}{mark} {''.join(cells)}".rstrip()


def _placed(step: LaneStep, place: str, width: int) -> str:
    """A step with its value and the program's line; a long name makes room for these."""
    text = _shortened(step, max(width - len(place) - 2, 8) if place else width - 1)
    return f"{text} {place}" if place else text


def _shortened(step: LaneStep, room: int) -> str:
    """A step and its value in so many columns, if the value leaves room for the name."""
    kind = step.kind.removeprefix("atomic.")
    shorter = f"{kind} {step.obj} {step.value}".rstrip()
    for text in (step.text, shorter, f"{step.kind} {step.obj}"):
        if len(text) <= room:
            return text
    return f"{step.kind} {step.obj}"[: room - 3] + "..."


def _lives(steps: Sequence[LaneStep], m: int, index: int) -> bool:
    """Whether `m` has begun before step `index` and makes another after it."""
    return any(s.m == m for s in steps[:index]) and any(s.m == m for s in steps[index:])


def _lanes_of(steps: Sequence[LaneStep], shown: Sequence[int]) -> list[int]:
    """The Ms that get a column: of those shown the ones that act latest."""
    latest: dict[int, int] = {}
    for index in shown:
        latest[steps[index].m] = index
    chosen = sorted(latest, key=lambda m: -latest[m])[:LANES_MAX]
    return sorted(chosen)


def _shown(steps: Sequence[LaneStep], room: int) -> list[int]:
    """Indices of the steps to show, so that with the lines for what is left out they fit `room`."""
    chosen: set[int] = set()
    for index in _by_weight(steps):
        more = chosen | {index}
        if _lines_of(more) <= room:
            chosen = more
        elif len(chosen) >= room:
            break
    return sorted(chosen)


def _by_weight(steps: Sequence[LaneStep]) -> Iterator[int]:
    """Every step around a switch, the weightiest first; in a short run all others after them."""
    last = len(steps) - 1
    yield last
    switches = [i for i, (a, b) in enumerate(pairwise(steps), 1) if a.m != b.m]
    forced = [i for i in switches if steps[i].preempts]
    for index in (*reversed(forced), *reversed(switches)):
        yield index
        yield index - 1
    if last:
        yield last - 1
    yield 0
    for index in (*reversed(forced), *reversed(switches)):
        if index < last:
            yield index + 1
        if index > 1:
            yield index - 2
    if last < PLAIN_MAX:
        yield from range(last, -1, -1)


def _lines_of(chosen: set[int]) -> int:
    """Lines that these steps take: one each, and one for each gap before one."""
    return len(chosen) + sum(1 for index in chosen if index and index - 1 not in chosen)


def fit(text: str, width: int) -> str:
    """`text` in a column of `width`, with a space behind it."""
    return text.ljust(width) if len(text) < width else f"{text[: width - 4]}... "
