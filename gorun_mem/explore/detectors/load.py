"""Finds a detector: by its name in the package, or as FILE.py:Class.

One that has a bound takes it behind a colon, as `bypasses:8`. What a class of a user's file raises
in the middle of a run is no fault of the program that is searched, nor of the search: it is a
finding, at the user's own line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from gorun_mem._near import no_such
from gorun_mem.explore.detectors import DEFAULT_DETECTORS, DETECTORS, MakeDetector
from gorun_mem.explore.failure import Detector, Finding
from gorun_mem.machine.config import ConfigError
from gorun_mem.machine.places import place_of
from gorun_mem.runtime.errors import said
from gorun_mem.scripts import UserFileError, find_class, is_file
from gorun_mem.scripts.classes import FileCache, check_whole, instance_of

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.op import Op
    from gorun_mem.step.task import Task

NEEDS: Final = "gorun_mem.explore.Detector"
EXAMPLE: Final = '''
from gorun_mem.explore import Detector, Finding


class NeverBelowZero(Detector):
    """Finds a word that an addition takes below zero; kind "below.zero"."""

    def begin(self, world):
        self.found = []

    def step(self, task, op, kind, obj, reads, result):
        if kind == "atomic.add" and result < 0:
            text = f"M{task.id} took {obj} to {result}"
            self.found.append(Finding("below.zero", obj, "", text, (task.id,)))

    def end(self, world):
        return self.found[:1]
'''
"""A user's file."""
_HOOKS: Final = {
    "begin": ("world",),
    "step": ("task", "op", "kind", "obj", "reads", "result"),
    "end": ("world",),
}
"""What is called of a detector, with what."""
_OWN: Final = (Exception, SystemExit)
"""What is a class's own doing if it comes out of it."""
_OF_FILES: Final = FileCache[type[Any]]()
_NAMES_MAX: Final = 64
"""Detectors that a schedule may name."""


class UnknownDetector(ConfigError):
    """There is no such detector, or its class is none; the message says what to do."""


def load_detector(reference: str) -> MakeDetector:
    """What makes a detector; another process can be given it.

    Args:
        reference: a name of `DETECTORS`, with ":N" for the bound of one that has a bound, or
            "FILE.py:Class" (the class may be left out where the file has one).

    Raises:
        UnknownDetector: there is none, it lacks a method, or it cannot be made.
    """
    name, colon, bound = reference.partition(":")
    if name in DETECTORS and not is_file(reference):
        return _with_bound(reference, DETECTORS[name], bound) if colon else DETECTORS[name]
    if not is_file(reference):
        known = no_such("detector", reference, DETECTORS)
        raise UnknownDetector(f"{known}; your own is FILE.py:Class")
    _class_of(reference)
    return _maker(reference)


def made_by_name(detectors: Iterable[Callable[[], Detector] | str]) -> tuple[MakeDetector, ...]:
    """What makes detectors, where some are only named.

    Raises:
        UnknownDetector: see `load_detector`.
    """
    return tuple([load_detector(one) if isinstance(one, str) else one for one in detectors])


def looking(names: Iterable[str], *, usual: bool = True) -> tuple[MakeDetector, ...]:
    """What makes the detectors that are named, behind the usual ones.

    Args:
        names: see `load_detector`; what is usual already is not made twice.
        usual: with the usual ones.

    Raises:
        UnknownDetector: see `load_detector`.
    """
    found = [*DEFAULT_DETECTORS] if usual else []
    for make in made_by_name(dict.fromkeys(names)):
        if make not in found:
            found.append(make)
    return tuple(found)


def files_of(detectors: Iterable[Callable[[], Detector]]) -> list[str]:
    """Those of them that are of the user's files, as these were named."""
    found = [one for one in detectors if isinstance(one, partial) and one.func is _made]
    return [str(one.args[0]) for one in found]


def recorded(about: Mapping[str, Any]) -> tuple[MakeDetector, ...]:
    """The detectors beside the usual ones by which a failure was found, as its schedule names them.

    Raises:
        UnknownDetector: one is not there any more, or what is said cannot be meant.
    """
    names = about.get("detectors", ())
    if not isinstance(names, list | tuple) or len(names) > _NAMES_MAX:
        raise UnknownDetector("the schedule's detectors cannot be read")
    return made_by_name(map(str, names))


def record(about: Mapping[str, Any], findings: Iterable[Finding]) -> dict[str, Any]:
    """What a schedule says of its program, and of whom else it takes to see what was found."""
    names = sorted({one.by for one in findings if one.by})
    return {**about, "detectors": names} if names else dict(about)


