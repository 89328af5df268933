"""A recording dealt to several Ms: Go's answers in recorded order, sound answers in any other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import ScenarioError
from gorun_mem.machine.config import Host
from gorun_mem.replay.os_level import Level, replay_file
from gorun_mem.replay.real_program import AnswersDiffer, Unsound
from gorun_mem.runtime.mem_sbrk import SbrkLayer
from tests import TRACES
from tests.scenarios.scenario_runs import HOSTS, logged

RECORDINGS = sorted(TRACES.glob("*.jsonl.gz"))
# Driven to the edge, in an order that no program has; and 386 has no free order.
PROGRAMS = [path for path in RECORDINGS if "-drive" not in path.name]
MAPS = TRACES / "go1.27.3-js-maps.jsonl.gz"
TRACER = TRACES / "go1.24.11-js-tracer.jsonl.gz"


def ids(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


@pytest.mark.parametrize("deal", ["round_robin", "caller"])
@pytest.mark.parametrize("trace", RECORDINGS, ids=ids)
def test_every_answer_is_gos(trace: Path, deal: str) -> None:
    """With four Ms every call that replay compares is compared, and none differs."""
    done = logged("real_program", trace=str(trace), deal=deal)
    assert done.exit_code == 0, done.run.outcome.error
    assert done.results["calls compared"] == replay_file(trace, Level.OS).calls > 0
    assert done.results["answers that differ from Go's"] == 0
    callers = {event.m for event in done.named("mem.return")}
    assert len(callers) == 4 if deal == "round_robin" else callers <= {1, 2, 3, 4}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("ms", [1, 2, 7])
@pytest.mark.parametrize("strategy", ["timing", "random", "round_robin", "run_to_block"])
def test_the_order_holds_under_any_schedule(host: Host, ms: int, strategy: str) -> None:
    """Whoever goes next, the calls come in recorded order and nobody contends."""
    done = logged(
        "real_program", host, {"ms": ms, "strategy": strategy, "seed": 5}, trace=str(TRACER)
    )
    assert done.exit_code == 0, done.run.outcome.error
    assert [e.m for e in done.named("mem.return")] == [
        i % ms + 1 for i in range(len(done.named("mem.return")))
    ]
    assert not [e for e in done.named("lock.acquire") if e.contended]
    assert done.named("run.start")[0].what_if is (ms > 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("deal", ["round_robin", "caller"])
@pytest.mark.parametrize("trace", PROGRAMS, ids=ids)
def test_in_free_order_every_answer_is_sound(trace: Path, deal: str, seed: int) -> None:
    """Under contention no answer overlaps another, and the layer's own checks agree.

    A program that died of its memory dies of it here.
    """
    config = {"seed": seed, "strategy": "random" if seed else "timing"}
    done = logged("real_program", "trampoline", config, trace=str(trace), order="free", deal=deal)
    died = "out_of_memory" if "oom" in trace.name else "ok"
    assert done.run.outcome.verdict == died, done.run.outcome.error
    assert done.results["calls issued"] > 0
    assert done.results["frees skipped"] == 0
    assert bool(done.results["nil answers"]) == ("oom" in trace.name)


def test_in_free_order_the_ms_contend() -> None:
    """The point of it: acquisitions are contended, and frees wait for their allocation."""
    done = logged("real_program", trace=str(TRACER), order="free")
    assert any(e.contended for e in done.named("lock.acquire"))
    assert any(e.reason.startswith("answer") for e in done.named("m.park") if e.reason)


def test_order_alone_changes_the_pages() -> None:
    """The same calls in another order leave other holes, and take more pages."""
    trace = str(TRACES / "go1.27.3-js-t_runtime.jsonl.gz")
    recorded = logged("real_program", trace=trace)
    free = logged("real_program", trace=trace, order="free")
    assert free.results["pages"] > 1.05 * recorded.results["pages"]


def test_less_memory_is_a_what_if() -> None:
    """--max-pages below the recording's makes a growth fail, and Go dies of the nil."""
    config = {"max_pages": 300}
    done = logged("real_program", "trampoline", config, trace=str(MAPS), order="free")
    assert done.results["nil answers"] == 1
    assert done.run.outcome.verdict == "out_of_memory"
    assert done.named("run.start")[0].max_pages == 300


# What a free gives back.


