"""What the recorder makes of what it is told."""

from __future__ import annotations

import io
import json
import timeit
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import msgspec
import pytest
from msgspec import UNSET

from gorun_mem.cli import main
from gorun_mem.events import EVENT_TYPES, MemorySink, Recorder, capture_events, read_events
from gorun_mem.events.base import doc
from gorun_mem.events.log import json_logger
from gorun_mem.events.methods import LOG_LEVELS, REPORTED, check_sink, method, passes
from gorun_mem.events.schema import make_schema
from gorun_mem.events.types import LogEvent, event, run_id
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.sink import Sink, Waited


def fields(log: Any) -> Any:
    return [json.loads(line) for line in log.splitlines()]


def test_every_event_is_emitted(everything: Any) -> None:
    """The run of these tests has all events of the format, so what they prove holds for all."""
    assert {event.name for event in everything} == {
        kind.__struct_config__.tag for kind in EVENT_TYPES
    }


def test_recorder_is_a_sink() -> None:
    """At every level the recorder has a method of its own for each of the sink's."""
    methods = [name for name in vars(Sink) if not name.startswith("_")]
    assert methods
    for level in LOG_LEVELS:
        recorder = Recorder(level=level)
        for name in methods:
            assert getattr(recorder, name) is not getattr(Sink, name), (level, name)
    sink: Sink = Recorder()
    sink.mem_check(True, "", 0)


@event
class Moved(LogEvent, frozen=True, gc=False, tag="block.moved"):
    """An event that the package does not have."""

    addr: Annotated[int, doc("where")]
    by_m: Annotated[int, doc("who")]


def sink_with(method: str) -> Any:
    """The package's sink with one more method."""
    return type("Sink", (), {**vars(Sink), "block_moved": method} if method else dict(vars(Sink)))


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        (lambda self, by_m, addr: None, "takes"),
        (lambda self, addr: None, "takes"),
    ],
)
def test_an_event_that_does_not_fit_its_method_cannot_be_imported(
    method: str, complaint: str
) -> None:
    """A method that takes other fields is refused where the recorder's methods are made, which is
    at import."""
    with pytest.raises(TypeError, match=complaint):
        check_sink(sink_with(method), (*REPORTED, Moved))


def test_an_incomplete_event_cannot_be_imported() -> None:
    """One that does not say what it or a field of it means, or what its second level is for."""
    with pytest.raises(TypeError, match="Undocumented has no docstring"):

        @event
        class Undocumented(LogEvent, frozen=True, gc=False, tag="a.b"):
            addr: Annotated[int, doc("where")]

    with pytest.raises(TypeError, match="Unexplained: addr needs a doc"):

        @event
        class Unexplained(LogEvent, frozen=True, gc=False, tag="a.b"):
            """It."""

            addr: int

    with pytest.raises(TypeError, match="Undecided has two levels and no `ok`"):

        @event
        class Undecided(LogEvent, frozen=True, gc=False, tag="a.b"):
            """It."""

            levels = ("debug", "error")
            addr: Annotated[int, doc("where")]


def test_an_event_is_reported_by_its_name() -> None:
    """With its fields in their order; another name or number of them is refused."""
    with capture_events() as events:
        recorder = Recorder()
        recorder.report("arena.hint_new", 4096, True)
        recorder.report("m.park", 2, "a note", 1)
    by_name = list(events)
    with capture_events() as events:
        recorder = Recorder()
        recorder.arena_hint_new(4096, True)
        recorder.m_park(2, "a note", 1)
    assert by_name == list(events)
    Sink().report("no.event", 1)  # nobody listens
    for name, values, complaint in (
        ("arena.hint_gone", (), "no event of gorun_mem.events.types has that name"),
        ("arena.hint_new", (4096,), "takes addr, down; 1 values were given"),
        ("mem.call", (1,), "use the sink's mem_call"),
    ):
        with pytest.raises(TypeError, match=complaint):
            recorder.report(name, *values)


