"""What the calls of the API share: what they read of a request, and how they answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gorun_mem.service.server import Server
from gorun_mem.web.guard import Refused
from gorun_mem.web.hands import Hands
from gorun_mem.web.site import Site

TEXT: Final = {"type": "string", "maxLength": 400}


def as_json(data: bytes, status: int = 200) -> Response:
    """An answer that is JSON already."""
    return Response(data, status, media_type="application/json")


def encoded(value: Any, status: int = 200) -> Response:
    """An answer as JSON."""
    return as_json(msgspec.json.encode(value), status)


def id_in(request: Request) -> int:
    """The id that the path names.

    Raises:
        Refused: it is none.
    """
    text = str(request.path_params["id"])
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Refused(404, f"{text[:40]!r} is no id", "an id is a number from 1")
    return int(text)


def number_in(request: Request, name: str, default: int | None, most: int, least: int = 0) -> int:
    """A number of the query.

    Args:
        request: whose query.
        name: the parameter's.
        default: where it is not given; None: it has to be.
        most: it may be.
        least: it may be.

    Raises:
        Refused: it is no such number.
    """
    text = request.query_params.get(name)
    if text is None:
        if default is None:
            raise Refused(400, f"{name} is missing")
        return default
    try:
        value = int(text) if len(text) < 20 else most + 1
    except ValueError:
        value = most + 1
    if not least <= value <= most or not text.lstrip("-").isdecimal() or not text.isascii():
        raise Refused(400, f"{name} = {text[:40]!r}: a number from {least} to {most}")
    return value


def server_of(site: Site) -> Server:
    """The service.

    Raises:
        Refused: there is none.
    """
    if site.server is None:
        raise Refused(404, "the page shows one run; there is no service", "gorun-mem serve --http")
    return site.server


def hands_of(site: Site) -> Hands:
    """The Ms that are driven from the page, likewise."""
    server_of(site)
    assert site.hands is not None
    return site.hands
