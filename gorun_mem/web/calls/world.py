"""The service's World: its settings and figures, its pace, and what it tells as it goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gorun_mem.service.watch import BadFilter, Filter
from gorun_mem.web.documents import Document, Done
from gorun_mem.web.guard import Refused
from gorun_mem.web.openapi import endpoint
from gorun_mem.web.parts import TEXT, encoded, server_of
from gorun_mem.web.site import Site
from gorun_mem.web.stream import sse, stream
from gorun_mem.web.tails import LEVELS

_HEARD: Final = (
    ("level", {"type": "string", "enum": list(LEVELS)}, "that level and above"),
    ("filter", TEXT, "event names with * and commas, and m=3"),
)
STREAMS_MAX: Final = 128
"""Event streams at once."""


class PaceOfWorld(Struct, forbid_unknown_fields=True):
    """How fast the World's Ms go.

    Args:
        paused: not at all.
        ns_per_s: virtual ns in a second of real time; None for as fast as they can.
    """

    paused: bool = False
    ns_per_s: Annotated[float, Meta(ge=1, le=1e12)] | None = None


async def _counted(site: Site, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if site.streams >= STREAMS_MAX:
        yield sse("full", b'{"error":"too many streams"}')
        return
    site.streams += 1
    try:
        async for part in parts:
            yield part
    finally:
        site.streams -= 1


@endpoint("GET", "/api/world", wrong=(404,), answer=Document)
async def world(site: Site, request: Request, body: None) -> Response:
    """Settings and statistics."""
    server = server_of(site)
    world = server.world
    config = asdict(world.config)
    config.pop("costs")
    return encoded(
        {
            "release": world.settings.release.name,
            "platform": world.settings.platform.name,
            "mutex": world.settings.mutex,
            "what_if": world.settings.what_if,
            "config": config,
            "ms": len(server.speakers),
            "statistics": server.answers.statistics(),
            "draining": server.draining,
            "paused": server.host.pace.paused,
            "ns_per_s": server.host.pace.ns_per_s,
        }
    )


@endpoint("GET", "/api/world/snapshot", wrong=(404,), answer=Document)
async def snapshot(site: Site, request: Request, body: None) -> Response:
    """The memory."""
    server_of(site)
    assert site.live is not None
    return encoded(site.live.memory_map())


@endpoint("GET", "/api/world/locks", wrong=(404,), answer=Document)
async def locks(site: Site, request: Request, body: None) -> Response:
    """The locks."""
    return encoded(server_of(site).answers.statistics()["locks"])


@endpoint("POST", "/api/world/pace", wrong=(404, 413), body=PaceOfWorld, answer=Done)
async def pace(site: Site, request: Request, body: PaceOfWorld) -> Response:
    """Pause, or slow motion."""
    server = server_of(site)
    if server.draining:
        raise Refused(404, f"the service ends: {server.draining}")
    server.host.pace.set(paused=body.paused, ns_per_s=body.ns_per_s)
    return encoded(Done(True))


@endpoint("GET", "/api/live", wrong=(404, 429), media="text/event-stream")
async def watch_live(site: Site, request: Request, body: None) -> Response:
    """Samples of the World, as they are taken."""
    server_of(site)
    assert site.live is not None
    return stream(_counted(site, site.live.watch()))


@endpoint("GET", "/api/events", wrong=(404, 429), query=_HEARD, media="text/event-stream")
async def watch_events(site: Site, request: Request, body: None) -> Response:
    """The log as it is written."""
    server_of(site)
    assert site.tails is not None
    level = request.query_params.get("level", "info")
    if level not in LEVELS:
        raise Refused(400, f"level = {level[:40]!r}: one of {', '.join(LEVELS)}")
    text = request.query_params.get("filter", "")
    try:
        wanted = Filter((text[:400],)) if text else Filter()
    except BadFilter as error:
        raise Refused(400, str(error)) from None
    return stream(_counted(site, site.tails.watch(wanted, level)))
