"""What a World and a Scenario offer the library's scenarios, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

import gorun_mem
from gorun_mem import Config, M, ScenarioError, Throw, World, scenario
from gorun_mem.cli import main
from gorun_mem.machine.config import Host
from gorun_mem.machine.library import find, names
from gorun_mem.runtime.errors import Fault
from tests import TRACES
from tests.scenarios.scenario_runs import HOSTS, logged

TRACE = str(TRACES / "go1.27.3-js-trees_oom.jsonl.gz")


# The library.


@pytest.mark.parametrize("name", names())
def test_a_scenario_explains_itself(name: str) -> None:
    """Each has a summary, a module docstring about the log, and a line for each option."""
    one = find(name)
    assert one.name == name
    assert one.summary
    assert all(option.help for option in one.options.values())
    source = Path(one.file).read_text(encoding="utf-8")
    assert source.startswith('"""')
    assert "the log" in source.split('"""')[1]
    imports = [line for line in source.splitlines() if line.startswith(("from ", "import "))]
    ours = [line for line in imports if "gorun_mem" in line]
    measured = [line for line in ours if line.startswith("from gorun_mem.calibration.")]
    (public,) = [line for line in ours if line not in measured]
    assert public.startswith("from gorun_mem import ")
    assert source.endswith(f'if __name__ == "__main__":\n    {name}.main()\n')


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("memlock_storm", {"rounds": 0}, "at least 1"),
        ("memlock_storm", {"rounds": "many"}, "is no int"),
        ("memlock_storm", {"round": 3}, "did you mean rounds?"),
        ("arena_at_break", {"arenas": 401}, "at most 400"),
        ("checkerboard", {"pattern": "stripes"}, "must be one of checkerboard"),
        ("boot_order", {"order": "left"}, "must be one of wrong"),
        ("real_program", {"trace": TRACE, "order": "any"}, "must be one of recorded"),
    ],
)
def test_options_are_checked(name: str, options: dict[str, Any], said: str) -> None:
    """A value that an option does not take is refused before anything runs."""
    with pytest.raises(ScenarioError, match=said):
        logged(name, **options)


def test_releases_to_compare_must_exist() -> None:
    """Unknown releases are refused before anything runs, and `--release` beside `after`."""
    with pytest.raises(ValueError, match=r"no release 'go1\.99'"):
        logged("reuse_before_after", before="go1.99")
    with pytest.raises(ValueError, match=r"no release 'go0'"):
        logged("reuse_before_after", after="go0")
    with pytest.raises(ScenarioError, match=r"--set after=go1\.22"):
        logged("reuse_before_after", config={"release": "go1.22"})


# Results, aside, configure.


@scenario(ms=1)
async def says_something(world: World) -> None:
    """Has results."""
    world.result("answer", 42)
    world.result("word", "yes")
    world.result("answer", 43)


def test_results_are_in_the_run_and_its_log() -> None:
    """What a scenario says is kept by name, the last of one name, in the order first said."""
    done = logged(says_something)
    assert list(done.results.items()) == [("answer", 43), ("word", "yes")]
    assert b'"answer"' in done.log.splitlines()[-1]


@scenario(ms=2)
async def looks_aside(world: World) -> None:
    """Runs a program in another World."""

    async def program(other: World) -> None:
        assert other is not world

        async def alloc(m: M) -> None:
            await m.sys_alloc(1 << 16)

        async with other.open_ms() as ms:
            for _ in range(other.ms):
                ms.start_soon(alloc)

    other = world.aside(program, release="go1.20", platform="js/wasm", ms=3)
    world.result("release", other.settings.release.name)
    world.result("handed out", other.snapshot().live_bytes)
    world.result("here", world.snapshot().live_bytes)


@pytest.mark.parametrize("host", HOSTS)
def test_aside_runs_another_world_unlogged(host: Host) -> None:
    """The other World has its own settings and memory, and leaves no event and takes no time."""
    done = logged(looks_aside, host)
    assert done.exit_code == 0, done.run.outcome.error
    assert done.results == {"release": "go1.20", "handed out": 3 << 16, "here": 0}
    assert not done.named("mem.call")
    assert done.run.outcome.time_ns == 0


