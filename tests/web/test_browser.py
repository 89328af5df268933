"""The page in a real browser: what a newcomer does, two people at once, a schedule by hand.

Console errors, requests that fail and violations of the Content-Security-Policy fail a test.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cli.run_scripts import LOST
from tests.service.service_tools import command, environment
from tests.web.web_tools import PageProcess, page_process, serving

expect.set_options(timeout=20_000)
SHOTS = os.environ.get("GORUN_MEM_SHOTS", "")
"""A folder for screenshots, "" for none."""
WIDTHS = (400, 1280, 2560)
RATIO_TEXT, RATIO_MARK = 4.5, 3.0
"""WCAG 2.1's least contrasts, of text and of what is drawn."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; where it is missing only a machine that is no CI goes without."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium: apt-get install -y chromium")
        pytest.skip("no chromium: apt-get install -y chromium")
    with sync_playwright() as play:
        one = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageProcess]:
    with serving(tmp_path_factory.mktemp("service")) as one:
        yield one


@contextmanager
def opened(browser: Browser, url: str, *, fine: int = 0, **options: Any) -> Iterator[Page]:
    """A tab that nothing may go wrong in.

    Args:
        browser: whose.
        url: what it opens.
        fine: a status of a refused call that is expected, 0 for none.
        options: of the tab.
    """
    wrong: list[str] = []
    context = browser.new_context(**options)
    page = context.new_page()

    def console(message: Any) -> None:
        refused = fine and f"status of {fine}" in message.text
        if message.type in ("error", "warning") and not refused:
            wrong.append(message.text)

    def failed(request: Any) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # a stream that the page itself ended
            wrong.append(f"{request.url}: {request.failure}")

    page.on("console", console)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", failed)
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.blockedURI))"
    )
    page.set_default_timeout(20_000)
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert wrong == []


class Clicks:
    """Counts them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.made = 0

    def on(self, selector: str) -> None:
        self.page.locator(selector).first.click()
        self.made += 1


def until(page: Page, expression: str) -> None:
    """Wait until it is true; `wait_for_function` would need a policy that allows eval."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def shot(page: Page, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


PAINTED = """() => { const c = document.querySelector('canvas[data-loaded]');
const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
const seen = new Set(); for (let i = 0; i < d.length; i += 4)
if (d[i + 3] === 255) seen.add(`${d[i]},${d[i + 1]},${d[i + 2]}`); return [...seen]; }"""


def test_a_newcomers_path(browser: Browser, service: PageProcess) -> None:
    """The page, a scenario started in its World, a convoy seen, a lock taken by hand, the report of
    the scenario, a file of it: each in at most two clicks."""
    with opened(browser, service.url, accept_downloads=True) as page:
        expect(page.get_by_text("Who holds, who waits")).to_be_visible()

        clicks = Clicks(page)
        page.get_by_label("virtual time goes on by").select_option("1e5")  # a click, or two
        clicks.on("text=Start it here")
        expect(page.locator(".guest .chip.holds")).to_have_text("running")
        convoy = page.locator("[data-lock=memlock] .convoy")
        expect(convoy).to_contain_text("in a row behind memlock")
        assert clicks.made <= 2
        shot(page, "newcomer-convoy")
        page.get_by_label("virtual time goes on by").select_option("")
        expect(page.locator(".guest .chip").first).to_have_text("ok")

        clicks = Clicks(page)
        clicks.on("text=Start an M")
        clicks.on("text=Take it")
        expect(page.locator("[data-lock=memlock]")).to_contain_text("holds it")
        assert clicks.made <= 2
        page.locator("text=Give it back").first.click()
        expect(page.locator("[data-lock=memlock]")).to_contain_text("free")
        page.get_by_role("button", name="end M").first.click()
        expect(page.get_by_text("None yet. Start one")).to_be_visible()

        clicks = Clicks(page)
        clicks.on("text=Its report")
        page.wait_for_selector("canvas[data-loaded]")
        expect(page.locator("details", has_text="Convoys").first).to_contain_text("busy periods")
        assert clicks.made <= 2
        painted = page.evaluate(PAINTED)
        hold, wait = "29,127,92", "207,74,31"
        page.click("#rewind")  # what has not happened is veiled
        page.click("#play")
        assert hold in painted
        assert wait in painted

        with page.expect_download() as download:
            page.wait_for_selector("#offline:enabled")
            clicks.on("#offline")
        assert clicks.made <= 2
        report = Path(download.value.path()).read_text()
        assert "memlock_storm" in report
        assert len(report) < 1_500_000


