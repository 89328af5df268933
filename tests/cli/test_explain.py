"""`explain`: every word that an output uses has an entry, and every entry's command works."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gorun_mem.calibration import __doc__ as calibration
from gorun_mem.cli import ExitCode
from gorun_mem.cli._group import VERBS
from gorun_mem.cli._named import SORTS, named
from gorun_mem.report.terms import TERMS, WORDS, Term, UnknownTerm, look_up, metric_terms
from gorun_mem.step.strategies import STRATEGIES
from tests import DATA, PACKAGE
from tests.cli.outputs import RECORDING, write_files
from tests.cli.run_scripts import Command


def _titles_of(path: Path) -> Iterator[str]:
    """The columns of every `table_of`: strings with | and no space around it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if re.fullmatch(r"[^|\n]*(\|[^|\n]+)+", node.value) and " |" not in node.value:
            yield from (title for title in node.value.split("|") if title)


def _heads_of(path: Path) -> Iterator[str]:
    """The first rows of the tables that are made of tuples of words."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        value = node.value.elts[0] if isinstance(node.value, ast.List) and node.value.elts else None
        head = value if isinstance(value, ast.Tuple) else node.value
        if isinstance(head, ast.Tuple) and len(head.elts) > 3:
            words = [one.value for one in head.elts if isinstance(one, ast.Constant)]
            if len(words) == len(head.elts):
                yield from (word for word in words if isinstance(word, str))


def test_every_column_of_the_report_has_an_entry() -> None:
    """Of every section, whether its table has rows or not."""
    report = PACKAGE / "report"
    titles = {*_titles_of(report / "locksections.py"), *_titles_of(report / "memorysections.py")}
    assert len(titles) > 50
    assert not [title for title in sorted(titles) if title not in TERMS]


@pytest.mark.parametrize(
    ("file", "some"),
    [("report/terminal.py", {"acquired", "wait p50", "failed"}), ("cli/releases.py", {"holes"})],
)
def test_every_column_of_a_summary_has_an_entry(file: str, some: set[str]) -> None:
    """Of `run` and of `releases`."""
    titles = set(_heads_of(PACKAGE / file))
    assert some <= titles
    assert not [title for title in sorted(titles) if title not in TERMS]


def test_every_metric_has_an_entry(gorun_mem: Command) -> None:
    """Whatever stands in `metrics` of a run can be looked up."""
    said = gorun_mem("run", "memlock_storm", "--ms", "2", "--json")
    metrics = json.loads(said.out)["metrics"]
    assert len(metrics) > 40
    for name in metrics:
        assert look_up(name).text


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_explained(gorun_mem: Command, strategy: str) -> None:
    """By the name that --strategy takes: by its entry, or by what its file says."""
    assert strategy in gorun_mem("explain", strategy).out


@pytest.mark.parametrize("verdict", ["exhausted", "survived", "failed", "inconclusive"])
def test_every_verdict_has_an_entry(verdict: str) -> None:
    """By the word that `explore` says."""
    assert look_up(verdict).group == "searches"


def test_the_words_of_summaries_have_entries() -> None:
    """Whatever the last line of one may say."""
    words = set()
    for path in [PACKAGE / "report" / "worth.py", *(PACKAGE / "cli").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            is_yield = path.name == "worth.py" and isinstance(node, ast.Yield | ast.YieldFrom)
            is_line = isinstance(node, ast.Call) and ast.unparse(node.func) == "look_up_line"
            if is_yield or is_line:
                words |= {
                    one.value
                    for one in ast.walk(node)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    assert len(words) > 15
    assert not [word for word in sorted(words) if word not in TERMS]


WITHOUT_SUMMARY = {
    "scenarios", "export", "query", "serve", "connect", "view", "explain", "completion", "man",
}  # fmt: skip
"""Verbs that answer, write or serve, and sum nothing up."""
SUMMARIES = {
    "run": "run memlock_storm --ms 2 --log a.jsonl",
    "compare": "compare memlock_storm --ms 2 --set rounds=2 --mutex sema --mutex queue --seeds 2",
    "explore": "explore lessons/ab_ba --save a.schedule",
    "verify": "verify js",
    "replay-schedule": "replay-schedule a.schedule",
    "report": "report a.jsonl",
    "diff": "diff a.jsonl a.jsonl",
    "record": "",  # it needs a binary
    "predict": f"predict {RECORDING} --release go1.26",
    "releases": f"releases {RECORDING} --of go1.27",
    "sweep": "sweep grid.toml",
    "ops": "ops --check {data}/ops/1.19.8-wasm-random-1.txt.gz",
    "replay": f"replay {RECORDING}",
    "bench": "bench events --quick",
}


def test_every_summary_ends_with_two_words(gorun_mem: Command, home: Path) -> None:
    """Of each verb that has one; a new verb says whether it does."""
    assert WITHOUT_SUMMARY | SUMMARIES.keys() == VERBS.keys()
    write_files(home)
    for verb, command in SUMMARIES.items():
        if command:
            said = gorun_mem(*shlex.split(command.format(data=DATA)))
            last = said.out.splitlines()[-1]
            assert re.fullmatch(r"words +gorun-mem explain .+; gorun-mem explain .+", last), verb


def test_a_word_means_one_thing() -> None:
    """No other spelling is another entry's word, or another entry's spelling."""
    names = [name for term in WORDS for name in (term.word, *term.also)]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize("term", [*WORDS, *metric_terms()], ids=lambda term: term.word)
def test_an_entry_is_found_and_its_command_is_one(term: Term) -> None:
    """By its word; the example names a verb that there is."""
    if not term.word.startswith("lock.NAME") and term.group != "metrics":
        assert look_up(term.word) == term
        assert look_up(term.word.upper()) == term
    assert term.text.endswith(".")
    assert term.example
    words = shlex.split(term.example.rpartition("| ")[2])
    assert words[0] == "gorun-mem"
    assert words[1] in VERBS


@pytest.mark.parametrize("example", sorted({term.example for term in WORDS}))
def test_the_examples_of_the_words_run(gorun_mem: Command, example: str) -> None:
    """Each answers: no usage error and no fault of ours."""
    words = shlex.split(example)
    if "|" in words or words[1] in {"serve", "explain", "bench"}:  # which do not end, or take long
        return
    if "report" in words:
        assert gorun_mem("run", "memlock_storm", "--ms", "4").code == 0
    assert gorun_mem(*words[1:]).code in {ExitCode.CLEAN, ExitCode.FAILED, ExitCode.HANG}


def test_a_word_is_said_with_its_formula_and_a_command(gorun_mem: Command) -> None:
    """As text, and as JSON."""
    said = gorun_mem("explain", "fairness")
    assert said.code == 0
    assert "Jain's index" in said.out
    assert "formula: (sum x)^2 / (n sum x^2)" in said.out
    assert "try:     gorun-mem run memlock_storm --ms 8" in said.out
    document = json.loads(gorun_mem("explain", "wait", "p50", "--json").out)
    assert look_up("p50").word == document["word"]
    assert document["text"]


def test_a_typing_error_is_answered_with_the_word_that_was_meant(gorun_mem: Command) -> None:
    """Exit 2, the word, the nearest, and what lists them."""
    said = gorun_mem("explain", "convoi")
    assert (said.code, said.out) == (2, "")
    assert "no word 'convoi': did you mean convoy? gorun-mem explain lists them" in said.err
    with pytest.raises(UnknownTerm, match="gorun-mem explain lists them"):
        look_up("zzzzzz")


def test_without_a_word_all_are_listed(gorun_mem: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 80 columns; as JSON with their texts."""
    monkeypatch.setenv("COLUMNS", "80")
    said = gorun_mem("explain")
    assert all(len(line) <= 80 for line in said.out.splitlines())
    flat = " ".join(said.out.split())
    assert all(term.word in flat for term in [*WORDS, *metric_terms()])
    document = json.loads(gorun_mem("explain", "--json").out)
    assert len(document["terms"]) == len(WORDS) + len(list(metric_terms()))


