"""The programs that searches of async loops are measured on, and who measures them."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest
import trio

from gorun_mem.bench.asyncio_peers import (
    PEERS,
    PLAIN,
    PROGRAMS,
    Searched,
    SmallProgram,
    many,
    of_asyncio,
)
from gorun_mem.bench.loops import _by_us, of_trio, rows
from gorun_mem.bench.peers import VERSIONS, Peers, python_for_peers
from gorun_mem.explore import explore


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_has_a_bug_that_shows_in_some_order_only(name: str) -> None:
    """And over asyncio it is the same program: what it awaits is there."""
    program = PROGRAMS[name]
    assert _by_us(program, 200).failed
    found = explore(of_trio(program), strategy="exhaustive", failures_max=100, shrink=False)
    assert found.statistics.schedules > 1
    coro = of_asyncio(program)()
    coro.close()


def test_the_program_without_a_bug_runs_anywhere() -> None:
    """Under trio, under asyncio, and in every order that is tried."""
    trio.run(of_trio(PLAIN))
    asyncio.run(of_asyncio(PLAIN)())
    done = _by_us(PLAIN, 50)
    assert (done.failed, done.runs) == (False, 50)


def test_a_search_that_ends_early_is_begun_again() -> None:
    """So that a rate counts the schedules that were run."""
    asked: list[int] = []

    def drive(program: SmallProgram, count: int) -> Searched:
        asked.append(count)
        return Searched(True, 3)

    many(drive, PLAIN, 8)
    assert asked == [8, 5, 2]


def test_the_rows_say_what_was_measured(tmp_path: Path) -> None:
    """The rate with its target, and the bugs; of who is not installed, why."""
    with Peers(install=False, folder=tmp_path / "none") as peers:
        measured = rows(peers, quick=True)
    assert peers.missing == dict.fromkeys(VERSIONS, "not installed, which is done without --quick")
    rate, bugs = measured
    assert rate.unit == "schedules/s"
    assert rate.target == "at least 3,000"
    assert rate.figure > 300  # whatever else the machine does
    assert (bugs.figure, bugs.ok) == (len(PROGRAMS), True)


def test_every_peer_has_a_version() -> None:
    """The one that the programs were tried with."""
    assert set(VERSIONS) == set(PEERS)


SIMLOOM = """
class Done:
    runs, failures = 7, ["one"]

def explore(main, runs):
    print("noise")
    if runs == 1:
        raise RuntimeError("a fault of its own")
    return Done()
"""


def test_a_peer_answers_from_an_environment_of_its_own(tmp_path: Path) -> None:
    """What it prints is no answer, its faults end nothing; one that pip cannot have is named."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\n[ "$2" = pip ] && {{ echo no such thing >&2; exit 1; }}\n'
        f'[ "$1" = -I ] && shift\nPYTHONPATH={tmp_path}/lib/python3/site-packages '
        f'exec {sys.executable} -S "$@"\n'
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    site = tmp_path / "lib" / "python3" / "site-packages"
    known = site / f"simloom-{VERSIONS['simloom']}.dist-info"
    known.mkdir(parents=True)
    (known / "METADATA").write_text(f"Name: simloom\nVersion: {VERSIONS['simloom']}\n")
    (site / "simloom.py").write_text(SIMLOOM)
    with Peers(install=True, folder=tmp_path) as peers:
        (peer,) = peers.running
        assert peer.label.startswith(f"asyncio under simloom {VERSIONS['simloom']}, Python 3.")
        assert peer.ask(tasks=2, checkpoints=1, count=1) is None
        assert peer.best(2, 1) is None
        peer.measure(2, 1, 14)
        assert peer.best(2, 1) is not None
        assert peer.ask(budget=20) == {"missed": [], "false_alarm": True}
    assert peers.missing["detangle"] == "cannot be installed: no such thing"


@pytest.mark.installs
@pytest.mark.skipif(python_for_peers() is None, reason="there is no Python that they run on")
def test_the_real_ones_are_installed_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is measured, or named with what pip says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CACHE_DIR", os.environ.get("PIP_CACHE_DIR", str(tmp_path)))
    with Peers(install=True) as peers:
        measured = rows(peers, quick=True)
        assert {peer.name for peer in peers.running} | set(peers.missing) == set(VERSIONS)
        assert sum(row.ratio is not None for row in measured) == len(peers.running)
    for reason in peers.missing.values():
        assert reason.startswith("cannot be installed: ")
