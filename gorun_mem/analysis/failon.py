"""What `diff --fail-on` asks of two runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gorun_mem.analysis.exact import share
from gorun_mem.analysis.metrics import (
    Expression,
    ExpressionError,
    Metric,
    check_name,
    parse_expression,
)
from gorun_mem.analysis.whole import LogAnalysis


@dataclass(frozen=True, slots=True)
class ChangeExpression:
    """`NAME OP +N%`: how much the second run's metric is above the first's.

    Args:
        text: as it was given.
        name: of the metric.
        op: one of < <= > >= == !=.
        percent: the bound.
    """

    text: str
    name: str
    op: str
    percent: float

    def holds(self, a: Mapping[str, Metric], b: Mapping[str, Metric]) -> bool:
        """Whether it is true of the metrics of two runs.

        Raises:
            ExpressionError: one of them does not have the metric.
        """
        before = _metric(self.name, a)
        after = _metric(self.name, b)
        if before:
            change = 100 * share(after - before, abs(before))
        else:
            change = 0.0 if not after else float("inf") if after > 0 else float("-inf")
        return Expression(self.text, self.name, self.op, self.percent).holds({self.name: change})


_CHANGE: Final = re.compile(
    r"\s*([^<>=!]+?)\s*(<=|>=|==|!=|<|>)\s*([+-]?[0-9.]+(?:e[+-]?\d+)?)\s*%\s*"
)


def parse_fail_on(text: str) -> Expression | ChangeExpression:
    """What `--fail-on` takes: `NAME OP NUMBER`, of the second run, or `NAME OP +N%`.

    Raises:
        ExpressionError: it is neither, or no run has such a metric.
    """
    match = _CHANGE.fullmatch(text)
    if match is None:
        found = parse_expression(text)
        check_name(found.name)
        return found
    try:
        percent = float(match[3])
    except ValueError:
        raise ExpressionError(
            f"{text!r} is no expression: {match[3]!r} is no number; write it as in "
            "'final_pages>+5%'"
        ) from None
    check_name(match[1])
    return ChangeExpression(text.strip(), match[1], match[2], percent)


def holds(expression: Expression | ChangeExpression, a: LogAnalysis, b: LogAnalysis) -> bool:
    """Whether an expression of `--fail-on` is true.

    Raises:
        ExpressionError: a log does not have the metric.
    """
    if isinstance(expression, ChangeExpression):
        return expression.holds(a.metrics, b.metrics)
    _metric(expression.name, b.metrics)
    return expression.holds(b.metrics)


def _metric(name: str, metrics: Mapping[str, Metric]) -> Metric:
    if name not in metrics:
        from gorun_mem.analysis.metrics import unknown_metric

        raise ExpressionError(unknown_metric(name, metrics))
    return metrics[name]
