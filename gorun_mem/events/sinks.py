"""Where encoded lines go: a file, plain or compressed, or a list.

A sink takes one encoded event at a time, without its newline. `FileSink` collects lines up to
64 KiB and writes them out by size; it can be handed events in their place, which it encodes when it
writes them out, many in one call: half of what a line costs is the way from one to the next. A
thread flushes what is left twice a second, so that a killed run leaves all but its last second
whatever the program does meanwhile, a loop without awaits included. It costs nothing: appending to
a list is atomic, and the one lock is taken once per flush.

Rejected: looking at the clock every N events, because a run that logs slowly, or hangs, would keep
its last N lines for ever; compressing in that thread, because the interpreter would switch between
the two for every block; `open(..., buffering=...)` with `gzip.GzipFile`, which is 3 times slower a
line and hides how much of a failed write is on the disk.

The lines are the same bytes for the same events. The compressed bytes are not, for they also depend
on when the flushes came.
"""

from __future__ import annotations

import os
import stat
import threading
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol

from gorun_mem._interrupts import start_thread
from gorun_mem.events.errors import LogError
from gorun_mem.files.marks import hold
from gorun_mem.files.writing import open_for_writing

BUFFER_BYTES: Final = 64 * 1024
"""Lines kept before they are written; a longer line is written at once."""
EVENT_BYTES: Final = 256
"""What an event is taken for while it is not encoded; their lines have 130 to 500 bytes."""
FLUSH_SECONDS: Final = 0.5
"""Time between flushes, wall clock: half of the second that the format allows."""

_ADVICE: Final = "free some space or name another file with --log FILE"


class LineSink(Protocol):
    """What takes the lines of a log; also a structlog logger, by `msg`."""

    def write(self, line: bytes) -> None:
        """Take one line, without its newline."""

    def msg(self, line: bytes) -> None:
        """The same under the name that structlog's loggers have."""

    def flush(self) -> None:
        """Bring what was taken to where a reader finds it."""

    def close(self) -> None:
        """Flush and end; nothing is written afterwards."""


class MemorySink:
    """Keeps the lines in a list."""

    __slots__ = ("lines", "write")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.write = self.lines.append

    def msg(self, line: bytes) -> None:
        """Take one line, as structlog's loggers do."""
        self.write(line)

    @property
    def data(self) -> bytes:
        """The log as its file would be."""
        return b"".join(line + b"\n" for line in self.lines)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to end; the lines stay."""

    def __repr__(self) -> str:
        return f"<MemorySink {len(self.lines)} lines>"


class Codec(Protocol):
    """How bytes become a file's bytes."""

    def add(self, data: bytes) -> bytes:
        """Take `data`; the answer may hold back what compresses better later."""

    def sync(self) -> bytes:
        """What is needed so that a reader finds everything taken so far."""

    def end(self) -> bytes:
        """The end of the file."""

    def begin(self) -> None:
        """The next file's bytes come; only after `end`."""


class PlainCodec:
    """The bytes as they are."""

    def add(self, data: bytes) -> bytes:
        """All of `data`."""
        return data

    def sync(self) -> bytes:
        """Nothing is held back."""
        return b""

    def end(self) -> bytes:
        """A plain file has no end mark."""
        return b""

    def begin(self) -> None:
        """Nothing is kept of the file before."""


class GzipCodec:
    """One gzip member; flushes are zlib's Z_SYNC_FLUSH."""

    def __init__(self, level: int = 3) -> None:
        self._level = level
        self.begin()

    def add(self, data: bytes) -> bytes:
        """What deflate gives out."""
        return self._stream.compress(data)

    def sync(self) -> bytes:
        """The pending block, byte-aligned."""
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """The last block, the checksum and the length."""
        return self._stream.flush(zlib.Z_FINISH)

    def begin(self) -> None:
        """Another member."""
        self._stream = zlib.compressobj(self._level, zlib.DEFLATED, 31)


