"""Profiles as `go tool pprof` reads them: profile.proto, encoded by hand.

It has few kinds of message: a varint, a length, a tag.

Source: github.com/google/pprof, proto/profile.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

ValueType = tuple[str, str]
"""What a value is, and its unit."""


@dataclass(frozen=True, slots=True)
class ProfileSample:
    """One line of a profile.

    Args:
        stack: function names, the leaf first.
        values: one for each type of the profile's.
        labels: pairs of a key and a text.
    """

    stack: Sequence[str]
    values: Sequence[int]
    labels: Sequence[tuple[str, str]] = ()


def _varint(value: int) -> bytes:
    """`value` in base 128, low digits first; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))


class _Strings:
    """profile.proto's string table: index 0 is ""."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {"": 0}

    def __getitem__(self, text: str) -> int:
        return self._index.setdefault(text, len(self._index))

    def encode(self) -> bytes:
        return b"".join(
            _message(6, text.encode("utf-8", "backslashreplace")) for text in self._index
        )


def _value_type(strings: _Strings, what: str, unit: str) -> bytes:
    return _number(1, strings[what]) + _number(2, strings[unit])


_INT64_MAX: Final = (1 << 63) - 1


def encode(
    types: Sequence[ValueType],
    samples: Iterable[ProfileSample],
    comments: Iterable[str],
    *,
    period: ValueType,
    duration_ns: int = 0,
) -> bytes:
    """A Profile, not compressed; its last type is what is shown where none is asked for.

    Args:
        types: of the values.
        samples: what it holds.
        comments: shown by `go tool pprof -comments`.
        period: what one of is counted.
        duration_ns: length of the run.
    """
    strings = _Strings()
    functions: dict[str, int] = {}
    body = bytearray()
    for what, unit in types:
        body += _message(1, _value_type(strings, what, unit))
    for sample in samples:
        ids = [functions.setdefault(name, len(functions) + 1) for name in sample.stack]
        body += _message(
            2,
            _packed(1, ids)
            + _packed(2, (min(value, _INT64_MAX) for value in sample.values))
            + b"".join(
                _message(3, _number(1, strings[key]) + _number(2, strings[text]))
                for key, text in sample.labels
            ),
        )
    for name, number in functions.items():
        # One location a function, and no addresses: nothing here is machine code.
        body += _message(4, _number(1, number) + _message(4, _number(1, number)))
        text = strings[name]
        body += _message(5, _number(1, number) + _number(2, text) + _number(3, text))
    tail = _number(10, max(0, min(duration_ns, _INT64_MAX)))
    tail += _message(11, _value_type(strings, *period)) + _number(12, 1)
    tail += b"".join(_number(13, strings[text]) for text in comments)
    tail += _number(14, strings[types[-1][0]])
    return bytes(body) + strings.encode() + tail
