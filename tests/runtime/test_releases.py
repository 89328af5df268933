"""The release table: every difference between releases, and what is said about unknown ones."""

from __future__ import annotations

import ast
import gzip
import json
import re
import runpy
from dataclasses import fields, replace
from pathlib import Path

import pytest

from gorun_mem.runtime import behaviour
from gorun_mem.runtime.behaviour import (
    KNOWN,
    NEWEST,
    PLATFORMS,
    Behaviour,
    GiB,
    KiB,
    MiB,
    Minor,
    UnknownRelease,
    WasmBreak,
    release,
)
from gorun_mem.runtime.mutex.rank import RANKS, RankChecks
from tests import TRACES
from tests.runtime.go_sources import Kept, Source, compare, keep
from tests.runtime.naive import facts as naive_facts

MINORS = [f"go1.{minor}" for minor in range(19, 28)]


def since(field: str) -> list[str]:
    return [name for name in KNOWN if getattr(release(name).behaviour, field)]


def test_known_releases_in_order() -> None:
    """Nine minor releases and the seed commit, which stands between 1.20 and 1.21."""
    assert list(KNOWN) == ["go1.19", "go1.20", "dac514ea", *MINORS[2:]]
    assert NEWEST == "go1.27"
    versions = [release(name).version for name in KNOWN]
    assert versions == sorted(versions)


@pytest.mark.parametrize(
    ("field", "first"),
    [
        ("sets_bloc_max_at_osinit", "go1.24"),
        ("is_sbrk_platform", "go1.24"),
        ("trades_for_stack_lock", "go1.25"),
        ("semasleep_wraps", "go1.26"),
        ("nil_free_is_noop", "go1.27"),
        ("has_wasip1", "go1.21"),
        ("has_huge_page_hooks", "go1.21"),
        ("has_user_arenas", "go1.20"),
        ("registers_user_arenas", "go1.25"),
        ("has_sys_unreserve", "go1.26"),
        ("on_system_stack", "go1.26"),
    ],
)
def test_what_came_and_stayed(field: str, first: str) -> None:
    """A thing that came with a release is in that one and all later ones, and in no earlier."""
    assert since(field) == list(KNOWN[KNOWN.index(first) :])


def test_a_release_that_lacks_a_field_cannot_be_imported(tmp_path: Path) -> None:
    """Leave out any field where the first release says them all, or in a minor's row: the module
    is no longer imported."""
    text = Path(behaviour.__file__).with_suffix(".py").read_text()
    copy = tmp_path / "behaviour_copy.py"
    copy.write_text(text)
    runpy.run_path(str(copy))
    for kind in (Behaviour, Minor):
        for i, field in enumerate(fields(kind)):
            tree = ast.parse(text)
            row = next(
                node
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == kind.__name__
            )
            assert row.keywords.pop(i).arg == field.name
            copy.write_text(ast.unparse(tree))
            with pytest.raises(TypeError, match=f"missing.*'{field.name}'"):
                runpy.run_path(str(copy))
    sizes = release("go1.27").behaviour.heap
    with pytest.raises(ValueError, match="heap are missing: 386"):
        replace(release("go1.27").behaviour, heap={a: s for a, s in sizes.items() if a != "386"})


def test_nobody_else_compares_versions() -> None:
    """Outside of the table nothing reads a release's version or its minor number."""
    table = Path(behaviour.__file__).with_suffix(".py")
    package = table.parent.parent
    reads = re.compile(r"\b(release|known|found|of)\.version\b|\bminor\b *(<|>|==|>=|<=)|version\[")
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path != table
        for line in path.read_text().splitlines()
        if reads.search(line)
    ]
    assert found == []


def test_what_went_with_the_seed_commit() -> None:
    """The seed commit, not 1.21, made memRound go by physPageSize and swapped the two calls in
    Plan 9's osinit; up to 1.20 it is the constant, and initBloc first."""
    assert since("plan9_round_constant") == ["go1.19", "go1.20"]
    assert since("plan9_init_bloc_first") == ["go1.19", "go1.20"]


def test_three_ways_to_get_memory_on_wasm() -> None:
    """reserveEnd to 1.20, growth for every call from the seed commit to 1.23, blocMax from 1.24."""
    how = {name: release(name).behaviour.wasm_break for name in KNOWN}
    assert [n for n in KNOWN if how[n] is WasmBreak.RESERVE_END] == ["go1.19", "go1.20"]
    assert [n for n in KNOWN if how[n] is WasmBreak.GROW_ALWAYS] == [
        "dac514ea", "go1.21", "go1.22", "go1.23",
    ]  # fmt: skip
    assert [n for n in KNOWN if how[n] is WasmBreak.BLOC_MAX] == MINORS[5:]


