"""The recipes of CONTRIBUTING.md, followed: one made-up thing of each, in a copy of the package.

Each is one file, new or with one place changed, and nothing else names it; the command line finds
them all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import PACKAGE, ROOT

TAS = (PACKAGE / "runtime/mutex/base.py").read_text()

NEW_FILES = {
    "gorun_mem/runtime/mutex/tas.py": (
        "from gorun_mem.runtime.mutex.base import StateMutex\n"
        "from gorun_mem.runtime.mutex.machine import CPU, LockOp, UnlockOp, state\n"
        "from gorun_mem.runtime.op import MLike\n\n"
        + textwrap.dedent(TAS[TAS.index("    class TasLock") : TAS.index("\nA lock that is got")])
    ),
    "gorun_mem/step/strategies/highest.py": """
        from gorun_mem.step.strategies.entry import StrategyEntry
        from gorun_mem.step.strategies.searching import Searching
        from gorun_mem.step.strategies.seeded import Seeded


        class Highest(Seeded):
            name = "highest"

            def next_task(self, runnable, current):
                return max(runnable, key=lambda task: task.id)


        class HighestMostly(Searching):
            name = "highest"
            every_step = True

            def begin(self, random, profile):
                self._random = random
                return True

            def next_task(self, runnable, current):
                if self._random.random() < 0.25:
                    return self._random.choice(runnable)
                return max(runnable, key=lambda task: task.id)


        STRATEGY = StrategyEntry(
            about="the M with the highest id", source="", run=Highest, search=HighestMostly
        )
        """,
    "gorun_mem/explore/detectors/two_wait.py": '''
        from gorun_mem.explore.failure import Finding
        from gorun_mem.step.task import State


        class TwoWait:
            """Finds two Ms that have slept at once; kind "two.wait"."""

            name = "two_wait"
            usual = 500

            def begin(self, world):
                self._world, self._found = world, False

            def step(self, task, op, kind, obj, reads, result):
                parked = [one for one in self._world.engine.tasks if one.state is State.PARKED]
                self._found = self._found or len(parked) > 2

            def end(self, world):
                return (Finding("two.wait", "all", "", "two Ms sleep", ()),) if self._found else ()
        ''',
    "scenarios/two_sizes.py": '''
        """Two sizes by turns. In the log, look at freelist.take."""

        from typing import Annotated

        from gorun_mem import KiB, M, World, scenario


        @scenario(ms=2)
        async def two_sizes(world: World, *, rounds: Annotated[int, "calls of an M"] = 3) -> None:
            """Two sizes by turns: look at freelist.take."""

            async def worker(m: M) -> None:
                for number in range(rounds):
                    size = (64 if number % 2 else 128) * KiB
                    await m.sys_free(await m.sys_alloc(size), size)

            async with world.open_ms() as ms:
                for _ in range(world.ms):
                    ms.start_soon(worker)


        if __name__ == "__main__":
            two_sizes.main()
        ''',
    "gorun_mem/policies/worst_fit.py": '''
        from gorun_mem.policies.base import AddressOrdered


        class WorstFit(AddressOrdered):
            """The largest block."""

            def choose(self, size):
                self.steps += len(self.starts)
                at = max(range(len(self.starts)), key=lambda i: self.sizes[self.starts[i]],
                         default=-1)
                return at if at >= 0 and self.sizes[self.starts[at]] >= size else -1
        ''',
    "gorun_mem/explore/kernels/made_up.py": '''
        from gorun_mem.explore.kernels.entry import Kernel
        from gorun_mem.sync import Word


        async def _add_twice(world, fixed):
            count = Word("count")

            async def work(m):
                if fixed:
                    await count.add(1)
                else:
                    await count.store(await count.load() + 1)

            async with world.open_ms() as ms:
                ms.start_soon(work)
                ms.start_soon(work)
            if await count.load() != 2:
                raise AssertionError("one was lost")


        async def lost_count(world):
            """Both read before either writes."""
            await _add_twice(world, False)


        async def lost_count_fixed(world):
            """One step."""
            await _add_twice(world, True)


        KERNELS = (
            Kernel(
                27, "lost-count", lost_count, lost_count_fixed, shows="a count is lost",
                look_for="two loads in a row", source="folklore", kind="AssertionError",
            ),
        )
        ''',
    "gorun_mem/web/calls/greetings.py": '''
        from starlette.responses import Response

        from gorun_mem.web.openapi import endpoint


        @endpoint("GET", "/api/greeting", media="text/plain")
        async def greeting(site, request, body):
            """A greeting."""
            return Response("hello")
        ''',
}
"""File -> what it has."""

CHANGED = {
    "gorun_mem/runtime/behaviour.py": (
        "\n    27: Minor(",
        "\n    28: Minor(\n"
        "        behaviour=replace(_GO127, nil_free_is_noop=False),\n"
        "        newest_patch=0,\n"
        "        source_only=(),\n"
        "    ),",
    ),
    "gorun_mem/events/types.py": (
        "\nEVENT_TYPES: Final",
        '\n@event\nclass CacheMiss(LogEvent, frozen=True, gc=False, tag="cache.miss"):\n'
        '    """A cache had not what was asked for."""\n\n'
        '    addr: Annotated[int, address("what was asked for")]\n'
        '    size: Annotated[int, doc("its bytes")]\n\n',
    ),
}
"""File -> the text before which a piece is put, and the piece."""

ASKS = """
import io, json, sys
from contextlib import redirect_stdout
from gorun_mem.cli import main

