"""Kinds of value on the command line: numbers, sizes, pages, names; each says what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem._near import no_such
from gorun_mem.cli._output import show
from gorun_mem.replay.numbers import parse_number

if TYPE_CHECKING:
    _IntType = click.ParamType[int]
    _StrType = click.ParamType[str]
else:  # not a generic class in every click that we accept
    _IntType = _StrType = click.ParamType

_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "kib": 1 << 10,
    "m": 1 << 20,
    "mib": 1 << 20,
    "g": 1 << 30,
    "gib": 1 << 30,
    "t": 1 << 40,
    "tib": 1 << 40,
}


_NO_BOUND: Final = 1 << 62
"""A greatest value from here on is that of the machine's words: nobody has to be told."""


class Number(_IntType):
    """An int, decimal or 0x.

    Args:
        least: the least value allowed.
        most: the greatest value allowed, None for no limit.
        sizes: also accept a size such as 64KiB or 4g, in powers of 1024.
    """

    name = "number"

    def __init__(self, least: int = 0, most: int | None = None, *, sizes: bool = False) -> None:
        self.least = least
        self.most = most
        self.sizes = sizes
        if sizes:
            self.name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The int that `value` writes, within the bounds."""
        number = value if isinstance(value, int) else self._parse(value, param, ctx)
        if number < self.least or (self.most is not None and number > self.most):
            if number > self.least and self.most is not None and self.most >= _NO_BOUND:
                self.fail(f"{_shorten(str(value))} is more than 64 bits hold", param, ctx)
            is_bounded = self.most is not None and self.most < _NO_BOUND
            most = f" and at most {self.most:,}" if is_bounded else ""
            self.fail(f"{value} must be at least {self.least}{most}", param, ctx)
        return number

    def _parse(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
        number, unit = digits, 1
        if self.sizes and digits[:2] not in ("0x", "0X"):
            number = digits.rstrip("bikmgtBIKMGT")
            unit = _UNITS.get(digits[len(number) :].lower(), 0)
        try:
            if not unit:
                raise ValueError
            return sign * unit * parse_number(number)
        except ValueError:
            example = "65536, 0x10000 or 64KiB" if self.sizes else "65536 or 0x10000"
            self.fail(f"{_shorten(text)!r} is not a number (write {example})", param, ctx)


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


class Pages(Number):
    """A number of pages of 64 KiB, or a size that is a whole number of them."""

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        super().__init__(least, most, sizes=True)
        self.name = "pages"

    def _parse(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from gorun_mem.runtime.pages import PAGE

        if not text[-1:].isalpha() or text[:2] in ("0x", "0X"):
            return Number._parse(_PLAIN, text, param, ctx)
        digits = text.rstrip("bBkKmMgGtTiI")
        decimal = _DECIMAL.get(text[len(digits) :].lower())
        if decimal is not None:
            size = decimal * super()._parse(digits, param, ctx)
        else:
            size = super()._parse(text, param, ctx)
        pages, rest = divmod(size, PAGE)
        if rest:
            self.fail(_not_whole(text, size, pages), param, ctx)
        show(f"{text} is {pages:,} pages of 64 KiB", err=True)
        return pages


def _not_whole(text: str, size: int, pages: int) -> str:
    hint = f"write {pages} or {pages + 1}"
    if text[-2:].lower() == "mb":
        hint = f"did you mean {text[:-2]}MiB? or " + hint
    return f"{text} is {size / (1 << 16):,.1f} pages of 64 KiB: {hint}"


_DECIMAL: Final = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_PLAIN: Final = Number()


class OneOf(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """One of some names; another is answered with the one that was probably meant.

    Args:
        names: what there is.
        aliases: what somebody may call it -> the name that it has here.
    """

    def __init__(self, names: Sequence[str], aliases: Mapping[str, str] | None = None) -> None:
        super().__init__(list(names))
        self._aliases = dict(aliases or {})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name."""
        if value not in self.choices:
            self._refuse(value, param, ctx)
        return value

    def _refuse(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> None:

        word = str(value).lower()
        meant = self._aliases.get(word)
        hint = f"did you mean {meant}?" if meant else ""
        self.fail(no_such("", str(value), self.choices, hint=hint), param, ctx)


class ReleaseName(_StrType):
    """The name of a release that exists."""

    name = "release"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as given, once it is known to name a release."""
        from gorun_mem.runtime.behaviour import UnknownRelease, release

        try:
            release(value)
        except UnknownRelease as error:
            self.fail(str(error), param, ctx)
        return str(value)


class PlatformName(_StrType):
    """The name of a platform that exists in some release."""

    name = "platform"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as given, once it is known to name a platform."""
        from gorun_mem.runtime.behaviour import NEWEST, UnknownRelease, release

        try:
            release(NEWEST).platform(value)
        except UnknownRelease as error:
            self.fail(str(error), param, ctx)
        return str(value)


NUMBER: Final = Number()
BYTES: Final = Number(sizes=True)
RELEASE: Final = ReleaseName()
PLATFORM: Final = PlatformName()
