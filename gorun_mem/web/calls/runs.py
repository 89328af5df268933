"""Runs, and what their logs come to."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from gorun_mem.machine.library import find
from gorun_mem.web.documents import Document, Done, NewRun
from gorun_mem.web.guard import Refused
from gorun_mem.web.openapi import endpoint
from gorun_mem.web.parts import TEXT, as_json, encoded, id_in, number_in, server_of
from gorun_mem.web.site import Site

_ID_MAX: Final = 1 << 53
_TAIL: Final = (
    ("from", {"type": "integer", "minimum": -1}, "seq of the first; -1 for the newest"),
    ("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "at most so many"),
    ("filter", TEXT, "event names with * and commas, and m=3"),
)


class StartedRun(Struct):
    """A run that was started."""

    id: int


def _log(site: Site, request: Request) -> str:
    run = site.runs.of(id_in(request))
    if run.state == "running":
        raise Refused(409, f"run {run.id} has not ended", f"GET /api/runs/{run.id} says when")
    if not Path(run.log).exists():
        raise Refused(409, f"run {run.id} has no log", run.said[-400:])
    return run.log


@endpoint("GET", "/api/runs", answer=Document)
async def list_runs(site: Site, request: Request, body: None) -> Response:
    """The runs."""
    return encoded({"runs": [run.document() for run in site.runs.all()]})


@endpoint("POST", "/api/runs", wrong=(404, 413, 429), body=NewRun, answer=StartedRun, status=201)
async def start_run(site: Site, request: Request, body: NewRun) -> Response:
    """Run a scenario, in its own World or here."""
    runs = site.runs
    await site.laboratory.programs.ask("check", msgspec.to_builtins(body))
    if body.where == "own":
        return encoded(StartedRun((await runs.start(body)).id), 201)
    given = [name for name in msgspec.to_builtins(body.settings) if name != "ms"]
    if given:
        raise Refused(400, f"the service's World has its {given[0]} already", "leave it out")
    guests = server_of(site).guests
    return encoded(StartedRun(runs.start_inside(guests, find(body.scenario), body).id), 201)


@endpoint("GET", "/api/runs/{id}", wrong=(404,), answer=Document)
async def show_run(site: Site, request: Request, body: None) -> Response:
    """Progress and summary."""
    return encoded(site.runs.of(id_in(request)).document())


@endpoint("DELETE", "/api/runs/{id}", wrong=(404, 413), answer=Done)
async def stop_run(site: Site, request: Request, body: None) -> Response:
    """Stop a run, or forget it."""
    site.runs.stop(id_in(request))
    return encoded(Done(True))


@endpoint("GET", "/api/runs/{id}/log", wrong=(404, 409), media="application/x-ndjson")
async def log(site: Site, request: Request, body: None) -> Response:
    """The event log."""
    path = _log(site, request)
    name = Path(path).name
    if site.runs.of(id_in(request)).in_parts:
        raise Refused(409, f"{name} is a folder of parts", f"they are at {path}")
    return FileResponse(path, media_type="application/x-ndjson", filename=name)


@endpoint("GET", "/api/runs/{id}/events", wrong=(404, 409, 429), query=_TAIL, answer=Document)
async def lines(site: Site, request: Request, body: None) -> Response:
    """Some lines of the log."""
    start = number_in(request, "from", 0, _ID_MAX, -1)
    limit = number_in(request, "limit", 100, 500, 1)
    words = request.query_params.get("filter", "")[:400].split(",")
    ms = [word[2:] for word in words if word.startswith("m=")]
    if any(not (m.isascii() and m.isdigit() and len(m) < 7) for m in ms):
        raise Refused(400, "an M is named by its number: m=3")
    facts = {
        "log": _log(site, request),
        "start": start,
        "limit": limit,
        "filter": ",".join(word for word in words if not word.startswith("m=")),
        "ms": [int(m) for m in ms],
    }
    return as_json(await site.laboratory.logs.ask("events", facts))


@endpoint("GET", "/api/runs/{id}/lanes", wrong=(404, 409, 429), answer=Document)
async def lanes(site: Site, request: Request, body: None) -> Response:
    """The log as columns."""
    _log(site, request)
    return as_json(await site.lanes_of(site.runs.of(id_in(request))))


@endpoint("GET", "/api/runs/{id}/report", wrong=(404, 409, 429), answer=Document)
async def report(site: Site, request: Request, body: None) -> Response:
    """The report as one document."""
    facts = {"log": _log(site, request)}
    return as_json(await site.laboratory.reports.ask("report", facts, 300))


@endpoint("GET", "/api/runs/{id}/prediction", wrong=(404, 409, 429), answer=Document)
async def prediction(site: Site, request: Request, body: None) -> Response:
    """What a recording's pages are for, and what other releases would take."""
    run = site.runs.of(id_in(request))
    if not run.recording:
        raise Refused(404, f"run {run.id} is of no recording", "gorun-mem view RECORDING")
    facts = {"recording": run.recording}
    return as_json(await site.laboratory.programs.ask("prediction", facts, 300))
