"""Schedules as text that can be pasted.

A token is a version byte, varints of (gap, number) for what is not 0, then, deflated, what to run
and the kind and object of every step, and a CRC-32; all of it base64url. The steps' names tell a
replay on a program that was changed where it departs: "step 12: expected acquire memlock.key, got
load bloc". They are written by columns, so that Ms that do the same read the same: the shapes
("clear mem:0x."), the shape of each step, and for those that have an address how far it is from the
address before. Where the names would make the token longer than `NAMED_CHARS_MAX` a byte of hash
for each step stands in, and for very long runs nothing does.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

VERSION: Final = 2
NAMED_CHARS_MAX: Final = 1200
"""A token with the names of its steps is no longer than that, in characters."""
HASHED_CHARS_MAX: Final = 2400
TOKEN_CHARS_MAX: Final = 1 << 20
"""Longer text is no token."""
TAPE_MAX: Final = 1 << 24
"""No tape is longer, in numbers."""
_UNPACKED_MAX: Final = 1 << 24

_NO_STEPS, _NAMED, _HASHED = 0, 1, 2

_ADDRESS: Final = re.compile("0x([1-9a-f][0-9a-f]{0,14})(?![0-9a-f])")
_HERE: Final = "\x01"
"""Where a shape has its address; text that is escaped as JSON has no such character."""

# What deflate may refer back to, the likeliest last: words that most schedules hold. Part of the
# format.
_WORDS: Final = (
    b'"release":"go1.24.3","release":"dac514ea","platform":"plan9/386","platform":"js/wasm",'
    b'"platform":"wasip1/wasm","platform":"plan9/amd64","mutex":"futex","mutex":"queue",'
    b'"mutex":"sema","mutex":"spinbit","mutex":"none","granularity":"access","cpus":1,'
    b'"faithful":true,"max_pages":"mem_debug":true,"seed":"steps_max":"data_end":'
    b'{"config":{"ms":2},"function":"gorun_mem.explore.kernels.allocator:gorun_mem.explore.kernels.'
    b'wakeups:gorun_mem.explore.kernels.discriminators:gorun_mem.explore.kernels.locks:"}'
    b'{"config":{},"test":"tests/test_.py::test_"}'
    b'{"config":{"ms":3,"ms":4,"},"options":{"rounds":"1"},"scenario":"memlock_storm"}'
    b'"},"options":{},"scenario":"leaked_lock"}'
    b"\nwait \nset \nacquire lock\nrelease lock\nstart m\njoin ms\nnone.unlock memlock.key"
    b"\nyield cpu\nosyield cpu\nprocyield cpu\nsemawakeup m1.waitsema\nsemasleep m1.waitsema"
    b"\nfutexwakeup memlock.key\nfutexsleep memlock.key\nqueue.unlock memlock.key"
    b"\nqueue.lock memlock.key\natomic.or8 memlock.key\natomic.add memlock.key"
    b"\natomic.xchg memlock.key\natomic.xchg8 memlock.key\natomic.load memlock.key"
    b"\natomic.store memlock.key\natomic.cas memlock.key\nload.size mem:0x\x01"
    b"\nload.next mem:0x\x01\nstore.size mem:0x\x01\nstore.next mem:0x\x01\nclear mem:0x\x01"
    b"\nstore memFreelist\nstore bloc_max\nbrk memory\nload bloc_max\nstore bloc\nstart m"
    b"\nnone.lock memlock.key\nload memFreelist\nload bloc\nnone.unlock memlock.key"
    b"\nstore mem:0x\x01\ncompute cpu\nload mem:0x\x01\njoin ms"
)


class ScheduleError(ValueError):
    """A token or a schedule file that cannot be used; the message says what is wrong with it."""


def encoded(tape: Sequence[int], names: Sequence[str | int], about: Mapping[str, Any]) -> str:
    """The token of a schedule, with as much of the steps' names as there is room for.

    Args:
        tape: of the `Schedule`; `names` and `about` likewise.
    """
    if all(isinstance(name, str) for name in names):
        text = _encoded(tape, names, about, _NAMED if names else _NO_STEPS)
        if len(text) <= NAMED_CHARS_MAX:
            return text
    text = _encoded(tape, names, about, _HASHED)
    if len(text) <= HASHED_CHARS_MAX:
        return text
    return _encoded(tape, names, about, _NO_STEPS)


def _encoded(
    tape: Sequence[int], names: Sequence[str | int], about: Mapping[str, Any], detail: int
) -> str:
    data = bytearray([VERSION])
    _put_tape(data, tape)
    data.append(detail)
    data += _deflate(_pack(about, names, detail))
    data += zlib.crc32(data).to_bytes(4, "little")
    return base64.urlsafe_b64encode(bytes(data)).rstrip(b"=").decode()


def decoded(text: str) -> tuple[tuple[int, ...], tuple[str | int, ...], Mapping[str, Any]]:
    """Tape, names and about of the schedule that a token names.

    Raises:
        ScheduleError: it is damaged, or of another version.
    """
    data = _checked_bytes(text.strip())
    tape, at = _take_tape(data, 1)
    if at >= len(data):
        raise ScheduleError("token: it ends within the schedule; copy all of it")
    about, names = _unpack(_inflate(data[at + 1 :]), data[at])
    return tape, names, about


def name_hash(name: str) -> int:
    """A byte that stands for a step's name in a long token."""
    return zlib.crc32(name.encode()) & 0xFF


def _put_varint(data: bytearray, number: int) -> None:
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)


