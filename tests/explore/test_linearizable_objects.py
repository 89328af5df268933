"""Histories of objects: operations that wait, keys, single methods, subclasses, wrong models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gorun_mem import CannotYet, M, World, linearizable
from gorun_mem.explore import explore
from gorun_mem.explore.history import Called, Gave, Linearizer, Models
from gorun_mem.machine.config import Config
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.op import Op
from gorun_mem.sync import Cell
from tests.explore.test_linearizable import Fifo, Register, Word
from tests.explore.test_linearizable_said import Torn

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
