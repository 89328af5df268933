"""A schedule of one of pytest's tests, followed by a verb while pytest has the test open."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gorun_mem.cli._common import BadInput

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.step.schedule import Schedule

Answer = tuple[int, dict[str, Any]]


def in_test(
    schedule: Schedule,
    reference: str,
    allowed: Sequence[str],
    follow: Callable[[Schedule, Target], Answer],
) -> Answer | None:
    """What follows a schedule, called in its test; None where it is of no test.

    Args:
        schedule: which.
        reference: its file or token, as it was said.
        allowed: code that may run.
        follow: given the schedule and the test as its program.

    Raises:
        BadInput: the test may not run, or pytest does not come to it.
    """
    test = schedule.about.get("test")
    if not isinstance(test, str):
        return None
    if test not in allowed:
        shown = reference if len(reference) < 60 else "TOKEN"
        raise BadInput(
            f"the schedule is of a test, {test!r:.200}: if you trust it, say gorun-mem "
            f"replay-schedule {shown} --code {shlex.quote(test)}, in the folder that pytest runs "
            f"in, or pytest {shlex.quote(test)} --explore-token TOKEN"
        )
    try:
        from gorun_mem.web.of_tests import TARGETS, within

        return _answer(test, within, lambda: follow(schedule, TARGETS[test]))
    except ImportError as error:
        raise BadInput(f"a test needs {error.name}: pip install 'gorun-mem[test]'") from None


def _answer(
    test: str, within: Callable[[str, Callable[[], None]], None], work: Callable[[], Answer]
) -> Answer:
    """What `work` answers in the test; what goes wrong with it is not the test's failure."""
    answers: list[Answer] = []
    wrong: list[BaseException] = []
    out = sys.stdout

    def serve() -> None:
        with contextlib.redirect_stdout(out):
            try:
                answers.append(work())
            except BaseException as error:
                wrong.append(error)

    with contextlib.redirect_stdout(io.StringIO()) as said:
        within(test, serve)
    if wrong:
        raise wrong[0]
    if not answers:
        told = " ".join(said.getvalue().split())[-300:]
        raise BadInput(f"pytest does not come to {test!r:.200}: {told}")
    return answers[0]
