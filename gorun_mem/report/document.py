"""A run as one JSON document: what `run --json` and `report --json` print."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET

from gorun_mem.analysis.summary import Summary
from gorun_mem.events.types import LogEvent, RunEnd, RunStart

_NOT_CONFIG: Final = frozenset(
    {
        *LogEvent.__struct_fields__,
        "schema",
        "run_id",
        "scenario",
        "scenario_sha256",
        "options",
        "log_level",
    }
)


def document(summary: Summary) -> dict[str, Any]:
    """Outcome, error, settings, results and metrics; `outcome` is null where the log has no end."""
    start, end = summary.start, summary.end
    return {
        "outcome": end.outcome if end is not None else None,
        "error": _error(end),
        "scenario": start.scenario if start is not None else None,
        "options": start.options if start is not None else {},
        "config": _config(start),
        "results": summary.results,
        "window": summary.window._asdict() if summary.window is not None else None,
        "run_id": start.run_id if start is not None else None,
        "token": _or_none(end.token) if end is not None else None,
        "uncontrolled": _uncontrolled(end),
        "exact": summary.is_exact,
        "metrics": summary.metrics(),
        "at_least": summary.at_least(),
        "slowest_waits": [
            {name: getattr(wait, name) for name in wait.__dataclass_fields__}
            for wait in summary.slowest
        ],
        "error_events": [msgspec.to_builtins(event) for event in summary.errors],
    }


def _error(end: RunEnd | None) -> dict[str, Any] | None:
    """What ended a run that did not end well."""
    if end is None or end.outcome == "ok":
        return None
    return {
        "type": _or_none(end.error_type) or end.outcome,
        "text": _or_none(end.error) or "",
        "m": _or_none(end.failed_m) or 0,
        "stuck": list(_or_none(end.stuck) or ()),
    }


def _config(start: RunStart | None) -> dict[str, Any]:
    """The settings that the run had."""
    if start is None:
        return {}
    fields = {name: getattr(start, name) for name in start.__struct_fields__}
    return {
        name: value
        for name, value in fields.items()
        if name not in _NOT_CONFIG and value is not UNSET
    }


def _uncontrolled(end: RunEnd | None) -> list[str]:
    if end is None or not end.uncontrolled:
        return []
    return list(_or_none(end.uncontrolled_at) or ("somewhere",))


def _or_none(value: Any) -> Any:
    return None if value is UNSET else value
