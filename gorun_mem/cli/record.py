"""`gorun-mem record`: run a Go wasm program as it was built, and record its memory layer."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem._near import near_file
from gorun_mem.cli._common import BadInput, ExitCode, Number, Pages, json_option, write_json
from gorun_mem.cli._exit import say
from gorun_mem.cli._written import check_output

if TYPE_CHECKING:
    from gorun_mem.record.prepare import PreparedApp
    from gorun_mem.record.run import Recorded, RecordSettings

_STDERR = 2
_BUILD: Final = "GOOS=wasip1 GOARCH=wasm go build -o app.wasm"
_ENDINGS = (".jsonl.gz", ".json.gz")
"""Ends of a file's name that stay together."""


@click.command("record", context_settings={"allow_interspersed_args": True})
@click.argument("app", type=click.Path(path_type=Path), metavar="APP.wasm")
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the recording here; gzip where it ends in .gz.  [default: APP.jsonl.gz here]",
)
@click.option(
    "--level",
    type=click.Choice(["os", "heap", "span"]),
    default="span",
    show_default=True,
    help="Record the OS layer (os), mheap.sysAlloc too (heap), or all that predict needs (span).",
)
@click.option(
    "--runs",
    type=Number(1, 1000),
    default=1,
    metavar="K",
    show_default=True,
    help="Record so many runs, for the spread.",
)
@click.option(
    "--clock",
    type=click.Choice(["real", "virtual"]),
    default="real",
    show_default=True,
    help="Let time pass as it does, or only by being looked at, so that a run repeats.",
)
@click.option(
    "--max-pages",
    type=Pages(0, 65536),
    metavar="N",
    help="Let the host refuse to grow memory beyond N pages of 64 KiB.  [default: no limit]",
)
@click.option(
    "--dir",
    "dirs",
    multiple=True,
    metavar="DIR[::THERE]",
    help="Let a wasip1 program see this directory; can be given again.",
)
@click.option(
    "--env",
    "env",
    multiple=True,
    metavar="K=V",
    help="Add this variable to the environment; can be given again.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Kill the program after S seconds.  [default: never]",
)
@click.option(
    "--node",
    default="node",
    metavar="PATH",
    show_default=True,
    help="Run js binaries by this Node.js.",
)
@click.option(
    "--wasm-exec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Use this wasm_exec.js for js binaries.  [default: the one that comes with the package]",
)
@click.option("--instrument-only", is_flag=True, help="Write the binary for another host to run.")
@click.option(
    "--from-raw",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Make the recording of what another host wrote down.  [default: run it here]",
)
@json_option()
def command(
    app: Path, args: tuple[str, ...], output: Path | None, level: str, as_json: bool, **rest: Any
) -> int:
    """Run a Go wasm program, js or wasip1, as it was built, and record its memory layer.

    The binary is rewritten, not rebuilt; stripped ones too. The program has its own stdin, stdout,
    arguments and environment, and its exit code is this command's. The recording ends with its own
    replay: the answers that it has are compared with the emulation's, and at level span its own
    release is predicted from it.

    \b
    Examples:
      gorun-mem record app.wasm -- --size 14
      gorun-mem record app.wasm --runs 5 -o run.jsonl.gz --dir /data::/

    Exit codes: the program's own; where that is 0, 1 if the recording does not replay exactly;
    2 if APP.wasm cannot be recorded or its host is not installed.
    """
    from gorun_mem.cli._binary import binary_bytes
    from gorun_mem.record.prepare import prepare
    from gorun_mem.record.run import HostMissing
    from gorun_mem.wasm.errors import WasmError

    if app.is_dir() or app.suffix == ".go":
        raise BadInput(
            f"{app} is {'a folder' if app.is_dir() else 'Go source'}, and record runs what is "
            f"built: {_BUILD} {_package(app)}, then gorun-mem "
            "record app.wasm"
        )
    try:
        prepared = prepare(binary_bytes(app), level, rest["max_pages"])
    except FileNotFoundError:
        near = near_file(app)
        hint = f"did you mean {near}?" if near else f"{_BUILD} . makes one"
        raise BadInput(f"no file {app}: {hint}") from None
    except WasmError as error:
        build = f"; {_BUILD} . makes one" if "no wasm binary" in str(error) else ""
        raise BadInput(f"{app}: {error}{build}") from None
    _refuse_unused(prepared, args, rest)
    if rest["instrument_only"]:
        return _instrument_only(prepared, app, output, as_json)
    out = output or Path(app.stem + ".jsonl.gz")
    check_output("--output", out)
    try:
        if rest["from_raw"] is not None:
            found = [_from_raw(prepared, rest["from_raw"], out, level, app.stem)]
        else:
            settings = _settings(app, args, rest, as_json)
            found = _runs(prepared, out, level, rest["runs"], app.stem, settings)
    except HostMissing as error:
        raise BadInput(str(error)) from None
    except WasmError as error:
        raise BadInput(f"{app}: {error}") from None
    _tell(prepared, found, level, app, as_json)
    return _exit_code(found)


