"""Mutants of the package's locks: each one place of a lock's code done wrong.

They are made from the source: a comparison turned, a branch always or never taken (a store for a
compare-and-swap, a check that is missing), a statement dropped (a wakeup, a store) or exchanged
with the next (the order swapped), another state gone to, another bit, a constant off by one. What a
lock counts for people (spins, sleeps, the log, the cost) is left alone.

`python -m tests.explore.states.mutants [MODULE...]` prints the table of all.
"""

from __future__ import annotations

import ast
import copy
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import gorun_mem.runtime.mutex
from gorun_mem.explore.states import kernel
from gorun_mem.explore.states.examine import Examination
from gorun_mem.explore.states.kernel import FutexModel, SemaphoreModel
from gorun_mem.explore.states.locks import LockModel
from gorun_mem.explore.states.model import Model
from gorun_mem.explore.states.notes import NoSleepModel, NoteModel
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.mutex.js import JsMutex
from gorun_mem.runtime.mutex.settings import LockSettings

FOLDER = Path(gorun_mem.runtime.mutex.__file__).parent
STATES_MAX = 100_000
SECONDS_MAX = 60
NOT_MUTATED = {
    "__init__", "__repr__", "snapshot", "restore", "in_words", "claims", "blame", "sema_timeout_ns",
    "make_note", "_refuse", "m_at",
}  # fmt: skip
"""What describes a lock, or tells of it or of what a wrong one does, and is not its algorithm."""
BITS = ("LOCKED", "SLEEPING", "SPINNING", "STACK_LOCKED", "UNLOCKED", "WOKEN", "FLAGS", "LOW_BYTE")
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OTHER: dict[type[ast.operator], type[ast.operator]] = {
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Args:
        module: of runtime/mutex.
        line: where.
        function: in which state or function.
        what: the change.
        tree: the module with the change.
    """

    module: str
    line: int
    function: str
    what: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Stands for the change while other lines of the module move."""
        return f"{self.module}.{self.function}: {self.what}"

    def load(self) -> ModuleType:
        """The module, changed."""
        made = ModuleType(f"gorun_mem.runtime.mutex.{self.module}")
        made.__file__ = str(FOLDER / f"{self.module}.py")
        exec(compile(self.tree, made.__file__, "exec"), made.__dict__)
        return made


Edit = Callable[[ast.AST], None]


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_told(node: ast.stmt) -> bool:
    """Whether a statement tells people something, and is no part of an algorithm."""
    text = ast.unparse(node)
    return (
        any(word in text for word in (".spins", ".sleeps", "charge(", "links)", "start_ticks"))
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.AnnAssign) and node.value is None)
    )


def _states_near(cls: ast.ClassDef) -> list[str]:
    return [
        node.name for node in cls.body if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]


def edits_of(node: ast.AST, states: list[str]) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Each way to do one node wrong: in words, and as a change of a copy of the node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in TURNED:
        turned = TURNED[type(node.ops[0])]
        yield f"turned: {_short(node)}", lambda n: setattr(n, "ops", [turned()])
    if isinstance(node, ast.If):
        for value in (True, False):
            word = "always" if value else "never"
            yield f"{word}: if {_short(node.test)}", partial(_set_test, value=value)
    if isinstance(node, ast.IfExp):
        yield (
            f"turned: {_short(node)}",
            lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test)),
        )
    if isinstance(node, ast.BinOp) and type(node.op) in OTHER:
        other = OTHER[type(node.op)]
        yield f"another operator: {_short(node)}", lambda n: setattr(n, "op", other())
    if isinstance(node, ast.BoolOp):
        op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"and for or: {_short(node)}", lambda n: setattr(n, "op", op)
    if isinstance(node, ast.Name) and node.id in BITS and isinstance(node.ctx, ast.Load):
        near = [bit for bit in BITS if bit != node.id]
        wrong = near[BITS.index(node.id) % len(near)]
        yield f"{wrong} for {node.id}", lambda n: setattr(n, "id", wrong)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield f"{node.value + 1} for {node.value}", lambda n: setattr(n, "value", n.value + 1)
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield f"{not node.value} for {node.value}", lambda n: setattr(n, "value", not n.value)
    if isinstance(node, ast.Constant) and node.value in states and len(states) > 1:
        other_state = states[(states.index(node.value) + 1) % len(states)]
        yield f"goes to {other_state}, not {node.value}", lambda n: setattr(n, "value", other_state)


