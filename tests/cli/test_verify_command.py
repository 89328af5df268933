"""`gorun-mem verify`, and `replay-schedule` on what it finds."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.run_scripts import Command
from tests.readme import section

SECTION = section("Every state of it")


def command_of(out: str) -> list[str]:
    """What is to be typed to make the counterexample again."""
    line = next(x for x in out.splitlines() if x.startswith("replay "))
    return shlex.split(line)[2:]


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The README's lock, in the folder where commands run."""
    monkeypatch.chdir(tmp_path)
    code = SECTION.partition("```python\n")[2].partition("```")[0]
    path = tmp_path / "hasty.py"
    path.write_text(code)
    return path


def test_the_readme_says_what_is_said(gorun_mem: Command, hasty: Path) -> None:
    """Its commands run, and each line of its lanes is one of the answer."""
    command = next(x for x in SECTION.splitlines() if x.startswith("gorun-mem verify hasty"))
    said = gorun_mem(*shlex.split(command)[1:])
    assert said.code == 1, said.err
    shown = SECTION.partition("``` \n step")[2] or SECTION.partition("```\n step")[2]
    lanes = ["step" + shown.partition("```")[0].splitlines()[0], *shown.splitlines()[1:8]]
    answered = {" ".join(line.split()) for line in said.out.splitlines()}
    for line in lanes:
        assert " ".join(line.split()) in answered, line


def test_the_repair_is_right(gorun_mem: Command, hasty: Path) -> None:
    """With Go's line the README's lock holds."""
    text = hasty.read_text()
    mended = text.replace(
        "self.v & ~SPINNING | LOCKED",
        "self.v & ~SPINNING | LOCKED | (SLEEPING if self.v & ~FLAGS else 0)",
    ).replace("import LOCKED", "import FLAGS, SLEEPING, LOCKED")
    assert mended != text
    hasty.write_text(mended)
    said = gorun_mem("verify", "hasty.py:HastyMutex", "--ms", "3", "--pairs", "1", "--cpus", "1")
    assert said.code == 0, said.out
    assert "holds: hasty.py:HastyMutex" in said.out


def test_a_counterexample_is_made_again(gorun_mem: Command, hasty: Path) -> None:
    """The token leads to the same steps; --step shows the state there."""
    said = gorun_mem("verify", "hasty.py", "--ms", "3", "--pairs", "1", "--cpus", "1")
    token = command_of(said.out)
    again = gorun_mem(*token)
    assert again.code == 1
    lanes = said.out.partition("\n\n")[0]
    assert again.out.startswith(lanes)
    at = gorun_mem(*token, "--step", "8")
    assert at.code == 0
    assert "word: M3 spinning sleeping locked" in at.out
    assert "M3: in lock: sleep" in at.out
    refused = gorun_mem(*token, "--log", "x.jsonl")
    assert refused.code == 2
    assert "--log are for runs" in refused.err


def test_a_lock_that_was_changed_departs_from_its_token(gorun_mem: Command, hasty: Path) -> None:
    """Where the code has no such step any more, replay says at which."""
    said = gorun_mem("verify", "hasty.py", "--ms", "3", "--pairs", "1", "--cpus", "1")
    token = command_of(said.out)
    hasty.write_text(hasty.read_text().replace('goto(m, "look")', 'goto(m, "take")').replace(
        "!= self.v", "== self.v"
    ))  # fmt: skip
    again = gorun_mem(*token)
    assert again.code == 1
    assert "not the one of the schedule any more: step 14" in again.out


def test_json_has_it_all(gorun_mem: Command) -> None:
    """Verdict, states, trace with the word, token; exit 0, 1, 5."""
    said = gorun_mem("verify", "sema", "--json")
    document = json.loads(said.out)
    assert (said.code, document["exit"], document["verdict"]) == (0, 0, "holds")
    assert document["states"] == 166
    assert document["trace"] == []
    failed = json.loads(gorun_mem("verify", "js", "--ms", "2", "--json").out)
    assert (failed["verdict"], failed["exit"]) == ("failed", 1)
    assert failed["wrong"] == "M2 dies: throw self deadlock"
    assert [step["word"] for step in failed["trace"]] == ["locked", ""]
    cut = gorun_mem("verify", "spinbit", "--ms", "3", "--states", "1000", "--json")
    assert (cut.code, json.loads(cut.out)["verdict"]) == (5, "inconclusive")


def test_live(gorun_mem: Command) -> None:
    """A queue lets everybody in, a futex lock does not; with the most bypasses."""
    queue = gorun_mem("verify", "queue", "--live", "--ms", "3")
    assert queue.code == 0
    assert "at most 2 others before it" in queue.out
    futex = gorun_mem("verify", "futex", "--live")
    assert futex.code == 1
    assert "M1 may wait for ever, while others get the lock: from step 3 on" in futex.out
    assert "bypasses  no bound" in futex.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("none",), "none excludes nobody"),
        (("sema", "--ms", "5"), "at most 4"),
        (("sema", "--timeouts"), "--timeouts is for notes"),
        (("sema", "--try-locks"), "sema has no try_lock"),
        (("note-sema", "--live"), "--live is for locks"),
        (("semma",), "did you mean sema?"),
    ],
)
def test_what_cannot_be_asked(gorun_mem: Command, args: tuple[str, ...], said: str) -> None:
    """Exit 2, with what to ask instead."""
    answer = gorun_mem("verify", *args)
    assert answer.code == 2
    assert said in answer.err
