"""The table of the kinds of operation."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem.machine.library import find
from gorun_mem.machine.run import run
from gorun_mem.runtime.kinds import KINDS, OTHER, Kind, kind_of, named
from gorun_mem.runtime.mutex.machine import state
from gorun_mem.step.costs import DEFAULT_NS


def test_an_incomplete_kind_cannot_be_made() -> None:
    """Every field of a kind must be said."""
    with pytest.raises(TypeError, match="missing"):
        Kind(name="atomic.min", ns=7.0, reads=False)  # type: ignore[call-arg]


def test_a_state_of_an_unknown_kind_cannot_be_imported() -> None:
    """A lock whose state names no kind fails where its class is read."""
    with pytest.raises(KeyError, match=r"atomic\.kas"):

        @state("atomic.kas")
        def grab(self: object, m: object) -> object:
            """Never made."""


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_what_a_kind_says_goes_together(kind: Any) -> None:
    """A local kind needs no cache line, takes no lock and wakes nobody; what waits only reads; a
    kind with a cost of its own is in the default cost table."""
    if kind.local:
        assert (kind.line, kind.lock, kind.wakes) == ("", "", False)
        assert kind.order in ("none", "parent")
    if kind.waits:
        assert kind.reads
    assert not kind.parts or kind.order == "plain"
    assert kind.ns is None or DEFAULT_NS[kind.name] == kind.ns


def test_the_kinds_of_what_ms_do_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the scenarios' Ms do, on every mutex, is in the table."""
    unknown = set()
    from gorun_mem.step.engine import Engine

    submit = Engine.submit

    def look(self, task: Any, op: Any) -> None:  # type: ignore[no-untyped-def]
        if op.kind not in KINDS:
            unknown.add((type(op).__name__, op.kind))
        submit(self, task, op)

    monkeypatch.setattr(Engine, "submit", look)
    for mutex in ("sema", "futex", "spinbit", "queue", "none"):
        scenario = find("memlock_storm")
        run(scenario, scenario.config().but(mutex=mutex, ms=3, strategy="random"), {"rounds": 2})
    assert not unknown


def test_others() -> None:
    """A kind that the package does not have is taken for what touches and orders."""
    assert kind_of("mine") is OTHER
    assert kind_of("load") is KINDS["load"]
    assert "load" not in named(lambda kind: kind.local)
