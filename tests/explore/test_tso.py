"""Store buffers in a search: every outcome that x86-TSO has, and no other."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gorun_mem.explore.search import explore
from gorun_mem.explore.verdict import Exploration
from gorun_mem.machine.config import Config
from tests.explore.store_buffers import (
    FENCE,
    Do,
    Outcome,
    Program,
    drawn,
    exchange,
    load,
    on_the_kit,
    outcomes,
    store,
)

BATCH = 125


def search(program: Program, memory: str, **settings: Any) -> tuple[Exploration, set[Outcome]]:
    """What a search of a program says, and what its runs ended as."""
    found: set[Outcome] = set()
    config = Config(ms=len(program), memory=memory)
    settings = {"strategy": "exhaustive", "budget": 1_000_000, "canary": False, **settings}
    cells = settings.pop("cells", False)
    return explore(on_the_kit(program, found, cells=cells), config=config, **settings), found


@pytest.mark.parametrize("batch", range(16))
def test_random_programs_end_as_the_machine_of_the_paper_says(batch: int) -> None:
    """2,000 programs drawn, each under sc and under tso: an exhaustive search has the outcomes that
    visiting all states of an independent machine has, no fewer and no others, and begins
    hardly a run in vain: one in all of them, for a search in pieces finds some things twice."""
    weak = vain = 0
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        program = drawn(Random(seed))
        wanted = {memory: outcomes(program, buffers=memory == "tso") for memory in ("sc", "tso")}
        weak += wanted["sc"] != wanted["tso"]
        for memory in ("sc", "tso"):
            result, found = search(program, memory)
            assert result.verdict == "exhausted", (seed, memory, result.reason)
            assert found == wanted[memory], (seed, memory, program)
            vain += result.statistics.redundant
    assert vain <= 1
    assert weak >= 5  # the programs tell the two memories apart


def sees(wanted: dict[int, tuple[int, ...]], memory: dict[str, int] | None = None) -> Any:
    """Whether an outcome has these registers, by M from 1, the first of each, and this memory."""

    def check(outcome: Outcome) -> bool:
        registers, words = outcome
        return all(
            registers[m - 1][: len(values)] == values for m, values in wanted.items()
        ) and all(words["xyz".index(word)] == value for word, value in (memory or {}).items())

    return check


W_X, W_Y = store("x", 1), store("y", 1)
R_X, R_Y = load("x"), load("y")
R_X2, R_Y2 = load("x", 1), load("y", 1)

SB: Program = ((W_X, R_Y), (W_Y, R_X))
BOTH_0 = sees({1: (0,), 2: (0,)})
"""Name: the program, the outcome in question, whether sc has it, whether x86-TSO has it."""
LITMUS: dict[str, tuple[Program, Any, bool, bool]] = {
    "SB": (SB, BOTH_0, False, True),
    "SB+mfences": (((W_X, FENCE, R_Y), (W_Y, FENCE, R_X)), BOTH_0, False, False),
    "SB+one mfence": (((W_X, FENCE, R_Y), (W_Y, R_X)), BOTH_0, False, True),
    "SB+xchgs": (((exchange("x", 1), R_Y), (exchange("y", 1), R_X)), BOTH_0, False, False),
    "SB+rfi": (
        ((W_X, load("x", 1), R_Y), (W_Y, load("y", 1), R_X)),
        sees({1: (0, 1), 2: (0, 1)}), False, True,
    ),
    "SB+locked add elsewhere": (
        ((W_X, Do("add", "z", 1, register=2), R_Y), (W_Y, Do("add", "z", 1, register=2), R_X)),
        BOTH_0, False, False,
    ),
    "SB+failing cas elsewhere": (
        ((W_X, Do("cas", "z", 1, 9, 2), R_Y), (W_Y, Do("cas", "z", 1, 9, 2), R_X)),
        BOTH_0, False, False,
    ),
    "MP": (((W_X, W_Y), (R_Y, R_X2)), sees({2: (1, 0)}), False, False),
    "LB": (((R_X, W_Y), (R_Y, W_X)), sees({1: (1,), 2: (1,)}), False, False),
    "S": (((store("x", 2), W_Y), (R_Y, W_X)), sees({2: (1,)}, {"x": 2}), False, False),
    "R": (((W_X, W_Y), (store("y", 2), R_X)), sees({2: (0,)}, {"y": 2}), False, True),
    "R+mfence": (
        ((W_X, W_Y), (store("y", 2), FENCE, R_X)), sees({2: (0,)}, {"y": 2}), False, False
    ),
    "2+2W": (
        ((W_X, store("y", 2)), (W_Y, store("x", 2))), sees({}, {"x": 1, "y": 1}), False, False
    ),
    "IRIW": (
        ((W_X,), (W_Y,), (R_X, R_Y2), (R_Y, R_X2)), sees({3: (1, 0), 4: (1, 0)}), False, False
    ),
    "CoRR": (((W_X,), (R_X, R_X2)), sees({2: (1, 0)}), False, False),
    "WRC": (((W_X,), (R_X, W_Y), (R_Y, R_X2)), sees({2: (1,), 3: (1, 0)}), False, False),
    # Intel's n5, and AMD's n6: a buffer that forwards, and reaches memory after another's.
    "n5": (((W_X, R_X), (store("x", 2), R_X)), sees({1: (2,), 2: (1,)}), False, False),
    "n6": (
        ((W_X, R_X, load("y", 1)), (W_Y, store("x", 2))), sees({1: (1, 0)}, {"x": 1}), False, True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LITMUS)
def test_litmus_tests_come_out_as_on_x86(name: str) -> None:
    """The classic tests: what may be seen is seen, and what may not is not, under either memory."""
    program, is_wanted, under_sc, under_tso = LITMUS[name]
    for memory, seen in (("sc", under_sc), ("tso", under_tso)):
        result, found = search(program, memory)
        assert result.verdict == "exhausted"
        assert any(map(is_wanted, found)) is seen, memory
        assert found == outcomes(program, buffers=memory == "tso")


@pytest.mark.parametrize("strategy", ["random", "pct", "pos", "urw", "surw", "dfs", "auto"])
def test_every_strategy_lets_buffers_be_late(strategy: str) -> None:
    """Store buffering, seen by each strategy under tso and by none under sc."""
    for memory, seen in (("sc", False), ("tso", True)):
        _, found = search(SB, memory, strategy=strategy, budget=2_000)
        assert any(map(BOTH_0, found)) is seen
        assert found <= outcomes(SB, buffers=memory == "tso")


def test_cells_are_buffered_as_words_are() -> None:
    """Plain memory: the outcomes of the same programs over words."""
    programs: list[Program] = [SB, ((W_X, R_X, load("y", 1)), (W_Y, store("x", 2)))]
    for program in programs:
        for memory in ("sc", "tso"):
            result, found = search(program, memory, cells=True)
            assert result.verdict == "exhausted"
            assert found == outcomes(program, buffers=memory == "tso")


def test_store_buffering_takes_one_run_for_each_class() -> None:
    """Four ways in which the two stores reach memory before or after the other's load, four runs;
    three of them are there without buffers."""
    for memory, classes in (("sc", 3), ("tso", 4)):
        result, _ = search(SB, memory)
        assert (result.statistics.schedules, result.statistics.redundant) == (classes, 0)


FIVE_MS: Program = (
    (R_Y,), (load("z"),), (exchange("y", 1),), (R_Y,), (exchange("z", 2), exchange("z", 1)),
)  # fmt: skip


@pytest.mark.parametrize("first", range(5))
def test_every_race_is_reversed_in_every_run(first: int) -> None:
    """Five Ms, sequentially consistent: an outcome is missing where a race is reversed only in the
    first run that has it, for what does not happen after it comes in two orders."""
    for order in [(0, 1, 3, 2, 4), (0, 1, 2, 3, 4), (3, 1, 4, 0, 2)]:
        turned = [(place + first) % 5 for place in order]
        program = tuple([FIVE_MS[place] for place in turned])
        result, found = search(program, "sc")
        assert result.verdict == "exhausted"
        assert not result.statistics.redundant
        assert found == outcomes(program, buffers=False)
