"""Programs by chance over the whole kit, run on the kit; `machine` says how they end."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from gorun_mem.explore.batch import Batch
from gorun_mem.explore.target import Main, Target
from gorun_mem.machine.config import Config
from gorun_mem.machine.m import M
from gorun_mem.machine.world import World
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.sync import (
    Chan,
    Cond,
    Event,
    FutexWord,
    Lock,
    NotifyList,
    Once,
    RWLock,
    Semaphore,
    WaitGroup,
    Word,
    fence,
    select,
)
from tests.explore.brute_force import every_class
from tests.explore.kit.state import Name, Op, Outcome, Plan

KINDS: Final = {
    "words": ("load", "load", "store", "swap", "add", "cas", "late", "late", "fence"),
    "locks": ("lock", "lock", "try"),
    "sems": ("down", "down", "up", "semtry"),
    "events": ("wait", "wait", "set", "clear"),
    "futex": ("fwait", "fwait", "fwake", "fstore", "fload"),
    "conds": ("cwait", "cwait", "signal", "broadcast"),
    "rw": ("rlock", "wlock", "rtry", "wtry"),
    "chans": ("send", "recv", "send", "recv", "close"),
    "pipes": ("psend", "precv", "psend", "precv", "pclose"),
    "select": ("select", "select", "send", "recv", "close"),
    "groups": ("gadd", "gdone", "gwait", "gwait"),
    "once": ("once",),
    "tickets": ("ticket", "ticket", "nwake"),
}
OTHERS: Final = ("if", "if", "catch", "raise", "choose", "spawn")
SHAPES: Final = ((2, 2), (3, 2), (1, 1, 1), (2, 1, 1), (2, 2, 1), (3, 3), (2, 2, 2), (1, 1, 1, 1))

Program = tuple[tuple[Plan, ...], Plan]


class Oops(Exception):
    """What a program raises."""


class Drawing:
    """Draws what Ms do.

    Args:
        random: draws.
        kinds: of operations.
        times: among which that of a wait is drawn.
        words: how many objects of a kind there are.
    """

    def __init__(
        self, random: Random, kinds: Sequence[str], times: Sequence[int | None], words: int
    ) -> None:
        self.random = random
        self.kinds = kinds
        self.times = times
        self.words = words

    def plan(self, size: int, depth: int = 0, catching: bool = False) -> Plan:
        """Some `size` operations; a lock that is taken may be given back."""
        ops: list[Op] = []
        for _ in range(size):
            kind = self.random.choice(self.kinds)
            if kind in ("if", "catch", "spawn"):
                if depth < 2 and not (kind == "spawn" and catching):
                    ops.append(self.nested(kind, depth + 1, catching))
            else:
                ops += self.simple(kind)
        return tuple(ops)

    def nested(self, kind: str, depth: int, catching: bool) -> Op:
        """One that has others inside."""
        if kind == "catch":
            return ("catch", self.plan(self.random.choice((1, 2)), depth, True))
        one = self.plan(1, depth, catching)
        if kind == "if":
            return ("if", one, self.plan(self.random.randrange(2), depth, catching))
        return ("spawn", (one,), self.plan(self.random.randrange(2), depth, catching))

    def simple(self, kind: str) -> list[Op]:
        """One that has none, and what belongs to it."""
        random = self.random
        on, time = random.randrange(self.words), random.choice(self.times)
        gives_back = random.random() < 0.85
        if kind in ("load", "fload", "semtry", "up", "set", "clear", "once"):
            return [(kind, on)]
        if kind in ("store", "late", "swap", "add", "fstore", "fwake"):
            return [(kind, on, random.choice((1, 2)))]
        if kind == "cas":
            return [(kind, on, random.randrange(2), random.choice((1, 2)))]
        if kind in ("lock", "try"):
            one = (kind, on, time) if kind == "lock" else (kind, on)
            back: Plan = (("unlock", on),) if gives_back else ()
            inner = self.plan(random.randrange(2), 2)
            if time is None and kind == "lock":
                return [one, *inner, *back]
            return [one, ("if", (*inner, *back), ())]
        if kind in ("rlock", "wlock", "rtry", "wtry"):
            one = (kind, on) if kind.endswith("try") else (kind, on, time)
            back = ((f"{kind[0]}unlock", on),) if gives_back else ()
            return [one, ("if", (*self.plan(random.randrange(2), 2), *back), ())]
        if kind in ("down", "wait", "cwait", "gwait"):
            return [(kind, on, time)]
        if kind == "fwait":
            return [(kind, on, random.choice((0, 0, 1)), time)]
        if kind in ("signal", "broadcast"):
            return [("call", ("cond", on), 1 if kind == "signal" else 9)]
        if kind == "ticket":
            return [(kind, ("list", on), time)]
        if kind == "nwake":
            return [("call", ("list", on), random.choice((1, 2)))]
        if kind in ("gadd", "gdone"):
            return [("gadd", on, random.choice((1, 1, 2)) if kind == "gadd" else -1)]
        return self.other(kind, time)

    def other(self, kind: str, time: int | None) -> list[Op]:
        """Channels, and what is on nothing."""
        random = self.random
        chan = random.choice("pq" if kind[0] == "p" else "cd")
        value = random.randrange(3)
        if kind in ("send", "psend"):
            return [("send", chan, value, time)]
        if kind in ("recv", "precv"):
            return [("recv", chan, None, time)]
        if kind in ("close", "pclose"):
            return [("close", chan)]
        if kind == "select":
            cases = tuple([
                (random.choice(("send", "recv")), random.choice("cd"), random.randrange(3))
                for _ in range(random.choice((1, 2, 2)))
            ])  # fmt: skip
            return [(kind, cases, random.random() < 0.3, time)]
        return [(kind,)]


def drawn(
    seed: int, kinds: Sequence[str], times: Sequence[int | None] = (None,), mix: int = 2
) -> Program:
    """The program of a seed.

    Args:
        seed: of what it does.
        kinds: of `KINDS` and "others", of which up to `mix` are drawn.
        times: among which that of a wait is drawn, in ns.
        mix: how many kinds there may be in one program.
    """
    random = Random(seed)
    able = [kind for kind in kinds if kind != "others"]
    which = random.sample(able, min(len(able), random.randint(1, mix)))
    ops = [op for kind in which for op in KINDS[kind]]
    if "others" in kinds and random.random() < 0.6:
        ops += random.sample(OTHERS, 3)
    drawing = Drawing(random, ops, times, random.choice((1, 1, 2)))
    plans = tuple([drawing.plan(size) for size in random.choice(SHAPES)])
    return plans, drawing.plan(1, 1) if random.random() < 0.2 else ()


DENSE: Final = {
    **KINDS,
    "spawns": ("spawn", "spawn", "add", "load"),
    "late": ("load", "load", "late", "late", "swap", "fence", "add"),
}
"""Kinds of operation of which a program has nothing else."""
DENSE_SHAPES: Final = ((3, 1, 1), (3, 2), (2, 2, 1), (4, 2), (2, 1, 1, 1), (3, 3))


def drawn_dense(seed: int, kind: str) -> Program:
    """The program of a seed, of one kind of `DENSE` only: rules that seldom matter do there."""
    random = Random(seed)
    drawing = Drawing(random, DENSE[kind], (None,), random.choice((1, 2)))
    return tuple([drawing.plan(size) for size in random.choice(DENSE_SHAPES)]), ()


SPINNING: Final = (*KINDS["words"], "store", "store", *KINDS["locks"])


def drawn_spinning(seed: int) -> Program:
    """The program of a seed in which an M or two go round until something has changed."""
    random = Random(seed)
    ops = random.sample(SPINNING, random.randint(2, 5))
    drawing = Drawing(random, ops, (None,), random.choice((1, 1, 2)))
    plans = [list(drawing.plan(size)) for size in random.choice(SHAPES)]
    for _ in range(random.choice((1, 1, 1, 2))):
        plan, on = random.choice(plans), random.randrange(drawing.words)
        spins: list[Plan] = [
            (("spin", on, random.choice((0, 1, 1, 2))),),
            (("spin cas", on, random.choice((0, 1, 1, 2)), random.choice((0, 1, 2))),),
            (("spin try", on), *drawing.plan(random.randrange(2), 2), ("unlock", on)),
        ]
        at = random.randrange(len(plan) + 1)
        plan[at:at] = random.choice((spins[0], *spins))
    return tuple(map(tuple, plans)), ()


class Things:
    """What the Ms share."""

    def __init__(self) -> None:
        pair = range(2)
        self.words = [Word(f"x{n}") for n in pair]
        self.futexes = [FutexWord(f"f{n}") for n in pair]
        self.locks = [Lock(f"L{n}") for n in pair]
        self.sems = [Semaphore(f"S{n}", n) for n in pair]
        self.events = [Event(f"E{n}") for n in pair]
        self.conds = [Cond(f"C{n}", Lock(f"CL{n}")) for n in pair]
        self.rws = [RWLock(f"R{n}") for n in pair]
        self.groups = [WaitGroup(f"G{n}") for n in pair]
        self.onces = [Once(f"O{n}") for n in pair]
        self.lists = [NotifyList(f"N{n}") for n in pair]
        self.chans = {
            "c": Chan("c"), "d": Chan("d", 1), "p": Chan("p", alone=True),
            "q": Chan("q", 1, alone=True),
        }  # fmt: skip


class Follower:
    """Does what a plan says, as one M.

    Args:
        world: where.
        m: the M.
        name: of the M.
        things: what is shared.
        seen: by name, what Ms saw.
    """

    def __init__(self, world: World, m: M, name: Name, things: Things, seen: Any) -> None:
        self.world = world
        self.m = m
        self.name = name
        self.things = things
        self.seen = seen
        self.last: Any = 0
        self.children = 0

    def note(self, value: Any) -> None:
        """An operation came to `value`."""
        self.seen.setdefault(self.name, []).append(value)

    async def follow(self, plan: Plan) -> None:
        """Do it."""
        for what, *args in plan:
            if what == "if":
                is_so = self.last[-1] if isinstance(self.last, tuple) else self.last
                await self.follow(args[0] if is_so else args[1])
            elif what == "catch":
                try:
                    await self.follow(args[0])
                except (IllegalUse, Oops) as error:
                    self.note(("caught", type(error).__name__))
            elif what == "raise":
                raise Oops
            elif what == "spawn":
                async with self.world.open_ms() as ms:
                    for child in args[0]:
                        ms.start_soon(self.child, (*self.name, self.children), child)
                        self.children += 1
                    await self.follow(args[1])
            else:
                result = await self.do(what, args)
                if result is not None:
                    self.last = result
                    self.note(result)

    async def child(self, m: M, name: Name, plan: Plan) -> None:
        """Another M."""
        await Follower(self.world, m, name, self.things, self.seen).follow(plan)

    async def do(self, what: str, args: list[Any]) -> Any:
        """One operation; what it comes to, None for nothing."""
        things = self.things
        if what in ("send", "recv", "close", "select"):
            return await self.channel(what, args)
        if what == "fence":
            return await fence()
        if what == "choose":
            return await self.m.choose(0, 1)
        if what in SPINS:
            return await self.spin(*SPINS[what], *args)
        on, *args = args
        if what == "call":
            kind, number = on
            return await (things.conds if kind == "cond" else things.lists)[number].wake(args[0])
        if what == "ticket":
            waiters = things.lists[on[1]]
            return await waiters.sleep(await waiters.add(), *args)
        if what == "cwait":
            async with things.conds[on].lock:
                return await things.conds[on].wait(*args)
        if what == "once":
            await things.onces[on].do(self.first)
            return None
        of, verb = VERBS[what]
        return await getattr(getattr(things, of)[on], verb)(*args)

    async def spin(self, of: str, verb: str, on: int, *args: Any) -> None:
        """Do it again and again until it comes to what is wanted; nothing of it is noted."""
        does = getattr(getattr(self.things, of)[on], verb)
        wanted = args[0] if verb == "load" else True
        while await does(*(() if verb == "load" else args)) != wanted:
            await self.m.pause()

    async def first(self) -> None:
        """What is done once."""
        self.last = await self.things.words[0].add(1)
        self.note(self.last)

    async def channel(self, what: str, args: list[Any]) -> Any:
        """One operation on channels."""
        chans = self.things.chans
        if what == "send":
            return await chans[args[0]].send(args[1], args[2])
        if what == "recv":
            return await chans[args[0]].recv(args[2])
        if what == "close":
            await chans[args[0]].close()
            return None
        cases = [
            chans[chan].send(value) if verb == "send" else chans[chan].recv()
            for verb, chan, value in args[0]
        ]
        return tuple(await select(*cases, default=args[1], timeout_ns=args[2]))


VERBS: Final = {
    "load": ("words", "load"), "store": ("words", "store"), "late": ("words", "store_release"),
    "swap": ("words", "swap"), "add": ("words", "add"), "cas": ("words", "cas"),
    "lock": ("locks", "acquire"), "try": ("locks", "try_acquire"), "unlock": ("locks", "release"),
    "down": ("sems", "acquire"), "semtry": ("sems", "try_acquire"), "up": ("sems", "release"),
    "wait": ("events", "wait"), "set": ("events", "set"), "clear": ("events", "clear"),
    "fwait": ("futexes", "wait"), "fwake": ("futexes", "wake"), "fload": ("futexes", "load"),
    "fstore": ("futexes", "store"), "gwait": ("groups", "wait"), "gadd": ("groups", "add"),
    "rlock": ("rws", "acquire_read"), "rtry": ("rws", "try_acquire_read"),
    "runlock": ("rws", "release_read"), "wlock": ("rws", "acquire_write"),
    "wtry": ("rws", "try_acquire_write"), "wunlock": ("rws", "release_write"),
}  # fmt: skip
"""Where what is done is done, and how the kit calls it."""
SPINS: Final = {
    "spin": ("words", "load"), "spin cas": ("words", "cas"), "spin try": ("locks", "try_acquire"),
}  # fmt: skip
"""The same of what is done until it comes to what is wanted."""


def main_of(program: Program) -> Main:
    """The program, on the kit."""
    plans, own = program

    async def main(world: World) -> None:
        things = Things()
        seen: dict[Name, list[Any]] = {}
        results: Any = world.results
        results["seen"], results["things"] = seen, things
        await Follower(world, world.main, (), things, seen).follow((("spawn", plans, own),))

    return main


class Outcomes:
    """A detector that notes how runs end."""

    name = "outcomes"
    looks = False

    def __init__(self) -> None:
        self.found: set[Outcome] = set()

    def begin(self, world: World) -> None:
        """A run begins."""

    def step(self, *step: Any) -> None:
        """Not asked."""

    def end(self, world: World) -> tuple[()]:
        """Note it, as `Machine.outcome` does."""
        self.found.add(outcome_of(world))
        return ()


def outcome_of(world: World) -> Outcome:
    """How a run has ended."""
    failure = type(world.failure).__name__
    if world.failure is not None and failure != "DeadlockFound":
        return ("failed", failure)
    results: Any = world.results
    things: Things = results["things"]
    seen = tuple([(name, tuple(values)) for name, values in sorted(results["seen"].items())])
    kind = "ended" if world.failure is None else "stuck"
    memory = tuple([word.value for word in things.words])
    return (kind, seen, memory, tuple([sem.value for sem in things.sems]))


def target_of(program: Program, memory: str = "sc", faults: tuple[str, ...] = ()) -> Target:
    """The program, to be searched."""
    config = Config(ms=2, mutex="queue", memory=memory, faults=faults)
    return Target.of(main_of(program), config)


def searched(target: Target, runs: int | None = None) -> tuple[Batch, set[Outcome]]:
    """What an exhaustive search sees, of so many schedules at most."""
    seen = Outcomes()
    return every_class(target, seen, runs), seen.found


def wrong_with(found: set[Outcome], true: set[Outcome]) -> str:
    """What is wrong with the outcomes that a search has found; "" if nothing is.

    A run that fails ends there, so beside a failure others may be left out.
    """
    if found == true:
        return ""
    if any(one[0] == "failed" for one in true) and found < true and _failures(found, true):
        return ""
    return f"{len(true - found)} of {len(true)} lost, {len(found - true)} that cannot be"


def _failures(found: set[Outcome], true: set[Outcome]) -> bool:
    """Whether it has found a failure."""
    return any(one[0] == "failed" for one in found)
