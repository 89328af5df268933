"""Ms that are driven from the page."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gorun_mem.web.documents import Document, Done, Line, Name
from gorun_mem.web.guard import Refused
from gorun_mem.web.openapi import endpoint
from gorun_mem.web.parts import encoded, hands_of, id_in
from gorun_mem.web.site import Site


class Work(Struct, forbid_unknown_fields=True):
    """Calls that an M makes by itself.

    Args:
        size: bytes of the block that it allocates and frees.
        per_s: calls a second.
    """

    size: Annotated[int, Meta(ge=1, le=1 << 24)] = 65536
    per_s: Annotated[float, Meta(ge=0.1, le=1000)] = 20.0


class NewM(Struct, forbid_unknown_fields=True):
    """An M to start.

    Args:
        name: for people.
        work: what it does by itself; None for nothing.
        count: how many of them.
    """

    name: Name = ""
    work: Work | None = None
    count: Annotated[int, Meta(ge=1, le=64)] = 1


class CallOfM(Struct, forbid_unknown_fields=True):
    """An operation of an M, as the line protocol has it.

    Args:
        op: such as "alloc 65536" or "lock memlock".
    """

    op: Line


class StartedMs(Struct):
    """Ms that were started, by id."""

    m: int
    ms: list[int]


class Answered(Struct):
    """What came of an operation; null while the M is still in it."""

    result: str | None
    pending: str | None


@endpoint("GET", "/api/ms", wrong=(404,), answer=Document)
async def list_ms(site: Site, request: Request, body: None) -> Response:
    """The Ms that are driven from the page."""
    return encoded({"ms": [hand.document() for hand in hands_of(site).by_m.values()]})


@endpoint("POST", "/api/ms", wrong=(404, 409, 413, 429), body=NewM, answer=StartedMs, status=201)
async def start_ms(site: Site, request: Request, body: NewM) -> Response:
    """Start Ms."""
    hands = hands_of(site)
    work = (body.work.size, body.work.per_s) if body.work else None
    started = [(await hands.start(body.name, work)).m for _ in range(body.count)]
    return encoded(StartedMs(started[0], started), 201)


@endpoint("GET", "/api/ms/{id}", wrong=(404, 409), answer=Document)
async def show_m(site: Site, request: Request, body: None) -> Response:
    """One M."""
    return encoded(hands_of(site).of(id_in(request)).document())


@endpoint("DELETE", "/api/ms/{id}", wrong=(404, 409, 413), answer=Done)
async def stop_m(site: Site, request: Request, body: None) -> Response:
    """End an M."""
    await hands_of(site).stop(id_in(request))
    return encoded(Done(True))


@endpoint("POST", "/api/ms/{id}/call", wrong=(404, 409, 413), body=CallOfM, answer=Answered)
async def call(site: Site, request: Request, body: CallOfM) -> Response:
    """Give an M an operation."""
    result = await hands_of(site).call(id_in(request), body.op)
    if result is None:
        return encoded(Answered(None, body.op))
    if result.startswith("illegal "):
        raise Refused(409, result.removeprefix("illegal "), "nothing was changed")
    if result.startswith("error "):
        raise Refused(400, result.removeprefix("error "), "see /api/openapi.json")
    if result.startswith("end "):
        raise Refused(404, result.removeprefix("end "), "the M has ended")
    return encoded(Answered(result, None))
