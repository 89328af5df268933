r"""`gorun-mem man`: the manual page, made from what `--help` says.

The language is man(7)'s. A paragraph that click leaves as it is (after \b) is set as an example.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from gorun_mem._version import VERSION
from gorun_mem.cli._common import ExitCode, json_option, write_json

_PLAIN: Final = "\b"
ENVIRONMENT: Final = {
    "GORUN_MEM_HOME": "Where logs, schedules and the tracebacks of faults go, in place of "
    "$XDG_STATE_HOME/gorun_mem.",
    "GORUN_MEM_DEBUG": "Show the traceback of an internal fault.",
    "GORUN_MEM_PURE": "While it is installed: compile nothing.",
    "GORUN_MEM_RELEASE, GORUN_MEM_MUTEX, ...": "Defaults of options, as [tool.gorun_mem] in "
    "pyproject.toml has them; gorun-mem --show-config lists them all.",
    "NO_COLOR": "No colours.",
}


@click.command("man")
@json_option()
def command(as_json: bool) -> int:
    """Write the manual page, in the language of man(7), to stdout.

    \b
    Examples:
      gorun-mem man | man -l -
      gorun-mem man > ~/.local/share/man/man1/gorun-mem.1

    Exit codes: 0 clean.
    """
    page = "\n".join(page_lines())
    if as_json:
        write_json({"page": page})
    else:
        click.echo(page)
    return ExitCode.CLEAN


def page_lines() -> Iterator[str]:
    """The page, line by line."""
    from gorun_mem.cli._group import gorun_mem

    ctx = click.Context(gorun_mem, info_name="gorun-mem")
    yield f'.TH GORUN-MEM 1 "" "gorun-mem {VERSION}" "User Commands"'
    yield ".SH NAME"
    yield r"gorun-mem \- the Go runtime's sbrk memory layer, emulated exactly"
    yield ".SH SYNOPSIS"
    yield r".B gorun-mem"
    yield r".I VERB"
    yield "[...]"
    yield ".SH DESCRIPTION"
    yield from _help(gorun_mem.help or "")
    yield from _options(gorun_mem, ctx)
    yield ".SH VERBS"
    for verb in gorun_mem.list_commands(ctx):
        of = gorun_mem.get_command(ctx, verb)
        assert of is not None
        inner = click.Context(of, parent=ctx, info_name=verb)
        usage = " ".join(of.collect_usage_pieces(inner))
        yield f".SS gorun\\-mem {_text(verb)} {_text(usage)}"
        yield from _help(of.help or "")
        yield from _options(of, inner)
    yield ".SH EXIT STATUS"
    yield from _exit_codes()
    yield ".SH ENVIRONMENT"
    for name, text in ENVIRONMENT.items():
        yield from _entry(name, text)


def _exit_codes() -> Iterator[str]:
    from gorun_mem.cli.explain import EXIT_CODES

    for code, text in EXIT_CODES.items():
        yield from _entry(str(int(code)), text)


def _help(text: str) -> Iterator[str]:
    """The paragraphs of a help text; what follows a line of \\b alone stays as it is."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        lines = paragraph.splitlines()
        if number:
            yield ".PP"
        if lines and lines[0].strip() == _PLAIN:
            yield ".nf"
            yield from (_line(line) for line in lines[1:])
            yield ".fi"
        else:
            yield from _wrapped(" ".join(lines))


def _options(of: click.Command, ctx: click.Context) -> Iterator[str]:
    for param in of.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None and record[1]:
            yield from _entry(record[0], " ".join(record[1].split()))


def _entry(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f"\\fB{_text(term)}\\fR"
    yield from _wrapped(text)


def _wrapped(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, 66, break_long_words=False, break_on_hyphens=False):
        yield _line(line)


def _line(text: str) -> str:
    """A line of text, which is never one of roff's requests."""
    text = _text(text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _text(text: str) -> str:
    """Text whose backslashes and hyphens are those that were written."""
    return text.replace("\\", "\\e").replace("-", "\\-")
