"""`predict --policy`: tables, the user's own policy, and what is wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gorun_mem.cli.predict import command
from gorun_mem.replay.shipped import names
from tests import ROOT

OWN = """
from gorun_mem.policies import AddressOrdered


class Never(AddressOrdered):
    def choose(self, size):
        return -1


class Fails(AddressOrdered):
    def choose(self, size):
        return self.starts[99]


class Stale(AddressOrdered):
    def choose(self, size):
        return -1

    def take(self, size):
        return 65536
"""


ARENA = "arena:512KiB"


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    done = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if done.exception is not None:
        return 2, str(done.exception)
    return done.return_value, done.output


def test_the_table_in_the_readme() -> None:
    """Totals over all recordings that come along; no other search saves a page."""
    code, text = run(*names(), "--policy", "all", "--json")
    assert code == 0
    cases = {case["policy"]: case for case in json.loads(text)["cases"]}
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `([\w:]+)` \|[^|]*\| ([\d,]+) \| (-?[\d,]+) \| ([\d,]+) \| ([\d,]+) \|",
                      readme, re.MULTILINE)  # fmt: skip
    assert len(rows) == 3
    for name, *figures in rows:
        case = cases[name]
        said = [int(figure.replace(",", "")) for figure in figures]
        assert said == [case["pages"], case["saved_pages"], case["grows"], case["steps"]], name
    for name in ("best_fit", "next_fit", "last_fit", "segregated", "buddy"):
        assert cases[name]["saved_pages"] <= 0
    text = " ".join(readme.split())
    for name, end in (("whole_memory", "best"), (ARENA, "best"), (ARENA, "worst")):
        saved, recording = cases[name][end]["saved_pages"], cases[name][end]["recording"]
        assert re.search(rf"{abs(saved):,} (pages saved|lost|saved)?\W*(on )?`?{recording}|"
                         rf"{abs(saved):,}, `{recording}", text), name  # fmt: skip


def test_sizes_of_arenas() -> None:
    """Arenas from 64 KiB to 64 MiB: eleven sizes, and pages rise from the second on."""
    code, text = run(*names(), "--policy", "arena:64KiB..64MiB", "--json")
    assert code == 0
    pages = [case["pages"] for case in json.loads(text)["cases"]][1:]
    assert len(pages) == 11
    assert pages == sorted(pages)


def test_one_recording_is_a_table() -> None:
    """Go's own stands first."""
    code, text = run("trees-go1.24.11", "--policy", "arena")
    assert code == 0
    lines = [line.split() for line in text.splitlines()]
    assert [line[0] for line in lines[3:5]] == ["first_fit", "arena"]
    assert lines[3][1] == "192"


def test_a_policy_of_the_users(tmp_path: Path) -> None:
    """One that never reuses takes more; one that breaks is named with the fault."""
    file = tmp_path / "own.py"
    file.write_text(OWN)
    code, text = run("trees-go1.24.11", "--policy", f"{file}:Never", "--json")
    assert code == 0
    first, never = json.loads(text)["rows"]
    assert never["pages"] > first["pages"]
    code, text = run("trees-go1.24.11", "--policy", f"{file}:Fails")
    assert code == 2
    assert "IndexError: list index out of range, own.py, line 12" in text
    code, text = run("trees-go1.24.11", "--policy", f"{file}:Stale")
    assert code == 2
    assert "Stale answered 0x10000" in text


@pytest.mark.parametrize("more", [("--release", "go1.26"), ("--assert", "pages < 9")])
def test_what_does_not_go_together(more: tuple[str, str]) -> None:
    """A policy is tried on the recorded release."""
    code, text = run("trees-go1.24.11", "--policy", "buddy", *more)
    assert code == 2
    assert "--policy asks of the recorded release" in text


def test_a_limit() -> None:
    """Exit 1 where Go's own does not live within it; with smaller arenas it would."""
    code, text = run("trees-go1.24.11", "--policy", ARENA, "--max-pages", "150", "--json")
    assert code == 1
    assert [row["lived"] for row in json.loads(text)["rows"]] == [False, True]


def test_a_script() -> None:
    """An operation script with its options in the first line serves as well."""
    path = ROOT / "tests/data/ops/1.23.9-wasm-random-1.txt.gz"
    code, text = run(str(path), "--policy", "segregated", "--json")
    assert code == 0
    own, other = json.loads(text)["rows"]
    assert own["level"] == "ops"
    assert own["steps"] > 3 * other["steps"]
    code, text = run(str(ROOT / "tests/data/ops/1.19.8-wasm-random-1.txt.gz"), "--policy", "buddy")
    assert code == 2
    assert "no free list" in text


def test_the_policy_in_the_readme(tmp_path: Path) -> None:
    """It runs, and lives."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- policy -->\n```python\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    file = tmp_path / "worst.py"
    file.write_text(found[1])
    code, text = run("queue-go1.27.3", "--policy", f"{file}:WorstFit", "--json")
    assert code == 0
    assert json.loads(text)["rows"][1]["lived"]
