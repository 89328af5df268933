"""What a report says that matters: the signal, the value or the wait, not simply the last step."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
import trio.testing

from gorun_mem.explore import explore
from gorun_mem.explore.drive import replay
from gorun_mem.explore.failure import Failure
from gorun_mem.explore.kernels import KERNELS
from gorun_mem.explore.lanes import COLUMNS
from gorun_mem.explore.matters import MATTERS_MAX, what_matters
from gorun_mem.explore.report import LINES, render
from gorun_mem.explore.sights import Sights
from gorun_mem.explore.target import Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.runtime.mutex.futex_queue import FutexQueue
from gorun_mem.runtime.op import PARKED, MLike, Op
from gorun_mem.sync import Event, Lock, Word
from tests.explore.explore_programs import gives_up

NAMED = re.compile(r"M(\d+)'s ((?:(?!M\d+'s ).)+?) \(step (\d+)\)")


class Wait(Op):
    """Sleep on a word: at once, or only if it still holds what was seen."""

    kind = "futexsleep"
    obj = "ready"

    def __init__(self, word: Word, sleepers: FutexQueue, looks: bool) -> None:
        self.word, self.sleepers, self.looks, self.asleep = word, sleepers, looks, False

    def step(self, m: MLike) -> object:
        """Go to sleep; wake."""
        if self.asleep:
            return None
        value = self.word.value if self.looks else 0
        if not self.sleepers.sleep(m, value, 0):
            return None
        self.asleep = True
        return PARKED


class Wake(Op):
    """Wake whoever sleeps on the word."""

    kind = "futexwakeup"
    obj = "ready"

    def __init__(self, sleepers: FutexQueue) -> None:
        self.sleepers = sleepers

    def step(self, m: MLike) -> object:
        """Wake one."""
        return len(self.sleepers.wakeup(m, 1))


def waits_for_a_flag(looks: bool) -> Any:
    """An M looks at a flag and sleeps, another sets it and wakes it."""

    async def main(world: World) -> None:
        ready, sleepers = Word("ready", 0), FutexQueue()

        async def waiter(m: M) -> None:
            while not await ready.load():
                await Wait(ready, sleepers, looks)

        async def setter(m: M) -> None:
            await ready.store(1)
            await Wake(sleepers)

        async with world.open_ms() as ms:
            ms.start_soon(waiter)
            ms.start_soon(setter)

    return main


async def event_is_cleared(world: World) -> None:
    """What was set is cleared by the one that then waits for it."""
    event = Event("e")

    async def waiter(m: M) -> None:
        await event.clear()
        await event.wait()

    async def setter(m: M) -> None:
        await event.set()

    async with world.open_ms() as ms:
        ms.start_soon(waiter)
        ms.start_soon(setter)


async def stack(world: World) -> None:
    """A stack whose links are no operations: two pop, one pushes back what it popped first."""
    head = Word("head", "a")
    below = {"a": "b", "b": "c", "c": ""}
    owner: dict[str, int] = {}

    async def pop(m: M) -> str:
        while True:
            top = str(await head.load())
            if not top:
                return ""
            under = below[top]
            if await head.cas(top, under):
                assert top not in owner, f"{top} is popped twice"
                owner[top] = m.id
                return top

    async def one(m: M) -> None:
        await pop(m)
        await pop(m)

    async def two(m: M) -> None:
        first = await pop(m)
        await pop(m)
        if not first:
            return
        del owner[first]
        below[first] = str(await head.load())
        await head.cas(below[first], first)

    async with world.open_ms() as ms:
        ms.start_soon(one)
        ms.start_soon(two)


async def counted(world: World) -> None:
    """Compare-and-swaps that retry, and an assertion that has nothing to do with them."""
    n, seen = Word("n", 0), Word("seen", 0)

    async def add(m: M) -> None:
        while True:
            value = await n.load()
            if await n.cas(value, value + 1):
                break
        await seen.store(m.id)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert seen.value == 2, "M1 was last"


async def crossed_mutexes(world: World) -> None:
    """Two mutexes of the runtime in two orders."""

    async def take(m: M, first: str, then: str) -> None:
        await m.lock(world.mutex(first), f"take.{first}")
        await m.lock(world.mutex(then), f"take.{then}")
        await m.unlock(world.mutex(then))
        await m.unlock(world.mutex(first))

    async with world.open_ms() as ms:
        ms.start_soon(take, "p", "q")
        ms.start_soon(take, "q", "p")


async def leaked(world: World) -> None:
    """A lock that its holder keeps beyond its end."""
    lock = Lock("leaked")

    async def take(m: M) -> None:
        await lock.acquire()

    async with world.open_ms() as ms:
        ms.start_soon(take)
        ms.start_soon(take)


def found(target: Target, **settings: Any) -> tuple[Failure, list[str]]:
    """A failure, and what matters of it."""
    failure = explore(target, seed=1, budget=3_000, canary=False, **settings).failure
    assert failure is not None
    sights = Sights()
    assert replay(target, failure.schedule, detectors=[sights]).named_steps == failure.steps
    return failure, [matter.text for matter in what_matters(failure, sights)]


def step_in(sentence: str, failure: Failure) -> list[tuple[int, str]]:
    """The steps that a sentence names, each held against what was made."""
    named = [(int(m), name, int(n)) for m, name, n in NAMED.findall(sentence)]
    for m, name, n in named:
        step = failure.steps[n - 1]
        assert step.m == m
        assert name == step.name or name.startswith(f"{step.name} ")  # and what it came to
    return [(n, failure.steps[n - 1].name) for _, _, n in named]


# A signal that found nobody.


def test_the_signal_that_found_nobody_is_named() -> None:
    """Which M's wakeup, at which step, and who went to sleep after it at which."""
    failure, said = found(Target.of(waits_for_a_flag(looks=False)))
    assert failure.signature.kind == "deadlock"
    ((wake, name),) = step_in(said[0], failure)
    assert name == "futexwakeup ready"
    sleep = next(n for n, s in enumerate(failure.steps, 1) if s.kind == "futexsleep")
    assert sleep > wake
    assert said[0] == (
        f"M2's futexwakeup ready (step {wake}) finds nobody asleep; "
        f"M1 goes to sleep at step {sleep}, and nobody wakes it"
    )
    assert not any("last step" in sentence for sentence in said)
    assert explore(waits_for_a_flag(looks=True), strategy="dfs", canary=False).ok  # the twin


