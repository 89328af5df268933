"""A Go binary made ready for recording: looked at, checked, instrumented."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from gorun_mem.files.writing import open_output
from gorun_mem.record.hooks import FoundHooks, find
from gorun_mem.record.plan import Reads, reads_of, state_search
from gorun_mem.runtime.behaviour import Release, UnknownRelease, release
from gorun_mem.wasm.binary import Binary
from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.instrument import Wrap, instrument
from gorun_mem.wasm.module import PageLimits
from gorun_mem.wasm.stacks import Stacks


@dataclass(frozen=True, slots=True)
class PreparedApp:
    """An instrumented binary and what must be known to read what its hooks say.

    Args:
        pieces: the binary, to be written one after the other.
        slot: the table's slot for the hook.
        found: what is watched; the place is the hook's id.
        missing: Go functions that should be watched and are not there.
        functions: number of a function among those with bodies -> name.
        stacks: finds who called on a stack.
        release: the Go release.
        platform: js/wasm or wasip1/wasm.
        end: end of the program's data.
        memory: its pages, the limit that was set included.
        state: see `plan.state_search`.
    """

    pieces: list[bytes | memoryview]
    slot: int
    found: list[FoundHooks]
    missing: list[str]
    functions: dict[int, str]
    stacks: Stacks
    release: Release
    platform: str
    end: int
    memory: PageLimits
    state: dict[str, int]

    @property
    def hooks(self) -> list[tuple[Reads, Reads]]:
        """What a host reads at each hook."""
        return reads_of(self.found)

    @property
    def osinit(self) -> int:
        """The id of osinit's hook, -1 where it has none."""
        return next((i for i, f in enumerate(self.found) if f.hook.ev == "osinit"), -1)

    def write(self, path: Path) -> None:
        """Write the instrumented binary."""
        with open_output(path) as file:
            file.writelines(self.pieces)


def prepare(data: bytes | memoryview, level: str, max_pages: int | None = None) -> PreparedApp:
    """Look at a binary and put the hooks of a level into it.

    Args:
        data: the binary.
        level: "os", "heap" or "span".
        max_pages: beyond which the host is to refuse growth; None leaves the binary's own limit.

    Raises:
        WasmError: it cannot be recorded, or does not fit the limit; with the reason.
    """
    binary = Binary.parse(data)
    binary.check()
    try:
        known = release(binary.release)
    except UnknownRelease as error:
        raise WasmError(str(error)) from None
    module_data, memory = binary.module_data, binary.module.memory
    assert module_data is not None
    assert memory is not None
    limit = _limit(memory, max_pages)
    found, missing = find(binary.functions, known.behaviour, level)
    wraps = [Wrap(f.number, i, f.hook.leave is not None) for i, f in enumerate(found)]
    made = instrument(binary.module, wraps, limit if max_pages is not None else None)
    return PreparedApp(
        pieces=made.pieces,
        slot=made.slot,
        found=found,
        missing=missing,
        functions=module_data.functions,
        stacks=Stacks(module_data),
        release=known,
        platform=binary.platform,
        end=module_data.end,
        memory=PageLimits(memory.least, limit, memory.flags),
        state=state_search(module_data, known),
    )


def without_hooks(data: bytes | memoryview) -> PreparedApp:
    """A binary ready for the same host, in which nothing is watched: what to compare with.

    Raises:
        WasmError: it cannot be recorded, with the reason.
    """
    watched = prepare(data, "os")
    made = instrument(Binary.parse(data).module, [], None)
    return replace(watched, pieces=made.pieces, slot=made.slot, found=[])


def _limit(memory: PageLimits, max_pages: int | None) -> int | None:
    if max_pages is None:
        return memory.most
    if memory.least > max_pages:
        raise WasmError(
            f"this binary starts with {memory.least} pages and cannot be instantiated within "
            f"{max_pages} (--max-pages)"
        )
    return max_pages if memory.most is None else min(max_pages, memory.most)


def host_lines(prepared: PreparedApp) -> str:
    """What another JavaScript host, such as a browser page, adds to write down the raw stream."""
    hooks = json.dumps(prepared.hooks, separators=(",", ":"))
    lines = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
    return lines.replace("HOOKS", hooks, 1).replace("SLOT", str(prepared.slot), 1)
