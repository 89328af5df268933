"""`gorun-mem bench host`: what it costs to go from one M to another, and to start.

A switch on the trio host is beside trio's own least switch: two tasks that reschedule each other
through `trio.lowlevel`. Both do one reschedule and one park a switch; ours has the operation, the
engine's step and the gate besides. The trampoline's switch resumes a coroutine and makes a step.

"Logging off" runs allocations and frees without a recorder, beside the same run with the statements
that report taken out of the layer's source (`if self._sink is not None` and what hangs on it): the
difference is what a log costs that nobody asked for.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from gorun_mem.bench import Row, best_of

SWITCHES = 4000


def run(*, quick: bool) -> list[Row]:
    """Switches on both hosts, start-up, and what logging costs when it is off."""
    count, rounds = (SWITCHES // 8, 3) if quick else (SWITCHES, 7)
    ours, bare, hop = best_of(rounds, count, _trio_host, _bare_trio, _trampoline)
    rows = [
        Row(
            name="switch between Ms, trio host",
            figure=ours * 1e6,
            unit="us/switch",
            peer="bare trio reschedule",
            peer_figure=bare * 1e6,
            ratio=bare / ours,
            target="at most 1.3 times the peer",
            ok=ours <= 1.3 * bare,
        ),
        Row(
            name="switch between Ms, trampoline",
            figure=hop * 1e6,
            unit="us/switch",
            peer="the trio host",
            peer_figure=ours * 1e6,
            ratio=ours / hop,
        ),
    ]
    rows.append(_logging_off(rounds, 40 if quick else 200))
    rows.append(_help(3 if quick else 7))
    return rows


def _ping_pong(count: int) -> Any:
    """Two Ms in turn, `count` switches."""
    from gorun_mem import Op, scenario

    class Turn(Op):
        __slots__ = ()
        kind = "turn"
        obj = "nothing"

        def step(self, m: Any) -> object:
            return None

    turn = Turn()

    @scenario(ms=2, strategy="round_robin")
    async def ping_pong(world: Any) -> None:
        async def worker(m: Any) -> None:
            for _ in range(count // 2):
                await turn

        async with world.open_ms() as ms:
            ms.start_soon(worker)
            ms.start_soon(worker)

    return ping_pong


def _trio_host(count: int) -> None:
    from gorun_mem import run as run_scenario

    found = _ping_pong(count)
    run_scenario(found, found.config(), host="trio", watch_s=0)


def _trampoline(count: int) -> None:
    from gorun_mem import run as run_scenario

    found = _ping_pong(count)
    run_scenario(found, found.config(), host="trampoline", watch_s=0)


def _bare_trio(count: int) -> None:
    """Two tasks that reschedule each other."""
    import trio

    async def main() -> None:
        parked: list[trio.lowlevel.Task] = []

        def abort(raise_cancel: Any) -> trio.lowlevel.Abort:
            return trio.lowlevel.Abort.SUCCEEDED

        async def worker() -> None:
            for _ in range(count // 2):
                if parked:
                    trio.lowlevel.reschedule(parked.pop())
                parked.append(trio.lowlevel.current_task())
                await trio.lowlevel.wait_task_rescheduled(abort)
            if parked:
                trio.lowlevel.reschedule(parked.pop())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            nursery.start_soon(worker)

    trio.run(main)


def _logging_off(rounds: int, storm_rounds: int) -> Row:
    """A storm with the sinks unset, beside the same storm with the reports compiled away."""
    from gorun_mem import Config, World
    from gorun_mem.machine.trampoline import drive

    stripped_calls = _without_reports()

    def storm(watched: bool) -> None:
        world = World(Config(ms=1, mutex="queue", platform="plan9/amd64", faithful=True))
        world.runtime.os.charge = None
        if not watched:
            for name, call in stripped_calls.items():
                setattr(world.runtime.os, name, call.__get__(world.runtime.os))

        async def worker(m: Any) -> None:
            for _ in range(storm_rounds):
                addr = await m.sys_alloc_os(1 << 16)
                await m.sys_free_os(addr, 1 << 16)

        async def main() -> None:
            async with world.open_ms() as ms:
                ms.start_soon(worker)

        drive(world.driver, main())

    off, stripped = best_of(rounds, storm_rounds, lambda n: storm(True), lambda n: storm(False))
    overhead = off / stripped - 1
    return Row(
        name="a call with logging off",
        figure=off * 1e6,
        unit="us/round",
        peer="the same without the tests for a log",
        peer_figure=stripped * 1e6,
        ratio=stripped / off,
        target="at most 5 % more",
        ok=overhead <= 0.05,
    )


def _without_reports() -> dict[str, Any]:
    """The layer's calls without the statements that report, as a compiler would leave them."""
    import inspect
    import textwrap

    from gorun_mem.runtime import mem_sbrk

    calls: dict[str, Any] = {}
    for name in ("sys_alloc_os", "sys_free_os"):
        source = textwrap.dedent(inspect.getsource(getattr(mem_sbrk.SbrkLayer, name)))
        kept, skipping = [], -1
        for line in source.splitlines():
            depth = len(line) - len(line.lstrip())
            if skipping >= 0 and line.strip() and depth > skipping:
                continue
            skipping = -1
            if line.strip() in ("if self._sink is not None:", "if self._watched:"):
                skipping = depth
            else:
                kept.append(line)
        exec("\n".join(kept), vars(mem_sbrk), calls)
    return {name: calls[name] for name in ("sys_alloc_os", "sys_free_os")}


def _help(rounds: int) -> Row:
    """`gorun-mem --help` in a process of its own, beside a Python that does nothing."""
    ours = min(_seconds("-m", "gorun_mem", "--help") for _ in range(rounds))
    bare = min(_seconds("-c", "pass") for _ in range(rounds))
    return Row(
        name="gorun-mem --help",
        figure=ours,
        unit="s",
        peer="python -c pass",
        peer_figure=bare,
        ratio=bare / ours,
        target="under 0.25 s",
        ok=ours < 0.25,
    )


def _seconds(*arguments: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin
