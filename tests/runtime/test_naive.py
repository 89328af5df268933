"""The layer against the naive model, over random sequences legal and illegal."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runtime.twins import GENERATIONS, KINDS, LEGAL, Act, Twins

small = st.integers(0, 63)
any_act = st.tuples(st.sampled_from(KINDS), small, small, small)
legal_act = st.tuples(st.sampled_from(LEGAL), small, small, small)
settled = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def run(t: Twins, acts: list[Act]) -> None:
    for act in acts:
        t.act(act)


@settled
@given(st.sampled_from(GENERATIONS), st.booleans(), st.lists(any_act, max_size=40))
def test_any_sequence(generation: tuple[str, str], mem_debug: bool, acts: list[Act]) -> None:
    """Whatever is called and overwritten: answers, break, list, bytes and ends are the naive
    model's, with the index and without."""
    run(Twins(*generation, mem_debug=mem_debug), acts)


def swarm(rng: random.Random, kinds: tuple[str, ...], length: int) -> list[Act]:
    """A random sequence with whole kinds of call left out."""
    chosen = ["alloc", "alloc", *rng.sample(kinds, rng.randint(2, len(kinds)))]
    return [
        (rng.choice(chosen), rng.randrange(64), rng.randrange(64), rng.randrange(64))
        for _ in range(length)
    ]


@pytest.mark.parametrize("generation", GENERATIONS, ids="-".join)
@pytest.mark.parametrize("legal", [True, False], ids=["legal", "any"])
def test_swarms(generation: tuple[str, str], legal: bool) -> None:
    """Long runs of legal calls, and short ones of any, agree with the naive model."""
    rng = random.Random(f"{generation}{legal}")
    for _ in range(4 if legal else 40):
        t = Twins(*generation, mem_debug=rng.random() < 0.3)
        run(t, swarm(rng, LEGAL if legal else KINDS, 120 if legal else 25))
