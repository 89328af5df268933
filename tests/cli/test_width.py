"""Nothing is wider than the terminal, and what is no terminal gets lines as they are."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from gorun_mem import cli
from gorun_mem.bench import Row
from gorun_mem.cli import VERBS
from gorun_mem.machine.library import names
from gorun_mem.report import sections, terminal, width
from gorun_mem.report.sections import SECTIONS
from gorun_mem.report.terms import TERMS
from gorun_mem.report.width import (
    TEXT_MAX,
    cells,
    fit,
    panels,
    records,
    table_lines,
    whole_table,
)
from tests.cli.outputs import (
    OUTPUTS,
    RECORDING,
    filled,
    make_files,
    too_long,
    too_wide,
    write_files,
)
from tests.cli.run_scripts import Command, Said

MEASURED = [
    Row(
        name="debug event to a file, as it is", figure=0.7512, unit="us/event",
        peer="stock structlog, as a user would set it up", peer_figure=4.61, ratio=6.137,
        target="at least 5 times as fast", ok=True,
    ),
    Row(
        name="filtered", figure=0.061, unit="us/event", peer="stock structlog", peer_figure=0.6,
        ratio=9.8, target="at most a tenth", ok=False,
    ),
    Row(name="start-up", figure=61.0, unit="ms"),
]  # fmt: skip
"""A benchmark's rows: what it takes to measure them is not of interest here."""

NEEDED = {
    "real_program": (f"trace={RECORDING}",),
    "mutex_shootout": ("ops=20", "threads=1,4"),
    "chan_contended": ("iterations=2",),
}
"""What a scenario cannot do without, or does too much without."""


@pytest.fixture(scope="module")
def outputs_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that all commands of the table work in, with the files that they read."""
    folder = tmp_path_factory.mktemp("outputs")
    write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("gorun_mem.cli.bench.run_bench", lambda name, quick: MEASURED)
        patch.setenv("GORUN_MEM_HOME", os.fspath(folder / "home"))
        make_files(command for commands in OUTPUTS.values() for command in commands)
        yield folder


def said(command: str, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command of the table answers; it may fail, but not by a fault of ours."""
    code = cli.main(shlex.split(filled(command)))
    out, err = capsys.readouterr()
    assert code != 4, err
    assert out or err
    return Said(code, out, err)


def test_every_verb_and_section_is_in_the_table() -> None:
    """A new verb, or a new section, is missed here."""
    assert OUTPUTS.keys() == VERBS.keys()
    for name in SECTIONS:
        assert f"report storm.jsonl --section {name}" in OUTPUTS["report"]
    for verb, commands in OUTPUTS.items():
        assert commands
        assert all(shlex.split(command)[0] == verb for command in commands)


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("verb", OUTPUTS)
def test_no_output_is_wider_than_the_terminal(
    outputs_home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    columns: int,
) -> None:
    """Of any verb, its help and its errors; but for a word of a line alone that is to be pasted."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (*OUTPUTS[verb], f"{verb} --help", f"{verb} --nonsense"):
        found = said(command, capsys)
        assert too_wide(found.out, columns) == [], command
        assert too_wide(found.err, columns) == [], command


@pytest.mark.parametrize("verb", OUTPUTS)
def test_no_sentence_is_too_long_to_read(
    outputs_home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    """At 200 columns tables may be that wide, and text is not wider than 100."""
    monkeypatch.setenv("COLUMNS", "200")
    for command in (*OUTPUTS[verb], f"{verb} --help", f"{verb} --nonsense"):
        found = said(command, capsys)
        assert too_wide(found.out + found.err, 200) == [], command
        assert too_long(found.out, TEXT_MAX) == [], command
        assert too_long(found.err, TEXT_MAX) == [], command


HEADLESS = re.compile(r"(>= )?-?[\d,.]+( ns| us| ms)?|yes|no")
"""A cell of a table that has no titles."""


@pytest.mark.parametrize(
    "verb", ["run", "compare", "report", "diff", "predict", "releases", "bench"]
)
def test_every_title_has_an_entry(
    outputs_home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    """Whatever stands above a column of an output can be looked up in `explain`."""
    heads: list[list[str]] = []

    def noted(rows: Sequence[Sequence[str]], *args: Any, **kwargs: Any) -> Iterator[str]:
        heads.append([click.unstyle(cell).strip() for cell in rows[0]])
        return table_lines(rows, *args, **kwargs)

    for module in (width, terminal, sections):
        monkeypatch.setattr(module, "table_lines", noted)
    for command in OUTPUTS[verb]:
        if "mutex_shootout" not in command:  # what a scenario makes is its own
            said(command, capsys)
    titles = {
        re.sub(r"^(A|B) \S+$", r"\1", re.sub(r"^in [\d,]+$", "in N", title))
        for head in heads
        if not any(HEADLESS.fullmatch(cell) for cell in head)
        for title in head
    }
    assert len(titles) > 2
    assert [title for title in sorted(titles - {""}) if title not in TERMS] == []


@pytest.mark.parametrize("scenario", names())
def test_every_scenario_of_the_library_fits(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    """Its options, and what it finds: a picture that is too wide is cut, and goes on below."""
    monkeypatch.setenv("COLUMNS", "80")
    assert too_wide(gorun_mem("scenarios", scenario).out, 80) == []
    needed = [word for one in NEEDED.get(scenario, ()) for word in ("--set", one)]
    found = gorun_mem("run", scenario, *needed, "--host", "trampoline", "--log", "x.jsonl.zst")
    assert found.code != 2
    assert too_wide(found.out + found.err, 80) == []


def test_no_cell_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is cut has every cell once, the first column's in each part."""
    rows = [[f"c{i}r{row}" + "x" * i for i in range(12)] for row in range(3)]
    for columns in (40, 60, 80, 300):
        monkeypatch.setenv("COLUMNS", str(columns))
        words = " ".join(table_lines(rows, "<" * 12)).split()
        for row in rows:
            assert all(words.count(cell) == 1 for cell in row[1:])
            assert words.count(row[0]) >= 1
        assert whole_table(rows, "<" * 12).count("\n") == 2
    monkeypatch.delenv("COLUMNS")
    assert len(list(table_lines(rows, "<" * 12))) == 3


