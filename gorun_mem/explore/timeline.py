"""A history that no order explains, drawn: who was in which operation when, and what was tried.

history of queue: no order of these operations gives what they gave
  before them, 2 operations: items=[1]
    M1 put(2) -> None      |---------|           steps 9 to 15
    M2 get() -> 1             |---|              steps 10 to 12
    M3 get() -> 1                    |------     from step 17 on
  tried, 6 orders; these explain most:
    M2 get() -> 1, M1 put(2) -> None, then M3 get() gives 2
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
    lines = [f"history of {name}: no order of these operations gives what they gave"]
    models = [in_words(found.models.model(state)) for state in found.base[:BASES_MAX]]
    if len(found.base) > BASES_MAX:
        models.append("...")
    before = f"before them, {_count(found.before)}" if found.before else "at first"
    lines.append(f"  {before}: {' or '.join(models)}")
    lines += [f"    {line}" for line in _drawn(window)]
    answer = furthest(found.models, found.base, window)
    if answer is not None:
        tried, count = answer
        orders = "1 order" if count == 1 else f"{count:,} orders"
        rest = "" if count == len(tried) <= TRIED_MAX else "; of those that explain most"
        lines.append(f"  tried, {orders}{rest}:")
        lines += [f"    {_in_order(one)}" for one in tried[:TRIED_MAX]]
    return tuple(lines)


def _count(operations: int) -> str:
    return "1 operation" if operations == 1 else f"{operations:,} operations"


def _drawn(window: Sequence[Called]) -> list[str]:
    shown = window[-OPERATIONS_MAX:]
    last = max(max(called.order) for called in window)
    first = min(called.order[0] for called in shown)
    each = max(1, min(4, WIDTH // max(1, last - first)))
    texts = [_named(called) for called in shown]
    room = max(map(len, texts))
    lines = []
    if len(window) > len(shown):
        lines.append(f"({_count(len(window) - len(shown))} that overlap with these)")
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
    then = f"then {' and '.join(wrong)}" if wrong else "then nothing can be next"
    return "; ".join([*order, then])
