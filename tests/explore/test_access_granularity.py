"""Every access of the allocator a step: what memlock is there for, shown by taking it away."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from greenlet import greenlet

from gorun_mem import Config, M, World, run, scenario
from gorun_mem.events import Recorder, capture_events
from gorun_mem.explore import explore
from gorun_mem.explore.drive import Execution, replay, run_once
from gorun_mem.explore.report import render
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import ConfigError, resolve
from gorun_mem.step.schedule import Schedule
from gorun_mem.step.strategies.pos import Pos
from gorun_mem.step.strategies.random import RandomWalk
from gorun_mem.step.strategies.searching import Profile
from tests.explore.report_runs import plainest

SEED = "dac514ea"
PLATFORMS = ("plan9/amd64", "js/wasm")


@scenario(ms=2, release=SEED)
async def churn(world: World, *, rounds: int = 1) -> None:
    """Two Ms allocate and free blocks that are neighbours."""

    async def worker(m: M) -> None:
        for _ in range(rounds):
            p = await m.sys_alloc(8192)
            q = await m.sys_alloc(4096)
            await m.sys_free(p, 8192)
            r = await m.sys_alloc(4096)
            await m.sys_free(q, 4096)
            await m.sys_free(r, 4096)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


@scenario(ms=2, release=SEED)
async def from_the_list(world: World) -> None:
    """Two Ms allocate from a list that has room for both."""
    p = await world.main.sys_alloc(1 << 16)
    await world.main.sys_alloc(1 << 16)
    await world.main.sys_free(p, 1 << 16)

    async def worker(m: M) -> None:
        await m.sys_alloc(4096)

    async with world.open_ms() as ms:
        ms.start_soon(worker)
        ms.start_soon(worker)
    world.check()


@scenario(ms=2, release=SEED)
async def at_the_break(world: World) -> None:
    """Two Ms allocate where the list is empty: both move the break."""
    before = world.runtime.os.bloc

    async def worker(m: M) -> None:
        await m.sys_alloc(4096)

    async with world.open_ms() as ms:
        ms.start_soon(worker)
        ms.start_soon(worker)
    if world.runtime.os.bloc != before + 8192:
        raise AssertionError("an update of bloc was lost")


@scenario(ms=2, release=SEED)
async def into_the_list(world: World) -> None:
    """Two Ms free blocks that are not neighbours."""
    blocks = [await world.main.sys_alloc(1 << 16) for _ in range(8)]
    await world.main.sys_free(blocks[1], 1 << 16)

    async def worker(m: M, block: int) -> None:
        await m.sys_free(block, 1 << 16)

    async with world.open_ms() as ms:
        ms.start_soon(worker, blocks[3])
        ms.start_soon(worker, blocks[5])
    freelist = world.runtime.os.freelist
    assert freelist is not None
    world.check()
    if freelist.total_bytes != 3 << 16:
        raise AssertionError("a free block was lost")


def access(**changes: Any) -> Config:
    settings: dict[str, Any] = {
        "ms": 2, "release": SEED, "platform": "plan9/amd64", "mutex": "none",
        "granularity": "access", "mem_debug": True,
    }  # fmt: skip
    return Config(**{**settings, **changes})


def explored(target: Target, how: str, runs: int) -> list[Execution]:
    if how == "random":
        return [run_once(target, RandomWalk(seed)) for seed in range(runs)]
    from random import Random

    pos, random = Pos(), Random(1)
    done = []
    for _ in range(runs):
        pos.begin(random, Profile())
        done.append(run_once(target, pos))
    return done


def signatures(done: list[Execution]) -> set[str]:
    return {str(one.signature) for one in done if one.signature is not None}


@pytest.mark.parametrize("how", ["random", "pos"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_without_memlock_memory_is_handed_out_twice(platform: str, how: str) -> None:
    """Two Ms of the seed commit's own code, no lock: both get the same block, soon."""
    target = Target.of(churn, access(platform=platform))
    found = signatures(explored(target, how, 60))
    assert any("memory is handed out twice" in one for one in found)


@pytest.mark.parametrize("how", ["random", "pos"])
def test_without_memlock_a_block_of_the_list_is_handed_out_twice(how: str) -> None:
    """Both find the same block by their search and both cut its tail off."""
    done = explored(Target.of(from_the_list, access()), how, 60)
    bad = [one for one in done if one.signature is not None]
    assert any("is handed out twice" in str(one.signature) for one in bad)
    assert len(bad) < len(done)  # and some schedules are harmless


