"""What the command line makes of a mistake: what is wrong, the values, what was meant, what to do.

Errors of click's are said here in that one shape; files of the wrong kind are met before a verb
reads them. What is no name of ours is said by `gorun_mem._near.no_such`, in whatever layer.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from gorun_mem._near import nearest, no_such

_HEAD_BYTES: Final = 1 << 14

FOLDER: Final = "a folder"
EMPTY: Final = "an empty file"
NOT_PACKED: Final = "not compressed, whatever its name says"
WASM: Final = "a WebAssembly binary"
LOG: Final = "an event log"
RECORDING: Final = "a recording"
SCRIPT: Final = "a Python script"
SCHEDULE: Final = "a schedule"
TOML: Final = "a TOML file"
PARQUET: Final = "a Parquet file"
OPERATIONS: Final = "an operation script"
_A_LOG: Final = frozenset({LOG, FOLDER, EMPTY})
_NO_KIND: Final = frozenset({FOLDER, EMPTY, NOT_PACKED})

_TAKES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "scenarios": {"name": frozenset({SCRIPT})},
    "run": {"scenario": frozenset({SCRIPT})},
    "compare": {"scenario": frozenset({SCRIPT})},
    "explore": {"scenario": frozenset({SCRIPT})},
    "replay-schedule": {"schedule": frozenset({SCHEDULE})},
    "report": {"log": _A_LOG | {RECORDING, SCHEDULE}},
    "export": {"log": _A_LOG | {RECORDING}},
    "diff": {"log_a": _A_LOG, "log_b": _A_LOG},
    "query": {"log": _A_LOG},
    "view": {"shown": _A_LOG | {RECORDING, SCHEDULE}},
    "record": {"app": frozenset({WASM, FOLDER})},
    "predict": {"recordings": frozenset({RECORDING, WASM})},
    "releases": {"target": frozenset({SCRIPT, RECORDING, WASM})},
    "sweep": {"file": frozenset({TOML})},
    "ops": {"files": frozenset({OPERATIONS, EMPTY})},
    "replay": {"traces": frozenset({RECORDING, FOLDER, EMPTY, NOT_PACKED})},
}
"""Verb -> argument -> the kinds of file that it takes; of another kind than these nothing is said,
for the verb says it."""

_WHERE_TO: Final = {
    FOLDER: "name a file in it",
    EMPTY: "name another",
    NOT_PACKED: "rename it without .gz or .zst, or compress it",
    WASM: "gorun-mem record {} runs it and records its memory, for replay, predict, releases and "
    "view",
    LOG: "gorun-mem report {} says what it says; diff, export, query and view take it too",
    RECORDING: "gorun-mem replay {} compares it; predict, releases, report and view take it too",
    SCRIPT: "gorun-mem run {} runs the scenario in it, explore searches its schedules",
    SCHEDULE: "gorun-mem replay-schedule {} runs it again; report and view show it",
    OPERATIONS: "gorun-mem ops {} answers it",
    TOML: "gorun-mem sweep {} does the grid that it says",
    PARQUET: "read it with DuckDB or polars; the log that it was made of is what reports need",
}
"""Kind -> what to do with such a file."""

_BY_FIRST: Final = (
    (b"\0asm", WASM),
    (b"PAR1", PARQUET),
    (b'{"event":', LOG),
    (b'{"header":', RECORDING),
    (b'{"schedule":', SCHEDULE),
)
_BY_NAME: Final = {".py": SCRIPT, ".toml": TOML, ".schedule": SCHEDULE, ".parquet": PARQUET}


def kind_of(path: Path) -> str:
    """What kind of file there is; "" for none, and for what is not known."""
    try:
        if path.is_dir():
            return FOLDER
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return ""
    if not head:
        return EMPTY
    plain = _unpacked(head)
    for first, kind in _BY_FIRST:
        if plain.lstrip().startswith(first):
            return kind
    if path.suffix in (".gz", ".zst") and plain == head:
        return NOT_PACKED
    return _BY_NAME.get(path.suffix, "")


def _unpacked(head: bytes) -> bytes:
    """The beginning of what may be packed."""
    from io import BytesIO

    from gorun_mem.files.packed import Damaged, unpacked

    try:
        return next(unpacked(BytesIO(head).read), b"")
    except Damaged:
        return b""


def check_files(verb: str, name: str, value: object) -> None:
    """Refuse a file of a kind that belongs to another verb.

    Args:
        verb: of the command line.
        name: of its argument.
        value: of it: a path, several, or a name of something else.

    Raises:
        click.UsageError: it is such a file.
    """
    takes = _TAKES.get(verb, {}).get(name)
    if takes is None:
        return
    for one in value if isinstance(value, tuple | list) else (value,):
        if not isinstance(one, str | Path) or len(str(one)) > 4096:
            continue
        kind = kind_of(Path(one))
        if kind in _NO_KIND and not {"/", "."} & set(str(one)):
            continue  # it may be a name of ours
        if kind and kind not in takes:
            raise click.UsageError(_other_kind(verb, one, kind, takes))


def _other_kind(verb: str, file: str | Path, kind: str, takes: frozenset[str]) -> str:
    shown = click.format_filename(file)
    words = [one for one in _WHERE_TO if one in takes and one not in _NO_KIND]
    also = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if "scenario" in _TAKES[verb]:
        also = also.replace(SCRIPT, f"a scenario's name or {SCRIPT}")
    here = f" ({verb} takes {also})" if also else ""
    what = _WHERE_TO[kind].format(shlex.quote(shown))
    if kind in _NO_KIND:
        return f"{shown} is {kind}: {what}{here}"
    return f"{shown} is {kind}, which {verb} does not take: {what}{here}"


def no_verb(args: Sequence[str], verbs: Mapping[str, Any]) -> str:
    """What to say of a first word that is no verb.

    Args:
        args: the command line.
        verbs: those that there are.
    """
    word, rest = args[0], list(args[1:])
    if word == "help":
        return f"no verb 'help': did you mean gorun-mem {' '.join([*rest[:1], '--help'])}?"
    if rest and rest[0] in verbs:
        swapped = shlex.join(["gorun-mem", rest[0], word, *rest[1:]])
        return f"no verb {word!r}: the verb comes first: did you mean {swapped}?"
    verb = _verb_of(word)
    if verb:
        return f"no verb {word!r}: did you mean {shlex.join(['gorun-mem', verb, *args])}?"
    lists = "gorun-mem --help lists them" if nearest(word, verbs, 0.5) else ""
    return no_such("verb", word, verbs, cutoff=0.5, there="the verbs are", lists=lists)


def _verb_of(word: str) -> str:
    """The verb for what somebody named without one."""
    kind = kind_of(Path(word))
    for known, verb in ((LOG, "report"), (RECORDING, "report"), (SCRIPT, "run"), (TOML, "sweep"),
                        (WASM, "record"), (SCHEDULE, "replay-schedule")):  # fmt: skip
        if kind == known:
            return verb
    from gorun_mem.machine.library import names

    return "run" if word in names() else ""


# click's own errors.


def click_message(error: click.ClickException) -> str:
    """What click has to say, as one line: the fact, the values, the next step."""
    if isinstance(error, click.NoSuchOption):
        return _no_option(error)
    if isinstance(error, click.BadOptionUsage) and "requires" in error.message:
        return _no_value(error)
    if isinstance(error, click.MissingParameter):
        return _missing(error)
    if isinstance(error, click.BadParameter):
        return _bad_value(error)
    message = " ".join(error.format_message().split("\n"))
    if type(error) is click.UsageError:
        return _usage(error, message.rstrip("."))
    return message


def _no_option(error: click.NoSuchOption) -> str:
    if error.ctx is None:
        return f"no option {error.option_name}: gorun-mem VERB --help lists them"
    options = [opt for param in error.ctx.command.params for opt in param.opts if opt[:2] == "--"]
    near = nearest(error.option_name.lstrip("-"), [opt[2:] for opt in (*options, "--help")])
    hint = f"did you mean --{near}? " if near else ""
    if not hint and error.ctx.parent is None:
        hint = f"those of a verb stand behind it, as in gorun-mem run {error.option_name}; "
    return f"no option {error.option_name}: {hint}{error.ctx.command_path} --help lists them"


def _no_value(error: click.BadOptionUsage) -> str:
    name = error.option_name
    return f"{name} has no value: write one behind it; --help says what {name} takes"


def _missing(error: click.MissingParameter) -> str:
    param = error.param
    if param is None:
        return error.format_message()
    metavar = _metavar(param, error.ctx) if error.ctx is not None else param.name or ""
    if isinstance(param, click.Option):
        what = f"no {'/'.join(param.opts)} {metavar}"
    else:
        what = f"no {metavar.strip('[].')}"
    return f"{what.strip()} is given: {_such_as(error.ctx)}"


def _metavar(param: click.Parameter, ctx: click.Context) -> str:
    """What stands for a parameter's value; click before 8.2 asks for no context."""
    try:
        return param.make_metavar(ctx)
    except TypeError:
        return param.make_metavar()  # type: ignore[call-arg]


