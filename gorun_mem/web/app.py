"""The application: routes to the endpoints, to the page's own files, and what is wrong."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gorun_mem.web.calls import endpoints
from gorun_mem.web.guard import App, Guard, Refused, Rules
from gorun_mem.web.openapi import Endpoint, document
from gorun_mem.web.site import Site

STATIC: Final = Path(__file__).parent / "static"


def application(
    site: Site, rules: Callable[[], Rules], on_fault: Callable[[BaseException], None]
) -> App:
    """The whole application, behind its guard."""
    table = endpoints()
    described = msgspec.json.encode(document(table, site.token is not None))

    async def openapi(request: Request) -> Response:
        return Response(described, media_type="application/json")

    by_path: dict[str, dict[str, Endpoint]] = {}
    for one in table:
        by_path.setdefault(one.path, {})[one.method] = one
    routes = [
        Route(path, _dispatch(site, methods), methods=[*_ALL_METHODS])
        for path, methods in by_path.items()
    ]
    routes += [
        Route("/api/openapi.json", openapi, methods=["GET"]),
        Route("/", _page, methods=["GET"]),
        Route("/static/{name}", _static, methods=["GET"]),
    ]
    handlers: Any = {HTTPException: _http_exception, Refused: _refused}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), rules, on_fault)


_ALL_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def _dispatch(site: Site, methods: dict[str, Endpoint]) -> Callable[[Request], Any]:
    """Serve one path: the body is decoded, and wrong methods are told."""

    async def serve(request: Request) -> Response:
        one = methods.get("GET" if request.method == "HEAD" else request.method)
        if one is None:
            there = ", ".join(methods)
            refusal = Refused(405, f"{request.url.path} has no {request.method}", f"it has {there}")
            return _refusal(refusal, {"allow": there})
        unknown = set(request.query_params) - {name for name, _, _ in one.query}
        if unknown:
            raise Refused(400, f"no parameter {min(unknown)[:40]!r}", "see /api/openapi.json")
        body: Any = None
        raw = await request.body()
        if one.body is not None:
            try:
                body = msgspec.json.decode(raw, type=one.body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                hint = "its schema is in /api/openapi.json"
                raise Refused(400, f"the body: {_said(error)}", hint) from None
        elif raw:
            raise Refused(400, "there is a body where none is taken", "send none")
        return await one.handler(site, request, body)

    return serve


def _said(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:400]


async def _http_exception(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    path = request.url.path[:100]
    return _refusal(Refused(status, f"nothing is at {path!r}", "the API is at /api/openapi.json"))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _refusal(error)


def _refusal(refusal: Refused, headers: dict[str, str] | None = None) -> Response:
    return Response(refusal.document(), refusal.status, headers, "application/json")


async def _page(request: Request) -> Response:
    return _file("index.html")


async def _static(request: Request) -> Response:
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    """One of the page's own files, by its name alone."""
    files = {one.name: one for one in STATIC.iterdir() if one.is_file()}
    if name not in files:
        raise Refused(404, f"the page has no file {name[:60]!r}", "open /")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/") and "charset" not in kind:
        kind += "; charset=utf-8"
    data = files[name].read_bytes()
    return Response(data, media_type=kind, headers={"cache-control": "no-cache"})
