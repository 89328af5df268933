"""Ranges of releases, such as go1.23..go1.27."""

from __future__ import annotations

from gorun_mem.runtime.behaviour import KNOWN, NEWEST, UnknownRelease, release


def releases_of(name: str) -> tuple[str, ...]:
    """The release called `name`, or those of a range such as go1.23..go1.27, oldest first.

    Raises:
        UnknownRelease: there is no such release, or nothing lies between the two.
    """
    first, dots, last = (part.strip() for part in name.partition(".."))
    if not dots:
        return (release(name).name,)
    ends = (first or KNOWN[0], last or NEWEST)
    for end in ends:
        if end not in KNOWN:
            release(end)  # says it where there is none at all
            raise UnknownRelease(
                f"no range {name!r}: it goes from one minor release to another, as in "
                f"go1.23..{NEWEST}, and {end} is a patch release"
            )
    found = KNOWN[KNOWN.index(ends[0]) : KNOWN.index(ends[1]) + 1]
    if not found:
        raise UnknownRelease(f"no release in {name!r}: did you mean {ends[1]}..{ends[0]}?")
    return found
