"""Tests of pytest's in the scheduler's chair: their programs, while pytest has their fixtures open.

The process that computes what the page asks collects the test and comes to its body as pytest would
do; there, instead of a search, requests are answered. So the test is code of whoever opened the
page on it, and only that one test is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target

TARGETS: Final[dict[str, Target]] = {}
"""The tests that are open, by what pytest calls them."""
CODE: Final[list[str]] = []
"""Code beside the library's that schedules may run here, as they name it."""
NAME: Final = "gorun-mem-chair"
"""Of the plugin by which the mark explore knows that it is not to search."""


def is_test(code: str) -> bool:
    """Whether code that a schedule names is a test of pytest's."""
    return "::" in code


class Sitting:
    """A plugin of pytest's: takes the program of a test, and serves while the test is open.

    Args:
        serve: answers requests until there are no more.
    """

    def __init__(self, serve: Callable[[], None]) -> None:
        self._serve = serve

    def sit(self, test: str, target: Target) -> None:
        """The test has come to its body."""
        TARGETS[test] = target
        try:
            self._serve()
        finally:
            del TARGETS[test]


def within(test: str, serve: Callable[[], None]) -> None:
    """Serve while pytest has the test open; return at once where there is no such test.

    Args:
        test: what pytest calls it, such as "tests/test_a.py::test_b".
        serve: answers requests until there are no more.
    """
    import pytest

    sitting = Sitting(serve)

    class Joining:
        def pytest_configure(self, config: pytest.Config) -> None:
            config.pluginmanager.register(sitting, NAME)

    pytest.main([test, "-q", "-s", "-p", "no:cacheprovider"], plugins=[Joining()])
