"""A log as a table in DuckDB: for Parquet, and for SQL.

The log is first copied without what is damaged, so that a cut or edited log can be asked too, and
then read by DuckDB with the types of the schema: one column for each field of any event, addresses
as UBIGINT, what an event does not have as NULL. Both the copy and the table lie in a folder that is
removed afterwards.

Besides `events` there are views:

    locks      one row for each hold that ended: what its acquisition cost, who waited at its end
    calls      one row for each call of the OS layer that returned, with `call_t_ns`
    grows      growths asked for
    freelist   what was put, taken and shown of the free list
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from gorun_mem._interrupts import HeldInterrupts, end_now
from gorun_mem.analysis.stream import BatchReader, LogCondition, Progress, refuse_if_empty
from gorun_mem.events.reader import Source
from gorun_mem.events.types import EVENT_TYPES
from gorun_mem.export.output import ExportError

if TYPE_CHECKING:
    import duckdb

VIEWS: Final[dict[str, str]] = {
    "locks": """
        SELECT lock, m, site, op, seq, t_ns - hold_ns AS acquired_t_ns, t_ns AS released_t_ns,
            contended, wait_ns, hold_ns, spins, sleeps, blocked_ns, len(waiters) AS waiters, next_m,
            bypassed, queue_depth, prev_owner_m
        FROM (
            SELECT * REPLACE (
                lag(CASE WHEN event = 'lock.acquire' THEN bypassed END) OVER w AS bypassed,
                lag(CASE WHEN event = 'lock.acquire' THEN queue_depth END) OVER w AS queue_depth,
                lag(CASE WHEN event = 'lock.acquire' THEN prev_owner_m END) OVER w AS prev_owner_m)
            FROM events WHERE event IN ('lock.acquire', 'lock.release')
            WINDOW w AS (PARTITION BY lock ORDER BY seq)
        ) WHERE event = 'lock.release'""",
    "calls": """
        SELECT seq, op, m, fn, purpose, v, n, align, p, size, ok, path, t_ns - dur_ns AS call_t_ns,
            t_ns AS return_t_ns, dur_ns, search_steps, cleared_bytes, pages, bloc, bloc_max,
            free_bytes, free_blocks, free_largest
        FROM events WHERE event = 'mem.return'""",
    "grows": """
        SELECT seq, t_ns, m, op, site, delta_pages, pages_before, pages_after, ok, max_pages,
            ordinal, delta_bytes, bytes_before, bytes_after
        FROM events WHERE event = 'mem.grow'""",
    "freelist": """
        SELECT seq, t_ns, m, op, event, addr, size, block_addr, block_size, exact, "index",
            merged_prev, merged_next, result_addr, result_size, cause, blocks, reason
        FROM events WHERE event IN ('freelist.put', 'freelist.take', 'freelist.snapshot')""",
}
"""Name -> what it selects; columns keep the names that the log has."""

T = TypeVar("T")
_scratch: Final[list[str]] = []
"""The folders that databases of this process lie in."""

MISSING: Final = "this needs DuckDB, which is not installed: pip install 'gorun-mem[analysis]'"


def load_duckdb() -> Any:
    """The module; Ctrl-C comes once it is imported, for there it would abort, or be lost.

    Raises:
        ExportError: it is not installed.
    """
    with HeldInterrupts():
        try:
            import duckdb
        except ImportError:
            raise ExportError(MISSING) from None
    return duckdb


def columns() -> dict[str, str]:
    """Column -> DuckDB's type, for all fields of all events, the envelope first."""
    found = {
        "event": "VARCHAR", "level": "VARCHAR", "seq": "BIGINT", "t_ns": "BIGINT", "m": "BIGINT",
        "op": "BIGINT", "site": "VARCHAR", "g": "BIGINT", "timestamp": "VARCHAR",
    }  # fmt: skip
    for kind in EVENT_TYPES:
        for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            found.setdefault(field.encode_name, _sql_type(field.type))
    return found


def _sql_type(kind: Any) -> str:
    inspect = msgspec.inspect
    if isinstance(kind, inspect.Metadata):
        extra = kind.extra_json_schema or {}
        return "UBIGINT" if extra.get("x-address") else _sql_type(kind.type)
    if isinstance(kind, inspect.IntType):
        return "BIGINT"
    if isinstance(kind, inspect.BoolType):
        return "BOOLEAN"
    if isinstance(kind, inspect.FloatType):
        return "DOUBLE"
    if isinstance(kind, inspect.VarTupleType):
        return _sql_type(kind.item_type) + "[]"
    if isinstance(kind, inspect.TupleType):
        return _sql_type(kind.item_types[0]) + "[]"
    if isinstance(kind, inspect.DictType):
        return "JSON"
    return "VARCHAR"


