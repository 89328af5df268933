"""The JSON API over ASGI: what each endpoint does, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from jsonschema import Draft202012Validator

from gorun_mem.service.watch import Filter
from gorun_mem.web.live import EVENTS_MAX, Viewer, pace_s
from tests.web.web_tools import OverAsgi, over_asgi


def with_page(test: Callable[[OverAsgi], Awaitable[None]], **config: Any) -> None:
    async def main() -> None:
        async with over_asgi(**config) as page:
            await test(page)

    trio.run(main)


def test_two_contend_on_one_lock_by_hand() -> None:
    """One M takes memlock, another waits for it, the sample shows both, and the lock given back
    answers the one that waits."""

    async def test(page: OverAsgi) -> None:
        for name in ("Ann", "Bob"):
            assert (await page.ask("POST", "/api/ms", {"name": name}))[0] == 201
        assert await page.ask("POST", "/api/ms/1/call", {"op": "lock memlock"}) == (
            200, {"result": "ok", "pending": None},
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            answers: list[Any] = []

            async def wait() -> None:
                answers.append(await page.ask("POST", "/api/ms/2/call", {"op": "alloc 65536"}))

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert page.site.live is not None
            sample = page.site.live.sample()
            lock = sample["locks"][0]
            assert (lock["name"], lock["holder"]) == ("memlock", 1)
            assert [waiter[0] for waiter in lock["waiters"]] == [2]
            by_m = {m["m"]: m for m in sample["ms"]}
            assert by_m[1]["holds"] == ["memlock"]
            assert by_m[2]["waits"] == "memlock"
            assert (await page.ask("POST", "/api/ms/2/call", {"op": "info"}))[0] == 409
            assert (await page.ask("POST", "/api/ms/1/call", {"op": "unlock memlock"}))[0] == 200
        assert answers == [(200, {"result": "1441792", "pending": None})]
        _, shown = await page.ask("GET", "/api/ms/2")
        assert shown["answers"] == [["alloc 65536", "1441792"]]
        assert await page.ask("DELETE", "/api/ms/1") == (200, {"ok": True})
        assert (await page.ask("GET", "/api/ms/1"))[0] == 404
        _, world = await page.ask("GET", "/api/world")
        assert world["statistics"]["live_bytes"] == 65536

    with_page(test, platform="plan9/amd64")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/nothing", None, 404),
        ("PUT", "/api/ms", {}, 405),
        ("POST", "/api/ms", {"nme": "x"}, 400),
        ("POST", "/api/ms", {"work": {"per_s": 1e9}}, 400),
        ("POST", "/api/ms", [], 400),
        ("POST", "/api/ms/1/call", {"op": ""}, 400),
        ("POST", "/api/ms/1/call", {"op": "alloc 1\nalloc 2"}, 400),
        ("POST", "/api/ms/1/call", {"op": "alloc"}, 400),
        ("POST", "/api/ms/1/call", {"op": "watch"}, 400),
        ("POST", "/api/ms/1/call", {"op": "quit"}, 400),
        ("POST", "/api/ms/1/call", {"op": "free 1 1"}, 409),
        ("POST", "/api/ms/1/call", {"op": "unlock memlock"}, 409),
        ("POST", "/api/ms/7/call", {"op": "info"}, 404),
        ("POST", "/api/ms/x/call", {"op": "info"}, 404),
        ("POST", "/api/ms/-1/call", {"op": "info"}, 404),
        ("POST", "/api/runs", {"scenario": "/etc/passwd"}, 404),
        ("POST", "/api/runs", {"scenario": "../../x.py"}, 404),
        ("POST", "/api/runs", {"scenario": "memlock_storm", "options": {"rounds": "x"}}, 400),
        ("POST", "/api/runs", {"scenario": "real_program", "options": {"trace": "/etc/x"}}, 400),
        ("POST", "/api/runs", {"scenario": "memlock_storm", "settings": {"mutex": "x"}}, 400),
        ("POST", "/api/runs", {"scenario": "memlock_storm", "settings": {"policy": "x"}}, 400),
        ("POST", "/api/runs",
         {"scenario": "memlock_storm", "settings": {"policy": "arena:3MiB"}}, 400),
        ("POST", "/api/runs", {"scenario": "../../x.py", "where": "service"}, 404),
        ("POST", "/api/runs", {"scenario": "memlock_storm", "where": "elsewhere"}, 400),
        ("POST", "/api/runs",
         {"scenario": "memlock_storm", "where": "service", "settings": {"mutex": "sema"}}, 400),
        ("GET", "/api/runs/1", None, 404),
        ("GET", "/api/runs/1/prediction", None, 404),
        ("GET", "/api/runs/1/lanes", None, 404),
        ("GET", "/api/files/passwd", None, 404),
        ("GET", "/api/files/..%2f..%2fetc%2fpasswd", None, 404),
        ("GET", "/static/..%2f..%2fpage.py", None, 404),
        ("GET", "/api/events?level=loud", None, 400),
        ("GET", "/api/events?filter=nothing", None, 400),
        ("GET", "/api/events?level=info&more=1", None, 400),
        ("GET", "/api/schedules/AgAA", None, 400),
        ("GET", "/api/schedules/AgAA?step=x", None, 400),
        ("POST", "/api/schedules", {"scenario": "nothing"}, 404),
        ("POST", "/api/schedules", {"scenario": "lessons/nothing"}, 404),
        ("POST", "/api/schedules", {"scenario": "lessons/ab_ba", "choices": [9]}, 400),
        ("POST", "/api/world/pace", {"ns_per_s": 0}, 400),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(method: str, path: str, body: Any, status: int) -> None:
    """With a status, the fact and a hint; the World is as it was."""

    async def test(page: OverAsgi) -> None:
        await page.ask("POST", "/api/ms", {})
        before = page.service.server.world.snapshot()
        code, answer = await page.ask(method, path, body)
        assert code == status, answer
        assert set(answer) == {"error", "hint"}
        assert answer["error"]
        assert page.service.server.world.snapshot() == before
        assert page.service.server.world.memlock.holder is None

    with_page(test, platform="plan9/amd64")


def test_no_file_of_the_servers_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock or policy of a file, as a setting, in an option or in a token: refused, unread."""
    from gorun_mem.step.schedule import Schedule

    ran = tmp_path / "ran"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(ran)!r}, 'w')\n")
    code = "evil.py:X"
    monkeypatch.chdir(tmp_path)
    about = {"scenario": "memlock_storm", "config": {"mutex": code}}
    token = Schedule((1,), (), about).token()
    wanted = [
        {"scenario": "memlock_storm", "settings": {"mutex": code}},
        {"scenario": "memlock_storm", "settings": {"policy": code}},
        {"scenario": "mutex_shootout", "options": {"mutexes": f"queue, {code}"}},
    ]

    async def test(page: OverAsgi) -> None:
        for body in wanted:
            for path in ("/api/runs", "/api/schedules"):
                status, answer = await page.ask("POST", path, body)
                assert status == 400, (path, body, answer)
                assert answer["hint"] == "use the command line"
        assert (await page.ask("GET", f"/api/schedules/{token}"))[0] == 400
        by_token = {"scenario": "", "token": token, "choices": []}
        assert (await page.ask("POST", "/api/schedules", by_token))[0] == 400
        assert not ran.exists()

    with_page(test)


