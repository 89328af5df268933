"""A search that is broken off and gone on with comes to what one run comes to."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from gorun_mem import cli
from gorun_mem.explore import checkpoint, explore
from gorun_mem.explore import conduct as conducting
from gorun_mem.explore.checkpoint import CheckpointError
from gorun_mem.explore.verdict import Exploration
from gorun_mem.explore.work import Work, Yielded, perform
from gorun_mem.machine.config import Config
from gorun_mem.step.strategies import for_searches
from tests.explore import explore_programs as programs
from tests.explore.test_shared_tree import steps
from tests.readme import section

Search = tuple[Any, dict[str, Any]]
FOUR = Config(ms=4)
SEARCHES: dict[str, Search] = {
    "auto, in the middle": (programs.many, {"config": FOUR, "budget": 700}),
    "auto, a bug": (programs.rare, {"config": Config(ms=3), "seed": 3, "budget": 4_000}),
    "auto, of trio": (steps, {"budget": 500}),
    "pos": (programs.many, {"config": FOUR, "strategy": "pos", "budget": 700}),
    "pct, a bug": (programs.rare, {"config": Config(ms=3), "strategy": "pct", "seed": 1}),
    "exhaustive": (programs.many, {"config": Config(ms=3), "strategy": "exhaustive"}),
    "exhaustive, cut": (programs.many, {"config": FOUR, "strategy": "exhaustive", "budget": 900}),
    "exhaustive, a bug": (programs.rare, {"config": Config(ms=3), "strategy": "exhaustive"}),
    "exhaustive, of trio": (steps, {"strategy": "exhaustive", "budget": 10_000}),
    "dfs": (programs.many, {"config": FOUR, "strategy": "dfs", "bound": 2, "budget": 900}),
    "dfs, all": (programs.kept_update, {"strategy": "dfs"}),
}


SHORT = ("dfs, all", "exhaustive, a bug")
"""One piece or two, in which no Ctrl-C may come."""


def figures(found: Exploration) -> dict[str, Any]:
    """All that a search says, but for how long it took."""
    return {name: value for name, value in found.document().items() if name != "seconds"}


class Interrupting:
    """Lets Ctrl-C come in the middle of a piece of work, now and then.

    Args:
        random: draws when.
        breaths: after fewer than so many looks for it.
    """

    def __init__(self, random: Random, breaths: int = 30) -> None:
        self.came = 0
        self._random = random
        self._breaths = breaths
        self._left = random.randrange(0, 2)

    def perform(self, worker: Any, work: Work, into: Yielded) -> None:
        self._left -= 1
        if self._left < 0:
            self._left = self._random.randrange(0, 3)
            self.came += 1
            breaths = iter(range(self._random.randrange(self._breaths)))
            worker.interrupted = lambda: next(breaths, None) is None
        else:
            worker.interrupted = lambda: False
        PERFORM(worker, work, into)


PERFORM = perform


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of work of few schedules, and a file each time that something was told."""
    monkeypatch.setattr("gorun_mem.explore.work.PIECE_RUNS", (7, 7))
    monkeypatch.setattr("gorun_mem.explore.courses.STRETCH", 48)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("seed", range(2))