def test_only_1240_to_1244_leak_memlock() -> None:
    """golang/go#74346 is in 1.24.0 to 1.24.4 and nowhere else; "go1.24" means the newest patch."""
    assert [f"go1.24.{p}" for p in range(14) if release(f"go1.24.{p}").behaviour.leaks_memlock] == [
        f"go1.24.{p}" for p in range(5)
    ]
    for name in (*KNOWN, "go1.23.4", "go1.25.0", "go1.25.3"):
        assert not release(name).behaviour.leaks_memlock, name
    before, after = release("go1.24.4").behaviour, release("go1.24.5").behaviour
    changed = [f for f in before.__slots__ if getattr(before, f) != getattr(after, f)]
    assert changed == ["leaks_memlock"]


def test_sys_unreserve_came_with_1263() -> None:
    """1.26.0 to 1.26.2 give a missed reservation back by sysFreeOS, as 1.25 does."""
    assert [release(f"go1.26.{p}").behaviour.has_sys_unreserve for p in range(7)] == [
        False, False, False, True, True, True, True,
    ]  # fmt: skip
    before, after = release("go1.26.2").behaviour, release("go1.26.3").behaviour
    changed = [f for f in before.__slots__ if getattr(before, f) != getattr(after, f)]
    assert changed == ["has_sys_unreserve"]


@pytest.mark.parametrize("name", [*KNOWN, "go1.24.3"])
@pytest.mark.parametrize("platform", ["js/wasm", "plan9/amd64", "plan9/386"])
def test_agrees_with_facts_written_apart(name: str, platform: str) -> None:
    """The table says of each release what the naive model was told by hand."""
    b, p, f = release(name).behaviour, PLATFORMS[platform], naive_facts(name, platform)
    assert (p.word_size, p.page_size) == (f.word, f.page)
    assert b.is_sbrk_platform is f.aligned
    assert b.leaks_memlock is f.leaks
    assert b.nil_free_is_noop is f.nil_free_does_nothing
    assert (b.sets_bloc_max_at_osinit and p.is_wasm) is f.bloc_max_at_osinit
    assert (b.plan9_init_bloc_first and not p.is_wasm) is f.init_bloc_first
    assert (4096 if b.plan9_round_constant and not p.is_wasm else 0) == f.round_to
    assert f.era == (b.wasm_break.value if p.is_wasm else "plan9")


def test_patch_releases_are_their_minor() -> None:
    """A patch release does what its minor does, but for those of the next tests, keeps the name it
    was asked for by, and one that does not exist is refused with the newest that does."""
    for minor in MINORS:
        newest = release(minor)
        assert release(f"{minor}.{newest.version[2]}").behaviour == newest.behaviour
        if minor not in ("go1.23", "go1.24", "go1.26"):
            assert release(f"{minor}.0").behaviour == newest.behaviour
    exact = release("go1.23.4")
    assert (exact.name, exact.version) == ("go1.23.4", (1, 23, 4))
    assert release("go1.27").version[2] >= 3
    with pytest.raises(UnknownRelease, match=r"go1\.23\.99.*newest known go1\.23 is go1\.23\.\d+"):
        release("go1.23.99")


@pytest.mark.parametrize("name", ["1.24", "go1.18", "go1.28", "go1", "go1.024", "go2.0", "tip", ""])
def test_unknown_releases_list_the_known(name: str) -> None:
    """An unknown release is refused with the known ones, patch releases mentioned."""
    with pytest.raises(UnknownRelease) as caught:
        release(name)
    text = str(caught.value)
    assert f"no release {name!r}" in text
    assert ", ".join(KNOWN) in text
    assert "go1.24.3" in text


def test_unknown_names_get_the_nearest() -> None:
    """A slip of the finger gets the name that was meant; what resembles nothing gets none."""
    with pytest.raises(UnknownRelease, match=r"did you mean go1\.24\?"):
        release("1.24")
    with pytest.raises(UnknownRelease, match=r"did you mean dac514ea\?"):
        release("dac514e")
    with pytest.raises(UnknownRelease) as caught:
        release("zzz")
    assert "did you mean" not in str(caught.value)
    with pytest.raises(UnknownRelease, match=r"did you mean plan9/amd64\?.*js/wasm, wasip1/wasm"):
        release("go1.27").platform("plan9/amd46")


