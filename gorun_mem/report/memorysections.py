"""The sections of a report that are about memory."""

from __future__ import annotations

from gorun_mem.analysis.memoryreport import Budget, Growth, Layout
from gorun_mem.analysis.whole import LogAnalysis
from gorun_mem.report.tables import (
    Section,
    TableCell,
    addr_cell,
    int_cell,
    m_cell,
    ns_cell,
    ratio_cell,
    size_cell,
    table_of,
    text_cell,
)
from gorun_mem.report.units import count, ns, size


def memory_section(found: LogAnalysis) -> Section:
    """Where the memory is, and why it does not go back."""
    use = found.memory
    end, peak = use.end, use.peak
    section = Section("memory", "Memory")
    section.facts = [
        ("at the end", f"{count(end.pages, 'page')} of 64 KiB, {size(end.live)} live"),
        ("at most", f"{size(use.peak_top)} of memory, {size(use.peak_live)} live"),
        ("growths", f"{use.growths_seen:,}, {use.refused:,} refused"),
        ("frees that lowered the break", f"{use.end_frees:,}, {size(use.end_free_bytes)}"),
    ]
    if use.noop_bytes:
        section.facts.append(("freed for nothing", f"{size(use.noop_bytes)} (up to go1.20)"))
    if use.unrounded_end_frees:
        text = f"{use.unrounded_end_frees:,}, {size(use.unrounded_end_bytes)}"
        section.facts.append(("frees of an unrounded size at the end", text))
    discard = use.discard()
    if discard is not None:
        text = f"{count(discard.pages, 'page')}: {discard.free_pages:,} free, "
        section.facts.append(
            ("memory.discard could give back", text + f"{discard.slack_pages:,} slack")
        )
    section.remarks = [reason.text for reason in use.reasons()]
    if use.unknown_frees:
        section.remarks.append(f"{count(use.unknown_frees, 'free')} of what was not handed out")
    parts = _parts(peak, end)
    rows = [(text_cell(name), size_cell(p), size_cell(e)) for name, p, e in parts if p or e]
    section.tables.append(table_of("where it is", "part|most live|end", rows))
    calls = [
        (
            text_cell(name),
            int_cell(one.count),
            int_cell(one.failed),
            size_cell(one.bytes),
            text_cell(", ".join(f"{path} {n:,}" for path, n in sorted(one.paths.items()))),
        )
        for name, one in sorted(found.summary.calls.items())
    ]
    section.tables.append(table_of("calls", "function|calls|failed|bytes|by", calls))
    return section


def _parts(peak: Layout, end: Layout) -> list[tuple[str, int, int]]:
    """(part, bytes when most was live, bytes at the end); they add up to the top."""
    purposes = sorted({*peak.held, *end.held})
    return [
        ("static data", peak.static, end.static),
        *((name, peak.held.get(name, 0), end.held.get(name, 0)) for name in purposes),
        ("free list", peak.free, end.free),
        ("slack below the highest break", peak.slack, end.slack),
        ("never used", peak.never_used, end.never_used),
        *([("the host's", peak.host, end.host)] if peak.host or end.host else []),
        ("lost", peak.lost, end.lost),
        ("in all", peak.top, end.top),
    ]


def growths_section(found: LogAnalysis) -> Section:
    """What the memory grew for."""
    use = found.memory
    section = Section("growths", "Growths")
    section.facts = [("growths", f"{use.growths_seen:,}, {use.refused:,} refused")]
    causes = [
        (
            text_cell(c.fn),
            text_cell(c.purpose),
            int_cell(c.count),
            size_cell(c.bytes),
            int_cell(c.refused),
        )
        for c in use.causes
    ]
    section.tables = [
        table_of("by what they were for", "function|purpose|growths|bytes|refused", causes),
        table_of(
            "growths",
            "at|from|to|granted|for|needed|was free|largest|slack|why|event",
            [_growth_row(one) for one in use.growths if _is_in(found, one.t_ns)],
        ),
    ]
    return section


def _growth_row(one: Growth) -> tuple[TableCell, ...]:
    return (
        ns_cell(one.t_ns),
        size_cell(one.before),
        size_cell(one.after),
        text_cell("yes" if one.ok else "no"),
        text_cell(str(one.cause) if one.cause else ""),
        size_cell(one.need),
        size_cell(one.free),
        size_cell(one.largest),
        size_cell(one.slack),
        text_cell(one.verdict),
        int_cell(one.seq),
    )


def hints_section(found: LogAnalysis) -> Section:
    """Arena hints."""
    use = found.memory
    section = Section("hints", "Arena hints")
    said = found.summary  # a log without the heap's events has these, too
    section.facts = [("hit", f"{said.hint_hits:,}"), ("missed", f"{said.hint_misses:,}")]
    rows = [
        (
            ns_cell(m.t_ns),
            addr_cell(m.hint_addr),
            addr_cell(m.bloc),
            size_cell(m.gap_bytes),
            text_cell(m.why),
            int_cell(m.seq),
        )
        for m in use.hint_misses
        if _is_in(found, m.t_ns)
    ]
    section.tables = [table_of("missed", "at|hint|break|apart|why|event", rows)]
    return section


