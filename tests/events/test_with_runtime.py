"""What the emulated runtime says, as a log: every line of it fits the format."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from gorun_mem.events import MemorySink, Recorder
from gorun_mem.events.log import json_logger
from gorun_mem.events.schema import make_schema
from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.boot import BootOptions, boot
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo

PLATFORMS = [
    ("go1.19", "js/wasm"),
    ("go1.21", "js/wasm"),
    ("go1.24.5", "js/wasm"),
    ("go1.27", "wasip1/wasm"),
    ("go1.23", "plan9/amd64"),
    ("go1.27", "plan9/386"),
]


async def work(os: Any, mheap: Any) -> None:
    """Arenas, allocations, frees in the middle and at the end, and a growth that is refused."""
    await mheap.sys_alloc(1 << 20)
    first = await os.sys_alloc_os(65536)
    second = await os.sys_alloc_os(131072)
    third = await os.sys_alloc_os(65536)
    await os.sys_free_os(first, 65536)
    await os.sys_free_os(third, 65536)
    await os.sys_free_os(second, 131072)
    await os.sys_alloc_os(4096, "small")
    await mheap.sys_alloc(3 << 20)
    os.memory.fail_next(9)
    assert await os.sys_alloc_os(1 << 26) == 0


def run(go: str, platform: str, level: str = "debug") -> list[dict]:  # type: ignore[type-arg]
    sink = MemorySink()
    recorder = Recorder(json_logger(sink), level=level)  # type: ignore[arg-type]
    recorder.m = 1
    of = release(go)
    runtime = boot(
        of,
        of.platform(platform),
        BootOptions(mem_debug=True, faithful=True),
        memlock=make("js", of, sink=recorder),
        sink=recorder,
    )
    solo(work(runtime.os, runtime.mheap), SoloM())
    return [json.loads(line) for line in sink.lines]


@pytest.mark.parametrize(("go", "platform"), PLATFORMS)
def test_lines_fit_the_schema(go: Any, platform: str) -> None:
    """Each line that a release's memory layer causes is valid, and `seq` has no gaps."""
    validator = jsonschema.Draft202012Validator(make_schema())
    lines = run(go, platform)
    assert len(lines) > 20
    for line in lines:
        validator.validate(line)
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize(("go", "platform"), PLATFORMS)
def test_calls_are_whole(go: Any, platform: str) -> None:
    """Each call has one id with one mem.call and one mem.return, and all that happens between
    them on this M, memlock included, carries an id."""
    lines = run(go, platform)
    calls = [line["op"] for line in lines if line["event"] == "mem.call"]
    returns = [line["op"] for line in lines if line["event"] == "mem.return"]
    assert sorted(calls) == sorted(returns) == list(range(1, len(calls) + 1))
    for line in lines:
        if line["event"].startswith(("lock.", "freelist.", "brk.", "mem.")):
            assert "op" in line, line
            assert line["site"].startswith("runtime.sys")


@pytest.mark.parametrize(("go", "platform"), PLATFORMS)
def test_canonical_is_a_part(go: Any, platform: str) -> None:
    """At the canonical level the same calls have the same ids and answers."""

    def returns(level: str) -> Any:
        return [
            {name: value for name, value in line.items() if name != "seq"}
            for line in run(go, platform, level)
            if line["event"] in ("mem.return", "lock.release")
        ]

    assert returns("canonical") == returns("debug") != []