def test_wasip1_exists_from_121() -> None:
    """wasip1/wasm with 1.19, 1.20 or the seed commit is refused with the release it came with."""
    for name in KNOWN:
        if name in ("go1.19", "go1.20", "dac514ea"):
            with pytest.raises(UnknownRelease, match=r"wasip1/wasm.*from go1\.21"):
                release(name).platform("wasip1/wasm")
        else:
            assert release(name).platform("wasip1/wasm").goos == "wasip1"


def test_platforms() -> None:
    """Word, page and heap-address widths of the four platforms."""
    assert {n: (p.word_size, p.page_size, p.heap_addr_bits) for n, p in PLATFORMS.items()} == {
        "js/wasm": (8, 64 * KiB, 32),
        "wasip1/wasm": (8, 64 * KiB, 32),
        "plan9/amd64": (8, 4 * KiB, 48),
        "plan9/386": (4, 4 * KiB, 32),
    }
    amd64, i386, js = PLATFORMS["plan9/amd64"], PLATFORMS["plan9/386"], PLATFORMS["js/wasm"]
    assert (amd64.word_mask, i386.word_mask) == (2**64 - 1, 2**32 - 1)
    assert (amd64.goos, amd64.goarch, amd64.is_wasm, js.is_wasm) == ("plan9", "amd64", False, True)
    assert [p.arena_base_offset for p in (amd64, i386, js)] == [0xFFFF_8000_0000_0000, 0, 0]


def test_heap_sizes() -> None:
    """Arenas: 4 MiB on wasm to 1.25 and 512 KiB from 1.26; 64 MiB on amd64, 4 MiB on 386 always.
    heapArena on wasm: 135376 bytes in 1.19, 70864 in 1.21, some 4 KB from 1.22."""

    def arenas(platform: str) -> list[int]:
        return [release(n).heap_sizes(PLATFORMS[platform]).arena for n in MINORS]

    assert arenas("js/wasm") == [4 * MiB] * 7 + [512 * KiB] * 2
    assert set(arenas("plan9/amd64")) == {64 * MiB}
    assert set(arenas("plan9/386")) == {4 * MiB}
    of = {n: release(n).heap_sizes(PLATFORMS["js/wasm"]).arena_metadata for n in MINORS}
    assert (of["go1.19"], of["go1.21"]) == (135376, 70864)
    assert all(4000 < of[n] < 4500 for n in MINORS[3:7])
    assert GiB == 1 << 30


def test_source_only_is_said() -> None:
    """What no recording shows is named: the heap above the OS layer of 1.20 and the seed commit,
    and on Plan 9 the heap of each release of whose real runtime none is kept here."""
    traces = TRACES
    lines = [gzip.decompress(path.read_bytes()) for path in traces.glob("*plan9*.jsonl.gz")]
    headers = [json.loads(text.partition(b"\n")[0]) for text in lines]
    recorded = {
        (header["go"].rpartition(".")[0], f"{header['goos']}/{header['goarch']}")
        for header in headers
    }
    assert len(recorded) == 5
    for name in MINORS:
        if name == "go1.20":
            continue
        said = {text.partition(":")[0] for text in release(name).source_only}
        assert said == {p for p in ("plan9/amd64", "plan9/386") if (name, p) not in recorded}
    for name in ("go1.20", "dac514ea"):
        assert release(name).source_only == (
            "mheap.sysAlloc and its metadata, and the locks: no toolchain to run",
        )


KEPT = Kept()
NO_SINGLE_FACT = {"heap", "mutex", "lock_ranks", "trades_for_stack_lock", "semasleep_wraps"}
"""What is compared in parts, or not kept of the sources: two of these are tested above."""


@pytest.mark.parametrize("name", KEPT.releases)
def test_the_table_says_what_the_sources_say(name: str) -> None:
    """Each fact that was read off the source of a release is in the table, for each release."""
    known, facts = release(name), KEPT.of("facts", name)
    behaviour = known.behaviour
    for field in {f.name for f in fields(behaviour)} - NO_SINGLE_FACT:
        ours = getattr(behaviour, field)
        assert facts[field] == (ours.value if isinstance(ours, WasmBreak) else ours), field
    assert facts["memalloc_rounds_for_sbrk"] is not behaviour.is_sbrk_platform
    for arch, sizes in behaviour.heap.items():
        assert facts["arena"][arch] == sizes.arena
        assert facts["arena_metadata"][arch] in (None, sizes.arena_metadata)
    checks = RankChecks("throw", behaviour.lock_ranks)
    assert facts["rank_numbers"] == {rank: checks.number(rank) for rank in RANKS}
    assert {r: set(over) for r, over in facts["rank_over"].items()} == {
        rank: entry.over for rank, entry in RANKS.items()
    }
    assert (behaviour.mutex == "spinbit") is facts["spinbit"]


