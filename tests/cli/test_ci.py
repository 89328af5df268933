"""`--github` and `--junit`: what CI is told of what a verb has judged."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from gorun_mem.report.checked import CheckedCase, junit, workflow_commands
from tests import ROOT
from tests.cli.run_scripts import Command, Said

RACY = """\
from gorun_mem import scenario
from gorun_mem.sync import Cell


@scenario(ms=2)
async def racy(world, *, fixed: bool = False):
    count = Cell("count")

    async def add(m):
        value = await count.load()
        await count.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        if not fixed:
            ms.start_soon(add)
    assert count.value == 2 - fixed
"""


@pytest.fixture
def racy(home: Path) -> str:
    """A scenario with a lost update, in the current folder."""
    (home / "racy.py").write_text(RACY)
    return "racy.py"


def commands_in(text: str) -> list[tuple[dict[str, str], str]]:
    """The annotations as GitHub's runner reads them (`ActionCommand.TryParseV2`)."""
    found = []
    for line in text.splitlines():
        if not line.startswith("::error"):
            continue
        head, _, data = line[2:].partition("::")
        pairs = (pair.partition("=") for pair in head.partition(" ")[2].split(",") if pair)
        undo = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}
        properties = {name: _undone(value, undo) for name, _, value in pairs}
        found.append((properties, _undone(data, {"%0D": "\r", "%0A": "\n"})))
    return found


def _undone(text: str, escapes: dict[str, str]) -> str:
    for escape, character in escapes.items():
        text = text.replace(escape, character)
    return text.replace("%25", "%")


def suite_in(path: str) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    """The suite of a report, its counts checked, and its cases."""
    root = ElementTree.parse(path).getroot()
    (suite,) = root
    cases = list(suite.iter("testcase"))
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == str(len(list(suite.iter("failure"))))
    return suite, cases


def test_a_search_points_at_the_line(gorun_mem: Command, racy: str) -> None:
    """The failing assertion's line, the command that replays it; exit code and output as before."""
    plain = gorun_mem("explore", racy, "--no-detectors")
    said = gorun_mem("explore", racy, "--no-detectors", "--github", "--junit", "out.xml")
    assert said.code == plain.code == 1
    ((properties, text),) = commands_in(said.err)
    assert properties == {"file": "racy.py", "line": "17", "title": "explore racy"}
    assert text.startswith("AssertionError\n")
    assert "replay: gorun-mem replay-schedule " in text
    _, (case,) = suite_in("out.xml")
    assert (case.get("file"), case.get("line")) == ("racy.py", "17")
    held = {one.get("name"): one.get("value", "") for one in case.iter("property")}
    assert held["verdict"] == "failed"
    assert held["token"] in text
    good = gorun_mem("explore", racy, "--set", "fixed=true", "--github", "--junit", "out.xml")
    assert good.code == 0
    assert not commands_in(good.err)
    _, (case,) = suite_in("out.xml")
    assert case.find("failure") is None


def test_a_run_has_a_case_for_each_assertion(gorun_mem: Command, racy: str) -> None:
    """And one for how it ended; with --json stdout stays one document."""
    said = gorun_mem(
        "run", racy, "--set", "fixed=true", "--assert", "final_pages <= 3", "--assert",
        "steps < 1000", "--json", "--github", "--junit", "out.xml",
    )  # fmt: skip
    assert said.code == json.loads(said.out)["exit"] == 1
    ((properties, text),) = commands_in(said.err)
    assert properties["title"] == "racy.py: final_pages <= 3"
    assert properties["file"] == "racy.py"
    assert text.startswith("final_pages is 22: final_pages <= 3 does not hold\nagain: gorun-mem ")
    assert "--junit" not in text
    _, cases = suite_in("out.xml")
    assert [case.find("failure") is None for case in cases] == [True, False, True]
    assert gorun_mem("run", "leaked_lock", "--github", "--junit", "out.xml").code == 3
    _, (case,) = suite_in("out.xml")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "deadlock"
    assert case.get("file") is None  # the library's script is no file of the checkout


@pytest.mark.parametrize(
    ("words", "code", "wrong", "cases"),
    [
        ("diff a.jsonl b.jsonl --fail-on steps>1 --fail-on steps<1", 1,
         ["diff a.jsonl b.jsonl: steps>1"], 2),
        ("diff a.jsonl b.jsonl", 0, [], 1),
        ("compare racy.py --set fixed=true --set fixed=false --seeds 6 --fail-on steps>1", 1,
         ["compare racy.py: fixed=false"], 3),
        ("predict trees-go1.24.11 --release go1.24.11 --release go1.26 --max-pages 150", 1,
         ["predict trees js/wasm go1.24.11"], 2),
        ("predict trees-go1.24.11 --release go1.26 --assert high<=3", 1,
         ["predict trees js/wasm go1.26"], 1),
    ],
)  # fmt: skip
def test_the_other_verbs(
    gorun_mem: Command, racy: str, words: str, code: int, wrong: list[str], cases: int
) -> None:
    """Each judgement is a case, each fault an annotation of that name."""
    for name in ("a", "b"):
        gorun_mem("run", racy, "--set", "fixed=true", "--log", f"{name}.jsonl")
    said = gorun_mem(*words.split(), "--github", "--junit", "out.xml")
    assert said.code == code, said.err
    assert [properties["title"] for properties, _ in commands_in(said.err)] == wrong
    suite, found = suite_in("out.xml")
    assert suite.get("name") == f"gorun-mem {words.split()[0]}"
    assert len(found) == cases
    assert [case.get("name") for case in found if case.find("failure") is not None] == wrong


def test_whatever_is_in_a_text() -> None:
    """Escapes, line ends and what XML has not come back, or as a mark; none breaks out."""
    nasty = "50%,:a\r\n::error::b\x00\x1b[31m</failure>\ud800 %0A"
    case = CheckedCase(nasty, nasty, "failure", nasty, nasty, 3, properties={"p": nasty})
    (line,) = workflow_commands([case])
    assert "\n" not in line
    ((properties, text),) = commands_in(line)
    assert properties == {"file": nasty, "line": "3", "title": nasty}
    assert text == f"{nasty}\n{nasty.strip()}"
    root = ElementTree.fromstring(junit("run", [case]))
    (failure,) = root.iter("failure")
    assert (failure.text or "").replace("\n", "") == nasty.replace("\r\n", "").translate(
        {0: "\ufffd", 0x1B: "\ufffd", 0xD800: "\ufffd"}
    )


def test_a_report_that_cannot_be_written_is_said_before_the_work(
    gorun_mem: Command, racy: str
) -> None:
    """Exit 2, and nothing was run."""
    said = gorun_mem("run", racy, "--junit", "no/such.xml")
    assert said.code == 2
    assert "--junit no/such.xml: there is no folder no; make it first" in said.err
    assert not list(Path("runs").glob("*"))


def test_the_workflow_of_the_readme(
    home: Path, gorun_mem: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is YAML of GitHub's shape, and each of its commands ends well and leaves its report."""
    text = (ROOT / "README.md").read_text().partition("<!-- .github/workflows/locks.yml -->")[2]
    workflow: dict[Any, Any] = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    assert set(workflow) == {"name", True, "jobs"}  # YAML's "on" is a truth
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    lines = [step["run"] for step in job["steps"] if step.get("run", "").startswith("gorun-mem ")]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line)[1:]
        said = gorun_mem(*words)
        assert said.code == 0, said.out + said.err
        _, cases = suite_in(words[words.index("--junit") + 1])
        assert cases
