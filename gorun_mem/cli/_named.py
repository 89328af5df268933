"""What `gorun-mem explain` says of names besides words: of locks, events, verbs, steps.

Each says of itself what it is, in its own file; here stands only where all of a sort are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gorun_mem.report.terms import Term

if TYPE_CHECKING:
    from gorun_mem.events.base import LogEvent
    from gorun_mem.runtime.kinds import Kind


@dataclass(frozen=True)
class NameSort:
    """Names of one sort.

    Args:
        about: what one of them is, as in "a lock".
        texts: what there is, and what each is, in a sentence or two.
        example: a command that shows one; "{}" is its name.
        parts: what one of them has, such as an event's fields, and what each of these is.
    """

    about: str
    texts: Callable[[], Mapping[str, str]]
    example: str
    parts: Callable[[str], Mapping[str, str]] = lambda name: {}


@dataclass(frozen=True)
class NameEntry(Term):
    """What has a name of one of the sorts.

    Args:
        parts: see `NameSort`.
    """

    parts: Mapping[str, str] = field(default_factory=dict)


def said_of(found: object) -> str:
    """The first paragraph of a docstring."""
    return " ".join(inspect.cleandoc(found.__doc__ or "").partition("\n\n")[0].split())


def _mutexes() -> Mapping[str, str]:
    from gorun_mem.runtime.mutex import MUTEXES

    return {name: said_of(lock) for name, lock in MUTEXES.items()}


def _policies() -> Mapping[str, str]:
    from gorun_mem.policies import POLICIES, spread_policies

    return {one: said_of(POLICIES[one.partition(":")[0]]) for one in spread_policies("all")}


def _strategies() -> Mapping[str, str]:
    from gorun_mem.step.strategies import STRATEGIES

    found = {}
    for name, entry in STRATEGIES.items():
        verbs = [verb for verb, has in (("run", entry.run), ("explore", entry.search)) if has]
        source = f"; {entry.source}" if entry.source else ""
        found[name] = f"{' and '.join(verbs)}: {entry.about}{source}"
    return found


def _detectors() -> Mapping[str, str]:
    from gorun_mem.explore.detectors import DETECTORS

    return {name: said_of(found) for name, found in DETECTORS.items()}


def _events() -> Mapping[str, str]:
    from gorun_mem.events.types import EVENT_TYPES

    return {_tag(kind): said_of(kind) for kind in EVENT_TYPES}


def _fields(event: str) -> Mapping[str, str]:
    """Those that not every event has, as the log's schema tells them."""
    from gorun_mem.events.base import ENVELOPE
    from gorun_mem.events.schema import make_schema
    from gorun_mem.events.types import EVENT_TYPES

    (name,) = (kind.__name__ for kind in EVENT_TYPES if _tag(kind) == event)
    fields = make_schema()["$defs"][name]["properties"]
    return {
        name: field.get("description") or ", ".join(map(str, field.get("enum", ())))
        for name, field in fields.items()
        if name not in {*ENVELOPE, "event"}
    }


def _tag(kind: type[LogEvent]) -> str:
    return str(kind.__struct_config__.tag)


def _steps() -> Mapping[str, str]:
    from gorun_mem.runtime.kinds import KINDS

    return {name: _step(kind) for name, kind in KINDS.items()}


def _step(kind: Kind) -> str:
    """What follows from a kind, in words."""
    line = {
        "": "",
        "copy": "its cache line is copied",
        "own": "its cache line becomes the CPU's own",
    }
    order = {
        "plain": "nothing orders it",
        "none": "",
        "acquire": "after what was published on its object",
        "release": "publishes what its M did",
        "both": "after what was published on its object, and publishes what its M did",
        "parent": "orders who starts and who is started",
    }
    parts = [
        f"{kind.ns:g} ns" if kind.ns is not None else "costs what `other` costs",
        {"takes": "takes a lock", "gives": "gives a lock back"}.get(kind.lock, ""),
        "may wake an M" if kind.wakes else "",
        "waits for others" if kind.waits else "",
        "others may have its CPU" if kind.yields else "",
        "no other M can see it" if kind.local else "changes nothing" if kind.reads else "",
        line[kind.line],
        order[kind.order],
        "late where memory is TSO" if kind.late else "",
    ]
    return "; ".join(part for part in parts if part)


