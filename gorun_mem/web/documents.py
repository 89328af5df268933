"""What the API takes and gives, as types: the checks and the OpenAPI document follow from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]
Line = Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Token = Annotated[str, Meta(max_length=65536)]
Choice = Annotated[int, Meta(ge=0, le=1 << 20)]
Value = bool | Annotated[int, Meta(ge=-(1 << 53), le=1 << 53)] | float | Text


class RunSettings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of a run's World; what is not given is the scenario's."""

    ms: Annotated[int, Meta(ge=1, le=1024)] | None = None
    cpus: Annotated[int, Meta(ge=1, le=256)] | None = None
    seed: Annotated[int, Meta(ge=0, le=1 << 53)] | None = None
    release: Name | None = None
    platform: Name | None = None
    mutex: Name | None = None
    policy: Name | None = None
    strategy: Name | None = None
    max_pages: Annotated[int, Meta(ge=1, le=65536)] | None = None


class NewRun(Struct, forbid_unknown_fields=True):
    """A scenario to run.

    Args:
        scenario: its name, one of the library's.
        options: the scenario's.
        settings: of its World; in the service's World, which has its own, only ms.
        where: "own" for a World of its own, "service" for the service's.
    """

    scenario: Name
    options: dict[Name, Value] = {}
    settings: RunSettings = RunSettings()
    where: Literal["own", "service"] = "own"


class PlayOn(Struct, forbid_unknown_fields=True):
    """Let a strategy decide from here on.

    Args:
        strategy: its name.
        seed: of what it draws.
        steps: at most so many.
    """

    strategy: Name = "random"
    seed: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    steps: Annotated[int, Meta(ge=1, le=100_000)] = 100_000


class Find(Struct, forbid_unknown_fields=True):
    """Search for a schedule that fails.

    Args:
        strategy: how.
        budget: schedules at most.
        seed: of what is drawn.
    """

    strategy: Name = "auto"
    budget: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    seed: Annotated[int, Meta(ge=0, le=1 << 53)] = 0


class HandMadeSchedule(Struct, forbid_unknown_fields=True):
    """A schedule that is made by hand.

    Args:
        scenario: what runs: a scenario of the library, or "lessons/NAME".
        options: the scenario's.
        settings: of its World.
        fixed: of a lesson: its option, the twin without the bug.
        token: of a schedule whose program, options and settings are meant instead; "" for none.
        choices: wherever two Ms or more may go, the id of the one that does; wherever a value is
            drawn, the value.
        step: look at the state after so many steps; None: where the choices end.
        then: play on under a strategy.
        find: search for a failure instead of following choices.
        beside: look for the nearest schedule that passes, where they lead to a failure.
    """

    scenario: Name
    options: dict[Name, Value] = {}
    settings: RunSettings = RunSettings()
    fixed: bool = False
    token: Token = ""
    choices: Annotated[list[Choice], Meta(max_length=20_000)] = []
    step: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    then: PlayOn | None = None
    find: Find | None = None
    beside: bool = False


class Wrong(Struct):
    """A request that is not served.

    Args:
        error: the fact.
        hint: what to do.
    """

    error: str
    hint: str


class Done(Struct):
    """It is done."""

    ok: bool


Document = dict[str, Any]
"""What is too rich for a type: the page and the docs of the field names are its description."""
