"""`gorun-mem serve`: a World as a service."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._common import (
    LEVELS_HELP,
    BadInput,
    Number,
    Pages,
    costs_option,
    cpus_option,
    json_option,
    log_level_option,
    log_option,
    mem_debug_option,
    mutex_option,
    platform_option,
    policy_option,
    release_option,
    seed_option,
    write_json,
)
from gorun_mem.cli._exit import internal_fault, say
from gorun_mem.cli._output import show
from gorun_mem.cli._page import PageOptions, read_tokens
from gorun_mem.cli._serve_options import bounds_options, take_limits
from gorun_mem.cli._written import check_output
from gorun_mem.service.address import Address, AddressError
from gorun_mem.service.settings import DEFAULT_ADDRESS, Settings

if TYPE_CHECKING:
    from gorun_mem.events.methods import LogLevel
    from gorun_mem.machine.config import Config
    from gorun_mem.machine.run import Run
    from gorun_mem.service.server import Server
    from gorun_mem.service.terminal import Terminal

_INT63: Final = (1 << 63) - 1


@click.command("serve")
@click.option(
    "--listen",
    "address",
    default=DEFAULT_ADDRESS,
    show_default=True,
    metavar="ADDRESS",
    help="Listen at this address: HOST:PORT, where port 0 takes any free one, or unix:PATH.",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Serve the page and the JSON API here too; port 0 takes any free one.  [default: no page]",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="Let clients in only if they first say the token in this file, which is needed where "
    "others can connect.  [default: no token, on loopback only]",
)
@release_option()
@platform_option()
@mutex_option()
@policy_option()
@cpus_option()
@click.option(
    "--procs",
    type=Number(0, 4096),
    default=0,
    metavar="N",
    help="Let so many Ms be in calls at once, as Go's GOMAXPROCS does.  "
    "[default: as many as --cpus]",
)
@seed_option()
@click.option(
    "--strategy",
    metavar="NAME",
    help="Choose who goes next by this strategy: round_robin, random, run_to_block or timing.  "
    "[default: timing]",
)
@click.option(
    "--max-pages",
    type=Pages(most=_INT63),
    metavar="N",
    help="Refuse growth beyond so many pages of 64 KiB, as a machine with no more memory would.  "
    "[default: 65536]",
)
@mem_debug_option()
@costs_option()
@click.option(
    "--faithful",
    is_flag=True,
    default=None,
    help="Do what Go does with an illegal call, which may end the World, instead of refusing it.",
)
@click.option("--reclaim", is_flag=True, help="Free what a client still owns when it goes.")
@bounds_options
@click.option(
    "--report-every",
    type=Number(0, 1 << 30),
    default=10,
    show_default=True,
    metavar="N",
    help="Write a line to stderr every so many seconds; 0 writes none.",
)
@log_option()
@click.option(
    "--log-max",
    type=Number(1 << 20, sizes=True),
    default=1 << 30,
    show_default="1GiB",
    metavar="BYTES",
    help="Keep so much of the log: it is written in parts, which are numbered beside the file, and "
    "the oldest are removed.",
)
@log_level_option(LEVELS_HELP)
@json_option()
def command(
    address: str,
    http: str | None,
    token_file: str | None,
    log: str | None,
    log_max: int,
    log_level: LogLevel,
    as_json: bool,
    reclaim: bool,
    report_every: int,
    procs: int,
    **given: Any,
) -> int:
    """Keep one World alive: each connection is an M, its calls contend with all others'.

    Clients send operation lines (see `gorun-mem ops`; beside them load V, store V WORD, share V N,
    lock NAME, try_lock NAME, unlock NAME, sleep NS, statistics, snapshot, watch [FILTER], auth
    TOKEN, quit) and get one line for each, with `gorun-mem connect` or any program that can open a
    socket. Illegal calls are refused; with --faithful they do what Go does, and may end the World
    and with it the service.

    What a client got is its own: another's load, store, fill or free is refused, unless the owner
    has said share V N. limit, failnext and hostgrow concern all and need a right. A client that has
    not said its token within 10 s is hung up on. Long requests are answered in slices, between
    which all others go on.

    SIGTERM, SIGHUP and Ctrl-C let the calls that have begun finish; a second one ends at once.

    \b
    Examples:
      gorun-mem serve --release go1.24 --platform plan9/amd64
      gorun-mem serve --listen unix:/tmp/world.sock --mutex sema --log world.jsonl.zst
      gorun-mem serve --listen 0.0.0.0:7059 --token-file token.txt
      gorun-mem serve --http 127.0.0.1:7060

    Exit codes: 0 stopped by SIGTERM; 1 a throw or fault ended the World; 2 usage, or the address
    cannot be used; 3 a deadlock or hang did; 4 internal fault; 130 interrupted.
    """
    where = _address(address)
    check_output("--log", log)
    page = PageOptions.of(http, token_file) if http is not None else None
    token, admin_token = _tokens(where, token_file)
    settings = Settings(
        limits=take_limits(given),
        token=token,
        admin_token=admin_token,
        shared=given.pop("shared"),
        admin=given.pop("admin"),
        procs=procs,
        reclaim=reclaim,
        report_s=report_every,
    )
    if reclaim and given["faithful"]:
        raise BadInput("--reclaim needs to know who owns what, which a --faithful World does not")
    config = _config(settings, given)
    done, document = _serve(where, page, config, settings, (log, log_max, log_level))
    if as_json:
        write_json(document)
    else:
        _show(document)
    if done.outcome.verdict == "internal" and done.outcome.error is not None:
        say(internal_fault(done.outcome.error, "gorun-mem", sys.argv[1:]))
    return done.outcome.exit_code


# What is to be served.


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError as error:
        raise BadInput(f"--listen: {error}") from None


def _tokens(address: Address, file: str | None) -> tuple[bytes | None, bytes | None]:
    """The token that clients must say, None where they need not, and the admin's."""
    try:
        private = address.is_private()
    except AddressError as error:
        raise BadInput(f"--listen: {error}") from None
    if file is None:
        if not private:
            raise BadInput(
                f"--listen {address} can be reached by others: name a file with a token that "
                "clients must say (--token-file FILE), or listen on 127.0.0.1"
            )
        return None, None
    return read_tokens(file)