def _refuse_unused(prepared: PreparedApp, args: tuple[str, ...], rest: dict[str, Any]) -> None:
    """Refuse options that would change nothing.

    Raises:
        BadInput: there is one.
    """
    source = click.get_current_context().get_parameter_source
    given = {name for name in rest if source(name) is click.core.ParameterSource.COMMANDLINE} | (
        {"args"} if args else set()
    )
    spelt = {"dirs": "--dir", "args": "ARGS"}
    for mode in ("instrument_only", "from_raw"):
        unused = given & {"args", "runs", "clock", "dirs", "env", "timeout", "node", "wasm_exec"}
        if mode in given and unused:
            named = ", ".join(sorted(spelt.get(x, f"--{x.replace('_', '-')}") for x in unused))
            raise BadInput(
                f"--{mode.replace('_', '-')} runs nothing, so {named} would change nothing: leave "
                "it out"
            )
    of_js = prepared.platform.startswith("js")
    for name in ("dirs", "node", "wasm_exec"):
        if name in given and of_js == (name == "dirs"):
            option = spelt.get(name, f"--{name.replace('_', '-')}")
            host = "Node.js, which shows it every directory" if of_js else "wasmtime"
            raise BadInput(
                f"{option} changes nothing: a {prepared.platform} binary is run by {host}; leave "
                "it out"
            )


def _package(path: Path) -> str:
    """As `go build` takes it: a package begins with ./ or /."""
    text = os.fspath(path)
    return text if path.is_absolute() or text.startswith(".") else f"./{text}"


def _settings(
    app: Path, args: tuple[str, ...], rest: dict[str, Any], as_json: bool
) -> RecordSettings:
    from gorun_mem.record.run import RecordSettings

    env = dict(os.environ) | {"PWD": os.getcwd()}
    for pair in rest["env"]:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadInput(f"--env {pair}: give it as KEY=VALUE")
        env[key] = value
    dirs = []
    for pair in rest["dirs"]:
        here, _, there = pair.partition("::")
        if not Path(here).is_dir():
            raise BadInput(f"--dir {pair}: {here} is no directory")
        dirs.append((here, there or here))
    return RecordSettings(
        argv=[str(app), *args],
        env=env,
        dirs=dirs,
        virtual=rest["clock"] == "virtual",
        node=rest["node"],
        wasm_exec=rest["wasm_exec"],
        stdout=_STDERR if as_json else None,
        timeout_s=rest["timeout"],
    )


def _runs(
    prepared: PreparedApp, out: Path, level: str, runs: int, program: str, settings: RecordSettings
) -> list[Recorded]:
    from gorun_mem.record.run import record

    if runs == 1:
        return [record(prepared, out, level, program, settings)]
    found = []
    for i in range(1, runs + 1):
        found.append(record(prepared, _numbered(out, i), level, program, settings))
        if not found[-1].complete:
            break
    return found


def _numbered(out: Path, i: int) -> Path:
    """run.jsonl.gz -> run-1.jsonl.gz."""
    ending = next((e for e in _ENDINGS if out.name.endswith(e)), out.suffix)
    return out.with_name(f"{out.name.removesuffix(ending)}-{i}{ending}")