def recorded(path: Path, go: str, *calls: dict[str, Any]) -> str:
    """A recording of outermost calls, by a program whose data ends at 1 MiB."""
    header = {"header": 1, "format": 1, "go": go, "goos": "js", "goarch": "wasm", "end": 1 << 20}
    header["initialPages"] = 40
    lines = [header, *({"seq": i, "depth": 0, "top": 1} | call for i, call in enumerate(calls))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def alloc(n: int, p: int) -> dict[str, Any]:
    return {"ev": "sysAllocOS", "n": n, "p": p}


def free(v: int, n: int) -> dict[str, Any]:
    return {"ev": "sysFreeOS", "v": v, "n": n}


PAGE = 65536
GOS = 1 << 30
"""Where Go had its memory; ours is elsewhere."""


def test_a_part_is_freed_by_its_offset(tmp_path: Path) -> None:
    """Go freed the second of three pages; so do we, of the three that we got."""
    calls = alloc(3 * PAGE, GOS), free(GOS + PAGE, PAGE)
    done = logged(
        "real_program", trace=recorded(tmp_path / "x.jsonl", "go1.27.3", *calls), order="free"
    )
    got, given = done.named("mem.return")
    assert (given.v, given.n) == (got.p + PAGE, PAGE)
    assert got.p != GOS


def test_a_free_of_two_allocations_frees_each_part(tmp_path: Path) -> None:
    """One free of Go's over the end of one and the start of another becomes two of ours."""
    calls = alloc(2 * PAGE, GOS), alloc(2 * PAGE, GOS + 2 * PAGE), free(GOS + PAGE, 2 * PAGE)
    trace = recorded(tmp_path / "x.jsonl", "go1.27.3", *calls)
    done = logged("real_program", "trampoline", {"ms": 1}, trace=trace, order="free")
    first, second, *given = done.named("mem.return")
    assert [(e.v, e.n) for e in given] == [(first.p + PAGE, PAGE), (second.p, PAGE)]


def test_an_address_that_is_used_again_belongs_to_the_later_call(tmp_path: Path) -> None:
    """The second free at one address is of what was allocated there since."""
    calls = alloc(PAGE, GOS), alloc(PAGE, GOS + PAGE), free(GOS, PAGE), alloc(2 * PAGE, GOS - PAGE)
    trace = recorded(tmp_path / "x.jsonl", "go1.27.3", *calls, free(GOS, PAGE))
    done = logged("real_program", "trampoline", {"ms": 1}, trace=trace, order="free")
    returns = done.named("mem.return")
    assert returns[4].v == returns[3].p + PAGE


def test_memory_is_freed_once(tmp_path: Path) -> None:
    """Freed, had again inside of mheap.sysAlloc and freed again: the second free is skipped."""
    trace = recorded(tmp_path / "x.jsonl", "go1.27.3", alloc(8192, GOS), *2 * [free(GOS, 8192)])
    done = logged("real_program", trace=trace, order="free")
    assert done.exit_code == 0, done.run.outcome.error
    assert done.results["frees skipped"] == 1


def test_what_never_came_to_exist_is_not_freed(tmp_path: Path) -> None:
    """A free of memory without a call, of a nil answer, and beyond what we got: skipped, counted.

    Go's arenas here are larger than ours, as a reservation is that happened to be aligned.
    """
    arena = {"ev": "mheap.sysAlloc", "n": 1, "v": GOS, "size": 16 << 20, "top": 0}
    calls = arena, free(GOS + (12 << 20), PAGE), free(GOS - PAGE, PAGE)
    done = logged(
        "real_program", trace=recorded(tmp_path / "x.jsonl", "go1.22", *calls), order="free"
    )
    assert done.exit_code == 0, done.run.outcome.error
    assert done.results["frees skipped"] == 2
    calls = alloc(1 << 31, GOS), free(GOS, PAGE)  # type: ignore[assignment]
    trace = recorded(tmp_path / "y.jsonl", "go1.27.3", *calls)
    done = logged("real_program", "trampoline", {"max_pages": 100}, trace=trace, order="free")
    assert (done.results["nil answers"], done.results["frees skipped"]) == (1, 1)


# The checks can fail.


def test_a_call_that_we_do_not_make_is_a_difference(tmp_path: Path) -> None:
    """Go made a call from outside that is none of the OS layer's: it counts."""
    trace = recorded(tmp_path / "x.jsonl", "go1.27.3", {"ev": "sbrk", "n": 0})
    done = logged("real_program", trace=trace)
    assert done.exit_code == 1
    assert done.results["answers that differ from Go's"] == 1


def rewritten(path: Path, to: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """A copy of a recording with its lines changed."""
    with gzip.open(path) as file:
        lines = [json.loads(line) for line in file]
    change(lines)
    to.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return to


def answer_elsewhere(lines: list[dict[str, Any]]) -> None:
    event = next(e for e in lines[60:] if e.get("ev") == "sysAllocOS" and e.get("top"))
    event["p"] += 65536


def state_elsewhere(lines: list[dict[str, Any]]) -> None:
    event = next(e for e in lines[60:] if e.get("ev") == "sysFreeOS" and e.get("top"))
    event["freeBytes"] -= 65536


def start_elsewhere(lines: list[dict[str, Any]]) -> None:
    event = next(e for e in lines[1:] if e["ev"] == "osinit")
    event["blocMax"] += 65536


@pytest.mark.parametrize("change", [answer_elsewhere, state_elsewhere, start_elsewhere])
def test_a_difference_fails_the_run(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None]
) -> None:
    """One wrong answer or state of a recording: exit 1, and the message names its line."""
    trace = rewritten(TRACER, tmp_path / "changed.jsonl", change)
    done = logged("real_program", trace=str(trace))
    assert done.exit_code == 1
    assert done.results["answers that differ from Go's"] == 1
    error = done.run.outcome.error
    assert isinstance(error, AnswersDiffer)
    line = int(str(error).split(",")[0].removeprefix("line "))
    changed = json.loads(trace.read_text(encoding="utf-8").splitlines()[line - 1])
    assert changed["ev"] in str(error)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (lambda layer, p, first: first, "overlaps"),
        (lambda layer, p, first: p + 64, "is not a multiple of"),
        (lambda layer, p, first: p + (1 << 40), "is outside"),
        (lambda layer, p, first: layer.freelist.blocks()[0][0], "is not handed out"),
    ],
    ids=["twice", "unaligned", "outside", "free"],
)
def test_an_unsound_answer_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, lie: Callable[[SbrkLayer, int, int], int], said: str
) -> None:
    """A layer that gives what no allocator may give is found in free order.

    The first answer is a chunk that is never freed; what is on the free list is nobody's.
    """
    honest = SbrkLayer.sys_alloc_os
    answers = []

    async def lying(self: SbrkLayer, n: int, purpose: str = "") -> int:
        p = await honest(self, n, purpose)
        answers.append(p)
        return lie(self, p, answers[0]) if len(answers) > 1 and n <= 65536 else p

    monkeypatch.setattr(SbrkLayer, "sys_alloc_os", lying)
    done = logged("real_program", "trampoline", {"ms": 1}, trace=str(TRACER), order="free")
    assert done.exit_code == 1
    assert isinstance(done.run.outcome.error, Unsound), done.run.outcome.error
    assert said in str(done.run.outcome.error)


