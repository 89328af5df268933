"""What a host is told: the binary to run, what to read at each hook, how the program is started."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gorun_mem.record.hooks import FoundHooks, Read
from gorun_mem.runtime.behaviour import Release, WasmBreak
from gorun_mem.runtime.pages import PAGE, pages_of
from gorun_mem.wasm.golang import ModuleData

_NOPTRBSS, _ENOPTRBSS = 30, 31  # words of moduledata
Reads = list[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Args:
        wasm: path of the instrumented binary.
        raw: path of the raw stream.
        refused: path of a file that says why the binary was not run, if it was not.
        slot: the table's slot for the hook.
        hooks: by id, what to read at entry and after the return: three numbers a word.
        osinit: id of osinit's hook.
        state: where bloc and blocMax are looked for after osinit, and what they then are.
        argv: the program's arguments, its name first.
        env: its environment.
        dirs: directories that it may see, as pairs of (here, there); wasip1 only.
        virtual: a clock that moves by being looked at, and fixed random data.
        wasmExec: path of Go's glue; js only.
        parent: the process that the host ends with.
    """

    wasm: str
    raw: str
    refused: str
    slot: int
    hooks: list[tuple[Reads, Reads]]
    osinit: int
    state: dict[str, int]
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    dirs: list[tuple[str, str]] = field(default_factory=list)
    virtual: bool = False
    wasmExec: str = ""
    parent: int = field(default_factory=os.getpid)

    def write(self, path: Path) -> None:
        """The plan as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The plan that `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def reads_of(found: Sequence[FoundHooks]) -> list[tuple[Reads, Reads]]:
    """What a host reads at each hook, flat."""
    return [(_flat(f.hook.enter), _flat(f.hook.leave or {})) for f in found]


def _flat(reads: Mapping[str, Read]) -> Reads:
    return [n for read in reads.values() for n in (read.base, read.offset, read.through)]


def state_search(data: ModuleData, release: Release) -> dict[str, int]:
    """Where bloc and blocMax lie, among the data without pointers, and bloc's first value."""
    return {
        "from": data.words[_NOPTRBSS] & ~7,
        "to": data.words[_ENOPTRBSS],
        "bloc": pages_of(data.end) * PAGE,
        "growsFirst": int(release.behaviour.wasm_break is WasmBreak.GROW_ALWAYS),
    }