def fragmentation_section(found: LogAnalysis) -> Section:
    """All measures of fragmentation, and failed requests."""
    frag = found.fragmentation
    last, ratios, steps = frag.last, frag.ratios, frag.search_steps
    section = Section("fragmentation", "Fragmentation")
    worst, at = frag.external_max
    section.facts = [
        (
            "free list at the end",
            f"{count(last.blocks, 'block')} of {size(last.free)}, the largest {size(last.largest)}",
        ),
        ("most free blocks", f"{frag.blocks_max:,}"),
        ("external, 1 - largest/free", f"{last.external:.3f} at the end, {worst:.3f} at {ns(at)}"),
    ]
    if frag.sawicki_max is not None and last.sawicki is not None:
        worst, at = frag.sawicki_max
        text = f"{last.sawicki:.3f} at the end, {worst:.3f} at {ns(at)}"
        section.facts.append(("Sawicki, 1 - sqrt(sum of squares)/free", text))
    section.facts += [
        ("heap over live, on average", f"{ratios.average:.3f}"),
        ("heap over live, at most live", f"{ratios.at_peak_live:.3f}"),
        ("heap over live, at the largest heap", f"{ratios.at_peak_heap:.3f}"),
        ("largest heap over most live", f"{ratios.peak_over_peak:.3f}"),
        (
            "rounding to pages",
            f"{size(frag.rounding_bytes)} above {size(frag.asked_bytes)} asked for",
        ),
        ("headers looked at in a call", f"p50 {steps.p50:,}, p99 {steps.p99:,}, max {steps.max:,}"),
    ]
    rows = [
        (
            ns_cell(f.t_ns),
            m_cell(f.m),
            text_cell(f.fn),
            text_cell(f.purpose),
            size_cell(f.need),
            size_cell(f.free),
            size_cell(f.largest),
            int_cell(f.blocks),
            size_cell(f.slack),
            ratio_cell(f.unusable if f.unusable is not None else -1),
            ratio_cell(f.index if f.index is not None else -1),
            text_cell(f.verdict),
            int_cell(f.seq),
        )
        for f in frag.failures
        if _is_in(found, f.t_ns)
    ]
    columns = (
        "at|M|function|purpose|needed|free|largest|blocks|slack|unusable|index|for want of|event"
    )
    section.tables = [table_of("requests that failed", columns, rows)]
    return section


def budget_section(found: LogAnalysis, pages: int | None = None) -> Section:
    """Whether the run would fit into fewer pages.

    Args:
        found: by the analysis.
        pages: the budget to answer for; None for the run's own bound.
    """
    use = found.memory
    if pages is None:
        pages = use.start.max_pages if use.start is not None else 65536
    section = Section("budget", "Budget")
    answer = use.budget(pages)
    section.facts = [
        ("pages needed", f"{answer.needed:,} of 64 KiB"),
        (f"fits into {count(pages, 'page')}", budget_text(answer)),
    ]
    rows = []
    for each in _budgets(found, answer.needed):
        one = use.budget(each)
        failure = one.failure or one.unknown
        fits = "as far as known" if one.unknown else "yes" if one.fits else "no"
        rows.append(
            (
                int_cell(each),
                text_cell(fits),
                text_cell(one.verdict),
                text_cell(str(failure.cause) if failure and failure.cause else ""),
                ns_cell(failure.t_ns) if failure else TableCell("-", -1),
            )
        )
    columns = "pages|fits|for want of|the first that fails, or was refused in this run|at"
    section.tables = [table_of("other budgets", columns, rows)]
    if not answer.exact:
        section.remarks.append("growths are too many to keep: the first failure is among the first")
    return section


def _budgets(found: LogAnalysis, needed: int) -> list[int]:
    """Budgets that tell something: those at which the first growth that fails is another one."""
    tops = sorted({-(-one.after // 65536) for one in found.memory.growths if one.may_be_granted})
    step = max(1, len(tops) // 20)
    chosen = {needed, *tops[::step]}
    return sorted({max(1, needed - 1), *chosen})


def budget_text(answer: Budget) -> str:
    """Whether it fits, in a sentence."""
    if answer.unknown is not None:
        at = ns(answer.unknown.t_ns)
        return f"yes up to {at}, where a growth was refused that these pages allow; then unknown"
    if answer.fits:
        return "yes"
    if answer.verdict == "host":
        return "no: the host's growth does not fit"
    if answer.failure is None:
        return (
            f"no: it cannot be instantiated, for it starts with {count(answer.start_pages, 'page')}"
        )
    cause = f": {answer.failure.cause}" if answer.failure.cause else ""
    want = f", for want of {answer.verdict}" if answer.verdict else ""
    return f"no, at {ns(answer.failure.t_ns)}{want}{cause}"


def _is_in(found: LogAnalysis, t_ns: int) -> bool:
    """Whether it is in the window; what is behind it was never seen."""
    return found.window is None or t_ns >= found.window.from_ns