def test_wide_characters_and_colours_are_counted_as_they_are_shown() -> None:
    """A Chinese character takes two columns and a colour none."""
    assert cells("\x1b[1mM1\x1b[0m") == 2
    assert cells("\u9501") == 2
    rows = [["\u9501\u9501", "x"], ["abcd", "y"]]
    first, second = table_lines(rows, "<<", "")
    assert (cells(first), cells(second)) == (7, 7)


def test_what_goes_on_hangs_behind_its_label() -> None:
    """Under the text of a label, of a number, or indented."""
    text = "verdict   " + "word " * 30
    lines = fit(text.strip(), 60).split("\n")
    assert len(lines) > 2
    assert all(line.startswith(" " * 10 + "word") for line in lines[1:])
    lines = fit("  2. " + "word " * 30, 60).split("\n")
    assert all(line.startswith(" " * 5 + "word") for line in lines[1:])
    assert fit(text, 400) != text  # a sentence is never wider than TEXT_MAX
    assert max(map(len, fit(text, 400).split("\n"))) <= TEXT_MAX


def test_a_folded_command_is_the_same_command() -> None:
    """The shell reads the lines as one; what is quoted is not cut."""
    command = "gorun-mem query last 'SELECT a, b, c, d FROM events' --json " + "--set x=1 " * 9
    for columns in (40, 60, 80):
        text = fit(f"again   {command}".rstrip(), columns).replace("again   ", "")
        assert "\\\n" in text
        assert shlex.split(text.replace("\\\n", " ")) == shlex.split(command)


def test_records_have_every_cell() -> None:
    """But those that are empty."""
    lines = list(records([["a", "name"], ["1", ""], ["", "x y"]]))
    assert lines == ["row 1", "  a     1", "row 2", "  name  x y"]


def test_a_picture_is_cut_where_nothing_stands() -> None:
    """Every column is there once."""
    rows = [" ".join(f"{row}{i:02}" for i in range(30)) for row in range(3)]
    found = list(panels("\n".join(rows), 2, 50))
    assert max(map(len, found)) <= 50
    assert sorted(" ".join(found).split()) == sorted(" ".join(rows).split())


def test_what_is_no_terminal_is_not_folded(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets one line for each scenario."""
    monkeypatch.delenv("COLUMNS", raising=False)
    found = gorun_mem("scenarios")
    assert all(line[0] != " " for line in found.out.splitlines())


class Terminal:
    """Whether streams are terminals."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)


@pytest.mark.parametrize(
    ("environment", "args", "colored"),
    [
        ({}, (), True),
        ({"NO_COLOR": "1"}, (), False),
        ({"NO_COLOR": ""}, (), True),
        ({"TERM": "dumb"}, (), False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, (), True),
        ({"NO_COLOR": "1"}, ("--color", "always"), True),
        ({}, ("--color", "never"), False),
        ({}, ("--color", "auto"), True),
        ({"NO_COLOR": "1"}, ("--color", "auto"), False),
    ],
    ids=str,
)
def test_colours_are_asked_for_and_refused(
    gorun_mem: Command,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    args: tuple[str, ...],
    colored: bool,
) -> None:
    """The option first, then $NO_COLOR, then $FORCE_COLOR, then what the terminal is."""
    Terminal(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for words in (("explain", "convoy", *args), (*args, "explain", "convoy")):
        assert ("\x1b[" in gorun_mem(*words).out) is colored


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_color(gorun_mem: Command, verb: str) -> None:
    """It is in the help of each."""
    assert "--color [auto|always|never]" in gorun_mem(verb, "--help").out


def test_a_pipe_has_no_colours_unless_asked(gorun_mem: Command) -> None:
    """And JSON never has any."""
    assert "\x1b" not in gorun_mem("explain", "convoy").out
    assert "\x1b" in gorun_mem("explain", "convoy", "--color", "always").out
    assert "\x1b" not in gorun_mem("explain", "convoy", "--color", "always", "--json").out


@pytest.mark.parametrize("columns", ["9" * 5000, "\u00b2", "\u0669", "-5", "0", "x", "9" * 10])
def test_a_width_that_is_none_is_not_heeded(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """An environment is anybody's: a superscript is a digit, and 5,000 of them no int."""
    monkeypatch.setenv("COLUMNS", columns)
    found = width.width()
    assert found is None or width.LEAST <= found <= width.MOST
    assert cli.main(["scenarios"]) == 0
    assert os.environ["COLUMNS"] == columns
