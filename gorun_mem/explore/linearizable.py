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
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gorun_mem.explore.history import (
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

_BOOK: Final = "_gorun_mem_history"
"""The attribute of an object in which its histories are."""


def linearizable(
    model: Callable[..., Any], *, name: str = "", per: Key | None = None
) -> Callable[[T], T]:
    """Check the operations of an object against a sequential model.

    Goes before a class, all of whose public async methods are its operations then, or before single
    async methods. Arguments that are Ms are left out. An operation that a decorated one makes of
    the same object is a part of that one.

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

    def decorate(target: T) -> T:
        spec = _Spec(model, name, per)
        if inspect.isclass(target):
            found = [
                (attribute, value)
                for attribute, value in inspect.getmembers(target, inspect.iscoroutinefunction)
                if not attribute.startswith("_")
            ]
            if not found:
                raise TypeError(f"{target.__name__} has no public async method to be checked")
            for attribute, method in found:
                spec.needs(attribute)
                setattr(target, attribute, _recorded(spec, method))
            return target
        if not inspect.iscoroutinefunction(target):
            raise TypeError(f"{target!r} is neither a class nor an async method")
        spec.needs(target.__name__)
        return _recorded(spec, target)  # type: ignore[return-value]

    return decorate


class _Spec:
    """What operations are checked against."""

    def __init__(self, model: Callable[..., Any], name: str, per: Key | None) -> None:
        self._model = model
        self.name = name
        self.per = per
        self.models = Models(self._make)

    def _make(self, of: object) -> Any:
        return self._model() if inspect.isclass(self._model) else self._model(of)

    def needs(self, method: str) -> None:
        """Refuse a model that is a class and does not have `method`."""
        if inspect.isclass(self._model) and not callable(getattr(self._model, method, None)):
            raise TypeError(
                f"the model {self._model.__name__} has no method {method!r}; give it one, or let "
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
        self._key = key
        own = getattr(of, "name", None)
        name = spec.name or (own if isinstance(own, str) else type(of).__name__)
        self._name = name if spec.per is None else f"{name}[{key!r}]"
        self.kind = "op.call" if gave is None else "op.return"
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

    return recorded