@pytest.mark.parametrize("sort", SORTS)
def test_every_name_of_a_sort_is_explained(gorun_mem: Command, sort: str) -> None:
    """Listed within 80 columns, each with what it is, by a command that is one."""
    texts = SORTS[sort].texts()
    assert json.loads(gorun_mem("explain", sort, "--json").out) == {sort: texts}
    assert len(texts) > 3
    for name, text in texts.items():
        assert text, name
        (one,) = (each for each in named(name) if each.group == SORTS[sort].about)
        assert shlex.split(one.example)[1] in VERBS
        assert "{}" not in one.example


def test_a_name_is_said_with_what_it_has(gorun_mem: Command) -> None:
    """An event with its fields, a part of the kit with its operations, and not its hooks."""
    event = gorun_mem("explain", "lock.acquire").out
    assert "lock.acquire, an event of the log" in event
    assert "wait_ns       virtual ns from asking to having" in event
    assert "seq" not in event
    document = json.loads(gorun_mem("explain", "rwlock", "--json").out)
    assert set(document["parts"]) == {
        "acquire_read", "try_acquire_read", "release_read", "reading",
        "acquire_write", "try_acquire_write", "release_write", "writing",
    }  # fmt: skip
    assert gorun_mem("explain", "futexsleep").out.startswith("futexsleep, a kind of step\n  260 ns")


def test_a_word_that_is_a_name_too_is_said_as_both(gorun_mem: Command) -> None:
    """The word first; in JSON the names stand beside it."""
    said = gorun_mem("explain", "sleep").out
    heads = [line for line in said.splitlines() if line[0] != " "]
    assert heads == ["sleep", "sleep, a kind of step", "sleep, what an M awaits"]
    document = json.loads(gorun_mem("explain", "sleep", "--json").out)
    assert [each["group"] for each in document["others"]] == ["a kind of step", "what an M awaits"]
    assert "did you mean spinbit?" in gorun_mem("explain", "spinbitt").err


def test_exit_codes_are_all_there(gorun_mem: Command) -> None:
    """Each of them, with what it says."""
    document = json.loads(gorun_mem("explain", "exit-codes", "--json").out)
    assert set(document["codes"]) == {str(int(code)) for code in ExitCode}
    said = gorun_mem("explain", "exit", "codes").out
    assert "130  interrupted" in said
    assert set(document["verbs"]) >= {"run", "explore", "compare", "diff", "predict", "verify"}
    for verb, text in document["verbs"].items():
        codes = re.findall(r"(?:^|; |: |, )(\d+)\b", text)
        assert codes, verb
        assert set(codes) <= set(document["codes"]), verb
        assert f"  {verb} " in said


def test_calibration_is_the_package_s_own_text(
    gorun_mem: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copy: every word of it, within 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    said = gorun_mem("explain", "calibration")
    assert said.out.split() == (calibration or "").split()
    assert max(map(len, said.out.splitlines())) <= 80
