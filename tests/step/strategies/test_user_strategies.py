"""The published Hypothesis strategies: what they draw is legal, varied, and shrinks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from gorun_mem import Config, IllegalUse, KiB, M, Range, ScenarioError, World, run, scenario
from gorun_mem.machine.library import find as find_scenario
from gorun_mem.machine.library import names
from gorun_mem.machine.trampoline import drive
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.boot import BootOptions, boot
from gorun_mem.runtime.errors import Deadlock
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo
from gorun_mem.testing.strategies import KINDS, DrawnCall, calls, configs, play, scenario_options

SOME = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
GENERATIONS = [
    ("go1.19", "js/wasm"),
    ("go1.20", "plan9/386"),
    ("dac514ea", "js/wasm"),
    ("go1.23", "wasip1/wasm"),
    ("go1.24.3", "plan9/amd64"),
    ("go1.24", "js/wasm"),
    ("go1.27", "plan9/386"),
]


def layer(name: str, platform: str, **options: Any) -> Any:
    known = release(name)
    options = {"mem_debug": True, "initial_pages": 30, "max_pages": 200, **options}
    return boot(
        known, known.platform(platform), BootOptions(**options), memlock=make("sema", known)
    ).os


@pytest.mark.parametrize(("name", "platform"), GENERATIONS)
def test_no_sequence_is_refused(name: str, platform: str) -> None:
    """A layer that refuses what no correct program does refuses nothing, and its list is sound."""
    kinds: set[Any] = set()

    @SOME
    @given(calls(release=name, platform=platform), st.booleans())
    def legal(sequence: list[DrawnCall], small: bool) -> None:
        os = layer(name, platform, max_pages=40 if small else 200)
        live = solo(play(os, sequence), SoloM())
        kinds.update(call.kind for call in sequence)
        ends = [0, *(end for p, n in sorted(live) for end in (p, p + n))]
        assert ends == sorted(ends)  # no two live blocks share a byte
        if os.freelist is not None:
            os.freelist.check()

    legal()
    aligned = release(name).behaviour.is_sbrk_platform and name != "go1.24.3"
    assert kinds == set(KINDS) - (set() if aligned else {"reserve_aligned"})


def test_an_illegal_sequence_would_be_refused() -> None:
    """The test above can fail: the same layer refuses a block that is freed twice."""
    os = layer("go1.27", "plan9/amd64")

    async def twice() -> None:
        ((p, n),) = await play(os, [DrawnCall("alloc", n=8 * KiB)])
        await os.sys_free_os(p, n)
        await os.sys_free_os(p, n)

    with pytest.raises(IllegalUse, match="free each range once"):
        solo(twice(), SoloM())


@SOME
@given(st.data())
def test_kinds_and_sizes_are_kept_to(data: st.DataObject) -> None:
    """Only the kinds asked for, no block above `size_max`, no list above `max_calls`."""
    kinds = data.draw(st.sets(st.sampled_from(KINDS), min_size=1))
    sequence = data.draw(calls(kinds=kinds, size_max=100 * KiB, max_calls=7))
    assert {call.kind for call in sequence} <= kinds
    assert all(call.n <= 100 * KiB for call in sequence)
    assert len(sequence) <= 7


def test_the_leak_is_met_only_where_it_is_asked_for() -> None:
    """In go1.24.3 reserve_aligned from the list keeps memlock; asked for, a search finds that."""

    def hangs(sequence: list[DrawnCall]) -> bool:
        try:
            solo(play(layer("go1.24.3", "plan9/amd64"), sequence), SoloM())
        except Deadlock:
            return True
        return False

    asked = calls(release="go1.24.3", kinds=("alloc", "free", "reserve_aligned"), max_calls=10)
    smallest = find(asked, hangs, settings=settings(SOME, max_examples=1000))
    # The first skips up to its alignment, the second takes from what was skipped, any call hangs.
    assert [call.kind for call in smallest][:2] == ["reserve_aligned", "reserve_aligned"]
    assert len(smallest) == 3


@SOME
@given(st.data())
def test_two_ms_may_play_at_once(data: st.DataObject) -> None:
    """In any World that `configs` draws, several Ms play their sequences and the list is sound."""
    config = data.draw(configs(ms_max=3))
    drawn = calls(release=config.release or "", platform=config.platform or "", max_calls=6)
    sequences = [data.draw(drawn) for _ in range(config.ms)]
    world = World(config.but(strategy="random"))

    async def main(world: World) -> None:
        async with world.open_ms() as ms:
            for sequence in sequences:
                ms.start_soon(play, sequence)
        world.check()

    drive(world.driver, main(world))
    assert world.failure is None, world.failure


@scenario(ms=2)
async def all_options(
    world: World,
    *,
    rounds: int = 50,
    bounded: int = 7,
    share: float = 0.5,
    ratio: float = 1.5,
    how: Literal["first", "best"] = "first",
    loud: bool = False,
    name: str = "x",
) -> None:
    """One option of each type."""


@scenario(ms=1)
async def narrow(world: World, *, rounds: int = 3) -> None:
    """One M allocates `rounds` times."""

    async def worker(m: M) -> None:
        for _ in range(rounds):
            await m.sys_alloc(4 * KiB)

    async with world.open_ms() as ms:
        ms.start_soon(worker)


def test_options_of_each_type_are_drawn() -> None:
    """Every value of a Literal and a bool turns up, numbers vary, texts keep their default."""
    seen: dict[str, set[Any]] = {name: set() for name in all_options.options}

    @settings(SOME, max_examples=100)
    @given(scenario_options(all_options, bounded=st.integers(3, 4)))
    def draw(options: dict[str, Any]) -> None:
        assert all_options.check(options) == options
        for name, value in options.items():
            seen[name].add(value)

    draw()
    assert seen["how"] == {"first", "best"}
    assert seen["loud"] == {False, True}
    assert seen["bounded"] == {3, 4}
    assert seen["name"] == {"x"}
    assert len(seen["rounds"]) > 5
    assert len(seen["ratio"]) > 5


def test_bounds_of_the_table_hold() -> None:
    """An option's own bounds are never passed, and both ends are reached."""
    option = Range(2, 5)
    drawn: set[int] = set()
    bounded = find_scenario("memlock_storm")
    name, was = next((n, o) for n, o in bounded.options.items() if o.type is int)
    changed = type(was)(was.name, int, 3, was.help, option.low, option.high)
    bounded.options = {name: changed}

    @settings(SOME, max_examples=60)
    @given(scenario_options(bounded))
    def draw(options: dict[str, Any]) -> None:
        drawn.add(options[name])

    draw()
    assert drawn == {2, 3, 4, 5}


