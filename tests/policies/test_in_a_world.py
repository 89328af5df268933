"""A World over a policy: from Python, a scenario, the command line; its log, and a search of it."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import Config, KiB, M, World, run, scenario
from gorun_mem.analysis.blocks import FreeBlocks
from gorun_mem.cli import main
from gorun_mem.events.reader import read_events
from gorun_mem.events.types import MemReturn, RunStart
from gorun_mem.explore import explore
from gorun_mem.machine.config import ConfigError, resolve
from gorun_mem.machine.library import find
from gorun_mem.machine.scenario import Scenario
from gorun_mem.machine.trampoline import drive
from gorun_mem.policies import (
    POLICIES,
    AddressOrdered,
    Policy,
    PolicyError,
    PolicyFreeList,
)
from gorun_mem.policies.best_fit import BestFit
from gorun_mem.policies.first_fit import FirstFit
from tests import ROOT

PAGE = 64 * KiB

BROKEN = """
from gorun_mem.policies.first_fit import FirstFit


class Forgets(FirstFit):
    'Broken in one order of frees: a block between two others is lost to both.'

    def put(self, addr, size):
        between = addr + size in self.sizes and any(
            start + has == addr for start, has in self.sizes.items()
        )
        if not between:
            super().put(addr, size)


class Keeps(FirstFit):
    'The same, mended.'

    def put(self, addr, size):
        super().put(addr, size)
"""


@scenario(ms=3, platform="plan9/amd64")
async def frees_in_any_order(world: World) -> None:
    """Three Ms free one page each of a row; a fourth page keeps the row away from the break."""
    row = [await world.main.sys_alloc(PAGE) for _ in range(4)]

    async def worker(m: M) -> None:
        await m.sys_free(row[m.id - 1], PAGE)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


def cli(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `gorun-mem`, errors with it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return code, out.getvalue() or err.getvalue()


def logged(path: Path, *arguments: str) -> list[Any]:
    """The events of a run."""
    assert cli("run", *arguments, "--log", str(path))[0] == 0
    return list(read_events(path))


@pytest.mark.parametrize("name", POLICIES)
def test_the_log_says_what_is_free(name: str, tmp_path: Path) -> None:
    """Blocks rebuilt from puts and takes are the snapshots', whatever the policy; it is named."""
    events = logged(tmp_path / "log.jsonl", "memlock_storm", "--policy", name)
    start = events[0]
    assert isinstance(start, RunStart)
    assert (start.policy, start.what_if) == (name, True)
    blocks = FreeBlocks()
    for event in events:
        blocks.take(event)
        if isinstance(event, MemReturn):
            assert blocks.total == event.free_bytes
            assert (len(blocks.blocks), blocks.largest) == (event.free_blocks, event.free_largest)
    assert blocks.known
    assert not blocks.mismatches, blocks.mismatch


@pytest.mark.parametrize("name", ["memlock_storm", "checkerboard", "freelist_fallback"])
def test_first_fit_answers_as_no_policy_does(name: str, tmp_path: Path) -> None:
    """The same calls, addresses and figures for one schedule; and only a policy is named.

    In virtual time schedules differ: a header of Go's touches a page, a policy's block does not.
    """
    answers = []
    for more in ((), ("--policy", "first_fit")):
        events = logged(tmp_path / "log.jsonl", name, "--strategy", "random", *more)
        answers.append([(e.fn, e.p, e.pages, e.free_bytes, e.free_blocks, e.search_steps)
                        for e in events if isinstance(e, MemReturn)])  # fmt: skip
        assert (events[0].policy == "first_fit") == bool(more)
    assert answers[0]
    assert answers[0] == answers[1]


def test_by_class_and_by_name() -> None:
    """World(policy=...), Config and @scenario take a class or a name; what is none is said."""
    assert World(policy=BestFit).config.policy == "best_fit"
    assert World(policy="arena:64KiB").config.policy == "arena:64KiB"

    class Own(FirstFit):
        """One of this test's."""

    assert str(World(policy=Own).config.policy).endswith("Own")

    @scenario(ms=2, policy=Own)
    async def small(world: World) -> None:
        await world.main.sys_alloc(PAGE)

    assert isinstance(small, Scenario)
    done = run(small)
    assert done.outcome.ok
    freelist = done.world.runtime.os.freelist
    assert isinstance(freelist, PolicyFreeList)
    assert type(freelist.policy) is Own
    with pytest.raises(ConfigError, match="did you mean best_fit"):
        World(policy="bestfit")
    with pytest.raises(ConfigError, match="int is no policy"):
        World(policy=int)
    with pytest.raises(ConfigError, match="no free list"):
        World(policy="buddy", release="go1.20", platform="js/wasm", ms=1)
    with pytest.raises(ConfigError, match="granularity access"):
        resolve(Config(policy="buddy", granularity="access", mutex="none"))


def test_a_host_that_grows_is_survived() -> None:
    """From 1.24 Go hands out what its host has taken; under ask_size it does not."""

    async def program(world: World) -> None:
        await world.main.sys_alloc(PAGE)
        await world.host_grow(4)
        for _ in range(40):
            await world.main.sys_alloc(2 * PAGE)

    findings = {}
    for policy in (None, "ask_size"):
        world = World(policy=policy, ms=1, release="go1.27", platform="js/wasm")
        drive(world.driver, program(world))
        findings[policy] = world.finding()
    assert "the host's memory is handed out" in str(findings[None])
    assert findings["ask_size"] is None


