"""A page limit is the machine's: what does not fit never runs, and what Go dies of ends the run."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import KiB, MiB, World, scenario
from gorun_mem.machine.config import Config, ConfigError, DoesNotFit, Host
from gorun_mem.machine.limits import smallest_limit
from gorun_mem.machine.outcome import in_words
from gorun_mem.replay.real_program import AnotherWay
from gorun_mem.runtime.errors import OutOfMemory
from gorun_mem.runtime.nil_answers import last_words
from tests import TRACES
from tests.scenarios.scenario_runs import HOSTS, logged

MAPS = str(TRACES / "go1.27.3-js-maps.jsonl.gz")


@scenario(ms=1)
async def small(world: World) -> None:
    """128 KiB and nothing more."""
    await world.main.sys_alloc(128 * KiB)


@scenario(ms=1)
async def arenas(world: World, *, count: int = 12) -> None:
    """Heap arenas one after the other."""
    for _ in range(count):
        await world.main.mheap_sys_alloc(MiB)


def error_of(done: Any) -> OutOfMemory:
    error = done.run.outcome.error
    assert isinstance(error, OutOfMemory), error
    return error


def test_more_at_the_start_than_the_machine_has_never_runs() -> None:
    """37 pages under a limit of 20 are refused with both figures; under 37 they run."""
    with pytest.raises(DoesNotFit) as refusal:
        logged(small, config={"max_pages": 20})
    assert (refusal.value.needed, refusal.value.limit) == (37, 20)
    assert "37 x 64 KiB at the start and the limit is 20" in str(refusal.value)
    assert isinstance(refusal.value, ConfigError)
    assert logged(small, config={"max_pages": 37}).exit_code == 0
    with pytest.raises(DoesNotFit):
        World(Config(max_pages=20, platform="plan9/amd64"))
    with pytest.raises(ConfigError, match="init_pages 70000"):
        World(Config(initial_pages=70000, ms=1))
    with pytest.raises(ConfigError, match="only wasm memory starts with pages"):
        World(Config(initial_pages=50, platform="plan9/amd64"))


def test_initial_pages_and_the_datas_end_are_settings() -> None:
    """What the user says of them is what the run starts with."""
    done = logged(small, config={"initial_pages": 50, "data_end": 2 * MiB})
    start = done.named("run.start")[0]
    assert (start.initial_pages, start.data_end) == (50, 2 * MiB)
    assert done.named("mem.return")[0].p == 2 * MiB


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("release", ["go1.20", "go1.22", "go1.24.11", "go1.25", "go1.26", "go1.27"])
def test_a_heap_that_cannot_grow_ends_the_run(host: Host, release: str) -> None:
    """mheap.sysAlloc's nil is out_of_memory on every release, 1.24's arena at nil too; exit 1.

    It names the call by its number in the log, what was asked, what was free, and a limit: with
    that this call is served, with one page less it is not.
    """
    fits = logged(arenas, config={"release": release}).run.world.snapshot().pages
    done = logged(arenas, host, {"release": release, "max_pages": fits - 8})
    assert (done.run.outcome.verdict, done.exit_code) == ("out_of_memory", 1)
    end = done.named("run.end")[0]
    assert (end.outcome, end.error_type) == ("out_of_memory", "out_of_memory")
    refusal = error_of(done).refusal
    assert refusal is not None
    call = next(e for e in done.named("mem.return") if e.op == refusal.call)
    assert (call.ok, call.fn, call.n) == (False, refusal.fn, refusal.n)
    assert (refusal.free, refusal.pages) == (call.free_bytes, call.pages)
    assert refusal.limit == fits - 8
    assert f"call {refusal.call}, {refusal.fn}, asked for {refusal.n:,} bytes" in end.error
    assert f"needs a limit of {refusal.needed:,}" in end.error
    short = error_of(logged(arenas, config={"release": release, "max_pages": refusal.needed - 1}))
    assert short.refusal is not None
    assert short.refusal.call == refusal.call
    served = logged(arenas, config={"release": release, "max_pages": refusal.needed})
    further = served.run.outcome.error
    if further is not None:
        later = error_of(served).refusal
        assert later is not None
        assert later.call > refusal.call


@pytest.mark.parametrize("release", ["go1.22", "go1.24.11", "go1.26", "go1.27"])
def test_the_least_limit_lives_and_one_page_less_dies(release: str) -> None:
    """What smallest_limit answers, runs; with one page less it runs out of memory."""
    config = arenas.config(release=release, max_pages=300)
    least = smallest_limit(arenas, config, {"count": 40})
    assert least is not None
    assert logged(arenas, config={"release": release, "max_pages": least}, count=40).exit_code == 0
    short = logged(arenas, config={"release": release, "max_pages": least - 1}, count=40)
    assert short.run.outcome.verdict == "out_of_memory"


def test_where_no_limit_would_do_there_is_none() -> None:
    """A program that asks for more than a memory can have is not told a limit."""
    config = arenas.config(max_pages=300)
    assert smallest_limit(arenas, config, {"count": 5000}) is None


def test_metadata_that_cannot_be_had_ends_the_run_too() -> None:
    """persistentalloc throws its own text, and the limit that its chunk needs is told."""

    @scenario(ms=1)
    async def boot(world: World) -> None:
        await world.main.mallocinit()

    done = logged(boot, config={"initial_pages": 23, "max_pages": 24})
    error = error_of(done)
    assert error.message == "runtime: cannot allocate memory"
    assert error.refusal is not None
    assert (error.refusal.n, error.refusal.needed) == (262144, 26)
    assert in_words(error).startswith("fatal error: runtime: cannot allocate memory\n")
    done = logged(boot, config={"initial_pages": 26, "max_pages": 26})
    assert error_of(done).message == "failed to reserve page summary memory"


def test_a_growth_that_was_made_to_fail_needs_no_limit() -> None:
    """Where there was room, no limit is named."""

    @scenario(ms=1)
    async def failing(world: World) -> None:
        world.runtime.memory.fail_next(9)
        await world.main.mheap_sys_alloc(4 * MiB)

    assert "the growth was made to fail" in in_words(error_of(logged(failing)))


def test_a_scenario_sees_nil_as_go_does() -> None:
    """sysAllocOS answers nil and whoever called decides: out_of_memory recovers from it."""
    done = logged("out_of_memory")
    assert (done.exit_code, done.results["nil answers"]) == (0, 1)
    assert done.results["recovered after a free"] == 1


# Recordings.


@pytest.mark.parametrize("order", ["recorded", "free"])
@pytest.mark.parametrize("trace", ["go1.27.3-js-maps", "go1.24.11-js-tracer", "go1.19-js-tracer"])
def test_a_recording_under_a_smaller_limit_runs_out_of_memory(trace: str, order: str) -> None:
    """Not "191 events differ": up to the call that died every answer is Go's."""
    path = str(TRACES / f"{trace}.jsonl.gz")
    whole = logged("real_program", config={"ms": 1}, trace=path, order=order)
    limit = int(whole.results["pages"]) - 70
    done = logged("real_program", config={"ms": 1, "max_pages": limit}, trace=path, order=order)
    assert (done.run.outcome.verdict, done.exit_code) == ("out_of_memory", 1)
    refusal = error_of(done).refusal
    assert refusal is not None
    assert limit < refusal.needed <= limit + 128 + 70
    if order == "recorded":
        assert done.results["answers that differ from Go's"] == 0
        compared = done.results["calls compared"]
        assert refusal.call - 2 <= compared < refusal.call
    else:
        assert done.results["nil answers"] == 1


