"""Histories: what an order explains, that no order is lost, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations, product
from random import Random
from typing import Any

import pytest

from gorun_mem import CannotYet, M, World, linearizable
from gorun_mem.explore import explore
from gorun_mem.explore.history import Called, Gave, Linearizer, Models, freeze, furthest
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.runtime.op import Op
from gorun_mem.sync import Cell
from tests.explore.brute_force import Everything, TooMany, every_run

# Models.


class Fifo:
    """A queue."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def put(self, item: Any) -> None:
        self.items.append(item)

    def get(self) -> Any:
        return self.items.pop(0) if self.items else None

    def last(self) -> Any:
        return self.items[-1]  # IndexError where there is none

    def take(self) -> Any:
        if not self.items:
            raise CannotYet
        return self.items.pop(0)


class Register:
    """One value."""

    def __init__(self) -> None:
        self.value = 0

    def read(self) -> int:
        return self.value

    def write(self, value: int) -> None:
        self.value = value

    def cas(self, old: int, new: int) -> bool:
        if self.value != old:
            return False
        self.value = new
        return True


# Random histories against all orders there are.

Event = tuple[str, int]
"""("call" or "return", number of the operation)."""


def draw_history(random: Random, model: type) -> tuple[list[Called], list[Event]]:
    """Up to 5 operations of up to 3 Ms, some of which do not return, with results by chance."""
    names = ("put", "get", "last", "take") if model is Fifo else ("read", "write", "cas")
    operations: list[Called] = []
    events: list[Event] = []
    under_way: dict[int, int] = {}
    for _ in range(random.randint(3, 11)):
        m = random.randint(1, 3)
        if m in under_way:
            number = under_way.pop(m)
            operations[number].gave = draw_result(random, operations[number])
            events.append(("return", number))
        elif len(operations) < 5:
            name = random.choice(names)
            args = {"put": 1, "write": 1, "cas": 2}.get(name, 0)
            called = Called(name, tuple(random.randint(0, 2) for _ in range(args)))
            called.m = m
            under_way[m] = len(operations)
            events.append(("call", len(operations)))
            operations.append(called)
    return operations, events


def draw_result(random: Random, called: Called) -> Gave:
    if called.name in ("put", "write"):
        return Gave(None)
    if called.name == "cas":
        return Gave(random.random() < 0.5)
    if called.name == "last" and random.random() < 0.5:
        return Gave(IndexError, raised=True)
    nothing = [None] if called.name == "get" else []
    return Gave(random.choice([0, 1, 2, *nothing]))


def explained(model: type, operations: Sequence[Called], events: Sequence[Event]) -> bool:
    """Whether some order of all that returned, and any of the others, explains the results."""
    at = {event: place for place, event in enumerate(events)}
    results = {number: operations[number].gave for kind, number in events if kind == "return"}
    called = [number for kind, number in events if kind == "call"]
    pending = [number for number in called if number not in results]
    for taken in product((False, True), repeat=len(pending)):
        chosen = [*results, *(one for one, is_in in zip(pending, taken, strict=True) if is_in)]
        for order in permutations(chosen):
            if all(
                at.get(("return", order[j]), 1 << 30) > at["call", order[i]]
                for i in range(len(order))
                for j in range(i + 1, len(order))
            ) and gives(model, [(operations[one], results.get(one)) for one in order]):
                return True
    return False


def gives(model: type, order: Sequence[tuple[Called, Gave | None]]) -> bool:
    state = model()
    for called, gave in order:
        try:
            made = Gave(getattr(state, called.name)(*called.args))
        except CannotYet:
            return False
        except Exception as error:
            made = Gave(type(error), raised=True)
        if gave is not None and made != gave:
            return False
    return True


