"""`gorun-mem diff`: figures beside each other, the first call that differs, and --fail-on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.analysis.diff import DiffRow, compare, first_divergence
from gorun_mem.analysis.failon import parse_fail_on
from gorun_mem.analysis.metrics import ExpressionError
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.cli import main
from gorun_mem.events.types import MemReturn
from gorun_mem.runtime.mutex.book import QueueFigures
from tests.analysis.make_logs import heap, run_log, storm, toy_log

CapSys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Logs of two releases and of two mutexes."""
    folder = tmp_path_factory.mktemp("logs")
    made = {
        "go1.25": run_log(heap, heap.config(release="go1.25"))[1],
        "go1.26": run_log(heap, heap.config(release="go1.26"))[1],
        "sema": run_log(storm, storm.config(mutex="sema"))[1],
        "queue": run_log(storm, storm.config(mutex="queue"))[1],
        "info": run_log(storm, level="info")[1],
        "canonical": run_log(storm, storm.config(mutex="sema"), level="canonical")[1],
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in made}


def test_a_log_does_not_differ_from_itself(logs: dict[str, Path], capsys: CapSys) -> None:
    """No row, no call; and the verdict says so."""
    found = compare(logs["sema"], logs["sema"])
    assert found.same
    assert found.calls > 20
    assert main(["diff", str(logs["sema"]), str(logs["sema"])]) == 0
    *_, verdict, _, words = capsys.readouterr().out.splitlines()
    assert verdict == "No figure and no call differs."
    assert words.startswith("words ")


def test_rows_are_the_figures_of_each_log(logs: dict[str, Path]) -> None:
    """What stands in the table is what the analysis of each log says."""
    found = compare(logs["go1.25"], logs["go1.26"])
    rows = {(row.section, row.name): row for row in found.rows}
    alone = [LogAnalysis.read(logs[name]) for name in ("go1.25", "go1.26")]
    row = rows["pages", "final_pages"]
    assert (row.a, row.b) == tuple(one.metrics["final_pages"] for one in alone)
    row = rows["pages", "held: arenas"]
    assert (row.a, row.b) == tuple(one.memory.end.arena_bytes for one in alone)
    row = rows["fragmentation", "external, most"]
    assert (row.a, row.b) == tuple(one.fragmentation.external_max[0] for one in alone)
    row = rows["run", "release"]
    assert (row.a, row.b, row.change) == ("go1.25", "go1.26", None)
    sections = [row.section for row in found.rows]
    assert sorted(set(sections), key=sections.index) == [
        "run", "pages", "growths", "waits", "fragmentation",
    ]  # fmt: skip


def test_mutex_against_mutex(logs: dict[str, Path]) -> None:
    """Each lock's waits are compared; a queue is not bypassed."""
    rows = {row.name: row for row in compare(logs["sema"], logs["queue"]).rows}
    assert rows["memlock: bypasses max"].b == 0
    assert rows["memlock: wait"].a == LogAnalysis.read(logs["sema"]).contention.locks[
        "memlock"
    ].wait_ns.total  # fmt: skip


def returns(*parts: tuple[str, int, int]) -> Any:
    for seq, (fn, n, p) in enumerate(parts):
        yield MemReturn(
            "debug", seq, 0, 1, fn, 0, n, 0, p, n, True, "sbrk", 0, 0, 0, 0, 0, 0, 0, 0, 0
        )


def test_first_divergence_by_hand() -> None:
    """An answer that differs does not end the comparison; a request that differs does."""
    a = (("sysAllocOS", 1, 10), ("sysAllocOS", 2, 20), ("sysFreeOS", 2, 0), ("sysAllocOS", 5, 1))
    b = (("sysAllocOS", 1, 10), ("sysAllocOS", 2, 99), ("sysFreeOS", 2, 0), ("sysAllocOS", 6, 1))
    answer, request, calls = first_divergence(returns(*a), returns(*b))
    assert answer is not None
    assert (answer.calls, answer.what, answer.fields) == (1, "answer", ("p",))
    assert request is not None
    assert (request.calls, request.fields, calls) == (3, ("n",), 3)
    answer, request, calls = first_divergence(returns(*a), returns(*a[:2]))
    assert request is not None
    assert (answer, request.what, request.b, calls) == (None, "end", None, 2)
    assert first_divergence(returns(*a), returns(*a)) == (None, None, 4)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("final_pages>0", 1),
        ("final_pages<0", 0),
        ("final_pages == 1", 0),
        ("final_pages>+5%", 0),
        ("final_pages<-1%", 1),
        ("final_pages != 0%", 1),
        ("hint_misses > 0%", 1),  # from none to some is more than any percentage
        ("grows_refused>+0%", 0),  # from none to none is no change
        ("lock.memlock.hold_ns.p99 >= 0", 1),
    ],
)
def test_fail_on(expression: str, code: int, logs: dict[str, Path], capsys: CapSys) -> None:
    """Exit 1 where it holds, of the second log or of the change; 0 where it does not."""
    args = ["diff", str(logs["go1.25"]), str(logs["go1.26"]), "--fail-on", expression, "--json"]
    assert main(args) == code
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["fail_on"] == [expression]
    assert document["failed"] == ([expression.strip()] if code else [])
    assert ("holds" in err) == bool(code)