def _from_raw(prepared: PreparedApp, raw: Path, out: Path, level: str, program: str) -> Recorded:
    """A recording of what another host wrote; how the program ended is not known.

    Raises:
        BadInput: it wrote nothing of the kind.
    """
    import tempfile

    from gorun_mem.record.raw import RawError
    from gorun_mem.record.run import write

    with tempfile.TemporaryDirectory(prefix="gorun_mem-") as folder:
        link = Path(folder) / "raw"  # what is made on the way lies beside it
        link.symlink_to(raw.absolute())
        try:
            return write(prepared, link, out, level, program, 0)
        except RawError as error:
            raise BadInput(f"--from-raw {raw}: {error}") from None


def _instrument_only(prepared: PreparedApp, app: Path, output: Path | None, as_json: bool) -> int:
    from gorun_mem.record.prepare import host_lines

    out = output or Path(app.stem + ".recorded.wasm")
    check_output("--output", out)
    prepared.write(out)
    if as_json:
        write_json(
            {"path": str(out), "slot": prepared.slot, "hooks": prepared.hooks,
             "functions": [f.hook.function for f in prepared.found], "missing": prepared.missing,
             "lines": host_lines(prepared)}
        )  # fmt: skip
    else:
        say(f"{out}: instrumented; its host adds these lines")
        click.echo(host_lines(prepared))
    return ExitCode.CLEAN


def _exit_code(found: list[Recorded]) -> int:
    """The program's, of the first run that failed; else 1 where a recording is not exact."""
    for one in found:
        if not one.complete and one.exit == ExitCode.INTERRUPTED:
            return ExitCode.INTERRUPTED
        if one.exit:
            return one.exit
    exact = all(_is_exact(one) for one in found)
    return ExitCode.CLEAN if exact else ExitCode.FAILED


def _is_exact(one: Recorded) -> bool:
    check = one.check
    replayed = all(
        not check[level]["differences"] and "problem" not in check[level]
        for level in ("os", "heap")
        if level in check
    )
    predicted = check.get("predicted", check["pages"]) == check["pages"]
    return replayed and predicted and not check["missing"]


def _tell(
    prepared: PreparedApp, found: list[Recorded], level: str, app: Path, as_json: bool
) -> None:
    from gorun_mem.report.worth import look_up_line

    pages = sorted(one.pages for one in found)
    if as_json:
        write_json(
            {
                "app": str(app),
                "release": prepared.release.name,
                "platform": prepared.platform,
                "level": level,
                "initial_pages": prepared.memory.least,
                "pages": {"least": pages[0], "median": median_low(pages), "most": pages[-1]},
                "runs": [
                    {"path": str(one.path), "exit": one.exit, "pages": one.pages,
                     "events": one.events, "complete": one.complete, "self_check": one.check}
                    for one in found
                ],
            }
        )  # fmt: skip
        return
    for one in found:
        say(_line(prepared, one, level))
    if len(found) > 1:
        say(f"{len(found)} runs: {pages[0]:,} to {pages[-1]:,} pages, median {median_low(pages):,}")
    if all(one.check["fit"] for one in found):
        paths = " ".join(str(one.path) for one in found)
        say(
            f"next: gorun-mem predict {paths} (under other releases), "
            f"gorun-mem report {found[0].path} (what they are for, who asked)"
        )
    say(look_up_line(("recording", "difference")))


def _line(prepared: PreparedApp, one: Recorded, level: str) -> str:
    check = one.check
    cut = "" if one.complete else ", cut off: kept as far as it was written"
    lines = [
        f"{one.path}: {prepared.release.name} {prepared.platform}, exit {one.exit}, "
        f"{one.pages:,} pages, {one.events:,} events at level {level}{cut}"
    ]
    replayed = [
        f"{name} {check[name]['calls']:,} calls, {check[name]['differences']} differences"
        for name in ("os", "heap")
        if name in check
    ]
    own = check.get("predicted", "")
    predicted = (
        f"; its own pages predicted: {own:,} of {check['pages']:,}"
        if isinstance(own, int)
        else f"; its own pages not predicted: {own}" * bool(own)
    )
    lines.append(f"  replayed: {'; '.join(replayed)}{predicted}")
    lines += [
        f"  first difference at {name} level: {check[name]['first']}"
        for name in ("os", "heap")
        if "first" in check.get(name, {})
    ]
    if check["missing"]:
        lines.append(
            f"  not watched, for they are not in the binary: {', '.join(check['missing'])}"
        )
    if level == "span" and not check["fit"]:
        lines.append("  not fit for prediction")
    return "\n".join(lines)
