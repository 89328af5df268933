"""The summary of a run as text for a terminal; `run` and `report` print the same.

Plain text, so that it can be put into a mail or compared; colour is added by `click.style`, which
is taken out again where the output is no terminal. Rejected: rich's tables, which take 60 ms to
import and wrap by the width of the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import click
from msgspec import UNSET

from gorun_mem.analysis.locksummary import LockSummary, SummaryShare
from gorun_mem.analysis.summary import Summary
from gorun_mem.analysis.waiting import Unended
from gorun_mem.analysis.window import Window
from gorun_mem.events.types import DeadlockEvent, LockThrow, MemCheck, RaceFound, RunEnd, RunStart
from gorun_mem.report.units import count, ns, share, size
from gorun_mem.report.width import fit, panels, table_lines

MS_SHOWN: Final = 16
"""Ms that a lock's table lists; of more, those that waited longest."""

STUCK_SHOWN: Final = 32
"""Ms that could not go on that are listed."""

IN_WORDS: Final = {
    "ok": "ended well",
    "failed": "failed",
    "throw": "ended in a throw",
    "fault": "ended in a memory fault",
    "out_of_memory": "ran out of memory",
    "deadlock": "ended in a deadlock: no M can go on",
    "no_progress": "made no progress",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
    "internal": "met a fault of this program",
}

OUR_WORDS: Final = "gorun_mem: "
"""What is found beside Go's own checks begins so."""

Row = Sequence[str]


def render(summary: Summary) -> str:
    """The whole summary, without a last newline."""
    sections = [
        list(_headline(summary)),
        list(_failure(summary)),
        list(_results(summary)),
        list(_memory(summary)),
        list(_calls(summary)),
        *(list(_lock(lock)) for lock in summary.locks.values() if lock.waits.count),
        list(_slowest(summary)),
        list(_remarks(summary)),
    ]
    return "\n\n".join(fit("\n".join(lines)) for lines in sections if lines)


def again(start: RunStart, costs: str = "", memory: Mapping[str, int | None] | None = None) -> str:
    """The command that runs exactly this once more, every setting spelt out.

    Args:
        start: of the run.
        costs: the cost table's file, "" for the usual table.
        memory: options of the memory at the start, None for what is usual.
    """
    if start.schedule is not UNSET:  # what it names besides is in the token
        code = [
            word
            for name in (start.scenario, start.mutex, start.policy or "")
            if ".py" in name
            for word in ("--code", name)
        ]
        return shlex.join(["gorun-mem", "replay-schedule", start.schedule, *code])
    settings = {
        "release": start.release,
        "platform": start.platform,
        "mutex": start.mutex,
        "policy": start.policy or None,
        "ms": start.ms,
        "cpus": start.cpus,
        "strategy": start.strategy,
        "seed": start.seed,
        "max-pages": start.max_pages,
        "granularity": start.granularity if start.granularity != "sync" else None,
        **(memory or {}),
        "steps-max": start.steps_max if start.steps_max is not UNSET else None,
        "costs": costs or None,
    }
    words = ["gorun-mem", "run", start.scenario]
    for name, value in settings.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    if start.mem_debug is True:
        words.append("--mem-debug")
    for name, option in start.options.items():
        words += ["--set", f"{name}={option}"]
    return shlex.join(words)


# Sections.


def _headline(summary: Summary) -> Iterator[str]:
    start, end = summary.start, summary.end
    name = click.style(start.scenario if start is not None else "a run", bold=True)
    yield f"{name} {_outcome(summary, end)} after {_how_long(summary)}"
    if start is None:
        yield "run.start is missing: release, platform and settings are not known"
        return
    what_if = click.style(" (what-if: no Go release runs so)", fg="yellow") if start.what_if else ""
    policy = f", policy {start.policy}" if start.policy else ""
    yield f"{start.release} {start.platform}, mutex {start.mutex}{policy}{what_if}"
    yield (
        f"{count(start.ms, 'M')} on {count(start.cpus, 'CPU')}, strategy {start.strategy}, "
        f"seed {start.seed}"
    )
    if summary.window is not None:
        yield click.style(f"window {window_text(summary.window)}", fg="yellow")
    if start.options:
        yield "options " + " ".join(f"{name}={value}" for name, value in start.options.items())


def window_text(window: Window) -> str:
    """What of the run's time is looked at."""
    end = "the end" if window.to_ns is None else ns(window.to_ns)
    return f"from {ns(window.from_ns)} to {end}"


def _outcome(summary: Summary, end: RunEnd | None) -> str:
    if end is None:
        return click.style("has no end in this log", fg="yellow")
    colour = "green" if end.outcome == "ok" else "red"
    return click.style(IN_WORDS[end.outcome], fg=colour)


def _how_long(summary: Summary) -> str:
    end = summary.end
    now = end.t_ns if end is not None else summary.t_ns
    time = f"{ns(now)} of virtual time" if now else "no virtual time"
    return time if end is None else f"{count(end.steps, 'step')}, {time}"