def _depend(one: ast.stmt, after: ast.stmt) -> bool:
    """Whether the second statement reads what the first writes: else their order is the same to
    all, for both are made in one step."""
    targets = one.targets if isinstance(one, ast.Assign) else []
    if isinstance(one, ast.AugAssign):
        targets = [one.target]
    written = {ast.unparse(part) for target in targets for part in ast.walk(target)}
    parts = {ast.unparse(part) for part in ast.walk(after) if isinstance(part, ast.expr)}
    return bool(
        {text for text in written if "." in text or text.islower()}
        & parts - {"m", "self", "mutex", "mutex.ms"}
    )


def _set_test(node: Any, value: bool) -> None:
    node.test = ast.Constant(value)


def _drop(block: list[ast.stmt], at: int) -> None:
    block[at] = ast.Pass()


def block_edits(
    body: list[ast.stmt],
) -> Iterator[tuple[str, int, Callable[[list[ast.stmt]], None]]]:
    """Each way to drop a statement of a block, or to exchange two."""
    simple = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Delete)
    for i, one in enumerate(body):
        if not isinstance(one, simple) or _is_told(one):
            continue
        yield f"dropped: {_short(one)}", i, partial(_drop, at=i)
        after = body[i + 1] if i + 1 < len(body) else None
        if isinstance(after, simple) and not _is_told(after) and _depend(one, after):

            def exchange(block: list[ast.stmt], i: int = i) -> None:
                block[i], block[i + 1] = block[i + 1], block[i]

            yield f"exchanged: {_short(one)} / {_short(after)}", i, exchange


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, list[str]]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node, []
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield inner, _states_near(node)


def mutants_of(module: str) -> list[Mutant]:
    """Every mutant of a module of runtime/mutex, in the order of its lines."""
    original = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    found: list[Mutant] = []
    for number, (function, states) in enumerate(_functions(original)):
        if function.name in NOT_MUTATED:
            continue
        nodes = [node for stmt in function.body for node in ast.walk(stmt)]
        for at, node in enumerate(nodes):
            for what, edit in edits_of(node, states):
                found.append(_changed(module, original, number, at, what, edit))
            for field in ("body", "orelse"):
                block = getattr(node, field, None)
                if isinstance(node, ast.If | ast.While | ast.For) and block:
                    for what, _, change in block_edits(block):
                        edit = _in_block(field, change)
                        found.append(_changed(module, original, number, at, what, edit))
        for what, _, change in block_edits(function.body):
            found.append(_changed(module, original, number, None, what, change))
    return list(_numbered(found))


def _numbered(mutants: list[Mutant]) -> Iterator[Mutant]:
    """The mutants, of which those of one name are told apart."""
    seen: Counter[str] = Counter()
    for mutant in mutants:
        seen[mutant.name] += 1
        count = seen[mutant.name]
        yield replace(mutant, what=f"{mutant.what} ({count})") if count > 1 else mutant


def _in_block(field: str, change: Callable[[list[ast.stmt]], None]) -> Callable[[Any], None]:
    return lambda node: change(getattr(node, field))


def _changed(
    module: str,
    original: ast.Module,
    function: int,
    at: int | None,
    what: str,
    edit: Callable[[Any], None],
) -> Mutant:
    tree = copy.deepcopy(original)
    inside = next(f for i, (f, _) in enumerate(_functions(tree)) if i == function)
    nodes = [node for stmt in inside.body for node in ast.walk(stmt)]
    target = inside.body if at is None else nodes[at]
    line = inside.lineno if at is None else getattr(nodes[at], "lineno", inside.lineno)
    edit(target)
    ast.fix_missing_locations(tree)
    return Mutant(module, line, inside.name, what, tree)


# Verifying them


def _lock(module: ModuleType, *, cls: str, ms: int, cpus: int, minor: int, **how: Any) -> Model:
    name = how.pop("lock_name", "memlock")
    settings = LockSettings(behaviour=release(f"go1.{minor}").behaviour, **how)
    return LockModel(getattr(module, cls), settings, ms=ms, cpus=cpus, lock_name=name)


def _single(module: ModuleType) -> Model:
    """js's mutex has its states from `single`."""

    class Changed(JsMutex):
        lock_op = module.SingleLock
        unlock_op = module.SingleUnlock

    settings = LockSettings(behaviour=release("go1.23").behaviour)
    return LockModel(Changed, settings, ms=1, cpus=1, lock_name="memlock")


Check = tuple[Callable[[ModuleType], Model], int]
"""Makes a model of a changed module; and the rounds."""


