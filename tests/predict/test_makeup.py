"""What a recording's pages are made of: it adds up, and says who asked."""

from __future__ import annotations

import json

import pytest

from gorun_mem.cli import main
from gorun_mem.predict.makeup import makeup
from gorun_mem.predict.program import load
from gorun_mem.replay.shipped import names
from gorun_mem.runtime.behaviour import WASM_PAGE


@pytest.mark.parametrize("name", names())
def test_it_adds_up(name: str) -> None:
    """At each growth the parts are all of the memory, none is negative, and what was asked for is
    what the memory grew by."""
    program = load(name)
    found = makeup(program)
    for sample in (*found.samples, found.end):
        assert sum(sample.parts.values()) == sample.pages * WASM_PAGE
        assert min(sample.parts.values()) >= 0, sample
    assert found.end.pages == program.pages
    assert sum(found.grown_by.values()) == program.pages - program.header.initial_pages
    for part, size in found.reclaimable.items():
        assert 0 <= size <= found.end.parts[part]
        assert size % WASM_PAGE == 0


def test_who_asked_is_told() -> None:
    """Trees grow the heap by the function that grows them; goroutines with deep stacks for
    stacks, which no function asks for."""
    trees = makeup(load("trees-go1.27.3"))
    assert next(iter(trees.grown_by)) == "main.grow"
    assert trees.askers[0].stack[-3:] == ("main.main", "runtime.main", "runtime.goexit")
    assert "goroutine stacks" in makeup(load("stacks-go1.27.3")).grown_by


@pytest.mark.parametrize("name", names())
def test_who_asked_is_known_of_what_comes_along(name: str) -> None:
    """Each recording has the program's stacks: spans of more than a page by whom, to main."""
    found = makeup(load(name))
    assert any(asker.stack[-2:] == ("runtime.main", "runtime.goexit") for asker in found.askers)
    asked = sum(asker.spans for asker in found.askers)
    program = load(name)
    objects = sum(kind <= 1 and program.b[i] == 0 for i, kind in enumerate(program.kinds))
    assert asked >= 0.9 * objects


def test_the_verb_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`report RECORDING`: dropped slices stay as free pages of the heap, which do not go back."""
    assert main(["report", "slices-go1.27.3"]) == 0
    said = capsys.readouterr().out
    assert "408 pages at the end, 37 at the start" in said
    assert "free pages of the heap" in said
    assert "linear memory cannot shrink" in said
    assert main(["report", "slices-go1.27.3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pages"] == document["recorded_pages"] == 408
    assert document["reclaimable"]["heap_free"] > 300 * WASM_PAGE
    assert main(["report", "slices-go1.27.3", "--section", "memory"]) == 2
