"""What the page opens on, what there is to run, and files that answers name."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from gorun_mem._version import VERSION
from gorun_mem.web.documents import Document
from gorun_mem.web.guard import Refused
from gorun_mem.web.openapi import endpoint
from gorun_mem.web.parts import as_json, encoded
from gorun_mem.web.site import Site

_REPORT_CSP: Final = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:"
)


@endpoint("GET", "/api/site", answer=Document)
async def shown(site: Site, request: Request, body: None) -> Response:
    """What the page opens on."""
    shows = site.shows or ({"kind": "live"} if site.server else {"kind": "library"})
    return encoded({"version": VERSION, "live": site.server is not None, "shows": shows})


@endpoint("GET", "/api/library", answer=Document)
async def library(site: Site, request: Request, body: None) -> Response:
    """Scenarios, lessons, strategies, terms."""
    if not site.library:
        site.library = await site.laboratory.programs.ask("library", {})
    return as_json(site.library)


@endpoint("GET", "/api/files/{name}", wrong=(404,), media="application/octet-stream")
async def file(site: Site, request: Request, body: None) -> Response:
    """A file that another answer named."""
    name = str(request.path_params["name"])
    there = {one.name: one for one in site.folder.iterdir()}
    if name not in there or not name.endswith((".columns", ".html")):
        raise Refused(404, f"no file {name[:60]!r}", "ask for the lanes or the report again")
    headers = {"content-security-policy": _REPORT_CSP} if name.endswith(".html") else None
    return FileResponse(there[name], headers=headers)
