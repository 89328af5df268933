"""Who asked for a span: stacks read off the memory are those that the program had."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.cli import main
from gorun_mem.record.events import callers
from gorun_mem.replay.shipped import resolve
from tests.record.test_record import HOSTS, Build, gorun, lines, record

MAIN = ["main.main", "runtime.main", "runtime.goexit"]


def stacks_of(path: Path, npages: int) -> list[list[str]]:
    """The stacks of spans of so many pages."""
    return [e["stack"] for e in lines(path) if e.get("ev") == "span.alloc"
            and e["npages"] == npages]  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("-ldflags=-s -w",), ("-gcflags=all=-N -l",)])
@pytest.mark.parametrize("goos", HOSTS)
def test_each_function_is_found_by_what_it_took(
    build: Build, goos: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    """Functions, a recursion, a method behind an interface and a goroutine: frame by frame."""
    out = tmp_path / "askers.jsonl.gz"
    assert record(build("askers", goos, *flags), out)["runs"][0]["self_check"]["fit"]
    direct, recursive = stacks_of(out, 43)
    assert direct == ["main.alpha", *MAIN]
    assert recursive == ["main.alpha", *["main.deep"] * 6, *MAIN]
    assert stacks_of(out, 59) == [["main.(*box).fill", "main.through", *MAIN]]
    assert stacks_of(out, 77) == [["main.(*box).fill", "main.main.func1", "runtime.goexit"]]


@pytest.mark.parametrize("goos", HOSTS)
def test_stacks_are_whole(build: Build, goos: str, tmp_path: Path) -> None:
    """Every stack that fits into what is kept goes down to where its goroutine began."""
    out = tmp_path / "trees.jsonl.gz"
    record(build("trees", goos), out)
    own = re.compile("(main.grow )+main.main runtime.main runtime.goexit")
    found = [e["stack"] for e in lines(out) if "stack" in e]
    trees = [" ".join(stack) for stack in found if stack[0] == "main.grow"]
    assert len(trees) > 50
    assert all(own.fullmatch(stack) for stack in trees), trees
    begun = [stack for stack in found if stack[-1] in ("runtime.goexit", "runtime.rt0_go")]
    assert len(begun) > 0.9 * len(found)


def test_the_report_names_them(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pages grown and bytes asked by stack; and a profile of them that pprof's format holds."""
    out = tmp_path / "askers.jsonl.gz"
    record(build("askers", "wasip1"), out)
    assert main(["report", str(out), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    askers = {tuple(one["stack"]): one for one in found["askers"]}
    fill = askers["main.(*box).fill", "main.main.func1", "runtime.goexit"]
    assert (fill["spans"], fill["asked"]) == (1, 77 * 8192)
    of_spans = sum(one["grown_pages"] for one in found["askers"])
    assert 0 < of_spans <= sum(found["grown_by"].values())
    assert sum(found["grown_by"].values()) == found["pages"] - found["initial_pages"]
    assert any(who.startswith("main.") for who in found["grown_by"])
    profile = tmp_path / "spans.pb.gz"
    assert main(["export", str(out), "--to", "pprof-spans", "-o", str(profile)]) == 0
    data = gzip.decompress(profile.read_bytes())
    assert b"main.(*box).fill" in data
    assert b"grown" in data


def test_a_recording_that_does_not_say(tmp_path: Path) -> None:
    """Those without stacks are reported by kind, and give no such profile; what comes along has
    them."""
    out = str(tmp_path / "x")
    done = gorun("export", "slices-go1.27.3", "--to", "pprof-spans", "-o", out)
    assert done.returncode == 0
    assert b"main.main" in gzip.decompress(Path(out).read_bytes())
    old = tmp_path / "old.jsonl"
    text = gzip.decompress(resolve("slices-go1.27.3").read_bytes())
    old.write_bytes(re.sub(rb',"stack":\[[^]]*\]', b"", text))
    done = gorun("export", str(old), "--to", "pprof-spans", "-o", str(tmp_path / "y"))
    assert done.returncode == 2
    assert "does not say who asked" in done.stderr
    assert "heap objects" in gorun("report", str(old)).stdout


def test_the_runtimes_own_end_is_left_out() -> None:
    """What stands between the program and the allocator; all is kept where there is no program."""
    assert callers(["runtime.mallocgc", "runtime.makeslice", "main.f", "runtime.main"]) == [
        "main.f", "runtime.main",
    ]  # fmt: skip
    assert callers(["runtime.newproc1", "runtime.rt0_go"]) == ["runtime.newproc1", "runtime.rt0_go"]
