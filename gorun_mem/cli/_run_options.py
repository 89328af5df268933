"""The options that describe a run; `run` and `explore` share them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from gorun_mem.cli._common import (
    Number,
    apply,
    costs_option,
    cpus_option,
    host_option,
    mem_debug_option,
    memory_options,
    mutex_option,
    platform_option,
    policy_option,
    release_option,
    seed_option,
    set_option,
)
from gorun_mem.cli._output import show

_INT63: Final = (1 << 63) - 1


def _options() -> list[Callable[[Any], Any]]:
    """The options that describe a run, in the order in which --help shows them."""
    return [
        click.option(
            "--ms",
            type=Number(most=_INT63),
            metavar="N",
            help="Start so many Ms in the scenario.  [default: the scenario's]",
        ),
        cpus_option(),
        release_option(),
        platform_option(),
        mutex_option(),
        policy_option(),
        seed_option(),
        *memory_options(),
        set_option(),
        host_option(
            "trio",
            "Drive the Ms as trio tasks or by the trampoline; the log is the same, "
            "the latter faster.",
        ),
        click.option(
            "--strategy",
            metavar="NAME",
            help="Choose who goes next by this strategy: round_robin, random, run_to_block or "
            "timing, where the least virtual clock goes.  [default: timing]",
        ),
        click.option(
            "--granularity",
            type=click.Choice(["sync", "access"]),
            default=None,
            help="Let Ms meet at lock and unlock (sync), or at every access to memory "
            "(access), which "
            "needs --mutex none.  [default: sync]",
        ),
        click.option(
            "--steps-max",
            type=Number(1, _INT63),
            metavar="N",
            help="End a run without progress after so many steps.  [default: 50000000, or 20000 "
            "in a search]",
        ),
        mem_debug_option(),
        costs_option(),
    ]


def run_options(function: Any) -> Any:
    """Decorate a command with the options that describe a run."""
    return apply(_options())(function)


def _list_metrics(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from gorun_mem.report.terms import metric_terms
    from gorun_mem.report.width import table_lines

    rows = [(term.word, term.text) for term in metric_terms()]
    show(*table_lines(rows, "<<", ""))
    show("", "behind those that are times of many there is p50, p90, p99 or max, as in")
    show("lock.memlock.wait_ns.p99; gorun-mem explain METRIC says more")
    ctx.exit(0)


metrics_option = click.option(
    "--metrics",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_metrics,
    help="List the metrics that an EXPR may name, and exit.",
)
"""`--metrics`."""

assert_option = click.option(
    "--assert",
    "asserts",
    multiple=True,
    metavar="EXPR",
    help="Fail with exit code 1 where this does not hold of the run's metrics, such as "
    "'final_pages <= 700'; may be given again.",
)
