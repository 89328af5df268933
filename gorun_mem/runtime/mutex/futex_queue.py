"""Sleeping on a word: futexsleep and futexwakeup of os_linux.go.

The kernel keeps who sleeps on which word, first come first woken. A sleep looks at the word and
sleeps only if it still holds the expected value, in one step. It may end for no reason; with
`spurious` on, each sleep asks the scheduler whether it does. Ending at once is as good as ending
later: an M that was woken is just not stepped for a while.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.op import MLike


@mypyc_attr(allow_interpreted_subclasses=True)
class FutexQueue:
    """The sleepers of one word."""

    __slots__ = ("sleepers", "spurious")

    def __init__(self) -> None:
        self.sleepers: list[MLike] = []
        """Who sleeps, in the order they will be woken."""
        self.spurious = False

    def sleep(self, m: MLike, value: int, expected: int) -> bool:
        """Put `m` to sleep if the word, which is `value`, is as expected.

        Returns:
            Whether it sleeps: then the step returns PARKED.
        """
        if value != expected:
            return False
        if self.spurious and m.sched.choice(m, 2, "futex.spurious"):
            return False
        self.sleepers.append(m)
        return True

    def wakeup(self, by: MLike, count: int) -> list[MLike]:
        """Wake up to `count` sleepers; returns whom."""
        woken = self.sleepers[:count]
        del self.sleepers[:count]
        for m in woken:
            by.sched.unpark(m)
        return woken

    def leave(self, m: MLike) -> bool:
        """Take `m`, whose time is up, off the sleepers; returns whether it was among them."""
        if m in self.sleepers:
            self.sleepers.remove(m)
            return True
        return False
