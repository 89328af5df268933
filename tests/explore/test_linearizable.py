"""Histories: what an order explains, that no order is lost, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations, product
from random import Random
from typing import Any

import pytest

from gorun_mem import CannotYet, M, NotLinearizable, World, linearizable
from gorun_mem.explore import explore
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.history import Called, Gave, Linearizer, Models, freeze, furthest
from gorun_mem.explore.report import render
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.run import run
from gorun_mem.machine.scenario import scenario
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import Op
from gorun_mem.sync import Cell, Lock
from tests.explore.brute_force import Everything

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
            self.parts = {"a": [1, {2}], "b": bytearray(b"x")}

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
    forced, everything, runs = Histories(), Everything(), 0
    while everything.next_run():
        runs += 1
        if runs > most:
            return None
        run_once(target, everything, detectors=[forced]).world.driver.dissolve()
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


# What is said.


@linearizable(Fifo, name="queue")
class Torn:
    """A queue of counters that two getters can be at at once, unless there is a lock."""

    def __init__(self, lock: Lock | None = None) -> None:
        self.head, self.tail = Cell("head"), Cell("tail")
        self.slots: dict[int, Any] = {}
        self.lock = lock

    async def put(self, item: Any) -> None:
        def add(value: int) -> tuple[int, int]:
            self.slots[value] = item
            return value + 1, value

        await Word(self.tail, add)

    async def get(self) -> Any:
        if self.lock is not None:
            await self.lock.acquire()
        head = await Word(self.head, lambda value: (value, value))
        item = None
        if head != await Word(self.tail, lambda value: (value, value)):
            await Word(self.head, lambda value: (head + 1, None))
            item = self.slots[head]
        if self.lock is not None:
            await self.lock.release()
        return item

    async def last(self) -> Any:
        return self.slots[await Word(self.tail, lambda value: (value, value)) - 1]

    async def take(self) -> Any:
        return await self.get()  # of the same object: a part of this one


def queue_program(locked: bool) -> Any:
    async def main(world: World) -> None:
        queue = Torn(Lock("L") if locked else None)
        await queue.put("a")
        await queue.put("b")

        async def getter(m: M) -> None:
            await queue.get()

        async with world.open_ms() as ms:
            ms.start_soon(getter)
            ms.start_soon(getter)

    return main


def test_the_timeline() -> None:
    """What is in the way is drawn with calls and returns, what was before is a sentence, and each
    order that was tried says where it ends."""
    found = explore(queue_program(False), config=Config(ms=2), strategy="exhaustive")
    assert found.failure is not None
    assert found.failure.history == (
        "history of queue: no order of the last operations gives what they gave",
        "  before, 2 operations:",
        "    M0 put('a') -> None  |---|                          steps 1 to 3",
        "    M0 put('b') -> None          |---|                  steps 4 to 6",
        "  after which items=['a', 'b']",
        "    M1 get() -> 'a'                      |-----------|  steps 8 to 18",
        "    M2 get() -> 'a'                          |---|      steps 12 to 16",
        "  tried, 2 orders:",
        "    M2 get(); then M1 get() gives 'b'",
        "    M1 get(); then M2 get() gives 'b'",
    )
    report = render(found.failure)
    assert all(report.count(line) == 1 for line in found.failure.history)
    assert "queue is not linearizable: M1 get() -> 'a'" in report
    assert found.document()["failures"][0]["history"] == list(found.failure.history)
    right = explore(queue_program(True), config=Config(ms=2))
    assert right.verdict == "exhausted"
    assert "the operations of queue are held against a model" in right.reason
    assert right.document()["world"]["histories"] == ["queue"]


def test_any_run_is_checked() -> None:
    """Outside of a search too, and nothing can swallow it."""

    @scenario(ms=2)
    async def swallows(world: World) -> None:
        queue = Torn()

        async def worker(m: M) -> None:
            try:
                await queue.last()
            except BaseException:
                pass

        async with world.open_ms() as ms:
            ms.start_soon(worker)

    ended = run(swallows)
    assert not ended.outcome.ok
    assert isinstance(ended.outcome.error, NotLinearizable)
    assert ended.outcome.exit_code == 1
    text = str(ended.outcome.error)
    assert text.startswith("queue is not linearizable: M1 last() raises KeyError")
    assert "at once M1 last() raises IndexError" in text


def test_the_same_exception_is_the_same_result() -> None:
    """What the model raises may be raised, by its class."""

    @linearizable(Fifo)
    class Right:
        async def last(self) -> Any:
            await Word(Cell("x"), lambda value: (value, value))
            raise IndexError("empty, in other words")

    async def main(world: World) -> None:
        with pytest.raises(IndexError):
            await Right().last()

    assert explore(main, config=Config(ms=1, mutex="queue")).ok


# Waiting, keys, methods, mistakes.


class Slot:
    """A place for one item: `put` waits while it is full, `take` while it is empty."""

    def __init__(self) -> None:
        self.item: Any = None

    def put(self, item: Any) -> None:
        if self.item is not None:
            raise CannotYet
        self.item = item

    def take(self) -> Any:
        if self.item is None:
            raise CannotYet
        item, self.item = self.item, None
        return item


class Gate:
    """A cell that an operation waits for until it has a value of its liking."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = None
        self.waiting: dict[int, tuple[Any, Callable[[Any], bool]]] = {}


