"""What is said of a history that no order explains."""

from __future__ import annotations

from typing import Any

import pytest

from gorun_mem import M, NotLinearizable, World, linearizable
from gorun_mem.explore import explore
from gorun_mem.explore.report import render
from gorun_mem.machine.config import Config
from gorun_mem.machine.run import run
from gorun_mem.machine.scenario import scenario
from gorun_mem.sync import Cell, Lock
from tests.explore.test_linearizable import Fifo, Word

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