class ZstdCodec:
    """One zstd frame a file; flushes end a block.

    The compressor, whose buffers are 8 MiB, is the same for one file after the other. Rejected: one
    for each, as of what is freed a part may be taken before it is asked for anew; a service then
    grows by 7 MiB where a part of its log begins.

    Args:
        level: zstd's.
        threaded: made by a thread of the library's own, which has the bytes in large pieces and
            needs no interpreter, so that who adds them pays for a copy only. Not for a process that
            forks: the child would wait for that thread for ever.
    """

    def __init__(self, level: int = 1, *, threaded: bool = False) -> None:
        import zstandard  # only logs in zstd need it

        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        try:
            made = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=int(threaded))
        except zstandard.ZstdError:  # a library that was built without threads
            made = zstandard.ZstdCompressor(level=level, write_checksum=True)
        self._compressor = made
        self.begin()

    def add(self, data: bytes) -> bytes:
        """What zstd gives out."""
        return self._stream.compress(data)

    def sync(self) -> bytes:
        """The pending block."""
        return self._stream.flush(self._block)

    def end(self) -> bytes:
        """The last block and the checksum."""
        return self._stream.flush()

    def begin(self) -> None:
        """Another frame, by the same compressor."""
        self._stream = self._compressor.compressobj()


def codec_for(path: str, *, threaded: bool = False) -> Codec:
    """The codec that the end of the file's name asks for; `threaded` as `ZstdCodec` has it."""
    if path.endswith(".gz"):
        return GzipCodec()
    if path.endswith(".zst"):
        return ZstdCodec(threaded=threaded)
    return PlainCodec()