def copy_events(source: Source, file: IO[bytes], progress: Progress | None = None) -> LogCondition:
    """Write the lines of a log that are events, without compression.

    Raises:
        LogError: the log cannot be read, or there is no event in it.
    """
    reader = _CopyingReader(source, file)
    lines = 0
    for _ in reader.batches():
        if progress is not None:
            progress(reader.lines - lines)
            lines = reader.lines
    refuse_if_empty(reader)
    return reader.condition()


class _CopyingReader(BatchReader):
    """Writes each block as it was read, or its events again where it holds something else too."""

    def __init__(self, source: Source, file: IO[bytes]) -> None:
        super().__init__(source)
        self._file = file
        self._encoder = msgspec.json.Encoder()

    def _events(self, block: bytes) -> list[Any]:
        events = super()._events(block)
        if len(events) == block.count(b"\n") and block.endswith(b"\n"):
            self._file.write(block)
        elif events:
            self._file.write(self._encoder.encode_lines(events))
        return events


@contextmanager
def database(
    source: Source, progress: Progress | None = None, *, locked: bool = False
) -> Iterator[tuple[duckdb.DuckDBPyConnection, LogCondition]]:
    """A connection to a database that holds the log, and the log's condition.

    Args:
        source: the log.
        progress: called with lines read.
        locked: let SQL open no other file, no network and no extension, and change no setting.

    Raises:
        ExportError: DuckDB is not installed, or there is no room for the copy.
        LogError: the log cannot be read, or there is no event in it.
    """
    duckdb = load_duckdb()
    with tempfile.TemporaryDirectory(prefix="gorun_mem-") as folder:
        _scratch.append(folder)
        copy = Path(folder) / "events.jsonl"
        try:
            with copy.open("wb") as file:
                condition = copy_events(source, file, progress)
        except OSError as error:
            raise ExportError(
                f"cannot copy the log to {folder}: {error.strerror or error}; "
                "name a folder with more room in $TMPDIR"
            ) from None
        with duckdb.connect(str(Path(folder) / "log.duckdb")) as connection:
            try:
                _in_thread(connection, lambda: _load(connection, copy))
            except duckdb.Error as error:
                raise ExportError(f"DuckDB cannot load the log: {one_line(error)}") from None
            copy.unlink()
            if locked:
                for setting in _LOCKED:
                    ask(connection, setting)
            yield connection, _with_lost_rows(connection, condition)


_LOCKED: Final = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


def _with_lost_rows(connection: duckdb.DuckDBPyConnection, condition: LogCondition) -> LogCondition:
    """The condition, where events did not fit into the table: times beyond 64 bits."""
    _, ((loaded,),) = ask(connection, "SELECT count(t_ns) FROM events")
    lost = condition.events - loaded
    if lost <= 0:
        return condition
    return replace(condition, unloaded=lost)


def _load(connection: duckdb.DuckDBPyConnection, copy: Path) -> None:
    types = ", ".join(f"{_quoted(name)}: {_literal(kind)}" for name, kind in columns().items())
    connection.execute("SET enable_progress_bar = false")  # it goes to stdout
    connection.execute(
        f"CREATE TABLE events AS SELECT * FROM read_json({_file(copy)}, "
        f"format='newline_delimited', columns={{{types}}}, ignore_errors=true, "
        "maximum_object_size=67108864)"
    )
    for name, select in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {select}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _file(path: Path) -> str:
    """The literal of a file's name.

    Raises:
        ExportError: DuckDB takes none that is not UTF-8.
    """
    try:
        os.fspath(path).encode()
        return _literal(os.path.abspath(path))
    except UnicodeEncodeError:
        raise ExportError("DuckDB takes files with UTF-8 names only: name another file") from None


def _one(path: Path) -> Path:
    """A pattern that only this file has: what DuckDB reads may be many."""
    return Path(re.sub(r"[][*?{}]", r"[\g<0>]", os.path.abspath(path)))