def test_equal_releases_are_equal() -> None:
    """The table has each release that was read and no other; it says "equal" of those whose memory
    and lock files have the hashes of the named release, and of no other."""
    assert KEPT.releases == [name for name in KEPT.releases if _said(name) is not None]
    equal = {name: said for name in KEPT.releases if (said := _said(name))}
    for before, name in zip(KEPT.releases, KEPT.releases[1:], strict=False):
        assert (name in equal) is not bool(KEPT.differing(before, name)), name
        if name in equal:
            assert not KEPT.differing(equal[name], name)
        else:
            assert release(name).source.endswith(f", beside {before}")
    assert [n for n in KEPT.releases if equal.get(n) == "go1.27.0"] == [
        f"go1.27.{patch}" for patch in (1, 2, 3)
    ]
    every = [f"{minor}.{patch}" for minor in MINORS for patch in range(release(minor).version[2])]
    unread = [name for name in every if name not in KEPT.releases]
    assert {release(name).source for name in unread} == {"not compared file by file"}
    assert "go1.21.13" in release("dac514ea").source


def _said(name: str) -> str | None:
    """The release that `name` is said to be equal to, "" for none; None where it was not read."""
    said = re.fullmatch(r"equal to (\S+) in all memory and lock files", release(name).source)
    return None if release(name).source.startswith("not ") else said[1] if said else ""


def test_the_comparison_finds_what_differs(tmp_path: Path) -> None:
    """A made-up release: its texts and facts are told from kept ones, file by file."""
    runtime = tmp_path / "src" / "runtime"
    runtime.mkdir(parents=True)
    (tmp_path / "VERSION").write_text("go1.27.3\ntime\n")
    files = {
        "malloc.go": "const (\n\tlogHeapArenaBytes = (6+20)*_64bit + (2+20)*(1-_64bit)\n"
        "\theapArenaBytes = 1\n)\nfunc persistentalloc() {\n\tx\n}\n",
        "mheap.go": "type heapArena struct {\n\tpageMarks [pagesPerArena / 8]uint8\n}\n",
        "os_plan9.go": "func osinit() {\n\tphysPageSize = 1\n\tinitBloc()\n}\n",
        "lockrank.go": "const (\n\tlockRankUnknown lockRank = iota\n\n\t// X\n\tlockRankSweep\n"
        "\tlockRankMheap // y\n)\nvar lockPartialOrder = {\n"
        + "".join(f"\tlockRank{r[0].upper()}{r[1:]}: {{lockRankSweep}},\n" for r in RANKS)
        + "}\n",
        "mem_sbrk.go": "func sysAllocOS(n uintptr, _ string) {\n\tsystemstack(f)\n}\n",
    }
    for name, text in files.items():
        (runtime / name).write_text(text)
    source = Source(tmp_path)
    facts = source.facts()
    assert (facts["on_system_stack"], facts["spinbit"], facts["plan9_init_bloc_first"]) == (
        True, False, False,
    )  # fmt: skip
    assert facts["arena"] == {"wasm": 64 * MiB, "amd64": 64 * MiB, "386": 4 * MiB}
    assert facts["arena_metadata"]["386"] == 514 * 4 + 64
    assert (facts["rank_numbers"]["mheap"], facts["rank_over"]["sched"]) == (2, ["sweep"])
    assert source.part("malloc.go", "func persistentalloc") == "func persistentalloc() {\n\tx\n}"
    assert source.part("malloc.go", "const heapArenaBytes").endswith("= 1\n)")
    lines = compare(source, KEPT)
    assert "hashes: mem_sbrk.go differs" in lines
    assert "facts: spinbit differs" in lines
    assert not [line for line in lines if "on_system_stack" in line]
    keep([source], tmp_path / "kept.json")
    assert compare(source, Kept(tmp_path / "kept.json")) == []
    (tmp_path / "VERSION").write_text("go1.99.0\n")
    assert compare(Source(tmp_path), KEPT) == ["go1.99.0 is not kept: --write it with all others"]
