"""What `auto` plans: where it returns to, and what it takes to pay."""

from __future__ import annotations

from collections import Counter

from gorun_mem.explore.portfolio import (
    ARMS,
    POSITIONS_MOST,
    RETURNING,
    Portfolio,
    Seen,
    Sight,
    Slice,
)


def _rounds(portfolio: Portfolio, chunks: int) -> list[Slice]:
    """The next slices, none of which shows anything."""
    slices: list[Slice] = []
    while len(slices) < chunks:
        for part in portfolio.next_round():
            slices.append(part)
            portfolio.tell(part, part.runs, Seen())
    return slices


def test_it_returns_to_what_is_least_known() -> None:
    """Of a hundred positions that every run comes to and ten that one did, to these first, and not
    to the same again and again."""
    portfolio = Portfolio(small=False, tree_left=False)
    shown = {n: Sight(100, (n, 0)) for n in range(100)}
    shown |= {n: Sight(1, (n, 0)) for n in range(100, 110)}
    portfolio.tell(Slice("pos", 0, 0, 100), 100, Seen(shown=shown))
    went = Counter(
        tape[0]
        for part in _rounds(portfolio, 120)
        if part.strategy == RETURNING
        for tape in part.tapes
    )
    rare = [went[n] for n in range(100, 110)]
    assert sum(rare) > went.total() / 3
    assert min(rare) > 0
    assert max(rare) < went.total() / 5


def test_the_shortest_way_is_kept() -> None:
    """And a position is new once only."""
    portfolio = Portfolio(small=False, tree_left=False)
    portfolio.tell(Slice("pos", 0, 0, 1), 1, Seen(shown={7: Sight(1, (1, 2, 3))}))
    portfolio.tell(Slice("pct", 1, 1, 1), 1, Seen(shown={7: Sight(1, (1, 2))}))
    portfolio.tell(Slice("urw", 2, 2, 1), 1, Seen(shown={7: Sight(1, (3, 2, 1, 0))}))
    tapes = {tape for part in _rounds(portfolio, 60) for tape in part.tapes}
    assert tapes == {(1, 2)}
    assert portfolio.positions == 1


def test_there_is_a_bound_on_what_is_kept() -> None:
    """What is known best goes first."""
    portfolio = Portfolio(small=False, tree_left=False)
    for start in range(0, 3 * POSITIONS_MOST, 512):
        often = {n: Sight(9, (n,)) for n in range(start, start + 256)}
        once = {n: Sight(1, (n,)) for n in range(start + 256, start + 512)}
        portfolio.tell(Slice("pos", 0, 0, 9), 9, Seen(shown=often | once))
        assert portfolio.positions <= POSITIONS_MOST
    tapes = [tape[0] for part in _rounds(portfolio, 100) for tape in part.tapes]
    assert sum(n % 512 >= 256 for n in tapes) > 0.9 * len(tapes) > 0


def test_what_pays_now_is_what_is_drawn_by() -> None:
    """However much another showed at the beginning, when everything was new."""
    portfolio = Portfolio(small=False, tree_left=False)
    portfolio.tell(
        Slice("urw", 0, 0, 50), 50, Seen(shown={-n: Sight(1, (n,)) for n in range(1, 2_000)})
    )
    number = 0
    drawn: Counter[str] = Counter()
    for _ in range(60):
        for part in portfolio.next_round():
            seen = Seen()
            if part.strategy == "surw":
                number += 1
                seen.shown[number] = Sight(1, (number,))
            portfolio.tell(part, part.runs, seen)
            drawn[part.strategy] += 1
    assert drawn.most_common(1)[0][0] == "surw"
    assert all(drawn[name] > 5 for name in ARMS)
