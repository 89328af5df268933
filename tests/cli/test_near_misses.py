"""Mistakes that are near to something right: the fact, the values, and what to write."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gorun_mem._near import nearest, no_such
from gorun_mem.cli._group import VERBS
from tests.cli.run_scripts import Command

STORM = ("run", "memlock_storm", "--ms", "2", "--set", "rounds=2")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((*STORM, "--set", "rounds=ten"), ["rounds = ten: is no int, at least 1 and at most"]),
        ((*STORM, "--release", "tip"), ["no release 'tip'", "the newest is go1.27", "go1.19"]),
        (
            ("explore", "memlock_storm", "--strategy", "dpor"),
            ["'dpor' is none: did you mean exhaustive?", "there are auto, "],
        ),
        (("explore", "memlock_storm", "--strategy", "pcd"), ["did you mean pct?"]),
        ((*STORM, "--max-pages", "512MB"), ["7,812.5 pages", "did you mean 512MiB?", "7812 or"]),
        ((*STORM, "--max-pages", "100KiB"), ["is 1.6 pages of 64 KiB: write 1 or 2"]),
        ((*STORM, "--max-pages", "many"), ["'many' is not a number"]),
        ((*STORM, "--assert", "steps < 1ms"), ["steps is no time: write 1 without 'ms'"]),
        ((*STORM, "--assert", "final_pages < 1ms"), ["final_pages is no time"]),
        ((*STORM, "--assert", "lock_wait_ns < 1MiB"), ["lock_wait_ns is no size"]),
        ((*STORM, "--assert", "lock_wait_ns < 1m"), ["no unit 'm'", "ns, us, ms, s", "KiB"]),
        (
            (*STORM, "--assert", "final_page < 1"),
            ["no metric 'final_page': did you mean final_pages?"],
        ),
        (
            ("releases", "memlock_storm", "--of", "go1.27..go1.23"),
            ["did you mean go1.23..go1.27?"],
        ),
        (("releases", "memlock_storm", "--of", "go1.23..go1.99"), ["no release 'go1.99'"]),
        (("releases", "memlock_storm", "--of", "go1.23.1..go1.25"), ["go1.23.1 is a patch"]),
        (("report", "last", "--section", "growth"), ["did you mean growths?", "there are"]),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_mistake_is_answered_with_what_to_write(
    gorun_mem: Command, args: tuple[str, ...], said: list[str]
) -> None:
    """Exit 2, one line, nothing was run."""
    found = gorun_mem(*args)
    assert (found.code, found.out) == (2, "")
    assert len(found.err.splitlines()) == 1
    for each in said:
        assert each in found.err


@pytest.mark.parametrize(("size", "pages"), [("32MiB", 512), ("64M", 1024), ("65536kb", 1000)])
def test_a_limit_may_be_a_size(gorun_mem: Command, size: str, pages: int) -> None:
    """The pages that it comes to are said, and are what the run has."""
    found = gorun_mem(*STORM, "--max-pages", size, "--json")
    assert found.code == 0
    assert f"{size} is {pages:,} pages of 64 KiB" in found.err
    assert json.loads(found.out)["config"]["max_pages"] == pages


@pytest.mark.parametrize("number", ["600", "0x258", "1_000"])
def test_a_limit_without_a_unit_is_in_pages(gorun_mem: Command, number: str) -> None:
    """As ever; nothing more is said."""
    found = gorun_mem(*STORM, "--max-pages", number)
    if "_" in number:
        assert found.code == 2
    else:
        assert (found.code, found.err) == (0, "")
        assert f"--max-pages {600}" in found.out


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("lock.memlock.wait_ns.p99 < 1ms", 1_000_000),
        ("lock_wait_ns.max < 2.5 s", 2_500_000_000),
        ("peak_live_bytes < 64MiB", 64 << 20),
        ("final_pages < 4MiB", 64),
        ("time_ns < 1e3ms", 1_000_000_000),
        ("steps < 0x10000", 65536),
    ],
)
def test_an_assertion_takes_units(gorun_mem: Command, text: str, bound: int) -> None:
    """In the unit of the metric."""
    found = gorun_mem(*STORM, "--json", "--assert", text)
    assert found.code == 0
    assert json.loads(found.out)["asserts"][0]["bound"] == bound


def test_a_range_of_releases(gorun_mem: Command) -> None:
    """Both ends among them; an open end is the oldest or the newest."""
    args = ("releases", "memlock_storm", "--set", "rounds=2", "--json")
    for text, first, last, count in (
        ("go1.23..go1.25", "go1.23", "go1.25", 3),
        ("go1.26..", "go1.26", "go1.27", 2),
        ("go1.24.3,go1.26..go1.27", "go1.24.3", "go1.27", 3),
    ):
        found = json.loads(gorun_mem(*args, "--of", text).out)
        rows = [row["release"] for row in found["releases"]]
        assert (rows[0], rows[-1], len(rows)) == (first, last, count)


def test_a_step_beyond_the_end(gorun_mem: Command) -> None:
    """How many there are, and a step that can be shown."""
    found = gorun_mem("explore", "lessons/ab_ba", "--json")
    token = json.loads(found.out)["failures"][0]["token"]
    again = ("replay-schedule", "--code", "lessons/ab_ba", token, "--step")
    said = gorun_mem(*again, "99")
    assert said.code == 2
    number = said.err.partition("ended before, after ")[2].partition(":")[0]
    last = int(number) - 1
    assert f"--step {last} stops before its last step" in said.err
    assert gorun_mem(*again, str(last)).code == 0
    assert gorun_mem(*again, str(last + 1)).code == 2


@pytest.mark.parametrize("named", ["./pkg", "pkg", "main.go"])
def test_record_is_given_go_source(gorun_mem: Command, home: Path, named: str) -> None:
    """The command that builds it is said."""
    (home / "pkg").mkdir()
    (home / "main.go").write_text("package main\n")
    said = gorun_mem("record", named)
    assert (said.code, said.out) == (2, "")
    built = "./main.go" if named == "main.go" else "./pkg"
    assert f"GOOS=wasip1 GOARCH=wasm go build -o app.wasm {built}, then" in said.err


@pytest.mark.parametrize(
    "verb", ["run", "explore", "compare", "report", "export", "view", "ops", "replay", "sweep"]
)
def test_a_binary_given_to_another_verb(gorun_mem: Command, home: Path, verb: str) -> None:
    """What does take it is said."""
    assert verb in VERBS
    (home / "app.wasm").write_bytes(b"\0asm\1\0\0\0")
    said = gorun_mem(verb, "app.wasm")
    assert (said.code, said.out) == (2, "")
    assert f"app.wasm is a WebAssembly binary, which {verb} does not take" in said.err
    assert "gorun-mem record app.wasm runs it and records" in said.err


def test_a_word_without_end_is_compared_with_nothing() -> None:
    """It is no name that was mistaken, and shown in part; it took 25 s and 2 GiB."""
    word = "alloc" * (1 << 20)
    began = time.process_time()
    assert nearest(word, ["alloc", "free"]) == ""
    assert len(no_such("verb", word, ["alloc"])) < 400
    assert time.process_time() - began < 1
