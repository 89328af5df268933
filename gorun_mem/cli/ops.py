"""`gorun-mem ops`: answer operation scripts, or compare with recorded answers."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click

from gorun_mem._near import near_file
from gorun_mem.cli._common import (
    BYTES,
    BadInput,
    ExitCode,
    Number,
    Pages,
    json_option,
    platform_option,
    progress,
    release_option,
    worst,
    write_json,
)
from gorun_mem.cli._exit import internal_fault, say
from gorun_mem.cli._output import show
from gorun_mem.cli._stdout import end_without_reader
from gorun_mem.replay.opcheck import ScriptComparison, compare
from gorun_mem.replay.ops import BadOptions, OpMachine, Options
from gorun_mem.replay.opscript import OPERANDS, Operation, Script, ScriptError
from gorun_mem.runtime.errors import EmulatedFailure, Fault, Hang, Throw

STDIN: Final = "<stdin>"
_DEFAULT: Final = Options()
_ANSWER_SHOWN: Final = 100
"""Characters of a differing answer that are shown; --json has all of them."""


@click.command("ops")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@release_option(_DEFAULT.release)
@platform_option(_DEFAULT.platform)
@click.option(
    "--end",
    type=BYTES,
    default=_DEFAULT.end,
    show_default=True,
    help="Let the program's static data end at this address, where the break starts.",
)
@click.option(
    "--init-pages",
    type=Number(-1),
    default=_DEFAULT.init_pages,
    show_default=True,
    help="Start the wasm memory with so many pages of 64 KiB; -1 takes as many as Go's linker asks "
    "for.",
)
@click.option(
    "--max-pages",
    type=Pages(),
    default=_DEFAULT.max_pages,
    show_default=True,
    help="Refuse growth of the wasm memory beyond so many pages of 64 KiB.",
)
@click.option(
    "--brk-max",
    type=BYTES,
    default=_DEFAULT.brk_max,
    show_default="no limit",
    help="Refuse to move Plan 9's break beyond this address.",
)
@click.option(
    "--memdebug",
    is_flag=True,
    help="Check the whole free list whenever it changes, as Go does under memDebug.",
)
@click.option(
    "--strict", is_flag=True, help="Refuse illegal frees, which Go would do and be corrupted by."
)
@click.option("--echo", is_flag=True, help="Print OP => RESULT instead of the result alone.")
@click.option(
    "--check",
    is_flag=True,
    help="Compare with the answers that the FILEs record, and exit with 1 where one differs.",
)
@json_option()
@click.pass_context
def command(
    ctx: click.Context,
    /,
    files: tuple[str, ...],
    echo: bool,
    check: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Answer operation scripts as the real Go code does, misuse included.

    A script has one operation a line: info, alloc N, free V N, reserve V N, reserve_aligned SIZE
    ALIGN, fill V N BYTE, word V, iszero V N, hostgrow N, limit N, failnext N, state, dump, dump
    full. Numbers are decimal or 0x. Scripts may be gzip. Without a FILE, or with -, stdin is read
    line by line and each line answered at once. Every FILE is a program of its own.

    With hostgrow the host, and not Go, makes wasm memory N pages larger, for itself. With --strict
    an illegal free is refused, and so is an answer of Go's that no caller can live with: memory
    that is the host's, that is not zero, or that is less than was asked for. A limit below what the
    memory starts with is one under which the program never runs.

    With --check each FILE runs under the options of its header, a first line "# {JSON}"; what the
    header does not say comes from the command line.

    \b
    Examples:
      printf 'alloc 65536\\nstate\\n' | gorun-mem ops --release go1.23 --echo
      gorun-mem ops --platform plan9/386 script.txt
      gorun-mem ops --check recorded/*.txt.gz

    Exit codes: 0 clean; 1 throw, fault, refusal or difference; 2 bad input; 3 hang.
    """
    if check and echo:
        raise click.UsageError("--echo and --check exclude each other: --check prints no answers")
    options = Options(**given)
    try:
        options.check()
    except BadOptions as error:
        raise BadInput(str(error)) from None
    sources = files or ("-",)
    _say_unused(ctx, options.platform, check)
    if check:
        ctx.exit(_check_all(sources, options, as_json))
    ctx.exit(_answer_all(sources, options, as_json, echo))


