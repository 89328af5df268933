"""A history that no order explains, drawn: who was in which operation when, and what was tried.

history of queue: no order of the last operations gives what they gave
  before, 2 operations:
    M1 put(1) -> None  |---|                           steps 2 to 4
    M1 get() -> 1              |---|                   steps 5 to 8
  after which items=[]
    M1 put(2) -> None                  |-------|       steps 9 to 15
    M2 get() -> 1                          |-------|   steps 10 to 16
  tried, 2 orders:
    M1 put(2); then M2 get() gives 2
    at once M2 get() gives None
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gorun_mem.explore.history import Called, Linearizer, Tried, furthest, in_words

OPERATIONS_MAX: Final = 10
"""Operations that are drawn, the latest."""
TRIED_MAX: Final = 3
BASES_MAX: Final = 3
WIDTH: Final = 28
"""Columns for the intervals, where there are not more events."""


def timeline(name: str, found: Linearizer) -> tuple[str, ...]:
    """The lines that explain why a history is no sequential one.

    Args:
        name: of the object.
        found: its history up to the return that nothing explains.
    """
    window = found.window
    lines = [f"history of {name}: no order of the last operations gives what they gave"]
    drawn = _drawn(found.earlier, window)
    models = [in_words(found.models.model(state)) for state in found.base[:BASES_MAX]]
    if len(found.base) > BASES_MAX:
        models.append("...")
    if found.before:
        last = ", the last of them" if found.before > len(found.earlier) else ""
        lines.append(f"  before, {_count(found.before)}{last}:")
        lines += [f"    {line}" for line in drawn[: len(found.earlier)]]
    lines.append(f"  {'after which' if found.before else 'at first'} {' or '.join(models)}")
    lines += [f"    {line}" for line in drawn[len(found.earlier) :]]
    answer = furthest(found.models, found.base, window)
    if answer is not None and answer[0]:
        tried, count = answer
        orders = "1 order" if count == 1 else f"{count:,} orders"
        rest = "" if count == len(tried) <= TRIED_MAX else "; of those that explain most"
        lines.append(f"  tried, {orders}{rest}:")
        lines += [f"    {_in_order(one)}" for one in tried[:TRIED_MAX]]
    return tuple(lines)


def _count(operations: int) -> str:
    return "1 operation" if operations == 1 else f"{operations:,} operations"


def _drawn(earlier: Sequence[Called], window: Sequence[Called]) -> list[str]:
    """A line for each of `earlier`, then those of the window, on one scale."""
    shown = [*earlier, *window[-OPERATIONS_MAX:]]
    last = max(max(called.order) for called in shown)
    first = min(called.order[0] for called in shown)
    each = max(1, min(4, WIDTH // max(1, last - first)))
    texts = [_named(called) for called in shown]
    room = max(map(len, texts))
    lines = []
    for called, text in zip(shown, texts, strict=True):
        start = (called.order[0] - first) * each
        if called.gave is None:
            bar = "|" + "-" * ((last - first) * each - start)
            when = f"from step {called.call_at} on"
        else:
            end = (called.order[1] - first) * each
            bar = "|" + "-" * max(0, end - start - 1) + "|"
            when = f"steps {called.call_at} to {called.return_at}"
        drawn = (" " * start + bar).ljust((last - first) * each + 1)
        lines.append(f"{text.ljust(room)}  {drawn}  {when}")
    left_out = len(window) - OPERATIONS_MAX
    if left_out > 0:
        lines.insert(len(earlier), f"({_count(left_out)} that overlap with these)")
    return lines


def _named(called: Called) -> str:
    gave = "" if called.gave is None else f" {called.gave}"
    return f"M{called.m} {called}{gave}"


def _in_order(tried: Tried) -> str:
    """An order, and what the model says of whoever could have been next."""
    order = [f"M{called.m} {called}" for called, _ in tried.order]
    wrong = [
        f"M{called.m} {called} {'would wait' if gave is None else f'gives {str(gave)[3:]}'}"
        if gave is None or not gave.raised
        else f"M{called.m} {called} {gave}"
        for called, gave in tried.then
    ]
    then = f"{'then' if order else 'at once'} {' and '.join(wrong) or 'nothing can be next'}"
    return "; ".join([*order, then])
