"""A comparison as the page shows it: all that the document of `compare --json` has."""

from __future__ import annotations

from typing import Any

from gorun_mem.report.comparison import DOTS_MAX, WIDTH, document


def compared(values: list[list[float]], **changes: Any) -> dict[str, Any]:
    """What `compare --json` prints of two sides."""
    names = ["plain", "<script>alert(1)</script>"]
    both: list[dict[str, Any]] = [
        {"side": name, "median": each[len(each) // 2] if each else None,
         "interval": [each[0], each[-1]] if each else None, "values": each}
        for name, each in zip(names, values, strict=True)
    ]  # fmt: skip
    both[1] |= {"change": 0.5, "change_interval": [0.25, 0.75], "p": 0.001, "p_adjusted": 0.002}
    both[1] |= {"differs": True} | changes
    run = [{"name": name, "run": "gorun-mem run x", "seeds": [3, 4]} for name in names]
    return {"compare": "x", "metrics": {"time_ns": both}, "sides": run, "can_tell": True}


def sides(made: dict[str, Any]) -> list[dict[str, Any]]:
    (metric,) = made["metrics"]
    found: list[dict[str, Any]] = metric["sides"]
    return found


def test_every_run_is_a_dot_within_the_plot() -> None:
    """And the box stands for the quartiles, from left to right."""
    made = document(compared([[1000.0, 2000.0, 3000.0], [1500.0, 3000.0, 90000.0]]), ["a", "b"])
    for side in sides(made):
        assert len(side["drawn"]["dots"]) == 3
        assert all(0 <= dot <= WIDTH for dot in side["drawn"]["dots"])
        assert side["drawn"]["quartiles"] == sorted(side["drawn"]["quartiles"])
    assert made["words"] == ["a", "b"]
    (metric,) = made["metrics"]
    assert (metric["low"], metric["high"], metric["wide"]) == ("1.000 us", "90.000 us", True)
    assert sides(made)[1]["change"] == "+50.0% (+25.0% to +75.0%)"
    assert made["sides"][0] == ["plain", "gorun-mem run x --seed 3"]


def test_what_is_no_difference_is_said_so() -> None:
    """As is a side without a run that ended well, and a table that cannot tell."""

    def change(made: dict[str, Any]) -> str:
        return str(sides(made)[1]["change"])

    same = compared([[1.0], [2.0]], differs=False)
    assert change(document(same, [])) == "no difference"
    assert change(document(same | {"can_tell": False}, [])) == "too few runs to tell"
    assert change(document(compared([[0.0], [2.0]], change=None), [])) == "from 0"
    none = sides(document(compared([[], [2.0]]), []))
    assert none[0]["median"] == "no run ended well"
    assert [side["drawn"] is None for side in none] == [True, False]


def test_many_runs_stay_few_dots() -> None:
    """The page's size has a bound."""
    many = [float(n) for n in range(1, 10_001)]
    made = document(compared([many, many]), [])
    assert all(len(side["drawn"]["dots"]) <= DOTS_MAX for side in sides(made))
