"""Requests answered on behalf of an M of a shared World.

The calls enter the World's OS layer in the M's own coroutine, so they take memlock against every
other M's. What only looks at the memory goes through `replay.ops.Onlooker`, as in a script.

In a strict World, the default, what no correct program does is refused with nothing changed: the
World is everybody's. Beside illegal frees, which the layer itself refuses, these are writes to
memory that is not handed out, looks beyond the memory, and sizes whose rounding wraps around the
address space. Which M owns a range does not matter to Go; here what a client got is its own, unless
it shares it or the service is `--shared`. What concerns all, as `limit`, needs the right to. And
nobody may ask for so much that others suffer: requests, clients and the World have bounds.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.machine.ops import Access
from gorun_mem.replay.ops import Onlooker, Options, reserve_aligned_generic
from gorun_mem.runtime.boot import brk_limit
from gorun_mem.runtime.errors import EmulatedFailure, Fault, IllegalUse
from gorun_mem.runtime.pages import pages_of
from gorun_mem.service import slices
from gorun_mem.service.byhand import LocksByHand
from gorun_mem.service.host import BREATHE
from gorun_mem.service.owners import OwnersLedger
from gorun_mem.service.settings import Settings

if TYPE_CHECKING:
    from gorun_mem.machine.m import M
    from gorun_mem.machine.world import World
    from gorun_mem.runtime.mutex import StateMutex

_ADMIN: Final = frozenset({"limit", "failnext", "hostgrow"})
"""What is done to the machine, and so to all."""


class Answers:
    """Answers what concerns the World.

    Args:
        world: the shared World.
        settings: the bounds and rights.
        lock_made: told of each lock that a client's `lock` made.

    Attributes:
        by_hand: the locks that clients hold.
        ledger: who owns what, None in a faithful World.
        admins: ids of the Ms that may do what concerns all.
        calls: requests so far that entered the OS layer.
        operations: what an M awaits, as `operation(m, *operands)`; an illegal one raises
            IllegalUse, and one that ends the emulated program an EmulatedFailure.
    """

    def __init__(
        self,
        world: World,
        service: Settings,
        lock_made: Callable[[StateMutex], None] = lambda mutex: None,
    ) -> None:
        config, settings = world.config, world.settings
        self._service = service
        self._limits = service.limits
        self.admins: set[int] = set()
        self._world = world
        self._os = world.runtime.os
        self._mask = settings.platform.word_mask
        self._page = settings.platform.page_size
        self._strict = not config.faithful
        self.ledger = self._own_ledger()
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
            "share": self._share,
            "fill": self._fill,
            "iszero": self._iszero,
            "dump": self._dump,
            "dump full": self._dump_full,
            "snapshot": self._snapshot,
            **self.by_hand.operations,
        }

    def _own_ledger(self) -> OwnersLedger | None:
        """The book of who owns what, kept by client too."""
        os = self._os
        if os.ledger is None:
            return None
        ledger = OwnersLedger()
        for low, high, owner in os.ledger.live_ranges():
            ledger.handed_out(low, high - low, owner.function, owner.m)
        os.ledger = ledger
        return ledger

    # Calls.

    async def _alloc(self, m: M, n: int) -> str:
        self._check_size("alloc", n)
        self._check_quota(m, "alloc", n)
        self.by_hand.entering(m, "alloc")
        self.calls += 1
        return str(await self._os.sys_alloc_os(n))

    async def _free(self, m: M, v: int, n: int) -> str:
        self._check_size("free", v + n)
        self._check_owner(m, "free", v, n)
        self.by_hand.entering(m, "free")
        self.calls += 1
        if n > slices.LOOK_BYTES:
            await self.give_back(v, n)
        else:
            await self._os.sys_free_os(v, n)
        return "ok"

    async def give_back(self, v: int, n: int) -> None:
        """Free a range; what a large one holds is cleared before, in slices, the last first.

        Memory that lies at the end of the process's goes back to the system at once. Were the first
        cleared first, it would all go with the last: half a second's worth for 4 GiB.

        Raises:
            IllegalUse: the range is not to be freed.
        """
        if n > slices.LOOK_BYTES and self.ledger is not None:
            for start, size in reversed([*slices.parts_of(v, n, slices.LOOK_BYTES)]):
                if self.ledger.refusal(v, start + size - v, "free") is not None:
                    break  # another frees a part of it at the same time; the call says so
                self._os.memory.wipe(start, size)
                await BREATHE
        await self._os.sys_free_os(v, n)

    async def _reserve(self, m: M, v: int, n: int) -> str:
        self._check_size("reserve", n)
        self._check_quota(m, "reserve", n)
        self.by_hand.entering(m, "reserve")
        self.calls += 1
        return str(await self._os.sys_reserve_os(v, n))

    async def _reserve_aligned(self, m: M, size: int, align: int) -> str:
        self._check_size("reserve_aligned", size + align)
        if self._strict and (align == 0 or align & (align - 1)):
            raise IllegalUse(f"reserve_aligned: ALIGN {align} is no power of two")
        self._check_quota(m, "reserve_aligned", size + align)
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
                self._check_reach(m, kind, v)
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

    def _check_reach(self, m: M, kind: str, v: int) -> None:
        ledger = self.ledger
        if ledger is None:
            return
        size = self._os.platform.word_size
        if not ledger.is_of(m.id, v, size):
            what = _access_of(m, kind, v)
            refusal = ledger.refusal(v, size, what)
            if refusal is None and not self._service.shared:
                refusal = ledger.foreign(v, size, m.id, what)
            if refusal is not None:
                raise refusal
        if kind == "store":
            self._check_resident(_access_of(m, kind, v), size)

    def _check_owner(self, m: M, name: str, v: int, n: int) -> None:
        ledger = self.ledger
        if ledger is None or self._service.shared or ledger.is_of(m.id, v, n):
            return
        refusal = ledger.foreign(v, n, m.id, f"{name} of [{v:#x}, {v + n:#x}) by M{m.id}")
        if refusal is not None:
            raise refusal

    def _check_quota(self, m: M, name: str, n: int) -> None:
        """Whether a client may ask for `n` bytes more."""
        limits, ledger = self._limits, self.ledger
        if n > limits.request_bytes:
            self._check_request(name, n)
        if ledger is None:
            return
        if ledger.bytes_of(m.id) + n > limits.client_bytes:
            raise IllegalUse(
                f"{name}: M{m.id} owns {ledger.bytes_of(m.id):,} bytes, and with {n:,} more it "
                f"would own more than {limits.client_bytes:,} (--client-max)"
            )
        if ledger.count_of(m.id) >= limits.client_ranges:
            raise IllegalUse(
                f"{name}: M{m.id} owns {limits.client_ranges:,} ranges, as many as a client may "
                "(--ranges-max)"
            )
        if ledger.live_count >= limits.world_ranges:
            raise IllegalUse(
                f"{name}: {ledger.live_count:,} ranges are handed out, as many as a World of a "
                "service may have; free some"
            )

    def _check_request(self, name: str, n: int) -> None:
        if n > self._limits.request_bytes:
            raise IllegalUse(
                f"{name}: {n:,} bytes are more than a request may be about, "
                f"{self._limits.request_bytes:,} (--request-max)"
            )

    def _check_resident(self, what: str, n: int) -> None:
        """Whether `n` bytes more may be written."""
        most = self._limits.resident_bytes
        if self._os.memory.written_bytes + n > most:
            raise IllegalUse(
                f"{what}: the World's memory has {self._os.memory.written_bytes:,} bytes written, "
                f"and at most {most:,} may be (--resident-max); free some"
            )

    # What is no call.

    async def _share(self, m: M, v: int, n: int) -> str:
        if self.ledger is not None:
            self.ledger.share(v, v + n, m.id)
        return "ok"

    async def _fill(self, m: M, v: int, n: int, byte: int) -> str:
        self._check_request("fill", n)
        if byte:
            self._check_resident(f"fill of {n:,} bytes by M{m.id}", self._fresh(v, n))
        most = slices.FILL_BYTES if self._lies_inside(v, n) else n
        for start, size in slices.parts_of(v, n, most):
            if start != v:
                await BREATHE
            if self.ledger is not None:
                # Looked at before each part: a range that is shared may go meanwhile.
                what = f"fill of [{start:#x}, {v + n:#x}) by M{m.id}"
                refusal = self.ledger.refusal(start, v + n - start, what)
                if refusal is not None:
                    raise refusal
                self._check_owner(m, "fill", start, v + n - start)
            self._onlooker.inspections["fill"](start, size, byte)
        return "ok"

    def _lies_inside(self, v: int, n: int) -> bool:
        """Whether it is no fault to touch a range; a fault is one before anything is done."""
        return v > 0 and v + n <= self._os.memory.size

    def _fresh(self, v: int, n: int) -> int:
        """How much of a range is not written yet, at most."""
        return max(n - self._os.memory.written_in(v, n), 0)

    async def _iszero(self, m: M, v: int, n: int) -> str:
        self._check_request("iszero", n)
        self._check_look("iszero", v, n)
        found = 0
        most = slices.LOOK_BYTES if self._lies_inside(v, n) else n
        for start, size in slices.parts_of(v, n, most):
            if start != v:
                await BREATHE
            found += int(self._onlooker.inspections["iszero"](start, size))
        return str(found)

    async def _dump(self, m: M) -> str:
        return await _in_slices(slices.dump(self._onlooker, self._world))

    async def _dump_full(self, m: M) -> str:
        return await _in_slices(slices.dump_full(self._onlooker, self._world))

    async def _snapshot(self, m: M) -> str:
        return await _in_slices(slices.snapshot(self._world, self.ledger))

    def inspect(self, m: M, name: str, operands: tuple[int, ...]) -> str:
        """The answer to a request that is none of `operations`.

        Raises:
            IllegalUse: it is not allowed; nothing changed.
            EmulatedFailure: it ended the emulated program.
        """
        if name == "statistics":
            return json.dumps(self.statistics())
        if name in _ADMIN and not (self._service.admin or m.id in self.admins):
            raise IllegalUse(
                f"{name}: it concerns all clients; the service must run with --admin, or the "
                "client say a token that may"
            )
        if name == "word":
            self._check_look(name, operands[0], 8)
        return self._onlooker.inspections[name](*operands)

    def _check_look(self, name: str, v: int, n: int) -> None:
        if self._strict:
            try:
                self._os.memory.check_range(v, n, name)
            except Fault as fault:
                raise IllegalUse(f"{name} at {fault.address:#x}: {fault.detail}") from None

    def statistics(self) -> dict[str, Any]:
        """What the World has counted."""
        world = self._world
        locks = {
            name: _lock(lock.statistics(world.engine.now_ns))
            for name, lock in world.mutexes.items()
        }
        return {**self.figures(), "locks": locks}

    def figures(self) -> dict[str, Any]:
        """The same without the locks, which cost a pass over what was counted of them."""
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
        }


def _access_of(m: M, kind: str, v: int) -> str:
    return f"{kind} by M{m.id} at {v:#x}"


async def _in_slices(answers: Iterator[str]) -> str:
    """The last of the answers; all others go on between two."""
    for answer in answers:
        if answer:
            return answer
        await BREATHE
    raise AssertionError("a request in slices ends with its answer")


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
