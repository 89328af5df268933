"""The scheduler's chair: choices, states, strategies that play on, tokens."""

from __future__ import annotations

import subprocess
from random import Random
from typing import Any

import pytest

from gorun_mem.explore.drive import run_once
from gorun_mem.explore.target import Target
from gorun_mem.machine.library import find, lessons
from gorun_mem.step.strategies.random_walk import SearchingWalk
from gorun_mem.web import chair
from gorun_mem.web.guard import Refused
from tests.service.service_tools import command

LESSON = "lessons/unlock_skips_wake"


def ask(scenario: str = LESSON, **more: Any) -> dict[str, Any]:
    return chair.answer({"scenario": scenario, **more})


def test_a_lost_wakeup_is_made_by_hand() -> None:
    """In under 20 choices, each among those that the state before offers; every state shows where
    the Ms are; the token fails the same way under replay-schedule."""
    choices: list[int] = []
    state = ask()
    for wanted in [1] * 5 + [2] * 20:
        if state["ended"]:
            break
        assert wanted in state["decision"]["options"] or len(choices) > 9
        choices.append(wanted)
        state = ask(choices=choices)
    assert len(choices) < 20
    assert state["ended"]["failed"]
    assert state["ended"]["signature"] == "deadlock: acquire futex lock"
    (lock,) = state["locks"]
    assert lock["holders"] == []
    assert [waiter["m"] for waiter in lock["waiters"]] == [2]
    assert [bit["name"] for bit in lock["bits"] if bit["set"]] == ["unlocked"]
    assert any(one["step"] == 12 for one in state["ended"]["matters"])
    done = subprocess.run(
        command("replay-schedule", state["token"]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "FAILED: deadlock: acquire futex lock" in done.stdout


@pytest.mark.parametrize("name", lessons())
def test_each_lesson_has_a_solution_that_opens_at_the_step(name: str) -> None:
    """A search finds it, its choices lead there, the token too, and the step before what matters
    can be looked at; the twin does not fail that way."""
    found = ask(name, find={"budget": 2000})
    assert found["found"]["outcome"] == "failed"
    assert found["ended"]["failed"]
    again = ask(name, choices=found["choices"])
    assert again["ended"] == found["ended"]
    assert again["steps"] == found["steps"]
    by_token = chair.answer_token({"token": found["token"], "step": 1})
    assert by_token["program"]["scenario"] == name
    assert by_token["whole"]["ended"]["signature"] == found["ended"]["signature"]
    assert by_token["step"] == 1
    nearest = found["found"]["nearest"]
    if nearest is not None:
        passing = ask(name, choices=nearest["choices"])
        at = found["steps"][nearest["differs_at"] - 1]["mark"]
        assert passing["choices"][:at] == found["choices"][:at]
        assert passing["choices"][at] != found["choices"][at]
        assert passing["ended"] is not None


def test_choices_make_the_runs_that_a_search_makes() -> None:
    """Any tape of a random walk, cut anywhere, gives the same steps by hand, with the next choice
    among those that are offered; stopped anywhere, the state is that of the prefix."""
    random = Random(7)
    for name in ("free_list_aba", "wake_one", "two_stage", "writer_starvation", "lost_update"):
        name = f"lessons/{name}"
        target = Target.of(find(name))
        for _ in range(6):
            walk = SearchingWalk()
            walk.begin(random, None)  # type: ignore[arg-type]
            done = run_once(target, walk, transcribe=True)
            cut = random.randrange(len(done.tape) + 1)
            seen = ask(name, choices=done.tape[:cut])
            made = [(step["m"], step["kind"], step["obj"]) for step in seen["steps"]]
            whole = [(step.m, step.kind, step.obj) for step in done.named_steps]
            assert made == whole[: len(made)]
            if cut < len(done.tape):
                assert done.tape[cut] in seen["decision"]["options"]
            else:
                assert seen["ended"] is not None
            stop = random.randrange(len(made) + 1)
            there = ask(name, choices=done.tape[:cut], step=stop)
            assert there["step"] == stop
            assert [s["m"] for s in there["steps"]] == [s["m"] for s in seen["steps"]][:stop]
            assert there["choices"] == seen["choices"][: len(there["choices"])]


def test_strategies_play_on() -> None:
    """Each plays to an end from where the choices end; the same seed plays the same."""
    for strategy in ("run_to_block", "random", "round_robin", "pct", "pos", "urw", "surw"):
        played = ask(choices=[1, 1], then={"strategy": strategy, "seed": 3})
        assert played["ended"] is not None, strategy
        assert played["choices"][:2] == [1, 1]
        again = ask(choices=[1, 1], then={"strategy": strategy, "seed": 3})
        assert again["choices"] == played["choices"]
    one = ask(choices=[1], then={"strategy": "random", "steps": 1})
    assert len(one["choices"]) == 2
    with pytest.raises(Refused, match="no strategy 'timing' plays on"):
        ask(then={"strategy": "timing"})


def test_a_scenario_with_memory_shows_it() -> None:
    """The memory, the lines of the Ms and memlock are seen while a scenario runs."""
    settings = {"ms": 2}
    state = ask("memlock_storm", settings=settings, then={"strategy": "random", "steps": 60})
    assert state["memory"]["bloc"] > 0
    assert state["memory"]["wrong"] == ""
    assert any(lock["name"] == "memlock" for lock in state["locks"])
    places = [m["at"][-1] for m in state["ms"] if m["m"] and m["at"]]
    assert {place["file"] for place in places} == {"memlock_storm.py"}
    for place in places:
        assert any("await" in line for line in place["source"])


def test_a_circle_is_seen_in_the_graph() -> None:
    """Two Ms that hold a lock each and want the other's: two edges, M1 to M2 and back."""
    found = ask("lessons/ab_ba", choices=[1, 1, 2, 2, 1, 2])
    assert {(edge["m"], edge["holder"]) for edge in found["edges"]} == {(1, 2), (2, 1)}


def test_tokens_of_other_programs_are_refused() -> None:
    """A token may name any function or path: only the library's are run."""
    from gorun_mem.step.schedule import Schedule

    for about in (
        {"function": "os:system"},
        {"scenario": "/tmp/evil.py"},
        {"scenario": "real_program", "options": {"trace": "/etc/passwd"}},
        {"test": "tests/x.py::test"},
        {"scenario": "memlock_storm", "options": []},
        {"scenario": "memlock_storm", "config": {"ms": "x"}},
        {},
    ):
        with pytest.raises(Refused):
            chair.answer_token({"token": Schedule((1,), (), about).token(), "step": 0})
