"""Binaries that are damaged or lie: a clear error each, soon, in little memory."""

from __future__ import annotations

import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gorun_mem.record.prepare import prepare
from gorun_mem.wasm.binary import Binary
from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.leb import uleb
from gorun_mem.wasm.module import Module

DAMAGED = int(os.environ.get("GORUN_MEM_DAMAGED", "160"))
"""How many; 3,000 were tried once by setting this."""
TABLE = bytes.fromhex("f1ffffff00000108")


def mutations(data: bytes) -> dict[str, Callable[[random.Random], bytes]]:
    """Kinds of damage, each of which makes another binary of `data`."""
    sections = Module.parse(data).sections
    table = data.find(TABLE)

    def overwrite(places: list[int], r: random.Random) -> bytes:
        made = bytearray(data)
        for place in places:
            made[place] = r.choice((0, 1, 0x7F, 0x80, 0xFF, r.randrange(256)))
        return bytes(made)

    def swapped(r: random.Random) -> bytes:
        order = [data[s.start : s.end] for s in sections]
        i, j = r.sample(range(len(order)), 2)
        order[i], order[j] = order[j], order[i]
        return data[:8] + b"".join(order)

    def huge_count(r: random.Random) -> bytes:
        s = r.choice(sections)
        count = uleb(r.choice((0xFFFF_FFFF, 0x7FFF_FFFF, 1 << 24, 1 << 20)))
        body = count + data[s.body + r.randrange(1, 4) : s.end]
        return data[: s.start] + bytes((s.id,)) + uleb(len(body)) + body + data[s.end :]

    def inserted(r: random.Random) -> bytes:
        s = r.choice(sections)
        return data[: s.body] + r.randbytes(1 + r.randrange(64)) + data[s.body :]

    return {
        "cut": lambda r: data[: r.randrange(len(data))],
        "flipped": lambda r: overwrite([r.randrange(len(data)) for _ in range(30)], r),
        "heads": lambda r: overwrite([r.choice(sections).start + r.randrange(12)], r),
        "tables": lambda r: overwrite([table + r.randrange(300) for _ in range(10)], r),
        "names": lambda r: overwrite([table + r.randrange(90_000) for _ in range(3000)], r),
        "swapped": swapped,
        "huge counts": huge_count,
        "inserted": inserted,
    }


def test_damage_is_told(build: Callable[..., Path]) -> None:
    """Each damaged binary is either still good or refused with a WasmError, within 5 s and 500 MiB;
    of each kind of damage some is found."""
    damage = mutations(build("hello", "wasip1").read_bytes())
    kinds = list(damage)
    refused: Counter[str] = Counter()
    said: list[str] = []
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(DAMAGED):
        r = random.Random(i)
        kind = kinds[i % len(kinds)]
        data = damage[kind](r)
        begun = time.process_time()
        try:
            Binary.parse(data).refusal()
            prepare(data, "span")
        except WasmError as error:
            refused[kind] += 1
            said.append(str(error))
        slowest = max(slowest, time.process_time() - begun)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert slowest < 5
    assert grown < 500 << 10  # KiB
    assert set(refused) == set(kinds)
    assert all(10 < len(text) < 400 for text in said)


@pytest.mark.parametrize("verb", ["predict", "releases", "record"])
def test_a_verb_says_it_in_a_sentence(
    build: Callable[..., Path], verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, the file's name and the reason, no traceback."""
    from gorun_mem.cli import main

    bad = tmp_path / "bad.wasm"
    bad.write_bytes(build("hello", "wasip1").read_bytes()[:500_000])
    assert main([verb, str(bad)]) == 2
    said = capsys.readouterr().err
    assert "bad.wasm" in said
    assert "cut off or damaged" in said
    assert "Traceback" not in said


def test_what_the_engine_refuses_is_told(build: Callable[..., Path], tmp_path: Path) -> None:
    """Code that does not validate is the engine's to find; its reason is passed on, exit 2."""
    from gorun_mem.record.run import RecordSettings, record

    data = bytearray(build("hello", "wasip1").read_bytes())
    module = Module.parse(bytes(data))
    place = module.bodies[100]
    data[place + 8 : place + 12] = b"\xff\xff\xff\xff"
    prepared = prepare(bytes(data), "span")
    with pytest.raises(WasmError, match="the engine refuses this binary"):
        record(prepared, tmp_path / "out.jsonl", "span", "bad", RecordSettings(["bad"]))