class Exchange(Op):
    """Changes a gate's value once it is as wanted; the value before."""

    kind = "acquire"

    def __init__(self, gate: Gate, wants: Callable[[Any], bool], new: Any) -> None:
        self.obj = gate.name
        self._gate, self._wants, self._new = gate, wants, new

    def begin(self, m: Any) -> bool:
        self._gate.waiting[m.id] = (m, self._wants)
        return self._wants(self._gate.value)

    def step(self, m: Any) -> Any:
        gate = self._gate
        before, gate.value = gate.value, self._new
        del gate.waiting[m.id]
        for other, wants in gate.waiting.values():
            if wants(gate.value):
                other.sched.unpark(other)
            else:
                other.sched.disable(other)
        return before


@linearizable(Slot)
class RealSlot:
    """It; `leaky` ones overwrite what is there."""

    def __init__(self, leaky: bool = False) -> None:
        self.gate = Gate("slot")
        self.leaky = leaky

    async def put(self, item: Any) -> None:
        await Exchange(self.gate, lambda value: self.leaky or value is None, item)

    async def take(self) -> Any:
        return await Exchange(self.gate, lambda value: value is not None, None)


@pytest.mark.parametrize("leaky", [False, True])
def test_operations_that_wait(leaky: bool) -> None:
    """A model says that an operation would wait; one that does not wait is found. An operation that
    waits for ever is a deadlock and no violation."""

    async def main(world: World) -> None:
        slot = RealSlot(leaky)

        async def put(m: M, item: int) -> None:
            await slot.put(item)

        async def take(m: M) -> None:
            await slot.take()

        async with world.open_ms() as ms:
            ms.start_soon(put, 1)
            ms.start_soon(put, 2)
            ms.start_soon(take)
            if not leaky:
                ms.start_soon(take)
                ms.start_soon(take)

    found = explore(
        main, config=Config(ms=2, mutex="queue"), strategy="pos", budget=300, failures_max=9
    )
    kinds = {failure.signature.kind for failure in found.failures}
    assert kinds == ({"not_linearizable"} if leaky else {"deadlock"})


def test_keys_have_histories_of_their_own() -> None:
    """Operations on different keys commute: 1 schedule, where one key has several."""

    class Keyed:
        def __init__(self) -> None:
            self.values: dict[str, int] = {}

        def add(self, key: str) -> int:
            self.values[key] = self.values.get(key, 0) + 1
            return self.values[key]

    @linearizable(Keyed, per=lambda name, key: key)
    class Counters:
        def __init__(self, wrong: bool = False) -> None:
            self.cells = {key: Cell(f"count {key}") for key in "ab"}
            self.wrong = wrong

        async def add(self, key: str) -> int:
            if self.wrong:
                before = await Word(self.cells[key], lambda value: (value, value))
                await Word(self.cells[key], lambda value: (before + 1, None))
                return int(before + 1)
            return int(await Word(self.cells[key], lambda value: (value + 1, value + 1)))

    def schedules(keys: str, wrong: bool = False) -> Any:
        async def main(world: World) -> None:
            counters = Counters(wrong)

            async def add(m: M, key: str) -> None:
                await counters.add(key)

            async with world.open_ms() as ms:
                for key in keys:
                    ms.start_soon(add, key)

        return explore(main, config=Config(ms=2, mutex="queue"), strategy="exhaustive")

    apart = schedules("ab")
    assert (apart.verdict, apart.statistics.schedules) == ("exhausted", 1)
    assert schedules("aa").statistics.schedules > 3
    failure = schedules("aba", wrong=True).failure
    assert failure is not None
    assert failure.signature.obj == "Counters['a']"


def test_single_methods_and_a_model_for_the_object() -> None:
    """Before a method only that is recorded; a function makes the model of an object."""

    class Start:
        def __init__(self, value: int) -> None:
            self.value = value

        def add(self, n: int) -> int:
            self.value += n
            return self.value

    class Counter:
        def __init__(self, value: int) -> None:
            self.cell = Cell("counter", value)

        @linearizable(lambda of: Start(of.cell.value))
        async def add(self, n: int) -> int:
            return int(await Word(self.cell, lambda value: (value + n, value + n)))

        async def spoil(self) -> None:
            await Word(self.cell, lambda value: (value + 100, None))

    async def main(world: World) -> None:
        counter = Counter(7)
        assert await counter.add(1) == 8
        assert await counter.add(n=2) == 10
        await counter.spoil()
        await counter.add(1)

    found = explore(main, config=Config(ms=1, mutex="queue"))
    assert found.failure is not None
    assert "M0 add(1) -> 111" in found.failure.text


