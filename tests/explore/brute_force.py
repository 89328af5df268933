"""Every interleaving of a small program, and programs by chance: what a search is held against.

Nothing here knows of the search under test: its own tree walk, its own notion of what depends on
what, its own names for Ms. Two interleavings are of one class (of Mazurkiewicz) iff each M makes
the same steps, with the same values drawn, and on each object the steps that depend on one another
come in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.drive import run_once
from gorun_mem.explore.failure import Detector
from gorun_mem.explore.target import Target
from gorun_mem.explore.worker import Worker
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.sync import Event, Lock, NotifyList, Word

Main = Callable[[World], Coroutine[Any, Any, None]]
Plan = tuple[Any, ...]
"""What an M does: operations, each a tuple of its name and what it is made with."""

MOST, MOST_OF_LARGE = 80, 1_000
"""Interleavings of a program by chance at most; the others are left out."""

ALONE = frozenset({
    "start", "choice", "yield", "join", "compute", "sleep", "procyield", "osyield", "resume",
})  # fmt: skip
"""Steps that no other M can see."""


class Notes:
    """A detector that notes the class and the end of each run.

    Attributes:
        classes: how often each class was run to its end.
        ends: (class, how it ended).
    """

    name = "notes"

    def __init__(self, classes: Counter[Any], ends: set[Any]) -> None:
        self.classes = classes
        self.ends = ends

    def begin(self, world: World) -> None:
        self._of_m: dict[Any, list[Any]] = {}
        self._on: dict[str, list[Any]] = {}
        self._names: dict[int, Any] = {0: ()}
        self._children: Counter[Any] = Counter()
        self._world = world

    def _name(self, m: Any) -> Any:
        """An M's name: whose it is, and as which of his; numbers go by the order of starting."""
        for task in self._world.engine.tasks[len(self._names) :]:
            starter = self._names[task.starter]
            self._names[task.id] = (*starter, self._children[starter])
            self._children[starter] += 1
        return self._names[m.id]

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        name = self._name(task)
        self._of_m.setdefault(name, []).append((kind, obj))
        if kind in ALONE:
            return
        if kind.startswith("chan."):
            obj = "channels"  # a select may hang on several, so their order matters
        self._note_on(obj, name, reads)

    def _note_on(self, obj: str, name: Any, reads: bool) -> None:
        """A step on `obj`, whose order with others on it matters."""
        order = self._on.setdefault(obj, [])
        if not reads:
            order.append(name)
        elif order and isinstance(order[-1], Counter):
            order[-1][name] += 1
        else:
            order.append(Counter([name]))

    def _orders(self, order: list[Any]) -> Any:
        """What matters of the order of the steps on an object."""
        return tuple(map(_settled, order))

    def end(self, world: World) -> tuple[()]:
        of_m = sorted((name, tuple(steps)) for name, steps in self._of_m.items())
        on = sorted((obj, self._orders(order)) for obj, order in self._on.items())
        results: Any = world.results
        key = (tuple(of_m), tuple(on), tuple(sorted(results.get("drawn", ()))))
        self.classes[key] += 1
        end = tuple(sorted(results.get("end", ()), key=repr))
        self.ends.add((key, type(world.failure).__name__, end))
        return ()


def _settled(group: Any) -> Any:
    """The readers between two writers in an order of their own; a writer as it is."""
    return tuple(sorted(group.items())) if isinstance(group, Counter) else group


class Everything:
    """A strategy that takes every choice there is, in one run after another.

    An M that is about to begin begins at once, for its first step is nobody else's business.
    """

    name = "everything"
    every_step = True

    def __init__(self, eager: bool = True) -> None:
        self.tape: list[list[int]] = []
        self._at = 0
        self._eager = eager
        self._yielder = 0
        self._yields = 0

    def next_run(self) -> bool:
        self._at = self._yields = 0
        if not self.tape:
            return True
        while self.tape and self.tape[-1][0] + 1 == self.tape[-1][1]:
            self.tape.pop()
        if self.tape:
            self.tape[-1][0] += 1
        return bool(self.tape)

    def choice(self, n: int) -> int:
        if self._at == len(self.tape):
            self.tape.append([0, n])
        value, count = self.tape[self._at]
        assert count == n
        self._at += 1
        return value

    def next_task(self, runnable: Sequence[Any], current: Any) -> Any:
        able = sorted(runnable, key=lambda task: task.id)
        if self._eager:
            for task in able:
                if task.op.kind == "start":
                    return task
        if len(able) > 1 and self._yields >= 2:
            able = [task for task in able if task.id != self._yielder]
        task = able[self.choice(len(able))] if len(able) > 1 else able[0]
        if task.op.kind == "yield":
            self._yields = self._yields + 1 if self._yielder == task.id else 1
            self._yielder = task.id
        elif self._yielder != task.id:
            self._yields = 0
        return task


