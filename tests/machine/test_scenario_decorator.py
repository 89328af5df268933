"""The scenario decorator: options, their types and bounds, what it says of itself, its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from gorun_mem import Range, Scenario, ScenarioError, World, scenario
from gorun_mem.machine.config import Config, ConfigError


@scenario(ms=2, release="go1.24.3")
async def everything(
    world: World,
    *,
    rounds: Annotated[int, "rounds that each M makes", Range(1, 100)] = 50,
    share: Annotated[float, Range(0, 1)] = 0.5,
    name: str = "x",
    fast: bool = False,
    trace: Path = Path("none"),
    mode: Literal["a", "b", 3] = "a",
) -> None:
    """Do everything at once. Nothing of it matters.

    More of this.
    """


def test_options_and_documentation() -> None:
    """Options keep order, type, default, description and bounds; settings are the defaults."""
    assert isinstance(everything, Scenario)
    assert [(o.name, o.type_name, o.default) for o in everything.options.values()] == [
        ("rounds", "int", 50),
        ("share", "float", 0.5),
        ("name", "str", "x"),
        ("fast", "bool", False),
        ("trace", "path", Path("none")),
        ("mode", "a|b|3", "a"),
    ]
    rounds = everything.options["rounds"]
    assert (rounds.help, rounds.low, rounds.high) == ("rounds that each M makes", 1, 100)
    assert everything.summary == "Do everything at once."
    assert everything.name == everything.__name__ == "everything"
    assert everything.config() == Config(ms=2, release="go1.24.3")
    assert everything.config(ms=None, seed=3) == Config(ms=2, release="go1.24.3", seed=3)
    assert len(everything.sha256) == 64


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"rounds": "7"}, 7),
        ({"rounds": "0x10"}, 16),
        ({"rounds": 100}, 100),
        ({"share": "0.25"}, 0.25),
        ({"share": 1}, 1.0),
        ({"name": "7"}, "7"),
        ({"fast": "yes"}, True),
        ({"fast": "OFF"}, False),
        ({"trace": "a/b"}, Path("a/b")),
        ({"trace": Path("a")}, Path("a")),
        ({"mode": "3"}, 3),
        ({"mode": "b"}, "b"),
        ({"mode": 3}, 3),
    ],
)
def test_values_are_converted(given: Any, value: Any) -> None:
    """Text becomes the option's type; values of the type pass; the rest keeps its default."""
    (name,) = given
    checked = everything.check(given)
    assert checked[name] == value
    assert type(checked[name]) is type(value)
    defaults = {o.name: o.default for o in everything.options.values()}
    assert checked == defaults | {name: value}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rounds": "seven"}, "rounds = seven: is no int"),
        ({"rounds": 7.0}, "rounds = 7.0: is no int"),
        ({"rounds": True}, "rounds = True: is no int"),
        ({"rounds": 0}, "rounds = 0: must be at least 1"),
        ({"rounds": "101"}, "rounds = 101: must be at most 100"),
        ({"share": "nan"}, "share = nan: must be at least 0"),
        ({"share": -0.1}, "share = -0.1: must be at least 0"),
        ({"fast": "maybe"}, "fast = maybe: must be true or false"),
        ({"fast": 1}, "fast = 1: is no bool"),
        ({"mode": "c"}, "mode = c: must be one of a, b, 3"),
        ({"mode": 4}, "mode = 4: must be one of a|b|3"),
        ({"name": 7}, "name = 7: is no str"),
        ({"round": 7}, "everything has no option 'round': did you mean rounds? it has rounds, sh"),
    ],
)
def test_wrong_values_are_refused(given: Any, words: Any) -> None:
    """A value of another type or out of bounds is refused by name, value and what is allowed."""
    with pytest.raises(ScenarioError) as raised:
        everything.check(given)
    assert words in str(raised.value)


def test_a_scenario_without_options_says_so() -> None:
    """The refusal of an option names that there are none."""

    @scenario()
    async def plain(world: World) -> None:
        pass

    assert plain.summary == ""
    with pytest.raises(ScenarioError, match="plain has no options, and so no 'rounds'"):
        plain.check({"rounds": 3})


def test_functions_that_are_no_scenarios() -> None:
    """What cannot be a scenario is refused where it is decorated, with what to write."""

    def refused(function: Any, words: Any) -> None:
        with pytest.raises(ScenarioError) as raised:
            scenario()(function)
        assert words in str(raised.value)

    def synchronous(world: World) -> None:
        pass

    async def without_world() -> None:
        pass

    async def two(world: World, rounds: int) -> None:
        pass

    async def anything(world: World, **options: Any) -> None:
        pass

    async def no_default(world: World, *, rounds: int) -> None:
        pass

    async def no_such_type(world: World, *, sizes: tuple = ()) -> None:  # type: ignore[type-arg]
        pass

    async def wrong_default(world: World, *, rounds: int = "3") -> None:  # type: ignore[assignment]
        pass

    async def beyond(world: World, *, rounds: Annotated[int, Range(1)] = 0) -> None:
        pass

    async def no_name(world: Wrold, *, rounds: int = 3) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    refused(synchronous, "scenario 'synchronous' is no async function: write `async def`")
    refused(without_world, "takes 0 arguments by position: it takes one, the World")
    refused(two, "takes 2 arguments by position: it takes one, the World, and its options behind")
    refused(anything, "'anything': **options cannot be an option; name each")
    refused(no_default, "'no_default': option 'rounds' has no default; give it one")
    refused(no_such_type, "options are int, float, str, bool, Path or Literal")
    refused(wrong_default, "'wrong_default': rounds = '3': is no int")
    refused(beyond, "'beyond': rounds = 0: must be at least 1")
    refused(no_name, "'no_name': its annotations cannot be read: name 'Wrold' is not defined")


def test_unknown_settings_are_refused() -> None:
    """A setting that a World does not have is refused where it is written, with the nearest."""
    with pytest.raises(ConfigError, match=r"no setting 'mutexx': did you mean mutex\? there"):
        scenario(mutexx="queue")
    with pytest.raises(
        ConfigError,
        match=r"no setting 'colour': did you mean platform\? there are release, platform",
    ):
        everything.config(colour="red")
