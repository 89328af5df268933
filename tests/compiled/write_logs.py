"""Runs some commands in this process, their logs in the current folder; run by `test_same_log`."""

from __future__ import annotations

import sys
from pathlib import Path

from gorun_mem import cli

ASSERTS = """
from gorun_mem import KiB, scenario

@scenario(ms=3)
async def asserts(world):
    "Fails where memory is handed out high up, which it is in the end."
    async def worker(m):
        for _ in range(20):
            assert await m.sys_alloc(m.choice(4, 64) * KiB) < 2 << 20, f"M{m.id} went too far"
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
"""

FORGETS = """
from gorun_mem import scenario

@scenario(ms=3)
async def forgets(world):
    "Forgets to await an unlock."
    async def worker(m):
        await m.lock(world.memlock)
        m.unlock(world.memlock)
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
"""

COMMANDS = (
    "run memlock_storm --ms 6 --set rounds=8 --seed 3 --host trampoline",
    "run memlock_storm --ms 3 --set rounds=4 --strategy random --mutex sema --host trio",
    "run arena_at_break",
    "run asserts.py",
    "run forgets.py",
    "explore asserts.py --budget 20 --no-shrink",
    "explore leaked_lock --ms 2 --budget 40",
)


def main() -> None:
    """Write them, and say how each command ended."""
    Path("asserts.py").write_text(ASSERTS)
    Path("forgets.py").write_text(FORGETS)
    for number, command in enumerate(COMMANDS):
        code = cli.main([*command.split(), "--log", f"{number}.jsonl"])
        sys.stderr.write(f"{command}: {code}\n")


main()