def test_mistakes() -> None:
    """Are told where the class is made, or at the first call."""
    with pytest.raises(TypeError, match="has no method 'push'"):

        @linearizable(Fifo)
        class Stack:
            async def push(self) -> None: ...

    with pytest.raises(TypeError, match="no public async method"):

        @linearizable(Fifo)
        class Nothing:
            def put(self) -> None: ...

    with pytest.raises(TypeError, match="neither a class nor"):
        linearizable(Fifo)(3)

    @linearizable(Fifo)
    class Slots:
        __slots__ = ()

        async def get(self) -> None: ...

    async def main(world: World) -> None:
        await Slots().get()

    found = explore(main, config=Config(ms=1, mutex="queue"))
    assert found.failure is not None
    assert "add '_gorun_mem_history' to them" in found.failure.text
    assert issubclass(IllegalUse, Exception)


def test_subclasses_are_checked_too() -> None:
    """What a subclass has in the place of an operation, and what it adds; decorated again or not,
    each operation is recorded once."""

    class Broken(Torn):
        async def last(self) -> Any:
            return None

    @linearizable(Fifo)
    class Again(Torn):
        async def take(self) -> Any:
            return 5

    def found(cls: type[Torn]) -> Any:
        async def main(world: World) -> None:
            queue = cls()
            await queue.put(1)
            await queue.last()
            await queue.take()

        return explore(main, config=Config(ms=1, mutex="queue"))

    assert "last() -> None" in found(Broken).failure.text
    assert "take() -> 5" in found(Again).failure.text
    steps = [step.kind for step in found(Again).failure.steps]
    assert steps.count("op.call") == 3
    with pytest.raises(TypeError, match="has no method 'more'"):

        class More(Torn):
            async def more(self) -> None: ...


def test_methods_under_one_model_have_one_history() -> None:
    """Decorated one by one; under another model it is another history."""

    class Half:
        def __init__(self) -> None:
            self.cell = Cell("half")

        @linearizable(Register)
        async def write(self, value: int) -> None:
            await Word(self.cell, lambda before: (value, None))

        @linearizable(Register)
        async def read(self) -> int:
            return int(await Word(self.cell, lambda before: (before, before)))

        @linearizable(Fifo)
        async def get(self) -> None:
            await Word(self.cell, lambda before: (before, None))

    async def main(world: World) -> None:
        half = Half()
        await half.write(3)
        assert await half.read() == 3
        await half.get()

    assert explore(main, config=Config(ms=1, mutex="queue")).ok


def test_a_long_run_keeps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something is always under way, what is kept of models does not grow with the run."""
    from gorun_mem.explore import history

    monkeypatch.setattr(history, "MODELS_MAX", 50)

    class Count:
        def __init__(self) -> None:
            self.n = 0

        def wait(self) -> None:
            raise CannotYet

        def add(self) -> int:
            self.n += 1
            return self.n

    models = Models(lambda of: Count())
    found = Linearizer(models, models.first(None))
    found.call(Called("wait"))
    for n in range(1, 400):
        called = Called("add")
        found.call(called)
        assert found.end(called, Gave(n))
    assert len(models._models) < 60
    assert all(len(ahead) <= 1 for _, ahead in found._may)
    called = Called("add")
    found.call(called)
    assert not found.end(called, Gave(7))


def test_an_operation_made_by_another_is_a_part_of_it() -> None:
    """`take` makes `get` of the same object: one operation, with the result of the outer one."""

    async def main(world: World) -> None:
        queue = Torn()
        await queue.put("a")
        await queue.put("b")
        assert await queue.take() == "a"
        assert await queue.get() == "b"

    found = explore(main, config=Config(ms=1, mutex="queue"))
    assert found.ok, found.failure


def test_an_object_that_outlives_a_run_has_a_history_in_each() -> None:
    """What was in the run before is not in this one's."""
    queue = Torn()

    async def main(world: World) -> None:
        queue.head.value = queue.tail.value = 0
        queue.slots.clear()
        assert await queue.get() is None

        async def put(m: M) -> None:
            await queue.put(m.id)

        async with world.open_ms() as ms:
            ms.start_soon(put)
            ms.start_soon(put)

    found = explore(main, config=Config(ms=2, mutex="queue"), strategy="exhaustive")
    assert found.verdict == "exhausted", found.failure
    assert found.statistics.schedules > 1


def test_what_is_raised_is_not_what_is_returned() -> None:
    """Though it is the same class."""
    assert Gave(IndexError, raised=True).is_like(Gave(IndexError, raised=True))
    assert not Gave(IndexError).is_like(Gave(IndexError, raised=True))
    assert not Gave(1).is_like(Gave(2))