def _bad_value(error: click.BadParameter) -> str:
    param = error.param
    where = max(param.opts, key=len) if isinstance(param, click.Option) else ""
    if param is not None and not where:
        where = (param.name or "").upper()
    said = " ".join(error.message.split("\n")).rstrip(".")
    kind = param.type if param is not None else None
    given = re.match(r"'(.*)' is not one of ", said)
    if isinstance(kind, click.Choice) and given:
        said = no_such("", given[1], [str(one) for one in kind.choices])
    elif said.endswith("is a directory"):
        said = f"{said}: name a file in it"
    elif isinstance(kind, click.FloatRange) and " is not in the range " in said:
        value, _, bounds = said.partition(" is not in the range ")
        said = f"{value} {_in_words(bounds)}"
    elif isinstance(kind, click.types.FloatParamType) and "is not a valid" in said:
        said = f"{said.partition(' is not')[0]} is not a number: write it as in 60 or 2.5"
    return f"{where} {said}" if said[:1] in "'-0123456789" else f"{where}: {said}"


def _in_words(bounds: str) -> str:
    """Bounds as click writes them, such as x>0."""
    least = re.fullmatch(r"x(>=?)(.+)", bounds)
    if least is None:
        return f"is out of bounds: write an x with {bounds}"
    return f"must be {'at least' if least[1] == '>=' else 'more than'} {least[2]}"