def _failure(summary: Summary) -> Iterator[str]:
    """What ended it, and who could not go on."""
    end = summary.end
    stuck = end.stuck if end is not None and end.stuck is not UNSET else ()
    # What a deadlock is, the headline says and the list of Ms below.
    if end is not None and end.error is not UNSET and not (stuck and end.outcome == "deadlock"):
        by = f"M{end.failed_m}: " if end.failed_m is not UNSET else ""
        first, *rest = end.error.splitlines() or [""]
        yield by + click.style(first, fg="red")
        yield from (f"  {line}" for line in rest)
    said = end.error if end is not None and end.error is not UNSET else ""
    for event in summary.errors:
        if isinstance(event, LockThrow):
            owner = f", held by M{event.owner_m}" if event.owner_m else ""
            at = f" in {event.site}" if event.site is not UNSET else ""
            yield f"  lock {event.lock}: {event.error_type} by M{event.m}{at}{owner}"
        elif isinstance(event, MemCheck) and event.violation is not UNSET:
            found = event.violation.removeprefix(OUR_WORDS)
            if found != event.violation and found.partition(": ")[2] in said:
                continue
            who = "memCheck found" if found == event.violation else "found"
            yield f"  {who}: {found}"
        elif isinstance(event, DeadlockEvent) and (end is None or end.stuck is UNSET):
            yield from (f"  {who}" for who in event.who[:STUCK_SHOWN])
        elif isinstance(event, RaceFound):
            yield f"  race: {event.what}, {event.where}: {'; '.join(event.who)}"
    yield from (f"  {who}" for who in stuck[:STUCK_SHOWN])
    if len(stuck) > STUCK_SHOWN:
        yield f"  and {count(len(stuck) - STUCK_SHOWN, 'M')} more"


def _results(summary: Summary) -> Iterator[str]:
    """What the scenario found: values of several lines as they are, the others as a table."""
    if not summary.results:
        return
    yield click.style("results", bold=True)
    values = {name: value_text(value) for name, value in summary.results.items()}
    blocks = [[name, *text.split("\n")] for name, text in values.items() if "\n" in text]
    rows = [row for row in values.items() if "\n" not in row[1]]
    for i, block in enumerate(blocks):
        yield f"  {block[0]}"
        yield from panels("\n".join(block[1:]))
        if rows or i + 1 < len(blocks):
            yield ""
    if rows:
        yield from _table(rows, "<>")


