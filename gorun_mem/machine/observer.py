"""Who is told what becomes of a World: the detectors of a search, for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from gorun_mem.runtime.boot import Runtime


@mypyc_attr(allow_interpreted_subclasses=True)
class Observer:
    """Looks on; add one to `World.observers`. What is not overridden does nothing."""

    __slots__ = ()

    def booted(self, runtime: Runtime) -> None:
        """The runtime was asked for the first time; nothing has been called yet."""

    def began(self, m: Any, coro: Any) -> None:
        """M `m` begins; `coro` is its coroutine."""

    def stopping(self) -> None:
        """No M makes another step; their coroutines have not been unwound."""
