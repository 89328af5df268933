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


class Work(Struct, forbid_unknown_fields=True):
    """Calls that an M makes by itself.

    Args:
        size: bytes of the block that it allocates and frees.
        per_s: calls a second.
    """

    size: Annotated[int, Meta(ge=1, le=1 << 24)] = 65536
    per_s: Annotated[float, Meta(ge=0.1, le=1000)] = 20.0


class NewM(Struct, forbid_unknown_fields=True):
    """An M to start.

    Args:
        name: for people.
        work: what it does by itself; None for nothing.
        count: how many of them.
    """

    name: Name = ""
    work: Work | None = None
    count: Annotated[int, Meta(ge=1, le=64)] = 1


class CallOfM(Struct, forbid_unknown_fields=True):
    """An operation of an M, as the line protocol has it.

    Args:
        op: such as "alloc 65536" or "lock memlock".
    """

    op: Line


class PaceOfWorld(Struct, forbid_unknown_fields=True):
    """How fast the World's Ms go.

    Args:
        paused: not at all.
        ns_per_s: virtual ns in a second of real time; None for as fast as they can.
    """

    paused: bool = False
    ns_per_s: Annotated[float, Meta(ge=1, le=1e12)] | None = None


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


class StartedMs(Struct):
    """Ms that were started, by id."""

    m: int
    ms: list[int]


class Answered(Struct):
    """What came of an operation; null while the M is still in it."""

    result: str | None
    pending: str | None


class StartedRun(Struct):
    """A run that was started."""

    id: int


class Done(Struct):
    """It is done."""

    ok: bool


Document = dict[str, Any]
"""What is too rich for a type: the page and the docs of the field names are its description."""
