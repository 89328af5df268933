"""Random programs over the whole kit: each class of schedules once, by brute force.

Outcomes alone do not tell that a class is left out whose ends others have too.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.world import World
from tests.explore.brute_force import Everything, Notes, TooMany
from tests.explore.kit.programs import Program, drawn, target_of
from tests.explore.kit.test_kit_programs import CLASSES, PROGRAMS, alone_and_shared

TRIES = 60 * PROGRAMS
"""Programs of which enough have few enough interleavings."""
MOST = 300 if PROGRAMS < 100 else 3_000
"""Interleavings of a program."""


class DrawnToo(Notes):
    """Notes what Ms draw as well, which `select` and `choose` do."""

    def begin(self, world: World) -> None:
        super().begin(world)
        self._drawn: list[tuple[int, int]] = []
        engine: Any = world.engine
        choice = engine.choice

        def noted(m: Any, n: int, label: str) -> int:
            value: int = choice(m, n, label)
            if n > 1 and not engine.stopped:
                self._drawn.append((m.id, value))
            return value

        engine.choice = noted

    def end(self, world: World) -> tuple[()]:
        self._name(world.main)
        by: dict[Any, list[int]] = {}
        for m, value in self._drawn:
            by.setdefault(self._names[m], []).append(value)
        results: Any = world.results
        results["drawn"] = sorted((name, tuple(values)) for name, values in by.items())
        return super().end(world)


def all_interleavings(target: Target) -> Notes:
    """What every interleaving comes to.

    Raises:
        TooMany: there are too many.
    """
    notes, everything = DrawnToo(Counter(), set()), Everything()
    everything.reduces = True  # type: ignore[attr-defined]  # a time that is up at any moment
    count = 0
    while everything.next_run():
        count += 1
        if count > MOST:
            raise TooMany
        run_once(target, everything, detectors=[notes]).world.driver.dissolve()
    return notes


def searched_classes(target: Target) -> tuple[Batch, Notes]:
    """What the exhaustive search comes to."""
    notes = DrawnToo(Counter(), set())
    worker = Worker(target, [lambda: notes], steps_max=2_000, failures_max=1 << 30)
    return worker.tree("exhaustive", runs=MOST), notes


def compare(
    program: Program, faults: tuple[str, ...], seed: int, *, shared: bool = False
) -> str | None:
    """What is wrong with the classes that are searched, "" for nothing; None where they are too
    many, or a run fails, which ends it before its class is known."""
    target = target_of(program, "sc", faults)
    batch, found = searched_classes(target)
    if not batch.complete:
        return None
    try:
        true = all_interleavings(target)
    except TooMany:
        return None
    if {kind for _, kind, _ in true.ends} - {"NoneType", "DeadlockFound"}:
        return None
    lost = len(true.classes.keys() - found.classes.keys())
    more = len(found.classes.keys() - true.classes.keys())
    twice = sum(found.classes.values()) - len(found.classes)
    alone, pieces, _ = alone_and_shared(target, seed) if shared else (0, 0, set())
    if not lost + more + twice and true.ends == found.ends and alone == pieces:
        return ""
    return (
        f"seed {seed}: of {len(true.classes)} classes {lost} lost, {twice} twice, {more} more, "
        f"{pieces} in pieces: {program}"
    )


@pytest.mark.parametrize("name", [name for name in CLASSES if CLASSES[name][0] == "sc"])
def test_programs_lose_no_class_and_run_none_twice(name: str) -> None:
    """In one piece, and shared out in pieces that are done in any order and lost at times."""
    _, kinds, times, faults = CLASSES[name]
    compared = 0
    for seed in range(TRIES):
        wrong = compare(drawn(seed, kinds, times, 3), faults, seed, shared=True)
        assert not wrong, wrong
        compared += wrong is not None
        if compared == PROGRAMS // 2:
            break
    assert compared == PROGRAMS // 2


OVERTAKEN: dict[str, Program] = {
    "two whose time is up": (
        (
            (("recv", "c", None, 0),), (("send", "d", 1, None),),
            (("recv", "d", None, 0), ("load", 0)),
        ),
        (),
    ),
    "a select": (
        (
            (("recv", "c", None, 0),),
            (("call", ("list", 0), 2), ("select", (("send", "d", 1),), False, 0)),
            (("recv", "d", None, 0), ("call", ("list", 0), 1)),
        ),
        (),
    ),
}  # fmt: skip
"""An M whose time is up may go before who would serve it, in whichever order others are."""


@pytest.mark.parametrize("name", OVERTAKEN)
@pytest.mark.parametrize("faults", [(), ("timeout",)])
@pytest.mark.parametrize("seed", range(4))
def test_who_is_called_when_its_time_is_up_could_have_gone_before(
    name: str, faults: tuple[str, ...], seed: int
) -> None:
    """The order of two such waits was lost where a third M's step came last."""
    assert compare(OVERTAKEN[name], faults, seed, shared=True) == ""
