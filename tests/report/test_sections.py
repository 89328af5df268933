"""Sections of a report: what the analysis found, in words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gorun_mem import Config
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.cli.report import SECTION_NAMES
from gorun_mem.report.sections import SECTIONS, render, sections
from gorun_mem.report.tables import Section, Table
from tests.analysis.make_logs import heap, run_events, storm, toy_events, toy_log


@pytest.fixture(scope="module")
def stormy() -> LogAnalysis:
    return LogAnalysis.of(run_events(storm)[1])


def one(found: LogAnalysis, name: str) -> Section:
    return sections(found, [name])[0]


def column(table: Table, name: str) -> list[int | float | str]:
    return [row[table.columns.index(name)].key for row in table.rows]


def plain(all_sections: list[Section]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", render(all_sections))


def test_the_command_offers_every_section() -> None:
    """The names that the help lists are those that exist."""
    assert tuple(SECTIONS) == SECTION_NAMES


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_of_an_empty_run_says_something(name: str) -> None:
    """A log with one call and no contention makes no section fail or stay silent."""
    found = LogAnalysis.of(run_events(heap, rounds=1)[1])
    assert len(plain([one(found, name)]).splitlines()) > 1


def test_waits_by_m_add_up_to_those_of_the_lock(stormy: LogAnalysis) -> None:
    """The tables show the same waits, cut in different ways."""
    tables = {table.title: table for table in one(stormy, "contention").tables}
    total = stormy.contention.locks["memlock"].wait_ns.total
    assert total > 0
    for title in ("memlock by M", "memlock by site"):
        assert sum(row[6].key for row in tables[title].rows) == total  # type: ignore[misc]


def test_blame_adds_up_to_the_waits(stormy: LogAnalysis) -> None:
    """Every ns of waiting is charged to somebody, to the root and to the holder alike."""
    locks = stormy.contention.locks
    seen = set()
    for table in one(stormy, "blame").tables:
        (name,) = [name for name in locks if name in table.title.split()]
        assert sum(map(int, column(table, "in all"))) == locks[name].wait_ns.total
        seen.add(name)
    assert seen == set(locks)


def test_parts_of_the_memory_add_up() -> None:
    """Static data, what is handed out, free, slack and the rest make the whole memory."""
    found = LogAnalysis.of(run_events(heap, rounds=30)[1])
    table = one(found, "memory").tables[0]
    for name in ("most live", "end"):
        *parts, whole = map(int, column(table, name))
        assert sum(parts) == whole > 0


def test_a_budget_is_answered() -> None:
    """One page fewer than needed does not fit and names the call; so many do."""
    found = LogAnalysis.of(run_events(heap, rounds=30)[1])
    needed = found.memory.budget(1).needed
    fits = sections(found, ["budget"], needed)[0]
    short = sections(found, ["budget"], needed - 1)[0]
    assert dict(fits.facts)[f"fits into {needed:,} pages"] == "yes"
    said = dict(short.facts)[f"fits into {needed - 1:,} pages"]
    assert said.startswith("no, at ")
    assert "sys" in said
    table = dict(zip(column(fits.tables[0], "pages"), column(fits.tables[0], "fits"), strict=True))
    assert table[needed] == "yes"
    assert table[needed - 1] == "no"


def test_a_refused_request_is_listed() -> None:
    """A run with too little memory shows which request failed, and for want of what."""
    config = Config(max_pages=60)
    _, events = run_events(heap, config, rounds=30)
    table = one(LogAnalysis.of(events), "fragmentation").tables[0]
    assert column(table, "for want of")
    assert set(column(table, "for want of")) <= {"memory", "fragmentation"}


def test_locks_taken_in_a_circle_are_named() -> None:
    """Two orders of the same two locks are a circle; one order is none."""
    found = LogAnalysis.of(toy_events(2, locks=3))
    assert not one(found, "order").remarks
    edges = found.contention.order._edges
    (held, wanted), seen = next(iter(edges.items()))
    edges[wanted, held] = seen
    (remark,) = one(found, "order").remarks
    assert held in remark
    assert "may deadlock" in remark


def test_figures_are_to_the_right_and_words_to_the_left(stormy: LogAnalysis) -> None:
    """A table's columns line up: what is sorted as a number ends in one place."""
    lines = plain([one(stormy, "blame")]).splitlines()
    table = lines[lines.index("  waits for memlock by culprit") + 1 :]
    head, *rows = table[: table.index("")] if "" in table else table
    at = head.index("in all") + len("in all")
    assert len(rows) > 2
    assert all(row[at - 1] != " " and row[at : at + 1] in ("", " ") for row in rows)


def test_long_tables_say_what_they_leave_out(stormy: LogAnalysis) -> None:
    """A terminal gets the first rows, and a count of the others."""
    section = one(stormy, "blame")
    first = section.tables[0]
    long = replace(first, rows=first.rows[:1] * 100, left_out=7)
    assert "  and 83 more" in plain([replace(section, tables=[long])]).splitlines()


def test_a_log_of_releases_only_says_so() -> None:
    """At level canonical waits have no beginnings, and the section says so."""
    import io

    found = LogAnalysis.read(io.BytesIO(toy_log(1, "canonical")))
    for name in ("contention", "convoys"):
        assert any("no beginnings" in remark for remark in one(found, name).remarks)
    known = [fact for fact, _ in one(found, "contention").facts]
    assert any(fact.endswith(": fairness") for fact in known)
    assert not any(fact.endswith((": queue", ": bypasses", ": handoffs")) for fact in known)
