"""The page on a socket, beside a service or alone."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from gorun_mem.service.address import Address, bound, listen
from gorun_mem.service.server import Server
from gorun_mem.web.app import application
from gorun_mem.web.guard import Refused, Rules
from gorun_mem.web.hands import Hands
from gorun_mem.web.laboratory import Laboratory
from gorun_mem.web.live import Live
from gorun_mem.web.runs import Runs
from gorun_mem.web.site import Site
from gorun_mem.web.sockets import PageServer
from gorun_mem.web.tails import Tails


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is served.

    Args:
        url: where.
        site: what it is about.
        server: its connections.
    """

    url: str
    site: Site
    server: PageServer


@asynccontextmanager
async def open_page(
    address: Address,
    *,
    server: Server | None = None,
    token: bytes | None = None,
    log: str | None = None,
    shows: dict[str, Any] | None = None,
    recording: str = "",
    code: Sequence[str] = (),
    on_fault: Callable[[BaseException], None],
) -> AsyncIterator[Page]:
    """Serve the page while the block runs.

    Args:
        address: where to listen.
        server: the service whose World it shows; None for a page on one run.
        token: what callers of the API must say; None where they need not.
        log: an event log that it opens on.
        shows: what else it opens on; see `Site`.
        recording: what the log was replayed from, "" where it was not.
        code: beside the library's, what schedules that are looked at may run, as they name it.
        on_fault: told of an error of ours.

    Raises:
        AddressError: the address is in use, or not ours to use.
    """
    listeners = (await listen(address))[:1]
    where = bound(address, listeners[0])
    names = {address.host.lower(), *((socket.gethostname().lower(),) if token else ())}
    rules = Rules(where.port, frozenset(names), token, address.is_private())
    with tempfile.TemporaryDirectory(prefix="gorun_mem-") as folder:
        async with trio.open_nursery() as nursery:
            site = Site(
                Runs(Path(folder), nursery), Laboratory(folder, code), Path(folder), token=token
            )
            if server is not None:
                site.server = server
                site.hands = Hands(server, nursery)
                site.live = Live(server, site.hands)
                site.tails = Tails(server.recorder, server.settings.limits.queue_bytes)
                nursery.start_soon(_guarded, site.live.run, on_fault)
            if log is not None:
                run = site.runs.show(log)
                run.recording = recording
                shows = {"kind": "run", "id": run.id}
                nursery.start_soon(_guarded, partial(site.lanes_of, run), on_fault)
            site.shows = shows
            page = PageServer(application(site, lambda: rules, on_fault), on_fault)
            await nursery.start(page.run, listeners)
            try:
                yield Page(f"http://{where}/", site, page)
            finally:
                await site.laboratory.aclose()
                nursery.cancel_scope.cancel()


async def _guarded(
    work: Callable[[], Awaitable[Any]], on_fault: Callable[[BaseException], None]
) -> None:
    """Do something for the page; what goes wrong with it is told, and ends nothing else."""
    try:
        await work()
    except Refused:
        pass  # who asks for it is told
    except Exception as error:
        on_fault(error)
