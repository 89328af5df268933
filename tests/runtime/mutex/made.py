"""Makes the lock or note of a shape of walks."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from gorun_mem.runtime.mutex.base import StateMutex
from gorun_mem.runtime.mutex.js import JsMutex
from gorun_mem.runtime.mutex.machine import UnlockOp
from gorun_mem.runtime.mutex.note import Note
from tests.runtime.mutex.walks import Shape, lock_name, settings_of

CLASSES: Final = {
    "sema": "SemaMutex", "futex": "FutexMutex", "spinbit": "SpinbitMutex", "queue": "QueueMutex",
    "any_": "ChoiceMutex",
}  # fmt: skip


def make(shape: Shape, module: ModuleType | None = None) -> StateMutex | Note:
    """The lock or note of a shape, from `module` or where that is not given from the package."""
    code: Any = module or import_module(f"gorun_mem.runtime.mutex.{shape.lock}")
    settings = settings_of(shape)
    if shape.lock == "single":
        ops = {"lock_op": code.SingleLock, "unlock_op": code.SingleUnlock}
        return _telling(JsMutex, ops)(lock_name(shape), settings)
    if shape.lock.startswith("note"):
        flavours = {"note_sema": "SemaNote", "note_futex": "FutexNote"}
        wasm = "Wasip1Note" if shape.go == "1.23.9" else "JsNote"
        note: Note = getattr(code, flavours.get(shape.lock, wasm))("note", settings.behaviour)
        if shape.lock == "note_futex":
            note.word.spurious = shape.spurious  # type: ignore[attr-defined]
        return note
    return _telling(getattr(code, CLASSES[shape.lock]), {})(lock_name(shape), settings)


def _telling(cls: type[StateMutex], more: dict[str, Any]) -> Callable[..., StateMutex]:
    """The class of a lock that notes in `told` whom it tells of as woken."""

    def woke(self: Any, m_id: int, op: UnlockOp) -> None:
        self.told.append(m_id)
        cls.woke(self, m_id, op)

    return type(cls.__name__, (cls,), {"woke": woke, **more})
