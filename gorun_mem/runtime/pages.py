"""What a page is in every figure, event, option and report: 64 KiB, on every platform.

Wasm's pages are that. Plan 9's kernel has pages of 4 KiB, of which Go's break goes by the byte; so
there memory ends at bloc_max, and the pages are those that it takes to hold it. Go itself counts no
pages there, which is why the state that operation scripts print has `pages=0` on Plan 9.
"""

from __future__ import annotations

from typing import Final

from gorun_mem.runtime.behaviour import WASM_PAGE

PAGE: Final = WASM_PAGE


def pages_of(size: int) -> int:
    """The pages that it takes to hold `size` bytes."""
    return -(-size // PAGE)


def top_of(pages: int, bloc_max: int, is_wasm: bool) -> int:
    """Where the memory ends, in bytes.

    Args:
        pages: of a wasm memory; of no account on Plan 9.
        bloc_max: the highest that the break has been.
        is_wasm: the platform is.
    """
    return pages * PAGE if is_wasm else bloc_max
