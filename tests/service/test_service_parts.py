"""The parts of the service that need no server."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.replay.opscript import OPERANDS
from gorun_mem.runtime.mutex.book import LockTally
from gorun_mem.service.address import Address, AddressError
from gorun_mem.service.language import WORDS, NotARequest, Request, parse_request
from gorun_mem.service.tally import BoundedTally, bucket
from gorun_mem.service.watch import BadFilter, Filter, Watcher

TIMES = st.integers(0, 1 << 40)
HOLDS = st.tuples(st.integers(1, 4), st.sampled_from("ab"), TIMES)
WAITS = st.tuples(
    st.integers(1, 4), st.sampled_from("ab"), TIMES, st.integers(0, 9), st.integers(0, 9),
    st.integers(0, 9),
)  # fmt: skip


@given(TIMES)
def test_buckets_are_narrow(ns: int) -> None:
    """A time's bucket begins at most 1/16 below it."""
    assert ns - ns // 16 <= bucket(ns) <= ns
    assert bucket(bucket(ns)) == bucket(ns)


@given(st.lists(HOLDS), st.lists(WAITS), st.sets(st.integers(1, 4)))
def test_the_bounded_tally_counts_as_the_exact_one(
    holds: list[tuple[int, str, int]],
    waits: list[tuple[int, str, int, int, int, int]],
    gone: set[int],
) -> None:
    """Counts, sums and extremes are those of the exact tally; the shares of Ms that have gone are
    in M 0's; times are those of their buckets."""
    exact, bounded = LockTally(), BoundedTally()
    for tally in (exact, bounded):
        tally.fresh_holds += holds
        tally.fresh_waits += waits
    for m in gone:
        bounded.forget(m)
    assert bounded.totals() == exact.totals()
    all_waits, contended, held, by_m, by_site = exact.summary([(9, "a")])
    ours = bounded.summary([(9, "a")])
    assert ours[4] == by_site
    assert {m: s for m, s in ours[3].items() if m} == {
        m: s for m, s in by_m.items() if m not in gone
    }
    assert sum(s.wait_ns for s in ours[3].values()) == sum(s.wait_ns for s in by_m.values())
    for mine, other in zip(ours[:3], (all_waits, contended, held), strict=True):
        assert mine.count == other.count
        assert mine.p99 == bucket(other.p99)


def test_requests_are_operations_and_a_few_words() -> None:
    """Every operation of scripts is a request, and so is each word; nothing else is."""
    for name, operands in OPERANDS.items():
        text = " ".join((name, *("7" for _ in operands)))
        assert parse_request(text) == Request(name, (7,) * len(operands))
    assert parse_request("store 0x10 0xff") == Request("store", (16, 255))
    assert parse_request("watch a b") == Request("watch", (), ("a", "b"))
    assert {"auth", "quit", "watch"} < WORDS.keys()
    assert parse_request("  ") is parse_request("# alloc 1") is None
    for text in ("load", "load 1 2", "sleep x", "store 1 99999999999999999999999", "quit now"):
        with pytest.raises(NotARequest, match=text.split()[0]):
            parse_request(text)
    with pytest.raises(NotARequest, match="more than"):
        parse_request("sleep 3600000000001")
    with pytest.raises(NotARequest, match="more than 4294967295"):
        parse_request("load 4294967296", word_mask=(1 << 32) - 1)


@given(st.text(max_size=60))
def test_any_line_is_a_request_or_is_refused(text: str) -> None:
    """No line raises anything but NotARequest."""
    with suppress(NotARequest):
        parse_request(text)


def test_addresses() -> None:
    """TCP and Unix addresses read back as they are written; which are private is known."""
    for text in ("127.0.0.1:7059", "localhost:1", "[::1]:7059", "unix:/tmp/s", "0.0.0.0:0"):
        assert str(Address.parse(text)) == text
    for text, private in (("127.0.0.9:1", True), ("[::1]:1", True), ("unix:s", True),
                          ("0.0.0.0:1", False), ("192.0.2.1:1", False)):  # fmt: skip
        assert Address.parse(text).is_private() is private
    for text in (
        "",
        ":",
        "host",
        "host:",
        ":1",
        "host:port",
        "host:+1",
        "h:1:x",
        "unix:" + "x" * 200,
    ):
        with pytest.raises(AddressError):
            Address.parse(text)


def test_filters_refuse_what_matches_nothing() -> None:
    """A glob that no event's name matches, and an M that is no number, are named."""
    for word in ("locks.*", "m=", "m=x", "m=-1", "lock"):
        with pytest.raises(BadFilter, match=word.replace("*", r"\*")):
            Filter([word])


def test_a_watcher_is_told_what_it_missed_once() -> None:
    """Events beyond the bound are counted, told behind those that were kept, and then forgotten."""
    woken: list[int] = []
    watcher = Watcher(Filter(), 25, lambda: woken.append(1))
    for line in (b"0123456789", b"0123456789", b"0123456789", b"x"):
        watcher.offer(line)
    assert woken == [1]
    assert watcher.take() == (b'0123456789\n0123456789\n{"event":"watch.missed","missed":2}\n')
    assert watcher.take() == b""
    watcher.offer(b"y")
    assert watcher.take() == b"y\n"
    assert watcher.missed_in_all == 2
