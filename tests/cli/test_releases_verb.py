"""`gorun-mem releases`: one program on many releases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gorun_mem.analysis.accumulator import dispatch_table
from gorun_mem.analysis.by_release import PARTS, ArenaPattern
from gorun_mem.cli import main
from gorun_mem.runtime.call import Call, LayerState
from tests import TRACES


def document(capsys: pytest.CaptureFixture[str], *arguments: Any) -> Any:
    assert main(["releases", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_scenario_on_many_releases(capsys: pytest.CaptureFixture[str]) -> None:
    """Every minor release and the seed commit; the parts of the memory add up to its pages."""
    found = document(capsys, "checkerboard", "--platform", "js/wasm")
    names = [run["release"] for run in found["releases"]]
    assert names[0] == "go1.19"
    assert "dac514ea" in names
    assert names[-1] == "go1.27"
    for run in found["releases"]:
        assert set(run["parts"]) == {name for name, _ in PARTS}
        assert sum(run["parts"].values()) == run["final_pages"] * 65536
    by_name = {run["release"]: run for run in found["releases"]}
    assert by_name["go1.20"]["parts"]["free"] == 0  # nothing was reused
    assert by_name["dac514ea"]["parts"]["never_used"] > 200 * 65536  # the initial slack
    assert by_name["go1.24"]["parts"]["never_used"] == 0
    why = {(c["before"], c["after"]): c["text"] for c in found["changes"]}
    assert "initial pages that sbrk passes over" in why["go1.23", "go1.24"]


def test_a_recording_of_wasip1_begins_where_wasip1_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Go has it from 1.21 on; who asks for an earlier release is told so."""
    trace = str(TRACES / "go1.21.13-wasip1-maps.jsonl.gz")
    found = document(capsys, trace)
    names = [run["release"] for run in found["releases"]]
    assert (names[0], names[-1]) == ("go1.21", "go1.27")
    assert main(["releases", trace, "--of", "go1.19"]) == 2
    assert "exists from go1.21" in capsys.readouterr().err


def test_a_recording_on_its_own_release_takes_what_go_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the recorded release the pages are near the recording's, and others need more or less."""
    trace = TRACES / "go1.27.3-js-maps.jsonl.gz"
    found = document(capsys, str(trace), "--of", "go1.23,go1.25,go1.27.3")
    pages = {run["release"]: run["final_pages"] for run in found["releases"]}
    assert 900 < pages["go1.27.3"] < 1000
    assert pages["go1.23"] > 2 * pages["go1.25"]  # the trims of aligned reservations


def test_the_pattern_is_seen_where_it_is_and_not_where_it_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A|B|A|B: metadata between arenas makes each miss its hint; without metadata none does."""
    with_metadata = document(capsys, "arena_at_break", "--of", "go1.26", "--set", "arenas=8")
    without = document(
        capsys, "arena_at_break", "--of", "go1.26", "--set", "arenas=8", "--set", "metadata=0"
    )
    assert with_metadata["releases"][0]["pattern"] >= 3
    assert without["releases"][0]["pattern"] == 0


def test_the_table_and_the_plot(capsys: pytest.CaptureFixture[str]) -> None:
    """People get a table, a plot and sentences."""
    assert main(["releases", "freelist_fallback", "--of", "go1.20,go1.23,go1.27"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:3] == ["release", "outcome", "pages"]
    assert "p pages" in out
    assert "go1.20 to go1.23:" in out


def test_under_a_limit_each_release_says_whether_it_lives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """200 pages: each row's outcome, the least limit that would do, and exit 1.

    That limit is the truth: with it the row lives, with one page less it does not.
    """
    trace = str(TRACES / "go1.27.3-js-maps.jsonl.gz")
    assert main(["releases", trace, "--max-pages", "200", "--json"]) == 1
    rows = {run["release"]: run for run in json.loads(capsys.readouterr().out)["releases"]}
    outcomes = {name: run["outcome"] for name, run in rows.items()}
    old = ("go1.19", "go1.20", "dac514ea", "go1.21", "go1.22", "go1.23")
    assert outcomes == {
        name: "not_instantiable" if name in old else "out_of_memory" for name in rows
    }
    assert "278 x 64 KiB at the start and the limit is 200" in rows["go1.19"]["why"]
    assert "524,288 bytes were wanted: call " in rows["go1.27"]["why"]
    for name in ("go1.21", "go1.24", "go1.26"):
        needs = rows[name]["needs_pages"]
        for pages, code in ((needs, 0), (needs - 1, 1)):
            assert main(["releases", trace, "--of", name, "--max-pages", str(pages)]) == code
    out = capsys.readouterr().out
    assert "needs" in out.splitlines()[0]


def test_a_scenario_that_fits_some_releases_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Initial pages are the release's: 100 are too few to 1.23 and enough from 1.24 on."""
    assert main(["releases", "end_of_memory", "--platform", "js/wasm", "--max-pages", "100"]) == 1
    out = capsys.readouterr().out
    assert out.count("not_instantiable") == 6
    assert main(["releases", "end_of_memory", "--of", "go1.24,go1.27", "--max-pages", "100"]) == 0
    capsys.readouterr()
    with_pages = document(capsys, "end_of_memory", "--of", "go1.27", "--init-pages", "90")
    assert with_pages["releases"][0]["final_pages"] == 90
    with_end = document(capsys, "end_of_memory", "--of", "go1.27", "--end", "3MiB")
    assert with_end["releases"][0]["parts"]["static"] == 3 << 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["checkerboard", "--of", "go1.2"], "no release 'go1.2'"),
        (["chekerboard"], "did you mean checkerboard"),
        (["checkerboard", "--set", "x"], "give it as KEY=VALUE"),
        (["checkerboard", "--set", "x=1"], "no option 'x'"),
        (["checkerboard", "--ms", "0"], "ms"),
        ([__file__], "defines no scenario"),
    ],
)
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: Any, says: Any) -> None:
    """One clear sentence, exit 2."""
    assert main(["releases", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_pattern_counts_rows() -> None:
    """Planted events: three arenas in a row that miss, then one that hits."""
    from gorun_mem.events import capture_events

    with capture_events() as events:
        recorder = events.recorder
        for _ in range(3):
            recorder.mem_call(Call("sysAllocOS", 0, 65536))
            recorder.mem_return(
                Call("sysAllocOS", 0, 65536, 0, "", 1 << 20, 65536, True, "sbrk", 0, 0),
                LayerState(1, 1, 1, 0, 0, 0),
            )
            recorder.arena_hint_miss(1 << 20, False, 2 << 20, 1 << 20)
            recorder.arena_reserve(4 << 20, 4 << 20, "aligned", 0, 0)
        recorder.arena_reserve(8 << 20, 4 << 20, "hint", 8 << 20, 0)
    pattern = ArenaPattern()
    table = dispatch_table([pattern])
    for event in events:
        for handler in table[type(event)]:
            handler(event)
    assert (pattern.arenas, pattern.missed, pattern.longest) == (4, 3, 3)
