"""`bench events`: what an event costs from the runtime's call to its bytes in the sink.

Measured is the whole way: the recorder's method, the typed event, structlog's wrapper, msgspec's
encoder, the buffered file and its writes. The peer is structlog as its documentation configures it
for JSON (`add_log_level`, `JSONRenderer`), given the same fields as keywords and writing to the
same kind of file; for the record also structlog with msgspec as its serializer, the fastest that
its stock loggers can be. The filtered figures are calls whose event the level leaves out.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gorun_mem.bench import Row, best_of
from gorun_mem.events import FileSink, Recorder
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.sink import Waited

EMIT_US_MAX = 1.2
RATIO_MIN = 4.0
FILTERED_US_MAX = 0.1


def run(*, quick: bool = False) -> list[Row]:
    """Measure.

    Args:
        quick: fewer rounds; the figures are then rough.
    """
    rounds, count = (5, 1000) if quick else (60, 5000)
    with tempfile.TemporaryDirectory() as folder, _subjects(Path(folder)) as subjects:
        *figures, empty = (seconds * 1e6 for seconds in best_of(rounds, count, *subjects))
    # What the loop itself costs is nobody's.
    ours, stock, tuned, ours_mix, stock_mix, filtered, books, stock_filtered = (
        figure - empty for figure in figures
    )
    return [
        _against_stock("lock.acquire into the sink", ours, stock),
        Row(
            name="lock.acquire into the sink",
            figure=ours,
            unit="us/event",
            peer="structlog, msgspec serializer",
            peer_figure=tuned,
            ratio=tuned / ours,
        ),
        _against_stock("mean event of a contended call into the sink", ours_mix, stock_mix),
        Row(
            name="lock.acquire left out by level",
            figure=filtered,
            unit="us/event",
            peer="structlog, filtered",
            peer_figure=stock_filtered,
            ratio=stock_filtered / filtered,
            target=f"at most {FILTERED_US_MAX} us",
            ok=filtered <= FILTERED_US_MAX,
        ),
        Row(name="mem.call left out by level, its id kept", figure=books, unit="us/event"),
    ]


def _against_stock(name: str, ours: float, stock: float) -> Row:
    ratio = stock / ours
    return Row(
        name=name,
        figure=ours,
        unit="us/event",
        peer="stock structlog JSON",
        peer_figure=stock,
        ratio=ratio,
        target=f"at most {EMIT_US_MAX} us and {RATIO_MIN:g} times cheaper",
        ok=ours <= EMIT_US_MAX and ratio >= RATIO_MIN,
    )


@contextmanager
def _subjects(folder: Path) -> Iterator[list[Callable[[int], None]]]:
    """What takes turns, each over a file of its own."""
    import structlog

    from gorun_mem.events.log import json_logger

    sinks = [FileSink(folder / f"{number}.jsonl") for number in range(3)]
    recorder = Recorder(json_logger(sinks[0]))
    filtered = Recorder(json_logger(sinks[1]), level="info")
    for one in (recorder, filtered):
        one.m = 2
        one.now = _now
    stock = _structlog(_TextToBytes(sinks[2]), structlog.processors.JSONRenderer())
    tuned = _structlog(_Bytes(sinks[2]), structlog.processors.JSONRenderer(_serialize()))
    stock_filtered = _structlog(
        _TextToBytes(sinks[2]), structlog.processors.JSONRenderer(), logging.INFO
    )
    try:
        yield [
            _acquire(recorder),
            _stock_acquire(stock),
            _stock_acquire(tuned),
            _call_by_recorder(recorder),
            _call_by_stock(stock),
            _acquire(filtered),
            _books(filtered),
            _stock_acquire(stock_filtered),
            _nothing,
        ]
    finally:
        for sink in sinks:
            sink.close()


def _structlog(logger: Any, render: Any, level: int = 0) -> Any:
    """structlog configured as its documentation says for JSON, over the same kind of sink."""
    import structlog

    return structlog.wrap_logger(
        logger,
        processors=[structlog.processors.add_log_level, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()


def _serialize() -> Callable[..., bytes]:
    """msgspec's encoder in the form that JSONRenderer calls."""
    encode = msgspec.json.Encoder().encode

    def serialize(event: dict[str, Any], **_: object) -> bytes:
        return encode(event)

    return serialize


class _Bytes:
    """A sink under the name that structlog's logger calls."""

    __slots__ = ("debug",)

    def __init__(self, sink: FileSink) -> None:
        self.debug = sink.write


