"""The one list of detectors: the files of their folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import gorun_mem.explore.detectors as package
from gorun_mem.explore.detectors import DEFAULT_DETECTORS, DETECTORS

HELPING = {"load", "watch"}
"""Files of the folder that have no detector."""


def test_every_file_has_a_detector_or_is_known_to_help() -> None:
    """A file whose detector is called otherwise has one that nobody can ask for."""
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert files - HELPING == set(DETECTORS)
    assert all(made().name == name for name, made in DETECTORS.items())


def test_what_ends_a_program_is_asked_first() -> None:
    """The usual ones stand in the order that their classes say; some are not usual."""
    names = [made().name for made in DEFAULT_DETECTORS]
    assert names[:2] == ["memory_safety", "mem_check"]
    assert {"bypasses", "leaked_memory"} <= set(DETECTORS) - set(names)
    places = [made.usual for made in DEFAULT_DETECTORS]  # type: ignore[attr-defined]
    assert places == sorted(set(places))


def test_a_detector_that_is_not_complete_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid into the folder, a file is found by its name, and refused where it lacks a method."""
    body = "    name = 'switches'\n\n    def end(self, world):\n        return ()\n"
    (tmp_path / "switches.py").write_text(f"class Switches:\n{body}")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(DETECTORS, "_found", {})
    try:
        with pytest.raises(TypeError, match="detector switches: Switches has no begin and no step"):
            DETECTORS["switches"]
    finally:
        sys.modules.pop(f"{package.__name__}.switches", None)
