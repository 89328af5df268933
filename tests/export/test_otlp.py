"""OTLP files: taken by the protocol's own messages, and every figure is the log's."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from gorun_mem.events.types import LockAcquire, LockRelease, MemCall, MemGrow, MemReturn
from gorun_mem.export.otlp import write_otlp
from gorun_mem.export.otlp_metrics import EPOCH_NS
from tests.analysis.make_logs import heap, run_events, run_log, storm, toy_log

IDS = ("traceId", "spanId", "parentSpanId")


class Exported:
    """A file, read by opentelemetry-proto; a field that it does not know is an error."""

    def __init__(self, log: bytes) -> None:
        out = io.BytesIO()
        _, count = write_otlp(io.BytesIO(log), out)
        self.spans: list[Span] = []
        self.metrics: dict[str, Any] = {}
        *traces, metrics = (json.loads(line) for line in out.getvalue().splitlines())
        for line in traces:
            parsed = json_format.ParseDict(_with_bytes(line), TracesData())
            (resource,) = parsed.resource_spans
            names = [one.key for one in resource.resource.attributes]
            assert names[:2] == ["service.name", "service.version"]
            for scope in resource.scope_spans:
                assert 0 < len(scope.spans) <= 512
                self.spans += scope.spans
        assert len(self.spans) == count
        measured = json_format.ParseDict(metrics, MetricsData())
        for told in measured.resource_metrics[0].scope_metrics:
            self.metrics |= {one.name: one for one in told.metrics}

    def named(self, start: str) -> list[Span]:
        """The spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(start)]


def _with_bytes(value: Any) -> Any:
    """Ids as protobuf's own JSON has bytes: OTLP writes them in hex."""
    if isinstance(value, list):
        return [_with_bytes(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in IDS else _with_bytes(one)
        for key, one in value.items()
    }


def facts(of: Any) -> dict[str, Any]:
    """Attributes as a dict."""
    return {
        one.key.removeprefix("gorun_mem."): getattr(one.value, str(one.value.WhichOneof("value")))
        for one in of.attributes
    }


LOGS = [
    *(pytest.param(lambda s=s: toy_log(s, locks=3), id=f"toy{s}") for s in range(4)),
    pytest.param(lambda: run_log(storm)[1], id="storm"),
    pytest.param(lambda: run_log(storm, storm.config(mutex="queue", ms=7))[1], id="queue"),
    pytest.param(lambda: run_log(heap, heap.config(release="go1.26"))[1], id="heap"),
    pytest.param(lambda: run_log(storm, level="canonical")[1], id="canonical"),
    pytest.param(lambda: run_log(storm)[1][:9000], id="cut"),
]


@pytest.mark.parametrize("make", LOGS)
def test_spans_are_sound(make: Any) -> None:
    """One trace; ids are there once, and parents among them; no span ends before it begins; and
    nothing that a call or an M holds begins before it."""
    found = Exported(make())
    assert len({span.trace_id for span in found.spans}) == 1
    by_id = {span.span_id: span for span in found.spans}
    assert len(by_id) == len(found.spans)
    assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in found.spans)
    roots = [span for span in found.spans if not span.parent_span_id]
    assert [span.name.split()[0] for span in roots] == ["run"]
    for span in found.spans:
        assert EPOCH_NS <= span.start_time_unix_nano <= span.end_time_unix_nano
        for event in span.events:
            assert span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano
        if span.parent_span_id:
            parent = by_id[span.parent_span_id]
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= parent.end_time_unix_nano


