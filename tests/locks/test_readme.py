"""What the README says of one's own lock runs as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gorun_mem.cli import main
from tests.readme import section

CHAPTER = section("Your own lock").partition("\n#### ")[0]


def block(name: str) -> str:
    """The file of that name in the README."""
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", CHAPTER, re.DOTALL)
    assert found is not None
    return found[1]


def write(folder: Path) -> None:
    """Both files, where the commands are run."""
    for name in ("mylocks.py", "test_mylocks.py"):
        (folder / name).write_text(block(name))


def test_the_tests_pass_and_see_a_broken_lock(pytester: pytest.Pytester) -> None:
    """As they stand; and with a ticket that is drawn in two steps the first fails as is said."""
    write(pytester.path)
    pytester.syspathinsert()
    passed = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    passed.assert_outcomes(passed=2)
    broken = block("mylocks.py").replace(
        "ticket = await self.next.add(1) - 1",
        "ticket = await self.next.load()\n        await self.next.store(ticket + 1)",
    )
    (pytester.path / "mylocks.py").write_text(broken)
    failed = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-k", "loses")
    failed.assert_outcomes(failed=1)
    report = " ".join(failed.stdout.str().split())
    said = CHAPTER[CHAPTER.index("FAILED: throw") :].partition("```")[0]
    for part in said.split("..."):
        assert " ".join(part.split()) in report, failed.stdout.str()


@pytest.mark.parametrize("line", [one for one in CHAPTER.splitlines() if one[:10] == "gorun-mem "])
def test_the_commands_end_well(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the file; a search may use its budget up."""
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    command = shlex.split(line, comments=True)[1:]
    code = main(command)
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    assert "mylocks.py:" in said.out or "survived" in said.out


def test_both_kinds_of_lock_are_short() -> None:
    """The two locks together, by lines that are not empty."""
    lines = [line for line in block("mylocks.py").splitlines() if line.strip()]
    assert len(lines) <= 40
