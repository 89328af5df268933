"""`gorun-mem releases`: one scenario or recording on many releases."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gorun_mem.cli._binary import is_wasm, tell
from gorun_mem.cli._common import (
    NUMBER,
    PLATFORM,
    BadInput,
    ExitCode,
    json_option,
    progress,
    write_json,
)

if TYPE_CHECKING:
    from gorun_mem.analysis.releases import OnRelease
    from gorun_mem.machine.config import Config
    from gorun_mem.machine.scenario import Scenario


@click.command("releases")
@click.argument("target")
@click.option(
    "--of",
    "wanted",
    metavar="R,R,...",
    help="Releases, by comma; all minor releases and the seed commit by default.",
)
@click.option("--platform", type=PLATFORM, help="Where the scenario does not decide: js/wasm.")
@click.option("--ms", type=int, help="Ms; 1 by default, as wasm has.")
@click.option("--max-pages", type=NUMBER, help="Pages of 64 KiB that the memory may have.")
@click.option("--seed", type=int, help="Seed of the runs.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A scenario's option.")
@json_option()
def command(
    target: str,
    wanted: str | None,
    platform: str | None,
    ms: int | None,
    max_pages: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run TARGET on many releases: pages, growths, slack, holes; what changed and why.

    TARGET is a scenario, by name or path, or a recording of a real Go program, or a wasm binary, of
    which it says what it declares. A recording is
    issued in free order, so that each release may answer as it does; data and initial pages of
    other releases than the recorded one are estimated by the linker's rule.

    \b
    Examples:
      gorun-mem releases checkerboard
      gorun-mem releases maps.jsonl.gz --of go1.23,go1.25,go1.26
    """
    from gorun_mem.analysis.releases import as_document
    from gorun_mem.machine.config import ConfigError
    from gorun_mem.machine.scenario import ScenarioError
    from gorun_mem.runtime.releases import UnknownRelease

    if is_wasm(Path(target)):
        return tell(Path(target), as_json)
    try:
        scenario, options = _target(target, settings)
        names = _names(wanted, platform)
        changes = {
            "platform": platform,
            "max_pages": max_pages,
            "seed": seed,
            "ms": 1 if ms is None else ms,
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
        click.echo(_text(runs))
    return ExitCode.CLEAN


def _target(target: str, settings: tuple[str, ...]) -> tuple[Scenario, dict[str, Any]]:
    """The scenario to run and its options."""
    from gorun_mem.formats.shipped import resolve
    from gorun_mem.machine.library import find

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


def _names(wanted: str | None, platform: str | None) -> list[str]:
    from gorun_mem.runtime.releases import KNOWN, UnknownRelease, release

    names = [name.strip() for name in wanted.split(",")] if wanted else list(KNOWN)
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
    from gorun_mem.analysis.releases import ArenaPattern, OnRelease
    from gorun_mem.analysis.stream import dispatch_table
    from gorun_mem.analysis.whole import LogAnalysis
    from gorun_mem.events.recorder import Recorder
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
    ended = run(scenario, config, options, recorder=recorder)
    for accumulator in accumulators:
        accumulator.finish()
    return OnRelease.of(changes["release"], ended.outcome.verdict, analysis, arenas)


def _text(runs: list[OnRelease]) -> str:
    from gorun_mem.analysis.releases import PAGE, changes
    from gorun_mem.report.plot import plot, table

    def pages(size: int | None) -> str:
        return "-" if size is None else f"{size / PAGE:,.1f}"

    head = ("release", "outcome", "pages", "grows", "arenas", "metadata", "free", "holes", "slack",
            "unused", "lost", "hits", "misses")  # fmt: skip
    rows = [
        (
            run.release, run.outcome, f"{run.final_pages:,}", f"{run.grows:,}",
            pages(run.parts["arena_bytes"]), pages(run.parts["metadata_bytes"]),
            pages(run.parts["free"]), pages(run.hole_bytes), pages(run.parts["slack"]),
            pages(run.parts["never_used"]), pages(run.parts["lost"]), f"{run.hint_hits:,}",
            f"{run.hint_misses:,}",
        )
        for run in runs
    ]  # fmt: skip
    lines = [
        table(head, rows),
        "",
        "all but outcome, grows, hits and misses in pages of 64 KiB",
        "",
    ]
    lines.append(
        plot(
            [run.release.removeprefix("go") for run in runs],
            {"pages": [float(run.final_pages) for run in runs]},
            unit="pages",
            height=8,
        )
    )
    found = changes(runs)
    lines += ["", *(f"{c.before} to {c.after}: {c.pages:+,} pages: {c.text}" for c in found)]
    if not found:
        lines.append("nothing changed between these releases")
    return "\n".join(lines)
