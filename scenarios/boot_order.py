"""osinit calls initBloc before it knows the page size: bloc starts at 0, over the program's data.

initBloc rounds the end of the program's data up to a page. The seed commit made that depend on
physPageSize, which is 0 until osinit has read it, and rounding to 0 gives 0: so it had to swap the
two calls on Plan 9. Here they stand in the old order.

In the log, look at the first `brk.move`, whose `bloc_before` is 0, and at the first `mem.return`,
whose `p` is 0: memory was had, and every caller takes it for nil. The next ones hand out what lies
above, the program's own code and data; `world.check()` then ends the run. With `--set order=right`
all is well, and so it is in the wrong order with `--release go1.20`, which rounds by a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from gorun_mem import Config, KiB, M, Range, World, scenario


def set_order(config: Config, options: Mapping[str, Any]) -> Config:
    """The order of osinit's calls is a setting of the World."""
    return config.but(wrong_order=options["order"] == "wrong")


@scenario(ms=1, platform="plan9/amd64", configure=set_order)
async def boot_order(
    world: World,
    *,
    order: Annotated[Literal["wrong", "right"], "of initBloc and physPageSize"] = "wrong",
    blocks: Annotated[int, "blocks that each M allocates", Range(2, 1000)] = 4,
) -> None:
    """With osinit in the wrong order bloc starts at 0 and the heap lies over the program's data."""
    addrs: list[int] = []

    async def worker(m: M) -> None:
        addrs.extend([await m.sys_alloc_os(64 * KiB) for _ in range(blocks)])

    world.result("bloc at the start", world.snapshot().bloc)
    async with world.open_ms() as ms:
        for _ in range(world.ms):
            ms.start_soon(worker)
    world.result("answers of 0", addrs.count(0))
    world.result("blocks over the data", sum(addr < world.runtime.data_end for addr in addrs))
    world.check()


if __name__ == "__main__":
    boot_order.main()
