"""What was meant by a word that is none; a leaf that every layer may ask."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The nearest of what is known; "" where nothing is near.

    Args:
        word: what was written.
        known: what could have been.
        cutoff: how alike they must be, from 0 to 1, as in `difflib.get_close_matches`.
    """
    from difflib import get_close_matches  # not needed where nothing is mistaken

    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return near[0] if near else ""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The same as a question, with a space behind it."""
    near = nearest(word, known, cutoff)
    return f"did you mean {near}? " if near else ""