def answer(*words):
    out = io.StringIO()
    with redirect_stdout(out):
        code = main(words)
    return code, out.getvalue()

answers = [answer(*words) for words in json.load(sys.stdin)]
from gorun_mem.events import MemorySink, Recorder
from gorun_mem.events.log import json_logger
sink = MemorySink()
Recorder(json_logger(sink)).report("cache.miss", 65536, 64)
from gorun_mem.web.calls import endpoints
answers.append((0, sink.data.decode() + " ".join(one.path for one in endpoints())))
json.dump(answers, sys.stdout)
"""

COMMANDS = {
    "run two_sizes --release go1.28 --json": '"again": "gorun-mem run two_sizes --release go1.28',
    "run two_sizes --ms 3 --strategy highest --mutex tas --policy worst_fit --log x.jsonl": "",
    "report x.jsonl": "two_sizes",
    "predict trees-go1.24.11": "go1.28",
    "verify tas": "state",
    "explore two_sizes --ms 4 --mutex queue --no-shrink --set rounds=1": "two.wait",
    "explore two_sizes --strategy highest --budget 20 --no-detectors": "20 ",
    "explore lessons/lost_count --no-shrink": "one was lost",
    "explore lessons/lost_count --set fixed=true": "exhausted",
    "explain mutexes": "  tas ",
    "explain highest": "the M with the highest id",
    "explain detectors": 'two_wait        Finds two Ms that have slept at once; kind "two.wait".',
    "explain policies": "The largest block.",
    "explain schema": "A cache had not what was asked for.",
    "scenarios": "two_sizes",
    "scenarios --lessons": "lessons/lost_count",
}
"""What is asked of the command line -> what it says."""


def followed(folder: Path) -> None:
    """A copy of the package in which each recipe was followed."""
    for name in ("gorun_mem", "scenarios"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in NEW_FILES.items():
        assert not (ROOT / name).exists()
        (folder / name).write_text(textwrap.dedent(text).lstrip())
    for name, (before, piece) in CHANGED.items():
        text = (folder / name).read_text()
        assert text.count(before) == 1, name
        (folder / name).write_text(text.replace(before, piece + before))


def test_each_recipe_is_one_file(tmp_path: Path) -> None:
    """A release, a lock, a strategy, a detector, a scenario, a policy, a kernel, an event and a
    call of the API, made up: the verbs find and use them."""
    pytest.importorskip("starlette")
    followed(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GORUN_MEM_HOME": str(tmp_path / "h")}
    done = subprocess.run(
        [sys.executable, "-c", ASKS], cwd=tmp_path, env=environment, capture_output=True, text=True,
        input=json.dumps([command.split() for command in COMMANDS]), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *answers, (_, rest) = json.loads(done.stdout)
    for (command, said), (_, output) in zip(COMMANDS.items(), answers, strict=True):
        assert said in output, f"{command}\n{output}\n{done.stderr}"
    assert '"event":"cache.miss"' in rest
    assert "/api/greeting" in rest