def _usage(error: click.UsageError, message: str) -> str:
    extra = re.match(r"Got unexpected extra arguments? \((.*)\)", message)
    if extra is None or error.ctx is None:
        return message
    word = extra[1].split()[0]
    if word.lower() in ("b", "kib", "mib", "gib", "kb", "mb", "gb"):
        return f"{extra[1]!r} is one word too many: write a size in one, as in 32{word}"
    name, equals, _ = word.partition("=")
    names = [opt for param in error.ctx.command.params for opt in param.opts if opt[:2] == "--"]
    if equals and "--set" in names:
        return f"{extra[1]!r} is one word too many: did you mean --set {word}?"
    if f"--{name}" in names:
        return f"{extra[1]!r} is one word too many: did you mean --{name}?"
    return f"{extra[1]!r} is one word too many: {_such_as(error.ctx)}"


def _such_as(ctx: click.Context | None) -> str:
    """How the verb is written, and its first example."""
    if ctx is None:
        return "see --help"
    usage = " ".join(ctx.command.collect_usage_pieces(ctx)).replace("[OPTIONS] ", "")
    line = f"write {ctx.command_path} {usage}"
    example = re.search(rf"^ *({ctx.command_path} .*)$", ctx.command.help or "", re.MULTILINE)
    return f"{line}, as in {example[1].strip()}" if example else line
