"""The page in a real browser: it loads in silence, asks for nothing, and its controls work.

Skipped where playwright or a Chromium is missing; neither is a dependency.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.report.html import page as page_of
from gorun_mem.report.html import read
from tests.analysis.make_logs import heap, one_wait, run_log, storm, toy_log

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH, and no $CHROMIUM")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import io

    folder = tmp_path_factory.mktemp("pages")
    logs = {"storm": run_log(storm)[1], "heap": run_log(heap)[1], "info": toy_log(1, "info")}
    logs["one wait"] = run_log(one_wait)[1]
    logs["cut"] = logs["storm"][: len(logs["storm"]) // 3]
    for name, log in logs.items():
        (folder / f"{name}.html").write_text(page_of(read(io.BytesIO(log))), "utf-8")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield found
        found.close()


class Opened:
    """A page, with what it said and asked for."""

    def __init__(self, browser: Any, file: Path, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("request", lambda request: self.noise.append(request.url))
        self.page.goto(file.as_uri())
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def drawn(self) -> list[int]:
        self.settle()
        found: list[int] = self.page.evaluate(
            "() => [...document.querySelectorAll('canvas')].map(c => "
            "[...c.toDataURL()].reduce((h, x) => (h * 31 + x.charCodeAt(0)) | 0, 7))"
        )
        return found


@pytest.fixture
def open_page(browser: Any, files: Path) -> Iterator[Any]:
    opened: list[Opened] = []

    def open_it(name: str = "storm", **settings: Any) -> Opened:
        opened.append(Opened(browser, files / f"{name}.html", **settings))
        return opened[-1]

    yield open_it
    for one in opened:
        one.context.close()


@pytest.mark.parametrize("name", ["storm", "heap", "info", "cut"])
def test_it_loads_in_silence(open_page: Any, files: Path, name: str) -> None:
    """No message, no error, and no request but for the file itself."""
    one = open_page(name)
    for control in ("#play", "#rewind", "#theme"):
        one.page.click(control)
    assert one.noise == [(files / f"{name}.html").as_uri()]
    assert len(set(one.drawn())) >= 3


def test_the_watch_hears_noise(open_page: Any) -> None:
    """What the silence is measured with does hear a message, an error and a request."""
    one = open_page()
    one.page.evaluate("() => console.log('psst')")
    one.page.evaluate("() => { setTimeout(() => { throw new Error('boom') }) }")
    one.page.evaluate("() => { document.body.append(Object.assign(new Image(), {src: 'x.png'})) }")
    one.page.wait_for_timeout(100)
    assert "psst" in one.noise
    assert any("boom" in said for said in one.noise)
    assert any("img-src" in said or "x.png" in said for said in one.noise)


def test_tables_sort_by_click_and_by_key(open_page: Any) -> None:
    """A figure's column sorts downwards first, by number; Enter turns it round; others keep out."""
    page = open_page().page
    table = page.locator("table.sortable", has=page.locator("caption", has_text="memlock by M"))

    def of(column: int) -> list[float]:
        found = table.locator(f"tbody tr td:nth-child({column + 1})")
        return [float(found.nth(i).get_attribute("data-key")) for i in range(found.count())]

    def in_order(keys: list[float]) -> bool:
        return keys in (sorted(keys), sorted(keys, reverse=True))

    count = table.locator("th").count()
    column = next(i for i in range(1, count) if not in_order(of(i)))
    button, head = table.locator("th button").nth(column), table.locator("th").nth(column)

    def keys() -> list[float]:
        return of(column)

    before = keys()
    button.click()
    assert keys() == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    button.focus()
    page.keyboard.press("Enter")
    assert keys() == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert keys() == sorted(before, reverse=True)
    table.locator("th button").nth(0).focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") is None
    assert "sorted by M" in page.locator("#said").inner_text()


def test_words_of_tables_are_explained_and_sections_fold(open_page: Any) -> None:
    """By keyboard and at a hover; Escape puts it away. A section closes by its head."""
    page = open_page().page
    word = page.locator("th button.known", has_text="contended").first
    tip = page.locator("#tip")
    word.focus()
    assert "had to wait" in tip.inner_text()
    assert word.get_attribute("aria-describedby") == "tip"
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    word.hover()
    assert tip.is_visible()
    section = page.locator("#convoys details")
    section.locator("summary").click()
    assert section.get_attribute("open") is None


