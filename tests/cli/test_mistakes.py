"""What the command line makes of a scenario's own mistakes."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from tests.cli.run_scripts import Command, write

FORGETS = '''
from gorun_mem import M, World, scenario


@scenario(ms=2)
async def bad(world: World) -> None:
    """Forgets to await."""

    async def worker(m: M) -> None:
        m.sys_alloc(65536)

    async with world.open_ms() as ms:
        ms.start_soon(worker)
'''

UNSPEAKABLE = '''
from gorun_mem import M, World, scenario


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@scenario(ms=1)
async def mute(world: World) -> None:
    """Ends with an exception that cannot be shown."""

    async def worker(m: M) -> None:
        await m.pause()
        raise Mute

    async with world.open_ms() as ms:
        ms.start_soon(worker)
'''

BUSY = '''
import time

from gorun_mem import World, scenario


@scenario()
async def busy(world: World) -> None:
    """Takes half a second."""
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
'''


@pytest.mark.parametrize("host", ["trio", "trampoline"])
def test_a_forgotten_await_ends_the_run(gorun_mem: Command, home: Path, host: str) -> None:
    """Exit 1, file and line, and a whole log; nothing of Python's warning is left."""
    path = write(home, FORGETS, "bad.py")
    said = gorun_mem("run", path, "--host", host, "--log", "a.jsonl")
    assert (said.code, said.err) == (1, "")
    assert (
        "M1: M.sys_alloc() was made at bad.py:10 and never awaited, so it did nothing" in said.out
    )
    end = json.loads(Path("a.jsonl").read_text().splitlines()[-1])
    assert (end["outcome"], end["error_type"]) == ("failed", "never_awaited")
    assert "bad.py:10" in gorun_mem("report", "a.jsonl").out


def test_a_search_fails_for_a_forgotten_await(gorun_mem: Command, home: Path) -> None:
    """It is exhausted by no means."""
    said = gorun_mem("explore", write(home, FORGETS, "bad.py"))
    assert said.code == 1
    assert "FAILED: never_awaited: M.sys_alloc() at bad.py:10" in said.out


@pytest.mark.parametrize("verb", ["run", "explore"])
def test_an_exception_that_cannot_be_shown_ends_the_run(
    gorun_mem: Command, home: Path, verb: str
) -> None:
    """As any other: exit 1, its type, a whole log."""
    said = gorun_mem(verb, write(home, UNSPEAKABLE, "mute.py"), "--log", "a.jsonl")
    assert (said.code, said.err) == (1, "")
    assert "M1: Mute: (its __str__ raised RuntimeError)" in said.out
    end = json.loads(Path("a.jsonl").read_text().splitlines()[-1])
    assert (end["outcome"], end["error_type"]) == ("failed", "Mute")


def test_a_script_that_cannot_say_why_it_does_not_run(gorun_mem: Command, home: Path) -> None:
    """A usage error like that of any other broken script."""
    script = UNSPEAKABLE.partition("@scenario(")[0] + "raise Mute\n"
    said = gorun_mem("run", write(home, script, "mute.py"))
    assert said.code == 2
    assert "does not run: Mute: (its __str__ raised RuntimeError), line 12" in said.err


@pytest.mark.parametrize(("verb", "failed"), [("run", 3), ("explore", 1)])
def test_how_long_an_m_may_run_is_an_option(
    gorun_mem: Command, home: Path, verb: str, failed: int
) -> None:
    """In seconds; 0 is for ever, and the help says what is usual."""
    path = write(home, BUSY, "busy.py")
    short = gorun_mem(verb, path, "--watchdog", "0.2")
    assert short.code == failed
    assert "M0 (busy) has run for 0.2 s without awaiting anything, at " in short.out
    assert "--watchdog SECONDS" in short.out
    assert gorun_mem(verb, path, "--watchdog", "0").code == 0
    assert gorun_mem(verb, path, "--watchdog", "-1").code == 2
    assert "[default: (5)" in " ".join(gorun_mem(verb, "--help").out.split())


def test_the_usual_limit_is_what_help_says() -> None:
    """5 seconds."""
    from gorun_mem.machine.watchdog import LIMIT_S

    assert LIMIT_S == 5


PROGRAMS = """
from gorun_mem import M, World, scenario


@scenario(ms=1)
async def wrong(world: World) -> None:
    'One M of a user who is new.'
    lock = world.mutex("mine")

    WORKER

    async with world.open_ms() as ms:
        ms.start_soon(STARTED)
"""
WORKERS = {
    "no async": (
        "def work(m: M) -> None:\n        pass", "work",
        "M1: TypeError: work is no async function: write `async def work`",
    ),
    "called": (
        "async def work(m: M) -> None:\n        await m.pause()", "work(None)",
        "TypeError: start_soon(work(...)): it is to be called here: write start_soon(work, ...)",
    ),
    "no await of lock": (
        "async def work(m: M) -> None:\n        m.lock(lock)", "work",
        "M1: M.lock() was made at wrong.py:11 and never awaited, so it did nothing: write `await`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("host", ["trio", "trampoline"])
@pytest.mark.parametrize("mistake", WORKERS)
def test_what_a_new_user_forgets(
    gorun_mem: Command, home: Path, mistake: str, host: str, recwarn: pytest.WarningsRecorder
) -> None:
    """Exit 1, the fact and what to write; no warning of Python's beside it."""
    worker, started, said = WORKERS[mistake]
    text = PROGRAMS.replace("WORKER", worker).replace("STARTED", started)
    found = gorun_mem("run", write(home, text, "wrong.py"), "--host", host)
    assert (found.code, found.err) == (1, "")
    assert said in " ".join(found.out.split())
    gc.collect()
    assert not recwarn.list


def test_an_m_that_ends_with_a_lock_is_named(gorun_mem: Command, home: Path) -> None:
    """The run ends well, for nobody waits; the report of the lock says who holds it."""
    worker = "async def work(m: M) -> None:\n        await m.lock(lock)"
    text = PROGRAMS.replace("WORKER", worker).replace("STARTED", "work")
    found = gorun_mem("run", write(home, text, "wrong.py"))
    assert found.code == 0
    assert "M1 holds it in work since 0" in found.out
