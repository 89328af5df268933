"""The package's locks and notes do, access by access, what Go's own code does."""

from __future__ import annotations

import json

import pytest

from tests.runtime.mutex.made import make
from tests.runtime.mutex.recorded import RECORDED, recorded
from tests.runtime.mutex.walks import OWN_SHAPES, SHAPES, STEPS, Shape, digest, ours, walk


@pytest.mark.parametrize("shape", [*SHAPES, *OWN_SHAPES], ids=lambda shape: shape.name)
def test_walks_are_gos(shape: Shape) -> None:
    """Every access, word, list of sleepers, wakeup, count, sample and death is as recorded of Go's
    code, or as a plain lock has it, in every walk."""
    found = [digest(walk(ours(shape, make), shape, seed)) for seed in range(shape.walks)]
    assert found == list(recorded(shape))


def test_all_are_recorded() -> None:
    """The recordings are of the shapes that there are, and of as many walks."""
    kept: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert {name: len(walks.split()) for name, walks in kept.items()} == {
        shape.name: shape.walks for shape in SHAPES
    }


def test_walks_go_far() -> None:
    """Of each shape some walk is as long as it may be, all Ms go, and some wake others; together
    they come by every way in which Go's locks end a program."""
    deaths: set[str] = set()
    for shape in SHAPES:
        seen = [walk(ours(shape, make), shape, seed) for seed in range(shape.walks)]
        assert max(map(len, seen)) == STEPS
        lines = [line for one in seen for line in one]
        assert {line.split()[0].strip(":") for line in lines} == {
            f"M{i + 1}" for i in range(shape.ms)
        }
        if shape.ms > 1:
            assert any("wakeup: " in line for line in lines)
        deaths |= {line.split("dies: ")[1].split(" (")[0] for line in lines if "dies: " in line}
    assert deaths >= {
        "a fault", "lock count", "runtime·lock: lock count", "runtime·unlock: lock count",
        "self deadlock", "unlock of unlocked lock", "notewakeup - double wakeup",
        "notesleep - waitm out of sync", "notetsleep - waitm out of sync",
        "notesleep not supported by js", "notetsleep not supported by wasi",
    }  # fmt: skip
