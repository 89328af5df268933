"""Requests answered on behalf of an M of a shared World.

The calls enter the World's OS layer in the M's own coroutine, so they take memlock against every
other M's. What only looks at the memory goes through `replay.ops.Onlooker`, as in a script.

In a strict World, the default, what no correct program does is refused with nothing changed: the
World is everybody's. Beside illegal frees, which the layer itself refuses, these are writes to
memory that is not handed out, looks beyond the memory, and sizes whose rounding wraps around the
address space. Which M owns a range does not matter: in Go memory may be freed by another M.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.machine.ops import Access
from gorun_mem.replay.ops import Onlooker, Options, reserve_aligned_generic
from gorun_mem.runtime.boot import brk_limit
from gorun_mem.runtime.errors import EmulatedFailure, Fault, IllegalUse
from gorun_mem.runtime.pages import pages_of
from gorun_mem.service.byhand import LocksByHand

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.mutex import StateMutex

_READS_ONLY: Final = frozenset({"word", "iszero"})


class Answers:
    """Answers what concerns the World.

    Args:
        world: the shared World.
        lock_made: told of each lock that a client's `lock` made.

    Attributes:
        by_hand: the locks that clients hold.
        calls: requests so far that entered the OS layer.
        operations: what an M awaits, as `operation(m, *operands)`; an illegal one raises
            IllegalUse, and one that ends the emulated program an EmulatedFailure.
    """

    def __init__(
        self, world: World, lock_made: Callable[[StateMutex], None] = lambda mutex: None
    ) -> None:
        config, settings = world.config, world.settings
        self._world = world
        self._os = world.runtime.os
        self._mask = settings.platform.word_mask
        self._page = settings.platform.page_size
        self._strict = not config.faithful
        self._onlooker = Onlooker(
            world.runtime,
            Options(
                release=config.release or settings.release.name,
                platform=settings.platform.name,
                end=config.data_end,
                init_pages=config.initial_pages,
                max_pages=config.max_pages,
                brk_max=brk_limit(config.max_pages),
                memdebug=config.mem_debug,
                strict=self._strict,
            ),
        )
        self.by_hand = LocksByHand(world, self._strict, lock_made)
        self.calls = 0
        self.operations: dict[str, Callable[..., Awaitable[str]]] = {
            "alloc": self._alloc,
            "free": self._free,
            "reserve": self._reserve,
            "reserve_aligned": self._reserve_aligned,
            "load": self._load,
            "store": self._store,
            "sleep": self._sleep,
            **self.by_hand.operations,
        }

    # Calls.

    async def _alloc(self, m: M, n: int) -> str:
        self._check_size("alloc", n)
        self.by_hand.entering(m, "alloc")
        self.calls += 1
        return str(await self._os.sys_alloc_os(n))

    async def _free(self, m: M, v: int, n: int) -> str:
        self._check_size("free", v + n)
        self.by_hand.entering(m, "free")
        self.calls += 1
        await self._os.sys_free_os(v, n)
        return "ok"

    async def _reserve(self, m: M, v: int, n: int) -> str:
        self._check_size("reserve", n)
        self.by_hand.entering(m, "reserve")
        self.calls += 1
        return str(await self._os.sys_reserve_os(v, n))

    async def _reserve_aligned(self, m: M, size: int, align: int) -> str:
        self._check_size("reserve_aligned", size + align)
        if self._strict and (align == 0 or align & (align - 1)):
            raise IllegalUse(f"reserve_aligned: ALIGN {align} is no power of two")
        self.by_hand.entering(m, "reserve_aligned")
        self.calls += 1
        if self._os.release.behaviour.is_sbrk_platform:
            p, got = await self._os.sys_reserve_aligned_sbrk(size, align)
        else:
            p, got = await reserve_aligned_generic(self._os, size, align)
        return f"{p} {got}"

    async def _load(self, m: M, v: int) -> str:
        value = await self._access(m, "load", v, lambda: self._os.memory.load_word(v))
        return str(value)

    async def _store(self, m: M, v: int, word: int) -> str:
        await self._access(m, "store", v, lambda: self._os.memory.store_word(v, word))
        return "ok"

    async def _access(self, m: M, kind: str, v: int, effect: Callable[[], object]) -> object:
        """A load or store; what is wrong with it is raised here, and not out of its step."""

        def attempt() -> object:
            try:
                self._check_reach(f"{kind} by M{m.id}", v)
                return effect()
            except EmulatedFailure as failure:
                return failure

        result: object = await Access(kind, v, attempt)
        if isinstance(result, EmulatedFailure):
            raise result
        return result

    async def _sleep(self, m: M, ns: int) -> str:
        await m.sleep(ns)
        return "ok"

    def _check_size(self, what: str, n: int) -> None:
        if self._strict and n > self._mask - self._page:
            raise IllegalUse(f"{what}: {n} bytes wrap around the address space")

    def _check_reach(self, what: str, v: int) -> None:
        ledger = self._os.ledger
        if ledger is None:
            return
        refusal = ledger.refusal(v, self._os.platform.word_size, f"{what} at {v:#x}")
        if refusal is not None:
            raise refusal

    # What is no call.

    def inspect(self, m: M, name: str, operands: tuple[int, ...]) -> str:
        """The answer to a request that is none of `operations`.

        Raises:
            IllegalUse: it is not allowed; nothing changed.
            EmulatedFailure: it ended the emulated program.
        """
        if name == "statistics":
            return json.dumps(self.statistics())
        if name == "snapshot":
            return json.dumps(asdict(self._world.snapshot()))
        if self._strict:
            self._check_inspection(m, name, operands)
        return self._onlooker.inspections[name](*operands)

    def _check_inspection(self, m: M, name: str, operands: tuple[int, ...]) -> None:
        ledger = self._os.ledger
        if name == "fill" and ledger is not None:
            v, n, _ = operands
            refusal = ledger.refusal(v, n, f"fill of [{v:#x}, {v + n:#x}) by M{m.id}")
            if refusal is not None:
                raise refusal
        if name in _READS_ONLY:
            try:
                n = operands[1] if name == "iszero" else 8
                self._os.memory.check_range(operands[0], n, name)
            except Fault as fault:
                raise IllegalUse(f"{name} at {fault.address:#x}: {fault.detail}") from None

    def statistics(self) -> dict[str, Any]:
        """What the World has counted."""
        world = self._world
        os = self._os
        ledger, freelist = os.ledger, os.freelist
        return {
            "steps": world.engine.steps,
            "time_ns": world.engine.now_ns,
            "calls": self.calls,
            "pages": pages_of(os.top),
            "bloc": os.bloc,
            "blocMax": os.bloc_max,
            "live_bytes": ledger.live_bytes if ledger is not None else None,
            "free_bytes": freelist.total_bytes if freelist is not None else 0,
            "free_blocks": freelist.count if freelist is not None else 0,
            "grows": os.memory.grows,
            "fails": os.memory.fails,
            "locks": {
                name: _lock(lock.statistics(world.engine.now_ns))
                for name, lock in world.mutexes.items()
            },
        }


def _lock(counted: Any) -> dict[str, Any]:
    """A lock's figures; percentiles of waits are those of contended acquisitions."""
    waits, holds = counted.contended_wait_ns, counted.hold_ns
    return {
        "mutex": counted.mutex,
        "acquisitions": counted.acquisitions,
        "contended": counted.contended,
        "wait_ns": sum(share.wait_ns for share in counted.by_m.values()),
        "wait_ns_p50": waits.p50,
        "wait_ns_p99": waits.p99,
        "wait_ns_max": waits.max,
        "hold_ns": sum(share.hold_ns for share in counted.by_m.values()),
        "hold_ns_p99": holds.p99,
        "spins": counted.spins,
        "sleeps": counted.sleeps,
        "queue_depth_max": counted.queue_depth_max,
        "waiting": counted.waiting,
        "by_m": {m: share.acquisitions for m, share in counted.by_m.items()},
    }