def _say_unused(ctx: click.Context, platform: str, check: bool) -> None:
    """Say which of the options that were given have no meaning on the platform.

    Under --check a file's own header says the platform.
    """
    unused = ("brk_max",) if platform.endswith("/wasm") else ("init_pages", "max_pages")
    for name in unused:
        if not check and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            say(
                f"gorun-mem ops: --{name.replace('_', '-')} changes nothing on {platform}: "
                "--init-pages and --max-pages are for wasm, --brk-max is for Plan 9"
            )


# Answering.


@dataclass(slots=True)
class _Run:
    """One script answered: what --json tells of it."""

    file: str
    options: Options
    answers: list[dict[str, object]] = field(default_factory=list)
    ended: str | None = None
    printed: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = ExitCode.CLEAN


def _answer_all(sources: Sequence[str], options: Options, as_json: bool, echo: bool) -> int:
    """Run each script; a line that is not an operation ends everything."""
    runs: list[_Run] = []
    for source in sources:
        run = _Run(source, options)
        runs.append(run)
        _answer(run, _note(run) if as_json else _writer(source, echo))
        if run.error is not None:
            break
    code = worst([run.exit_code for run in runs])
    if as_json:
        write_json({"scripts": [asdict(run) for run in runs], "exit_code": code})
    elif sys.stdout is not None:
        sys.stdout.flush()
    if runs[-1].error is not None:
        say(f"gorun-mem ops: {runs[-1].error}")
    return code


def _answer(run: _Run, emit: Callable[[Operation, str], object]) -> None:
    """Answer one script until it or its program ends."""
    machine = OpMachine(run.options)
    try:
        with _open(run.file) as script:
            machine.read_for(script)
            for operation in script:
                answer = machine.answer(operation)
                emit(operation, answer)
                if machine.failure is not None:
                    run.ended = answer
                    break
    except (ScriptError, BadInput, FileProblem) as error:
        run.error = str(error)
        run.exit_code = ExitCode.USAGE
    if machine.failure is not None:
        run.exit_code = _exit_code_of(machine.failure)
        run.printed = _last_words(machine.failure)


def _exit_code_of(failure: EmulatedFailure) -> int:
    return ExitCode.HANG if isinstance(failure, Hang) else ExitCode.FAILED


def _last_words(failure: EmulatedFailure) -> tuple[str, ...]:
    """Say, and return, what Go prints before it throws, or what is known of a fault."""
    words: tuple[str, ...] = ()
    if isinstance(failure, Throw):
        words = failure.printed
    elif isinstance(failure, Fault) and failure.detail:
        words = (failure.detail,)
    for line in words:
        say(line)
    return words


def _note(run: _Run) -> Callable[[Operation, str], object]:
    """Keep each answer for the JSON document."""
    return lambda operation, answer: run.answers.append(
        {"line": operation.line, "operation": str(operation), "result": answer}
    )


def _writer(source: str, echo: bool) -> Callable[[Operation, str], object]:
    """Write each answer, at once where somebody may be waiting for it."""
    out = sys.stdout
    if out is None:
        return lambda operation, answer: None
    end_without_reader()
    live = _is_live(source)

    def emit(operation: Operation, answer: str) -> None:
        out.write(f"{operation} => {answer}\n" if echo else f"{answer}\n")
        if live:
            out.flush()

    return emit


def _is_live(source: str) -> bool:
    """Whether the operations come from somebody who may read the answers meanwhile."""
    try:
        where = sys.stdin.fileno() if source == "-" else source
        return not stat.S_ISREG(os.stat(where).st_mode)
    except (OSError, ValueError, AttributeError):
        return True


class FileProblem(Exception):
    """A file that cannot be opened or read."""


@contextmanager
def _open(source: str) -> Iterator[Script]:
    """The script in a file, or on stdin for "-".

    Raises:
        BadInput: stdin is closed.
        FileProblem: the file cannot be opened or read.
    """
    if source == "-":
        if sys.stdin is None:
            raise BadInput("there is no stdin: name a FILE")
        yield Script(sys.stdin.buffer, STDIN, close=False)
        return
    try:
        script = Script.open(source)
    except OSError as error:
        named = click.format_filename(source)
        if isinstance(error, IsADirectoryError):
            raise FileProblem(f"{named}: {error.strerror}: name a file in it") from None
        near = near_file(source) if isinstance(error, FileNotFoundError) else ""
        hint = f": did you mean {near}?" if near else ""
        if source.split()[0:1] and source.split()[0] in OPERANDS:
            hint = f": operations come from a FILE or stdin: echo {source!r} | gorun-mem ops"
        raise FileProblem(f"{named}: {error.strerror}{hint}") from None
    except ValueError as error:  # a NUL in the name
        raise FileProblem(f"{source!r}: {error}") from None
    with script:
        yield script