def test_ctrl_c_at_any_moment_changes_nothing(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every figure, the failure and its token, however often it came."""
    program, how = SEARCHES[name]
    whole = explore(program, **how)
    interrupting = Interrupting(Random(f"{name} {seed}"))
    monkeypatch.setattr(conducting, "perform", interrupting.perform)
    file = tmp_path / "a.search"
    parts = 1
    while (found := explore(program, resume=file, **how)).interrupted:
        parts += 1
        assert found.exit_code == 130
        assert file.exists()
        assert parts < 300
    assert figures(found) == figures(whole)
    assert interrupting.came >= parts - 1 >= (0 if name in SHORT else 1)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("name", ["auto, in the middle", "exhaustive, cut", "pos", "dfs"])
def test_what_was_killed_goes_on_from_any_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file that was written on the way leads to the same end; the last one at once."""
    program, how = SEARCHES[name]
    file = tmp_path / "a.search"
    written: list[bytes] = []
    write = checkpoint.write

    def keep(path: Path, kept: Any) -> None:
        write(path, kept)
        written.append(path.read_bytes())

    monkeypatch.setattr(checkpoint, "write", keep)
    whole = explore(program, resume=file, **how)
    assert len(written) > 5
    for data in (written[0], *Random(name).sample(written, 3), written[-1]):
        file.write_bytes(data)
        assert figures(explore(program, resume=file, **how)) == figures(whole)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("strategy", ["auto", "exhaustive", "pos"])
def test_it_goes_on_in_any_number_of_processes(strategy: str, tmp_path: Path) -> None:
    """Half with one, to the end with two, further than was asked for at first."""
    how: dict[str, Any] = {"config": FOUR, "strategy": strategy}
    file = tmp_path / "a.search"
    whole = explore(programs.many, budget=600, **how)
    half = explore(programs.many, budget=300, resume=file, **how)
    assert half.statistics.schedules + half.statistics.redundant == 300
    found = explore(programs.many, budget=600, jobs=2, resume=file, **how)
    if strategy == "auto":  # its rounds are planned by what is left
        assert found.statistics.schedules == whole.statistics.schedules
    else:
        assert figures(found) == figures(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"strategy": "pos"}, "strategy is pct there and pos here"),
        ({"config": Config(ms=5)}, "ms is 4 there and 5 here"),
        ({"config": Config(ms=4, faults=("grow",))}, "faults is [] there and "),
        ({"failures_max": 2}, "failures is 1 there and 2 here"),
    ],
)
def test_the_file_of_another_search_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """By what differs; and the file stays as it is."""
    file = tmp_path / "a.search"
    how: dict[str, Any] = {"config": FOUR, "strategy": "pct", "budget": 20}
    explore(programs.many, resume=file, **how)
    before = file.read_bytes()
    with pytest.raises(CheckpointError, match="is of another search: ") as error:
        explore(programs.many, resume=file, **{**how, **change})
    assert said in str(error.value)
    with pytest.raises(CheckpointError, match="function is "):
        explore(programs.rare, resume=file, **how)
    assert file.read_bytes() == before


SCRIPT = '''
from gorun_mem import M, World, scenario
from gorun_mem.sync import Cell

@scenario(ms=2)
async def lost(world: World, *, times: int = 2) -> None:
    """An addition is lost."""
    cell = Cell("x")

    async def add(m: M) -> None:
        for _ in range(times):
            await cell.store(await cell.load() + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert cell.value > 0
'''


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goes on; and says of an edited script, of other options, of a version, what differs."""
    monkeypatch.chdir(tmp_path)
    Path("lost.py").write_text(SCRIPT)
    args = ["explore", "lost.py", "--no-detectors", "--strategy", "exhaustive"]
    assert cli.main([*args, "--budget", "10", "--resume", "a.search"]) == 5
    assert "a.search: the same command goes on, with more --budget" in capsys.readouterr().out
    assert cli.main([*args, "--budget", "500", "--resume", "a.search", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert cli.main([*args, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert found["schedules"] == whole["schedules"] > 10
    assert cli.main([*args, "--set", "times=3", "--resume", "a.search"]) == 2
    assert "option times is not given there and 3 here" in capsys.readouterr().err
    Path("lost.py").write_text(SCRIPT.replace("> 0", "> 1"))
    assert cli.main([*args, "--resume", "a.search"]) == 2
    assert "source is " in capsys.readouterr().err
    Path("lost.py").write_text(SCRIPT)
    monkeypatch.setattr(checkpoint, "VERSION", "9.9")
    assert cli.main([*args, "--resume", "a.search"]) == 2
    said = capsys.readouterr().err
    assert "a.search is of version 0.1.0, and this is 9.9" in said
    assert cli.main([*args, "--resume", "no/a.search"]) == 2
    assert "there is no folder no" in capsys.readouterr().err


def test_the_commands_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first is cut by its budget, the second goes on with two processes and finishes; the third
    says in one sentence that nobody is there."""
    monkeypatch.chdir(tmp_path)
    text = section("Searches that take long")
    lines = text.partition("```sh\n")[2].partition("```")[0].splitlines()
    pytest.importorskip("distributed")
    assert [cli.main(shlex.split(line, comments=True)[1:]) for line in lines] == [5, 0, 2]
    said = capsys.readouterr()
    assert "exhausted: 4,140 schedules" in said.out
    assert "no Dask scheduler at tcp://127.0.0.1:8786" in said.err


