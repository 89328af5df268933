"""Lessons: every kernel is one, fails as it says, and its twin does not."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from gorun_mem.cli.scenarios import command
from gorun_mem.explore.detectors import DEFAULT_DETECTORS
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.search import explore
from gorun_mem.explore.target import Target
from gorun_mem.machine.library import find, lessons
from gorun_mem.machine.scenario import ScenarioError
from tests import ROOT

README = ROOT / "README.md"


def test_every_kernel_is_a_lesson() -> None:
    """As many as there are kernels; each says what goes wrong, what to look for and its source."""
    assert len(lessons()) == len(KERNELS)
    for name in lessons():
        lesson = find(name)
        assert lesson.label == name
        assert "look for" in (lesson.__doc__ or "")
        assert set(lesson.options) == {"fixed"}


@pytest.mark.parametrize("name", lessons())
def test_a_lesson_fails_and_its_twin_does_not(name: str) -> None:
    """`explore lessons/NAME` fails within 2,000 schedules; with fixed=true it does not in 100."""
    lesson = find(name)
    bug = explore(Target.of(lesson), detectors=DEFAULT_DETECTORS, shrink=False, canary=False)
    assert bug.failure is not None
    assert bug.about["scenario"] == name
    assert Target.from_about(bug.about).about == bug.about
    twin = Target.of(lesson, options={"fixed": True})
    done = explore(twin, detectors=DEFAULT_DETECTORS, budget=100, canary=False)
    assert done.failure is None, done.failure


def test_the_lesson_of_the_readme() -> None:
    """`explore lessons/lost_wakeup` is in the README, finds its bug; the twin is exhausted."""
    assert "gorun-mem explore lessons/lost_wakeup --set fixed=true " in README.read_text()
    lesson = find("lessons/lost_wakeup")
    found = explore(Target.of(lesson), detectors=DEFAULT_DETECTORS)
    assert found.failure is not None
    assert found.failure.signature.kind == "deadlock"
    assert "--code" not in found.failure.command
    twin = Target.of(lesson, options={"fixed": True})
    assert explore(twin, detectors=DEFAULT_DETECTORS).verdict == "exhausted"


def test_the_list_and_one_of_it() -> None:
    """`scenarios --lessons` has a line each; a name that is none is refused with one like it."""
    listed = CliRunner().invoke(command, ["--lessons"], standalone_mode=False)
    assert len(listed.output.splitlines()) == len(KERNELS)
    assert "lessons/lost_wakeup" in listed.output
    shown = CliRunner().invoke(command, ["lessons/lost_wakeup"], standalone_mode=False)
    assert "look for the store of SLEEPING" in shown.output
    with pytest.raises(ScenarioError, match="did you mean lessons/lost_wakeup"):
        find("lessons/lost_wakup")