def _operations() -> Mapping[str, str]:
    from gorun_mem.machine.m import M

    return {name: said_of(call) for name, call in _public(M)}


def _public(of: type) -> Iterable[tuple[str, object]]:
    for name, found in vars(of).items():
        if callable(found) and not name.startswith("_"):
            yield name, found


def _kit() -> Mapping[str, str]:
    from gorun_mem import sync

    return {name: said_of(getattr(sync, name)) for name in sync.__all__}


def _methods(name: str) -> Mapping[str, str]:
    """What whoever uses one calls; how it is made is the base's."""
    from gorun_mem import sync

    found = getattr(sync, name)
    if not isinstance(found, type):
        return {}
    hooks = {call for base in (sync.Gate, sync.KitObject, sync.Entry) for call, _ in _public(base)}
    return {
        call: said_of(what)
        for base in reversed(found.__mro__)
        for call, what in _public(base)
        if issubclass(base, sync.KitObject | sync.Once) and call not in hooks
    }


def _scenarios() -> Mapping[str, str]:
    from gorun_mem.machine.library import find, lessons, names
    from gorun_mem.machine.scenario import ScenarioError

    found = {}
    for name in (*names(), *lessons()):
        try:
            found[name] = find(name).summary
        except ScenarioError as error:
            found[name] = str(error)
    return found


def helps() -> Iterable[tuple[str, list[str]]]:
    """Each verb, and the paragraphs of its help."""
    import click

    from gorun_mem.cli._group import gorun_mem

    ctx = click.Context(gorun_mem)
    for name in gorun_mem.list_commands(ctx):
        verb = gorun_mem.get_command(ctx, name)
        help = inspect.cleandoc((verb.help if verb is not None else None) or "")
        yield name, [" ".join(paragraph.split()) for paragraph in help.split("\n\n")]


def _verbs() -> Mapping[str, str]:
    return {verb: paragraphs[0] for verb, paragraphs in helps()}


_A_LOG: Final = "gorun-mem run memlock_storm --log - --log-level debug"
_LANES: Final = "gorun-mem explore lessons/lost_wakeup"
SORTS: Final = {
    "mutexes": NameSort("a lock", _mutexes, "gorun-mem run memlock_storm --mutex {}"),
    "policies": NameSort("a policy", _policies, "gorun-mem run checkerboard --policy {}"),
    "strategies": NameSort("a strategy", _strategies, "gorun-mem explain strategies"),
    "detectors": NameSort("a detector", _detectors, "gorun-mem explain detectors"),
    "events": NameSort("an event of the log", _events, _A_LOG, _fields),
    "steps": NameSort("a kind of step", _steps, _LANES),
    "operations": NameSort("what an M awaits", _operations, "gorun-mem scenarios memlock_storm"),
    "sync": NameSort("a part of gorun_mem.sync", _kit, _LANES, _methods),
    "scenarios": NameSort("a scenario", _scenarios, "gorun-mem scenarios {}"),
    "verbs": NameSort("a verb", _verbs, "gorun-mem {} --help"),
}
"""By what lists them: `gorun-mem explain events`."""


def named(wanted: str) -> list[NameEntry]:
    """What has this name, of whatever sort; letters may be of either case, "-" stands for "_".

    Args:
        wanted: the name.
    """
    return [
        NameEntry(
            word=name,
            group=sort.about,
            text=text,
            example=sort.example.format(name),
            parts=sort.parts(name),
        )
        for sort in SORTS.values()
        for name, text in sort.texts().items()
        if _plain(name) == _plain(wanted)
    ]


def all_names() -> list[str]:
    """Every name of every sort."""
    return [name for sort in SORTS.values() for name in sort.texts()]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
