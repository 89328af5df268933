"""What was meant by a word that is none; a leaf that every layer may ask."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 200
"""A longer word is no name that was mistaken: comparing takes time and memory by its length."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The nearest of what is known; "" where nothing is near.

    Args:
        word: what was written.
        known: what could have been.
        cutoff: how alike they must be, from 0 to 1, as in `difflib.get_close_matches`.
    """
    if len(word) > LONGEST:
        return ""
    from difflib import get_close_matches  # not needed where nothing is mistaken

    plain = {name.lower(): name for name in known}  # of two that differ by case the last
    near = get_close_matches(word.lower(), list(plain), n=1, cutoff=cutoff)
    return plain[near[0]] if near else ""


def no_such(
    noun: str,
    word: str,
    known: Iterable[str],
    *,
    of: str = "",
    cutoff: float = 0.4,
    hint: str = "",
    there: str = "",
    lists: str = "",
) -> str:
    """What is wrong with a name, the one that was probably meant, and those that there are.

    Args:
        noun: what it should name, "" where that is said before.
        word: what was written.
        known: what there is.
        of: what should have it, "" where that is clear.
        cutoff: how alike a name must be to have been meant, from 0 to 1.
        hint: what was meant, or what to do, where that is known better than by likeness.
        there: in front of the list.
        lists: what lists them, where they are too many to be listed here.
    """
    names = list(known)
    said = repr(word if len(word) <= LONGEST else word[:LONGEST] + "...")
    fact = f"{said} is none"
    if noun:
        fact = f"{of} has no {noun} {said}" if of else f"no {noun} {said}"
    near = "" if hint else nearest(word, names, cutoff)
    meant = hint or (f"did you mean {near}?" if near else "")
    listed = lists or f"{there or ('it has' if of else 'there are')} {', '.join(names) or 'none'}"
    return f"{fact}: {f'{meant} ' if meant else ''}{listed}"


def near_file(path: str | os.PathLike[str]) -> str:
    """A file whose name is like that of one that is not there; "" for none."""
    folder, name = os.path.split(os.fspath(path))
    try:
        beside = [entry.name for entry in os.scandir(folder or ".")]
    except OSError:
        return ""
    near = nearest(name, beside, 0.8)  # lower, and any file with the same suffix is near
    return os.path.join(folder, near) if near else ""
