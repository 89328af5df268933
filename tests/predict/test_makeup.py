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
    """Trees grow the heap for objects; goroutines with deep stacks for stacks."""
    assert next(iter(makeup(load("trees-go1.27.3")).grown_by)) == "heap objects"
    assert "goroutine stacks" in makeup(load("stacks-go1.27.3")).grown_by


def test_the_verb_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`report RECORDING`: dropped slices stay as free pages of the heap, which do not go back."""
    assert main(["report", "slices-go1.27.3"]) == 0
    said = capsys.readouterr().out
    assert "384 pages at the end, 37 at the start" in said
    assert "free pages of the heap" in said
    assert "linear memory cannot shrink" in said
    assert main(["report", "slices-go1.27.3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pages"] == document["recorded_pages"] == 384
    assert document["reclaimable"]["heap_free"] > 300 * WASM_PAGE
    assert main(["report", "slices-go1.27.3", "--section", "memory"]) == 2
