"""The tests of samples: scipy's answers, brute force, and how often they are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gorun_mem.sweep.samples import (
    EXACT_MAX,
    holm,
    interval,
    least_p,
    median,
    rank_sum,
    signed_rank,
)

RECORDED = Path(__file__).parents[1] / "data" / "samples" / "scipy.json"


def answers(test: str) -> Iterator[dict[str, Any]]:
    """What scipy 1.x said of random samples: exact, every permutation, asymptotic."""
    for answer in json.loads(RECORDED.read_text())["answers"]:
        if answer["test"] == test:
            yield answer


def test_rank_sums_are_those_of_scipy() -> None:
    """Without ties exact, with ties by all permutations, and by approximation where there are
    more than EXACT_MAX."""
    seen = set()
    for answer in answers("rank_sum"):
        seen.add(answer["how"])
        assert rank_sum(answer["a"], answer["b"]) == pytest.approx(answer["p"], rel=1e-9), answer
    assert len(seen) == 3


def test_signed_ranks_are_those_of_scipy() -> None:
    """Likewise."""
    seen = set()
    for answer in answers("signed_rank"):
        seen.add(answer["how"])
        assert signed_rank(answer["d"]) == pytest.approx(answer["p"], rel=1e-9), answer
    assert len(seen) == 3


def midranks(values: list[int]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def test_rank_sums_count_every_way_to_deal() -> None:
    """Random small samples with ties, against all ways to choose the first sample's values."""
    random = Random(5)
    for _ in range(300):
        n, m = random.randint(1, 5), random.randint(1, 5)
        values = [random.randrange(4) for _ in range(n + m)]
        ranks = midranks(values)
        seen = sum(ranks[:n])
        sums = [sum(chosen) for chosen in combinations(ranks, n)]
        low = sum(one <= seen for one in sums) / len(sums)
        high = sum(one >= seen for one in sums) / len(sums)
        assert rank_sum(values[:n], values[n:]) == pytest.approx(min(1, 2 * min(low, high)))


def test_signed_ranks_count_every_way_to_set_the_signs() -> None:
    """Random small samples with ties and zeros, against all signs."""
    random = Random(6)
    for _ in range(200):
        values = [random.randrange(-3, 4) for _ in range(random.randint(1, 8))]
        told = [value for value in values if value]
        if not told:
            assert signed_rank(values) == 1
            continue
        ranks = midranks([abs(value) for value in told])
        seen = sum(rank for rank, value in zip(ranks, told, strict=True) if value > 0)
        sums = [
            sum(rank for rank, up in zip(ranks, ups, strict=True) if up)
            for ups in product((False, True), repeat=len(told))
        ]
        low = sum(one <= seen for one in sums) / len(sums)
        high = sum(one >= seen for one in sums) / len(sums)
        assert signed_rank(values) == pytest.approx(min(1, 2 * min(low, high)))


@pytest.mark.parametrize("size", [20, EXACT_MAX], ids=["exact", "approximate"])
def test_samples_of_one_kind_differ_in_one_of_twenty(size: int) -> None:
    """Of 2,000 pairs of samples of one kind the tests call 5 % different at 0.05: within three
    standard errors (1.5 %), so they are neither blind nor see what is not there."""
    random = Random(size)
    tries = 2000 if size == 20 else 1000
    sums = signs = 0
    for _ in range(tries):
        a = [random.expovariate(1) for _ in range(size)]
        b = [random.expovariate(1) for _ in range(size)]
        sums += rank_sum(a, b) < 0.05
        signs += signed_rank([y - x for x, y in zip(a, b, strict=True)]) < 0.05
    assert 0.029 < sums / tries < 0.071
    assert 0.029 < signs / tries < 0.071


def test_the_interval_of_a_median_holds_it() -> None:
    """In about 95 % of 300 samples of 20 with a tail; the bootstrap's is known to be a little
    too narrow for so few."""
    random = Random(3)
    true = 0.6931471805599453
    hits = 0
    for number in range(300):
        sample = [random.expovariate(1) for _ in range(20)]
        found = interval([sample], lambda at: at[0], name=str(number))
        assert found is not None
        hits += found.low <= true <= found.high
    assert 0.90 < hits / 300 <= 0.98


def test_pairs_are_drawn_together() -> None:
    """Where each pair differs by exactly 10 %, so do all medians of pairs that are drawn."""
    a = [float(n * n) for n in range(1, 21)]
    b = [1.1 * value for value in a]

    def change(at: Any) -> float:
        return float(at[1] / at[0] - 1)

    together = interval([a, b], change, paired=True)
    alone = interval([a, b], change)
    assert together is not None
    assert together == pytest.approx((0.1, 0.1), abs=0.02)
    assert alone is not None
    assert alone.high - alone.low > 0.5


def test_medians() -> None:
    """The middle one, the mean of two, and no int becomes a float without need."""
    assert median([3, 1, 2]) == 2
    assert median([1, 2, 10, 20]) == 6
    assert isinstance(median([5, 1, 5, 9]), int)
    with pytest.raises(ValueError, match="no value"):
        median([])


def test_holm_by_an_example() -> None:
    """The one of Wikipedia's article on the procedure, and one whose order matters."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.04]) == pytest.approx([0.9, 0.08])
    assert holm([]) == []


def test_holm_is_wrong_in_one_table_of_twenty() -> None:
    """Of 2,000 tables of 8 p-values that are all chance, 5 % have one below 0.05."""
    random = Random(8)
    wrong = sum(min(holm([random.random() for _ in range(8)])) < 0.05 for _ in range(2000))
    assert 0.035 < wrong / 2000 < 0.065


def test_what_so_few_can_show() -> None:
    """The least p-value is that of samples that do not overlap, and of pairs that all go up."""
    for n in range(1, 7):
        low, high = list(range(n)), list(range(100, 100 + n))
        assert rank_sum(low, high) == pytest.approx(least_p(n, paired=False))
        assert signed_rank([float(value) for value in high]) == pytest.approx(
            least_p(n, paired=True)
        )
