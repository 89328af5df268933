"""Where the Ms of a run stand, step by step: what `auto` takes for covered.

A position is what each M is about to do: kind and object of its pending operation, whichever M it
is, so that Ms that do the same may stand for one another. One that has not begun counts for
nothing. A position has a number of 60 bits, the sum of one for each M, of which a step changes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.failure import Finding

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.op import Op
    from gorun_mem.step.task import Task

BITS: Final = (1 << 60) - 1


class Positions:
    """A detector that finds nothing and notes the positions in which there was anything to decide.

    Attributes:
        found: of the run: by number of a position, how much of the tape leads to it first.
    """

    name = "positions"
    flushes = True

    def __init__(self) -> None:
        self._terms: dict[tuple[str, str], int] = {}

    def begin(self, world: World) -> None:
        """Forget the run before."""
        engine: Any = world.engine
        self._tape: list[int] = engine.tape
        self._length = 0
        self._sum = 0
        self._of: dict[int, int] = {}
        self._last: Task | None = None
        self.found: dict[int, int] = {}

    def step(self, task: Task, op: Op, kind: str, obj: str, reads: bool, result: object) -> None:
        """Note the position before a step, which was decided on if the tape has grown."""
        last = self._last
        if last is task:
            self._stands(task.id, self._term(kind, obj))
        elif last is not None:
            pending = last.op
            self._stands(last.id, self._term(pending.kind, pending.obj) if pending else 0)
        self._last = task
        if len(self._tape) > self._length:
            self.found.setdefault(self._sum, self._length)
            self._length = len(self._tape)

    def end(self, world: World) -> Sequence[Finding]:
        """Nothing."""
        return ()

    def _stands(self, m: int, term: int) -> None:
        before = self._of.get(m, 0)
        if term != before:
            self._of[m] = term
            self._sum = (self._sum + term - before) & BITS

    def _term(self, kind: str, obj: str) -> int:
        """The same number in every process."""
        term = self._terms.get((kind, obj))
        if term is None:
            digest = blake2b(f"{kind} {obj}".encode(), digest_size=8).digest()
            term = self._terms[kind, obj] = int.from_bytes(digest) & BITS
        return term