def test_damage_is_said_in_one_sentence(tmp_path: Path) -> None:
    """Whatever byte is lost or changed, and of files that are none: never a traceback."""
    file = tmp_path / "a.search"
    how: dict[str, Any] = {"config": FOUR, "strategy": "exhaustive", "budget": 40}
    whole = explore(programs.many, resume=file, **how)
    good = file.read_bytes()
    random = Random(1)
    for _ in range(150):
        data = bytearray(good)
        if random.random() < 0.3:
            del data[random.randrange(len(data)) :]
        else:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        file.write_bytes(data)
        said = ""
        try:
            found = explore(programs.many, resume=file, **how)
        except CheckpointError as error:
            said = str(error)
        else:  # a bit that the format leaves unused
            assert figures(found) == figures(whole)
        assert not said or re.search(r"is damaged|is no checkpoint|another version", said)
    for other in (b"", b"a scenario", good[:10]):
        file.write_bytes(other)
        with pytest.raises(CheckpointError, match="is no checkpoint of a search"):
            explore(programs.many, resume=file, **how)
    file.write_bytes(good)
    assert figures(explore(programs.many, resume=file, **how)) == figures(whole)


@pytest.mark.parametrize("what", ["hashes", "strategy"])
def test_values_that_make_no_sense_are_damage(tmp_path: Path, what: str) -> None:
    """Of the right types, in a file that is whole: who made it up is told so."""
    file = tmp_path / "a.search"
    how: dict[str, Any] = {"config": FOUR, "strategy": "pos", "budget": 10}
    explore(programs.many, resume=file, **how)
    kept = checkpoint.read(file)
    assert kept is not None
    assert kept.batch is not None
    assert kept.drawing is not None
    if what == "hashes":
        kept.batch.hashes = kept.batch.hashes[:-1]
    else:
        kept.drawing.strategy = "none"
    checkpoint.write(file, kept)
    with pytest.raises(CheckpointError, match="is damaged"):
        explore(programs.many, resume=file, **how)


def test_what_another_made_is_told_in_few_words(tmp_path: Path) -> None:
    """A version and settings that never end, and a pipe, which never ends itself."""
    file = tmp_path / "a.search"
    explore(programs.many, resume=file, config=FOUR, strategy="pos", budget=10)
    kept = checkpoint.read(file)
    assert kept is not None
    for change in (
        {"version": "9" * 100_000},
        {"program": {f"{'n' * 100}{number}": 1 for number in range(100_000)}},
    ):
        checkpoint.write(file, msgspec.structs.replace(kept, **change))
        with pytest.raises(CheckpointError) as raised:
            explore(programs.many, resume=file, config=FOUR, strategy="pos", budget=10)
        assert len(str(raised.value)) < 5000
    pipe = tmp_path / "b.search"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="is no file"):
        explore(programs.many, resume=pipe, config=FOUR, strategy="pos", budget=10)


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    """Before hours have gone by."""
    with pytest.raises(CheckpointError, match="cannot be written"):
        explore(programs.many, resume=tmp_path / "no" / "a.search", strategy="pos", budget=10)


def test_every_strategy_can_be_kept() -> None:
    """One that a search takes and no case here is of would be forgotten; one cannot be."""
    covered = {how.get("strategy", "auto") for _, how in SEARCHES.values()}
    assert covered | {"random", "urw", "surw", "states"} == set(for_searches())


def test_states_are_not_kept(tmp_path: Path) -> None:
    """What has been visited is too much for a file, which is said before anything is run."""
    with pytest.raises(CheckpointError, match="kept in no file"):
        explore(programs.many, resume=tmp_path / "a.search", strategy="states")