def test_a_complete_event_is_written_at_once() -> None:
    """The same event with its method is accepted; a method without an event is not."""
    complete = sink_with(lambda self, addr, by_m: None)  # type: ignore[arg-type]
    check_sink(complete, (*REPORTED, Moved))
    with pytest.raises(TypeError, match="block_moved: no event has that name"):
        check_sink(complete, REPORTED)
    written: list[LogEvent] = []
    method(Moved, "debug", Recorder(), written.append)(4096, 3)
    method(Moved, "info", Recorder(), written.append)(4096, 3)
    assert written == [Moved("debug", 1, 0, 0, 4096, 3)]


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_round_trip(make_log: Any, level: str, tmp_path: Path) -> None:
    """A written event reads back equal, at every level."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(make_log(level))
    again = b"".join(msgspec.json.encode(event) + b"\n" for event in read_events(path))
    assert again == make_log(level)


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_levels_and_seq(make_log: Any, level: str) -> None:
    """A level leaves out what it says it leaves out and nothing else; `seq` has no gaps."""
    whole = fields(make_log())
    some = fields(make_log(level))
    typed = list(read_events_of(make_log()))
    expected = [line for line, event in zip(whole, typed, strict=True) if passes(event, level)]  # type: ignore[arg-type]
    assert [line["seq"] for line in some] == list(range(1, len(some) + 1))
    assert some[-1]["events"] == len(some)

    # t_ns is a counter of calls here, and a filtered event does not ask for the time.
    unlike = ("seq", "t_ns", "dur_ns", "events", "log_level")

    def same(line: Any) -> Any:
        return {k: v for k, v in line.items() if k not in unlike}

    assert [same(line) for line in some] == [same(line) for line in expected]


def read_events_of(log: Any) -> Any:
    return read_events(io.BytesIO(log))


def test_canonical_is_what_the_format_says(make_log: Any) -> None:
    """The canonical level has run.*, mem.return, lock.release and errors only."""
    for line in fields(make_log("canonical")):
        assert line["level"] == "error" or line["event"] in (
            "run.start", "run.end", "mem.return", "lock.release",
        )  # fmt: skip
    assert {line["event"] for line in fields(make_log("canonical"))} == {
        "run.start", "run.end", "mem.return", "lock.release", "mem.grow", "mem.check",
        "lock.throw", "race.found", "deadlock.found",
    }  # fmt: skip


def test_a_call_owns_what_happens_in_it(everything: Any) -> None:
    """op and site are those of the M's own call: also of the release after mem.return, and not of
    the other M's; the waiter names the owner's call."""
    by_m = {(event.name, event.m): event for event in everything}
    assert by_m["mem.call", 1].op == by_m["lock.acquire", 1].op == by_m["freelist.take", 1].op == 1
    assert by_m["lock.release", 1].op == by_m["mem.return", 1].op == 1
    assert by_m["lock.wait", 2].op == by_m["m.park", 2].op == by_m["lock.acquire", 2].op == 2
    assert by_m["lock.release", 2].op == by_m["freelist.put", 2].op == 2
    assert by_m["lock.wait", 2].owner_op == 1
    assert by_m["freelist.put", 2].site == "runtime.sysFreeOS"
    assert by_m["freelist.snapshot", 2].op is UNSET
    assert by_m["m.start", 2].op is UNSET


def test_duration_and_nesting() -> None:
    """dur_ns spans the call, a nested call has an id of its own, and a call that a throw left open
    is closed with its caller."""

    def back(fn: str) -> None:
        recorder.mem_return(Call(fn, 0, 10, ok=True, path="sbrk"), LayerState(0, 0, 0, 0, 0, 0))

    with capture_events() as events:
        recorder = events.recorder
        times = iter([100, 130, 170, 200, 300, 400])
        recorder.now = lambda: next(times)
        recorder.mem_call(Call("sysAllocOS", 0, 10))
        recorder.mem_call(Call("sysReserveOS", 0, 10))
        back("sysReserveOS")
        back("sysAllocOS")
        recorder.mem_call(Call("sysAllocOS", 0, 10))
        back("sysFreeOS")
    got = [(event.op, getattr(event, "dur_ns", None)) for event in events]
    assert got == [(1, None), (2, None), (2, 40), (1, 100), (3, None), (UNSET, 0)]
    assert recorder.peak_live_bytes == 10


def test_sums_do_not_depend_on_the_level(make_log: Any) -> None:
    """run.end states the same sums whatever was written."""
    ends = [fields(make_log(level))[-1] for level in LOG_LEVELS]
    sums = ("peak_live_bytes", "grows", "hint_misses", "lock_wait_ns")
    assert {tuple(end[name] for name in sums) for end in ends} == {(65536, 2, 1, 40)}


def test_same_events_same_bytes(make_log: Any) -> None:
    """Two runs write the same bytes; with the wall clock on they do not, and only `timestamp`
    is the difference."""
    assert make_log() == make_log()
    stamped = make_log(wall_clock=True)
    lines = fields(stamped)
    for line in lines:
        assert line.pop("timestamp").endswith("Z")
    assert lines == fields(make_log())


def test_run_id_is_of_the_other_fields(drive: Any) -> None:
    """The run's id changes with what decides the run, and not with when it was logged."""
    with capture_events() as events:
        drive(events.recorder)
    start = events[0]
    assert start.run_id == run_id(start)
    assert len(start.run_id) == 16
    replace = msgspec.structs.replace
    assert run_id(replace(start, t_ns=5, seq=9, timestamp="x", run_id="y")) == start.run_id
    assert run_id(replace(start, seed=8)) != start.run_id
    assert run_id(replace(start, trace_sha256="0")) != start.run_id


def test_file_names_that_are_not_utf8(make_log: Any) -> None:
    """What a file system says and JSON cannot is spelled out."""
    assert fields(make_log())[0]["options"]["name"] == "a\\udcffb"


