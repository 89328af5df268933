"""The OS layer whose accesses are steps, driven by hand."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from gorun_mem.runtime.access import PARTS, Point
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.boot import boot
from gorun_mem.runtime.call import Call, LayerState
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.mutex import make
from gorun_mem.runtime.op import Op
from gorun_mem.runtime.sink import Sink
from gorun_mem.step.solo import SoloM, solo


def taken_apart(name: str = "go1.24.3", platform: str = "plan9/amd64") -> Any:
    """The OS layer of a runtime whose accesses are steps, without a lock."""
    known = release(name)
    memlock = make("none", known)
    return boot(known, known.platform(platform), memlock=memlock, parts=PARTS).os


def in_turn(*calls: Coroutine[Op, Any, Any]) -> list[Any]:
    """Drive calls of as many Ms, an access of each at a time; what they answered."""
    answers: list[Any] = [None] * len(calls)
    ms = [SoloM() for _ in calls]
    ops = {number: call.send(None) for number, call in enumerate(calls)}
    while ops:
        for number, op in list(ops.items()):
            assert op.begin(ms[number])
            try:
                ops[number] = calls[number].send(op.step(ms[number]))
            except StopIteration as ended:
                answers[number] = ended.value
                del ops[number]
    return answers


def test_calls_that_are_under_way_together_count_their_own_work() -> None:
    """Two frees and then two searches, an access of each in turn: each call's return and charge has
    the bytes cleared, the headers looked at and the pages grown for it, and no other's."""
    os = taken_apart()
    p = solo(os.sys_alloc_os(16 * 4096), SoloM())
    returns: list[Call] = []
    charged: list[tuple[str, int]] = []

    class Returns(Sink):
        def mem_return(self, call: Call, state: LayerState, /) -> None:
            returns.append(call)

    os.sink = Returns()
    os.charge = lambda kind, units: charged.append((kind, units))
    in_turn(os.sys_free_os(p, 3 * 4096), os.sys_free_os(p + 8 * 4096, 4096))
    assert sorted((call.n, call.cleared_bytes) for call in returns) == [
        (4096, 4096), (3 * 4096, 3 * 4096),
    ]  # fmt: skip
    assert sorted(charged) == [("clear", 4096), ("clear", 3 * 4096)]
    os = taken_apart()
    p = solo(os.sys_alloc_os(16 * 4096), SoloM())
    for i, pages in ((0, 1), (2, 1), (4, 5)):
        solo(os.sys_free_os(p + i * 4096, pages * 4096), SoloM())
    returns.clear()
    charged.clear()
    os.sink = Returns()
    os.charge = lambda kind, units: charged.append((kind, units))
    in_turn(os.sys_alloc_os(2 * 4096), os.sys_alloc_os(9 * 4096), os.sys_alloc_os(4096))
    assert sorted((call.n, call.search_steps, call.path, call.grown_pages) for call in returns) == [
        (4096, 1, "freelist", 0), (2 * 4096, 3, "freelist", 0), (9 * 4096, 3, "sbrk", 9),
    ]  # fmt: skip
    assert charged == [("grow", 9)]


def test_a_release_without_a_free_list_cannot_be_taken_apart() -> None:
    """Nothing stands in for wasm's layer up to 1.20, and boot says so."""
    with pytest.raises(IllegalUse, match=r"go1\.20 on js/wasm has no free list to interleave"):
        taken_apart("go1.20", "js/wasm")


def test_a_lone_m_can_drive_it() -> None:
    """`solo` drives a runtime that was taken apart as it drives any, an access a step."""
    os = taken_apart()
    assert solo(os.sys_alloc_os(4096), SoloM()) == 0x160000
    ops = []
    coro = os.sys_alloc_os(4096)
    op = coro.send(None)
    with pytest.raises(StopIteration) as ended:  # noqa: PT012  the last send ends the call
        while True:
            ops.append(f"{op.kind} {op.obj}")
            assert op.begin(SoloM())
            op = coro.send(op.step(SoloM()))
    assert ended.value.value == 0x161000
    assert ops == [
        "none.lock memlock.key", "load memFreelist", "load bloc", "load bloc_max", "brk memory",
        "store bloc_max", "store bloc", "none.unlock memlock.key",
    ]  # fmt: skip
    assert Point("load", "bloc", True, int).reads_only
