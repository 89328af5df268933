"""What goes wrong with a log, as one error for people."""

from __future__ import annotations

import os


class LogError(Exception):
    """A log cannot be written, read or found.

    Args:
        doing: what was attempted, such as "write log".
        path: the file or folder.
        cause: why not, in words.
        advice: the next step, if there is one.

    Attributes:
        lost: events that were to be written and are not, so far.
    """

    def __init__(
        self, doing: str, path: str | os.PathLike[str], cause: str, advice: str = ""
    ) -> None:
        super().__init__(doing, path, cause, advice)
        self.doing = doing
        self.path = os.fspath(path)
        self.cause = cause
        self.advice = advice
        self.lost = 0

    @classmethod
    def of(
        cls, doing: str, path: str | os.PathLike[str], error: OSError, advice: str = ""
    ) -> LogError:
        """The same for what the operating system said."""
        return cls(doing, path, error.strerror or type(error).__name__, advice)

    def __str__(self) -> str:
        text = f"cannot {self.doing} {self.path}: {self.cause}"
        if self.lost:
            text += f"; up to {self.lost:,} event{'s are' if self.lost > 1 else ' is'} lost"
        return f"{text}; {self.advice}" if self.advice else text