# What cannot be used.


def refused(config: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(ScenarioError) as refusal:
        logged("real_program", "trampoline", config, **options)
    return str(refusal.value)


def test_without_a_recording_it_says_what_to_give() -> None:
    """The error names the option."""
    assert "--set trace=FILE" in refused()


def test_a_recording_must_be_there_and_good(tmp_path: Path) -> None:
    """Missing, no recording, and cut off in the middle: refused before anything runs."""
    assert "No such file" in refused(trace=str(tmp_path / "none.jsonl"))
    (tmp_path / "text.jsonl").write_text("hello\n", encoding="utf-8")
    assert "no header" in refused(trace=str(tmp_path / "text.jsonl"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(MAPS.read_bytes()[:3000])
    assert "cut off" in refused(trace=str(cut))


def test_settings_must_not_contradict_the_recording() -> None:
    """Another release or platform is refused; the recording's own may be said."""
    trace = str(MAPS)
    assert "leave --release out" in refused({"release": "go1.24"}, trace=trace)
    assert "leave --platform out" in refused({"platform": "wasip1/wasm"}, trace=trace)
    same = {"release": "go1.27.3", "platform": "js/wasm"}
    assert logged("real_program", "trampoline", same, trace=trace).exit_code == 0


def test_free_order_needs_a_heap_that_a_recording_tells(tmp_path: Path) -> None:
    """plan9/386 has none; recorded order is offered."""

    def on_386(lines: list[dict[str, Any]]) -> None:
        lines[0] |= {"go": "go1.27.3", "goos": "plan9", "goarch": "386", "events": 0}
        del lines[1:]

    trace = rewritten(MAPS, tmp_path / "386.jsonl", on_386)
    assert "order=recorded" in refused(trace=str(trace), order="free")


def test_an_address_of_gos_is_not_asked_for(tmp_path: Path) -> None:
    """A hint that Go gave means nothing here: its call goes in without it."""

    def with_hint(lines: list[dict[str, Any]]) -> None:
        event = next(e for e in lines[1:] if e["ev"] == "sysReserveOS" and "parent" not in e)
        event["v"] = 1 << 20

    trace = rewritten(MAPS, tmp_path / "hint.jsonl", with_hint)
    done = logged("real_program", trace=str(trace), order="free")
    assert done.exit_code == 0
    assert all(e.v == 0 for e in done.named("mem.call") if e.fn == "sysReserveOS" and not e.purpose)