def test_the_theme_follows_the_system_until_it_is_chosen(open_page: Any) -> None:
    """Dark where the system is; the button turns it round and says which is on."""
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark, light = open_page(color_scheme="dark"), open_page(color_scheme="light")
    black, white = dark.page.evaluate(background), light.page.evaluate(background)
    assert black != white == "rgb(255, 255, 255)"
    assert dark.page.get_attribute("#theme", "aria-pressed") == "true"
    drawn = light.drawn()
    light.page.focus("#theme")
    light.page.keyboard.press("Enter")
    assert light.page.evaluate(background) == black
    assert light.page.get_attribute("#theme", "aria-pressed") == "true"
    assert all(a != b for a, b in zip(drawn, light.drawn(), strict=True))
    dark.page.click("#theme")
    assert dark.page.evaluate(background) == white


def test_the_moment_moves_by_key(open_page: Any) -> None:
    """Arrows, Home and End move the slider; drawings and words follow."""
    one = open_page()
    page = one.page
    at_end, drawn = page.inner_text("#now"), one.drawn()
    page.focus("#cursor")
    page.keyboard.press("Home")
    one.settle()
    at_start = page.inner_text("#now")
    assert at_start.startswith("at 0 ns")
    assert at_start != at_end
    assert sum(a != b for a, b in zip(drawn, one.drawn(), strict=True)) >= 4
    page.keyboard.press("ArrowRight")
    one.settle()
    assert page.inner_text("#now") != at_start
    assert page.get_attribute("#cursor", "aria-valuetext").startswith("at ")
    page.keyboard.press("End")
    one.settle()
    assert page.inner_text("#now") == at_end
    assert one.drawn() == drawn


def test_play_runs_and_rewind_stops_it(open_page: Any) -> None:
    """Playing moves the slider from the beginning; rewinding goes back there and stays."""
    one = open_page()
    page = one.page
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_function("() => { const v = +cursor.value; return v > 0 && v < 1000 }")
    assert page.inner_text("#play") == "Pause"
    page.click("#rewind")
    assert page.inner_text("#play") == "Play"
    page.wait_for_timeout(150)
    assert page.input_value("#cursor") == "0"


def test_the_window_is_zoomed(open_page: Any) -> None:
    """A smaller window draws a part of the run, everywhere but in the strip."""
    one = open_page()
    whole = one.drawn()
    one.page.select_option("#zoom", "16")
    assert sum(a != b for a, b in zip(whole, one.drawn(), strict=True)) >= len(whole) - 1


@pytest.mark.parametrize(
    ("name", "box"), [("storm", "show-handoffs"), ("heap", "show-growths"), ("storm", "show-frees")]
)
def test_marks_are_shown_and_hidden(open_page: Any, name: str, box: str) -> None:
    """Each box changes one drawing, and changes it back."""
    one = open_page(name)
    before = one.drawn()
    one.page.focus(f"#{box}")
    one.page.keyboard.press("Space")
    changed = one.drawn()
    assert sum(a != b for a, b in zip(before, changed, strict=True)) == 1
    one.page.keyboard.press("Space")
    assert one.drawn() == before


def test_every_control_can_be_reached_by_tab(open_page: Any) -> None:
    """Tab goes through the theme, the time's controls, the boxes and the tables' heads."""
    one = open_page()
    reached = set()
    for _ in range(60):
        one.page.keyboard.press("Tab")
        reached.add(
            one.page.evaluate("() => document.activeElement.id || document.activeElement.tagName")
        )
    assert {"theme", "rewind", "play", "cursor", "zoom", "show-growths", "show-handoffs"} <= reached
    assert "BUTTON" in reached


@pytest.mark.parametrize("width", [360, 1280, 2400])
def test_nothing_runs_over_the_edge(open_page: Any, width: int) -> None:
    """Tables scroll within themselves; the page itself is never wider than the window."""
    one = open_page(viewport={"width": width, "height": 800})
    assert one.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_ms_waiting_falls_where_nobody_waits(browser: Any, files: Path) -> None:
    """At the one moment of waiting the chart says how much of it, and at the end that there is
    none."""
    opened = Opened(browser, files / "one wait.html")
    said = opened.page.locator("#charts figure").first.locator(".legend")
    opened.settle()
    assert said.inner_text().split() == ["shared", "(at", "most", "1", "at", "once)", "0.00"]
    opened.page.locator("#rewind").click()
    opened.settle()
    assert 0.2 < float(said.inner_text().split()[-1]) < 1
    opened.context.close()