def test_the_least_limit_of_a_recording() -> None:
    """In recorded order the pages that Go took are the least."""
    from gorun_mem.machine.library import find

    program = find("real_program")
    whole = logged(program, config={"ms": 1}, trace=MAPS)
    config = program.config(ms=1, max_pages=300)
    assert smallest_limit(program, config, program.check({"trace": MAPS})) == whole.results["pages"]


def test_a_limit_above_the_programs_own_is_said_to_change_nothing() -> None:
    """The recorded program allows itself 337 pages: 400 are refused, not ignored."""
    trace = str(TRACES / "go1.27.3-js-trees_oom.jsonl.gz")
    with pytest.raises(ValueError, match="allows no more than 337"):
        logged("real_program", config={"max_pages": 400}, trace=trace)
    with pytest.raises(ValueError, match="leave --init-pages out"):
        logged("real_program", config={"initial_pages": 40}, trace=trace)
    with pytest.raises(ValueError, match="leave --end out"):
        logged("real_program", config={"data_end": 400}, trace=trace)


def test_where_go_would_live_it_is_not_called_dead(tmp_path: Any) -> None:
    """mallocinit on 386 does without; what it does then no recording has, so that is said."""
    trace = tmp_path / "x.jsonl"
    trace.write_text(
        '{"header":1,"format":1,"go":"go1.27.3","goos":"js","goarch":"wasm","end":1048576,'
        '"initialPages":40}\n'
        '{"seq":0,"ev":"sysReserveOS","top":1,"v":0,"n":8388608,"p":1048576,'
        '"by":"runtime.mallocinit"}\n',
        encoding="utf-8",
    )
    done = logged("real_program", config={"max_pages": 60}, trace=str(trace))
    assert isinstance(done.run.outcome.error, AnotherWay)
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("by", "hinted", "words"),
    [
        ("runtime.recordspan", False, "runtime: cannot allocate memory"),
        ("runtime.traceWriter.refill.func1", False, "trace: out of memory"),
        ("runtime.(*mheap).ora_sysAlloc", False, "out of memory allocating heap arena map"),
        ("runtime.(*mheap).sysAlloc", True, ""),
        ("runtime.mallocinit", False, ""),
        ("runtime.sysReserveAligned", False, "out of memory"),
        ("runtime.(*mheap).grow", False, "out of memory"),
        ("", False, ""),
    ],
)
def test_what_gos_callers_make_of_nil(by: str, hinted: bool, words: str) -> None:
    """Each call site of Go's has its words; a hint, mallocinit and who is not known have none."""
    assert last_words(by, hinted=hinted) == words


@pytest.mark.parametrize("order", ["recorded", "free"])
def test_a_program_that_died_died(order: str) -> None:
    """In recorded order Go's nil is an answer that agrees; in free order it ends the run."""
    trace = str(TRACES / "go1.27.3-js-trees_oom.jsonl.gz")
    done = logged("real_program", config={"ms": 1}, trace=trace, order=order)
    assert done.run.outcome.verdict == ("ok" if order == "recorded" else "out_of_memory")