def value_text(value: object) -> str:
    """A result of a scenario, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _memory(summary: Summary) -> Iterator[str]:
    yield click.style("memory", bold=True)
    end, sums = summary.whole_end, summary.sums
    last = sums.last
    pages = f"{count(summary.final_pages, 'page')} of 64 KiB at the end"
    grows = ""
    if end is not None:
        refused = f" ({summary.grows_refused:,} refused)" if summary.grows_refused else ""
        grows = f", {count(end.grows, 'growth')}{refused}"
        grows += f", at most {size(end.peak_live_bytes)} live"
    elif summary.grows_seen:
        refused = f" ({summary.grows_refused:,} refused)" if summary.grows_refused else ""
        grows = f", {count(summary.grows_seen, 'growth')}{refused}"
    yield f"  {pages}{grows}"
    if last is not None:
        yield f"  break {last.bloc:#x}, grown up to {last.bloc_max:#x}"
        largest = f", the largest {size(last.free_largest)}" if last.free_blocks > 1 else ""
        yield (
            f"  free list: {count(last.free_blocks, 'block')} of {size(last.free_bytes)}{largest}; "
            f"at most {count(sums.free_blocks_max, 'block')} and {size(sums.free_bytes_max)}"
        )
    if summary.hint_hits or summary.hint_misses:
        yield f"  hints: {summary.hint_hits:,} hit, {summary.hint_misses:,} missed"


def _calls(summary: Summary) -> Iterator[str]:
    if not summary.calls:
        return
    rows: list[Row] = [("calls", "count", "failed", "bytes", "by")]
    for name, calls in sorted(summary.calls.items()):
        paths = ", ".join(f"{path} {times:,}" for path, times in sorted(calls.paths.items()))
        rows.append((name, f"{calls.count:,}", f"{calls.failed:,}", size(calls.bytes), paths))
    yield from _titled(rows, "<>>><")


def _lock(lock: LockSummary) -> Iterator[str]:
    figures = lock.metrics()
    open_ = lock.open
    contended = f"{lock.contended:,} contended ({share(lock.contended, lock.waits.count)})"
    yield (
        click.style(f"lock {lock.name}", bold=True)
        + f"  {count(lock.acquisitions, 'acquisition')}, {contended}"
    )
    for what, at_least in (("wait", bool(open_.waits)), ("hold", open_.hold is not None)):
        yield (
            f"  {what} "
            + ("at least " if at_least else "")
            + ", ".join(
                [f"{ns(figures[f'{what}_ns'])} in all"]
                + [
                    f"{name} {ns(figures[f'{what}_ns.{name}'])}"
                    for name in ("p50", "p90", "p99", "max")
                ]
            )
        )
    yield from _open(open_)
    if lock.contended:
        yield from _queue(lock)
        yield from _shares(lock)


def _open(open_: Unended) -> Iterator[str]:
    """What has not ended, and is counted as long as it lasted."""
    hold = open_.hold
    if hold is not None:
        site = f" in {hold.site}" if hold.site else ""
        yield f"  M{hold.m} holds it{site} since {ns(hold.since_ns)}, for at least {ns(hold.ns)}"
    for one in open_.waits[:STUCK_SHOWN]:
        site = f" in {one.site}" if one.site else ""
        yield f"  M{one.m} waits{site} since {ns(one.since_ns)}, for at least {ns(one.ns)}"
    if len(open_.waits) > STUCK_SHOWN:
        yield f"  and {count(len(open_.waits) - STUCK_SHOWN, 'M')} more"


def _queue(lock: LockSummary) -> Iterator[str]:
    queue = lock.queue
    at_least = "at least " if lock.open.waits else ""
    yield (
        f"  {count(queue.busy_periods, 'busy period')}, the longest {at_least}"
        f"{ns(queue.busy_longest_ns)} with "
        f"{count(queue.busy_longest_acquisitions, 'acquisition')}"
    )
    convoys = count(queue.convoys, "convoy") if queue.convoys else "no convoy"
    if queue.convoys:
        convoys += (
            f", the longest {at_least}{ns(queue.convoy_longest_ns)} with "
            f"{count(queue.convoy_longest_acquisitions, 'acquisition')}"
        )
    yield f"  {convoys}"
    yield (
        f"  up to {queue.queue_depth_max:,} waiting, one M bypassed "
        f"{count(queue.bypasses_max, 'time')}; fairness "
        f"{lock.fairness:.2f} of acquisitions, {lock.fairness_waits:.2f} of waits"
    )


def _shares(lock: LockSummary) -> Iterator[str]:
    rows: list[Row] = [
        ("M", "acquired", "contended", "wait p50", "p99", "max", "in all", "bypassed")
    ]
    by_wait = sorted(lock.shares.items(), key=lambda item: (-item[1].waits.total, item[0]))
    for m, had in sorted(by_wait[:MS_SHOWN]):
        rows.append((f"M{m}", *_share_row(had, lock.bypasses_max(m))))
    yield from _table(rows, ">" * 8)
    if len(by_wait) > MS_SHOWN:
        yield f"  and {count(len(by_wait) - MS_SHOWN, 'M')} more, which waited less"


def _share_row(had: SummaryShare, bypasses_max: int) -> Row:
    figures = had.waits.figures()
    waits = [ns(figures[name]) for name in ("p50", "p99", "max")]
    total = ns(had.waits.total)
    return (
        f"{had.acquisitions:,}", f"{had.contended:,}", *waits, total, f"{bypasses_max:,}",
    )  # fmt: skip


def _slowest(summary: Summary) -> Iterator[str]:
    if not summary.slowest:
        return
    yield click.style("slowest waits", bold=True)
    rows = [
        (
            ns(w.wait_ns) if w.ended else f">= {ns(w.wait_ns)}",
            f"M{w.m}",
            f"for {w.lock} in {w.site or '?'}",
            f"from {w.since_ns:,} ns",
        )
        for w in summary.slowest
    ]
    yield from _table(rows, "><<<")


def _remarks(summary: Summary) -> Iterator[str]:
    """What limits all of this."""
    end = summary.end
    if end is not None and end.uncontrolled:
        places = ", ".join(end.uncontrolled_at) if end.uncontrolled_at is not UNSET else "somewhere"
        yield (
            f"uncontrolled: an M awaits trio itself at {places}; the same seed need not run the "
            "same again"
        )
    if summary.is_thin:
        yield (
            "this log has no mem.return and lock.release (--log-level info): calls and locks are "
            "not known"
        )
    if not summary.is_exact:
        yield "too many distinct times to keep each: percentiles are within 0.05 %"
    if summary.runs > 1:
        yield f"the log holds {summary.runs} runs: this is the first"


# Tables.


def _titled(rows: Sequence[Row], align: str) -> Iterator[str]:
    """A table whose first row names it and its columns, at the margin."""
    head, *lines = _table([("  " + rows[0][0], *rows[0][1:]), *rows[1:]], align)
    title, name = rows[0][0], click.style(rows[0][0], bold=True)
    yield head.replace("    " + title, name + "    ", 1).rstrip()
    yield from lines


def _table(rows: Iterable[Row], align: str) -> Iterator[str]:
    """Lines of columns, indented by two."""
    yield from table_lines(list(rows), align)
