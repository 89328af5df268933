"""What all objects of the kit have in common: a name, a place in memory, what was counted.

Objects that a lock of one's own makes, in its `__init__` or while it is taken, bear the lock's name
in front of theirs: "memlock:next". So two locks of one class share nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.kinds import ON_LINE
from gorun_mem.runtime.op import LOOKED_AT


class SyncStatistics(NamedTuple):
    """What was counted of an object of the kit.

    Args:
        operations: accesses that were made to it.
        waits: operations that had to wait.
        wait_ns: how long they waited in sum, in virtual time; those that wait still not counted.
        wait_ns_max: the longest of these waits.
        timeouts: waits that ended because their time was up.
        failed: compare-and-swaps, tries and the like that found what they did not want.
        waiting: how many Ms wait now.
    """

    operations: int = 0
    waits: int = 0
    wait_ns: int = 0
    wait_ns_max: int = 0
    timeouts: int = 0
    failed: int = 0
    waiting: int = 0


class _Scope:
    """Whose objects are being made.

    Attributes:
        prefix: what their names begin with.
        made: the objects; None: nobody asks.
    """

    __slots__ = ("made", "prefix")

    def __init__(self) -> None:
        self.prefix = ""
        self.made: list[KitObject] | None = None


_SCOPE = _Scope()


def enter_scope(prefix: str, made: list[KitObject] | None) -> tuple[str, list[KitObject] | None]:
    """Let objects be made for somebody; returns whose they were before, for `leave_scope`."""
    before = (_SCOPE.prefix, _SCOPE.made)
    _SCOPE.prefix, _SCOPE.made = prefix, made
    return before


def leave_scope(before: tuple[str, list[KitObject] | None]) -> None:
    """Objects are those of whoever they were before."""
    _SCOPE.prefix, _SCOPE.made = before


@contextmanager
def naming(owner: str, made: list[KitObject]) -> Iterator[None]:
    """Objects made in the block belong to `owner`, and are put into `made`."""
    before = enter_scope(f"{owner}:", made)
    try:
        yield
    finally:
        leave_scope(before)


@mypyc_attr(allow_interpreted_subclasses=True)
class KitObject:
    """An object that several Ms share.

    Args:
        name: for reports; what its operations say that they touch.
        line: the cache line that it lies on; one of its own if "". Objects on one line slow each
            other down, though they have nothing to do with each other: false sharing.

    Attributes:
        name: with the lock in front that it is a part of.
        obj: the name, and its line where that is another's too.

    Raises:
        IllegalUse: the name is empty, or holds what names cannot.
    """

    __slots__ = (
        "failed",
        "name",
        "obj",
        "operations",
        "timeouts",
        "wait_ns",
        "wait_ns_max",
        "waits",
    )  # fmt: skip

    def __init__(self, name: str, line: str = "") -> None:
        for text in (name, line):
            if not isinstance(text, str) or ON_LINE in text or "\n" in text:
                what = f"{type(self).__name__}({text!r})"
                raise IllegalUse(f"{what}: a name is text without {ON_LINE}, in one line")
        if not name:
            raise IllegalUse(f"{type(self).__name__}(''): give it a name, for reports")
        prefix = _SCOPE.prefix
        self.name = name if name.startswith(prefix) else prefix + name
        self.obj = f"{self.name}{ON_LINE}{prefix}{line}" if line else self.name
        self.operations = 0
        self.waits = 0
        self.wait_ns = 0
        self.wait_ns_max = 0
        self.timeouts = 0
        self.failed = 0
        if _SCOPE.made is not None:
            _SCOPE.made.append(self)

    @property
    def waiting(self) -> int:
        """How many Ms wait in it now."""
        return 0

    def statistics(self) -> SyncStatistics:
        """What was counted so far."""
        for tell in LOOKED_AT:
            tell(self)
        return SyncStatistics(
            self.operations,
            self.waits,
            self.wait_ns,
            self.wait_ns_max,
            self.timeouts,
            self.failed,
            self.waiting,
        )

    def waited(self, ns: int) -> None:
        """An operation of it has waited for `ns`."""
        self.wait_ns += ns
        if ns > self.wait_ns_max:
            self.wait_ns_max = ns

    def snapshot(self) -> tuple[object, ...]:
        """What of it Ms can see; hashable."""
        return ()