class _TextToBytes:
    """What JSONRenderer's text needs on its way to a file."""

    __slots__ = ("_write",)

    def __init__(self, sink: FileSink) -> None:
        self._write = sink.write

    def debug(self, line: str) -> None:
        """Take one line."""
        self._write(line.encode())


def _now() -> int:
    return 123_456_789


def _nothing(count: int) -> None:
    for _ in range(count):
        pass


def _acquire(recorder: Recorder) -> Callable[[int], None]:
    def loop(count: int) -> None:
        acquire = recorder.lock_acquire
        waited = Waited(True, 41_250, 4, 1)
        for _ in range(count):
            acquire("memlock", "runtime.sysAllocOS", waited, 0, 2, 3)

    return loop


def _stock_acquire(logger: Any) -> Callable[[int], None]:
    def loop(count: int) -> None:
        debug = logger.debug
        for seq in range(count):
            debug(
                "lock.acquire", seq=seq, t_ns=_now(), m=2, lock="memlock", contended=True,
                wait_ns=41_250, spins=4, sleeps=1, bypassed=0, queue_depth=2, prev_owner_m=3,
                op=17, site="runtime.sysAllocOS",
            )  # fmt: skip

    return loop


def _books(recorder: Recorder) -> Callable[[int], None]:
    def loop(count: int) -> None:
        enter = recorder.mem_call
        call = Call("sysAllocOS", 0, 65536)
        for _ in range(count):
            enter(call)
        recorder.calls.clear()  # unreturned calls would nest without bound

    return loop


def _call_by_recorder(recorder: Recorder) -> Callable[[int], None]:
    """The six events of an allocation that waited for memlock; the layer made the call."""
    call = Call(
        "sysAllocOS", 0, 65536, 0, "heap arena", p=2_097_152, size=65536, ok=True, path="freelist",
        search_steps=4, cleared_bytes=16,
    )  # fmt: skip
    state = LayerState(33, 2_097_152, 4_194_304, 65536, 1, 65536)
    waited = Waited(True, 41_250, 4, 1)

    def loop(count: int) -> None:
        for _ in range(count // 6):
            recorder.mem_call(call)
            recorder.lock_wait("memlock", "runtime.sysAllocOS", 1, 16, 1, (3,), ())
            recorder.lock_acquire("memlock", "runtime.sysAllocOS", waited, 0, 2, 3)
            recorder.freelist_take(2_097_152, 65536, 2_097_152, 131_072, False, 3)
            recorder.mem_return(call, state)
            recorder.lock_release("memlock", "runtime.sysAllocOS", 900, waited, 80, (3,), 3)

    return loop


def _call_by_stock(logger: Any) -> Callable[[int], None]:
    """The same with stock structlog."""
    site = "runtime.sysAllocOS"

    def loop(count: int) -> None:
        debug = logger.debug
        for op in range(count // 6):
            debug(
                "mem.call", seq=op, t_ns=_now(), m=2, fn="sysAllocOS", v=0, n=65536, align=0,
                purpose="heap arena", op=op, site=site,
            )  # fmt: skip
            debug(
                "lock.wait", seq=op, t_ns=_now(), m=2, lock="memlock", owner_m=1, queue_depth=1,
                waiters=(3,), held_locks=(), owner_op=16, op=op, site=site,
            )  # fmt: skip
            debug(
                "lock.acquire", seq=op, t_ns=_now(), m=2, lock="memlock", contended=True,
                wait_ns=41_250, spins=4, sleeps=1, bypassed=0, queue_depth=2, prev_owner_m=3,
                op=op, site=site,
            )  # fmt: skip
            debug(
                "freelist.take", seq=op, t_ns=_now(), m=2, addr=2_097_152, size=65536,
                block_addr=2_097_152, block_size=131_072, exact=False, index=3, op=op, site=site,
            )  # fmt: skip
            debug(
                "mem.return", seq=op, t_ns=_now(), m=2, fn="sysAllocOS", v=0, n=65536, align=0,
                p=2_097_152, size=65536, ok=True, path="freelist", dur_ns=42_000, search_steps=4,
                cleared_bytes=16, pages=33, bloc=2_097_152, bloc_max=4_194_304, free_bytes=65536,
                free_blocks=1, free_largest=65536, purpose="heap arena", op=op, site=site,
            )  # fmt: skip
            debug(
                "lock.release", seq=op, t_ns=_now(), m=2, lock="memlock", hold_ns=900,
                wait_ns=41_250, contended=True, spins=4, sleeps=1, blocked_ns=80, waiters=(3,),
                next_m=3, op=op, site=site,
            )  # fmt: skip

    return loop
