"""The free list as a failing run left it: before, at the end, the invariant that is violated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.failure import Failure
from gorun_mem.runtime.errors import EmulatedFailure, Fault, Hang, Throw

if TYPE_CHECKING:
    from gorun_mem.machine.world import World

_BLOCKS_MAX: Final = 4
_MEMORY_KINDS: Final = frozenset({"throw", "fault", "illegal_use"})


@dataclass(frozen=True, slots=True)
class _State:
    """The memory after one step."""

    step: int
    blocks: tuple[tuple[int, int], ...] | None
    wrong: str


class MemoryProbe:
    """A detector that keeps the last sound free list and how the list ended.

    While memFree is half way its list may look wrong and be right again some accesses later; so
    what counts is from where on it was never sound again.
    """

    name = "report"

    def __init__(self, forced: int) -> None:
        self._forced = forced  # number of the step that was the first forced switch

    def begin(self, world: World) -> None:
        """A run begins."""
        self._world: Any = world
        self._step = 0
        self.sound: _State | None = None
        self.last: _State | None = None
        self.before: _State | None = None

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        """Look at the list, once there is one."""
        self._step += 1
        if self._world.is_booted:
            self._look()

    def end(self, world: World) -> tuple[()]:
        """Look once more; nothing is found that the run did not find itself."""
        if world.is_booted:
            self._step += 1
            self._look()
        return ()

    def _look(self) -> None:
        state = _State(self._step, *_list_of(self._world))
        self.last = state
        if self._step < self._forced:
            self.before = state
        if not state.wrong:
            self.sound = state


def _list_of(world: World) -> tuple[tuple[tuple[int, int], ...] | None, str]:
    """The free list, None where it cannot be walked, and what is wrong with it."""
    freelist = world.runtime.os.freelist
    if freelist is None:
        return None, ""
    try:
        blocks = tuple(freelist.blocks())
    except Hang as error:
        return None, f"the list ends: the block at {error.address:#x} comes up twice"
    except Fault as error:
        return None, f"every header lies in the memory: {error.detail}"
    try:
        world.check()
    except Throw as error:
        said = "; ".join(error.printed) or error.message
        return blocks, f"{_INVARIANTS.get(error.message, error.message)}: {said}"
    except EmulatedFailure as error:
        return blocks, str(error)
    return blocks, ""


_INVARIANTS: Final = {
    "mem: infinite loop": "the list ends",
    "mem: unordered list": "blocks stand in address order",
    "mem: overlapping blocks": "no block reaches into the next",
    "mem: uninitialised memory": "a free block is zero behind its header",
    "gorun_mem: free block is handed out": "what is free belongs to nobody",
    "gorun_mem: program data is handed out": "the program's data is not handed out",
}
"""The invariant behind each of memCheck's throws and of the World's own checks."""


def memory_lines(probe: MemoryProbe | None) -> list[str]:
    """What is said of the list; nothing where it is empty and sound."""
    if probe is None or probe.last is None:
        return []
    last, sound = probe.last, probe.sound if probe.last.wrong else probe.before
    if not last.blocks and not last.wrong and not (sound and sound.blocks):
        return []
    lines = ["Free list (address+bytes):"]
    if sound is not None:
        lines.append(f"  after step {sound.step}: {_blocks(sound.blocks)}")
    lines.append(f"  at the end: {_blocks(last.blocks)}")
    if last.wrong:
        lines.append(f"  violated: {last.wrong}")
    return lines


def is_about_memory(failure: Failure) -> bool:
    """Whether the memory may have to do with the failure."""
    signature = failure.signature
    return (
        signature.kind in _MEMORY_KINDS
        or (signature.kind == "no_progress" and bool(signature.obj))
        or any(step.obj.startswith(("mem:0x", "memFreelist", "bloc")) for step in failure.steps)
    )


def _blocks(blocks: tuple[tuple[int, int], ...] | None) -> str:
    if blocks is None:
        return "it cannot be walked"
    if not blocks:
        return "empty"
    text = "  ".join(f"{addr:#x}+{size:#x}" for addr, size in blocks[:_BLOCKS_MAX])
    more = len(blocks) - _BLOCKS_MAX
    return f"{text}  and {more} more" if more > 0 else text