def test_a_signal_that_is_taken_back_is_named_with_what_did() -> None:
    """An event that is cleared, a note that is: the wakeup came, and was wiped out."""
    failure, said = found(Target.of(event_is_cleared))
    (_, name), (_, wiped) = step_in(said[0], failure)
    assert (name, wiped) == ("set e", "unset e")
    assert "finds nobody asleep, M1's unset e" in said[0]
    assert said[0].endswith("and nobody wakes it")
    failure, said = found(KERNELS["missed-note-wakeup"].target())
    (_, name), (_, wiped) = step_in(said[0], failure)
    assert (name, wiped) == ("atomic.cas note.key", "atomic.store note.key")


def test_a_signal_that_woke_another_is_named() -> None:
    """One of two is woken: whom, and whom not."""
    failure, said = found(KERNELS["wake-one"].target())
    ((_, name),) = step_in(said[0], failure)
    assert name == "cond.wake waiters"
    woken, left = re.findall(r"wakes M(\d), not M(\d);", said[0])[0]
    assert {woken, left} == {"2", "3"}
    assert [stuck.m for stuck in failure.stuck] == [int(left)]


@pytest.mark.parametrize("name", ["sleeping-stored", "unlock-skips-wake"])
def test_where_nobody_signals_that_is_said(name: str) -> None:
    """The wakeup was left out: the sleeper, and who changed the word last."""
    failure, said = found(KERNELS[name].target())
    assert "and no step signals what it waits for: the last to change it is M" in said[0]
    assert step_in(said[0], failure)


# A value that was seen twice.


def test_a_value_that_was_seen_twice_is_named() -> None:
    """The compare-and-swap, the look before it, who changed the value, what is out of date."""
    failure, said = found(KERNELS["free-list-aba"].target())
    (swap, name), (stale, changed) = step_in(said[0], failure)
    assert (name, changed) == ("atomic.cas head", "atomic.store a.next")
    assert "finds ('a', 0) as its atomic.load at step" in said[0]
    assert "changed it in between and back" in said[0]
    assert stale < swap < len(failure.steps)
    assert said[-1].startswith("M1's atomic.cas head = ('c', 0) (step 17) is the last step")


def test_so_is_one_that_guards_what_is_no_operation() -> None:
    """The links are the program's own; that head was changed and came back is seen all the same."""
    failure, said = found(Target.of(stack))
    assert failure.signature.kind == "AssertionError"
    (sentence,) = [one for one in said if "finds 'a' as its atomic.load" in one]
    (swap, name), *_ = step_in(sentence, failure)
    assert name == "atomic.cas head"
    first, last = map(int, re.findall(r"steps (\d+) to (\d+)", sentence)[0])
    assert first < last < swap


@pytest.mark.parametrize("program", [counted, gives_up])
def test_a_value_that_only_changed_is_not(program: Any) -> None:
    """Compare-and-swaps that failed and were tried again saw no value twice."""
    _, said = found(Target.of(program))
    assert not any("finds" in sentence for sentence in said)


# A wait that began a cycle.