class TooMany(Exception):
    """There are more interleavings than were to be run."""


def every_run(
    target: Target, everything: Everything, most: int, detectors: Sequence[Detector] = ()
) -> int:
    """Run every interleaving of a program, each looked at; how many there are.

    Raises:
        TooMany: there are more than `most`.
    """
    count = 0
    while everything.next_run():
        count += 1
        if count > most:
            raise TooMany
        run_once(target, everything, detectors=detectors).world.driver.dissolve()
    return count


def every_class(target: Target, detector: Detector, runs: int | None = None) -> Batch:
    """What the exhaustive search makes of a program, each run looked at; of so many at most."""
    worker = Worker(target, [lambda: detector], steps_max=2_000, failures_max=1 << 30)
    return worker.tree("exhaustive", runs=runs)


def brute_force(
    main: Main, most: int = 1 << 30, eager: bool = True
) -> tuple[int, Counter[Any], set[Any]]:
    """Run every interleaving.

    Returns:
        How many there are, the classes, and how they ended.

    Raises:
        TooMany: there are more than `most`.
    """
    target = Target.of(main, Config(ms=2, mutex="queue"))
    notes = Notes(Counter(), set())
    count = every_run(target, Everything(eager), most, [notes])
    return count, notes.classes, notes.ends


def search(main: Main) -> tuple[Batch, Counter[Any], set[Any]]:
    """What the exhaustive search makes of a program."""
    notes = Notes(Counter(), set())
    target = Target.of(main, Config(ms=2, mutex="queue"))
    return every_class(target, notes), notes.classes, notes.ends


class Shared:
    """What the Ms of a program share."""

    def __init__(self) -> None:
        self.cells = [Word("x"), Word("y")]
        self.locks = [Lock("K"), Lock("L")]
        self.events = [Event("E"), Event("F")]
        self.waiters = NotifyList("C")
        self.seen: list[Any] = []
        self.drawn: list[Any] = []


async def follow(world: World, m: M, name: tuple[int, ...], plan: Plan, shared: Shared) -> None:
    """Do what `plan` says as the M of this name; what was read is noted."""
    last: Any = 0
    children = 0
    for number, (kind, *args) in enumerate(plan):
        if kind == "load":
            last = await shared.cells[args[0]].load()
        elif kind == "store":
            await shared.cells[args[0]].store(args[1])
        elif kind == "copy":
            await shared.cells[args[0]].store(last)
        elif kind == "add":
            last = await shared.cells[args[0]].add(args[1])
        elif kind == "cas":
            last = int(await shared.cells[args[0]].cas(args[1], args[2]))
        elif kind == "if":
            wanted, then, otherwise = args
            branch = then if last == wanted else otherwise
            await follow(world, m, (*name, -1 - number), branch, shared)
        elif kind == "lock":
            await shared.locks[args[0]].acquire()
        elif kind == "unlock":
            await shared.locks[args[0]].release()
        elif kind == "try":
            last = int(await shared.locks[args[0]].try_acquire())
            if last:
                await follow(world, m, (*name, -1 - number), args[1], shared)
        elif kind == "set":
            await shared.events[args[0]].set()
        elif kind == "clear":
            await shared.events[args[0]].clear()
        elif kind == "wait":
            await shared.events[args[0]].wait()
        elif kind == "sleep":
            ticket = await shared.waiters.add()
            await shared.waiters.sleep(ticket)
        elif kind == "wake":
            await shared.waiters.wake(args[0])
        elif kind == "choose":
            last = await m.choose(*range(args[0]))
        elif kind == "draw":
            last = m.randrange(args[0])
        elif kind == "yield":
            await m.pause()
        else:
            assert kind == "start"
            plans, after = args
            async with world.open_ms() as ms:
                for child in plans:
                    child_name = (*name, children)
                    ms.start_soon(_child, world, child_name, child, shared)
                    children += 1
                await follow(world, m, (*name, -1 - number), after, shared)
        if kind in ("load", "add", "cas", "try"):
            shared.seen.append((name, number, last))
        elif kind in ("choose", "draw"):
            shared.drawn.append((name, number, last))


async def _child(m: M, world: World, name: tuple[int, ...], plan: Plan, shared: Shared) -> None:
    await follow(world, m, name, plan, shared)


def main_of(plans: Sequence[Plan], own: Plan = ()) -> Main:
    """A program whose Ms follow `plans`, while M 0 does what `own` says."""

    async def main(world: World) -> None:
        shared = Shared()
        results: Any = world.results
        results["end"], results["drawn"] = shared.seen, shared.drawn
        await follow(world, world.main, (), (("start", tuple(plans), own),), shared)
        shared.seen += [((), cell.name, cell.value) for cell in shared.cells]

    return main


