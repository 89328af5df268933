"""Logs to analyse: random ones that make sense, and real runs."""

from __future__ import annotations

import random
from typing import Any

from gorun_mem import Config, M, MiB, World, scenario
from gorun_mem.events import MemorySink, Recorder
from gorun_mem.events.capture import capture_events
from gorun_mem.events.log import json_logger
from gorun_mem.events.methods import LogLevel
from gorun_mem.machine.run import Run, run
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.sink import Waited

PAGE = 65536


class Toy:
    """Ms that take locks, wait, hold, allocate and free, by lot; everything through a Recorder.

    Its locks let any waiter go first, wake or not wake, and stay free while Ms wait: more than any
    mutex does, so that the analysis is held to the definitions and not to one algorithm.
    """

    def __init__(
        self, seed: int, *, ms: int = 5, locks: int = 2, steps: int = 400, recorder: Recorder
    ) -> None:
        self.r = random.Random(seed)
        self.rec = recorder
        self.t = 0
        recorder.now = lambda: self.t
        self.ms = ms
        self.steps = steps
        self.locks = [f"lock{i}" if i else "memlock" for i in range(locks)]
        self.holder: dict[str, int] = {}
        self.site: dict[str, str] = {}
        self.since: dict[str, int] = {}
        self.cost: dict[str, tuple[int, bool, int, int]] = {}
        self.prev = dict.fromkeys(self.locks, 0)
        self.waiting: dict[str, dict[int, list[int]]] = {name: {} for name in self.locks}
        self.state: dict[int, Any] = dict.fromkeys(range(1, ms + 1), "idle")
        self.held: dict[int, list[str]] = {m: [] for m in range(1, ms + 1)}
        self.blocks: dict[int, int] = {}
        self.live: list[tuple[int, int]] = []
        self.bloc = self.bloc_max = 20 * PAGE
        self.pages = 20
        self.grows = 0

    def drive(self) -> None:
        rec = self.rec
        rec.run_start(
            release="go1.24.3", platform="js/wasm", mutex="sema", what_if=True,
            phys_page_size=PAGE, heap_arena_bytes=4 << 20, data_end=self.bloc - 5, initial_pages=20,
            max_pages=65536, ms=self.ms, cpus=2, strategy="random", granularity="sync", seed=1,
            scenario="toy",
        )  # fmt: skip
        for m in self.state:
            rec.m_start(m, self.r.choice([0, max(0, m - 1)]))
            self.t += self.r.choice([0, 3])
        for _ in range(self.steps):
            self.t += self.r.choice([0, 1, 1, 5, self.r.randrange(1000)])
            self.step(self.r.choice(list(self.state)))
        rec.m = 0
        rec.freelist_snapshot(tuple(sorted(self.blocks.items())), "end")
        rec.run_end("ok", final_pages=self.pages, steps=self.steps)

    def step(self, m: int) -> None:
        self.rec.m = m
        state = self.state[m]
        if state == "idle":
            self.ask(m, self.r.choice(self.locks))
        elif state == "has":
            lock = self.held[m][-1]
            roll = self.r.random()
            above = self.locks[max(map(self.locks.index, self.held[m])) + 1 :]
            if roll < 0.15 and above:  # always upwards: the toy is not to deadlock
                self.ask(m, self.r.choice(above))
            elif roll < 0.6 and lock == "memlock":
                self.call()
            else:
                self.release(m, lock)
        else:
            lock = state
            if lock not in self.holder:
                self.acquire(m, lock, True)
            else:
                self.waiting[lock][m][1] += self.r.randrange(3)

    def ask(self, m: int, lock: str) -> None:
        if lock in self.holder:
            waiting = self.waiting[lock]
            self.rec.lock_wait(
                lock, self.where(m), self.holder[lock], 0, len(waiting), tuple(waiting),
                tuple(self.held[m]),
            )  # fmt: skip
            waiting[m] = [self.t, 0, 0, 0]
            self.state[m] = lock
        else:
            self.acquire(m, lock, False)

    def where(self, m: int) -> str:
        return f"runtime.f{m % 2}"

    def acquire(self, m: int, lock: str, contended: bool) -> None:
        waiting = self.waiting[lock]
        mine = waiting.get(m)
        for other in waiting.values():
            if other is mine:
                break
            other[3] += 1
        since, spins, sleeps, bypassed = waiting.pop(m) if contended else (self.t, 0, 0, 0)
        wait = self.t - since
        self.rec.lock_acquire(
            lock,
            self.where(m),
            Waited(contended, wait, spins, sleeps),
            bypassed,
            len(waiting),
            self.prev[lock],
        )  # fmt: skip
        self.cost[lock] = (wait, contended, spins, sleeps)
        self.holder[lock] = m
        self.since[lock] = self.t
        self.held[m].append(lock)
        self.state[m] = "has"

    def release(self, m: int, lock: str) -> None:
        waiting = self.waiting[lock]
        wait, contended, spins, sleeps = self.cost[lock]
        since = self.since[lock]
        next_m = self.r.choice([0, *waiting])
        blocked = sum(self.t - max(one[0], since) for one in waiting.values())
        self.rec.lock_release(
            lock, self.where(m), self.t - since, Waited(contended, wait, spins, sleeps), blocked,
            tuple(waiting), next_m,
        )  # fmt: skip
        if next_m:
            self.rec.m_unpark(next_m, m)
        del self.holder[lock]
        self.prev[lock] = m
        self.held[m].remove(lock)
        self.state[m] = "has" if self.held[m] else "idle"

    # A little allocator in the manner of 1.24, first fit over a dict.

    def call(self) -> None:
        if self.live and self.r.random() < 0.45:
            self.free(*self.live.pop(self.r.randrange(len(self.live))))
        else:
            self.alloc(self.r.choice([1, PAGE, PAGE + 1, 3 * PAGE, 10 * PAGE]))

    def ret(self, fn: str, v: int, n: int, p: int, path: str, steps: int) -> None:
        largest = max(self.blocks.values(), default=0)
        self.rec.mem_return(
            Call(fn, v, n, 0, self.purpose, p, n, p != 0 or fn == "sysFreeOS", path, steps, 0),
            LayerState(
                self.pages, self.bloc, self.bloc_max, sum(self.blocks.values()), len(self.blocks),
                largest,
            ),
        )  # fmt: skip

    def alloc(self, n: int) -> None:
        self.purpose = self.r.choice(["", "spans", "heap reservation"])
        self.rec.mem_call(Call("sysAllocOS", 0, n, 0, self.purpose))
        size = -(-n // PAGE) * PAGE
        for index, (addr, had) in enumerate(sorted(self.blocks.items())):
            if had >= size:
                p = addr + had - size
                self.rec.freelist_take(p, size, addr, had, had == size, index)
                if had == size:
                    del self.blocks[addr]
                else:
                    self.blocks[addr] = had - size
                self.live.append((p, n))
                self.ret("sysAllocOS", 0, n, p, "freelist", index + 1)
                return
        p, path = self.bloc, "sbrk"
        if self.bloc + size > self.bloc_max:
            more = (self.bloc + size - self.bloc_max) // PAGE
            self.grows += 1
            ok = self.r.random() < 0.8
            self.rec.mem_grow(
                more * PAGE, self.pages * PAGE, (self.pages + more * ok) * PAGE, ok,
                65536 * PAGE, self.grows,
            )  # fmt: skip
            if not ok:
                self.ret("sysAllocOS", 0, n, 0, "fail", len(self.blocks))
                return
            self.pages += more
            self.bloc_max = self.bloc + size
        self.rec.brk_move(self.bloc, self.bloc + size, self.bloc_max, "sbrk")
        self.bloc += size
        self.live.append((p, n))
        self.ret("sysAllocOS", 0, n, p, path, len(self.blocks))

    def free(self, v: int, n: int) -> None:
        self.purpose = ""
        self.rec.mem_call(Call("sysFreeOS", v, n))
        size = -(-n // PAGE) * PAGE
        if v + n == self.bloc:
            self.rec.brk_move(self.bloc, self.bloc - n, self.bloc_max, "free")
            self.bloc -= n
            self.ret("sysFreeOS", v, n, 0, "end_of_memory", 0)
            return
        before = next((a for a, s in self.blocks.items() if a + s == v), None)
        after = v + size if v + size in self.blocks else None
        start, total = v, size
        if after is not None:
            total += self.blocks.pop(after)
        if before is not None:
            start, total = before, total + self.blocks.pop(before)
        self.blocks[start] = total
        self.rec.freelist_put(
            v, size, before is not None, after is not None, start, total, "mid_free"
        )
        self.ret("sysFreeOS", v, n, 0, "memfree", 0)


def toy_events(seed: int, **options: int) -> list[Any]:
    """The events of a toy run."""
    with capture_events() as events:
        Toy(seed, recorder=events.recorder, **options).drive()
    return list(events)


def toy_log(seed: int, level: LogLevel = "debug", **options: int) -> bytes:
    """The log of a toy run."""
    sink = MemorySink()
    Toy(seed, recorder=Recorder(json_logger(sink), level=level), **options).drive()
    return sink.data


@scenario(ms=2)
async def one_wait(world: World) -> None:
    """Two Ms meet once at the start; then one is alone for a millisecond."""
    lock = world.mutex("shared")

    async def worker(m: M, turns: int) -> None:
        await m.lock(lock)
        await m.compute(1000)
        await m.unlock(lock)
        for _ in range(turns):
            await m.compute(10_000)
            await m.lock(lock)
            await m.compute(100)
            await m.unlock(lock)

    async with world.open_ms() as ms:
        for i in range(2):
            ms.start_soon(worker, 100 * i)


@scenario(ms=4)
async def storm(world: World, *, rounds: int = 12, work: int = 300) -> None:
    """Ms allocate, compute and free, and some take a second lock first."""
    heap = world.mutex("heap")

    async def worker(m: M) -> None:
        held = []
        for _ in range(rounds):
            size = m.choice(8192, 65536, 131072, 200000)
            if m.choice(0, 0, 1):
                await m.lock(heap, "runtime.(*mheap).alloc")
                held.append((await m.sys_alloc(size, purpose="spans"), size))
                await m.unlock(heap, "runtime.(*mheap).alloc")
            else:
                held.append((await m.sys_alloc(size), size))
            await m.compute(m.choice(0, work, 3 * work))
            if m.choice(0, 1, 1):
                addr, size = held.pop(m.randrange(len(held)))
                await m.sys_free(addr, size)

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()


@scenario(ms=1)
async def heap(world: World, *, rounds: int = 12) -> None:
    """One M grows the heap, with metadata between the arenas."""

    async def worker(m: M) -> None:
        live = []
        for _ in range(rounds):
            await m.mheap_sys_alloc(m.choice(1, 4, 9) * MiB)
            size = m.choice(8192, 98304, 196608, 65536)
            live.append((await m.sys_alloc(size, purpose=m.choice("spans", "gc bits", "")), size))
            if m.choice(0, 1):
                addr, size = live.pop(m.randrange(len(live)))
                await m.sys_free(addr, size)

    async with world.open_ms() as ms:
        ms.start_soon(worker)
    world.check()


def run_events(program: Any, config: Config | None = None, **options: Any) -> tuple[Run, list[Any]]:
    """A real run and its events."""
    with capture_events() as events:
        recorder = Recorder()
        done = run(program, config, options, recorder=recorder)
    return done, list(events)


def run_log(
    program: Any, config: Config | None = None, level: LogLevel = "debug", **options: Any
) -> tuple[Run, bytes]:
    """A real run and its log."""
    sink = MemorySink()
    recorder = Recorder(json_logger(sink), level=level)
    done = run(program, config, options, recorder=recorder)
    recorder.close()
    return done, sink.data
