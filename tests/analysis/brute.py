"""The statistics of locks once more, from the captured events and by the plainest code there is.

Shares no code with `gorun_mem.runtime.mutex.statistics`: lists are kept and sorted, nothing is
folded. Only what an event says happened is taken (who, when, which lock, at which site); what it
says was counted (`wait_ns`, `bypassed`, `queue_depth`...) is compared and not believed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gorun_mem.events.types import LockAcquire, LockRelease, LockWait, MPark, RunEnd


@dataclass
class Woken:
    """A wakeup as a probe in the test saw it: no event says it where the M is not asleep yet."""

    by_m: int
    m: int


@dataclass
class Book:
    """What one lock's events come to."""

    waits: list[tuple[int, str, int]] = field(default_factory=list)  # (m, site, ns), of all
    contended: list[tuple[int, str, int]] = field(default_factory=list)
    holds: list[tuple[int, str, int]] = field(default_factory=list)
    spins: int = 0
    sleeps: int = 0
    bypasses: list[int] = field(default_factory=list)
    depths: list[tuple[int, int]] = field(default_factory=list)  # (time, Ms waiting), from 0 on
    busy: list[tuple[int, int, bool]] = field(default_factory=list)  # (ns, acquisitions, convoy)
    handoffs: int = 0
    holding: tuple[int, str, int] | None = None  # (m, site, since)
    waiting: list[list[Any]] = field(default_factory=list)  # [m, since, sleeps, bypassed, site]
    formed_by: tuple[int, str, int] | None = None  # the hold that the first waiter ran into

    def waiter(self, m: int) -> list[Any] | None:
        return next((w for w in self.waiting if w[0] == m), None)


def books(trace: Iterable[Any]) -> dict[str, Book]:
    """Every lock's book; `trace` holds events and Woken in the order in which they happened."""
    found: dict[str, Book] = {}
    begun: dict[str, tuple[int, int, bool]] = {}  # busy period under way
    released: dict[str, tuple[int, int]] = {}  # (releasing M, woken M), until the next acquisition
    for event in trace:
        if isinstance(event, MPark):
            if event.reason == "off CPU":
                continue  # it does not sleep
            for book in found.values():
                if waiter := book.waiter(event.m):
                    waiter[2] += 1
        elif isinstance(event, Woken):
            for name, book in found.items():
                by = released.get(name, (0, 0))[0]
                if by == event.by_m and book.waiter(event.m):
                    released[name] = (by, event.m)
        elif isinstance(event, LockWait):
            book = found.setdefault(event.lock, Book(depths=[(0, 0)]))
            assert event.queue_depth == len(book.waiting)
            assert event.waiters == tuple(w[0] for w in book.waiting)
            assert event.owner_m == (book.holding[0] if book.holding else 0)
            if not book.waiting:
                begun[event.lock] = (event.t_ns, 0, False)
                book.formed_by = book.holding
            elif book.holding is None or book.holding != book.formed_by:
                begun[event.lock] = (*begun[event.lock][:2], True)
            book.waiting.append([event.m, event.t_ns, 0, 0, event.site])
            book.depths.append((event.t_ns, len(book.waiting)))
        elif isinstance(event, LockAcquire):
            book = found.setdefault(event.lock, Book(depths=[(0, 0)]))
            assert book.holding is None
            _acquire(book, event, released.pop(event.lock, (0, 0))[1], begun)
        elif isinstance(event, LockRelease):
            book = found[event.lock]
            assert book.holding is not None
            m, site, since = book.holding
            assert m == event.m
            assert event.hold_ns == event.t_ns - since
            assert event.waiters == tuple(w[0] for w in book.waiting)
            assert event.blocked_ns == sum(event.t_ns - max(w[1], since) for w in book.waiting)
            book.holds.append((m, site, event.hold_ns))
            book.holding = None
            released[event.lock] = (m, event.next_m)
        elif isinstance(event, RunEnd):
            for name, book in found.items():
                _end(book, event.t_ns, begun.get(name, (0, 0, False)))
    return found


def _end(book: Book, end: int, begun: tuple[int, int, bool]) -> None:
    """What has not ended lasts up to the end of the run."""
    for m, since, _, _, site in book.waiting:
        book.contended.append((m, site, end - since))
    if book.holding is not None:
        m, site, since = book.holding
        book.holds.append((m, site, end - since))
    if book.waiting:
        book.busy.append((end - begun[0], begun[1], begun[2]))


