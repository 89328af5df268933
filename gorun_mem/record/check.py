"""A recording checks itself: it is replayed, and its own release is predicted from it.

What does not replay exactly is not used for prediction; and a prediction of the release that was
recorded must give the pages that were recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gorun_mem.replay.os_level import FileResult, Level, replay_file
from gorun_mem.replay.recording import RecordingError

if TYPE_CHECKING:
    from gorun_mem.record.events import Events


def self_check(path: Path, level: str, missing: list[str], events: Events) -> dict[str, Any]:
    """Replay a recording at each level that it has, and predict its own release.

    Args:
        path: the recording.
        level: what was recorded.
        missing: Go functions that should have been watched.
        events: how it was made.

    Returns:
        What the header carries as `self_check`; "fit" says whether it may be predicted from.
    """
    check: dict[str, Any] = {"missing": missing, "lost": events.lost, "pages": events.pages}
    fit = not missing
    levels = [Level.OS] if level == "os" else [Level.OS, Level.HEAP]
    for replayed in levels:
        result = replay_file(path, replayed)
        check[replayed.value] = _outcome(result)
        fit = fit and result.exit_code == 0
    if level == "span":
        from gorun_mem.predict.span import predict_own

        try:
            check["predicted"] = predict_own(path)
        except RecordingError as error:
            check["predicted"] = str(error)
        fit = fit and check["predicted"] == events.pages
    check["fit"] = fit and level == "span"
    return check


def _outcome(result: FileResult) -> dict[str, Any]:
    found: dict[str, Any] = {"calls": result.calls, "differences": result.differences}
    if result.first is not None:
        first = result.first
        found["first"] = f"{first.call}: {first.field} {first.go} in Go, {first.ours} here"
    if result.problem:
        found["problem"] = result.problem
    return found
