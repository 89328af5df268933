"""The one list of mutexes, and what it takes to add one."""

from __future__ import annotations

import ast
import sys
import textwrap
from math import comb
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gorun_mem.runtime.mutex as package
from gorun_mem import M, World
from gorun_mem.explore import explore as search
from gorun_mem.machine.config import Config
from gorun_mem.runtime.behaviour import KNOWN, PLATFORMS, release
from gorun_mem.runtime.mutex import MUTEXES, StateMutex, default_mutex, make
from gorun_mem.runtime.mutex.machine import CPU, LockOp, UnlockOp, state, states_of
from gorun_mem.runtime.op import MLike
from tests.runtime.mutex.hand_driven import Hand, HandM
from tests.runtime.mutex.mutex_explorer import explore

HELPING = {
    "base", "book", "futex_queue", "machine", "note", "note_futex", "note_sema", "rank",
    "semaphore", "settings", "single", "statistics",
}  # fmt: skip
"""Files of the folder that have no lock."""


def folder() -> Path:
    return Path(str(package.__file__)).parent


@pytest.mark.parametrize(("source", "platforms"), [("lock_tas.go", ""), ("", "Plan 9")])
def test_half_a_lock_of_gos_is_refused(source: str, platforms: str) -> None:
    """A class says both the file of Go's and who has it, or neither."""
    module = ModuleType("tas")
    half: Any = type("TasMutex", (example(),), {"source": source, "platforms": platforms})
    module.TasMutex = half  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="or neither"):
        package._lock_in("tas", module)
    half.source = half.platforms = ""
    assert package._lock_in("tas", module) is half
    assert package._lock_in("ticket", module) is None


def test_every_file_has_a_lock_or_is_known_to_help() -> None:
    """A file whose lock is called otherwise is one that nobody can ask for; a lock is found by its
    name, and its operations begin in a state that they have."""
    for name, cls in MUTEXES.items():
        assert cls.algorithm == name
        for op in (cls.lock_op, cls.unlock_op):
            assert op.FIRST in states_of(op)
    files = {path.stem for path in folder().glob("*.py")} - {"__init__"}
    assert {file.rstrip("_") for file in files} - HELPING == set(MUTEXES)


def test_a_file_is_a_lock_and_nothing_else_has_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented example, laid into the folder, is asked for by its name at once."""
    doc = str(ast.get_docstring(ast.parse((folder() / "base.py").read_text()), clean=False))
    code = textwrap.dedent(doc[doc.index("    class TasLock") : doc.index("\nA lock that is got")])
    (tmp_path / "tas.py").write_text(
        "from gorun_mem.runtime.mutex.base import StateMutex\n"
        "from gorun_mem.runtime.mutex.machine import CPU, LockOp, UnlockOp, state\n"
        "from gorun_mem.runtime.op import MLike\n\n" + code
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(package.MUTEXES, "_found", {})
    monkeypatch.delitem(sys.modules, f"{package.__name__}.tas", raising=False)
    assert "tas" in MUTEXES
    assert "tas" in list(MUTEXES)
    assert explore(MUTEXES["tas"], 1, 1).verdict == "ok"


def test_every_release_has_a_mutex_of_the_list_on_every_platform() -> None:
    """What `Behaviour.mutex` names is a row for several Ms; one M on wasm has its platform's."""
    for name in KNOWN:
        for platform in PLATFORMS:
            if platform.startswith("wasip1") and not release(name).behaviour.has_wasip1:
                continue
            assert default_mutex(name, platform) in MUTEXES
            assert MUTEXES[default_mutex(name, platform, 2)].several_ms


def test_a_locks_file_has_its_states_and_nothing_else() -> None:
    """No file of a lock touches a private name of another object, counts `m.locks`, checks ranks
    or keeps operations for reuse; the mutex that lets in everybody counts for itself."""
    for module in sorted(lock.__module__.rpartition(".")[2] for lock in MUTEXES.values()):
        tree = ast.parse((folder() / f"{module}.py").read_text())
        names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        assert [n for n in names if n.startswith("_") and not n.startswith("__")] == [], module
        base_only = {"lock_ops", "unlock_ops", "before_lock", "before_unlock", "book", "sink"}
        if module == "any_":
            base_only -= {"book"}  # it asks who waits already
        if module != "none":
            assert base_only.isdisjoint(names), module
        assert not any(
            isinstance(node, ast.FunctionDef) and node.name == "__init__" for node in ast.walk(tree)
        ), module


def example() -> type[StateMutex]:
    """The lock that the docstring of base.py shows."""
    doc = str(ast.get_docstring(ast.parse((folder() / "base.py").read_text()), clean=False))
    text = textwrap.dedent(doc[doc.index("    class TasLock") : doc.index("\nA lock that is got")])
    names: dict[str, object] = {
        "CPU": CPU, "LockOp": LockOp, "MLike": MLike, "StateMutex": StateMutex,
        "UnlockOp": UnlockOp, "state": state,
    }  # fmt: skip
    exec(compile(text, "example", "exec", dont_inherit=True), names)
    made = names["TasMutex"]
    assert isinstance(made, type)
    return made


def test_the_example_is_a_lock() -> None:
    """The documented example excludes and ends well in every interleaving of two and three Ms, and
    its book is the base's."""
    cls = example()
    for pairs in ((2, 2), (1, 1, 1)):
        assert explore(cls, *pairs).verdict == "ok"
    mutex, hand = cls(), Hand()
    first, second = HandM(1, hand), HandM(2, hand)
    first.run(mutex.lock("a"))
    second.begin(mutex.lock("b")).step(2)
    first.run(mutex.unlock("a"))
    second.run()
    second.run(mutex.unlock("b"))
    found = mutex.statistics()
    assert (found.acquisitions, found.contended, found.spins) == (2, 1, 1)
    assert (first.locks, second.locks, len(mutex.lock_ops), len(mutex.unlock_ops)) == (0, 0, 1, 1)


def test_an_operation_is_used_again_only_once_it_is_through() -> None:
    """Of Ms that wait and Ms that do not, no two have one operation at a time."""
    for name in sorted(set(MUTEXES) - {"js", "wasip1"}):
        mutex, hand = make(name, "go1.26"), Hand()
        ms = [HandM(i, hand) for i in (1, 2, 3)]
        left = {m.id: 12 for m in ms}
        for turn in range(4000):
            m = ms[(turn * 7 + turn // 5) % 3]
            if m.op is None and left[m.id]:
                left[m.id] -= 1
                m.begin(mutex.unlock() if left[m.id] % 2 == 0 else mutex.lock())
            if m.op is not None and not m.parked:
                m.step()
            pending = [id(other.op) for other in ms if other.op is not None]
            assert len(set(pending)) == len(pending), name
            pools = [*mutex.lock_ops, *mutex.unlock_ops]
            assert not {id(op) for op in pools} & set(pending), name
            assert all(op.pc == op.first for op in pools), name
        assert not any(left.values()), name


@pytest.mark.parametrize("sections", [1, 2, 3])
def test_any_has_every_order_once(sections: int) -> None:
    """Asked for by name, two Ms with S critical sections have exactly C(2S, S) schedules."""

    async def main(world: World) -> None:
        lock = world.mutex("lock")

        async def work(m: M) -> None:
            for _ in range(sections):
                await m.lock(lock)
                await m.unlock(lock)

        async with world.open_ms() as ms:
            ms.start_soon(work)
            ms.start_soon(work)

    found = search(main, config=Config(ms=2, mutex="any"), strategy="exhaustive")
    assert found.outcome == "exhausted"
    assert found.statistics.schedules == comb(2 * sections, sections)
