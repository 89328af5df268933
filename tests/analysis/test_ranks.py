"""Values by rank are those that a sorted list has there."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gorun_mem.analysis.exact import ExactValues, Gathered
from gorun_mem.analysis.gathered import GatheredValues
from gorun_mem.analysis.ranks import ranked
from gorun_mem.analysis.values import Values

UNHURRIED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
"""What is tested is what comes out, on a busy machine too."""
NUMBERS = st.integers(0, 40) | st.integers(0, 1 << 20) | st.integers(0, 1 << 70)


@UNHURRIED
@given(st.lists(NUMBERS, min_size=1), st.data())
def test_a_value_at_a_rank_is_the_sorted_ones(values: list[int], data: st.DataObject) -> None:
    """Whatever the values are, wide ones and many alike too; the list stays as it was."""
    ranks = data.draw(st.lists(st.integers(0, len(values) - 1)))
    before = list(values)
    assert ranked(values, ranks) == [sorted(values)[rank] for rank in ranks]
    assert values == before


@UNHURRIED
@given(st.lists(NUMBERS), st.integers(-40, -1), st.data())
def test_a_value_below_zero_is_said(values: list[int], below: int, data: st.DataObject) -> None:
    """Then there is no answer, wherever it stands."""
    values.insert(data.draw(st.integers(0, len(values))), below)
    assert ranked(values, [0]) is None


@UNHURRIED
@given(
    st.lists(st.lists(NUMBERS | st.integers(-3, 0)), max_size=4),
    st.integers(0, 5),
    st.integers(1, 30),
    st.integers(1, 8),
    st.sampled_from(["percentiles", "max", "exact", "counts", "distribution"]),
)
def test_gathered_values_are_those_given_one_by_one(
    parts: list[list[int]], zeros: int, distinct_max: int, fold_at: int, first: str
) -> None:
    """In whatever order they are asked for their figures, folded or not."""
    gathered = []
    for part in parts:
        exact = ExactValues(distinct_max)
        for value in part:
            exact.fresh.append(value)
            assert exact.max == max(0, *part[: exact.count])
            if value % 2:
                assert exact.total == sum(part[: exact.count])  # in between, now and then
            exact.fold(fold_at)
        assert (exact.count, exact.total) == (len(part), sum(part))
        gathered.append(exact)
    found = GatheredValues(Gathered(gathered), zeros, distinct_max)
    one_by_one = Values(distinct_max)
    for value in [0] * zeros + [value for part in parts for value in part]:
        one_by_one.add(value)
    asked = getattr(found, first)
    if callable(asked):
        asked(*[(50,)][: first == "percentiles"])
    assert found.percentiles((0, 50, 90, 100)) == one_by_one.percentiles((0, 50, 90, 100))
    assert (found.max, found.exact) == (one_by_one.max, one_by_one.exact)
    assert (found.count, found.total) == (one_by_one.count, one_by_one.total)
    assert found.distribution() == one_by_one.distribution()
