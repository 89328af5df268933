"""Fixtures for the tests of the emulated runtime."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.boot import BootOptions, Runtime, boot
from gorun_mem.runtime.freelist import FreeList
from gorun_mem.runtime.linear_memory import LinearMemory
from gorun_mem.runtime.memory import Plan9Segment, WasmMemory
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo

PLATFORMS = ["js/wasm", "plan9/amd64", "plan9/386"]


class Bench:
    """A free list on a memory of its own, its blocks being whole pages from page 1 on."""

    def __init__(self, platform: str, *, use_index: bool = True, mem_debug: bool = False) -> None:
        self.platform = release("go1.27").platform(platform)
        self.page = page = self.platform.page_size
        self.word = self.platform.word_size
        self.memory: LinearMemory
        if self.platform.is_wasm:
            self.memory = WasmMemory(16)
        else:
            self.memory = Plan9Segment(16 * page, 16 * page, self.word)
        self.list = FreeList(self.memory, self.round, use_index=use_index, mem_debug=mem_debug)

    def round(self, n: int) -> int:
        return -(-n // self.page) * self.page & self.platform.word_mask

    def free(self, first: int, pages: int = 1) -> None:
        self.list.mem_free(first * self.page, pages * self.page)

    def alloc(self, pages: int) -> int:
        """The page number of what is got; 0 for none."""
        return self.list.mem_alloc_no_grow(pages * self.page) // self.page

    def pages(self) -> list[tuple[int, int]]:
        """(first page, pages) of each free block."""
        return [(a // self.page, n // self.page) for a, n in self.list.blocks()]

    def header(self, page: int) -> tuple[int, int]:
        return self.memory.load_header(page * self.page)


class Calls:
    """A runtime and one M that calls it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.os: Any = runtime.os
        self.m = SoloM()
        self.page = runtime.platform.page_size

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        return solo(call, self.m)

    def alloc(self, n: int) -> int:
        p: int = self.do(self.os.sys_alloc_os(n))
        return p

    def free(self, v: int, n: int) -> None:
        self.do(self.os.sys_free_os(v, n))

    def reserve(self, v: int, n: int) -> int:
        p: int = self.do(self.os.sys_reserve_os(v, n))
        return p

    def aligned(self, size: int, align: int) -> tuple[int, int]:
        found: tuple[int, int] = self.do(self.os.sys_reserve_aligned_sbrk(size, align))
        return found


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["index", "walk"])
def use_index(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def bench(platform: str, use_index: bool) -> Bench:
    return Bench(platform, use_index=use_index)


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def start() -> Callable[..., Calls]:
    """start("go1.27", "js/wasm", ...) boots a runtime with the one-M mutex."""

    def start(release_name: str, platform: str, **options: Any) -> Calls:
        known = release(release_name)
        memlock = make("js", known)
        return Calls(boot(known, known.platform(platform), BootOptions(**options), memlock=memlock))

    return start
