"""Go's own search; the memory that the program starts with is used, as from go1.24."""

from __future__ import annotations

from dataclasses import replace

from gorun_mem.policies.first_fit import FirstFit
from gorun_mem.runtime.behaviour import Behaviour, WasmBreak


class WholeMemory(FirstFit):
    """sbrk hands out what lies between the break and the end of memory before it grows."""

    def behaviour(self, own: Behaviour) -> Behaviour:
        """The release's, with the break of go1.24."""
        return replace(own, wasm_break=WasmBreak.BLOC_MAX, sets_bloc_max_at_osinit=True)