@pytest.mark.parametrize("how", ["random", "pos"])
def test_without_memlock_an_update_of_bloc_is_lost(how: str) -> None:
    """Both load bloc before either stores it; with no ledger only bloc itself can tell."""
    target = Target.of(at_the_break, access(faithful=True))
    found = signatures(explored(target, how, 60))
    assert found == {next(s for s in found if s.startswith("AssertionError"))}


@pytest.mark.parametrize("how", ["random", "pos"])
def test_without_memlock_the_list_loses_a_block_or_fails_its_check(how: str) -> None:
    """Two frees between the same neighbours: one of the links is overwritten."""
    target = Target.of(into_the_list, access())
    assert any(s.startswith("AssertionError") for s in signatures(explored(target, how, 150)))


TWINS = [
    (platform, program)
    for platform in PLATFORMS
    for program in (churn, from_the_list, at_the_break, into_the_list)
    if (platform, program) != ("js/wasm", at_the_break)  # there bloc stays where initBloc put it
]


@pytest.mark.parametrize("mutex", ["sema", "spinbit", "futex"])
@pytest.mark.parametrize(("platform", "program"), TWINS)
def test_with_its_lock_the_same_code_is_silent(platform: str, program: Any, mutex: str) -> None:
    """The fixed twin: the same programs under memlock, no failure in any schedule drawn."""
    config = access(platform=platform, mutex=mutex, granularity="sync")
    done = explored(Target.of(program, config), "random", 60)
    assert not signatures(done)
    assert len({tuple(one.tape) for one in done}) > 10


def test_the_report_of_a_lost_update_of_bloc() -> None:
    """The report names the store to bloc that came between the other M's load and store."""
    target = Target.of(at_the_break, access(faithful=True))
    failure = plainest(target)
    assert failure is not None
    report = render(failure, target)
    assert re.search(r"M1's store bloc\w* .*\(step 12\) comes between two of M2: load bloc", report)


def test_the_report_shows_the_list_before_and_after() -> None:
    """Where a list of blocks was corrupted the report has it as it was and as it is."""
    target = Target.of(from_the_list, access())
    failure = plainest(target)
    assert failure is not None
    report = render(failure, target)
    assert "Free list (address+bytes):" in report
    assert "after step 44: 0x160000+0x10000\n" in report
    assert "at the end: 0x160000+0xf000\n" in report


def test_a_schedule_replays_to_the_access() -> None:
    """A token leads to the same failure, step for step."""
    target = Target.of(churn, access())
    failure = plainest(target, runs=60)
    assert failure is not None
    again = replay(target, Schedule.from_token(failure.token))
    assert again.signature == failure.signature
    assert again.named_steps == failure.steps


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", [SEED, "go1.23", "go1.24.3", "go1.27"])
def test_one_m_does_what_it_does_in_one_go(name: str, platform: str) -> None:
    """Taken apart, the allocator gives the same addresses, break, pages and list."""

    async def calls(world: World) -> None:
        m = world.main
        got = [await m.sys_alloc(n) for n in (8192, 4096, 65536, 12288, 4096)]
        for i, n in ((1, 4096), (3, 12288), (0, 8192)):
            await m.sys_free(got[i], n)
        got.append(await m.sys_alloc(4096))
        got.append(await m.sys_reserve(world.runtime.os.bloc, 65536))
        if world.settings.release.behaviour.is_sbrk_platform:
            got += await m.sys_reserve_aligned_sbrk(65536, 65536)
        await m.sys_free(got[2], 65536)
        snapshot = world.snapshot()
        seen.append((got, snapshot, world.runtime.memory.read(1, 1 << 20)))

    seen: list[Any] = []
    config = access(platform=platform, release=name)
    steps = [
        run_once(Target.of(calls, config.but(granularity=granularity)), RandomWalk(0)).steps
        for granularity in ("sync", "access")
    ]
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert steps[1] > 3 * steps[0]


def logged(host: str, **settings: Any) -> tuple[list[Any], str, int]:
    with capture_events() as events:
        ended = run(churn, access(**settings), host=host, recorder=Recorder())  # type: ignore[arg-type]
    return list(events), str(ended.outcome.error), ended.outcome.steps


@pytest.mark.parametrize("strategy", ["random", "timing", "round_robin"])
def test_both_hosts_write_the_same_log(strategy: str) -> None:
    """Hosts know nothing of it: same events, same failure, same steps; logged or not."""
    ends = set()
    for seed in range(8):
        for mem_debug in (False, True):
            settings = {"strategy": strategy, "seed": seed, "mem_debug": mem_debug}
            one, other = logged("trampoline", **settings), logged("trio", **settings)
            assert one == other
            silent = run(churn, access(**settings))
            assert (str(silent.outcome.error), silent.outcome.steps) == one[1:]
            ends.add(one[1])
    assert any("handed out twice" in end for end in ends)


