"""How the emulated runtime ends badly.

Go ends a program at this layer in three ways: `throw` prints a constant text and dies, a stray
access takes a hardware fault, and a corrupt list is walked for ever. Each is an exception here, and
so is a fourth that Go does not have: the refusal of a call that no correct program makes.
"""

from __future__ import annotations


class EmulatedFailure(Exception):
    """What stops an emulated program; every subclass is raised by `gorun_mem.runtime` only."""

    error_type = "failure"


class Throw(EmulatedFailure):
    """Go's `throw`.

    Args:
        message: Go's constant text, such as "mem: unordered list".
        printed: the lines that Go prints before it throws, without the newline.
        context: the values behind the message, by name, for the log.
    """

    error_type = "throw"

    def __init__(self, message: str, *printed: str, **context: int | str) -> None:
        super().__init__(message)
        self.message = message
        self.printed = printed
        self.context = context

    def __str__(self) -> str:
        return f"throw {self.message}"


class Fault(EmulatedFailure):
    """A read, write or clear outside the memory, or through a nil pointer.

    Args:
        address: the first byte that could not be reached; 0 for a nil pointer.
        detail: what was attempted and where the memory ends.
    """

    error_type = "fault"

    def __init__(self, address: int, detail: str = "") -> None:
        super().__init__(address, detail)
        self.address = address
        self.detail = detail

    def __str__(self) -> str:
        return f"fault {self.address}"


class Hang(EmulatedFailure):
    """A list walk came back to a header it had passed: real Go would loop for ever.

    Args:
        function: the function whose loop it is, by Go's name.
        address: the header that came up twice.
    """

    error_type = "hang"

    def __init__(self, function: str, address: int) -> None:
        super().__init__(function, address)
        self.function = function
        self.address = address

    def __str__(self) -> str:
        return f"hang {self.function}"


class IllegalUse(EmulatedFailure):
    """A call that no correct program makes, refused before it changed anything.

    Raised only where the layer is not `faithful`.
    """

    error_type = "illegal_use"


class Deadlock(EmulatedFailure):
    """No M can go on and at least one has not ended."""

    error_type = "deadlock"
