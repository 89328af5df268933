"""Parquet and SQL, through DuckDB; and what is said without it."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gorun_mem.cli import main
from gorun_mem.cli._group import gorun_mem as group
from gorun_mem.cli.query import command
from gorun_mem.export.tables import ask, columns, read_rows, write_rows
from tests import heed_interrupts
from tests.analysis.make_logs import heap, run_events, run_log, storm

try:
    import duckdb
except ImportError:
    duckdb = None  # type: ignore[assignment]

needs_duckdb = pytest.mark.skipif(duckdb is None, reason="DuckDB is not installed")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "storm.jsonl.gz"
    path.write_bytes(gzip.compress(run_log(storm)[1]))
    return path


def query(log: Path, sql: str) -> Any:
    result = CliRunner().invoke(command, [str(log), sql, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    return [dict(zip(document["columns"], row, strict=True)) for row in document["rows"]]


@needs_duckdb
def test_views_hold_what_the_log_holds(log: Path) -> None:
    """Each view has as many rows as there are such events, with their figures."""
    _, events = run_events(storm)
    by = {name: [e for e in events if e.name == name] for name in {e.name for e in events}}
    (counts,) = query(
        log,
        "SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM locks) AS locks, "
        "(SELECT count(*) FROM calls) AS calls, (SELECT count(*) FROM grows) AS grows, "
        "(SELECT count(*) FROM freelist) AS freelist",
    )
    assert counts == {
        "events": len(events),
        "locks": len(by["lock.release"]),
        "calls": len(by["mem.return"]),
        "grows": len(by["mem.grow"]),
        "freelist": sum(len(by.get("freelist." + k, [])) for k in ("put", "take", "snapshot")),
    }
    for row in query(log, "SELECT * FROM locks ORDER BY seq"):
        acquired = [
            e for e in by["lock.acquire"]
            if e.lock == row["lock"] and e.m == row["m"] and e.t_ns == row["acquired_t_ns"]
            and e.seq < row["seq"]
        ]  # fmt: skip
        assert acquired[-1].bypassed == row["bypassed"]
        assert acquired[-1].prev_owner_m == row["prev_owner_m"]
        assert acquired[-1].wait_ns == row["wait_ns"]
    rows = query(log, "SELECT site, sum(wait_ns) AS w FROM locks GROUP BY site ORDER BY site")
    assert {r["site"]: r["w"] for r in rows} == {
        site: sum(e.wait_ns for e in by["lock.release"] if e.site == site)
        for site in {e.site for e in by["lock.release"]}
    }


@needs_duckdb
def test_columns_are_all_fields_with_one_type_each(log: Path) -> None:
    """Every field of every event is a column; addresses hold 64 bits."""
    names = columns()
    assert names["hint_addr"] == names["p"] == "UBIGINT"
    assert names["waiters"] == "BIGINT[]"
    assert names["blocks"] == "BIGINT[][]"
    assert {"event", "seq", "wait_ns", "purpose", "options"} <= names.keys()
    described = query(log, "DESCRIBE events")
    assert {row["column_name"] for row in described} == names.keys()


@needs_duckdb
def test_parquet_has_the_rows_in_order(log: Path, tmp_path: Path) -> None:
    """The file holds every event, sorted by seq, and its sums are the log's."""
    _, events = run_events(storm)
    file = tmp_path / "storm.parquet"
    assert main(["export", str(log), "--to", "parquet", "-o", str(file)]) == 0
    found = duckdb.sql(f"SELECT seq, event, hold_ns FROM read_parquet('{file}')")
    assert found is not None
    rows = found.fetchall()
    assert [row[:2] for row in rows] == [(e.seq, e.name) for e in events]
    held = sum(e.hold_ns for e in events if e.name == "lock.release")
    assert sum(row[2] or 0 for row in rows) == held


@needs_duckdb
def test_a_damaged_log_can_be_asked(log: Path, tmp_path: Path) -> None:
    """Lines that are none are left out, and the note says how many."""
    lines = gzip.decompress(log.read_bytes()).splitlines(keepends=True)
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(
        b"".join([*lines[:50], b"garbage\n", b'{"a":1}\n', *lines[50:90], lines[90][:9]])
    )
    result = CliRunner().invoke(
        command, [str(bad), "SELECT count(*) FROM events", "--json"], catch_exceptions=False
    )
    document = json.loads(result.stdout)
    assert document["rows"] == [[90]]
    assert document["condition"]["broken_lines"] == 2
    assert document["condition"]["foreign_lines"] == 1
    assert document["condition"]["cut"]


def run(*args: str) -> Result:
    return CliRunner().invoke(group, args)


@needs_duckdb
@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT nothing FROM events", "SELECT * FROM nowhere", "SELECT 1/", ""]
)
def test_wrong_sql_is_one_sentence(log: Path, sql: str) -> None:
    """Exit 2 and a line that says what DuckDB minds, without a traceback."""
    result = CliRunner().invoke(command, [str(log), sql])
    if sql:
        assert result.exit_code == 2
        assert "SQL: " in result.stderr
        assert len(result.stderr.strip().splitlines()) <= 4  # click's usage and the sentence
    assert "Traceback" not in result.output


@needs_duckdb
def test_table_for_people(log: Path) -> None:
    """Rows come as a table with the columns' names above."""
    result: Result = CliRunner().invoke(
        command, [str(log), "SELECT 1 AS one, 'b' AS two, NULL AS three"], catch_exceptions=False
    )
    assert [line.split() for line in result.stdout.strip().splitlines()] == [
        ["one", "two", "three"], ["1", "b"],
    ]  # fmt: skip


