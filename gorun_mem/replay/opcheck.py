"""Operation scripts with recorded answers: each answered again and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gorun_mem.replay.ops import BadOptions, OpMachine, Options
from gorun_mem.replay.opscript import Operation, Script, ScriptError
from gorun_mem.runtime.behaviour import UnknownRelease


@dataclass(slots=True)
class WrongAnswer:
    """An operation that was answered otherwise than recorded."""

    line: int
    operation: str
    recorded: str
    ours: str


@dataclass(slots=True)
class ScriptComparison:
    """A script's recorded answers beside ours.

    Attributes:
        source: the script's name.
        options: what it ran under, None where that could not be told.
        operations: how many were answered.
        compared: how many of the script's operations had a recorded answer.
        unanswered: how many came after our program had ended.
        differences: how many answers were not as recorded; having none is such a difference.
        first: the first difference.
        ended: the answer by which our program ended, None where it lived to the end.
        error: why the script could not be read to its end.
    """

    source: str
    options: Options | None = None
    operations: int = 0
    compared: int = 0
    unanswered: int = 0
    differences: int = 0
    first: WrongAnswer | None = None
    ended: str | None = None
    error: str | None = None


def compare(
    script: Script,
    options: Options,
    advance: Callable[[], None] | None = None,
) -> ScriptComparison:
    """Run a script under its header's options and compare each answer.

    A script that cannot be read further is compared as far as it goes; `error` says why.

    Args:
        script: to be read from its beginning.
        options: what its header does not say.
        advance: called every few milliseconds of work.
    """
    result = ScriptComparison(script.source)
    try:
        machine = _machine_for(script, options)
        result.options = machine.options
        for chunk in _chunks(script, 512):
            _compare_chunk(machine, chunk, result)
            if advance is not None:
                advance()
        if not result.compared:
            raise ScriptError(
                script.source, 0, "no line has a recorded answer (OP => RESULT): nothing to check"
            )
    except ScriptError as error:
        result.error = str(error)
    return result


def _machine_for(script: Script, options: Options) -> OpMachine:
    header = script.header()
    try:
        machine = OpMachine(options if header is None else options.with_header(header))
    except (BadOptions, UnknownRelease) as error:
        line = 0 if header is None else script.line
        raise ScriptError(script.source, line, str(error)) from None
    machine.read_for(script)
    return machine


def _chunks(script: Iterable[Operation], size: int) -> Iterator[list[Operation]]:
    """Lists of at most `size`; what was read before an error comes before the error."""
    chunk: list[Operation] = []
    try:
        for operation in script:
            chunk.append(operation)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except ScriptError:
        yield chunk
        raise
    yield chunk


def _compare_chunk(machine: OpMachine, chunk: list[Operation], result: ScriptComparison) -> None:
    for operation in chunk:
        if result.ended is not None:
            ours = f"nothing: the program had ended with {result.ended!r}"
            result.unanswered += 1
        else:
            ours = machine.answer(operation)
            result.operations += 1
            if machine.failure is not None:
                result.ended = ours
        if operation.recorded is None:
            continue
        result.compared += 1
        if ours != operation.recorded:
            result.differences += 1
            if result.first is None:
                result.first = WrongAnswer(operation.line, str(operation), operation.recorded, ours)
