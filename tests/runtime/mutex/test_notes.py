"""One-time notifications, and the semaphores and futex words under them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.errors import Deadlock, Fault, Throw
from gorun_mem.runtime.mutex import NOTES, make_note
from gorun_mem.runtime.mutex.note import Note
from gorun_mem.runtime.mutex.semaphore import sema_timeout_ns
from gorun_mem.runtime.op import Op
from gorun_mem.step.solo import SoloM, solo
from tests.runtime.mutex.hand_driven import Hand, HandM

MS = 1_000_000


def schedules(
    note: Callable[[], Note], *ops: Callable[[Note], Op]
) -> Iterator[tuple[list[HandM], Note]]:
    """Run one operation on each of several Ms in every order, a timer being one who may go."""
    todo: list[list[int]] = [[]]
    while todo:
        prefix = todo.pop()
        hand, made = Hand(), note()
        ms = [HandM(i + 1, hand).begin(op(made)) for i, op in enumerate(ops)]
        for position in range(200):
            able = [m.id for m in ms if m.op is not None and not m.parked]
            able += [-m for m in hand.timers]
            if not able:
                yield ms, made
                break
            if position == len(prefix):
                todo.extend([*prefix, other] for other in able[1:])
                prefix.append(able[0])
            go = prefix[position]
            if go > 0:
                ms[go - 1].step()
            else:
                hand.clock_ns = hand.timers[-go]
                hand.unpark(ms[-go - 1])
        else:
            raise AssertionError("no end")


@pytest.mark.parametrize("flavour", ["sema", "futex"])
def test_sleeper_is_woken_in_every_order(flavour: str) -> None:
    """A sleep and a wakeup meet in every order, and the sleep always ends."""
    count = 0
    for ms, note in schedules(
        lambda: make_note(flavour), lambda n: n.sleep(), lambda n: n.wakeup()
    ):
        count += 1
        assert [m.op for m in ms] == [None, None]
        assert (note.key, ms[0].go.waitsema, ms[0].go.blocked) == (1, 0, False)
    assert count >= 3


@pytest.mark.parametrize("flavour", ["sema", "futex"])
def test_timed_sleep_in_every_order(flavour: str) -> None:
    """With a time limit the sleep ends too; it returns True iff the note is taken for woken.

    No wakeup is left over in the semaphore: the next sleep of that M would end at once.
    """
    results = set()
    for ms, note in schedules(
        lambda: make_note(flavour), lambda n: n.tsleep(5 * MS), lambda n: n.wakeup()
    ):
        assert [m.op for m in ms] == [None, None]
        assert (note.key, ms[0].go.waitsema) == (1, 0)
        results.add(ms[0].result)
    assert results == {True, False}


@pytest.mark.parametrize("flavour", ["sema", "futex"])
def test_lone_sleeper(flavour: str) -> None:
    """Alone: a timed sleep gives up at its deadline, one without a limit deadlocks."""

    async def sleep(note: Note, ns: int) -> object:
        return await note.tsleep(ns)

    m, note = SoloM(), make_note(flavour)
    assert solo(sleep(note, 7 * MS), m) is False
    assert (m.sched.now_ns, note.key, m.go.blocked) == (7 * MS, 0, False)
    with pytest.raises(Deadlock):
        solo(sleep(note, -1), m)


async def wake(note: Note, clear: bool = False) -> None:
    if clear:
        await note.clear()
    await note.wakeup()


def test_early_wakeup_on_js_dies() -> None:
    """On js notewakeup marks the note and makes ready the goroutine that sleeps on it, and nobody
    can sleep there: a nil g, a fault, for each cleared note. A second wakeup throws before that."""
    note, m = make_note("js"), SoloM()
    for clear in (False, True):
        with pytest.raises(Fault, match=r"^fault 0$") as died:
            solo(wake(note, clear), m)
        assert (note.key, "goready of a nil g" in died.value.detail) == (1, True)
        with pytest.raises(Throw, match=r"^throw notewakeup - double wakeup$") as caught:
            solo(wake(note), m)
        assert caught.value.printed == ()


@pytest.mark.parametrize("flavour", [name for name in NOTES if name != "js"])
def test_double_wakeup_throws_until_cleared(flavour: str) -> None:
    """Waking twice throws Go's text; after noteclear it may be woken again."""
    note, m = make_note(flavour), SoloM()
    solo(wake(note), m)
    with pytest.raises(Throw, match=r"^throw notewakeup - double wakeup$") as caught:
        solo(wake(note), m)
    printed = ("notewakeup - double wakeup (1)",) if flavour in ("futex", "wasip1") else ()
    assert caught.value.printed == printed
    solo(wake(note, clear=True), m)


@pytest.mark.parametrize(("flavour", "name"), [("js", "js"), ("wasip1", "wasi")])
def test_one_m_platforms_cannot_sleep(flavour: str, name: str) -> None:
    """notesleep and notetsleep throw on wasm."""

    async def call(op: Op) -> None:
        await op

    note = make_note(flavour)
    with pytest.raises(Throw, match=f"^throw notesleep not supported by {name}$"):
        solo(call(note.sleep()), SoloM())
    with pytest.raises(Throw, match=f"^throw notetsleep not supported by {name}$"):
        solo(call(note.tsleep(1)), SoloM())


@pytest.mark.parametrize("call", ["sleep", "tsleep"])
def test_two_sleepers_are_out_of_sync(call: str) -> None:
    """Only one M may sleep on a semaphore note: the second throws."""
    hand, note = Hand(), make_note("sema")
    HandM(1, hand).run(note.sleep())
    second = HandM(2, hand).begin(note.sleep() if call == "sleep" else note.tsleep(MS))
    second.step()
    with pytest.raises(Throw, match=f"^throw note{call} - waitm out of sync$"):
        second.step()


@pytest.mark.parametrize("call", ["sleep", "tsleep"])
def test_sema_sleep_reads_the_key_twice(call: str) -> None:
    """Whether it was the wakeup that made its compare-and-swap fail, notesleep finds out by reading
    the key once more: by then the note may have been cleared, and the sleep throws."""
    hand, note = Hand(), make_note("sema")
    for clear in (False, True):
        HandM(1, hand).run(note.wakeup())
        late = HandM(2, hand).begin(note.sleep() if call == "sleep" else note.tsleep(MS)).step()
        if clear:
            HandM(3, hand).run(note.clear())
            with pytest.raises(Throw, match=f"^throw note{call} - waitm out of sync$"):
                late.step()
        else:
            late.step()
            assert (late.op, late.result) == (None, None if call == "sleep" else True)
            HandM(3, hand).run(note.clear())
        assert late.kinds == [("atomic.cas", "note.key"), ("atomic.load", "note.key")]


def test_semaphore_time_is_whole_ms() -> None:
    """tsemacquire takes ms: rounded down, 1 at least; too much is cut to 1.25 and wraps after."""
    assert [sema_timeout_ns(ns, True) for ns in (0, 1, MS, 2 * MS + 999_999)] == [
        MS, MS, MS, 2 * MS,
    ]  # fmt: skip
    huge = (2**31 + 5) * MS
    assert sema_timeout_ns(huge, release("go1.25").behaviour.semasleep_wraps) == (2**31 - 1) * MS
    assert sema_timeout_ns(huge, release("go1.26").behaviour.semasleep_wraps) == (-(2**31) + 5) * MS


def test_unknown_flavour_names_the_nearest() -> None:
    """A misspelt flavour is answered with the nearest."""
    with pytest.raises(ValueError, match=r"no note flavour 'semma': did you mean sema\?"):
        make_note("semma")