def test_a_run_under_a_policy_says_so() -> None:
    """The form's choice: the policy is in the run's report, and searches as it says."""

    async def test(page: OverAsgi) -> None:
        _, library = await page.ask("GET", "/api/library")
        own, *others = library["policies"]
        assert (own["name"], own["sizes"]) == ("first_fit", [])
        assert {one["name"] for one in others if one["sizes"]} == {"grow", "arena"}
        assert all(one["about"] for one in library["policies"])
        wanted = {"scenario": "freelist_fallback", "settings": {"policy": "grow:4MiB"}}
        status, started = await page.ask("POST", "/api/runs", wanted)
        assert status == 201, started
        path = f"/api/runs/{started['id']}"
        run: dict[str, Any] = {"state": "running"}
        with trio.fail_after(60):
            while run["state"] == "running":
                await trio.sleep(0.05)
                _, run = await page.ask("GET", path)
        assert run["summary"]["config"]["policy"] == "grow:4MiB"
        _, report = await page.ask("GET", f"{path}/report")
        assert ["policy", "grow:4MiB"] in report["head"]

    with_page(test)


def test_the_document_describes_what_there_is() -> None:
    """The OpenAPI document has every path, and good answers fit its schemas."""

    async def test(page: OverAsgi) -> None:
        _, described = await page.ask("GET", "/api/openapi.json")
        assert described["openapi"].startswith("3.1")
        for path in ("/api/world", "/api/ms/{id}/call", "/api/schedules/{token}", "/api/live"):
            assert path in described["paths"]
        schema = described["components"]["schemas"]["StartedMs"]
        _, started = await page.ask("POST", "/api/ms", {"count": 2})
        Draft202012Validator(schema).validate(started)
        assert started["ms"] == [1, 2]

    with_page(test)