def _config(settings: Settings, given: dict[str, Any]) -> Config:
    """The World's settings, checked."""
    from gorun_mem.machine.config import ConfigError, resolve
    from gorun_mem.runtime.behaviour import UnknownRelease
    from gorun_mem.runtime.mutex import UnknownMutex
    from gorun_mem.service.server import serve
    from gorun_mem.step.costs import CostError, CostTable
    from gorun_mem.step.strategies import UnknownStrategy, make_strategy

    costs = given.pop("costs")
    try:
        table = CostTable.find(costs) if costs else None
        config = serve.config(ms=settings.limits.connections, costs=table, **given)
        resolve(config)
        make_strategy(config.strategy, config.seed)
    except (ConfigError, CostError, UnknownMutex, UnknownRelease, UnknownStrategy) as error:
        raise BadInput(str(error)) from None
    return config


# The service.


def _serve(
    address: Address,
    page: PageOptions | None,
    config: Config,
    settings: Settings,
    log_to: tuple[str | None, int, LogLevel],
) -> tuple[Run, dict[str, Any]]:
    """Serve to the end; the run, and what is said of it."""
    log, log_max, level = log_to
    import trio

    from gorun_mem.events.home import new_log_path
    from gorun_mem.events.log import open_log
    from gorun_mem.events.parts import PartsBound
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.service.address import SocketFile, listen
    from gorun_mem.service.server import Server
    from gorun_mem.service.terminal import Terminal

    terminal = Terminal()

    async def main() -> tuple[Run, dict[str, Any]]:
        try:
            listeners = await listen(address)
        except AddressError as error:
            raise BadInput(f"--listen: {error}") from None
        file = SocketFile(address)
        try:
            given = log is not None
            path = log or os.fspath(new_log_path("serve", folder_of_parts=True, say=say))
            bound = PartsBound(log_max, removed=lambda part: terminal.say(_removed(part)))
            recorder = Recorder(open_log(path, bound=bound), level=level)
            try:
                server = Server(config, settings, recorder, terminal.say, _on_fault)
                shown = path if given else os.path.dirname(path)
                return await _serve_on(address, listeners, page, server, shown, terminal)
            finally:
                terminal.close()
                recorder.close()
        finally:
            file.remove()

    # What has been imported lives as long as the process: spare the collector looking at it.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    return trio.run(main)


async def _serve_on(
    address: Address,
    listeners: list[Any],
    page: PageOptions | None,
    server: Server,
    path: str,
    terminal: Terminal,
) -> tuple[Run, dict[str, Any]]:
    import trio

    from gorun_mem.service.address import bound

    where = bound(address, listeners[0])
    async with contextlib.AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        await nursery.start(server.drain_at_signals)
        nursery.start_soon(terminal.keep_on)
        world = server.world.settings
        policy = f", policy {world.config.policy}" if world.config.policy else ""
        say(
            f"listening on {where}: {world.release.name} {world.platform.name}, "
            f"{world.mutex} mutex{policy}{', what if' if world.what_if else ''}; log {path}"
        )
        if not address.is_private():
            say(
                "what clients send, the token too, goes in clear: put a proxy with TLS before it, "
                "or let clients come by ssh -L"
            )
        if page is not None:
            url = await stack.enter_async_context(page.opened(server=server))
            say(f"page at {url}")
        done = await server.run(listeners)
        nursery.cancel_scope.cancel()
    return done, _document(server, done, where, path)


def _removed(part: Path) -> str:
    return f"removed {click.format_filename(part)}, the oldest part of the log (--log-max)"


def _on_fault(error: BaseException) -> str:
    return internal_fault(error, "gorun-mem", sys.argv[1:])


def _document(server: Server, done: Run, where: Address, path: str) -> dict[str, Any]:
    """What the service came to."""
    from gorun_mem.machine.outcome import in_words

    outcome = done.outcome
    return {
        "address": str(where),
        "outcome": outcome.verdict,
        "error": in_words(outcome.error) if outcome.error is not None else "",
        "failed_m": outcome.failed_m,
        "connections": server.accepted,
        "refused": server.refused,
        "failed_auths": server.failed_auths,
        "calls": server.answers.calls,
        "abandoned_bytes": server.abandoned_bytes,
        "time_ns": outcome.time_ns,
        "log": None if path == "-" else click.format_filename(path),
        "exit": int(outcome.exit_code),
    }


def _show(document: dict[str, Any]) -> None:
    show(
        f"{document['outcome']}: {document['connections']:,} connections, "
        f"{document['calls']:,} calls"
    )
    if document["error"]:
        show(document["error"])
    if document["log"]:
        show(f"log     {document['log']}")
        show(f"report  gorun-mem report {document['log']}")
