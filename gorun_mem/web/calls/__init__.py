"""The calls of the API: each is a function under `@endpoint`, with its types, in a file of a sort.

The routes and the OpenAPI document are made of what the files have; nothing else names a call.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from gorun_mem.runtime.by_file import ByFile
from gorun_mem.web.openapi import Endpoint


def _endpoints_in(name: str, module: ModuleType) -> list[Endpoint] | None:
    """The endpoints of a module, as they stand there."""
    return [one for one in vars(module).values() if isinstance(one, Endpoint)] or None


_FILES: Final = ByFile(__name__, _endpoints_in, lambda name: r"^@endpoint\(")


def endpoints() -> list[Endpoint]:
    """The table.

    Raises:
        ValueError: two of them are one method of one path.
    """
    found = [one for file in _FILES.values() for one in file]
    seen: set[tuple[str, str]] = set()
    for one in found:
        if (one.method, one.path) in seen:
            raise ValueError(f"two endpoints are {one.method} {one.path}")
        seen.add((one.method, one.path))
    return found
