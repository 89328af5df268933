"""Predictions: exact on their own release, within their intervals on others, honest on limits."""

from __future__ import annotations

import gzip
import json
from array import array
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gorun_mem.cli import main
from gorun_mem.cli._predicted import warnings_of
from gorun_mem.predict.estimate import (
    Built,
    estimate_build,
    interval,
    naive,
    predict,
    smallest_limit,
)
from gorun_mem.predict.pages import CACHE_PAGES, GO_PAGE, PageAlloc
from gorun_mem.predict.program import Program, ProgramStep, load
from gorun_mem.predict.span import predict_own, simulate
from gorun_mem.replay.os_level import Level, replay_file
from gorun_mem.replay.recording import Recording, RecordingError
from gorun_mem.replay.shipped import FOLDER, names, resolve
from gorun_mem.runtime.behaviour import release

RELEASES = ("go1.21.13", "go1.24.11", "go1.27.3")


def recorded(name: str, to: str) -> Program:
    return load(f"{name}-{to}")


def test_eight_programs_come_along() -> None:
    """Eight programs by three releases, in less than 200 KB."""
    assert len({name.partition("-")[0] for name in names()}) >= 8
    assert len(names()) >= 16
    assert sum(path.stat().st_size for path in FOLDER.glob("*.gz")) < 200_000


@pytest.mark.parametrize("name", names())
def test_a_release_is_predicted_from_its_own_recording(name: str) -> None:
    """To the page; and the recording replays exactly at os and heap level."""
    with Recording(name) as recording:
        pages = [event.pages_now for event in recording if isinstance(event.pages_now, int)]
    assert predict_own(name) == pages[-1]
    for level in Level:
        result = replay_file(resolve(name), level)
        assert (result.differences, result.problem) == (0, "")
        assert result.calls > 8


@pytest.mark.parametrize("name", names())
def test_pages_over_time_are_those_recorded(name: str) -> None:
    """On its own release: every size that the memory is said to have had, it had, in that order."""
    with Recording(name) as recording:
        recorded = [event.pages_now for event in recording if isinstance(event.pages_now, int)]
    program = load(name)
    header = program.header
    found = simulate(program, program.release, header.end, program.initial_pages, header.max_pages)
    seen = iter(recorded)
    assert found.over_time[0] == (0, program.initial_pages)
    assert all(pages in seen for _, pages in found.over_time)
    assert found.over_time[-1][1] == found.pages == recorded[-1]
    events = [event for event, _ in found.over_time]
    assert events == sorted(events)


