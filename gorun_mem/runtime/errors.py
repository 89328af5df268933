"""How the emulated runtime ends badly.

Go ends a program at this layer in three ways: `throw` prints a constant text and dies, a stray
access takes a hardware fault, and a corrupt list is walked for ever. Each is an exception here, and
so is a fourth that Go does not have: the refusal of a call that no correct program makes.
"""

from __future__ import annotations

from typing import NamedTuple


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


class Refusal(NamedTuple):
    """A call of the OS layer that answered nil because the memory could not grow.

    Args:
        call: its number among the calls of the layer, from 1.
        fn: the Go function.
        n: bytes asked for.
        free: bytes on the free list.
        largest: the largest free block in bytes.
        slack: bytes between the break and the end of memory.
        pages: pages of 64 KiB that there were.
        limit: pages that there may be.
        needed: the least limit in pages that would have let the call through.
    """

    call: int
    fn: str
    n: int
    free: int
    largest: int
    slack: int
    pages: int
    limit: int
    needed: int

    def __str__(self) -> str:
        had = (
            f"call {self.call}, {self.fn}, asked for {self.n:,} bytes; {self.free:,} were free "
            f"(largest block {self.largest:,}) and {self.slack:,} left before the end of memory, "
            f"which has {self.pages:,} pages"
        )
        if self.needed <= self.limit:
            return f"{had} of {self.limit:,}: the growth was made to fail"
        return (
            f"{had}, and may have {self.limit:,}; "
            f"this call needs a limit of {self.needed:,} (--max-pages {self.needed})"
        )


class OutOfMemory(Throw):
    """Go's throw where a call that it cannot do without got nil.

    Args:
        message: Go's constant text.
        asked: bytes that Go's caller wanted.
        refusal: the call of the OS layer that got nil; None where that is not known.
        context: as of a throw.
    """

    error_type = "out_of_memory"

    def __init__(
        self, message: str, asked: int, refusal: Refusal | None, **context: int | str
    ) -> None:
        super().__init__(message, **context)
        self.asked = asked
        self.refusal = refusal

    @property
    def account(self) -> str:
        """Which call it was, what was asked, what was free, and the limit that it needs."""
        wanted = f"{self.asked:,} bytes were wanted"
        return wanted if self.refusal is None else f"{wanted}: {self.refusal}"


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


class NotInstantiable(ValueError):
    """A program whose memory is larger at the start than the machine's limit: it never runs.

    Args:
        needed: what it starts with, in pages of 64 KiB.
        limit: pages of 64 KiB that the machine has.
    """

    def __init__(self, needed: int, limit: int) -> None:
        super().__init__(
            f"the program cannot be instantiated: its memory is {needed:,} x 64 KiB at the start "
            f"and the limit is {limit:,}; give at least {needed:,}"
        )
        self.needed = needed
        self.limit = limit


def said(error: BaseException) -> str:
    """`str(error)`, of a class of the user's whose `__str__` may itself fail."""
    try:
        return str(error)
    except Exception as failed:
        return f"(its __str__ raised {type(failed).__name__})"