@scenario(ms=1)
async def fails_aside(world: World) -> None:
    """The program that runs aside faults."""

    async def program(other: World) -> None:
        other.runtime.memory.load_word(0)

    world.aside(program)


def test_what_fails_aside_fails_here() -> None:
    """The failure of the other World goes through."""
    done = logged(fails_aside)
    assert done.exit_code == 1
    assert isinstance(done.run.outcome.error, Fault)


def bigger(config: Config, options: Mapping[str, Any]) -> Config:
    """Pages by the option."""
    return config.but(initial_pages=options["pages"])


@scenario(ms=1, configure=bigger)
async def sized(world: World, *, pages: int = 50) -> None:
    """Its memory has the size of its option."""
    assert world.snapshot().pages == pages


def test_configure_sees_complete_options() -> None:
    """The World is made with what the options say, given or not, and the log says so."""
    assert logged(sized).named("run.start")[0].initial_pages == 50
    assert logged(sized, pages=70).named("run.start")[0].initial_pages == 70


async def awaited(settings: Config, **options: Any) -> None:
    """Await a configured scenario with a World that a test made."""
    await sized(World(settings), **options)


def test_a_world_made_otherwise_is_refused() -> None:
    """Awaited with a World that its options do not fit, a scenario names the settings it needs."""
    trio.run(awaited, Config(ms=1, initial_pages=50))
    with pytest.raises(ScenarioError, match=r"initial_pages=60$"):
        trio.run(partial(awaited, Config(ms=1, initial_pages=50), pages=60))


# The heap's lock and the World's check.


def heap_indexes(heap_lock: bool, seed: int) -> int:
    """How many L2 maps three Ms make that reserve arenas at the same time."""

    @scenario(ms=3, platform="js/wasm", strategy="random", seed=seed)
    async def arenas(world: World) -> None:
        """Three Ms reserve arenas."""
        if not heap_lock:
            world.runtime.heap_lock = None

        async def worker(m: M) -> None:
            for _ in range(3):
                await m.mheap_sys_alloc(1)

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)
        world.check()

    done = logged(arenas)
    return len([e for e in done.named("mem.call") if e.purpose == "heap index"])


def test_mheap_sys_alloc_is_one_at_a_time() -> None:
    """Under mheap.lock there is one L2 map whatever the schedule; without it there are several."""
    assert {heap_indexes(True, seed) for seed in range(8)} == {1}
    assert max(heap_indexes(False, seed) for seed in range(8)) > 1


@pytest.mark.parametrize("release", ["go1.19", "go1.22", "go1.27"])
def test_the_check_finds_program_data_handed_out(release: str) -> None:
    """A range below the end of the data in the ledger is found, on every generation."""
    world = World(Config(release=release, platform="js/wasm", ms=1))
    world.check()
    ledger = world.runtime.os.ledger
    assert ledger is not None
    ledger.handed_out(world.runtime.data_end - 1, 1, "test", 1)
    with pytest.raises(Throw, match="program data is handed out"):
        world.check()


# The command line.


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["checkerboard", "--set", "blocks=8"], 0),
        (["boot_order"], 1),
        (["boot_order", "--set", "order=right"], 0),
        (["memlock_storm", "--set", "rounds=none"], 2),
        (["real_program"], 2),
        (["real_program", "--set", f"trace={TRACE}"], 0),
        (["leaked_lock"], 3),
        (["leaked_lock", "--ms", "1", "--platform", "js/wasm"], 1),
        (["leaked_lock", "--release", "go1.24.5"], 0),
        (["reuse_before_after", "--release", "go1.22"], 2),
    ],
)
def test_by_name(
    args: list[str], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`gorun-mem run NAME` exits as the scenario does."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    assert main(["run", *args]) == code


def test_by_path_and_as_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file is run by its path, and runs itself, with the same options."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path))
    path = find("memlock_storm").file
    assert main(["run", path, "--ms", "8", "--set", "rounds=2"]) == 0
    script = [sys.executable, path, "--ms", "8", "--set", "rounds=2", "--json"]
    root = Path(gorun_mem.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(root))
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"acquisitions": 32' in done.stdout
