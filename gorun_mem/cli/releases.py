"""`gorun-mem releases`: one scenario or recording on many releases."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._binary import is_wasm, tell
from gorun_mem.cli._common import (
    PLATFORM,
    BadInput,
    ExitCode,
    Number,
    apply,
    json_option,
    memory_options,
    progress,
    set_option,
    write_json,
)
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.analysis.by_release import OnRelease
    from gorun_mem.machine.config import Config
    from gorun_mem.machine.scenario import Scenario

_INT63: Final = (1 << 63) - 1


@click.command("releases")
@click.argument("target")
@click.option(
    "--of",
    "wanted",
    metavar="R,R,...",
    help="Compare these releases, with commas between them; go1.23..go1.27 is a range.  [default: "
    "all minor releases and the commit dac514ea]",
)
@click.option(
    "--platform",
    type=PLATFORM,
    metavar="P",
    help="Emulate this platform: js/wasm, wasip1/wasm, plan9/amd64 or plan9/386.  [default: the "
    "scenario's, or js/wasm]",
)
@click.option(
    "--ms",
    type=Number(1, 4096),
    metavar="N",
    help="Start so many Ms in each run.  [default: 1, as wasm has]",
)
@apply(memory_options())
@click.option(
    "--seed",
    type=Number(most=_INT63),
    metavar="S",
    help="Draw everything that is left to chance from this seed in every run.  [default: 0]",
)
@set_option()
@json_option()
def command(
    target: str,
    wanted: str | None,
    platform: str | None,
    ms: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    as_json: bool,
    **memory: int | None,
) -> int:
    """Run TARGET on many releases: pages, growths, slack, holes; what changed and why.

    TARGET is a scenario, by name or path, or a recording of a real Go program, or a wasm binary, of
    which it says what it declares. A recording is
    issued in free order, so that each release may answer as it does; data and initial pages of
    other releases than the recorded one are estimated by the linker's rule.

    With --max-pages the outcome of a release may be not_instantiable, where it starts with more, or
    out_of_memory, where a call got nil that Go dies of; "needs" is the least limit that would do.

    \b
    Examples:
      gorun-mem releases checkerboard
      gorun-mem releases maps.jsonl.gz --of go1.23,go1.25,go1.26
      gorun-mem releases maps.jsonl.gz --max-pages 400

    Exit codes: 0 it lives on every release; 1 on one it does not; 2 usage.
    """
    from gorun_mem.analysis.by_release import as_document
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.runtime.behaviour import UnknownRelease

    if is_wasm(Path(target)):
        return tell(Path(target), as_json)
    try:
        scenario, options = _target(target, settings)
        recorded = _recorded_on(Path(options["trace"])) if "trace" in options else None
        names = _names(wanted, platform or recorded)
        changes = {
            "platform": platform,
            "seed": seed,
            "ms": 1 if ms is None else ms,
            **memory,
        }
        runs = []
        with progress("releases", total=len(names)) as advance:
            for name in names:
                runs.append(_run(scenario, options, {**changes, "release": name}))
                advance(1)
    except (ConfigError, ScenarioError, UnknownRelease) as error:
        raise BadInput(str(error)) from None
    if as_json:
        write_json({"target": target, **as_document(runs)})
    else:
        show(_text(runs))
    return ExitCode.CLEAN if all(run.outcome == "ok" for run in runs) else ExitCode.FAILED


def _target(target: str, settings: tuple[str, ...]) -> tuple[Scenario, dict[str, Any]]:
    """The scenario to run and its options."""
    from gorun_mem.machine.library import find
    from gorun_mem.replay.shipped import resolve

    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting}: give it as KEY=VALUE")
        options[key] = value
    if resolve(target).is_file() and not target.endswith(".py"):
        options |= {"trace": target, "order": "free"}
        target = "real_program"
    scenario = find(target)
    return scenario, options


def _recorded_on(trace: Path) -> str | None:
    """The platform of a recording; None where it cannot be read, which the first run says."""
    from gorun_mem.replay.recording import Recording, RecordingError

    try:
        with Recording(trace) as recording:
            return recording.header.platform_name
    except (RecordingError, OSError):
        return None


def _names(wanted: str | None, platform: str | None) -> list[str]:
    from gorun_mem.runtime.behaviour import KNOWN, UnknownRelease, release
    from gorun_mem.runtime.ranges import releases_of

    names = list(KNOWN)
    if wanted is not None:
        if not wanted.strip(" ,"):
            raise BadInput(f"--of {wanted!r} names no release: write it as in go1.23..go1.27")
        names = [name for text in wanted.split(",") for name in releases_of(text.strip())]
    kept = []
    for name in names:
        found = release(name)
        if platform is not None and not wanted:
            with contextlib.suppress(UnknownRelease):
                found.platform(platform)
                kept.append(name)
            continue
        kept.append(name)
    return kept


def _run(scenario: Scenario, options: dict[str, Any], changes: dict[str, Any]) -> OnRelease:
    """One run, analysed while it goes on."""
    from gorun_mem.analysis.accumulator import dispatch_table
    from gorun_mem.analysis.by_release import ArenaPattern, OnRelease
    from gorun_mem.analysis.whole import LogAnalysis
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.machine.config import DoesNotFit
    from gorun_mem.machine.limits import smallest_limit
    from gorun_mem.machine.outcome import in_words
    from gorun_mem.machine.run import run

    config: Config = scenario.config(**changes)
    analysis, arenas = LogAnalysis(), ArenaPattern()
    accumulators = [*analysis.accumulators(), arenas]
    handlers = dispatch_table(accumulators)
    recorder = Recorder()

    def take(event: Any) -> None:
        for handler in handlers.get(type(event), ()):
            handler(event)

    recorder.subscribe(take)
    release: str = changes["release"]
    try:
        ended = run(scenario, config, options, recorder=recorder)
    except DoesNotFit as error:
        row = OnRelease.not_run(release, str(error))
    else:
        for accumulator in accumulators:
            accumulator.finish()
        outcome = ended.outcome
        why = in_words(outcome.error) if outcome.error is not None else ""
        row = OnRelease.of(release, outcome.verdict, analysis, arenas, why)
    if row.lives:
        return row
    return replace(row, needs_pages=smallest_limit(scenario, config, options))


def _text(runs: list[OnRelease]) -> str:
    from gorun_mem.analysis.by_release import changes
    from gorun_mem.report.plot import plot
    from gorun_mem.report.width import figures_table, width
    from gorun_mem.runtime.pages import PAGE

    def pages(size: int | None) -> str:
        return "-" if size is None else f"{size / PAGE:,.1f}"

    head = ("release", "outcome", "pages", "needs", "grows", "arenas", "metadata", "free", "holes",
            "slack", "unused", "lost", "hits", "misses")  # fmt: skip
    rows = [
        (
            run.release, run.outcome, f"{run.final_pages:,}",
            "-" if run.needs_pages is None else f"{run.needs_pages:,}", f"{run.grows:,}",
            pages(run.parts["arena_bytes"]), pages(run.parts["metadata_bytes"]),
            pages(run.parts["free"]), pages(run.hole_bytes), pages(run.parts["slack"]),
            pages(run.parts["never_used"]), pages(run.parts["lost"]), f"{run.hint_hits:,}",
            f"{run.hint_misses:,}",
        )
        for run in runs
    ]  # fmt: skip
    lines = [
        figures_table(head, rows),
        "",
        "all but outcome, grows, hits and misses in pages of 64 KiB",
        "",
        *(f"{run.release}: {' '.join(run.why.split())}\n" for run in runs if run.why),
    ]
    lines.append(
        plot(
            [run.release.removeprefix("go") for run in runs],
            {"pages": [float(run.final_pages) for run in runs]},
            unit="pages",
            height=8,
            columns=width(),
        )
    )
    found = changes(runs)
    lines += ["", *(f"{c.before} to {c.after}: {c.pages:+,} pages: {c.text}" for c in found)]
    if not found:
        compared = sum(run.lives for run in runs) > 1
        lines.append(
            "nothing changed between these releases"
            if compared
            else "nothing to compare: no two of them live under this limit"
        )
    return "\n".join(lines)
