"""The group of verbs, each imported only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import click

from gorun_mem._interrupts import raise_interrupts
from gorun_mem._version import VERSION, build
from gorun_mem.cli._output import Context, color_option, show
from gorun_mem.report.width import columns_given

VERBS: Final[dict[str, tuple[str, str]]] = {
    "scenarios": ("gorun_mem.cli.scenarios", "List the scenarios; show the options of one."),
    "run": ("gorun_mem.cli.run", "Run a scenario, and say what came of it."),
    "compare": ("gorun_mem.cli.compare", "Run one load under several settings; what differs?"),
    "explore": ("gorun_mem.cli.explore", "Search schedules for one that breaks a scenario."),
    "verify": ("gorun_mem.cli.verify", "Visit every state that threads can bring a lock to."),
    "replay-schedule": ("gorun_mem.cli.replay_schedule", "Run a schedule again, step by step."),
    "report": ("gorun_mem.cli.report", "Say what a log says, from the log alone."),
    "export": (
        "gorun_mem.cli.export",
        "Write a log for pprof, Perfetto, OpenTelemetry, lnav, or as a table.",
    ),
    "diff": ("gorun_mem.cli.diff", "Compare two runs, and fail on what got worse."),
    "record": ("gorun_mem.cli.record", "Run a Go wasm program as built; record its memory."),
    "predict": ("gorun_mem.cli.predict", "Say how many pages a program takes on other releases."),
    "releases": (
        "gorun_mem.cli.releases",
        "Run one program on many releases, and say what changed.",
    ),
    "sweep": ("gorun_mem.cli.sweep", "Do many runs, searches or predictions; a row of each."),
    "query": ("gorun_mem.cli.query", "Ask a log in SQL."),
    "serve": ("gorun_mem.cli.serve", "Serve an emulated runtime: each connection is a thread."),
    "connect": ("gorun_mem.cli.connect", "Talk to a service, by hand or with a script."),
    "view": ("gorun_mem.cli.view", "Show a log, a schedule or a recording in a browser."),
    "ops": ("gorun_mem.cli.ops", "Answer an operation script as Go does; check recorded answers."),
    "replay": (
        "gorun_mem.cli.replay",
        "Replay recordings of real Go programs and compare every answer.",
    ),
    "explain": ("gorun_mem.cli.explain", "Say what a word of an output means."),
    "completion": ("gorun_mem.cli.completion", "Write a shell's completion script."),
    "man": ("gorun_mem.cli.man", "Write the manual page."),
    "bench": ("gorun_mem.cli.bench", "Measure this machine beside peers; ratios of one run."),
}
"""Verb -> (module whose `command` it is, the line that `gorun-mem --help` shows)."""


def _check_value(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """The value of an argument, if it is no file that belongs to another verb."""
    from gorun_mem.cli._mistakes import check_files

    if value and not ctx.resilient_parsing:
        check_files(ctx.info_name or "", param.name or "", value)
    return value


class LazyGroup(click.Group):
    """A click group over a table of modules.

    Args:
        verbs: verb -> (module, one-line help); the module's `command` is the click command.
    """

    def __init__(
        self, *args: Any, verbs: dict[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs if verbs is not None else {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the table's order."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        entry = self.verbs.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(entry[0]).command
        if all(param.name != "color" for param in command.params):
            command.params.append(color_option())
        for param in command.params:
            if isinstance(param, click.Argument) and param.callback is None:
                param.callback = _check_value
        command.context_class = Context
        if ctx.resilient_parsing:
            from gorun_mem.cli._completing import offer

            offer(command)
        raise_interrupts()  # from here on there is something to lose
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs from the table: asking the commands would import them all."""
        if not self.verbs:
            return
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in self.verbs.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one was probably meant."""
        verb = args[0]
        if verb not in self.verbs and not verb.startswith("-") and not ctx.resilient_parsing:
            from gorun_mem.cli._mistakes import no_verb

            raise click.UsageError(no_verb(args, self.verbs), ctx)
        found = super().resolve_command(ctx, args)
        if found[1] is not None and not ctx.resilient_parsing:
            from gorun_mem.cli.defaults import give

            give(ctx, verb, found[1])
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take --json beside --show-config, which is the only thing of no verb that has it."""
        ctx.meta[_AS_JSON] = "--json" in args
        if "--show-config" in args:
            args = [word for word in args if word != "--json"]
        return super().parse_args(ctx, args)

    def run(self, prog: str, args: list[str]) -> int:
        """Run `args` and return the exit code; failures come out as they were raised.

        click's own `main` is not used: it turns an EOFError of ours into an interruption and
        leaves by itself on a broken pipe.
        """
        if any("\0" in arg for arg in args):
            raise click.UsageError("an argument holds a zero byte, which no file name can")
        columns = os.environ.get("COLUMNS")
        if columns is not None and not columns_given(columns):
            del os.environ["COLUMNS"]  # what draws tables heeds it too
        try:
            with self.make_context(prog, list(args)) as ctx:
                result: object = self.invoke(ctx)
        except click.exceptions.Exit as stop:
            return stop.exit_code
        except click.BadParameter as error:
            from gorun_mem.cli.defaults import named

            raise named(error) from None
        finally:
            if columns is None:
                os.environ.pop("COLUMNS", None)
            else:
                os.environ["COLUMNS"] = columns
        return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _show_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"gorun-mem {VERSION} ({build()})")
        ctx.exit(0)


TO_TRY: Final = {
    "gorun-mem run": "four threads (Ms), one lock: who waits, who is overtaken",
    "gorun-mem explore lessons/lost_wakeup": "the schedule that loses a wakeup, found and told",
    "gorun-mem predict queue-go1.24.11": "pages of a Go program under other releases",
}
"""What to try first -> what it shows."""


def _say_what_to_try() -> None:
    from gorun_mem.report.width import TEXT_MAX, cells, width

    columns = width() or TEXT_MAX
    show("The Go runtime's sbrk memory layer and its locks, emulated exactly. Try:", "")
    size = max(map(len, TO_TRY))
    for command, what in TO_TRY.items():
        if size + cells(what) + 4 <= columns:
            show(f"  {command:{size}}  {what}")
        else:
            show(f"  {command}", f"      {what}")
    show("", "All verbs: gorun-mem --help. All words: gorun-mem explain.")


_version: Callable[[Callable[..., object]], Callable[..., object]] = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)


def _show_config(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from gorun_mem.cli._show_config import show_config

        show_config(ctx, ctx.meta[_AS_JSON])
        ctx.exit(0)


_AS_JSON: Final = "gorun_mem.as_json"
_config: Callable[[Callable[..., object]], Callable[..., object]] = click.option(
    "--show-config",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_config,
    help="Show the defaults and where each comes from: $GORUN_MEM_* or [tool.gorun_mem] in "
    "pyproject.toml; with --json as one document.",
)


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    subcommand_metavar="VERB ...",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_version
@_config
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show the traceback of an internal fault (also $GORUN_MEM_DEBUG).",
)
@click.pass_context
def gorun_mem(ctx: click.Context) -> None:
    """The Go runtime's sbrk memory layer and its locks, emulated exactly.

    \b
    Examples:
      gorun-mem run memlock_storm --ms 8
      gorun-mem report last
      echo 'alloc 65536' | gorun-mem ops --release go1.24 --platform js/wasm
      gorun-mem ops --help

    Exit codes: 0 clean; 1 a throw, fault, assertion or difference; 2 usage or bad input;
    3 a hang or deadlock; 4 internal fault; 5 a search that was inconclusive; 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        _say_what_to_try()


gorun_mem.context_class = Context
gorun_mem.params.append(color_option())