@pytest.mark.parametrize("model", [Fifo, Register])
def test_random_histories_against_all_permutations(model: type) -> None:
    """2,000 histories, at each of their returns: the search says what all orders say, those with
    operations under way and those that would wait included; so does the search for the report."""
    random = Random(model.__name__)
    models = Models(lambda of: model())
    good = bad = pending = waiting = 0
    for _ in range(2000):
        operations, events = draw_history(random, model)
        found = Linearizer(models, models.first(None))
        gave = [called.gave for called in operations]
        for called in operations:
            called.gave = None
        for place, (kind, number) in enumerate(events):
            if kind == "call":
                found.call(operations[number])
                continue
            result = gave[number]
            assert result is not None
            says = found.end(operations[number], result)
            expected = explained(model, operations, events[: place + 1])
            assert says is expected, (operations, events[: place + 1])
            assert (furthest(models, found.base, found.window) is None) is expected
            good += says
            bad += not says
            pending += any(called.gave is None for called in operations[: number + 1])
            waiting += any(called.name == "take" for called in operations)
            if not says:
                break
    assert good > 500
    assert bad > 500
    assert pending > 300
    assert waiting > 300 or model is Register


def test_models_that_change_their_arguments_and_parts_are_copied() -> None:
    """A state once seen stays as it was, and equal states are one."""

    class Bag:
        def __init__(self) -> None:
            self.parts: dict[str, Any] = {"a": [1, {2}], "b": bytearray(b"x")}

        def put(self, item: list[int]) -> list[int]:
            item.append(9)
            self.parts["a"] += item
            return item

    models = Models(lambda of: Bag())
    first = models.first(None)
    given = [3]
    one = models.do(first, Called("put", (given,)))
    assert given == [3]
    assert one is not None
    assert models.do(first, Called("put", ([3],))) is one
    assert models.model(first).parts["a"] == [1, {2}]
    assert one[0].value == [3, 9]
    assert freeze(Bag()) == freeze(Bag())
    assert freeze({1: 2}) != freeze({1: 3})
    assert freeze([1]) != freeze((1,))


# In every schedule.


class Word(Op):
    """An atomic access by a function of the value."""

    def __init__(self, cell: Cell, change: Callable[[Any], tuple[Any, Any]]) -> None:
        self.kind, self.obj = "atomic.xchg", cell.name
        self._cell, self._change = cell, change

    def step(self, m: Any) -> Any:
        self._cell.value, result = self._change(self._cell.value)
        return result


@linearizable(Register)
class TwoWords:
    """A register whose reads look at two words, one after another; right iff `whole`."""

    def __init__(self, whole: bool) -> None:
        self.words = [Cell("low"), Cell("high")]
        self.whole = whole

    async def write(self, value: int) -> None:
        for word in self.words[:1] if self.whole else self.words:
            await Word(word, lambda old: (value, None))

    async def read(self) -> int:
        values = [await Word(word, lambda old: (old, old)) for word in self.words]
        return int(values[0]) if self.whole or values[0] == values[1] else -1

    async def cas(self, old: int, new: int) -> bool:
        def change(value: int) -> tuple[int, bool]:
            return (new, True) if value == old else (value, False)

        return bool(await Word(self.words[0], change))


class Histories:
    """A detector that keeps the history of each run: results, and who ended before whom."""

    name = "histories"

    def __init__(self) -> None:
        self.seen: set[Any] = set()

    def begin(self, world: World) -> None:
        self._events: list[tuple[str, int]] = []

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        if kind in ("op.call", "op.return"):
            self._events.append((kind, task.id))

    def end(self, world: World) -> tuple[()]:
        results: Any = world.results
        ended: dict[int, int] = {}
        before: list[Any] = []
        numbers: dict[int, int] = {}
        for kind, m in self._events:
            if kind == "op.return":
                ended[m] = ended.get(m, 0) + 1
            else:
                numbers[m] = numbers.get(m, 0) + 1
                before.append((m, numbers[m], tuple(sorted(ended.items()))))
        failed = type(world.failure).__name__
        key = (tuple(sorted(before)), tuple(sorted(results["gave"])), failed)
        self.seen.add(key)
        return ()