@pytest.mark.parametrize("name", POLICIES)
def test_each_is_clean_in_every_schedule(name: str) -> None:
    """Under memlock: all orders of three frees, and more of a storm by drawing."""
    config = frees_in_any_order.config(policy=name, mutex="queue")
    found = explore(frees_in_any_order, strategy="exhaustive", config=config, canary=False)
    assert found.outcome == "exhausted", found.sentence
    assert found.statistics.schedules >= 6
    for platform in ("plan9/amd64", "js/wasm"):
        config = Config(ms=3, policy=name, platform=platform)
        drawn = explore(find("memlock_storm"), config=config, budget=20, strategy="random",
                        canary=False, options={"rounds": 6})  # fmt: skip
        assert drawn.outcome == "survived", drawn.sentence


def test_a_broken_policy_is_found(tmp_path: Path) -> None:
    """It fails in one order of three frees; the token replays it, and its twin is clean."""
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    config = frees_in_any_order.config(policy=f"{file}:Keeps", mutex="queue")
    assert explore(frees_in_any_order, strategy="exhaustive", config=config).exit_code == 0
    config = frees_in_any_order.config(policy=f"{file}:Forgets", mutex="queue")
    assert run(frees_in_any_order, config).outcome.ok
    found = explore(frees_in_any_order, strategy="exhaustive", config=config)
    assert found.failure is not None
    assert found.failure.signature.kind == "policy"
    assert "Forgets lists" in found.failure.text
    assert found.failure.schedule.about["config"]["policy"] == f"{file}:Forgets"


def test_a_search_on_the_command_line(tmp_path: Path) -> None:
    """Found, and replayed by its token only where the policy's code may run."""
    file = tmp_path / "lossy.py"
    file.write_text(BROKEN.replace("between = ", "between = bool(self.sizes) or "))
    token = tmp_path / "failed.schedule"
    words = ("explore", "memlock_storm", "--ms", "2", "--set", "rounds=3", "--policy",
             f"{file}:Forgets", "--save", str(token))  # fmt: skip
    code, text = cli(*words, "--json")
    assert code == 1, text
    failure = json.loads(text)["failures"][0]
    assert "Forgets lists" in failure["text"]
    code, text = cli(*words, "--jobs", "2", "--budget", "200")
    assert code == 1, text
    assert "FAILED: policy: lost what is free" in text
    assert "Forgets lists" in text.partition("violated: ")[2]
    code, text = cli("replay-schedule", str(token))
    assert code == 2
    assert "--code" in text
    code, text = cli("replay-schedule", str(token), "--code", f"{file}:Forgets")
    assert code == 1, text
    assert "Forgets lists" in text


def test_a_failing_policy_is_named(tmp_path: Path) -> None:
    """With file and line, whoever runs it; as no fault of this package's."""
    file = tmp_path / "raises.py"
    file.write_text(
        "from gorun_mem.policies.first_fit import FirstFit\n\n\n"
        "class Raises(FirstFit):\n"
        "    def put(self, addr, size):\n"
        "        return {}[addr]\n"
    )
    code, text = cli("run", "memlock_storm", "--policy", f"{file}:Raises", "--log",
                     str(tmp_path / "log.jsonl"))  # fmt: skip
    assert code == 1
    assert "raises.py, line 6" in text
    assert "KeyError" in text


def said_in_readme(verb: str) -> list[str]:
    """The arguments of README's one command of a verb that has a policy."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = [one for one in lines if one.startswith(f"gorun-mem {verb} ") and "--policy" in one]
    return shlex.split(line.partition("#")[0])[1:]


def test_compare_by_policy() -> None:
    """As README has it: a side each; buddies take a tenth more pages for the same load."""
    code, text = cli(*said_in_readme("compare"), "--json")
    assert code == 0
    first, buddy = json.loads(text)["metrics"]["final_pages"]
    assert (first["side"], buddy["side"]) == ("first_fit", "buddy")
    assert buddy["median"] == pytest.approx(1.1 * first["median"], rel=0.02)
    assert buddy["differs"]


def test_explore_as_the_readme_has_it() -> None:
    """It survives; here with a budget of 100."""
    code, text = cli(*said_in_readme("explore"), "--budget", "100")
    assert code == 0, text
    assert "survived" in text


class Loses(AddressOrdered):
    """Broken: nothing that is given back is there any more."""

    def choose(self, size: int) -> int:
        """None."""
        return -1

    def put(self, addr: int, size: int) -> None:
        """Nowhere."""


@pytest.mark.trio
@pytest.mark.world(policy=BestFit, ms=2)
async def test_the_marker_takes_one(world: World) -> None:
    """A World of pytest's has the policy of its mark."""
    assert world.config.policy == "best_fit"

    async def worker(m: M) -> None:
        assert await m.sys_alloc(PAGE)

    async with world.open_ms() as ms:
        ms.start_soon(worker)


@pytest.mark.parametrize("policy", [Loses])
def test_a_run_ends_badly(policy: type[Policy]) -> None:
    """What a policy must not do ends the run that it does it in."""
    done = run(find("memlock_storm"), Config(policy=policy))
    assert done.outcome.verdict == "failed"
    assert isinstance(done.outcome.error, PolicyError)
    assert "0 free bytes" in str(done.outcome.error)