class FileSink:
    """A log file: plain, `.gz` or `.zst` by its name.

    Not for use by several threads at once; the flushing thread is its own.

    Args:
        path: the file; what it held is lost unless `exclusive`.
        exclusive: refuse a file that exists.
        flush_seconds: wall-clock time between flushes; 0 leaves them to `flush` and to size.
        buffer_bytes: lines kept before they are written.
        lines: where they are kept; a list of its own if None.
        codec: makes the file's bytes; by its name if None. One that has ended a file can begin
            the next.

    Attributes:
        written: bytes in the file so far.

    Raises:
        LogError: the file cannot be opened.
    """

    __slots__ = (
        "_buffer_bytes", "_codec", "_encode", "_end_of_lines", "_error", "_fd", "_lines", "_lock",
        "_raised", "_room", "_stop", "_thread", "_unsure", "_unsynced", "path",
        "written",
    )  # fmt: skip

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        exclusive: bool = False,
        flush_seconds: float = FLUSH_SECONDS,
        buffer_bytes: int = BUFFER_BYTES,
        lines: list[Any] | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.path = os.fspath(path)
        mode = os.O_EXCL if exclusive else os.O_TRUNC
        try:
            self._fd = open_for_writing(self.path, os.O_CREAT | mode)
        except OSError as error:
            raise LogError.of("write log", self.path, error) from None
        hold(self._fd)
        self._codec = codec or codec_for(self.path)
        self.written = self._unsure = 0
        self._lines: list[Any] = [] if lines is None else lines
        self._encode: Callable[[list[Any]], bytes] = _with_newlines
        self._buffer_bytes = self._room = buffer_bytes
        self._unsynced = False
        self._end_of_lines = 0
        self._error: Exception | None = None
        self._raised = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if flush_seconds > 0:
            self._thread = threading.Thread(
                target=self._flush_regularly, args=(flush_seconds,), name="log flush", daemon=True
            )
            start_thread(self._thread, self._stop.set)

    def write(self, line: bytes) -> None:
        """Take one line, without its newline.

        Raises:
            LogError: the buffer was full and could not be written, now or before.
        """
        self._lines.append(line)
        self._room = room = self._room - len(line)
        if room < 0:
            self._drain(sync=False)
            self._raise_error()

    def msg(self, line: bytes) -> None:
        """Take one line, as structlog's loggers do."""
        self.write(line)

    def take_events(
        self,
        encode_lines: Callable[[list[Any]], bytes],
        full: Callable[[], None] | None = None,
    ) -> Callable[[Any], None]:
        """Change over to events in place of lines.

        Args:
            encode_lines: makes lines, each with its newline, of events.
            full: called where the buffer is full, to write it out; `spill` if None.

        Returns:
            What takes one event, which must not change any more. It raises LogError as `write`
            does, and what `encode_lines` has raised of an event taken before.
        """
        events, most = self._lines, max(self._buffer_bytes // EVENT_BYTES, 1)
        append = events.append
        self._encode = encode_lines
        write_out = full or self.spill

        def take(event: Any) -> None:
            append(event)
            if len(events) >= most:
                write_out()

        return take

    def spill(self) -> None:
        """Write out what is in the buffer, not yet for a reader of the file to find.

        Raises:
            LogError: it could not be written.
        """
        self._drain(sync=False)
        self._raise_error()

    def flush(self) -> None:
        """Write out all lines, so that a reader of the file finds them.

        Raises:
            LogError: they could not be written.
        """
        self._drain(sync=True)
        self._raise_error()

    def close(self) -> None:
        """Write out all lines and end the file; a second call does nothing.

        Raises:
            LogError: not all lines are in the file, and nobody was told so before.
        """
        if self._fd < 0:
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._drain(sync=False)
        with self._lock:
            if not isinstance(self._error, LogError):
                self._check_there()
                self._write_out(self._codec.end())
                if isinstance(self._error, LogError):
                    self._error.lost += self._unsure
            fd, self._fd = self._fd, -1
            try:
                os.close(fd)
            except OSError as error:  # network file systems report a full disk only here
                self._error = self._error or LogError.of("write log", self.path, error, _ADVICE)
        if not self._raised:
            self._raise_error()

    def _flush_regularly(self, seconds: float) -> None:
        """The thread: flush until closed; an error waits for the next call of the owner."""
        while not self._stop.wait(seconds):
            self._drain(sync=True)

    def _drain(self, *, sync: bool) -> None:
        """Hand all lines to the codec and what it gives out to the file."""
        with self._lock:
            lost = isinstance(self._error, LogError) or self._fd < 0
            data = b""
            if lines := self._lines[:]:
                # Lines that come meanwhile land behind these: appending and deleting are atomic.
                del self._lines[: len(lines)]
                self._room = self._buffer_bytes
                data = b"" if lost else self._encode_all(lines)
            if lost:
                if isinstance(self._error, LogError):
                    self._error.lost += len(lines)
                return
            if sync:
                self._check_there()
            self._unsure += len(lines)
            out = self._codec.add(data) if data else b""
            if sync and (data or self._unsynced):
                out += self._codec.sync()
            self._unsynced = not sync and (self._unsynced or bool(data))
            self._write_out(out)
            if isinstance(self._error, LogError):
                self._error.lost += self._unsure
            elif sync or isinstance(self._codec, PlainCodec):
                self._unsure = 0

    def _check_there(self) -> None:
        """Note where the file was removed: what is written to it since is lost."""
        try:
            found = os.fstat(self._fd)
        except OSError:
            return
        if stat.S_ISREG(found.st_mode) and not found.st_nlink:
            why = "its file was removed while it was written, and all that was in it"
            self._error = self._error or LogError("write log", self.path, why)

    def _encode_all(self, lines: list[Any]) -> bytes:
        """The bytes of lines or events; the first event that cannot be encoded is noted."""
        try:
            return self._encode(lines)
        except Exception as error:
            self._error = self._error or error
            if len(lines) == 1:
                return b""
        return b"".join(self._encode_all([line]) for line in lines)

    def _write_out(self, data: bytes) -> None:
        """Write `data`, all of it, or note the error; a plain file never keeps half a line."""
        view = memoryview(data)
        try:
            while view:
                done = os.write(self._fd, view)
                self.written += done
                view = view[done:]
        except OSError as error:
            self._error = LogError.of("write log", self.path, error, _ADVICE)
            self._cut_half_line(data, len(data) - len(view))
        else:
            self._end_of_lines += len(data)

    def _cut_half_line(self, data: bytes, written: int) -> None:
        """Take back the part of a line that a failed write left in a plain file."""
        if not isinstance(self._codec, PlainCodec):
            return
        whole = data.rfind(b"\n", 0, written) + 1
        try:
            os.ftruncate(self._fd, self._end_of_lines + whole)
        except OSError:
            pass  # a pipe or a device: what it has taken is gone

    def _raise_error(self) -> None:
        error = self._error
        if error is None:
            return
        if isinstance(error, LogError):
            self._raised = True  # and stays: nothing is written any more
        else:
            self._error = None
        raise error

    def __enter__(self) -> FileSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._fd < 0 else "failed" if self._error else "open"
        return f"<FileSink {self.path} {state}>"


def _with_newlines(lines: list[Any]) -> bytes:
    return b"\n".join(lines) + b"\n"
