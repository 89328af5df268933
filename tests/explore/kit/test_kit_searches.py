"""Random programs of the kit, searched as `explore` does: in processes, and broken off by Ctrl-C.

GORUN_MEM_KIT_PROGRAMS=500 takes 120 of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gorun_mem.explore import checkpoint, explore
from gorun_mem.explore import conduct as conducting
from gorun_mem.explore.parallel import Pool
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.step.strategies.searching import Profile
from tests.explore.kit.classes import searched_classes
from tests.explore.kit.from_outside import PROGRAM, SEEN, ToFile, named, program_of, the_program
from tests.explore.kit.programs import target_of
from tests.explore.kit.test_kit_programs import CLASSES, PROGRAMS
from tests.explore.test_resume import Interrupting
from tests.explore.test_shared_tree import course_of, shared

NAMES = ("rw", "several", "at any moment", "several, tso")
OF_EACH = 30 if PROGRAMS >= 100 else 1
CLASSES_LEAST, CLASSES_MOST = 12, 400


def programs(name: str, first: int) -> Iterator[tuple[int, set[str]]]:
    """Programs of some classes from a seed on, and what the search in one piece runs of them."""
    memory, _, _, faults = CLASSES[name]
    found = 0
    for seed in range(first, first + 10_000):
        target = target_of(program_of(f"{name}:{seed}"), memory, faults)
        batch, notes = searched_classes(target, CLASSES_MOST)
        failed = {end for _, end, _ in notes.ends} - {"NoneType", "DeadlockFound"}
        if batch.complete and not failed and batch.schedules >= CLASSES_LEAST:
            yield seed, set(named(notes))
            found += 1
            if found == OF_EACH:
                return


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The one that says which program it is, and the one for what was run of it."""
    said, seen = tmp_path / "program", tmp_path / "seen"
    monkeypatch.setenv(PROGRAM, str(said))
    monkeypatch.setenv(SEEN, str(seen))
    return said, seen


def config_of(name: str) -> Config:
    """What programs of a class run with."""
    memory, _, _, faults = CLASSES[name]
    return Config(ms=2, mutex="queue", memory=memory, faults=faults)


@pytest.mark.parametrize("name", NAMES)
def test_in_two_processes_each_class_is_run_once(name: str, files: tuple[Path, Path]) -> None:
    """The processes of `--jobs 2`: the classes of the search in one piece, one run each."""
    said, seen = files
    target = Target.of(the_program, config_of(name))
    with Pool(
        target, [ToFile], 2,
        {
            "seed": 0, "steps_max": 2_000, "profile": Profile(), "deadline": None,
            "failures_max": 1 << 30, "watch_s": 60.0,
        },
    ) as pool:  # fmt: skip
        for seed, true in programs(name, 0):
            said.write_text(f"{name}:{seed}")
            seen.write_text("")
            whole = shared(target, course_of(target, Random(seed).choice((1, 2, 3, 7)), 24), pool)
            assert whole.schedules == len(true), seed
            assert sorted(seen.read_text().split()) == sorted(true), seed


@pytest.mark.parametrize("name", NAMES)
def test_broken_off_again_and_again_each_class_is_run_once(
    name: str, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--resume` and Ctrl-C in the middle of pieces: what is counted is one run of each class."""
    said, seen = files
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    came = 0
    for seed, true in programs(name, 1_000):
        said.write_text(f"{name}:{seed}")
        seen.write_text("")
        random = Random(seed)
        piece = random.choice((1, 2, 5))
        monkeypatch.setattr("gorun_mem.explore.work.PIECE_RUNS", (piece, piece))
        monkeypatch.setattr(conducting, "perform", Interrupting(random, breaths=4).perform)
        while (
            found := explore(
                the_program, config=config_of(name), strategy="exhaustive", budget=100_000,
                canary=False, failures_max=1_000, shrink=False, detectors=[ToFile],
                resume=tmp_path / f"{seed}.search",
            )
        ).interrupted:  # fmt: skip
            came += 1
        assert found.statistics.schedules == len(true), seed
        assert set(seen.read_text().split()) == true, seed
    assert came >= OF_EACH