def _acquire(
    book: Book, event: LockAcquire, woken: int, begun: dict[str, tuple[int, int, bool]]
) -> None:
    mine = book.waiter(event.m)
    wait_ns = sleeps = bypassed = 0
    if mine is not None:
        _, since, sleeps, bypassed, _ = mine
        wait_ns = event.t_ns - since
        book.handoffs += woken == event.m
    assert (event.contended, event.wait_ns) == (mine is not None, wait_ns)
    assert (event.sleeps, event.bypassed) == (sleeps, bypassed)
    for other in book.waiting:
        if other is mine:
            break
        other[3] += 1
    is_busy = bool(book.waiting)
    if mine is not None:
        book.waiting.remove(mine)
        book.contended.append((event.m, event.site, wait_ns))  # type: ignore[arg-type]
        book.bypasses.append(bypassed)
        book.spins += event.spins
        book.sleeps += sleeps
        book.depths.append((event.t_ns, len(book.waiting)))
    assert event.queue_depth == len(book.waiting)
    if is_busy:
        since, acquisitions, convoy = begun[event.lock]
        begun[event.lock] = (since, acquisitions + 1, convoy)
        if not book.waiting:
            book.busy.append((event.t_ns - since, acquisitions + 1, convoy))
    book.waits.append((event.m, event.site, wait_ns))  # type: ignore[arg-type]
    book.holding = (event.m, event.site, event.t_ns)  # type: ignore[assignment]


def percentile(values: list[int], percent: int) -> int:
    """The nearest rank: sort, and take the one at ceil(percent / 100 * n)."""
    if not values:
        return 0
    return sorted(values)[max(math.ceil(percent * len(values) / 100), 1) - 1]


def figures(values: list[int]) -> dict[str, float]:
    """count, total, min, max and percentiles of a list."""
    return {
        "count": len(values),
        "total": sum(values),
        "min": min(values, default=0),
        "max": max(values, default=0),
        **{f"p{p}": percentile(values, p) for p in (50, 90, 99)},
    }


def jain(amounts: list[int]) -> float:
    """(sum x)^2 / (n sum x^2)."""
    squares = sum(x**2 for x in amounts)
    return sum(amounts) ** 2 / (len(amounts) * squares) if squares else 1.0


def shares(book: Book, by: int) -> dict[Any, tuple[int, int, int, int]]:
    """(acquisitions, contended, wait ns, hold ns) by M (0) or by site (1)."""
    return {
        key: (
            sum(w[by] == key for w in book.waits),
            sum(w[by] == key for w in book.contended),
            sum(w[2] for w in book.contended if w[by] == key),
            sum(h[2] for h in book.holds if h[by] == key),
        )
        for key in sorted({w[by] for w in [*book.waits, *book.contended]})
    }


def statistics(book: Book) -> dict[str, Any]:
    """Everything that `LockStatistics` has, under the same names, of one lock."""
    by_m = shares(book, 0)
    contended = [ns for _, _, ns in book.contended]
    convoys = [(ns, n) for ns, n, convoy in book.busy if convoy]
    open_waits = contended[len(contended) - len(book.waiting) :]
    median = percentile(contended, 50)
    longest = max(contended, default=0)
    return {
        "acquisitions": len(book.waits),
        "contended": len(book.contended),
        "wait_ns": figures([ns for _, _, ns in book.waits] + open_waits),
        "contended_wait_ns": figures(contended),
        "hold_ns": figures([ns for _, _, ns in book.holds]),
        "spins": book.spins,
        "sleeps": book.sleeps,
        "bypasses_max": max([*book.bypasses, *(w[3] for w in book.waiting)], default=0),
        "queue_depth_max": max(depth for _, depth in book.depths),
        "busy_periods": len(book.busy),
        "busy_longest": max([(ns, n) for ns, n, _ in book.busy], default=(0, 0)),
        "convoys": len(convoys),
        "convoy_longest": max(convoys, default=(0, 0)),
        "handoffs": book.handoffs,
        "waiting": len(book.waiting),
        "by_m": by_m,
        "by_site": shares(book, 1),
        "fairness_acquisitions": jain([share[0] for share in by_m.values()]),
        "fairness_waits": jain([share[2] for share in by_m.values()]),
        "starvation": (1.0 if not longest else longest / median if median else float("inf")),
    }