PLAIN = ("load", "load", "store", "add", "copy", "cas")
LOCKING = ("lock", "lock", "lock", "try")
WAITING = ("set", "wait", "wait", "clear", "sleep", "wake")
OTHER = ("choose", "draw", "start", "if", "if", "yield")


def draw_plan(random: Random, size: int, words: int, depth: int = 0) -> Plan:
    """Some `size` operations by chance.

    Args:
        random: draws.
        size: how many, counting those inside of others.
        words: how many of the variables, locks and events are used.
        depth: how far the plan is inside of others.
    """
    ops: list[Any] = []
    left = size
    flavour = random.choice((PLAIN, PLAIN + LOCKING, PLAIN + WAITING, PLAIN + LOCKING + WAITING))
    kinds = flavour + (OTHER if random.random() < 0.4 else ())
    while left > 0:
        kind = random.choice(kinds)
        on = random.randrange(words)
        left -= 1
        if kind in ("store", "add"):
            ops.append((kind, on, random.choice((1, 2))))
        elif kind == "cas":
            ops.append((kind, on, random.choice((0, 1)), random.choice((1, 2))))
        elif kind in ("wake", "choose", "draw"):
            ops.append((kind, 2 if kind != "wake" else random.choice((1, 2))))
        elif kind in ("lock", "try"):
            inner_size = random.randint(0, max(left - 1, 0))
            inner = draw_plan(random, inner_size, words, depth + 1) if inner_size else ()
            left -= inner_size + 1
            back = (("unlock", on),) if random.random() < 0.85 else ()
            if kind == "lock":
                ops += [("lock", on), *inner, *back]
            else:
                ops.append(("try", on, (*inner, *back)))
        elif kind == "if":
            then = draw_plan(random, 1, words, depth + 1)
            otherwise = draw_plan(random, 1, words, depth + 1) if random.random() < 0.5 else ()
            ops.append(("if", random.choice((0, 1)), then, otherwise))
        elif kind == "start":
            if depth > 1 or left < 1:
                continue
            count = random.choice((1, 1, 2))
            plans = [draw_plan(random, 1, words, depth + 1) for _ in range(count)]
            after = draw_plan(random, 1, words, depth + 1) if random.random() < 0.5 else ()
            left -= count
            ops.append(("start", tuple(plans), after))
        else:
            ops.append((kind,) if kind in ("sleep", "yield") else (kind, on))
    return tuple(ops)


SHAPES = ((2, 4), (2, 3), (2, 2), (3, 2), (1, 2), (1, 1, 2), (2, 2, 1), (2, 1, 1), (1, 1, 1, 1))
LARGE = (*SHAPES, (4, 4), (3, 2, 1), (2, 2, 2), (2, 1, 1, 1), (3, 3, 1))


def draw_program(seed: int, shapes: Sequence[tuple[int, ...]] = SHAPES) -> tuple[list[Plan], Plan]:
    """The program of a seed: 1 to 4 Ms, which may start others, and what M 0 does beside them."""
    random = Random(seed)
    words = random.choice((1, 1, 2))
    shape = random.choice(shapes)
    plans = [draw_plan(random, size, words) for size in shape]
    own = draw_plan(random, 1, words, 1) if random.random() < 0.2 else ()
    return plans, own


Forced = tuple[Counter[Any], set[Any]]


def forced(seed: int, large: bool = False) -> Forced | None:
    """What brute force makes of the program of a seed; None if it has too many interleavings."""
    plans, own = draw_program(seed, LARGE if large else SHAPES)
    eager = "yield" not in repr((plans, own))  # a beginning counts for whoever waits for others
    most = MOST_OF_LARGE if large else MOST
    try:
        return brute_force(main_of(plans, own), most, eager)[1:]
    except TooMany:
        return None


def compare(seed: int, found: Forced, large: bool = False) -> str:
    """Hold the search against brute force; what is wrong, "" if nothing is."""
    classes, ends = found
    plans, own = draw_program(seed, LARGE if large else SHAPES)
    batch, kept, kept_ends = search(main_of(plans, own))
    lost, other = len(classes.keys() - kept.keys()), len(kept.keys() - classes.keys())
    twice = sum(times - 1 for times in kept.values())
    if batch.complete and kept_ends == ends and not lost + other + twice + batch.redundant:
        return ""
    return (
        f"seed {seed}: of {len(classes)} classes {lost} lost, {twice} twice, {other} more, "
        f"{batch.redundant} runs in vain, complete: {batch.complete}: {plans} {own}"
    )
