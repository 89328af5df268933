"""`@linearizable(model)`: every operation of an object is recorded, and its history checked.

    class Fifo:                                   # the model: plain, sequential Python
        def __init__(self):
            self.items = []

        def put(self, item):
            self.items.append(item)

        def get(self):
            return self.items.pop(0) if self.items else None

    @linearizable(Fifo)
    class MyQueue:                                # what is to be checked
        async def put(self, item): ...
        async def get(self): ...

Each call and each return becomes a step of its own, so that a search has every order of them that
matters: a call commutes with a call, a return with a return, and what is left are the orders in
which one operation ends before another begins. At a return that no order explains the run fails, in
a search as in any run: the failure is shrunk, has a token, and shows a timeline (see `history`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from gorun_mem.explore.history import (
    CALL,
    RETURN,
    Called,
    CannotYet,
    Gave,
    Linearizer,
    Models,
    NotLinearizable,
)
from gorun_mem.explore.timeline import timeline
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import MLike, Op
from gorun_mem.step.strategies.wakeup import CALLS, RETURNS

__all__ = ["CannotYet", "NotLinearizable", "linearizable"]

T = TypeVar("T")
Method = Callable[..., Coroutine[Any, Any, Any]]
Key = Callable[..., object]

_WITHOUT: Final = "_gorun_mem_not_recorded"
"""The attribute of a method that is recorded in which it is as it was."""
_BOOK: Final = "_gorun_mem_history"
"""The attribute of an object in which its histories are."""


def linearizable(
    model: Callable[..., Any], *, name: str = "", per: Key | None = None
) -> Callable[[T], T]:
    """Check the operations of an object against a sequential model.

    Goes before a class, all of whose public async methods are its operations then, and those of its
    subclasses; or before single async methods, which have one history where the model is one.
    Arguments that are Ms are left out. An operation that a decorated one makes of the same object
    is a part of that one.

    Args:
        model: the class of the model, made without arguments, or a function that makes one for an
            object of the decorated class. It has a plain method for each operation, which changes
            it and returns what the operation is to return, or raises the same class of exception,
            or `CannotYet` where the operation would still be waiting. It must be deterministic and
            is copied by `copy.deepcopy`; two states are the same if their attributes are, or what a
            method `state()` returns.
        name: of the object in reports; its attribute `name` if that is text, or else its class's.
        per: where operations on different keys have nothing to do with one another, says the key:
            called with the method's name and its arguments; each key has a model of its own.

    Raises:
        TypeError: there is no operation, or the model has no method for one.

    Source: `gorun_mem.explore.history` says which algorithms.
    """

    spec = _Spec(model, name, per)

    def decorate(target: T) -> T:
        if inspect.isclass(target):
            if not _record_methods(spec, target, inspect.getmembers(target)):
                raise TypeError(f"{target.__name__} has no public async method to be checked")
            _record_subclasses(spec, target)
            return target
        if not inspect.iscoroutinefunction(target):
            raise TypeError(f"{target!r} is neither a class nor an async method")
        spec.needs(target.__name__)
        return _recorded(spec, target)  # type: ignore[return-value]

    return decorate


def _record_methods(spec: _Spec, cls: type, members: Iterable[tuple[str, Any]]) -> bool:
    """Record the operations among a class's members; whether there are some."""
    found = [
        (name, value)
        for name, value in members
        if not name.startswith("_") and inspect.iscoroutinefunction(value)
    ]
    for name, method in found:
        spec.needs(name)
        setattr(cls, name, _recorded(spec, method))
    return bool(found)


def _record_subclasses(spec: _Spec, cls: type) -> None:
    """See to it that what a subclass has in the place of an operation is one too."""
    own: Any = vars(cls).get("__init_subclass__")
    above: Any = super

    def record(subclass: Any, /, **options: Any) -> None:
        if own is not None:
            own.__get__(None, subclass)(**options)
        else:
            above(cls, subclass).__init_subclass__(**options)
        _record_methods(spec, subclass, list(vars(subclass).items()))

    setattr(cls, "__init_subclass__", classmethod(record))  # noqa: B010 - mypy wants no assignment


