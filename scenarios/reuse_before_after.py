"""The same program before and after memory is reused: how many pages does it take?

Up to 1.20 wasm's sysFreeOS did nothing: what was freed was lost, and every allocation moved the
end of memory on. The seed commit gave wasm Plan 9's free list. Here some rounds of allocating and
freeing run with both, and the pages are compared.

The log and its statistics are those of one run only, with the release called `after`; two runtimes
in one log could not be told apart. The release called `before` runs aside, in a World of its own,
with as many Ms and the same seed, and only its figures are kept: they are in the run's results.

In the log, look for `freelist.take`, and for how soon the `mem.grow` events end. Not everything got
better: dac514ea never hands out the memory that was there at the start, which 1.20 used first, so
`--set rounds=1` is dearer after than before. `--set before=go1.23 after=go1.24` shows that mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from gorun_mem import Config, KiB, M, Range, ScenarioError, World, scenario


def use_after(config: Config, options: Mapping[str, Any]) -> Config:
    """The run itself is with the release called `after`."""
    before, after = options["before"], options["after"]
    if config.release not in (None, after):
        raise ScenarioError(f"release {config.release}: say it as --set after={config.release}")
    config.but(release=before).check()
    return config.but(release=after)


@scenario(ms=1, platform="js/wasm", configure=use_after)
async def reuse_before_after(
    world: World,
    *,
    before: Annotated[str, "release to compare with"] = "go1.20",
    after: Annotated[str, "release that is run and logged"] = "dac514ea",
    rounds: Annotated[int, "rounds of each M", Range(1, 2000)] = 200,
) -> None:
    """The same program on two releases, pages compared. Look for freelist.take and mem.grow."""

    async def worker(m: M) -> None:
        for i in range(rounds):
            sizes = [64 * KiB << (i + j) % 4 for j in range(4)]
            row = [(await m.sys_alloc(size), size) for size in sizes]
            for addr, size in row:
                await m.sys_free(addr, size)

    async def program(world: World) -> None:
        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)
        world.check()

    other = world.aside(program, release=before)
    await program(world)
    for label, one in ((before, other), (after, world)):
        snapshot = one.snapshot()
        world.result(f"{label}: pages", snapshot.pages)
        world.result(f"{label}: growths", snapshot.grows)


if __name__ == "__main__":
    reuse_before_after.main()
