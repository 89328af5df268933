"""Requests that take long, in slices: between two, all other clients go on.

What is looked at is copied first, which is quick, so that an answer is of one moment however long
it takes to write it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.replay.digest import CopyRoom, MemoryDigest
from gorun_mem.runtime.errors import IllegalUse
from gorun_mem.runtime.linear_memory import FRAME
from gorun_mem.runtime.pages import pages_of

if TYPE_CHECKING:
    from gorun_mem.machine.world import World
    from gorun_mem.replay.ops import Onlooker
    from gorun_mem.service.owners import OwnersLedger

FILL_BYTES: Final = 4 << 20
"""Written in a slice."""
LOOK_BYTES: Final = 16 << 20
"""Addresses looked through in a slice."""
ENTRIES: Final = 2000
"""Ranges or blocks put into words in a slice."""
CHUNKS: Final = 4
"""Lists of some hundreds of ranges that make as many."""
COPY_BYTES_MAX: Final = 64 << 20
"""The most memory that is copied for an answer, at once, in 7 ms."""

_HEADERS: Final = {4: Struct("<II"), 8: Struct("<QQ")}


def parts_of(start: int, n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, bytes) of the slices of a range, at least one."""
    end = start + n
    at = start
    while True:
        until = min(end, (at + size) & ~(FRAME - 1)) if end - at > size else end
        yield at, until - at
        at = until
        if at >= end:
            return


def dump(onlooker: Onlooker, world: World) -> Iterator[str]:
    """The answer to `dump`, last of all; "" after each slice before."""
    os = world.runtime.os
    freelist = os.freelist
    if freelist is None or not freelist.indexed:
        yield onlooker.inspections["dump"]()
        return
    blocks = freelist.blocks("dump")
    view: dict[str, Any] = {"bloc": os.bloc, "blocMax": os.bloc_max, "pages": os.pages}
    header = _HEADERS[os.platform.word_size].pack
    digest = hashlib.sha256()
    texts = []
    # The index is what the headers say: each holds the address of the next block and its size.
    addrs = [addr for addr, _ in blocks[1:]] + [0]
    for first in range(0, len(blocks), ENTRIES):
        some = blocks[first : first + ENTRIES]
        for (_, size), following in zip(some, addrs[first : first + ENTRIES], strict=True):
            digest.update(header(following, size))
        texts.append(json.dumps(some, separators=(",", ":"))[1:-1])
        yield ""
    head = json.dumps(view, separators=(",", ":"))[:-1]
    free = ",".join(texts)
    yield f'{head},"free":[{free}],"headers_sha256":"{digest.hexdigest()}"}}'


def dump_full(onlooker: Onlooker, world: World) -> Iterator[str]:
    """The answer to `dump full`, last of all; "" after each slice before.

    Raises:
        IllegalUse: more is written than can be copied in a slice.
    """
    memory = world.runtime.memory
    room = CopyRoom(COPY_BYTES_MAX)
    while room.ready < memory.written_bytes <= COPY_BYTES_MAX:  # others go on writing
        room.make_ready()
        yield ""
    if memory.written_bytes > COPY_BYTES_MAX:
        raise IllegalUse(
            f"dump full: {memory.written_bytes:,} bytes of memory are written, and a service "
            f"hashes at most {COPY_BYTES_MAX:,}; ask for dump, or for parts by iszero and word"
        )
    digest = MemoryDigest(memory, world.runtime.os.top, into=room)
    text = ""
    for text in dump(onlooker, world):  # which copies the list at its first step: now
        if not text:
            yield ""
    for _ in digest.pieces():
        yield ""
    yield f"{text[:-1]},{json.dumps(digest.view(), separators=(',', ':'))[1:]}"


def snapshot(world: World, ledger: OwnersLedger | None) -> Iterator[str]:
    """The answer to `snapshot`, last of all; "" after each slice before."""
    os, runtime = world.runtime.os, world.runtime
    live = ledger.live_copied() if ledger is not None else iter(())
    free = os.freelist.blocks() if os.freelist is not None else []
    head = {"pages": pages_of(os.top), "bloc": os.bloc, "bloc_max": os.bloc_max}
    tail = {"grows": runtime.memory.grows, "grows_refused": runtime.memory.fails}
    free_texts, live_texts = [], []
    for first in range(0, len(free), ENTRIES):
        free_texts.append(json.dumps(free[first : first + ENTRIES])[1:-1])
        yield ""
    for number, ranges in enumerate(live):
        if some := [(low, high - low, str(owner)) for low, high, owner in ranges]:
            live_texts.append(json.dumps(some)[1:-1])
        if number % CHUNKS == 0:
            yield ""
    yield (
        f'{json.dumps(head)[:-1]}, "free": [{", ".join(free_texts)}], '
        f'"live": [{", ".join(live_texts)}], {json.dumps(tail)[1:]}'
    )
