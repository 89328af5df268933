"""`gorun-mem connect`: talk to a service, by hand or with a script."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, write_json
from gorun_mem.cli._exit import home, say
from gorun_mem.cli._stdout import end_without_reader
from gorun_mem.service.address import Address, AddressError
from gorun_mem.service.client import BATCH, Client, ServiceError
from gorun_mem.service.language import REQUESTS, NotARequest, Request, parse_request
from gorun_mem.service.settings import DEFAULT_ADDRESS

_GZIP_MAGIC: Final = b"\x1f\x8b"
_HISTORY_MAX: Final = 1000
_LINE_BYTES_MAX: Final = 1 << 20


@click.command("connect")
@click.argument("address", default=DEFAULT_ADDRESS, metavar="[ADDRESS]")
@click.option(
    "--token-file",
    metavar="FILE",
    help="Say the token in this file first, where the service asks for one.  [default: none is "
    "said]",
)
@click.option("--echo", is_flag=True, help="Print REQUEST => ANSWER instead of the answer alone.")
@json_option()
def command(address: str, token_file: str | None, echo: bool, as_json: bool) -> int:
    """Talk to the service at ADDRESS, which is 127.0.0.1:7059 where none is given.

    On a terminal it reads requests with history and completion; Ctrl-D ends. From a pipe or a file
    it reads a script and prints the answers, as `gorun-mem ops` does. A line that is no request
    ends the script before it is sent. watch prints events until Ctrl-C.

    \b
    Examples:
      gorun-mem connect
      printf 'alloc 65536\\nstate\\n' | gorun-mem connect unix:/tmp/w.sock --echo
      echo 'watch lock.*' | gorun-mem connect | jq .wait_ns

    Exit codes: 0 clean; 1 a call was refused or ended the World by a throw or fault; 2 usage, or
    the service cannot be reached; 3 a hang ended the World; 130 interrupted.
    """
    if sys.stdin is None:
        raise BadInput("there is no stdin to read requests from")
    client = _open(address, token_file)
    with client:
        if sys.stdin.isatty() and not as_json:
            return _by_hand(client)
        return _script(client, echo, as_json)


def _open(address: str, token_file: str | None) -> Client:
    from gorun_mem.cli._page import read_token

    token = read_token(token_file).decode("utf-8", "surrogateescape") if token_file else None
    try:
        return Client(Address.parse(address), token)
    except (AddressError, ServiceError) as error:
        raise BadInput(str(error)) from None


def _exit_code_of(answer: str) -> ExitCode:
    """What an answer means for the exit code."""
    word = answer.partition(" ")[0]
    if word == "hang":
        return ExitCode.HANG
    if word in ("throw", "fault", "illegal", "error"):
        return ExitCode.FAILED
    return ExitCode.CLEAN


# A script.


class _BadLine(Exception):
    """A line of a script that is no request."""


def _script(client: Client, echo: bool, as_json: bool) -> int:
    """Send a script, print its answers."""
    answers: list[dict[str, str]] = []
    code = ExitCode.CLEAN

    def emit(request: str, answer: str) -> None:
        nonlocal code
        code = max(code, _exit_code_of(answer))
        if as_json:
            answers.append({"request": request, "answer": answer})
        else:
            click.echo(f"{request} => {answer}" if echo else answer)

    error = ended = ""
    whole = _is_file()
    if not whole:
        end_without_reader()  # more requests may come without end
    try:
        _run(client, _requests(_lines(sys.stdin.buffer)), emit, whole)
    except _BadLine as bad:
        error, code = str(bad), ExitCode.USAGE
    except ServiceError as gone:
        ended = str(gone)
        code = max(code, ExitCode.FAILED)
    if as_json:
        document: dict[str, Any] = {"greeting": client.greeting, "answers": answers}
        write_json(document | {"ended": ended, "error": error, "exit_code": int(code)})
    for text in (error, ended):
        if text:
            say(f"gorun-mem connect: {text}")
    return code


def _run(
    client: Client,
    requests: Iterable[tuple[str, Request]],
    emit: Callable[[str, str], None],
    batched: bool,
) -> None:
    """Send requests, in batches where they are all there already, and emit each answer."""
    waiting: list[str] = []

    def settle() -> None:
        batch = waiting.copy()
        waiting.clear()
        if batch:
            client.send(batch)
        for request in batch:
            emit(request, client.read_line())

    try:
        for text, request in requests:
            waiting.append(text)
            if request.name == "watch":
                settle()
                _stream(client)
                return
            if not batched or len(waiting) >= BATCH:
                settle()
    except _BadLine:
        settle()  # what stands before a bad line is answered
        raise
    settle()


def _requests(lines: Iterable[bytes]) -> Iterator[tuple[str, Request]]:
    """The requests of a script, without what was recorded behind them.

    Raises:
        _BadLine: a line is none; nothing behind it is read.
    """
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode().removeprefix("\ufeff" if number == 1 else "").strip()
            request = parse_request(text)
        except UnicodeDecodeError as error:
            raise _BadLine(
                f"<stdin>:{number}: byte {line[error.start]:#04x} is not UTF-8: a script is text"
            ) from None
        except NotARequest as error:
            raise _BadLine(f"<stdin>:{number}: {error}") from None
        if request is not None:
            yield text.partition(" =>")[0].rstrip(), request


def _lines(stream: Any) -> Iterator[bytes]:
    """The lines of stdin, plain or gzip."""
    if stream.peek(2)[:2] == _GZIP_MAGIC:
        import gzip
        import zlib

        stream = gzip.GzipFile(fileobj=stream)
        try:
            yield from stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _BadLine(f"<stdin>: the gzip data is damaged: {error}") from None
        return
    while line := stream.readline(_LINE_BYTES_MAX):
        yield line


def _is_file() -> bool:
    """Whether the whole script is there already, and nobody waits for an answer to go on."""
    try:
        return stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _stream(client: Client) -> None:
    """Print events until Ctrl-C or the end of the service."""
    end_without_reader()
    while True:
        try:
            click.echo(client.read_line())
        except ServiceError as gone:
            if gone.ended:
                say(str(gone))
            return
        sys.stdout.flush()


# By hand.


def _by_hand(client: Client) -> int:
    """Read requests from a terminal until its end."""
    say(f"{client.greeting}  (Ctrl-D ends; Tab completes)")
    history = _use_readline()
    code = ExitCode.CLEAN
    try:
        while True:
            try:
                line = input(f"M{client.m}> ")
            except EOFError:
                click.echo("")
                break
            code = max(code, _answer_line(client, line))
            if line.strip() == "quit":
                break
    except ServiceError as gone:
        say(str(gone))
        code = max(code, ExitCode.FAILED)
    finally:
        _save_history(history)
    return code


def _answer_line(client: Client, line: str) -> ExitCode:
    try:
        request = parse_request(line)
    except NotARequest as error:
        say(str(error))
        return ExitCode.CLEAN
    if request is None:
        return ExitCode.CLEAN
    answer = client.ask(line)
    click.echo(answer)
    if request.name == "watch" and answer == "ok":
        _stream(client)
        raise ServiceError("the watch has ended")
    # By hand a hang or a throw ends the session by itself; a refusal is nothing to exit with.
    return ExitCode.CLEAN if answer.startswith(("illegal", "error")) else _exit_code_of(answer)


def _use_readline() -> Path | None:
    """History and completion, where this Python has readline; the history's file."""
    try:
        import readline
    except ImportError:
        return None
    matches: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            begun = readline.get_line_buffer()[: readline.get_begidx()]
            words = ("full",) if begun.split() == ["dump"] else () if begun.strip() else REQUESTS
            matches[:] = sorted({w.split()[0] for w in words if w.startswith(text)})
        return f"{matches[state]} " if state < len(matches) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_HISTORY_MAX)
    path = home() / "connect_history"
    try:
        readline.read_history_file(path)
    except OSError:
        pass  # there is none yet
    return path


def _save_history(path: Path | None) -> None:
    if path is None:
        return
    import readline

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(path)
    except OSError:
        pass  # a history that cannot be kept is no reason to fail
