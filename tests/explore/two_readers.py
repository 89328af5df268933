"""One writer raises a word twice; two readers look once each: nine pairs of what they see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from gorun_mem import M, Op, Range, World, scenario


class Atomic(Op):
    """An access to the word, as a user of the package writes one."""

    __slots__ = ("f", "reads_only")

    def __init__(self, kind: str, f: Callable[[], object], reads: bool) -> None:
        self.kind, self.obj, self.f, self.reads_only = kind, "version", f, reads

    def step(self, m: object) -> object:
        return self.f()


@scenario(ms=3)
async def two_readers(
    world: World,
    *,
    a: Annotated[int, "r1", Range(0, 3)] = 3,
    b: Annotated[int, "r2", Range(0, 3)] = 3,
) -> None:
    """Fails iff reader 1 sees `a` and reader 2 sees `b`; 3 is never seen."""
    word = [0]
    seen: dict[int, object] = {}

    async def write(m: M) -> None:
        for _ in range(2):
            await Atomic("atomic.add", lambda: word.append(word.pop() + 1), False)

    async def read(m: M, reader: int) -> None:
        seen[reader] = await Atomic("atomic.load", lambda: word[0], True)

    async with world.open_ms() as ms:
        ms.start_soon(write)
        ms.start_soon(read, 1)
        ms.start_soon(read, 2)
    assert (seen[1], seen[2]) != (a, b), f"seen {seen}"


if __name__ == "__main__":
    two_readers.main()