@pytest.mark.parametrize("name", ["ab-ba", "lock-cycle"])
def test_the_wait_that_began_a_cycle_is_named(name: str) -> None:
    """Of the Ms of the cycle the one that was the first not to be able to go on, and the last."""
    failure, said = found(KERNELS[name].target())
    m, _, after = re.findall(r"^M(\d)'s wait to acquire (\w), after step (\d+), begins", said[0])[0]
    closes = re.findall(r"M(\d)'s wait to acquire \w, after step (\d+), closes it", said[0])[0]
    assert int(closes[1]) == len(failure.steps)
    assert m != closes[0]
    blocked = {
        stuck.m: max(n for n, s in enumerate(failure.steps, 1) if stuck.m in s.enabled)
        for stuck in failure.stuck
    }
    assert blocked[int(m)] == min(blocked.values()) == int(after)
    assert not any("last step" in sentence for sentence in said)
    assert not any("asleep" in sentence or "signals" in sentence for sentence in said)


def test_of_the_runtimes_mutexes_too() -> None:
    """There the wait is steps of its own, and begins with the first of them."""
    target = Target.of(crossed_mutexes, Config(ms=2, mutex="queue", platform="plan9/amd64"))
    failure, said = found(target)
    begins = r"^M(\d)'s wait to acquire (\w), from step (\d+) on, begins"
    ((m, lock, at),) = re.findall(begins, said[0])
    step = failure.steps[int(at) - 1]
    assert (step.m, step.obj) == (int(m), f"{lock}.key")
    assert "closes it" in said[0]


def test_an_m_that_waits_for_itself_is_no_other() -> None:
    """One M is the cycle."""
    _, said = found(KERNELS["self-deadlock"].target())
    assert re.match(
        r"M\d waits to acquire memlock after step \d+, and holds it itself since", said[0]
    )


def test_a_lock_that_is_kept_is_no_cycle() -> None:
    """Who holds it, since when, and that it is not given back."""
    _, said = found(Target.of(leaked))
    assert re.match(
        r"M(\d)'s acquire leaked \(step \d\) takes leaked, and M\1 has ended without giving it "
        r"back; M\d waits to acquire leaked after step \d",
        said[0],
    )
    assert "cycle" not in said[0]


# All of them.


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_step_named_is_the_step_that_was_made(name: str) -> None:
    """By each kernel's report, which still fits the screen."""
    from gorun_mem.explore.detectors import DEFAULT_DETECTORS

    target = KERNELS[name].target()
    eyes = [make for make in DEFAULT_DETECTORS if make.name == KERNELS[name].sees]  # type: ignore[attr-defined]
    failure, said = found(target, detectors=eyes)
    assert 1 <= len(said) <= MATTERS_MAX
    for sentence in said:
        step_in(sentence, failure)
    lines = render(failure, target).splitlines()
    assert sum(max(1, -(-len(line) // COLUMNS)) for line in lines) <= LINES
    shown = " ".join(" ".join(lines).split())
    assert all(sentence in shown for sentence in said)


# Programs of trio's.


async def two_woken_for_one() -> None:
    """Two tasks wait for one event, and there is one thing to take."""
    items, there = ["only"], trio.Event()

    async def take() -> None:
        await there.wait()
        items.pop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        there.set()


async def late_taker() -> None:
    """Two tasks of one function look, give way and take, which nobody sees."""
    items = ["only"]

    async def take() -> None:
        if items:
            await trio.lowlevel.checkpoint()
            items.pop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        nursery.start_soon(take)


def test_who_was_woken_and_who_went_before_it_are_named() -> None:
    """The step that woke the task that fails, and the other's at what it waited for."""
    failure, said = found(Target.of(two_woken_for_one))
    first, last = said
    (woke, by), (went, what) = step_in(first, failure)
    assert by == "trio.wait_all_tasks_blocked in two_woken_for_one"
    assert what == "Event.wait there"
    failed = failure.steps[-2]
    assert first.endswith(f"goes before M{failed.m} does (step {len(failure.steps) - 1})")
    assert woke < went < len(failure.steps) - 1
    assert f"M{failed.m}'s Event.wait there" in last


@pytest.mark.parametrize("program", [two_woken_for_one, late_taker])
def test_the_task_that_raises_is_named_rather_than_the_nursery(program: Any) -> None:
    """The nursery is where it shows."""
    _, said = found(Target.of(program))
    assert re.match(
        r"M[12]'s .* goes on to IndexError at test_what_matters.py:\d+$", said[-1]
    ), said  # fmt: skip


def test_a_place_in_the_program_is_no_object() -> None:
    """Tasks that stand in one function are not at one thing."""
    _, said = found(Target.of(late_taker))
    assert not any("comes between" in sentence for sentence in said)
