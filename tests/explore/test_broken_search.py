"""What the comparison with brute force is worth: searches that lack a rule are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.step.strategies import descent
from gorun_mem.step.strategies.exhaustive import Exhaustive
from gorun_mem.step.strategies.past import Past
from gorun_mem.step.strategies.wakeup import OrderedStep
from gorun_mem.sync import Word
from tests.explore.brute_force import compare, forced
from tests.explore.test_shared_tree import Scattered, course_of, shared


def _nothing(self: Any) -> None:
    """In place of what a broken search leaves out."""


def _the_last_only(races: Callable[..., list[int]]) -> Callable[..., list[int]]:
    return lambda self, *args: races(self, *args)[:1]


def _asleep_for_ever(self: Exhaustive, parent: Any) -> dict[int, Any]:
    return dict(parent.sleep)


def test_a_broken_search_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule of the search is needed, and few random programs show it.

    But for one, `_open_choices`, which is needed where the tree is shared out; see below.
    """
    programs = {seed: found for seed in range(250) if (found := forced(seed)) is not None}

    def wrong() -> Iterator[str]:
        return filter(None, (compare(seed, found) for seed, found in programs.items()))

    assert list(wrong()) == []
    broken: list[tuple[Any, str, Any]] = [
        (Exhaustive, "_hold_pending", _nothing),
        (Exhaustive, "_inherited_sleep", _asleep_for_ever),
        (Past, "_after", _the_last_only(Past._after)),
        (Past, "_could", lambda self, event, number: True),
        (OrderedStep, "__init__", _without_wakes),
    ]
    for where, name, instead in broken:
        with monkeypatch.context() as patched:
            patched.setattr(where, name, instead)
            assert any(wrong()), name
    with monkeypatch.context() as patched:
        patched.setattr(descent, "insert", lambda branches, sequence: None)
        assert len(list(wrong())) > 50


_init = OrderedStep.__init__


def _without_wakes(self: OrderedStep, *args: Any) -> None:
    """The clock of a step that knows of its own M only."""
    _init(self, *args)
    self.before = {m: seq for m, seq in self.before.items() if m == self.m}


def test_a_shared_tree_needs_to_open_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """An M adds whatever it draws but 0: that it is to go first is wanted for each of two values,
    by a part that may take the one wish for the other. In one piece each value is put in."""
    ends: set[Any] = set()

    async def main(world: World) -> None:
        word, seen = Word("x"), []

        async def adds(m: M) -> None:
            seen.append(("adds", await word.add(1)))

        async def draws(m: M) -> None:
            drawn = await m.choose(0, 1, 2)
            seen.append(("draws", drawn))
            if drawn:
                seen.append(("then adds", await word.add(1)))

        async with world.open_ms() as ms:
            ms.start_soon(adds)
            ms.start_soon(draws)
        ends.add(tuple(sorted(seen)))

    def seen_by(width: int) -> int:
        ends.clear()
        target = Target.of(main, Config(ms=2))
        shared(target, course_of(target, 1, width), Scattered(target, 3, Random(0), None))
        return len(ends)

    assert (seen_by(1), seen_by(30)) == (5, 5)
    monkeypatch.setattr(Exhaustive, "_open_choices", _nothing)
    assert (seen_by(1), seen_by(30)) == (5, 4)