class _Spec:
    """What operations are checked against."""

    def __init__(self, model: Callable[..., Any], name: str, per: Key | None) -> None:
        self.model = model
        self.name = name
        self.per = per
        self.models = Models(self._make)

    def _make(self, of: object) -> Any:
        return self.model() if inspect.isclass(self.model) else self.model(of)

    def needs(self, method: str) -> None:
        """Refuse a model that is a class and does not have `method`."""
        if inspect.isclass(self.model) and not callable(getattr(self.model, method, None)):
            raise TypeError(
                f"the model {self.model.__name__} has no method {method!r}; give it one, or let "
                f"the operation's name begin with an underscore"
            )


class _Histories:
    """The histories of one object in one run, by key."""

    def __init__(self) -> None:
        self.sched: object = None
        self.by_key: dict[object, Linearizer] = {}
        self.inside: set[int] = set()

    def of_run(self, sched: object) -> _Histories:
        """Those of the run that `sched` drives; of another run's nothing is left."""
        if self.sched is not sched:
            self.sched = sched
            self.by_key, self.inside = {}, set()
        return self


def _histories_of(of: object) -> _Histories:
    found = getattr(of, _BOOK, None)
    if isinstance(found, _Histories):
        return found
    made = _Histories()
    try:
        object.__setattr__(of, _BOOK, made)
    except AttributeError:
        raise IllegalUse(
            f"{type(of).__name__} has slots and no room for its history: add {_BOOK!r} to them"
        ) from None
    return made


class _Record(Op):
    """A call or a return of an operation."""

    __slots__ = ("_called", "_gave", "_key", "_name", "_of", "_spec")
    reads_only = True

    def __init__(self, spec: _Spec, of: object, called: Called, gave: Gave | None) -> None:
        key = spec.per(called.name, *called.args, **called.kwargs) if spec.per is not None else None
        self._spec = spec
        self._of = of
        self._called = called
        self._gave = gave
        self._key = (spec.model, key)
        own = getattr(of, "name", None)
        name = spec.name or (own if isinstance(own, str) else type(of).__name__)
        self._name = name if spec.per is None else f"{name}[{key!r}]"
        self.kind = CALL if gave is None else RETURN
        self.obj = (CALLS if gave is None else RETURNS) + self._name

    def step(self, m: MLike) -> object:
        """Record it.

        Returns:
            For a call whether it is one of its own; False where the M is in another of the object.

        Raises:
            NotLinearizable: no order explains what was returned.
        """
        histories = _histories_of(self._of).of_run(m.sched)
        called, gave = self._called, self._gave
        now = int(getattr(m.sched, "steps", 0))
        if gave is not None:
            histories.inside.discard(m.id)
            called.return_at = now
            history = histories.by_key[self._key]
            if not history.end(called, gave):
                lines = timeline(self._name, history)
                raise NotLinearizable(self._name, called, lines)
            return None
        if m.id in histories.inside:
            return False
        found = histories.by_key.get(self._key)
        if found is None:
            models = self._spec.models
            found = histories.by_key[self._key] = Linearizer(models, models.first(self._of))
        histories.inside.add(m.id)
        called.m, called.call_at = m.id, now
        found.call(called)
        return True


def _recorded(spec: _Spec, method: Method) -> Method:
    """`method`, with its call and its return as steps."""
    name = method.__name__
    method = getattr(method, _WITHOUT, method)  # not twice, where a subclass is decorated too

    @functools.wraps(method)
    async def recorded(self: object, *args: Any, **kwargs: Any) -> Any:
        said = tuple(arg for arg in args if not isinstance(arg, MLike))
        by_name = {key: arg for key, arg in kwargs.items() if not isinstance(arg, MLike)}
        called = Called(name, said, by_name)
        if not await _Record(spec, self, called, None):
            return await method(self, *args, **kwargs)
        try:
            result = await method(self, *args, **kwargs)
        except Exception as error:
            await _Record(spec, self, called, Gave(type(error), raised=True))
            raise
        await _Record(spec, self, called, Gave(result))
        return result

    setattr(recorded, _WITHOUT, method)
    return recorded
