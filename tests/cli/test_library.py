"""Scenarios are found by name and by path; what is wrong with a script is said in a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gorun_mem.machine import library
from gorun_mem.machine.scenario import ScenarioError
from tests.cli.run_scripts import STORM, write

TWO = STORM + STORM.replace("async def storm", "async def other")


def refusal(reference: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        library.find(reference)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_name_of_the_library_is_found() -> None:
    """The ten scenarios of the project are there, each named as its file."""
    names = library.names()
    assert {"memlock_storm", "leaked_lock", "real_program"} <= set(names)
    for name in names:
        scenario = library.find(name)
        assert (scenario.name, scenario.label) == (name, name)
        assert scenario.summary


def test_a_path_is_the_label_and_nothing_stays_behind(tmp_path: Path) -> None:
    """A script is loaded by path without a trace in sys.modules, sys.path or the folder."""
    write(tmp_path, "VALUE = 7\n", "beside.py")
    path = write(tmp_path, "from beside import VALUE\nassert VALUE == 7\n" + STORM)
    modules, paths = set(sys.modules), list(sys.path)
    scenario = library.find(path)
    assert (scenario.name, scenario.label, scenario.file) == ("storm", path, path)
    assert len(scenario.sha256) == 64
    assert not {name for name in set(sys.modules) - modules if "storm" in name or name == "beside"}
    assert sys.path == paths
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == [
        "beside.py", "storm.py",
    ]  # fmt: skip


def test_two_scripts_of_one_name_do_not_meet(tmp_path: Path) -> None:
    """Each script is its own module, its helpers too, whatever they are called."""
    found = []
    for n in (1, 2):
        folder = tmp_path / str(n)
        folder.mkdir()
        write(folder, f"VALUE = {n}\n", "helper.py")
        script = STORM.replace("= 20", "= VALUE")
        found.append(library.find(write(folder, "from helper import VALUE\n" + script)))
    assert [scenario.options["rounds"].default for scenario in found] == [1, 2]


def test_of_several_scenarios_one_is_picked_by_name(tmp_path: Path) -> None:
    """`path.py:name` picks; without it the refusal lists what there is."""
    path = write(tmp_path, TWO)
    assert library.find(f"{path}:other").name == "other"
    assert library.find(f"{path}:other").label == f"{path}:other"
    assert refusal(path) == (
        f"{path} defines 2 scenarios, storm, other: say which, as in {path}:storm"
    )
    assert refusal(f"{path}:third") == f"{path} has no scenario 'third'; it has storm, other"


def test_an_imported_scenario_is_not_the_scripts_own(tmp_path: Path) -> None:
    """A script that uses another's scenario defines none by that."""
    write(tmp_path, STORM)
    path = write(tmp_path, "from storm import storm\n", "user.py")
    assert refusal(path).startswith(f"{path} defines no scenario: put @scenario()")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\nimport nowhere\n", "ModuleNotFoundError: No module named 'nowhere', line 2"),
        ("x = (\n", "SyntaxError: '(' was never closed, line 1"),
        ("\n\nundefined\n", "NameError: name 'undefined' is not defined, line 3"),
        ("def f():\n    raise ValueError('two\\nlines')\n\nf()\n", "ValueError: two lines, line 2"),
        (
            "from gorun_mem import scenario\n@scenario()\nasync def s(world, *, n): ...\n",
            "ScenarioError: scenario 's': option 'n' has no default; give it one, line 2",
        ),
    ],
)  # fmt: skip
def test_a_script_that_does_not_run_says_its_error_and_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    """The script's own error and its line, not one of ours."""
    path = write(tmp_path, text)
    assert refusal(path) == f"scenario script {path} does not run: {reason}"


def test_a_script_that_exits_is_refused(tmp_path: Path) -> None:
    """sys.exit at import time does not end the command."""
    assert "exits when it is imported" in refusal(write(tmp_path, "raise SystemExit(0)\n"))


def test_a_missing_script_names_those_beside_it(tmp_path: Path) -> None:
    """What is not there is said with what is."""
    path = write(tmp_path, STORM)
    missing = path.replace("storm", "strom")
    assert refusal(missing) == f"no scenario script {missing}; scripts there are storm.py"
    assert "Is a directory" in refusal(str(tmp_path) + "/")


def test_an_unknown_name_has_a_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt name is met with the nearest and the list; a file of that name with its path."""
    message = refusal("memlok_storm")
    assert message.startswith("no scenario 'memlok_storm': did you mean memlock_storm? ")
    assert all(name in message for name in library.names())
    monkeypatch.chdir(tmp_path)
    write(tmp_path, STORM)
    assert "did you mean ./storm.py?" in refusal("storm")


def test_a_strangers_folder_beside_an_installed_package_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the packaged folder, or one in a source tree, is the library."""
    package = tmp_path / "gorun_mem"
    (tmp_path / "scenarios").mkdir()
    package.mkdir()
    write(tmp_path / "scenarios", STORM)
    monkeypatch.setattr(library, "_PACKAGE", package)
    assert library.names() == []
    assert "no scenario is installed" in refusal("storm")
    (tmp_path / "pyproject.toml").touch()
    assert library.names() == ["storm"]
    (package / "scenarios").mkdir()
    write(package / "scenarios", STORM.replace("storm", "packaged"), "packaged.py")
    write(package / "scenarios", "", "_common.py")
    assert library.names() == ["packaged"]
    assert library.find("packaged").label == "packaged"