def test_the_table_and_the_plot(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has pages over time and parts by release; a person sees the recorded curve and more."""
    assert main(["predict", "slices-go1.27.3", "--json"]) == 0
    for row in json.loads(capsys.readouterr().out)["programs"][0]["releases"]:
        assert row["over_time"][0]["pages"] == row["initial_pages"]
        assert row["over_time"][-1]["pages"] == row["pages"]
        assert sum(row["parts"].values()) == row["pages"] * 65536
    assert main(["predict", "slices-go1.27.3"]) == 0
    assert "r recorded (go1.27.3), m most (go1.23)" in capsys.readouterr().out


def test_other_releases_come_within_their_intervals() -> None:
    """Over all pairs of the recordings that come along: at least 80 % of the intervals hold the
    recorded pages, half of the points are within 5 %, and the naive growth is far worse."""
    held, off, naive_off = 0, [], []
    programs = sorted({name.partition("-")[0] for name in names()})
    pairs = [(p, a, b) for p in programs for a in RELEASES for b in RELEASES if a != b]
    for name, a, b in pairs:
        program, truth = recorded(name, a), recorded(name, b).pages
        found = predict([program], release(b))
        held += found.low <= truth <= found.high
        off.append(abs(found.pages - truth) / truth)
        naive_off.append(abs(naive(program, release(b)) - truth) / truth)
    assert held >= 0.8 * len(pairs)
    assert sorted(off)[len(off) // 2] <= 0.05
    assert sorted(naive_off)[len(off) // 2] > 4 * sorted(off)[len(off) // 2]


def test_frees_that_are_missing_are_seen() -> None:
    """With half of the spans' frees left out the recorded pages no longer come out: the exactness
    above is not for free."""
    program = recorded("queue", "go1.27.3")
    kinds = bytearray(program.kinds)
    freed = [i for i, kind in enumerate(kinds) if kind == ProgramStep.FREE_SPAN]
    for i in freed[: len(freed) // 2]:
        kinds[i] = ProgramStep.FLUSH
    broken = replace(program, kinds=kinds)
    header = program.header
    found = simulate(broken, program.release, header.end, header.initial_pages)
    assert found.pages != program.pages


def test_parts_add_up_to_the_memory() -> None:
    """What the memory is said to be for is all of it, on every release."""
    program = recorded("slices", "go1.24.11")
    for to in ("go1.19", "go1.21", "go1.23", "go1.24", "go1.25", "go1.26", "go1.27"):
        (run,) = predict([program], release(to)).runs
        assert sum(run.parts.values()) == run.pages << 16
        assert all(size >= 0 for size in run.parts.values()), run.parts


def test_the_smallest_limit_is_just_enough() -> None:
    """Under it the program lives, under one page less it dies; the call is named."""
    program = recorded("maps", "go1.24.11")
    for to in ("go1.23", "go1.25", "go1.27"):
        built = estimate_build(program, release(to))
        free = simulate(program, built.release, built.end, built.initial_pages)
        least = smallest_limit(program, built, free)
        assert predict([program], release(to), least).outcome == "ok"
        below = predict([program], release(to), least - 1)
        assert below.outcome == "out_of_memory"
        assert below.death is not None
        assert below.death.asked > 0
        assert below.death.by in ("main.main", "fmt.Sprint")  # the program's own, or what it called
        tight = predict([program], release(to), built.initial_pages - 1)
        assert tight.outcome == "not_instantiable"


def test_intervals_are_widened_by_the_arena_or_a_tenth() -> None:
    """Whichever is more, on either side of the recordings' range."""
    assert interval([1000], 8) == (900, 1100)
    assert interval([100], 64) == (36, 164)
    assert interval([1000, 1300], 64) == (900, 1430)


def test_a_known_build_replaces_the_estimate() -> None:
    """With the binary of the other release its data and initial pages are used as they are."""
    program = recorded("hello", "go1.27.3")
    built = Built(release("go1.24.11"), 1_400_000, 37)
    found = predict([program], built.release, built=built)
    assert found.initial_pages == 37


@pytest.mark.parametrize(("grown", "warned"), [(1.5, False), (3.0, True)])
def test_a_runaway_mark_phase_is_told(grown: float, warned: bool) -> None:
    """In use at the end of marking over in use at its start above 2 warns; below it does not."""
    program = recorded("slices", "go1.27.3")
    (run,) = predict([program], program.release).runs
    assert not run.marks
    mark = run.peak_live // GO_PAGE
    steps = [
        (ProgramStep.SPAN, mark),
        (ProgramStep.GC_START, 0),
        (ProgramStep.SPAN, int(mark * (grown - 1))),
    ]
    steps.append((ProgramStep.GC_END, 0))
    marked = replace(
        program,
        kinds=bytearray(kind for kind, _ in steps),
        a=array("q", [a for _, a in steps]),
        b=array("q", [0] * len(steps)),
        seqs=array("q", range(len(steps))),
    )
    prediction = predict([marked], program.release)
    assert bool(prediction.runs[0].marks) is warned
    assert any("ran away" in text for text in warnings_of([prediction], [marked])) is warned


def test_an_exit_code_is_told() -> None:
    """A run that ended with one may have died early; one that ended well is not spoken of."""
    program = recorded("hello", "go1.27.3")
    ended = replace(program, header=msgspec.structs.replace(program.header, exit=3))
    for one, told in ((program, False), (ended, True)):
        said = warnings_of([predict([one], one.release)], [one])
        assert any("exit code 3" in text for text in said) is told


def test_the_verb_asserts_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 where a row does not live or an assertion does not hold; every row is in the JSON."""
    arguments = ["predict", "maps-go1.24.11", "--release", "go1.23", "--release", "go1.26"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (program,) = document["programs"]
    assert [row["outcome"] for row in program["releases"]] == ["ok", "ok"]
    assert main([*arguments, "--max-pages", "200", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["programs"][0]["releases"]
    assert [row["outcome"] for row in rows] == ["not_instantiable", "ok"]
    assert rows[1]["smallest_limit"] <= 200
    assert main([*arguments, "--assert", "high <= 512"]) == 1
    assert "go1.23: not so: high <= 512" in capsys.readouterr().out
    assert main([*arguments, "--assert", "nonsense <= 512"]) == 2
    assert main(["predict", "maps-go1.24.11", "--release", "go1.26", "--assert", "high<=512"]) == 0
    assert main(["predict"]) == 2
    assert main(["predict", "no-such-recording"]) == 2


def test_a_recording_without_spans_is_refused(tmp_path: Path) -> None:
    """One of level heap cannot be predicted from, and says what to do."""
    path = tmp_path / "heap.jsonl"
    header = {"header": 1, "format": 1, "go": "go1.24.3", "goos": "js", "goarch": "wasm", "end": 99}
    path.write_text(json.dumps(header) + "\n")
    with pytest.raises(RecordingError, match="--level span"):
        load(path)


def test_a_recording_that_is_not_fit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it says so itself, or its own pages do not come out."""
    head, *body = gzip.decompress(resolve("hello-go1.27.3").read_bytes()).splitlines()
    header = json.loads(head)
    header["self_check"] = {"fit": False, "missing": ["runtime.sbrk"]}
    path = tmp_path / "unfit.jsonl"
    path.write_bytes(b"\n".join([json.dumps(header).encode(), *body]) + b"\n")
    assert main(["predict", str(path)]) == 2
    assert "runtime.sbrk" in capsys.readouterr().err
    header["self_check"] = {}
    bad = [line.replace(b'"pages_now":46', b'"pages_now":47') for line in body]
    path.write_bytes(b"\n".join([json.dumps(header).encode(), *bad]) + b"\n")
    assert main(["predict", str(path)]) == 2
    assert "its own release predicted from it takes 46" in capsys.readouterr().err


def test_pages_are_found_first_fit_and_cached_by_64() -> None:
    """The lowest run; the cache takes what is free of the aligned 64 around the lowest page."""
    pages = PageAlloc()
    base = 1 << 22
    pages.grow(base, 512 * GO_PAGE)
    first = pages.alloc(10)
    assert first == base
    assert pages.alloc(3) == base + 10 * GO_PAGE
    pages.free(first, 10)
    assert pages.alloc(11) == base + 13 * GO_PAGE
    cache = pages.to_cache()
    assert cache.base == base
    assert cache.alloc(10) == base
    assert cache.alloc(CACHE_PAGES - 24) == base + 24 * GO_PAGE
    assert cache.empty
    assert pages.alloc(1) == base + CACHE_PAGES * GO_PAGE
    assert pages.alloc(10_000) == 0
