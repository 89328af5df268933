"""Classes of schedules of programs on the kit: by brute force, by the search, and by it in pieces.

Under TSO a step is an M's or a buffer's: that a store reaches memory. Such a step depends on all
steps of others on the object, and on none of its own M's, whose loads see the store before; a store
that goes into a buffer touches nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.target import Target
from gorun_mem.machine.world import World
from gorun_mem.step.task import BUFFERS
from tests.explore.brute_force import Everything, Notes, TooMany, every_class, every_run
from tests.explore.kit.programs import Program, target_of
from tests.explore.test_shared_tree import Scattered, course_of, shared

STORES = -1
"""What ends the name of an M's buffer; the rest is the M's."""
STORES_LATE = frozenset({"atomic.store_release", "store"})


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


class BufferedToo(DrawnToo):
    """The same where Ms have store buffers: which of two steps that depend on one another is first.

    Readers between two writers are no group here, for one of them may be the writer's own.
    """

    flushes = True

    def _name(self, m: Any) -> Any:
        if m.id < BUFFERS:
            return super()._name(m)
        return (*super()._name(m.sched.tasks[m.id - BUFFERS]), STORES)

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        if kind in STORES_LATE and op.buffers:
            self._of_m.setdefault(self._name(task), []).append((kind, obj))
        else:
            super().step(task, op, kind, obj, reads, result)

    def _note_on(self, obj: str, name: Any, reads: bool) -> None:
        self._on.setdefault(obj, []).append((name, len(self._of_m[name]), reads))

    def _orders(self, order: list[Any]) -> Any:
        return tuple(sorted(
            ((name, number), (other, other_number))
            for at, (name, number, reads) in enumerate(order)
            for other, other_number, other_reads in order[at + 1 :]
            if not (reads and other_reads) and not _are_one(name, other)
        ))  # fmt: skip


def _are_one(name: Any, other: Any) -> bool:
    """Whether the two are the same, or an M and its buffer: their order says nothing of others."""
    return bool(_owner(name) == _owner(other))


def _owner(name: Any) -> Any:
    return name[:-1] if name[-1:] == (STORES,) else name


def notes_of(target: Target) -> Notes:
    """What notes the classes of its schedules."""
    notes = BufferedToo if target.config.memory == "tso" else DrawnToo
    return notes(Counter(), set())


def all_interleavings(target: Target, most: int, *, spins: bool = False) -> Notes:
    """What every interleaving comes to.

    Args:
        target: the program.
        most: of how many.
        spins: Ms yield, so that another's beginning counts.

    Raises:
        TooMany: there are more than `most`.
    """
    notes, everything = notes_of(target), Everything(eager=not spins)
    everything.reduces = True  # type: ignore[attr-defined]  # a time that is up at any moment
    every_run(target, everything, most, [notes])
    return notes


def searched_classes(target: Target, runs: int | None = None) -> tuple[Batch, Notes]:
    """What the exhaustive search comes to, of so many schedules at most."""
    notes = notes_of(target)
    return every_class(target, notes, runs), notes


def classes_in_pieces(
    target: Target, piece: int, width: int, *, ahead: int = 1, seed: int = 0
) -> tuple[Batch, Notes]:
    """What it comes to in pieces of so many schedules, by workers that are done in any order."""
    notes = notes_of(target)
    crew = Scattered(target, ahead, Random(seed), notes)
    return shared(target, course_of(target, piece, width), crew), notes


@dataclass(slots=True)
class Campaign:
    """What came of programs whose classes were held against brute force.

    Args:
        most: schedules of a program; one that has more is left out.
        programs: compared; `several` those with more than one class.
        classes: that they have.
        vain: runs in vain of the search in one piece.
        runs: of the search in pieces; `pieces_vain` those in vain beside them.
        wrong: what differs, in words.
    """

    most: int
    programs: int = 0
    several: int = 0
    classes: int = 0
    vain: int = 0
    runs: int = 0
    pieces_vain: int = 0
    wrong: list[str] = field(default_factory=list)

    def compare(
        self, program: Program, memory: str, faults: tuple[str, ...] = (), seed: int = 0
    ) -> None:
        """One program more, unless it has too many schedules, or fails: that ends a run before its
        class is known."""
        target = target_of(program, memory, faults)
        batch, found = searched_classes(target, self.most)
        if not batch.complete or {end for _, end, _ in found.ends} - {"NoneType", "DeadlockFound"}:
            return
        try:
            true = all_interleavings(target, self.most, spins="spin" in repr(program))
        except TooMany:
            return
        self.programs += 1
        self.several += len(true.classes) > 1
        self.classes += len(true.classes)
        self.vain += batch.redundant
        self._hold("in one piece", found, true, seed, program)
        random = Random(seed)
        piece, width = random.choice((1, 1, 2, 3, 7)), random.choice((1, 2, 5, 30, 1000))
        ahead = random.choice((1, 2, 5))
        whole, found = classes_in_pieces(target, piece, width, ahead=ahead, seed=seed)
        self.runs += whole.schedules
        self.pieces_vain += whole.redundant
        self._hold(f"pieces of {piece}, {width} parts", found, true, seed, program)

    def _hold(self, how: str, found: Notes, true: Notes, seed: int, program: Program) -> None:
        lost = len(true.classes.keys() - found.classes.keys())
        more = len(found.classes.keys() - true.classes.keys())
        twice = sum(found.classes.values()) - len(found.classes)
        if lost + more + twice or true.ends != found.ends:
            self.wrong.append(
                f"seed {seed}, {how}: of {len(true.classes)} classes {lost} lost, {twice} twice, "
                f"{more} more: {program}"
            )