def test_outcomes_have_levels() -> None:
    """run.end is info when ok and error otherwise."""
    with capture_events() as events:
        events.recorder.run_end("ok", final_pages=1, steps=1)
        events.recorder.run_end("interrupted", final_pages=1, steps=1)
    assert [event.level for event in events] == ["info", "error"]


def test_subscribers_see_more_than_the_log(drive: Any, make_log: Any) -> None:
    """A subscriber's level is its own: the log is what it would be without it."""
    sink = MemorySink()
    recorder = Recorder(json_logger(sink), level="canonical")
    everything: list[Any] = []
    errors: list[Any] = []
    recorder.subscribe(everything.append)
    leave = recorder.subscribe(errors.append, "info")
    drive(recorder)
    assert len(everything) == len(make_log().splitlines())
    assert {event.level for event in errors} == {"info", "warning", "error"}
    written = [line["event"] for line in fields(sink.data)]
    assert written == [line["event"] for line in fields(make_log("canonical"))]
    assert [line["seq"] for line in fields(sink.data)] == list(range(1, len(written) + 1))
    leave()
    count = len(errors)
    recorder.mem_grow(1, 1, 1, False, 1, 1)
    assert len(errors) == count


def test_subscriber_of_the_same_level(drive: Any, make_log: Any) -> None:
    """A subscriber beside a log of the same level sees just its lines."""
    sink = MemorySink()
    recorder = Recorder(json_logger(sink), level="canonical")
    seen: list[Any] = []
    recorder.subscribe(seen.append, "canonical")
    drive(recorder)
    assert [msgspec.json.encode(event) for event in seen] == sink.lines


def test_capture_of_a_recorder_and_of_those_made_meanwhile() -> None:
    """capture_events listens to the one given, or to all that are made in its block."""
    made_before = Recorder()
    with capture_events(made_before) as one, capture_events() as others:
        made_before.m_start(1)
        Recorder().m_start(2)
    made_before.m_start(3)
    assert [event.m for event in one] == [1]
    assert [event.m for event in others] == [2]
    assert one.named("m.start") == list(one)
    assert others.names() == ["m.start"]


def test_unknown_level() -> None:
    """A level that does not exist is refused by name."""
    with pytest.raises(ValueError, match="no log level 'loud'"):
        Recorder(level="loud")  # type: ignore[arg-type]


def test_user_subclass_keeps_its_methods() -> None:
    """A subclass of the recorder works at a level that filters."""

    class Mine(Recorder):
        __slots__ = ()

        def extra(self) -> Any:
            return self.level

    recorder = Mine(level="info")
    assert isinstance(recorder, Mine)
    assert recorder.extra() == "info"


def test_filtered_events_are_cheap() -> None:
    """An event that is left out costs little more than a call: under a fifth of a written one.

    The figure in ns is `bench events`' to show; here the ratio guards against building the event.
    """
    recorder = Recorder(json_logger(MemorySink()))
    filtered = Recorder(json_logger(MemorySink()), level="info")

    def cost(one: Any) -> Any:
        def call() -> None:
            one.lock_acquire("memlock", "runtime.sysAllocOS", Waited(True, 1, 2, 3), 4, 5, 6)

        return min(timeit.repeat(call, number=2000, repeat=20))

    assert cost(filtered) < cost(recorder) / 5


# The schema.


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`explain schema` prints it, as text that is one JSON document."""
    assert main(["explain", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == make_schema()


def test_every_event_is_valid(make_log: Any) -> None:
    """Each line of a log, at each level, with and without the wall clock, fits the schema."""
    validator = jsonschema.Draft202012Validator(make_schema())
    validator.check_schema(make_schema())
    for level in LOG_LEVELS:
        for line in fields(make_log(level)) + fields(make_log(level, wall_clock=True)):
            validator.validate(line)


@pytest.mark.parametrize(
    "change",
    [
        {"wait_ns": "40"},
        {"level": "info"},
        {"wait": 3},
        {"event": "lock.take"},
        {"seq": None},
    ],
)
def test_schema_refuses(make_log: Any, change: Any) -> None:
    """A wrong type, a level the event cannot have, an unknown field or event: not valid."""
    validator = jsonschema.Draft202012Validator(make_schema())
    line = next(line for line in fields(make_log()) if line["event"] == "lock.acquire")
    assert validator.is_valid(line)
    assert not validator.is_valid(line | change)


def test_schema_wants_all_fields(make_log: Any) -> None:
    """A line without one of the fields that always apply is not valid."""
    validator = jsonschema.Draft202012Validator(make_schema())
    line = next(line for line in fields(make_log()) if line["event"] == "lock.acquire")
    for name in line.keys() - {"op", "site"}:
        assert not validator.is_valid({k: v for k, v in line.items() if k != name}), name
    for name in ("op", "site"):
        assert validator.is_valid({k: v for k, v in line.items() if k != name}), name


def test_every_field_is_described() -> None:
    """The schema explains each field, except where its values do."""
    for kind in make_schema()["$defs"].values():
        for name, field in kind["properties"].items():
            assert "description" in field or "enum" in field or name == "ok", (kind, name)