class UsersDetector:
    """A detector of a user's file: what goes wrong in it is a finding, kind "detector".

    Args:
        inner: the user's.
        reference: the class, as it was named.

    Attributes:
        name: as of `Detector`, as are the others.
    """

    def __init__(self, inner: Any, reference: str) -> None:
        self._inner = inner
        self._reference = reference
        self._wrong: Finding | None = None
        self.name = type(inner).__name__
        self.looks = getattr(inner, "looks", True) and type(inner).step is not Detector.step
        self.flushes = getattr(inner, "flushes", False)
        self.screened = getattr(inner, "screened", False)
        self.midway = getattr(inner, "midway", False)

    def begin(self, world: World) -> None:
        """See `Detector`."""
        self._wrong = None
        self._engine: Any = world.engine
        try:
            self._inner.begin(world)
        except _OWN as error:
            self._raised("begin", error)

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """See `Detector`."""
        if self._wrong is None:
            try:
                self._inner.step(task, op, kind, obj, reads, result)
            except _OWN as error:
                self._raised("step", error)

    def end(self, world: World) -> Sequence[Finding]:
        """See `Detector`."""
        found: Any = ()
        if self._wrong is None:
            try:
                found = self._inner.end(world)
                found = tuple(found)
            except _OWN as error:
                self._raised("end", error, found)
            else:
                self._check(found)
        if self._wrong is not None:
            return (self._wrong,)
        return [replace(one, by=self._reference) for one in found]

    def _raised(self, hook: str, error: BaseException, returned: object = ()) -> None:
        place = place_of(error)
        if not place and returned is None:
            self._fault("it returns None from end: return the findings, () where there are none")
            return
        what = f"{type(error).__name__}: {said(error)}".rstrip(": ")
        self._fault(f"its {hook} raised {what}", place)

    def _check(self, found: Sequence[Any]) -> None:
        for one in found:
            if not isinstance(one, Finding):
                self._fault(
                    f"its end returned {type(one).__name__} among what it found: make each "
                    "gorun_mem.explore.Finding(kind, obj, site, text)"
                )
                return
            texts = (one.kind, one.obj, one.site, one.text)
            if not all(isinstance(text, str) for text in texts) or not isinstance(one.step, int):
                self._fault("its end returned a Finding whose kind, obj, site and text are no text")
                return

    def _fault(self, what: str, place: str = "") -> None:
        at = f", at {place}" if place else ""
        text = f"detector {self._reference}: {what}{at}; mend the detector, the program is not at "
        self._wrong = Finding(
            "detector", self.name, place, f"{text}fault", (), self._engine.steps, self._reference
        )


@cache
def _maker(reference: str) -> MakeDetector:
    """The same for the same name, so that who has it twice can tell."""
    return partial(_made, reference)


def _made(reference: str) -> Detector:
    cls = _class_of(reference)
    return UsersDetector(_instance(cls, reference), reference)


def _class_of(reference: str) -> type[Any]:
    return _OF_FILES.get(reference, lambda: _of_file(reference))


def _of_file(reference: str) -> type[Any]:
    try:
        cls = find_class(reference, "detector", _is_detector, NEEDS)
        check_whole(cls, reference)
    except UserFileError as error:
        raise UnknownDetector(str(error)) from None
    for hook, given in _HOOKS.items():
        _check_hook(reference, cls, hook, given)
    _instance(cls, reference)
    return cls


def _check_hook(reference: str, cls: type, hook: str, given: tuple[str, ...]) -> None:
    method = getattr(cls, hook)
    write = f"write `def {hook}(self, {', '.join(given)})`"
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise UnknownDetector(f"{reference}: {cls.__name__}.{hook} is an async function: {write}")
    try:
        inspect.signature(method).bind(None, *given)
    except TypeError as error:
        raise UnknownDetector(f"{reference}: {cls.__name__}.{hook}: {error}: {write}") from None
    except ValueError:  # made in C, which says nothing of it
        return


def _is_detector(cls: type) -> bool:
    return Detector in cls.__mro__ or all(callable(getattr(cls, hook, None)) for hook in _HOOKS)


def _instance(cls: type[Any], reference: str) -> Any:
    try:
        return instance_of(cls, reference, _OWN)
    except UserFileError as error:
        raise UnknownDetector(str(error)) from None


@cache
def _with_bound(reference: str, make: MakeDetector, bound: str) -> MakeDetector:
    name = reference.partition(":")[0]
    if "bound" not in inspect.signature(make).parameters:
        raise UnknownDetector(f"{reference}: {name} has no bound: write {name}")
    if not (bound.isascii() and bound.isdecimal()) or len(bound) > 18:
        raise UnknownDetector(f"{reference}: {bound!r:.40} is no bound: write {name}:8")
    with_bound: Callable[..., Detector] = make
    return partial(with_bound, int(bound))
