"""Random programs of the kit, searched as `explore` does: in processes, and broken off by Ctrl-C.

GORUN_MEM_KIT_PROGRAMS=500 takes 120 of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gorun_mem.explore import checkpoint, explore
from gorun_mem.explore import conduct as conducting
from gorun_mem.machine.config import Config
from tests.explore.kit.classes import searched_classes
from tests.explore.kit.from_outside import (
    PROGRAM,
    SEEN,
    ToFile,
    named,
    of_environment,
    program_of,
)
from tests.explore.kit.programs import target_of
from tests.explore.kit.test_kit_programs import CLASSES, PROGRAMS
from tests.explore.test_resume import Interrupting

SEARCHED, IN_TWO = (120, 120) if PROGRAMS >= 100 else (4, 2)
CLASSES_LEAST, CLASSES_MOST = 12, 400
NAMES = ("rw", "several", "at any moment", "several, tso")


def programs(first: int) -> Iterator[tuple[str, int, set[str]]]:
    """Programs of some classes from a seed on, and what the search in one piece runs of them."""
    seed = first
    while True:
        for name in NAMES:
            memory, _, _, faults = CLASSES[name]
            target = target_of(program_of(f"{name}:{seed}"), memory, faults)
            batch, notes = searched_classes(target, CLASSES_MOST)
            failed = {end for _, end, _ in notes.ends} - {"NoneType", "DeadlockFound"}
            if batch.complete and not failed and batch.schedules >= CLASSES_LEAST:
                yield name, seed, set(named(notes))
        seed += 1


def search(monkeypatch: pytest.MonkeyPatch, seen: Path, name: str, seed: int, **how: Any) -> Any:
    """`explore`, in small pieces."""
    memory, _, _, faults = CLASSES[name]
    monkeypatch.setenv(PROGRAM, f"{name}:{seed}")
    monkeypatch.setenv(SEEN, str(seen))
    piece = Random(seed).choice((1, 2, 5))
    monkeypatch.setattr("gorun_mem.explore.work.PIECE_RUNS", (piece, piece))
    config = Config(ms=2, mutex="queue", memory=memory, faults=faults)
    return explore(
        of_environment, config=config, strategy="exhaustive", budget=100_000, canary=False,
        failures_max=1_000, shrink=False, detectors=[ToFile], **how,
    )  # fmt: skip


def test_in_two_processes_each_class_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--jobs 2`: the classes of the search in one piece, one run each."""
    for number, (name, seed, true) in enumerate(programs(0)):
        if number == IN_TWO:
            break
        seen = tmp_path / f"{number}.seen"
        found = search(monkeypatch, seen, name, seed, jobs=2)
        assert found.statistics.schedules == len(true), (name, seed)
        assert sorted(seen.read_text().split()) == sorted(true), (name, seed)


def test_broken_off_again_and_again_each_class_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--resume` and Ctrl-C in the middle of pieces: what is counted is one run of each class."""
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    came = 0
    for number, (name, seed, true) in enumerate(programs(1_000)):
        if number == SEARCHED:
            break
        interrupting = Interrupting(Random(seed), breaths=4)
        monkeypatch.setattr(conducting, "perform", interrupting.perform)
        seen, file = tmp_path / f"{number}.seen", tmp_path / f"{number}.search"
        while (found := search(monkeypatch, seen, name, seed, resume=file)).interrupted:
            came += 1
        assert found.statistics.schedules == len(true), (name, seed)
        assert set(seen.read_text().split()) == true, (name, seed)
    assert came > SEARCHED
