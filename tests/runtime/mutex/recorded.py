"""What walks end with that are as they should be: recorded of Go's code, or made of plain locks."""

from __future__ import annotations

import json
from functools import cache
from typing import Final

from tests import DATA
from tests.runtime.mutex.plain_locks import PlainSide
from tests.runtime.mutex.walks import SHAPES, Shape, digest, walk

RECORDED: Final = DATA / "lock_walks.json"
"""Shape -> the digests of its walks; `go_locks` writes it."""


@cache
def recorded(shape: Shape) -> tuple[str, ...]:
    """The digests of a shape's walks.

    Raises:
        KeyError: they are not recorded.
    """
    if shape not in SHAPES:
        return tuple([digest(walk(PlainSide(shape), shape, seed)) for seed in range(shape.walks)])
    kept: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return tuple(kept[shape.name].split())
