"""The table of endpoints, and what they come to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from gorun_mem._version import VERSION
from gorun_mem.machine.library import find
from gorun_mem.service.server import Server
from gorun_mem.service.watch import BadFilter, Filter
from gorun_mem.web.documents import (
    Answered,
    CallOfM,
    Document,
    Done,
    HandMadeSchedule,
    NewM,
    NewRun,
    PaceOfWorld,
    StartedMs,
    StartedRun,
)
from gorun_mem.web.guard import Refused
from gorun_mem.web.hands import Hands
from gorun_mem.web.openapi import Endpoint
from gorun_mem.web.site import Site
from gorun_mem.web.stream import sse, stream
from gorun_mem.web.tails import LEVELS

STREAMS_MAX: Final = 128
"""Event streams at once."""
_ID_MAX: Final = 1 << 53
_REPORT_CSP: Final = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:"
)
_TEXT: Final = {"type": "string", "maxLength": 400}
_STEP: Final = ("step", {"type": "integer", "minimum": 0, "maximum": 1_000_000}, "after which step")


def _json(data: bytes, status: int = 200) -> Response:
    return Response(data, status, media_type="application/json")


def _encoded(value: Any, status: int = 200) -> Response:
    return _json(msgspec.json.encode(value), status)


def _id(request: Request) -> int:
    text = str(request.path_params["id"])
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Refused(404, f"{text[:40]!r} is no id", "an id is a number from 1")
    return int(text)


def _number(request: Request, name: str, default: int | None, most: int, least: int = 0) -> int:
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


class Api:
    """What the endpoints do.

    Args:
        site: what the page is about.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def endpoints(self) -> list[Endpoint]:
        """The table."""
        e = Endpoint
        world, hands, runs = "/api/world", "/api/ms", "/api/runs"
        mine = (404, 409)
        tail = (
            ("from", {"type": "integer", "minimum": -1}, "seq of the first; -1 for the newest"),
            ("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "at most so many"),
            ("filter", _TEXT, "event names with * and commas, and m=3"),
        )
        heard = (
            ("level", {"type": "string", "enum": list(LEVELS)}, "that level and above"),
            ("filter", _TEXT, "event names with * and commas, and m=3"),
        )
        # fmt: off
        return [
            e(method="GET", path="/api/site", does="What the page opens on",
              handler=self.site, answer=Document),
            e(method="GET", path="/api/library", does="Scenarios, lessons, strategies, terms",
              handler=self.library, answer=Document),
            e(method="GET", path=world, does="Settings and statistics", wrong=(404,),
              handler=self.world, answer=Document),
            e(method="GET", path=f"{world}/snapshot", does="The memory", wrong=(404,),
              handler=self.snapshot, answer=Document),
            e(method="GET", path=f"{world}/locks", does="The locks", wrong=(404,),
              handler=self.locks, answer=Document),
            e(method="POST", path=f"{world}/pace", does="Pause, or slow motion", wrong=(404, 413),
              handler=self.pace, body=PaceOfWorld, answer=Done),
            e(method="GET", path="/api/live", does="Samples of the World, as they are taken",
              wrong=(404, 429), handler=self.watch_live, media="text/event-stream"),
            e(method="GET", path="/api/events", does="The log as it is written", query=heard,
              wrong=(404, 429), handler=self.watch_events, media="text/event-stream"),
            e(method="GET", path=hands, does="The Ms that are driven from the page", wrong=(404,),
              handler=self.list_ms, answer=Document),
            e(method="POST", path=hands, does="Start Ms", wrong=(404, 409, 413, 429),
              handler=self.start_ms, body=NewM, answer=StartedMs, status=201),
            e(method="GET", path=f"{hands}/{{id}}", does="One M", wrong=mine,
              handler=self.show_m, answer=Document),
            e(method="DELETE", path=f"{hands}/{{id}}", does="End an M", wrong=(*mine, 413),
              handler=self.stop_m, answer=Done),
            e(method="POST", path=f"{hands}/{{id}}/call", does="Give an M an operation",
              wrong=(*mine, 413), handler=self.call, body=CallOfM, answer=Answered),
            e(method="GET", path=runs, does="The runs", handler=self.list_runs, answer=Document),
            e(method="POST", path=runs, does="Run a scenario, in its own World or here",
              wrong=(404, 413, 429), handler=self.start_run, body=NewRun, answer=StartedRun,
              status=201),
            e(method="GET", path=f"{runs}/{{id}}", does="Progress and summary", wrong=(404,),
              handler=self.show_run, answer=Document),
            e(method="DELETE", path=f"{runs}/{{id}}", does="Stop a run, or forget it",
              wrong=(404, 413), handler=self.stop_run, answer=Done),
            e(method="GET", path=f"{runs}/{{id}}/log", does="The event log", wrong=mine,
              handler=self.log, media="application/x-ndjson"),
            e(method="GET", path=f"{runs}/{{id}}/events", does="Some lines of the log", query=tail,
              wrong=(*mine, 429), handler=self.lines, answer=Document),
            e(method="GET", path=f"{runs}/{{id}}/lanes", does="The log as columns",
              wrong=(*mine, 429), handler=self.lanes, answer=Document),
            e(method="GET", path=f"{runs}/{{id}}/report", does="The report as one document",
              wrong=(*mine, 429), handler=self.report, answer=Document),
            e(method="GET", path=f"{runs}/{{id}}/prediction", wrong=(*mine, 429),
              does="What a recording's pages are for, and what other releases would take",
              handler=self.prediction, answer=Document),
            e(method="GET", path="/api/files/{name}", does="A file that another answer named",
              wrong=(404,), handler=self.file, media="application/octet-stream"),
            e(method="GET", path="/api/schedules/{token}", does="A schedule's state at a step",
              query=(_STEP,), wrong=(404, 409, 429), handler=self.show_schedule, answer=Document),
            e(method="POST", path="/api/schedules", does="A schedule by hand",
              wrong=(404, 409, 413, 429), handler=self.schedule, body=HandMadeSchedule,
              answer=Document),
        ]
        # fmt: on

    # The page.

    async def site(self, request: Request, body: None) -> Response:
        """What the page opens on."""
        site = self._site
        shows = site.shows or ({"kind": "live"} if site.server else {"kind": "library"})
        return _encoded({"version": VERSION, "live": site.server is not None, "shows": shows})

    async def library(self, request: Request, body: None) -> Response:
        """What there is to run; it does not change."""
        if not self._site.library:
            self._site.library = await self._site.laboratory.programs.ask("library", {})
        return _json(self._site.library)

    # The World.

    def _server(self) -> Server:
        if self._site.server is None:
            raise Refused(
                404, "the page shows one run; there is no service", "gorun-mem serve --http"
            )
        return self._site.server

    def _hands(self) -> Hands:
        self._server()
        assert self._site.hands is not None
        return self._site.hands

    async def world(self, request: Request, body: None) -> Response:
        """Settings and statistics."""
        server = self._server()
        world = server.world
        config = asdict(world.config)
        config.pop("costs")
        return _encoded(
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

    async def snapshot(self, request: Request, body: None) -> Response:
        """The memory, as far as it is shown."""
        self._server()
        assert self._site.live is not None
        return _encoded(self._site.live.memory_map())

    async def locks(self, request: Request, body: None) -> Response:
        """Every lock's figures."""
        return _encoded(self._server().answers.statistics()["locks"])

    async def pace(self, request: Request, body: PaceOfWorld) -> Response:
        """Pause, or slow motion."""
        server = self._server()
        if server.draining:
            raise Refused(404, f"the service ends: {server.draining}")
        server.host.pace.set(paused=body.paused, ns_per_s=body.ns_per_s)
        return _encoded(Done(True))

    # Streams.

    async def watch_live(self, request: Request, body: None) -> Response:
        """Samples."""
        self._server()
        assert self._site.live is not None
        return stream(self._counted(self._site.live.watch()))

    async def watch_events(self, request: Request, body: None) -> Response:
        """The log as it is written."""
        self._server()
        site = self._site
        assert site.tails is not None
        level = request.query_params.get("level", "info")
        if level not in LEVELS:
            raise Refused(400, f"level = {level[:40]!r}: one of {', '.join(LEVELS)}")
        text = request.query_params.get("filter", "")
        try:
            wanted = Filter((text[:400],)) if text else Filter()
        except BadFilter as error:
            raise Refused(400, str(error)) from None
        return stream(self._counted(site.tails.watch(wanted, level)))

    async def _counted(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        site = self._site
        if site.streams >= STREAMS_MAX:
            yield sse("full", b'{"error":"too many streams"}')
            return
        site.streams += 1
        try:
            async for part in parts:
                yield part
        finally:
            site.streams -= 1

    # Ms by hand.

    async def list_ms(self, request: Request, body: None) -> Response:
        """The Ms that are driven from the page."""
        return _encoded({"ms": [hand.document() for hand in self._hands().by_m.values()]})

    async def start_ms(self, request: Request, body: NewM) -> Response:
        """Start Ms."""
        hands = self._hands()
        work = (body.work.size, body.work.per_s) if body.work else None
        started = [(await hands.start(body.name, work)).m for _ in range(body.count)]
        return _encoded(StartedMs(started[0], started), 201)

    async def show_m(self, request: Request, body: None) -> Response:
        """One M."""
        return _encoded(self._hands().of(_id(request)).document())

    async def stop_m(self, request: Request, body: None) -> Response:
        """End an M."""
        await self._hands().stop(_id(request))
        return _encoded(Done(True))

    async def call(self, request: Request, body: CallOfM) -> Response:
        """Give an M an operation."""
        result = await self._hands().call(_id(request), body.op)
        if result is None:
            return _encoded(Answered(None, body.op))
        if result.startswith("illegal "):
            raise Refused(409, result.removeprefix("illegal "), "nothing was changed")
        if result.startswith("error "):
            raise Refused(400, result.removeprefix("error "), "see /api/openapi.json")
        if result.startswith("end "):
            raise Refused(404, result.removeprefix("end "), "the M has ended")
        return _encoded(Answered(result, None))

    # Runs.

    async def list_runs(self, request: Request, body: None) -> Response:
        """The runs, the newest first."""
        return _encoded({"runs": [run.document() for run in self._site.runs.all()]})

    async def start_run(self, request: Request, body: NewRun) -> Response:
        """Start a run of a scenario that there is, with options that it has."""
        runs = self._site.runs
        await self._site.laboratory.programs.ask("check", msgspec.to_builtins(body))
        if body.where == "own":
            return _encoded(StartedRun((await runs.start(body)).id), 201)
        given = [name for name in msgspec.to_builtins(body.settings) if name != "ms"]
        if given:
            raise Refused(400, f"the service's World has its {given[0]} already", "leave it out")
        guests = self._server().guests
        return _encoded(StartedRun(runs.start_inside(guests, find(body.scenario), body).id), 201)

    async def show_run(self, request: Request, body: None) -> Response:
        """Progress and summary."""
        return _encoded(self._site.runs.of(_id(request)).document())

    async def stop_run(self, request: Request, body: None) -> Response:
        """Stop or forget a run."""
        self._site.runs.stop(_id(request))
        return _encoded(Done(True))

    def _log(self, request: Request) -> str:
        run = self._site.runs.of(_id(request))
        if run.state == "running":
            raise Refused(409, f"run {run.id} has not ended", f"GET /api/runs/{run.id} says when")
        if not Path(run.log).exists():
            raise Refused(409, f"run {run.id} has no log", run.said[-400:])
        return run.log

    async def log(self, request: Request, body: None) -> Response:
        """The log, as it lies there."""
        path = self._log(request)
        name = Path(path).name
        if self._site.runs.of(_id(request)).in_parts:
            raise Refused(409, f"{name} is a folder of parts", f"they are at {path}")
        return FileResponse(path, media_type="application/x-ndjson", filename=name)

    async def lines(self, request: Request, body: None) -> Response:
        """Some lines of the log."""
        start = _number(request, "from", 0, _ID_MAX, -1)
        limit = _number(request, "limit", 100, 500, 1)
        words = request.query_params.get("filter", "")[:400].split(",")
        ms = [word[2:] for word in words if word.startswith("m=")]
        if any(not (m.isascii() and m.isdigit() and len(m) < 7) for m in ms):
            raise Refused(400, "an M is named by its number: m=3")
        facts = {
            "log": self._log(request),
            "start": start,
            "limit": limit,
            "filter": ",".join(word for word in words if not word.startswith("m=")),
            "ms": [int(m) for m in ms],
        }
        return _json(await self._site.laboratory.logs.ask("events", facts))

    async def lanes(self, request: Request, body: None) -> Response:
        """The log as columns."""
        self._log(request)
        return _json(await self._site.lanes_of(self._site.runs.of(_id(request))))

    async def report(self, request: Request, body: None) -> Response:
        """The report."""
        facts = {"log": self._log(request)}
        return _json(await self._site.laboratory.reports.ask("report", facts, 300))

    async def prediction(self, request: Request, body: None) -> Response:
        """What `report` and `predict` say of a recording."""
        run = self._site.runs.of(_id(request))
        if not run.recording:
            raise Refused(404, f"run {run.id} is of no recording", "gorun-mem view RECORDING")
        facts = {"recording": run.recording}
        return _json(await self._site.laboratory.programs.ask("prediction", facts, 300))

    async def file(self, request: Request, body: None) -> Response:
        """A file that another answer named."""
        name = str(request.path_params["name"])
        there = {one.name: one for one in self._site.folder.iterdir()}
        if name not in there or not name.endswith((".columns", ".html")):
            raise Refused(404, f"no file {name[:60]!r}", "ask for the lanes or the report again")
        headers = {"content-security-policy": _REPORT_CSP} if name.endswith(".html") else None
        return FileResponse(there[name], headers=headers)

    # Schedules.

    async def show_schedule(self, request: Request, body: None) -> Response:
        """A token's schedule at a step."""
        token = str(request.path_params["token"])
        step = _number(request, "step", 1_000_000, 1_000_000)
        facts = {"token": token, "step": step}
        return _json(await self._site.laboratory.programs.ask("token", facts))

    async def schedule(self, request: Request, body: HandMadeSchedule) -> Response:
        """A schedule by hand."""
        facts = msgspec.to_builtins(body)
        return _json(await self._site.laboratory.programs.ask("chair", facts))