# Checking.


def _check_all(sources: Sequence[str], options: Options, as_json: bool) -> int:
    """Compare each script with its recorded answers."""
    results: list[ScriptComparison] = []
    codes: list[int] = []
    with progress("checking", sum(map(_size, sources))) as advance:
        for source in sources:
            result, code = _check(source, options, advance)
            results.append(result)
            codes.append(code)
            if result.error is not None:
                say(f"gorun-mem ops: {result.error}")
            if not as_json:
                show(*_lines(result))
    if as_json:
        write_json(_document(results, codes))
    else:
        _total(results)
    return worst(codes)


def _total(results: Sequence[ScriptComparison]) -> None:
    from gorun_mem.report.worth import look_up_line

    if len(results) > 1:
        operations = sum(r.operations for r in results)
        differences = sum(r.differences for r in results)
        show(f"{len(results)} files: {operations} operations, {_plural(differences)}")
    show(look_up_line(("operation", "difference")))


def _size(source: str) -> int:
    try:
        return os.stat(source).st_size if source != "-" else 0
    except (OSError, ValueError):
        return 0


def _check(
    source: str, options: Options, advance: Callable[[int], None]
) -> tuple[ScriptComparison, int]:
    """One script compared, and its exit code; a fault of ours spoils only this script."""
    try:
        with _open(source) as script:
            result = compare(script, options, _tell_position(script, advance))
    except (BadInput, FileProblem) as error:
        return ScriptComparison(source, error=str(error)), ExitCode.USAGE
    except Exception as error:
        fault = internal_fault(error, "gorun-mem", sys.argv[1:])
        return ScriptComparison(source, error=f"{source}: {fault}"), ExitCode.INTERNAL
    if result.error is not None:
        return result, ExitCode.USAGE
    return result, ExitCode.FAILED if result.differences else ExitCode.CLEAN


def _tell_position(script: Script, advance: Callable[[int], None]) -> Callable[[], None]:
    told = 0

    def tell() -> None:
        nonlocal told
        position = script.position
        advance(position - told)
        told = position

    return tell


def _plural(differences: int) -> str:
    return f"{differences} difference{'' if differences == 1 else 's'}"


def _lines(result: ScriptComparison) -> Iterator[str]:
    """What a person is told of one file."""
    name = click.format_filename(result.source)
    yield f"{name}: {result.operations} operations, {_plural(result.differences)}"
    if result.first is not None:
        recorded, ours = _around_difference(result.first.recorded, result.first.ours)
        yield f"  line {result.first.line}: {result.first.operation}"
        yield f"    recorded: {recorded}"
        yield f"    ours:     {ours}"


def _around_difference(recorded: str, ours: str) -> tuple[str, str]:
    """Both answers, or what of them lies around the first character in which they differ."""
    pairs = enumerate(zip(recorded, ours, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(recorded), len(ours)))
    start = max(0, at - _ANSWER_SHOWN // 2)
    return _cut(recorded, start), _cut(ours, start)


def _cut(text: str, start: int) -> str:
    head = "..." if start else ""
    tail = "..." if len(text) > start + _ANSWER_SHOWN else ""
    return head + text[start : start + _ANSWER_SHOWN] + tail


def _document(results: Sequence[ScriptComparison], codes: Sequence[int]) -> dict[str, object]:
    """The JSON document of --check."""
    files = []
    for result, code in zip(results, codes, strict=True):
        entry = asdict(result)
        entry["file"] = entry.pop("source")
        entry["first_difference"] = entry.pop("first")
        files.append(entry | {"exit_code": code})
    return {
        "files": files,
        "operations": sum(r.operations for r in results),
        "differences": sum(r.differences for r in results),
        "exit_code": worst(codes),
    }
