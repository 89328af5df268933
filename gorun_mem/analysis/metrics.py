"""The metrics of a run: their names, what they mean, and the expressions over them.

One flat object, names dotted: `final_pages`, `lock.memlock.wait_ns.p99`. Every figure comes from
the canonical events of the log, so a report of any log that has those says what the run said.
Percentiles are nearest-rank over all values counted, an acquisition that did not wait counting 0.
Only who waits (bypasses, queue, convoys) is told by lock.wait and lock.acquire; from a log without
these it is as of the releases, and may be less.

A wait or a hold that has not ended counts as long as it has lasted: then the times of that lock are
lower bounds, and `at_least` in the JSON beside `metrics` names them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from gorun_mem._near import no_such

Metric = int | float
Metrics = dict[str, Metric]

METRICS: Final[dict[str, str]] = {
    "final_pages": "pages of 64 KiB at the end; on Plan 9 what the break comes to",
    "peak_live_bytes": "most bytes handed out and not given back at a time",
    "bloc": "the break at the end, in bytes",
    "bloc_max": "end of what the break may reach without growing, in bytes",
    "grows": "growths asked for",
    "grows_refused": "growths refused",
    "hint_hits": "reservations that got the address they asked for",
    "hint_misses": "arena hints tried in vain and dropped",
    "calls": "calls of the OS layer that returned",
    "calls_failed": "those that did not give what was asked for",
    "search_steps": "free-list headers looked at",
    "cleared_bytes": "bytes set to zero",
    "free_bytes": "bytes on the free list at the end",
    "free_blocks": "blocks on the free list at the end",
    "free_largest": "bytes of the largest of them",
    "free_bytes_max": "most bytes on the free list after a call",
    "free_blocks_max": "most blocks on the free list after a call",
    "lock_wait_ns": "virtual ns waited for all runtime locks, of all Ms",
    "lock_wait_ns.p50": "percentile of one wait, over all acquisitions; also .p90, .p99, .max",
    "steps": "accesses that the engine let Ms make",
    "time_ns": "virtual time at the end",
    "ms": "Ms that the run was set to have",
}
"""Those without a lock's name."""

LOCK_METRICS: Final[dict[str, str]] = {
    "acquisitions": "times that an M got it; one that holds it still among them",
    "contended": "times that an M had to wait for it; those that wait still among them",
    "wait_ns": "virtual ns from asking to having, summed; .p50, .p90, .p99, .max of one",
    "hold_ns": "virtual ns from having to giving back, summed; .p50, .p90, .p99, .max of one",
    "blocked_ns": "virtual ns that other Ms waited while it was held, summed",
    "spins": "spin rounds",
    "sleeps": "times that an M slept for it",
    "bypasses_max": "most acquisitions by later comers that one M had to wait through",
    "queue_depth_max": "most Ms waiting at a time",
    "convoys": "queues that outlasted the hold that formed them: Ms came to wait after its end",
    "convoy_longest_ns": "virtual ns of the longest, until nobody waited",
    "convoy_longest_acquisitions": "acquisitions in it",
    "busy_periods": "times that the first M came to wait, convoys among them",
    "busy_longest_ns": "virtual ns of the longest, until nobody waited",
    "busy_longest_acquisitions": "acquisitions in it",
    "waiting": "Ms that wait at the end",
    "held": "1 where it is held at the end, or else 0",
    "fairness": "Jain's index over the Ms' acquisitions: 1 all alike, 1/n one had all; of no use "
    "where each M does as many rounds as the others",
    "fairness_waits": "Jain's index over what each M waited in all: 1/n one did all the waiting",
}
"""Behind `lock.NAME.`."""

RESULT: Final = "result."
"""Before the name of a number that the scenario found."""

PERCENTILES: Final = ("p50", "p90", "p99", "max")

