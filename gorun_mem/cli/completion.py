"""`gorun-mem completion`: the script by which a shell completes command lines."""

from __future__ import annotations

import click

from gorun_mem.cli._common import ExitCode, json_option, write_json

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_GORUN_MEM_COMPLETE"
"""In the environment, by it a shell asks; click's own name for it."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@json_option()
def command(shell: str, as_json: bool) -> int:
    """Write the completion script of SHELL: verbs, options, scenarios, mutexes, releases, files.

    \b
    Examples:
      eval "$(gorun-mem completion bash)"                       # in ~/.bashrc
      gorun-mem completion zsh > ~/.zfunc/_gorun-mem            # a folder of $fpath
      gorun-mem completion fish > ~/.config/fish/completions/gorun-mem.fish

    Exit codes: 0 clean; 2 no such shell.
    """
    from click.shell_completion import get_completion_class

    from gorun_mem.cli._group import gorun_mem

    # `bash --version` is not asked here: the script may be for another machine.
    kind = get_completion_class(shell)
    assert kind is not None
    completes = kind(gorun_mem, {}, "gorun-mem", VARIABLE)
    script = kind.source_template % completes.source_vars()
    if as_json:
        write_json({"shell": shell, "script": script})
    else:
        click.echo(script)
    return ExitCode.CLEAN
