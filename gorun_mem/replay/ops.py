"""Operation scripts answered: one emulated program, one M, one operation at a time.

What Go does is in the runtime package; here are the operations that a script adds to look at it
(state, dump) and to disturb it (fill, limit, failnext), and the text of each answer.

A script has one M, so of a mutex only this matters: on wasm a held lock throws "self deadlock", on
Plan 9 the M sleeps for ever. Plan 9's mutexes differ in how Ms wait for each other, so here the
plain queue stands for them.

Rejected: going through mem.go's `Mem` for reserve_aligned. Its region states know nothing of what
the script's own calls did below them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from gorun_mem.replay.digest import MemoryDigest
from gorun_mem.replay.opscript import Operation, Script
from gorun_mem.runtime import fnv, mutex
from gorun_mem.runtime.behaviour import NEWEST, Platform, Release
from gorun_mem.runtime.behaviour import release as find_release
from gorun_mem.runtime.boot import (
    BRK_MAX,
    DATA_END,
    MAX_PAGES,
    BootOptions,
    Runtime,
    boot,
    check_start,
)
from gorun_mem.runtime.errors import (
    Deadlock,
    EmulatedFailure,
    Fault,
    Hang,
    IllegalUse,
    Throw,
)
from gorun_mem.runtime.ledger import Ledger
from gorun_mem.runtime.oslayer import OSLayer
from gorun_mem.step.solo import SoloM, solo

NO_BLOCKS: Final = f"{fnv.OFFSET:016x}"


class BadOptions(ValueError):
    """Options under which no program can be started; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a script runs under.

    Args:
        release: such as "go1.27.3".
        platform: such as "js/wasm".
        end: end of the program's data in bytes.
        init_pages: pages of 64 KiB at the start, wasm only; -1 leaves it to the linker's rule.
        max_pages: bound of wasm memory in pages of 64 KiB.
        brk_max: bound of Plan 9's break in bytes; BRK_MAX for none.
        memdebug: Go's memDebug: check the list after each change.
        strict: refuse a free that no correct program makes, in place of doing what Go does, and an
            answer of Go's that no program can live with: memory that is the host's or not zero, or
            less than was asked for.
    """

    release: str = NEWEST
    platform: str = "js/wasm"
    end: int = DATA_END
    init_pages: int = -1
    max_pages: int = MAX_PAGES
    brk_max: int = BRK_MAX
    memdebug: bool = False
    strict: bool = False

    def with_header(self, header: dict[str, Any]) -> Options:
        """These options with those of a script's header in their place.

        Keys that are no option, such as the recorder's mode and seed, are skipped.

        Raises:
            BadOptions: a value of the wrong kind.
        """
        known = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        given = {name: header[name] for name in known if name in header}
        for name, value in given.items():
            kind = known[name]
            if type(value) is not kind:
                raise BadOptions(f"{name} is {value!r:.60} and must be {_KINDS[kind]}")
        return replace(self, **given)

    def check(self) -> tuple[Release, Platform]:
        """The release and platform meant.

        Raises:
            UnknownRelease: there is no such release, or no such platform in it.
            BadOptions: a value that no program can start with.
        """
        release = find_release(self.release)
        platform = release.platform(self.platform)
        try:
            check_start(
                release,
                platform,
                BootOptions(
                    end=self.end,
                    initial_pages=self.init_pages,
                    max_pages=self.max_pages,
                    brk_max=self.brk_max,
                ),
            )
        except ValueError as error:
            raise BadOptions(str(error)) from None
        return release, platform


_KINDS: Final = {str: "a string", int: "an integer", bool: "true or false"}


class Onlooker:
    """What operations see of an emulated program, and how they disturb it.

    Args:
        runtime: the program's.
        options: what it runs under.
    """

    def __init__(self, runtime: Runtime, options: Options) -> None:
        self.options = options
        self.release = runtime.release
        self.platform = runtime.platform
        self._os = runtime.os
        self._memory = self._os.memory
        self._freelist = self._os.freelist
        self.inspections: dict[str, Callable[..., str]] = {
            "info": self._info,
            "fill": self._fill,
            "word": self._word,
            "iszero": self._iszero,
            "hostgrow": self._hostgrow,
            "limit": self._limit,
            "failnext": self._failnext,
            "state": self._state,
            "dump": self._dump,
            "dump full": self._dump_full,
        }
        """The operations that are no calls, by name."""

    def _info(self) -> str:
        platform = self.platform
        kind = "wasm" if platform.is_wasm else platform.goos
        options = self.options
        return (
            f"{options.release} {kind} page={platform.page_size} end={options.end} "
            f"max={options.max_pages} goos={platform.goos}"
        )

    # A user of the memory.

    def _fill(self, v: int, n: int, byte: int) -> str:
        self._memory.fill(v, n, byte)
        return "ok"

    def _word(self, v: int) -> str:
        return str(int.from_bytes(self._memory.read(v, 8), "little"))

    def _iszero(self, v: int, n: int) -> str:
        return str(self._memory.count_nonzero(v, n))

    # The system.

    def _hostgrow(self, pages: int) -> str:
        return str(self._os.host_grow(pages))

    def _limit(self, pages: int) -> str:
        self._memory.limit(pages)
        return "ok"

    def _failnext(self, n: int) -> str:
        self._memory.fail_next(n)
        return "ok"

    # What there is to see.

    def _state(self) -> str:
        count, total, fnv = self._free_summary()
        os, memory = self._os, self._memory
        return (
            f"bloc={os.bloc} blocMax={os.bloc_max} pages={os.pages} fl={count} fb={total} "
            f"fh={fnv} grows={memory.grows} fails={memory.fails}"
        )

    def _free_summary(self) -> tuple[int, int, str]:
        """Number of free blocks, their bytes and their hash."""
        freelist = self._freelist
        if freelist is None:
            return 0, 0, NO_BLOCKS
        if freelist.indexed:
            return freelist.count, freelist.total_bytes, f"{freelist.fnv():016x}"
        blocks = freelist.blocks("state")
        total = sum(size for _, size in blocks) & self.platform.word_mask
        return len(blocks), total, f"{freelist.fnv('state'):016x}"

    def _dump(self) -> str:
        return json.dumps(self._view(), separators=(",", ":"))

    def _dump_full(self) -> str:
        view = self._view()
        digest = MemoryDigest(self._memory, self._os.top)
        for _ in digest.pieces():
            pass
        return json.dumps({**view, **digest.view()}, separators=(",", ":"))

    def _view(self) -> dict[str, object]:
        os = self._os
        blocks = [] if self._freelist is None else self._freelist.blocks("dump")
        header = 2 * self.platform.word_size
        digest = hashlib.sha256()
        for addr, _ in blocks:
            digest.update(self._memory.read(addr, header))
        return {
            "bloc": os.bloc,
            "blocMax": os.bloc_max,
            "pages": os.pages,
            "free": blocks,
            "headers_sha256": digest.hexdigest(),
        }


class OpMachine(Onlooker):
    """One emulated program that answers operations.

    After an answer that ends the program (`failure` is set) it answers nothing more.

    Args:
        options: what it runs under.

    Attributes:
        failure: how the program ended, None while it lives.

    Raises:
        UnknownRelease: there is no such release, or no such platform in it.
        BadOptions: a value that no program can start with.
    """

    def __init__(self, options: Options) -> None:
        release, platform = options.check()
        self.failure: EmulatedFailure | None = None
        runtime = boot(
            release,
            platform,
            BootOptions(
                end=options.end,
                initial_pages=options.init_pages,
                max_pages=options.max_pages,
                brk_max=options.brk_max,
                mem_debug=options.memdebug,
                faithful=not options.strict,
            ),
            memlock=mutex.make(platform.goos if platform.is_wasm else "queue", release),
        )
        super().__init__(runtime, options)
        runtime.os.checks_zero = options.strict  # fill writes past the ledger
        self._m = SoloM()
        aligned = (
            self._reserve_aligned_sbrk
            if release.behaviour.is_sbrk_platform
            else self._reserve_aligned_generic
        )
        self._answers: dict[str, Callable[..., str]] = {
            "alloc": self._alloc,
            "free": self._free,
            "reserve": self._reserve,
            "reserve_aligned": aligned,
            **self.inspections,
        }

    def __repr__(self) -> str:
        return f"<OpMachine {self.release.name} {self.platform.name}>"

    def read_for(self, script: Script) -> None:
        """Let `script` be read as one for this program's platform."""
        script.word_mask = self.platform.word_mask
        script.has_host = self.platform.is_wasm

    def answer(self, operation: Operation) -> str:
        """What the operation answers, or how it ends the program: "throw ...", "fault ...".

        Raises:
            RuntimeError: the program has ended.
        """
        if self.failure is not None:
            raise RuntimeError(f"the program has ended: {self.failure}")
        try:
            answer = self._answers[operation.name](*operation.operands)
            ledger = self._os.ledger
            if ledger is not None and ledger.findings:
                self._refuse_what_was_found(ledger)
            return answer
        except EmulatedFailure as failure:
            if isinstance(failure, Deadlock):
                # lock2's loop around the semaphore is where a real M would stay.
                failure = Hang("lock2", 0)
            self.failure = failure
            return ending(failure)

    def _refuse_what_was_found(self, ledger: Ledger) -> None:
        """Where it is strict, an answer of Go's that no caller can live with is not given."""
        found = ledger.findings[0]
        raise IllegalUse(f"{found.what.removeprefix('gorun_mem: ')}: {found.text}")

    # Calls.

    def _alloc(self, n: int) -> str:
        return str(solo(self._os.sys_alloc_os(n), self._m))

    def _free(self, v: int, n: int) -> str:
        solo(self._os.sys_free_os(v, n), self._m)
        return "ok"

    def _reserve(self, v: int, n: int) -> str:
        return str(solo(self._os.sys_reserve_os(v, n), self._m))

    def _reserve_aligned_sbrk(self, size: int, align: int) -> str:
        p, got = solo(self._os.sys_reserve_aligned_sbrk(size, align), self._m)
        return f"{p} {got}"

    def _reserve_aligned_generic(self, size: int, align: int) -> str:
        p, got = solo(reserve_aligned_generic(self._os, size, align), self._m)
        return f"{p} {got}"


async def reserve_aligned_generic(os: OSLayer, size: int, align: int) -> tuple[int, int]:
    """sysReserveAligned of malloc.go up to 1.23, for v = nil: (address, size), or (0, 0)."""
    mask = os.platform.word_mask
    p = await os.sys_reserve_os(0, (size + align) & mask)
    if p == 0:
        return 0, 0
    if (size + align) & mask < size:
        os.found_short("sysReserveAligned", p, size, (size + align) & mask)
    if not p & (align - 1) & mask:
        return p, (size + align) & mask
    aligned = (p + align - 1) & ~(align - 1) & mask
    await os.sys_free_os(p, (aligned - p) & mask)
    end = (aligned + size) & mask
    rest = (p + size + align - end) & mask
    if rest:
        await os.sys_free_os(end, rest)
    return aligned, size


def ending(failure: EmulatedFailure) -> str:
    """The result line of an operation that ended the program."""
    if isinstance(failure, (Throw, Fault, Hang)):
        return str(failure)
    assert isinstance(failure, IllegalUse)
    return f"illegal {failure}"
