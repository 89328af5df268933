"""Schedules, looked at step by step and made by hand."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gorun_mem.web.documents import Document, HandMadeSchedule
from gorun_mem.web.openapi import endpoint
from gorun_mem.web.parts import as_json, number_in
from gorun_mem.web.site import Site

_STEP: Final = ("step", {"type": "integer", "minimum": 0, "maximum": 1_000_000}, "after which step")


@endpoint("GET", "/api/schedules/{token}", wrong=(404, 409, 429), query=(_STEP,), answer=Document)
async def show_schedule(site: Site, request: Request, body: None) -> Response:
    """A schedule's state at a step."""
    token = str(request.path_params["token"])
    step = number_in(request, "step", 1_000_000, 1_000_000)
    facts = {"token": token, "step": step}
    return as_json(await site.laboratory.programs.ask("token", facts))


@endpoint(
    "POST", "/api/schedules", wrong=(404, 409, 413, 429), body=HandMadeSchedule, answer=Document
)
async def schedule(site: Site, request: Request, body: HandMadeSchedule) -> Response:
    """A schedule by hand."""
    facts = msgspec.to_builtins(body)
    return as_json(await site.laboratory.programs.ask("chair", facts))