@pytest.mark.parametrize("name", names())
def test_the_librarys_scenarios_take_what_is_drawn(name: str) -> None:
    """Whatever is drawn for a scenario of the library passes its own check."""
    found = find_scenario(name)

    @settings(SOME, max_examples=25)
    @given(scenario_options(found))
    def draw(options: dict[str, Any]) -> None:
        assert found.check(options) == options

    draw()


@SOME
@given(scenario_options(narrow, rounds=st.integers(0, 20)), configs(ms_max=1))
def test_a_scenario_runs_with_what_is_drawn(options: dict[str, Any], config: Config) -> None:
    """Options and settings go straight into `run`."""
    assert run(narrow, config, options).outcome.ok


def test_an_option_that_is_none_is_named() -> None:
    """As everywhere, with what there is."""
    with pytest.raises(ScenarioError, match="has no option 'round': did you mean rounds"):
        scenario_options(narrow, round=st.just(1))


def test_only_this_module_needs_hypothesis() -> None:
    """Without Hypothesis the package works, and the module says what to install."""
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import gorun_mem.machine.run, gorun_mem.explore.search, gorun_mem.testing.plugin\n"
        "try:\n    import gorun_mem.testing.strategies\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "gorun_mem.testing.strategies needs Hypothesis: pip install hypothesis\n"
