"""The memory calls of a real Go program, recorded call by call, spread over several Ms.

Give it a recording: `--set trace=maps.jsonl.gz`. Release, platform and memory are the recording's.

In recorded order (the default) each call waits for its turn, whichever M it was dealt to, and every
answer and the state after it must be Go's: the run fails at a difference. In the log the Ms take
turns, and no `lock.acquire` is contended.

With `--set order=free` the Ms contend. Addresses are others then; a free frees what takes the place
of the memory that Go freed, and every answer must be aligned, inside memory and nobody else's. In
the log, look for contended `lock.acquire`, and compare the final pages: order alone changes them.
`--max-pages N` shows the same program with less memory.
"""

from __future__ import annotations

from typing import Annotated, Literal

from gorun_mem import FreeOrder, M, RecordedOrder, World, as_recorded, scenario


@scenario(ms=4, configure=as_recorded)
async def real_program(
    world: World,
    *,
    trace: Annotated[str, "the recording, .jsonl or .jsonl.gz"] = "",
    order: Annotated[Literal["recorded", "free"], "wait for each other, or contend"] = "recorded",
    deal: Annotated[Literal["round_robin", "caller"], "which M gets which call"] = "round_robin",
) -> None:
    """A recorded Go program over several Ms: in recorded order every answer must be Go's."""
    make = RecordedOrder if order == "recorded" else FreeOrder
    calls = make(world, trace, deal)

    async def worker(m: M, i: int) -> None:
        while await calls.issue_next(m, i):
            pass

    async with world.open_ms() as ms:
        for i in range(world.ms):
            ms.start_soon(worker, i)
    calls.finish()
    world.check()


if __name__ == "__main__":
    real_program.main()
