"""The digests of a whole memory and the hash in both builds, against their plain definitions."""

from __future__ import annotations

import hashlib
import random

import pytest

from gorun_mem.replay.digest import READY_BYTES, CopyRoom, MemoryDigest
from gorun_mem.runtime import fnv, fnv_halves
from gorun_mem.runtime.linear_memory import FRAME, LinearMemory

TOP = 65536 + 5 * FRAME


def plain_fnv(data: bytes) -> int:
    state = 0xCBF29CE484222325
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 % (1 << 64)
    return state


def random_words(rng: random.Random, n: int) -> list[int]:
    kinds = (
        lambda: rng.getrandbits(64),
        lambda: rng.getrandbits(16) << 16,
        lambda: rng.getrandbits(8) << 8 * rng.randrange(8),
        lambda: 0,
        lambda: (1 << 64) - 1 - rng.getrandbits(8),
    )
    return [rng.choice(kinds)() for _ in range(n)]


def test_both_forms_of_the_hash_are_fnv1a() -> None:
    """The hash in 32-bit halves, that of wide ints, and the definition agree on random words of
    every width, and go on from any state."""
    rng = random.Random(7)
    for _ in range(300):
        words = random_words(rng, 2 * rng.randrange(6))
        wanted = plain_fnv(b"".join(word.to_bytes(8, "little") for word in words))
        assert fnv.fnv1a(fnv.OFFSET, *words) == wanted
        assert fnv_halves.fnv1a(fnv.OFFSET, words) == wanted
        for module in (fnv, fnv_halves):
            states = module.after_each(fnv.OFFSET, words[::2], words[1::2])
            assert (states or [fnv.OFFSET])[-1] == wanted
            assert len(states) == len(words) // 2


@pytest.mark.parametrize("copied", [False, True])
def test_the_digests_are_those_of_the_whole_memory(copied: bool) -> None:
    """Both digests, made piece by piece, are those of the bytes, for tops that cut a word too; of a
    copy they are what the memory was, whatever is written meanwhile."""
    rng = random.Random(3)
    memory, plain = LinearMemory(TOP, 8), bytearray(TOP)
    for _ in range(60):
        at, data = 8 * rng.randrange(1, TOP // 8 - 2), rng.getrandbits(64)
        memory.store_word(at, data)
        plain[at : at + 8] = data.to_bytes(8, "little")
    for top in (0, FRAME, 65536, 65536 + 3, TOP - 3, TOP):
        digest = MemoryDigest(memory, top, into=CopyRoom(TOP) if copied else None)
        if copied:
            memory.fill(FRAME, TOP - FRAME, 0xEE)
        for _ in digest.pieces():
            pass
        assert digest.sha256 == hashlib.sha256(plain[:top]).hexdigest()
        whole = range(65536, top - 7, 8)
        seen = [(at, plain[at : at + 8]) for at in whole if any(plain[at : at + 8])]
        assert digest.words == len(seen)
        assert digest.fnv == plain_fnv(
            b"".join(at.to_bytes(8, "little") + word for at, word in seen)
        )
        memory = LinearMemory(TOP, 8)
        for at in range(8, TOP, 8):
            memory.store_word(at, int.from_bytes(plain[at : at + 8], "little"))


def test_room_for_a_copy_is_made_ready_in_pieces() -> None:
    """Of a bounded size, up to its end; what was not made ready is copied all the same."""
    room = CopyRoom(2 * READY_BYTES + 5)
    seen = []
    while room.ready < 2 * READY_BYTES + 5:
        room.make_ready()
        seen.append(room.ready)
    assert seen == [READY_BYTES, 2 * READY_BYTES, 2 * READY_BYTES + 5]
    frames = [(0, b"a" * FRAME), (3 * FRAME, b"b" * FRAME)]
    assert list(room.copy_of(iter(frames))) == frames
    assert list(CopyRoom(2 * FRAME).copy_of(iter(frames))) == frames
