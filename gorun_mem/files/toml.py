"""TOML from elsewhere: read within bounds, and whatever is wrong with it is one kind of error."""

from __future__ import annotations

import os
import tomllib
from typing import Any, Final

from gorun_mem.files.reading import read_input

TOML_BYTES_MAX: Final = 1 << 20
"""No table or grid of anybody's is larger."""


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: it is no TOML.
    """
    return parsed_toml(read_input(path, TOML_BYTES_MAX))


def parsed_toml(data: bytes) -> dict[str, Any]:
    """What the bytes of a TOML file say.

    Raises:
        ValueError: they are no TOML; the parser has other errors for what is nested too deep and
            for a number of too many digits.
    """
    try:
        return tomllib.loads(data.decode())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise ValueError("a number has too many digits") from None
