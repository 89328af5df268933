"""Scenario scripts that the tests write, and runs of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests import ROOT

STORM = '''
from typing import Annotated

from gorun_mem import KiB, M, World, scenario
from gorun_mem.machine.scenario import Range


@scenario(ms=4)
async def storm(
    world: World, *, rounds: Annotated[int, "rounds of each M", Range(1)] = 20, label: str = "x"
) -> None:
    """Every M allocates, writes and frees. More."""

    async def worker(m: M) -> None:
        for _ in range(rounds):
            size = m.choice(64, 128, 192) * KiB
            addr = await m.sys_alloc(size)
            await m.store(addr, m.id)
            await m.sys_free(addr, size)
            await m.compute(m.randrange(4000))

    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.check()
    world.result("rounds in all", rounds * world.ms)
'''

LOST = '''
from gorun_mem import scenario
from gorun_mem.sync import Word


@scenario(ms=2)
async def lost(world):
    """May lose an update."""
    cell = Word("bloc")

    async def add(m):
        value = await cell.load()
        await cell.store(value + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert cell.value == 2, "an addition was lost"
'''

_FAILING = '''
from gorun_mem import Fault, M, Throw, World, scenario


@scenario(ms=1)
async def failing(world: World) -> None:
    """One M ends badly."""
    lock = world.mutex("mine")

    async def worker(m: M) -> None:
        await m.pause()
        WAY

    async with world.open_ms() as ms:
        ms.start_soon(worker)
'''

_WAYS = {
    "assertion": 'assert 1 + 1 == 3, "sums are wrong"',
    "throw": 'raise Throw("mem: unordered list", "memcheck printed this", addr=0x10000)',
    "fault": 'raise Fault(0x40000, "load beyond the end")',
    "deadlock": "[await m.lock(lock) for _ in range(2)]",
    "endless": "while True: await m.pause()",
    "stuck": "while True: pass",
}


def failing(way: str) -> str:
    """The text of a scenario that ends that way, in line 12."""
    return _FAILING.replace("WAY", _WAYS[way])


UNCONTROLLED = '''
import trio
from gorun_mem import M, World, scenario


@scenario(ms=1)
async def uncontrolled(world: World) -> None:
    """An M awaits trio."""

    async def worker(m: M) -> None:
        await trio.sleep(0)
        await m.pause()

    async with world.open_ms() as ms:
        ms.start_soon(worker)
'''

LONG_S = 60
"""No command of these tests takes longer."""


def write(folder: Path, text: str, name: str = "storm.py") -> str:
    """The path of a script with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return os.fspath(path)


def environment(home: Path) -> dict[str, str]:
    """That of a command whose logs go to `home`."""
    return os.environ | {"PYTHONPATH": os.fspath(ROOT), "GORUN_MEM_HOME": os.fspath(home)}


def start(home: Path, *args: str) -> subprocess.Popen[str]:
    """A command that goes on while the test does."""
    return subprocess.Popen(
        [sys.executable, "-m", "gorun_mem", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home), cwd=home,
    )  # fmt: skip


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The events of a plain log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its JSON document, and that stdout holds nothing else."""
        return json.loads(self.out)


Command = Callable[..., Said]