def test_a_scenario_meets_ms_by_hand(browser: Browser, service: PageProcess) -> None:
    """Options are typed, their ranges shown; an M by hand waits with the scenario's Ms; it is
    stopped by hand; what does not fit is refused."""
    with opened(browser, service.url) as page:
        page.click("text=Its options")
        rounds = page.get_by_label("rounds")
        assert rounds.get_attribute("type") == "number"
        expect(page.get_by_text("1 to 1,000,000").first).to_be_visible()
        rounds.fill("100000")
        page.get_by_label("virtual time goes on by").select_option("1e4")
        page.click("text=Start it here")
        expect(page.locator(".guest .chip.holds").first).to_have_text("running")
        page.click("text=Start an M")
        page.locator("article.card >> text=Take it").first.click()
        expect(page.locator("article.card .chip.holds, article.card .chip.waits")).to_be_visible()
        until(
            page, "document.querySelectorAll('[data-lock=memlock] .queue .chip.waits').length > 1"
        )
        page.get_by_label("virtual time goes on by").select_option("")
        expect(page.locator("article.card .chip.holds")).to_be_visible()
        expect(page.locator(".guest .chip.holds").first).to_have_text("running")
        page.locator("text=Give it back").first.click()
        page.locator(".guest >> text=Stop it").click()
        expect(page.locator(".guest .chip").first).to_have_text("cancelled")
        page.get_by_role("button", name="end M").first.click()


def test_two_people_contend_on_one_lock(browser: Browser, service: PageProcess) -> None:
    """Each sees who holds it and who waits, in a browser of their own; given back, it goes over."""
    with opened(browser, service.url) as ann, opened(browser, service.url) as bob:
        ann.click("text=Start an M")
        ann.wait_for_selector("article.card")
        mine = ann.locator("article.card").first
        name = str(mine.get_attribute("aria-label"))
        mine.get_by_text("Take it").click()
        expect(bob.locator("[data-lock=memlock]")).to_contain_text(f"{name} holds it")
        bob.click("text=Start an M")
        until(bob, "document.querySelectorAll('article.card').length === 2")
        his = bob.locator("article.card").nth(1)
        his.get_by_text("Take it").click()
        other = str(his.get_attribute("aria-label"))
        expect(ann.locator("[data-lock=memlock] .queue .chip.waits")).to_have_text(other)
        expect(bob.locator("[data-lock=memlock] .queue .chip.waits")).to_have_text(other)
        expect(his).to_contain_text("waits for memlock")
        mine.get_by_text("Give it back").click()
        expect(ann.locator("[data-lock=memlock]")).to_contain_text(f"{other} holds it")
        his.get_by_text("Give it back").click()
        for page in (ann, bob):
            expect(page.locator("[data-lock=memlock]")).to_contain_text("free")
        for end in (mine, his):
            end.get_by_role("button", name="end M").click()


def test_a_refusal_is_said(browser: Browser, service: PageProcess) -> None:
    """What an M may not do is shown with why, and nothing breaks."""
    with opened(browser, service.url, fine=409) as page:
        page.click("text=Start an M")
        page.locator("text=Give it back").first.click()
        expect(page.locator(".toast")).to_contain_text("nobody holds it")
        page.get_by_role("button", name="end M").first.click()