def test_any_of_several_fail_on(logs: dict[str, Path]) -> None:
    """One that holds is enough."""
    args = ["diff", str(logs["sema"]), str(logs["queue"])]
    never, always = ["--fail-on", "ms < 0"], ["--fail-on", "ms > 0"]
    assert main([*args, *never]) == 0
    assert main([*args, *never, *always]) == 1


@pytest.mark.parametrize(
    "expression", ["", "pages", "final_page>5", "final_pages>", "final_pages>+x%", "final_pages=5%",
                   "final_pages>5.5.5%", "lock.nolock.wait_ns.p99>+5%"],
)  # fmt: skip
def test_wrong_expressions(expression: str, logs: dict[str, Path], capsys: CapSys) -> None:
    """What is no expression, or names no metric, is exit 2 and one sentence."""
    args = ["diff", str(logs["sema"]), str(logs["queue"]), "--fail-on", expression]
    assert main(args) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_metric_that_one_log_does_not_have(logs: dict[str, Path], capsys: CapSys) -> None:
    """A log of level info has no calls: an expression over them cannot be judged, exit 2."""
    args = ["diff", str(logs["sema"]), str(logs["info"])]
    assert main([*args, "--fail-on", "calls>+5%"]) == 2
    assert "calls" in capsys.readouterr().err
    assert main(args) == 0


def test_canonical_against_debug(logs: dict[str, Path]) -> None:
    """The level of a log makes no metric differ but of who waited, and what it lacks is "-"."""
    found = compare(logs["sema"], logs["canonical"])
    differ = dict(found.a.metrics.items() ^ found.b.metrics.items())
    assert {name.rpartition(".")[2] for name in differ} <= set(QueueFigures._fields)
    assert found.request is None
    assert found.answer is None
    rows = {row.name: row for row in found.rows}
    assert rows["memlock: queue max"].b is None
    assert rows["memlock: wait p99"].same


def test_change() -> None:
    """Relative to the first; none where there is nothing to relate to."""
    assert DiffRow("s", "n", 10, 15).change == 0.5
    assert DiffRow("s", "n", 0, 15).change is None
    assert DiffRow("s", "n", 0, 0).change == 0.0
    assert DiffRow("s", "n", "a", "b").change is None
    assert DiffRow("s", "n", None, 3).change is None
    assert DiffRow("s", "n", 1 << 2000, 3).change is not None


def test_expressions_of_change_read_as_written() -> None:
    """Sign and spaces are free; the percent sign makes it a change."""
    for text in ("ms>+5%", "ms > 5 %", " ms>5%"):
        found = parse_fail_on(text)
        assert (found.name, found.op) == ("ms", ">")
        assert found.holds({"ms": 100}, {"ms": 106})  # type: ignore[call-arg]
        assert not found.holds({"ms": 100}, {"ms": 105})  # type: ignore[call-arg]
    with pytest.raises(ExpressionError):
        parse_fail_on("ms ~ 5%")


@pytest.mark.parametrize("bad", ["missing", "empty"])
def test_a_log_that_cannot_be_read(
    bad: str, logs: dict[str, Path], tmp_path: Path, capsys: CapSys
) -> None:
    """Exit 2 and a sentence that names it, whichever of the two it is."""
    path = tmp_path / bad
    if bad == "empty":
        path.write_bytes(b"")
    for args in ([str(path), str(logs["sema"])], [str(logs["sema"]), str(path)]):
        assert main(["diff", *args]) == 2
        err = capsys.readouterr().err
        assert bad in err
        assert len(err.strip().splitlines()) == 1


def test_the_table(logs: dict[str, Path], tmp_path: Path, capsys: CapSys) -> None:
    """Only what differs is shown, all with --all, and damage is noted by log."""
    assert main(["diff", str(logs["sema"]), str(logs["queue"])]) == 0
    out = capsys.readouterr().out
    assert "mutex" in out
    assert "max_pages" not in out
    assert "%" in out
    assert main(["diff", str(logs["sema"]), str(logs["queue"]), "--all"]) == 0
    assert "max_pages" in capsys.readouterr().out
    cut = tmp_path / "cut"
    cut.write_bytes(toy_log(1)[:5000])
    assert main(["diff", str(logs["sema"]), str(cut)]) == 0
    assert "note on B: the log was cut" in capsys.readouterr().err
