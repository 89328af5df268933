"""Values by their rank, without sorting all of them; compiled."""

from __future__ import annotations

from typing import Any, Final

_BUCKET_BITS: Final = 10


def ranked(values: list[int], ranks: list[int]) -> list[int] | None:
    """Those that would stand at `ranks`, counted from 0, if the values were sorted.

    Values are put together by their highest bits, and only those that share them with one that is
    asked for are sorted. Where few do, that is a third of the work.

    Args:
        values: in any order.
        ranks: each below the number of values.

    Returns:
        A value for each rank; None where a value is below 0.
    """
    greatest = 0
    for value in values:
        if value < 0:
            return None
        if value > greatest:
            greatest = value
    shift = max(0, greatest.bit_length() - _BUCKET_BITS)
    buckets: list[list[Any]] = [[] for _ in range((greatest >> shift) + 1)]
    objects: list[Any] = values
    for one in objects:  # as it is: a number that was looked at would be made again
        value = one
        buckets[value >> shift].append(one)
    found: list[int] = []
    for rank in ranks:
        before = 0
        for bucket in buckets:
            if rank < before + len(bucket):
                bucket.sort()
                found.append(bucket[rank - before])
                break
            before += len(bucket)
    return found