@pytest.mark.parametrize("mutex", ["sema", "spinbit", "queue"])
@pytest.mark.parametrize("level", ["debug", "canonical"])
def test_spans_are_the_calls_waits_and_holds_of_the_log(mutex: str, level: Any) -> None:
    """As many as there were, as long as the log says; at either level of log."""
    config = storm.config(mutex=mutex, ms=5)
    _, events = run_events(storm, config)
    found = Exported(run_log(storm, config, level=level)[1])

    def lasting(start: str) -> Counter[int]:
        return Counter(
            span.end_time_unix_nano - span.start_time_unix_nano for span in found.named(start)
        )

    releases = [e for e in events if isinstance(e, LockRelease)]
    acquires = [e for e in events if isinstance(e, LockAcquire)]
    assert lasting("hold ") == Counter(e.hold_ns for e in releases)
    assert lasting("wait ") == Counter(e.wait_ns for e in acquires if e.contended)
    calls = Counter(e.fn for e in events if isinstance(e, MemReturn))
    assert Counter(span.name for span in found.named("sys")) == calls
    if level == "debug":
        assert len(found.named("M")) == 5
        begun = Counter(EPOCH_NS + e.t_ns for e in events if isinstance(e, MemCall))
        assert Counter(span.start_time_unix_nano for span in found.named("sys")) == begun
        grown = [e for span in found.spans for e in span.events if e.name == "mem.grow"]
        assert len(grown) == sum(isinstance(e, MemGrow) for e in events)
        assert sum(facts(e)["delta_pages"] for e in grown) == sum(
            e.delta_pages for e in events if isinstance(e, MemGrow)
        )


def test_metrics_are_the_run_s_own_figures() -> None:
    """Acquisitions, waits and holds of each lock, and the memory as it was left."""
    config = storm.config(mutex="sema", ms=5)
    done, events = run_events(storm, config)
    found = Exported(run_log(storm, config)[1]).metrics
    lock, memory = done.statistics.lock("memlock"), done.statistics.memory

    def of_memlock(points: Any) -> Any:
        (point,) = (one for one in points if facts(one) == {"lock": "memlock"})
        return point

    acquired = of_memlock(found["gorun_mem.lock.acquisitions"].sum.data_points)
    assert acquired.as_int == lock.acquisitions
    contended = of_memlock(found["gorun_mem.lock.contended"].sum.data_points)
    assert contended.as_int == lock.contended
    for name, field in (("wait", "wait_ns"), ("hold", "hold_ns")):
        point = of_memlock(found[f"gorun_mem.lock.{name}"].histogram.data_points)
        released = [e for e in events if isinstance(e, LockRelease) and e.lock == "memlock"]
        values = [getattr(e, field) for e in released]
        assert (point.count, point.sum) == (len(values), sum(values))
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        low = -1.0
        for count, high in zip(
            point.bucket_counts, [*point.explicit_bounds, float("inf")], strict=True
        ):
            assert count == sum(low < value <= high for value in values)
            low = high
    assert found["gorun_mem.memory.pages"].gauge.data_points[0].as_int == memory.pages
    assert found["gorun_mem.memory.free"].gauge.data_points[0].as_int == memory.free_bytes
    assert found["gorun_mem.memory.growths"].sum.data_points[0].as_int == memory.grows
    assert found["gorun_mem.memory.growths_refused"].sum.data_points[0].as_int == (
        memory.grows_refused
    )


def test_a_failure_is_one() -> None:
    """The run's span and a call that got nothing have an error's status; what is open says so."""
    from gorun_mem.machine.library import find

    leaked = Exported(run_log(find("leaked_lock"), find("leaked_lock").config())[1])
    (root,) = leaked.named("run ")
    assert (root.status.code, root.status.message) == (Status.STATUS_CODE_ERROR, "deadlock")
    open_ = [span.name for span in leaked.spans if facts(span).get("unfinished")]
    assert "hold memlock" in open_
    assert "wait memlock" in open_
    assert "deadlock.found" in [event.name for event in root.events]
    refused = Exported(run_log(find("out_of_memory"), find("out_of_memory").config())[1])
    assert any(span.status.code == Status.STATUS_CODE_ERROR for span in refused.named("sys"))


def test_the_same_log_gives_the_same_file() -> None:
    """Byte for byte; another run has another trace."""
    log = run_log(storm)[1]
    files = []
    for _ in range(2):
        out = io.BytesIO()
        write_otlp(io.BytesIO(log), out)
        files.append(out.getvalue())
    assert files[0] == files[1]
    other = Exported(run_log(storm, storm.config(seed=9))[1])
    assert Exported(log).spans[0].trace_id != other.spans[0].trace_id
