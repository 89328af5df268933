"""The rows of a sweep: one Parquet file, and beside it what was done since that was written.

Each row is appended to NAME.parquet.part as soon as it is there, so that whatever ends the sweep,
what is done is kept; at the end all rows become the file, which takes the place of the old one at
once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from gorun_mem.export.tables import load_duckdb, read_rows, write_rows
from gorun_mem.files.writing import whole_file

SweepRow = dict[str, Any]


class Store:
    """The rows of a file; a context manager, which writes them at its end.

    Args:
        path: of the file.

    Attributes:
        rows: by the name of their cells.

    Raises:
        ExportError: it is no such file, or DuckDB is not installed.
    """

    def __init__(self, path: Path) -> None:
        load_duckdb()  # before any work is done
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self.rows: dict[str, SweepRow] = {}
        self._file: IO[str] | None = None
        self._changed = False
        if path.exists():
            self._take(read_rows(path))
        if self._part.exists():
            self._take(_lines_of(self._part))
            self._changed = True

    def _take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            if isinstance(row.get("cell"), str):
                self.rows[row["cell"]] = dict(row)

    def __enter__(self) -> Store:
        self._file = self._part.open("a", encoding="utf-8")
        return self

    def add(self, row: SweepRow) -> None:
        """Keep a row, in the place of an older one of its cell."""
        assert self._file is not None
        self.rows[row["cell"]] = row
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self._changed = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        self._file.close()
        if self._changed:
            with whole_file(self.path) as fresh:
                write_rows(self.rows.values(), fresh)
        self._part.unlink()


def _lines_of(path: Path) -> Iterable[SweepRow]:
    """The rows of a file that may have been cut in the middle of a line."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue
