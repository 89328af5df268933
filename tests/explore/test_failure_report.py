"""The failure report: what it says of a lost update, a deadlock and a broken free list."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gorun_mem.explore.drive import replay
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.lanes import COLUMNS
from gorun_mem.explore.report import LINES, render
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.schedule import Schedule
from gorun_mem.sync import Cell, Lock
from tests.explore.report_runs import plainest


async def lost_update(world: World) -> None:
    bloc = Cell("bloc")

    async def add(m: M) -> None:
        value = await bloc.load()
        await bloc.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    if bloc.value != 2:
        raise AssertionError("an addition was lost")


async def crossed(world: World) -> None:
    a, b = Lock("a"), Lock("b")

    async def one(m: M) -> None:
        await a.acquire()
        await b.acquire()
        await b.release()
        await a.release()

    async def two(m: M) -> None:
        await b.acquire()
        await a.acquire()
        await a.release()
        await b.release()

    async with world.open_ms() as ms:
        ms.start_soon(one)
        ms.start_soon(two)


async def crossed_mutexes(world: World) -> None:
    async def take(m: M, first: str, then: str) -> None:
        await m.lock(world.mutex(first), f"take.{first}")
        await m.lock(world.mutex(then), f"take.{then}")
        await m.unlock(world.mutex(then))
        await m.unlock(world.mutex(first))

    async with world.open_ms() as ms:
        ms.start_soon(take, "p", "q", name="forth")
        ms.start_soon(take, "q", "p", name="back")


async def use_after_free(world: World) -> None:
    async def writer(m: M) -> None:
        p = await m.sys_alloc(8192)
        await m.sys_alloc(8192)
        await m.sys_free(p, 8192)
        world.runtime.memory.store_word(p + 4096, 7)

    async def other(m: M) -> None:
        p = await m.sys_alloc(4096)
        await m.sys_alloc(4096)
        await m.sys_free(p, 4096)

    async with world.open_ms() as ms:
        ms.start_soon(writer)
        ms.start_soon(other)


TO_PASTE = re.compile("token: |replay-schedule ")
QUEUED = Config(ms=2, mutex="queue", platform="plan9/amd64", release="go1.24.3")


def found(program: object, config: Config | None = None) -> tuple[Target, Failure]:
    target = Target.of(program, config)  # type: ignore[arg-type]
    failure = plainest(target)
    assert failure is not None
    return target, failure


def without_token(report: str) -> str:
    """The report up to the token, without line numbers of this file."""
    body = re.sub(r"(?<=[.]py):[0-9]+", "", report.rpartition("replay-schedule ")[0])
    body = re.sub(r"(?<= ):[0-9]+(?= )|(?<= ):[0-9]+$", ":_", body, flags=re.MULTILINE)
    body = re.sub(r"its token: \S+", "its token:", body)
    return "\n".join(line.rstrip() for line in body.splitlines())


def test_a_lost_update() -> None:
    """The report names the store that came between the load and the store of the other M."""
    target, failure = found(lost_update)
    assert without_token(render(failure, target)) == LOST_UPDATE.strip()


LOST_UPDATE = """
FAILED: AssertionError at test_failure_report.py
  AssertionError: an addition was lost
  7 steps, 3 switches, 1 forced; found by random in run 7
  release go1.27

What matters:
  1. M1's store bloc = 1 (step 5) comes between two of M2: load bloc -> 0 (step 2) and store bloc =
     1 (step 6), which overwrites it
  2. M0 sees it when all have ended: AssertionError at test_failure_report.py

       (behind each step: its line in test_failure_report.py)
 step  M0 lost_update                 M1 add                         M2 add
    1                                                                start m
    2                                                                load bloc -> 0 :_
    3>                                start m                        |
    4                                 load bloc -> 0 :_             |
    5                                 store bloc = 1 :_             |
    6                                                                store bloc = 1 :_
    7  join ms

The nearest schedule that passes (1 decision away):
  had M2 gone before M1 at step 4, this passes: M2's store bloc (step 6) before M1's load bloc (step
  4)
  it ends well, but has this too: race: bloc at test_failure_report.py and
  test_failure_report.py (replay it with --no-detectors)
   step  it fails                                  | step  it passes
      3> M1 start m                                |    3  M2 store bloc = 1
      4  M1 load bloc -> 0                         |    4  M1 start m
      5  M1 store bloc = 1                         |    5  M1 load bloc -> 1
      6  M2 store bloc = 1                         |    6  M1 store bloc = 2
  its token:

Replay it:
gorun-mem
"""


def test_a_deadlock_of_plain_locks() -> None:
    """The cycle is shown M by M, with who holds what since which step."""
    target, failure = found(crossed)
    report = render(failure, target)
    assert "The cycle: M1 -> M2 -> M1" in report
    assert "M1 waits to acquire b, which M2 holds since step" in report
    assert "M2 waits to acquire a, which M1 holds since step" in report


def test_a_deadlock_of_runtime_mutexes() -> None:
    """With mutexes of the runtime the cycle also says in which function each lock was taken."""
    target, failure = found(crossed_mutexes, QUEUED)
    report = render(failure, target)
    assert "M1 waits to acquire q, which M2 holds in take.q" in report
    assert "M2 waits to acquire p, which M1 holds in take.p" in report


def test_no_cycle_is_not_called_one() -> None:
    """An M that waits for a lock whose owner has ended is no cycle, and the report says so."""

    async def leaked(world: World) -> None:
        lock = Lock("leaked")

        async def take(m: M) -> None:
            await lock.acquire()

        async with world.open_ms() as ms:
            ms.start_soon(take)
            ms.start_soon(take)

    target, failure = found(leaked)
    report = render(failure, target)
    assert "The cycle" not in report
    assert "No cycle" in report
    assert "waits to acquire leaked, which M" in report


def test_a_broken_free_list() -> None:
    """The list before and after, and the invariant behind memCheck's throw with its values."""
    target, failure = found(use_after_free, QUEUED.but(mem_debug=True))
    report = render(failure, target)
    assert without_token(report) == BROKEN_LIST.strip()


BROKEN_LIST = """
FAILED: throw: mem: uninitialised memory
  M2: runtime: value at addr 0x161000 with offset 4096 in block 0x160000 of size 8192 is not zero
  fatal error: mem: uninitialised memory
  (addr 0x161000, block 1441792, size 8192)
  15 steps, 5 switches, 2 forced; found by random in run 67
  release go1.24.3

What matters:
  1. M2 has memlock (steps 7 to 9) between two critical sections of M1: release memlock.key key=0
     (step 5) and acquire memlock.key key=3 (step 10); what M1 saw in the first may not hold in the
     second
  2. M1's acquire memlock.key key=3 (step 10) comes between two of M2: acquire memlock.key key=3
     (step 9) and release memlock.key key=2 (step 11)
  3. M2's acquire memlock.key key=3 (step 15) is the last step: throw: mem: uninitialised memory

       (behind each step: its line in test_failure_report.py)
 step  M1 writer                                     M2 other
    :  (4 steps)
    5  release memlock.key key=0 :_
    6> |                                             start m
    :  (2 steps)
    9  |                                             acquire memlock.key key=3 :_
   10> acquire memlock.key key=3 :_                 |
    :  (4 steps)
   15                                                acquire memlock.key key=3 :_

Free list (address+bytes):
  after step 15: 0x160000+0x2000
  at the end: 0x160000+0x2000  0x164000+0x1000
  violated: a free block is zero behind its header: runtime: value at addr 0x161000 with offset 4096
            in block 0x160000 of size 8192 is not zero

The nearest schedule that passes (2 decisions away):
  had M1 gone before M2 at step 9, this passes: M1's acquire memlock.key (step 10) before M2's
  acquire memlock.key (step 9)
   step  it fails                                  | step  it passes
      9  M2 acquire memlock.key key=3              |    9> M1 acquire memlock.key key=2
     10> M1 acquire memlock.key key=3              |   10  M1 release memlock.key key=0
  its token:

Replay it:
gorun-mem
"""


def test_without_the_program_the_free_list_is_left_out() -> None:
    """A failure whose program cannot be found again is reported all the same."""
    _, failure = found(use_after_free, QUEUED.but(mem_debug=True))
    about = {**failure.schedule.about, "function": "no_such_module:main"}
    lost = replace(failure, schedule=replace(failure.schedule, about=about))
    report = render(lost)
    assert "fatal error: mem: uninitialised memory" in report
    assert "Free list" not in report


async def long_lost_update(world: World, rounds: int = 40, ms: int = 9) -> None:
    cell = Cell("a_variable_with_quite_a_long_name_for_a_narrow_column")

    async def add(m: M) -> None:
        for _ in range(rounds):
            await cell.store(await cell.load() + 1)

    async with world.open_ms() as nursery:
        for _ in range(ms):
            nursery.start_soon(add, name="a_worker_with_a_long_name")
    if cell.value != rounds * ms:
        raise AssertionError("additions were lost: " + "some of them, that is, " * 40)


@pytest.mark.parametrize(
    "program", [lost_update, crossed, crossed_mutexes, use_after_free, long_lost_update]
)
def test_it_fits_one_screen(program: object) -> None:
    """45 lines of 100 columns, the token's lines included, however long the run and the names."""
    target = Target.of(program, QUEUED.but(mem_debug=True))  # type: ignore[arg-type]
    failure = plainest(target, runs=80)
    assert failure is not None
    lines = render(failure, target).splitlines()
    assert all(len(line) <= COLUMNS for line in lines if not TO_PASTE.search(line))
    assert (program is long_lost_update) == any(line.endswith("lines more") for line in lines)
    assert sum(max(1, -(-len(line) // COLUMNS)) for line in lines) <= LINES


def test_the_command_replays_the_failure() -> None:
    """The token in the last line leads to the same signature, also where names were left out."""
    for program in (lost_update, long_lost_update):
        target, failure = found(program)
        token = render(failure, target).rpartition("replay-schedule ")[2].split()[0]
        again = replay(target, Schedule.from_token(token))
        assert again.signature == failure.signature
        assert not again.divergence
