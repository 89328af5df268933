"""Tables and plots as plain text."""

from __future__ import annotations

import click

from gorun_mem.analysis.summary import Summary
from gorun_mem.events import Recorder, capture_events
from gorun_mem.report.plot import plot, table
from gorun_mem.report.terminal import render


def test_a_table_is_aligned_to_the_right() -> None:
    """Each column is as wide as its widest cell."""
    assert table(["Ms", "queue"], [["1", "2.5"], ["32", "10.25"]]) == (
        "Ms  queue\n 1    2.5\n32  10.25"
    )


def test_a_plot_places_values_by_their_logarithm() -> None:
    """Equal factors are equal distances; where lines meet there is a star."""
    drawn = plot(
        ["1", "2"], {"slow": [1, 1], "swift": [100, 10], "none": [0, 1]}, unit="u", height=4
    )
    assert drawn == "\n".join(
        [
            "u",
            "100 |    w",
            " 50 |",
            " 10 |         w",
            "  5 |",
            "  1 |    s    *",
            "    +----------",
            "         1    2",
            "s slow, w swift, n none, * several",
        ]
    )


def test_equal_values_and_none_at_all() -> None:
    """A flat line is drawn in the middle; nothing to draw is said."""
    assert "|    f    f    f\n" in plot(list("123"), {"flat": [7] * 3}, unit="u", height=2)
    assert plot(["1"], {"gone": [0]}, unit="u") == "nothing to plot"


def test_marks_are_unique() -> None:
    """Series whose names begin alike get different marks."""
    legend = plot(["1"], {f"s{i}": [i + 1] for i in range(30)}, unit="u").splitlines()[-1]
    marks = [word.split()[0] for word in legend.split(", ")]
    assert len(set(marks)) == len(marks) == 31


def test_results_of_several_lines_are_printed_as_blocks() -> None:
    """A table is put under its name as it is, other results into columns; either may be alone."""
    block = {"rates": "Ms  1/us\n 1   2.5"}
    assert "results\n  rates\n  Ms  1/us\n   1   2.5\n\nmemory" in shown(block)  # type: ignore[arg-type]
    both = shown({"holds": 3, **block, "count": 1200})
    assert "results\n  rates\n" in both
    assert "   1   2.5\n\n  holds      3\n  count  1,200\n" in both
    assert "results\n  count  1,200\n" in shown({"count": 1200})


def shown(results: dict[str, int | str]) -> str:
    """The summary of a run that found `results`."""
    recorder = Recorder()
    with capture_events(recorder) as events:
        recorder.run_end("ok", final_pages=1, steps=1, results=results)
    return click.unstyle(render(Summary.of(list(events))))