def test_a_scenario_is_run_and_its_log_shown() -> None:
    """A run in a process of its own: summary, lanes, lines and report of it, and the log itself."""

    async def test(page: OverAsgi) -> None:
        wanted = {"scenario": "memlock_storm", "options": {"rounds": 20}, "settings": {"ms": 3}}
        status, started = await page.ask("POST", "/api/runs", wanted)
        assert status == 201, started
        path = f"/api/runs/{started['id']}"
        assert (await page.ask("GET", f"{path}/lanes"))[0] in (200, 409)
        run: dict[str, Any] = {"state": "running"}
        with trio.fail_after(60):
            while run["state"] == "running":
                await trio.sleep(0.05)
                _, run = await page.ask("GET", path)
        assert (run["exit"], run["summary"]["outcome"]) == (0, "ok")
        _, lanes = await page.ask("GET", f"{path}/lanes")
        assert [lane["m"] for lane in lanes["lanes"]] == [1, 2, 3]
        data = (await page.client.get(f"/api/files/{lanes['file']}")).content
        assert len(data) == 20 * lanes["intervals"]
        _, lines = await page.ask("GET", f"{path}/events?filter=lock.*,m=2&limit=7")
        assert len(lines["events"]) == 7
        assert {(e["m"], e["event"].partition(".")[0]) for e in lines["events"]} == {(2, "lock")}
        _, last = await page.ask("GET", f"{path}/events?from=-1&limit=1")
        assert last["events"][0]["event"] == "run.end"
        _, report = await page.ask("GET", f"{path}/report")
        assert report["sections"][0]["title"] == "Contention"
        offline = await page.client.get(f"/api/files/{report['file']}")
        assert offline.text.startswith("<!doctype html>") or "<html" in offline.text[:200]
        assert "sandbox" in offline.headers["content-security-policy"]
        log = (await page.client.get(f"{path}/log")).text.splitlines()
        assert len(log) == lanes["events"]
        assert await page.ask("DELETE", path) == (200, {"ok": True})

    with_page(test)


def test_a_scenario_is_run_in_the_services_world() -> None:
    """Its Ms are the World's; its log is of that stretch; stopped by hand it ends."""

    async def test(page: OverAsgi) -> None:
        wanted = {"scenario": "memlock_storm", "options": {"rounds": 10}, "where": "service"}
        status, started = await page.ask("POST", "/api/runs", {**wanted, "settings": {"ms": 5}})
        assert status == 201, started
        run = page.site.runs.of(started["id"])
        assert run.guest is not None
        with trio.fail_after(60):
            await run.guest.ended.wait()
            await trio.testing.wait_all_tasks_blocked()
        _, told = await page.ask("GET", f"/api/runs/{run.id}")
        assert (told["where"], told["state"], told["exit"]) == ("service", "done", 0)
        assert told["summary"]["outcome"] == "ok"
        _, lanes = await page.ask("GET", f"/api/runs/{run.id}/lanes")
        assert len(lanes["lanes"]) == 5
        _, report = await page.ask("GET", f"/api/runs/{run.id}/report")
        assert (report["title"], report["first"]) == ("memlock_storm", "lanes")
        endless = {**wanted, "options": {"rounds": 1_000_000}}
        _, other = await page.ask("POST", "/api/runs", endless)
        _, refused = await page.ask("GET", f"/api/runs/{other['id']}/lanes")
        assert "has not ended" in refused["error"]
        assert await page.ask("DELETE", f"/api/runs/{other['id']}") == (200, {"ok": True})
        second = page.site.runs.of(other["id"]).guest
        assert second is not None
        with trio.fail_after(60):
            await second.ended.wait()
        assert second.outcome == "cancelled"
        page.service.server.world.check()

    with_page(test)


def test_samples_see_each_event_of_slow_ms() -> None:
    """Of Ms that are slower than what is heard from one sample to the next no event is left out:
    the holds that were heard are those that the World has counted."""

    async def test(page: OverAsgi) -> None:
        assert page.site.live is not None
        heard: list[Any] = []
        gaps = 0
        parts = page.site.live.watch()
        await page.ask("POST", "/api/ms", {})
        await anext(parts)
        await trio.sleep(2 * pace_s(1))
        held = page.service.server.world.memlock.statistics().acquisitions
        for _ in range(10):
            _, answer = await page.ask("POST", "/api/ms/1/call", {"op": "alloc 4096"})
            assert answer["result"] != "0"
        with trio.fail_after(5):
            while len([one for one in heard if one[0] == 2]) < 10:
                part = await anext(parts)
                sample = json.loads(part.rpartition(b"data: ")[2])
                heard += sample["burst"]["events"]
                gaps += bool(sample["burst"]["gap"])
        now = page.service.server.world.memlock.statistics().acquisitions
        assert now - held == len([one for one in heard if one[0] == 2]) == 10
        assert gaps <= 1
        await parts.aclose()  # type: ignore[attr-defined]

    with_page(test, platform="plan9/amd64")