def test_what_does_not_go_together_is_said() -> None:
    """A lock, a release without a free list, a granularity that is none: each says why."""
    for changes, words in (
        ({"mutex": "sema"}, r"with mutex sema: .* take the lock away \(--mutex none\)"),
        ({"release": "go1.20", "platform": "js/wasm"}, "go1.20 on js/wasm has no free list"),
        ({"granularity": "word"}, "no granularity 'word'"),
    ):
        with pytest.raises(ConfigError, match=words):
            resolve(access(**changes))


def test_without_greenlet_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named; nothing else of the package needs it."""
    monkeypatch.setattr("gorun_mem.machine.config.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'gorun-mem\[access\]'"):
        resolve(access())
    resolve(access(granularity="sync"))


def test_the_ordinary_path_has_nothing_of_it() -> None:
    """A World at sync granularity has the plain classes, and greenlet is not even imported."""
    world = World(access(granularity="sync"))
    os = world.runtime.os
    assert [type(part).__module__ for part in (os, os.memory, os.freelist, os.ledger)] == [
        "gorun_mem.runtime.mem_sbrk", "gorun_mem.runtime.memory",
        "gorun_mem.runtime.freelist", "gorun_mem.runtime.ledger",
    ]  # fmt: skip
    code = (
        "import sys; from gorun_mem import World, Config; World(Config()).runtime; "
        "print('greenlet' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_call_that_is_cut_off_leaves_no_greenlet() -> None:
    """Every failing run stops Ms in the middle of calls; their greenlets end with it."""
    target = Target.of(churn, access())
    done = explored(target, "random", 30)
    assert signatures(done)
    gc.collect()
    left = [one for one in gc.get_objects() if isinstance(one, greenlet) and not one.dead]
    assert [one for one in left if one.parent is not None] == []


def test_the_command_line_takes_it(tmp_path: Path) -> None:
    """`run --granularity access --mutex none` fails as the emulated program does: exit 1."""
    script = tmp_path / "both_move_the_break.py"
    script.write_text(
        "from gorun_mem import scenario\n\n\n@scenario(ms=2)\n"
        "async def both(world):\n"
        "    async def worker(m):\n"
        "        await m.sys_alloc(4096)\n\n"
        "    async with world.open_ms() as ms:\n"
        "        ms.start_soon(worker)\n"
        "        ms.start_soon(worker)\n"
    )
    said = {}
    for mutex in ("none", "sema"):
        command = [sys.executable, "-m", "gorun_mem", "run", str(script), "--mutex", mutex]
        command += ["--granularity", "access", "--strategy", "round_robin"]
        command += ["--log", str(tmp_path / "log.jsonl")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said[mutex] = (done.returncode, done.stdout + done.stderr)
    assert said["none"][0] == 1
    assert "gorun_mem: memory is handed out twice" in said["none"][1]
    assert said["sema"][0] == 2
    assert "take the lock away (--mutex none)" in said["sema"][1]


@pytest.mark.parametrize("filled", [False, True])
def test_an_exhaustive_search_misses_no_outcome(filled: bool) -> None:
    """What it leaves out differs in nothing: it ends in every state that random walks end in.

    So two accesses that depend on each other never count as independent. Going through the whole
    tree of some 41,000 and 16,000 schedules gives the same three states each.
    """

    def program(seen: set[Any]) -> Any:
        async def main(world: World) -> None:
            got = []
            if filled:
                p = await world.main.sys_alloc(8192)
                await world.main.sys_alloc(4096)
                await world.main.sys_free(p, 8192)

            async def worker(m: M) -> None:
                got.append((m.id, await m.sys_alloc(4096)))

            async with world.open_ms() as ms:
                ms.start_soon(worker)
                ms.start_soon(worker)
            os = world.runtime.os
            assert os.freelist is not None
            seen.add((*sorted(got), os.bloc, os.bloc_max, *os.freelist.blocks()))

        return main

    config = access(faithful=True, mem_debug=False)
    ended: set[Any] = set()
    found = explore(program(ended), config=config, strategy="exhaustive", canary=False)
    assert found.verdict == "exhausted"
    drawn: set[Any] = set()
    explored(Target.of(program(drawn), config), "random", 1000)
    assert ended == drawn
    assert len(ended) == 3