def _locks(cls: str, *shapes: tuple[int, int, int], minor: int = 23, **how: Any) -> list[Check]:
    return [
        (partial(_lock, cls=cls, ms=ms, cpus=cpus, minor=minor, **how), rounds)
        for ms, rounds, cpus in shapes
    ]


def _note(make: Callable[[ModuleType], Any]) -> list[Check]:
    return [
        (lambda module: NoteModel(make(module), timeouts=False, spurious=False, cpus=4), 2),
        (lambda module: NoteModel(make(module), timeouts=True, spurious=False, cpus=4), 2),
        (lambda module: NoteModel(make(module), timeouts=True, spurious=True, cpus=4), 2),
    ]


def _semaphores(module: ModuleType) -> Model:
    kernel.sema_acquire = module.sema_acquire  # type: ignore[attr-defined]
    kernel.sema_wakeup = module.sema_wakeup  # type: ignore[attr-defined]
    return SemaphoreModel(ms=3, timeouts=True, cpus=4)


def _queues(spurious: bool) -> Callable[[ModuleType], Model]:
    def make(module: ModuleType) -> Model:
        kernel.FutexQueue = module.FutexQueue  # type: ignore[attr-defined]
        return FutexModel(ms=3, timeouts=True, spurious=spurious, cpus=4)

    return make


SHAPES = ((2, 2, 1), (2, 2, 4), (3, 1, 1), (3, 2, 1))
CHECKS: dict[str, list[Check]] = {
    "sema": _locks("SemaMutex", *SHAPES),
    "futex": [
        *_locks("FutexMutex", *SHAPES),
        *_locks("FutexMutex", (2, 2, 4), spurious=True),
    ],
    "spinbit": [
        *_locks("SpinbitMutex", (2, 2, 1), (2, 2, 4), (3, 1, 1), minor=24),
        *_locks("SpinbitMutex", (2, 2, 1), (3, 1, 1), minor=25, profile_rate=2),
        *_locks("SpinbitMutex", (2, 2, 4), minor=24, lock_name="sched.lock"),
        *_locks("SpinbitMutex", (3, 2, 1), minor=24),
    ],
    "queue": _locks("QueueMutex", (2, 2, 1), (3, 2, 1)),
    "any_": _locks("ChoiceMutex", (2, 2, 1), (3, 2, 1)),
    "single": [(_single, 3)],
    "note": [
        (lambda module: NoSleepModel(module.JsNote(), cpus=1), 3),
        (lambda module: NoSleepModel(module.Wasip1Note(), cpus=1), 3),
    ],
    "note_sema": _note(lambda module: module.SemaNote()),
    "note_futex": _note(lambda module: module.FutexNote()),
    "semaphore": [(_semaphores, 2)],
    "futex_queue": [(_queues(False), 2), (_queues(True), 2)],
}
"""Module -> what it is verified as, the quick ones first."""


class TooLong(BaseException):
    """A mutant loops."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Stop what takes more of this process's time."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def kernel_kept() -> Iterator[None]:
    kept = {name: getattr(kernel, name) for name in ("sema_acquire", "sema_wakeup", "FutexQueue")}
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(kernel, name, value)


def verdict(mutant: Mutant) -> str:
    """What is found wrong with a mutant; "" where it survives."""
    try:
        with kernel_kept(), limit(SECONDS_MAX):
            module = mutant.load()
            for make, rounds in CHECKS[mutant.module]:
                try:
                    model = make(module)
                    examination = Examination(model, rounds, states_max=STATES_MAX)
                except Exception as error:
                    return f"cannot be made: {type(error).__name__}: {error}"
                found = examination.run()
                if found.wrong:
                    return found.wrong
                if not found.complete:
                    return "states without end"
    except TooLong:
        return "a step without end"
    return ""


def main(modules: list[str]) -> None:
    """Print the table."""
    for name in modules or list(CHECKS):
        mutants, survivors, start = mutants_of(name), 0, time.process_time()
        for mutant in mutants:
            found = verdict(mutant)
            survivors += not found
            mark = "FOUND   " if found else "SURVIVES"
            sys.stdout.write(f"{mark} {mutant.line:4} {mutant.name}  => {found}\n")
        spent = time.process_time() - start
        count = f"{len(mutants)} mutants, {survivors} survive"
        sys.stdout.write(f"{name}: {count}, {spent:.0f} s of CPU\n")


if __name__ == "__main__":
    main(sys.argv[1:])