def test_pace_and_busy_ms(browser: Browser, service: PageProcess) -> None:
    """Busy Ms make lanes; paused, virtual time stands still."""
    with opened(browser, service.url) as page:
        page.click("text=Start 4 busy Ms")
        expect(page.get_by_text("4 busy Ms allocate")).to_be_visible()
        until(page, "document.querySelector('canvas').clientHeight > 80")
        page.click("text=Pause")
        time = "() => fetch('/api/world').then(a => a.json()).then(w => w.statistics.time_ns)"
        until(page, "fetch('/api/world').then(a => a.json()).then(w => w.paused)")
        page.wait_for_timeout(100)
        with opened(browser, service.url) as other:
            expect(other.get_by_role("button", name="Go on")).to_be_visible()
        before = page.evaluate(time)
        page.wait_for_timeout(400)
        assert page.evaluate(time) == before
        page.click("text=Go on")
        page.click("text=End the busy ones")
        expect(page.get_by_text("4 busy Ms allocate")).to_be_hidden()


def test_a_lost_wakeup_by_hand(browser: Browser, service: PageProcess, tmp_path: Path) -> None:
    """`unlock-skips-wake` in under 20 clicks; undo and jumps lead back and forth; the token fails
    the same way under replay-schedule."""
    with opened(browser, f"{service.url}#chair") as page:
        clicks = Clicks(page)
        steps = page.locator("ol.steps li:not(.empty)")
        for m in (1, 1, 1, 1, 1, 2):
            before = steps.count()
            clicks.on(f"button.go.main[data-m='{m}']")
            expect(steps).to_have_count(before + 1)
        clicks.on("text=Undo")
        expect(steps).to_have_count(5)
        for _ in range(6):
            before = steps.count()
            clicks.on("button.go.main[data-m='2']")
            until(page, f"document.querySelectorAll('ol.steps li').length > {before}")
        assert clicks.made < 20
        verdict = page.locator(".verdict").first
        expect(verdict).to_contain_text("Failed: deadlock: acquire futex lock")
        expect(verdict).to_contain_text("lost wakeup")
        token = page.locator("input[aria-label='token of this schedule']").input_value()
        shot(page, "chair-failed")

        steps.nth(6).locator("button").click()
        expect(verdict).to_contain_text("You look at step 7 of 12")
        page.get_by_role("button", name="one step on").click()
        expect(verdict).to_contain_text("You look at step 8 of 12")
        expect(page.locator(".bit.set")).to_contain_text("locked")
        page.click("text=To the end")
        expect(page.locator(".bit.set")).to_contain_text("unlocked")
    done = subprocess.run(
        command("replay-schedule", token, "--json"), env=environment(tmp_path),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["failure"]["kind"] == "deadlock"


def test_a_failure_opens_at_the_step_that_matters(
    browser: Browser, service: PageProcess, tmp_path: Path
) -> None:
    """A search's solution, with the nearest schedule that passes; and a token given to `view`."""
    with opened(browser, f"{service.url}#chair") as page:
        page.click("text=Show a solution")
        expect(page.locator(".verdict").first).to_contain_text("You look at step 11 of 12")
        beside = page.locator("section[aria-label='the nearest schedule that passes']")
        expect(beside).to_contain_text("had M")
        expect(beside.locator("tr.matters")).to_be_visible()
        token = page.locator("input[aria-label='token of this schedule']").input_value()
        page.click("text=See it")
        expect(page.locator(".verdict").first).to_contain_text("ended well")
        page.click("text=Back to the one that fails")
        expect(page.locator(".verdict").first).to_contain_text("Failed: deadlock")
        page.get_by_role("button", name="16. ab ba").click()
        expect(beside).to_be_hidden()
        steps = page.locator("ol.steps li:not(.empty)")
        for made, m in enumerate((1, 1, 2, 2), 1):
            page.click(f"button.go.main[data-m='{m}']")
            expect(steps).to_have_count(made)
        expect(page.locator("svg.graph")).to_have_attribute(
            "aria-label", "M1 waits for b, which M2 holds; M2 waits for a, which M1 holds"
        )
        page.click("text=What would have passed?")
        expect(beside).to_contain_text("It ends well, but has this too: lock.order")
        page.get_by_role("button", name="Try the fixed twin").click()
        page.click("text=Show a solution")
        expect(page.get_by_text("exhausted")).to_be_visible()
    with (
        page_process(tmp_path, "view", token, "--no-open") as viewed,
        opened(browser, viewed.url) as page,
    ):
        expect(page.locator(".verdict").first).to_contain_text("You look at step 11 of 12")
        expect(
            page.locator("section[aria-label='the nearest schedule that passes']")
        ).to_be_visible()
        expect(page.locator("nav")).not_to_contain_text("Live")


def test_a_recording_and_its_prediction(browser: Browser, tmp_path: Path) -> None:
    """Pages over time, what they are for, a row for each release with its interval: the figures of
    `predict --json`."""
    said = subprocess.run(
        command("predict", "maps-go1.24.11", "--json"), env=environment(tmp_path),
        capture_output=True, check=True,
    )  # fmt: skip
    rows = json.loads(said.stdout)["programs"][0]["releases"]
    with (
        page_process(tmp_path, "view", "maps-go1.24.11", "--no-open") as viewed,
        opened(browser, viewed.url) as page,
    ):
        page.set_default_timeout(60_000)
        page.wait_for_selector("#part-releases")
        cells = page.locator("#part-releases tbody tr td:nth-child(3)").all_inner_texts()
        assert [cell.replace(",", "") for cell in cells] == [str(row["pages"]) for row in rows]
        names = page.evaluate(
            "() => [...document.querySelectorAll('#part-releases svg')].map(e => "
            "e.getAttribute('aria-label'))"
        )
        assert names[0] == (
            f"{rows[0]['pages']} pages, between {rows[0]['low']} and {rows[0]['high']}"
        )
        expect(page.locator("#part-pages")).to_contain_text("192 at the end, 37 at the start")
        expect(page.locator("#part-pages .chart canvas")).to_have_attribute("data-drawn", "1")
        page.wait_for_selector("#part-map")
        expect(page.locator("#part-pages")).to_be_visible()
        shot(page, "recording-1280-light")


def test_kit_objects_are_shown_with_values_holders_and_waiters(
    browser: Browser, service: PageProcess
) -> None:
    """A lock's holder and who waits for it, a condition's sleepers, a cell's value."""
    with opened(browser, f"{service.url}#chair/lessons/wake_one") as page:
        page.click("text=Show a solution")
        expect(page.locator(".verdict.bad")).to_be_visible()
        shared = page.locator("dl.figures > div")
        expect(shared.filter(has_text="waiters (Cond)")).to_contain_text("asleep")
        expect(shared.filter(has_text="ready (Cell)")).to_contain_text("True")
        page.get_by_role("button", name="16. ab ba").click()
        for made, m in enumerate((1, 1, 2, 2)):
            expect(page.locator("ol.steps li:not(.empty)")).to_have_count(made)
            page.click(f"button.go.main[data-m='{m}']")
        a = shared.filter(has_text="a (Lock)")
        expect(a.locator(".chip.holds")).to_have_text("M1")
        expect(a.locator(".chip.waits")).to_have_text("M2 acquire")


SEATS = """
import pytest
import trio
from gorun_mem.sync import Word


@pytest.mark.explore(budget=200)
async def test_last_seat():
    free = ["1A"]

    async def book():
        if free:
            await trio.lowlevel.checkpoint()
            free.pop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(book)
        nursery.start_soon(book)


@pytest.mark.explore(budget=200)
async def test_racy(world):
    n = Word("n", 0)

    async def add(m):
        seen = await n.load()
        await n.store(seen + 1)

    async with world.open_ms() as ms:
        ms.start_soon(add)
        ms.start_soon(add)
    assert n.value == 2
"""


@pytest.mark.parametrize("name", ["test_last_seat", "test_racy"])
def test_a_token_of_pytests_opens_in_the_chair(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Where it is said that the test may run: at the step that matters, with the test's lines, the
    nearest schedule that passes beside it; and it can be gone on with by hand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_seats.py").write_text(SEATS)
    test = f"test_seats.py::{name}"
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    report = subprocess.run(call, capture_output=True, text=True, check=False).stdout
    token = report.partition("--explore-token ")[2].split()[0]
    refused = subprocess.run(
        command("view", token, "--no-open"), capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert f"--code {test}" in refused.stderr
    with (
        page_process(tmp_path, "view", token, "--code", test, "--no-open") as viewed,
        opened(browser, viewed.url) as page,
    ):
        expect(page.locator("h1").last).to_have_text(test, timeout=90_000)
        expect(page.locator(".verdict").first).to_contain_text("Failed: ")
        expect(page.locator(".verdict").first).to_contain_text("You look at step ")
        expect(page.locator(".cards .source").first).to_contain_text("await")
        beside = page.locator("section[aria-label='the nearest schedule that passes']")
        expect(beside).to_contain_text("had M")
        made = page.locator("input[aria-label='token of this schedule']").input_value()
        again = subprocess.run(
            command("replay-schedule", made, "--code", test),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert again.returncode == 1, again.stderr
        assert "FAILED: " in again.stdout
        call[-1:] = ["--explore-token", made, test]
        assert subprocess.run(call, capture_output=True, check=False).returncode == 1
        beside.get_by_role("button", name="See it").click()
        expect(page.locator(".verdict").first).to_contain_text("ended well")
        page.click("text=Begin anew")
        page.locator("button.go.main").first.click()
        expect(page.locator("ol.steps li:not(.empty)")).to_have_count(1)


def test_a_failure_of_ones_own_in_its_log_and_in_the_chair(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of a search's failure opens on what mattered, beside the nearest schedule that
    passes, and its link leads into the chair; where the code may not run, it is said how to let
    it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lost.py").write_text(LOST)
    explored = command("explore", "lost.py", "--log", "x.jsonl", "--save", "x.schedule")
    assert subprocess.run(explored, capture_output=True, check=False).returncode == 1
    refused = subprocess.run(
        command("view", "x.schedule", "--no-open"), capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "--code lost.py" in refused.stderr
    with (
        page_process(tmp_path, "view", "x.jsonl", "--no-open") as viewed,
        opened(browser, viewed.url) as page,
    ):
        expect(page.locator(".contents")).to_be_visible(timeout=30_000)
        expect(page.locator(".verdict").first).to_contain_text("--code lost.py")
        expect(page.locator("#part-failure-1")).to_have_count(0)
    with (
        page_process(tmp_path, "view", "x.jsonl", "--code", "lost.py", "--no-open") as viewed,
        opened(browser, viewed.url) as page,
    ):
        failure = page.locator("#part-failure-1")
        expect(failure).to_contain_text("What matters", timeout=30_000)
        expect(failure).to_contain_text("The nearest schedule that passes")
        expect(failure.locator("tr[aria-current='step']").first).to_be_visible()
        page.click("text=Step through what failed")
        expect(page.locator("h1").last).to_have_text("lost.py", timeout=30_000)
        expect(page.locator(".verdict").first).to_contain_text("Failed: ")


def test_terms_are_explained(browser: Browser, service: PageProcess) -> None:
    """At a hover, by keyboard and at a tap; Escape puts it away."""
    with opened(browser, service.url, has_touch=True) as page:
        word = page.locator("[data-term=break]").first
        tip = page.locator("#tip")
        word.hover()
        expect(tip).to_contain_text("end of the memory")
        page.mouse.move(5, 400)
        expect(tip).to_be_hidden()
        word.focus()
        expect(tip).to_be_visible()
        expect(word).to_have_attribute("aria-describedby", "tip")
        page.keyboard.press("Escape")
        expect(tip).to_be_hidden()
        page.locator("#main").focus()
        page.locator("[data-term=page]").first.tap()
        expect(tip).to_contain_text("64 KiB")


def test_a_page_with_a_token_asks_for_it(browser: Browser, tmp_path: Path) -> None:
    """Once; then everything works, streams too."""
    file = tmp_path / "token"
    file.write_text("s3cret")
    file.chmod(0o600)
    with (
        serving(tmp_path, "--token-file", str(file)) as service,
        opened(browser, service.url, fine=401) as page,
    ):
        page.get_by_label("token").fill("s3cret")
        page.get_by_role("button", name="Go on").click()
        page.click("text=Start an M")
        page.locator("text=Take it").first.click()
        expect(page.locator("[data-lock=memlock]")).to_contain_text("holds it")


VIEWS = {
    "live": ["text=Start 4 busy Ms", "text=Start an M", "text=Take it"],
    "runs": ["text=Start it"],
    "chair": ["text=Show a solution"],
}
READY = {"live": "article .chip.holds", "runs": ".report details", "chair": ".verdict.bad"}
NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, canvas, summary')]
  .filter(e => e.checkVisibility())
  .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
  .map(e => e.outerHTML)"""
UNREACHED = """() => [...document.querySelectorAll('[onclick], canvas, .scroll, .log')]
  .filter(e => e.checkVisibility() && e.tabIndex < 0 && e.getAttribute('role') !== 'img')
  .map(e => e.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_at_each_width(
    browser: Browser, service: PageProcess, view: str, scheme: str
) -> None:
    """Nothing is wider than the window, everything that can be used has a name and is reached by
    keyboard."""
    for width in WIDTHS:
        size = {"width": width, "height": 900}
        where = f"{service.url}#{view}"
        with opened(browser, where, viewport=size, color_scheme=scheme) as page:
            if view == "runs":
                page.wait_for_selector("text=Run a scenario")
                # Folded where a run is shown and there is little room.
                if not page.get_by_role("button", name="Start it").is_visible():
                    page.click("summary >> text=Run a scenario")
            for selector in VIEWS[view]:
                page.locator(selector).first.click()
            page.wait_for_selector(READY[view])
            page.wait_for_timeout(400)
            shot(page, f"{view}-{width}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(NAMELESS) == []
            assert page.evaluate(UNREACHED) == []
            if view == "live":
                page.locator("text=Give it back").first.click()
                page.click("text=End the busy ones")
                page.get_by_role("button", name="end M").first.click()


def test_the_keyboard_is_enough(browser: Browser, service: PageProcess) -> None:
    """From the skip link on, by Tab and Enter alone: an M is started, takes memlock and gives it
    back; lanes move by arrow keys."""
    with opened(browser, service.url) as page:
        page.wait_for_selector("text=Start an M")

        def press(name: str) -> None:
            for _ in range(80):
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.textContent.trim()") == name:
                    page.keyboard.press("Enter")
                    return
            raise AssertionError(f"{name} is not reached by Tab")

        press("Skip to the content")
        press("Start an M")
        page.wait_for_selector("article.card")
        press("Take it")
        expect(page.locator("[data-lock=memlock]")).to_contain_text("holds it")
        press("Give it back")
        expect(page.locator("[data-lock=memlock]")).to_contain_text("free")
        page.get_by_role("button", name="end M").first.click()


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(browser: Browser, service: PageProcess, scheme: Any) -> None:
    """Text against what it stands on, and what is drawn against the panel: WCAG 2.1 AA."""
    text = [
        ("ink", "paper"), ("ink", "panel"), ("faint", "paper"), ("faint", "panel"),
        ("faint", "sunk"), ("accent", "panel"), ("accent", "sunk"), ("on-accent", "accent"),
        ("ink", "bad-soft"), ("ink", "good-soft"), ("bad", "panel"), ("hold", "panel"),
        ("faint", "good-soft"), ("faint", "bad-soft"),
    ]  # fmt: skip
    drawn = [("wait", "panel"), ("live", "panel"), ("mark", "panel")]
    with opened(browser, service.url, color_scheme=scheme) as page:
        page.wait_for_selector("html[data-theme]")
        value = (
            "name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)"
            ".trim()"
        )
        names = {name for pair in text + drawn for name in pair}
        colors = {name: page.evaluate(value, name) for name in names}
    for pairs, least in ((text, RATIO_TEXT), (drawn, RATIO_MARK)):
        for a, b in pairs:
            assert contrast(colors[a], colors[b]) >= least, (a, b, colors[a], colors[b])