def program(plans: Sequence[Sequence[tuple[Any, ...]]], whole: bool) -> Any:
    async def main(world: World) -> None:
        register = TwoWords(whole)
        gave: list[Any] = []
        results: Any = world.results
        results["gave"] = gave

        async def worker(m: M, plan: Sequence[tuple[Any, ...]]) -> None:
            for number, (name, *args) in enumerate(plan):
                gave.append((m.id, number, await getattr(register, name)(*args)))

        async with world.open_ms() as ms:
            for plan in plans:
                ms.start_soon(worker, plan)

    return main


def draw_plans(random: Random) -> list[list[tuple[Any, ...]]]:
    def operation() -> tuple[Any, ...]:
        name = random.choice(("read", "write", "cas"))
        arguments = {"read": 0, "write": 1, "cas": 2}[name]
        return (name, *(random.randint(0, 2) for _ in range(arguments)))

    shape = random.choice(((1, 1), (2, 1), (1, 1, 1)))
    return [[operation() for _ in range(size)] for size in shape]


def _the(found: Histories) -> Histories:
    return found


def all_histories(main: Any, most: int) -> tuple[set[Any], int] | None:
    """Of every interleaving, and how many there are; None where there are more than `most`."""
    target = Target.of(main, Config(ms=2, mutex="queue"))
    forced = Histories()
    try:
        runs = every_run(target, Everything(), most, [forced])
    except TooMany:
        return None
    return forced.seen, runs


def searched_histories(main: Any) -> tuple[set[Any], int]:
    """Those of the exhaustive search, and its schedules."""
    searched = Histories()
    target = Target.of(main, Config(ms=2, mutex="queue"))
    worker = Worker(target, [partial(_the, searched)], steps_max=2000, failures_max=1 << 30)
    batch = worker.tree("exhaustive")
    assert batch.complete
    return searched.seen, batch.schedules


def test_no_history_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 random programs, whose histories are not judged: the exhaustive search has those, by
    results and by who ended before whom began, that all interleavings have. Judged, it finds a
    violation iff they have one."""
    random = Random(12)
    wrong = fewer = compared = 0
    while compared < 40:
        main = program(draw_plans(random), random.random() < 0.4)
        with monkeypatch.context() as patched:
            patched.setattr(Linearizer, "end", _unjudged)
            forced = all_histories(main, 1200)
            if forced is None:
                continue
            searched, schedules = searched_histories(main)
        compared += 1
        assert searched == forced[0]
        fewer += schedules < forced[1]
        judged = all_histories(main, 1200)
        assert judged is not None
        fails = any(key[2] == "NotLinearizable" for key in judged[0])
        assert any(key[2] == "NotLinearizable" for key in searched_histories(main)[0]) is fails
        wrong += fails
    assert 5 < wrong < 35
    assert fewer > 20


def _unjudged(history: Linearizer, called: Called, gave: Gave) -> bool:
    return True


@pytest.mark.parametrize("strategy", ["auto", "exhaustive", "pct", "pos", "random"])
def test_a_torn_register_is_found_and_its_twin_is_not(strategy: str) -> None:
    """By every strategy; the failure is shrunk and replays."""

    def found(whole: bool) -> Any:
        plans: list[list[tuple[Any, ...]]] = [[("write", 2)], [("read",), ("read",)]]
        return explore(program(plans, whole), config=Config(ms=2), strategy=strategy, budget=600)

    assert found(True).ok
    failure = found(False).failure
    assert failure is not None
    assert (failure.signature.kind, failure.signature.obj) == ("not_linearizable", "TwoWords")
    assert failure.shrunk_from is None or failure.switches <= failure.shrunk_from[1]
    assert failure.history[0].startswith("history of TwoWords: no order of")