def test_a_burst_is_bounded() -> None:
    """However fast the Ms are, a sample hears so many events and says that it left some out."""

    async def test(page: OverAsgi) -> None:
        live = page.site.live
        assert live is not None
        await trio.testing.wait_all_tasks_blocked()
        burst = live._burst
        burst.begin()
        talk = await page.service.join()
        for _ in range(EVENTS_MAX):
            await talk.ask("alloc 4096")
        told = burst.take()
        assert told["gap"]
        assert 0 < len(told["events"]) <= EVENTS_MAX
        assert page.service.recorder._subscribers == ()

    with_page(test, platform="plan9/amd64")


def test_who_does_not_take_samples_is_told() -> None:
    """A browser has room for one sample: others are lost, counted, and told of first."""

    async def main() -> None:
        viewer = Viewer()
        for n in range(5):
            viewer.put(b"%d" % n)
        told = b'event: missed\ndata: {"missed":4}\n\nevent: live\ndata: 4\n\n'
        assert await viewer.next() == told
        viewer.put(b"5")
        assert await viewer.next() == b"event: live\ndata: 5\n\n"

    trio.run(main)


def test_tails_hear_their_level_and_filter() -> None:
    """Each browser is sent what it asked for, however many look on: one subscriber for what is of
    level info, one more for everything, none when all have gone."""

    async def test(page: OverAsgi) -> None:
        tails, recorder = page.site.tails, page.service.recorder
        assert tails is not None
        streams = [
            tails.watch(Filter(("lock.*",)), "debug"),
            tails.watch(Filter(("lock.release,m=2",)), "debug"),
            tails.watch(Filter(), "info"),
            tails.watch(Filter(), "error"),
        ]
        for one in streams:
            await anext(one)
        assert [level for _, level in recorder._subscribers] == ["debug", "info"]
        for name in ("a", "b"):
            await page.ask("POST", "/api/ms", {"name": name})
            await page.ask("POST", f"/api/ms/{1 + (name == 'b')}/call", {"op": "alloc 8"})
        told = [(await anext(one)).decode() for one in streams[:3]]
        heard = [
            [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
            for text in told
        ]
        assert {event["event"] for event in heard[0]} == {"lock.acquire", "lock.release"}
        assert [(event["event"], event["m"]) for event in heard[1]] == [("lock.release", 2)]
        assert {event["event"] for event in heard[2]} == {"mem.grow"}
        for one in streams:
            await one.aclose()  # type: ignore[attr-defined]
        assert recorder._subscribers == ()

    with_page(test, platform="plan9/amd64")


def test_the_world_ends_and_the_page_says_so() -> None:
    """A throw ends the World: samples say it, and calls are refused."""

    async def test(page: OverAsgi) -> None:
        await page.ask("POST", "/api/ms", {})
        await page.ask("POST", "/api/ms", {})
        status, answer = await page.ask("POST", "/api/ms/1/call", {"op": "unlock memlock"})
        assert (status, answer["result"].split()[0]) == (200, "throw")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert page.site.live is not None
        assert page.site.live.sample()["ended"]
        assert (await page.ask("POST", "/api/ms/2/call", {"op": "alloc 4096"}))[0] == 404
        assert (await page.ask("POST", "/api/ms", {}))[0] == 409

    with_page(test, platform="plan9/amd64", faithful=True)


def test_the_document_is_made_from_types() -> None:
    """A body that msgspec takes is one that the published schema takes, and the other way round."""
    from gorun_mem.web.documents import HandMadeSchedule

    _, components = msgspec.json.schema_components(
        [HandMadeSchedule], ref_template="#/$defs/{name}"
    )
    schema = {**components["HandMadeSchedule"], "$defs": components}
    for body, fits in (
        ({"scenario": "x"}, True),
        ({"scenario": "x", "choices": [1, 2], "then": {"strategy": "pct"}}, True),
        ({"scenario": "x", "choices": [-1]}, False),
        ({"scenario": "x", "more": 1}, False),
        ({}, False),
    ):
        assert Draft202012Validator(schema).is_valid(body) is fits
        try:
            msgspec.convert(body, HandMadeSchedule)
        except msgspec.ValidationError:
            assert not fits
        else:
            assert fits
