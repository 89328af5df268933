"""Why a release takes other pages than the one that was recorded: the parts that moved."""

from __future__ import annotations

from typing import Final

from gorun_mem.predict.estimate import Prediction
from gorun_mem.runtime.behaviour import WASM_PAGE

PARTS: Final = {
    "static": "the program's data",
    "arenas": "heap arenas",
    "metadata": "metadata",
    "free": "free blocks",
    "slack": "slack between bloc and blocMax",
    "unused": "initial pages and holes that nothing uses",
}
_SAID: Final = 3
"""Parts that are named, those that moved most."""


def why(base: Prediction, other: Prediction) -> str:
    """What is different in `other`, in a few words with pages; "" where nothing is.

    Args:
        base: the release that was recorded.
        other: another.
    """
    before, after = base.typical, other.typical
    if before is None or after is None:
        return ""
    moved = {
        PARTS[name]: (after.parts[name] - before.parts[name]) / WASM_PAGE
        for name in PARTS
        if abs(after.parts[name] - before.parts[name]) >= WASM_PAGE
    }
    said = [
        f"{words} {pages:+,.0f}"
        for words, pages in sorted(moved.items(), key=lambda item: -abs(item[1]))[:_SAID]
    ]
    if other.initial_pages != base.initial_pages:
        said.append(f"starts with {other.initial_pages} pages, not {base.initial_pages}")
    if other.arena_pages != base.arena_pages:
        said.append(f"arenas of {other.arena_pages} pages, not {base.arena_pages}")
    return ", ".join(said)
