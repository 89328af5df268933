"""Whether a mutant of a lock does, step by step, what Go's code does; and whether it does anything
else than the original.

The first is asked of walks (`tests.runtime.mutex.walks`): at what they end with on Go's own code,
which is recorded, or on a plain lock. The second, of every state that few Ms can come to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from gorun_mem.explore.states import kernel
from gorun_mem.explore.states.model import Model
from gorun_mem.explore.states.parts import Common, Move, Own
from gorun_mem.explore.states.stepper import Stepper
from tests.explore.states.mutants import CHECKS, Mutant, TooLong, kernel_kept, limit
from tests.runtime.mutex.made import make
from tests.runtime.mutex.recorded import recorded
from tests.runtime.mutex.walks import OWN_SHAPES, SHAPES, Shape, digest, ours, walk

SECONDS_MAX = 3
"""Of a walk, after which it is in a loop."""
USERS = {
    "semaphore": ("sema", "spinbit", "note_sema"),
    "futex_queue": ("futex", "note_futex"),
}
"""Modules without a walk of their own -> those that use them."""
NAMES = ("sema_acquire", "sema_wakeup", "FutexQueue")
"""What those are used for."""


def shapes_of(module: str) -> list[Shape]:
    """The shapes of walks that tell of a module."""
    locks = USERS.get(module, (module,))
    return [shape for shape in (*SHAPES, *OWN_SHAPES) if shape.lock in locks]


@contextmanager
def _used(changed: ModuleType, by: str) -> Iterator[None]:
    """Let a module use the functions of another that is changed."""
    user: Any = import_module(f"gorun_mem.runtime.mutex.{by}")
    kept = {name: getattr(user, name) for name in NAMES if hasattr(user, name)}
    try:
        for name in kept:
            setattr(user, name, getattr(changed, name))
        yield
    finally:
        for name, value in kept.items():
            setattr(user, name, value)


def _differs(shape: Shape, changed: ModuleType, uses: bool) -> str:
    for seed, expected in enumerate(recorded(shape)):
        try:
            found = digest(walk(ours(shape, make, None if uses else changed), shape, seed))
        except Exception as error:
            return f"{shape.name}, walk {seed}: {type(error).__name__}: {error}"
        if found != expected:
            return f"{shape.name}, walk {seed}: another"
    return ""


def walked(mutant: Mutant) -> str:
    """The first walk in which a mutant does otherwise than it should; "" if there is none."""
    changed = mutant.load()
    uses = mutant.module in USERS
    for shape in shapes_of(mutant.module):
        try:
            with limit(SECONDS_MAX):
                if not uses:
                    found = _differs(shape, changed, False)
                else:
                    with _used(changed, shape.lock):
                        found = _differs(shape, changed, True)
        except TooLong:
            return f"{shape.name}: a step without end"
        if found:
            return found
    return ""


CALLS_MAX = 4
"""Ms times rounds of a lock that is compared in every state, which is done without reductions."""
State = tuple[Common, tuple[tuple[Own, int], ...]]
"""What is shared; of each M its own, and the rounds that it has left."""


class _Stepped:
    """Every step of a model from a state, over what of the kernel's it was made with.

    Args:
        model: what is stepped.
    """

    def __init__(self, model: Model) -> None:
        self._stepper = Stepper(model, dead=False)
        self._kernel = {name: getattr(kernel, name) for name in NAMES}
        self._known: dict[tuple[int, Common, Own], dict[tuple[int, ...], Move]] = {}

    def start(self, rounds: int) -> State:
        """The first state."""
        shared, owns = self._stepper.start()
        return shared, tuple([(own, rounds) for own in owns])

    def moves(self, place: int, state: State) -> dict[tuple[int, ...], Move]:
        """What the M at `place` may do."""
        shared, owns = state
        own, left = owns[place]
        if not left:
            return {}
        key = (place, shared, own)
        if key not in self._known:
            for name, value in self._kernel.items():
                setattr(kernel, name, value)
            moves = self._stepper.outcomes(place, shared, own)
            self._known[key] = {move.branch: move for move in moves}
        return self._known[key]


def _next(state: State, place: int, move: Move) -> State:
    assert move.shared is not None
    assert move.own is not None
    owns = list(state[1])
    owns[place] = (move.own, owns[place][1] - move.done)
    return move.shared, tuple(owns)


def _alike(one: _Stepped, other: _Stepped, ms: int, rounds: int) -> bool:
    """Whether two models do the same, whatever their Ms do: what they share is the same after each
    step, which may be made in the same cases, and ends calls in the same."""
    todo = [(one.start(rounds), other.start(rounds))]
    seen = set(todo)
    while todo:
        here, there = todo.pop()
        for place in range(ms):
            moves, others = one.moves(place, here), other.moves(place, there)
            if moves.keys() != others.keys():
                return False
            for branch, move in moves.items():
                twin = others[branch]
                if (move.shared, move.done, move.told) != (twin.shared, twin.done, twin.told):
                    return False
                if move.shared is None:
                    if move.complaint != twin.complaint:
                        return False
                    continue
                pair = (_next(here, place, move), _next(there, place, twin))
                if pair not in seen:
                    seen.add(pair)
                    todo.append(pair)
    return True


def same_steps(mutant: Mutant) -> bool:
    """Whether a mutant does in every state what the original does, where few Ms call it."""
    changed = mutant.load()
    original = import_module(f"gorun_mem.runtime.mutex.{mutant.module}")
    for make_model, rounds in CHECKS[mutant.module]:
        with kernel_kept():
            one = make_model(original)
            if len(one.ms) * rounds > CALLS_MAX and mutant.module not in USERS:
                continue
            steps = _Stepped(one)
            other = make_model(changed)
            if not _alike(steps, _Stepped(other), len(one.ms), rounds):
                return False
    return True
