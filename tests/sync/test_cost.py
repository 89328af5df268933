"""What the kit costs in virtual time: cache lines, shared truly or falsely, and sleeping."""

from __future__ import annotations

from gorun_mem import M, World
from gorun_mem.locks import Mutex
from gorun_mem.sync import Event, Lock, Word
from tests.sync.driven import finished


def time_of(line: str) -> int:
    """How long two Ms take to count, each in a word of its own."""
    words = [Word("mine", line=line), Word("yours", line=line)]

    async def main(world: World) -> None:
        async def count(m: M) -> None:
            for _ in range(2_000):
                await words[m.id % 2].add(1)

        async with world.open_ms() as ms:
            ms.start_soon(count)
            ms.start_soon(count)

    world = finished(main)
    assert [word.value for word in words] == [2_000, 2_000]
    return world.engine.now_ns


def test_two_words_on_one_line_slow_each_other_down() -> None:
    """False sharing: several times as long, though they have nothing to do with each other."""
    apart, together = time_of(""), time_of("counters")
    assert together > 2 * apart
    assert repr(Word("a", line="counters")) == "<Word a@counters = 0>"


def test_words_of_two_locks_share_no_line() -> None:
    """A line in a lock is the lock's own."""

    class Padded(Mutex):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.words = [Word("a", line="both"), Word("b", line="both")]

        async def lock(self, m: M) -> None:
            await self.words[0].add(1)

        async def unlock(self, m: M) -> None:
            await self.words[1].add(1)

    world = World(ms=2, mutex=Padded)
    objs = [word.obj for name in "xy" for word in world.mutex(name).made]  # type: ignore[attr-defined]
    assert objs == ["x:a@x:both", "x:b@x:both", "y:a@y:both", "y:b@y:both"]


def test_a_sleeper_that_was_woken_is_not_kept_out_for_ever() -> None:
    """Whoever runs takes a lock again and again; the M that waits gets it between."""
    lock, stop, turns = Lock("l"), Event("stop"), []

    async def main(world: World) -> None:
        async def busy(m: M) -> None:
            for _ in range(200):
                async with lock:
                    await m.compute(1_000)
                await m.compute(2_000)
            turns.append("busy")

        async def patient(m: M) -> None:
            await m.compute(500)
            async with lock:
                turns.append("patient")
            await stop.set()

        async with world.open_ms() as ms:
            ms.start_soon(busy)
            ms.start_soon(patient)

    finished(main)
    assert turns == ["patient", "busy"]
    assert lock.statistics().wait_ns_max < 50_000
