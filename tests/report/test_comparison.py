"""The page of a comparison: all that the document has, offline, whatever names are like."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from gorun_mem.report.comparison import DOTS_MAX, WIDTH, page


def document(values: list[list[float]], **changes: Any) -> dict[str, Any]:
    """What `compare --json` prints of two sides."""
    names = ["plain", "<script>alert(1)</script>"]
    sides: list[dict[str, Any]] = [
        {"side": name, "median": each[len(each) // 2] if each else None,
         "interval": [each[0], each[-1]] if each else None, "values": each}
        for name, each in zip(names, values, strict=True)
    ]  # fmt: skip
    sides[1] |= {"change": 0.5, "change_interval": [0.25, 0.75], "p": 0.001, "p_adjusted": 0.002}
    sides[1] |= {"differs": True} | changes
    run = [{"name": name, "run": "gorun-mem run x", "seeds": [3, 4]} for name in names]
    return {"compare": "x", "metrics": {"time_ns": sides}, "sides": run, "can_tell": True}


def plots(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def test_every_run_is_a_dot_within_the_plot() -> None:
    """And the box stands for the quartiles, from left to right."""
    text = page(document([[1000.0, 2000.0, 3000.0], [1500.0, 3000.0, 90000.0]]), ["a", "b"])
    found = plots(text)
    assert [len(plot.findall("circle")) for plot in found] == [3, 3]
    for plot in found:
        for dot in plot.findall("circle"):
            assert 0 <= float(dot.get("cx", "-1")) <= WIDTH
        box = plot.find("rect")
        assert box is not None
        assert float(box.get("width", "-1")) >= 0
    assert "1.000 us to 90.000 us, log scale" in text
    assert "+50.0% (+25.0% to +75.0%)" in text
    assert "gorun-mem run x --seed 3" in text


def test_it_needs_nothing_and_trusts_no_name() -> None:
    """No script, no address, names escaped."""
    text = page(document([[1.0], [2.0]]), ["<b>"])
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;" in text
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "http://" not in text
    assert "https://" not in text


def test_what_is_no_difference_is_said_so() -> None:
    """As is a side without a run that ended well, and a table that cannot tell."""
    assert "no difference" in page(document([[1.0], [2.0]], differs=False), [])
    few = document([[1.0], [2.0]], differs=False) | {"can_tell": False}
    assert "too few runs to tell" in page(few, [])
    none = page(document([[], [2.0]]), [])
    assert "no run ended well" in none
    assert len(plots(none)) == 1
    assert "from 0" in page(document([[0.0], [2.0]], change=None), [])


def test_many_runs_stay_few_dots() -> None:
    """The page's size has a bound."""
    many = [float(n) for n in range(1, 10_001)]
    text = page(document([many, many]), [])
    assert all(len(plot.findall("circle")) <= DOTS_MAX for plot in plots(text))
    assert len(text) < 100_000