def one_line(error: Exception) -> str:
    """What DuckDB says, without the drawing of where."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("LINE ", "^"))]
    return " ".join(said).rstrip(".")


def write_parquet(
    source: Source, path: Path, progress: Progress | None = None
) -> tuple[LogCondition, int]:
    """Write a log's events as Parquet.

    Args:
        source: the log.
        path: the file.
        progress: called with lines read.

    Returns:
        The log's condition, and how many rows were written.

    Raises:
        ExportError: DuckDB is not installed, or the file cannot be written.
        LogError: the log cannot be read.
    """
    duckdb = load_duckdb()
    with database(source, progress) as (connection, condition):
        try:
            path.touch()  # DuckDB's own words on a file that cannot be made are many
            ask(
                connection,
                f"COPY (SELECT * FROM events ORDER BY seq) TO {_file(path)} "
                "(FORMAT parquet, COMPRESSION zstd)",
            )
        except duckdb.Error as error:
            raise ExportError(f"DuckDB cannot write the file: {one_line(error)}") from None
        _, ((count,),) = ask(connection, "SELECT count(*) FROM events")
    return condition, count


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows as Parquet: a column for each name, NULL where a row does not have it.

    Args:
        rows: of values that JSON has; at least one.
        path: the file.

    Raises:
        ExportError: DuckDB is not installed, or the file cannot be written.
    """
    duckdb = load_duckdb()
    kept = list(rows)
    types = row_types(kept)
    texts = {name for name, kind in types.items() if kind == "VARCHAR"}
    with tempfile.TemporaryDirectory(prefix="gorun_mem-") as folder:
        copy = Path(folder) / "rows.jsonl"
        encoder = msgspec.json.Encoder()
        with copy.open("wb") as file:
            for row in kept:
                plain_row = {k: _text(v) if k in texts else v for k, v in row.items()}
                file.write(encoder.encode(plain_row) + b"\n")
        columns_ = ", ".join(f"{_quoted(name)}: {_literal(kind)}" for name, kind in types.items())
        try:
            with duckdb.connect() as connection:
                ask(connection, "SET enable_progress_bar = false")
                ask(
                    connection,
                    f"COPY (SELECT * FROM read_json({_file(copy)}, "
                    f"format='newline_delimited', columns={{{columns_}}}, "
                    "maximum_object_size=67108864)) "
                    f"TO {_file(path)} (FORMAT parquet, COMPRESSION zstd)",
                )
        except duckdb.Error as error:
            raise ExportError(f"DuckDB cannot write {path}: {one_line(error)}") from None


def row_types(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """DuckDB's type of each column of rows: of numbers where all are, or else text."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            seen.setdefault(name, set()).add(_type_of(value))
    return {name: _common_type(types - {""}) for name, types in seen.items()}


def _type_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "BIGINT" if -(1 << 63) <= value < 1 << 63 else "DOUBLE"
    return "DOUBLE" if isinstance(value, float) else "VARCHAR"


def _common_type(types: set[str]) -> str:
    if len(types) == 1:
        return next(iter(types))
    return "DOUBLE" if types == {"BIGINT", "DOUBLE"} else "VARCHAR"


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file; NULL is left out.

    Raises:
        ExportError: DuckDB is not installed, or it is no such file.
    """
    duckdb = load_duckdb()
    try:
        with duckdb.connect() as connection:
            names, rows = ask(connection, f"SELECT * FROM read_parquet({_file(_one(path))})")
            return [
                {name: value for name, value in zip(names, row, strict=True) if value is not None}
                for row in rows
            ]
    except duckdb.Error as error:
        raise ExportError(f"{path} cannot be read: {one_line(error)}") from None


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[Any]]:
    """The columns and rows that SQL asks for.

    Raises:
        duckdb.Error: the SQL is wrong.
        KeyboardInterrupt: Ctrl-C; what was computed is dropped.
    """

    def work() -> tuple[list[str], list[Any]]:
        connection.execute(sql)
        names = [column[0] for column in connection.description or []]
        return names, connection.fetchall()

    return _in_thread(connection, work)


def _in_thread(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """What `work` comes to, in a thread of its own: while DuckDB computes it hears of no signal, or
    makes a RuntimeError of what one raises."""
    found: list[T] = []
    failed: list[BaseException] = []
    done = threading.Event()  # an interrupted `join` takes a thread for one that has ended

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="DuckDB", daemon=True)
    begun = True  # Ctrl-C may come out of `start` while the thread is at work
    try:
        try:
            thread.start()
        except RuntimeError:  # which is all that Python says of it
            begun = False
            raise MemoryError("no thread can be started") from None
        while not done.wait(0.1):
            pass
    except BaseException:
        if begun:
            _stop(connection, done)
        raise
    if failed:
        raise failed[0]
    return found[0]


def _stop(connection: duckdb.DuckDBPyConnection, done: threading.Event) -> None:
    """Let the thread end; or the process, where DuckDB takes no interruption while it computes:
    neither it nor what it works on can be taken apart then, and there is nothing to lose."""
    with HeldInterrupts():  # a second one would leave the thread at work
        try:
            connection.interrupt()
        except Exception:
            pass
        if not done.wait(2):
            for folder in _scratch:
                shutil.rmtree(folder, ignore_errors=True)
            end_now()


def plain(value: Any) -> Any:
    """A value of a result as JSON can carry it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return str(value)
