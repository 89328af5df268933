"""Go's own search under arenas of 512 KiB, whatever the release has."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gorun_mem.policies.first_fit import FirstFit
from gorun_mem.runtime.behaviour import Behaviour, HeapSizes, KiB

_ARENA: Final = 512 * KiB


class Arena512K(FirstFit):
    """Arenas and palloc chunks of 512 KiB, as go1.26 has on wasm; metadata in proportion."""

    @classmethod
    def behaviour(cls, own: Behaviour) -> Behaviour:
        """The release's, with other sizes."""
        return replace(own, heap={arch: _resized(sizes) for arch, sizes in own.heap.items()})


def _resized(sizes: HeapSizes) -> HeapSizes:
    return replace(
        sizes,
        arena=_ARENA,
        arena_metadata=max(1, sizes.arena_metadata * _ARENA // sizes.arena),
        palloc_chunk=min(sizes.palloc_chunk, _ARENA),
    )