@needs_duckdb
def test_canonical_logs_have_locks_too(tmp_path: Path) -> None:
    """Without acquisitions the rows are there, and what only these say is NULL."""
    path = tmp_path / "thin.jsonl"
    path.write_bytes(run_log(heap, level="canonical")[1])
    rows = query(path, "SELECT count(*) AS n, count(bypassed) AS b, sum(hold_ns) AS h FROM locks")
    _, events = run_events(heap)
    released = [e for e in events if e.name == "lock.release"]
    assert rows == [{"n": len(released), "b": 0, "h": sum(e.hold_ns for e in released)}]


@pytest.mark.parametrize("verb", ["query", "export"])
def test_without_duckdb_it_says_what_to_install(
    verb: str,
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit 2 with the command to type; nothing is written."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    out = tmp_path / "o.parquet"
    args = ["query", str(log), "SELECT 1"]
    if verb == "export":
        args = ["export", str(log), "--to", "parquet", "-o", str(out)]
    assert main(args) == 2
    assert "pip install 'gorun-mem[analysis]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@needs_duckdb
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{other}')",
        "COPY (SELECT 1) TO '{other}'",
        "ATTACH '{other}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_text('/etc/passwd')",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
    ],
)
def test_sql_sees_the_log_only(tmp_path: Path, sql: str) -> None:
    """No other file, no network, no extension, and no way to allow them; what is refused says the
    option, by which files can be read."""
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    log = tmp_path / "log.jsonl"
    log.write_bytes(run_log(storm)[1])
    args = ["query", str(log), sql.format(other=other)]
    done = run(*args)
    assert done.exit_code == 2, done.output
    assert other.read_text() == "a,b\n1,2\n"
    if "read_csv('{other}')" in sql:
        done = run(*args, "--unsafe", "--json")
        assert done.exit_code == 0, done.output


@needs_duckdb
def test_events_that_do_not_fit_are_said(tmp_path: Path) -> None:
    """A time beyond 2**63 fits no column: the event is missing, and that is said."""
    log = tmp_path / "log.jsonl"
    lines = run_log(storm)[1].splitlines(keepends=True)
    late = re.sub(rb'"t_ns":\d+', b'"t_ns":9300000000000000000', lines[5])
    log.write_bytes(b"".join([*lines[:5], late, *lines[6:]]))
    done = run("query", str(log), "SELECT count(*) FROM events")
    assert done.exit_code == 0
    assert f"1 of {len(lines)} events could not be loaded" in done.output + str(done.stderr)


@needs_duckdb
def test_a_long_query_can_be_interrupted(log: Path, tmp_path: Path) -> None:
    """Ctrl-C while DuckDB computes: exit 130 within seconds, one line and no traceback."""
    long = "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range * b.range = 7"
    with subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", "query", str(log), long],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        try:
            while not list(tmp_path.glob("*/log.duckdb")):
                time.sleep(0.1)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.endswith("gorun-mem: interrupted\n")
    assert "Traceback" not in err


class _Watched:
    """A connection that notes which threads ask it."""

    def __init__(self, inner: Any, asked: list[threading.Thread]) -> None:
        self._inner, self._asked = inner, asked

    def execute(self, sql: str) -> Any:
        self._asked.append(threading.current_thread())
        return self._inner.execute(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()


@needs_duckdb
def test_the_main_thread_asks_nothing(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There DuckDB makes "RuntimeError: Query interrupted" of Ctrl-C, which would be a fault."""
    asked: list[threading.Thread] = []
    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *args: _Watched(connect(*args), asked))
    assert main(["query", str(log), "SELECT 1"]) == 0
    assert main(["export", str(log), "--to", "parquet", "-o", str(tmp_path / "a.parquet")]) == 0
    write_rows([{"a": 1}], tmp_path / "b.parquet")
    assert read_rows(tmp_path / "b.parquet") == [{"a": 1}]
    assert len(asked) > 10
    assert threading.main_thread() not in asked


@needs_duckdb
def test_a_thread_that_cannot_be_started_is_no_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little memory: there is nothing to stop, and the process was ended as interrupted."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with duckdb.connect() as connection:
        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(MemoryError, match="no thread"):
            ask(connection, "SELECT 1 AS one")
        monkeypatch.undo()
        assert ask(connection, "SELECT 1 AS one") == (["one"], [(1,)])


class _Interrupted(threading.Thread):
    """A thread whose start is interrupted once the work has begun."""

    def start(self) -> None:
        super().start()
        time.sleep(0.5)
        raise KeyboardInterrupt


@needs_duckdb
def test_an_interrupt_while_the_thread_starts_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is left at work makes `close` fail, and the process abort at its end."""
    with duckdb.connect() as connection:
        monkeypatch.setattr(threading, "Thread", _Interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(connection, "SELECT count(*) FROM range(100000) a, range(100000) b")
        monkeypatch.undo()
        assert ask(connection, "SELECT 1 AS one") == (["one"], [(1,)])


@needs_duckdb
@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "{a,b}", "~", "[!x]", "a]", "it's", "**"])
def test_a_file_is_read_by_its_name_only(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as a pattern, which others would fit, or a home folder."""
    monkeypatch.chdir(tmp_path)
    for number, other in enumerate(("a1", "ab", "b", "y")):
        write_rows([{"n": number}], Path(f"{other}.parquet"))
    path = Path(f"{name}.parquet")
    write_rows([{"n": -1}], path)
    assert read_rows(path) == [{"n": -1}]


@needs_duckdb
@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes")
def test_a_name_that_is_not_utf_8(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB takes none; that is said, and nothing is left."""
    out = os.fsencode(tmp_path) + b"/\xff.parquet"
    assert main(["export", str(log), "--to", "parquet", "-o", os.fsdecode(out)]) == 2
    assert "DuckDB takes files with UTF-8 names only" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