_OPERATORS: Final[dict[str, Callable[[Metric, Metric], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_EXPRESSION: Final = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|==|!=|<|>)\s*(\S+(?: +[a-zA-Z]+)?)\s*")


class ExpressionError(ValueError):
    """An expression that cannot be read, or over a metric that is not there."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`NAME OP NUMBER`.

    Args:
        text: as it was given.
        name: of the metric.
        op: one of < <= > >= == !=.
        bound: the number.
    """

    text: str
    name: str
    op: str
    bound: Metric

    def holds(self, metrics: Mapping[str, Metric]) -> bool:
        """Whether it is true of `metrics`.

        Raises:
            ExpressionError: there is no such metric; the message has the nearest.
        """
        if self.name not in metrics:
            raise ExpressionError(unknown_metric(self.name, metrics))
        return _OPERATORS[self.op](metrics[self.name], self.bound)


def parse_expression(text: str) -> Expression:
    """The expression that `text` writes.

    Raises:
        ExpressionError: it is none.
    """
    match = _EXPRESSION.fullmatch(text)
    number = _number(match[3], match[1]) if match else None
    if match is None or number is None:
        raise ExpressionError(
            f"{text!r} is no expression: write NAME OP NUMBER, as in 'final_pages <= 700' or "
            f"'lock_wait_ns < 1ms'; OP is one of {' '.join(_OPERATORS)}"
        )
    return Expression(text.strip(), match[1], match[2], number)


def check_name(name: str) -> None:
    """Refuse what no run can have as a metric, whatever its locks and results are called.

    Raises:
        ExpressionError: `name` is none.
    """
    if name.startswith(RESULT):
        return
    known = [*METRICS, *(f"lock_wait_ns.{p}" for p in PERCENTILES)]
    if name.startswith("lock."):
        known = [f"lock.{lock_of(name)}.{suffix}" for suffix in lock_suffixes()]
    if name not in known:
        raise ExpressionError(no_such("metric", name, known, cutoff=0.5, lists=_LISTS))


def lock_suffixes() -> list[str]:
    """What can stand behind `lock.NAME.`."""
    times = [f"{what}.{p}" for what in ("wait_ns", "hold_ns") for p in PERCENTILES]
    return [*LOCK_METRICS, *times]


def lock_of(name: str) -> str:
    """The lock's name in a metric's, which may have dots of its own."""
    body = name.removeprefix("lock.")
    for suffix in sorted(lock_suffixes(), key=len, reverse=True):
        if body.endswith("." + suffix):
            return body.removesuffix("." + suffix)
    return body.partition(".")[0]


def unknown_metric(name: str, known: Iterable[str]) -> str:
    """What to say of a metric that is not there."""
    if not name.startswith(RESULT):
        return no_such("metric", name, known, cutoff=0.5, lists=_LISTS)
    results = [other for other in known if other.startswith(RESULT)]
    return no_such("metric", name, results, cutoff=0.5, there="the scenario's are")


_LISTS: Final = "gorun-mem run --metrics lists them"

_WITH_UNIT: Final = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?\d+)?)\s*([a-zA-Z]+)")
_NS_OF: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_BYTES_OF: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PAGE: Final = 1 << 16
_IN_PAGES: Final = "final_pages"
_IN_BYTES: Final = frozenset({"bloc", "bloc_max", "free_largest"})


def _with_unit(number: str, unit: str, name: str) -> Metric | None:
    """What a time or a size comes to in the unit of the metric `name`.

    Raises:
        ExpressionError: the metric is none of that kind.
    """
    try:
        value = Decimal(number)
    except InvalidOperation:
        return None
    stem = name.rpartition(".")[0] if name.rpartition(".")[2] in PERCENTILES else name
    is_result = name.startswith(RESULT)
    if unit in _NS_OF:
        fits, found = is_result or stem.endswith("_ns"), value * _NS_OF[unit]
    elif unit in _BYTES_OF:
        in_bytes = is_result or "bytes" in stem or stem in _IN_BYTES
        fits, found = in_bytes or stem == _IN_PAGES, value * _BYTES_OF[unit]
        if stem == _IN_PAGES:
            found /= _PAGE
    else:
        raise ExpressionError(
            f"no unit {unit!r}: times are in {', '.join(_NS_OF)}, sizes in {', '.join(_BYTES_OF)}"
        )
    if not fits:
        kind = "time" if unit in _NS_OF else "size"
        raise ExpressionError(f"{name} is no {kind}: write {number} without {unit!r}")
    return int(found) if found == found.to_integral_value() else float(found)


def _number(text: str, name: str) -> Metric | None:
    with_unit = _WITH_UNIT.fullmatch(text)
    if with_unit is not None:
        return _with_unit(with_unit[1], with_unit[2], name)
    for read in (lambda t: int(t, 0), float):
        try:
            value: Metric = read(text)
        except ValueError:
            continue
        return None if value != value else value
    return None