def _take_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next one is."""
    number = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise ScheduleError("token: a number is cut off or too long; copy the token again")


def _put_tape(data: bytearray, tape: Sequence[int]) -> None:
    departures = [(place, number) for place, number in enumerate(tape) if number]
    _put_varint(data, len(departures))
    before = -1
    for place, number in departures:
        _put_varint(data, place - before - 1)
        _put_varint(data, number)
        before = place


def _take_tape(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    count, at = _take_varint(data, at)
    tape: list[int] = []
    for _ in range(count):
        gap, at = _take_varint(data, at)
        number, at = _take_varint(data, at)
        if len(tape) + gap >= TAPE_MAX:
            raise ScheduleError(f"token: a schedule has at most {TAPE_MAX:,} decisions")
        tape += [0] * gap
        tape.append(number)
    return tuple(tape), at


def _pack(about: Mapping[str, Any], names: Sequence[str | int], detail: int) -> bytes:
    """What is deflated: what to run, then what is known of each step."""
    head = json.dumps(about, separators=(",", ":"), sort_keys=True).encode()
    if detail == _NAMED:
        return head + _pack_names([str(name) for name in names])
    hashes = (name_hash(name) if isinstance(name, str) else name & 0xFF for name in names)
    return head + b"\0" + (bytes(hashes) if detail == _HASHED else b"")


def _pack_names(names: Sequence[str]) -> bytes:
    """The shapes, a line each; then how many steps, the shape of each, and the addresses."""
    shapes: dict[str, int] = {}
    columns, addresses = bytearray(), bytearray()
    _put_varint(columns, len(names))
    before = 0
    for name in names:
        found = _ADDRESS.search(name)
        if found is None:
            shape = _escaped(name)
        else:
            address = int(found[1], 16)
            _put_varint(addresses, _zigzag(address - before))
            before = address
            shape = _escaped(name[: found.start(1)]) + _HERE + _escaped(name[found.end() :])
        _put_varint(columns, shapes.setdefault(shape, len(shapes)))
    lines = "".join(f"\n{shape}" for shape in shapes)
    return lines.encode() + b"\0" + columns + addresses


def _unpack(data: bytes, detail: int) -> tuple[Mapping[str, Any], tuple[str | int, ...]]:
    text, zero, rest = data.partition(b"\0")
    try:
        head, *lines = text.decode().split("\n")
        about = json.loads(head)
        shapes = [[_unescaped(part) for part in line.split(_HERE)] for line in lines]
    except (ValueError, RecursionError) as error:
        raise ScheduleError(f"token: what to run cannot be read: {error}") from None
    if not zero or not isinstance(about, dict) or detail not in (_NO_STEPS, _NAMED, _HASHED):
        raise ScheduleError("token: it was made by another version of gorun-mem")
    if detail == _NAMED:
        return about, _unpack_names(shapes, rest)
    return about, tuple(rest) if detail == _HASHED else ()


def _unpack_names(shapes: Sequence[Sequence[str]], data: bytes) -> tuple[str, ...]:
    count, at = _take_varint(data, 0)
    if count > len(data):
        raise ScheduleError(f"token: names of {count:,} steps are missing; copy the token again")
    columns: list[int] = []
    for _ in range(count):
        index, at = _take_varint(data, at)
        columns.append(index)
    names: list[str] = []
    address = 0
    for index in columns:
        if index >= len(shapes):
            raise ScheduleError(f"token: step {len(names) + 1} has no name")
        before, *after = shapes[index]
        if after:
            number, at = _take_varint(data, at)
            address += _unzigzag(number)
            before += f"{address:x}{after[0]}"
        names.append(before)
    return tuple(names)


def _escaped(text: str) -> str:
    """`text` without any character that is not printable ASCII."""
    return json.dumps(text)[1:-1]


def _unescaped(text: str) -> str:
    return str(json.loads(f'"{text}"'))


def _zigzag(number: int) -> int:
    """A number of either sign as one that is not negative, the small ones small."""
    return number << 1 if number >= 0 else ~(number << 1)


def _unzigzag(number: int) -> int:
    return ~(number >> 1) if number & 1 else number >> 1


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=_WORDS)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15, zdict=_WORDS)
    try:
        unpacked = unpacker.decompress(data, _UNPACKED_MAX)
    except zlib.error as error:
        raise ScheduleError(f"token: it cannot be unpacked: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise ScheduleError("token: it is cut off, or longer than any schedule; copy it again")
    return unpacked


def _checked_bytes(text: str) -> bytes:
    """The bytes of a token, without the checksum."""
    if not text:
        raise ScheduleError("token: it is empty")
    if len(text) > TOKEN_CHARS_MAX:
        raise ScheduleError(f"token: {len(text):,} characters; it is no token")
    try:
        plain = text.encode("ascii")
        if not plain.replace(b"-", b"a").replace(b"_", b"a").isalnum():
            raise ValueError
        data = base64.urlsafe_b64decode(plain + b"=" * (-len(plain) % 4))
    except (ValueError, binascii.Error):
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise ScheduleError(
            f"{shown!r} is neither a file nor a token: a token has letters, digits, - and _ only"
        ) from None
    if len(data) < 7:
        raise ScheduleError("token: it is too short; copy all of it")
    if data[0] != VERSION:
        raise ScheduleError(
            f"token: version {data[0]}; this gorun-mem reads version {VERSION}: search again"
        )
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ScheduleError(
            "token: its checksum does not fit: a character is wrong or missing: copy all of it"
        )
    return data[:-4]
