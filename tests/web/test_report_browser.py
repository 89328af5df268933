"""The offline file in a real browser: it loads in silence, asks for nothing, its controls work.

Reports and comparisons are the page's own code, so what is seen here holds for both.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gorun_mem.report.comparison import document as comparison
from gorun_mem.report.page import document, read
from gorun_mem.report.terms import TERMS
from gorun_mem.web import offline
from tests.analysis.make_logs import heap, one_wait, run_log, storm, toy_log
from tests.report.test_comparison import compared
from tests.web.test_browser import NAMELESS, UNREACHED, WIDTHS, browser, opened, shot
from tests.web.test_offline import EVIL, evil_log

assert browser

AGAIN = "gorun-mem run storm --seed 0"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    logs = {"storm": run_log(storm)[1], "heap": run_log(heap)[1], "info": toy_log(1, "info")}
    logs["one wait"] = run_log(one_wait)[1]
    logs["cut"] = logs["storm"][: len(logs["storm"]) // 3]
    logs["failed"] = (
        logs["storm"]
        .replace(b'"outcome":"ok"', b'"outcome":"deadlock","stuck":["M1 waits for memlock"]')
        .replace(b'"token":"timing:0"', b'"token":"AgEFA"')
    )
    logs["evil"] = evil_log()
    for name, log in logs.items():
        made = document(read(io.BytesIO(log)), again=AGAIN)
        (folder / f"{name}.html").write_text(offline.page(made), "utf-8")
    made = comparison(compared([[1000.0, 2000.0, 3000.0], [1500.0, 3000.0, 90000.0]]), ["two"])
    (folder / "compared.html").write_text(offline.page(made), "utf-8")
    return folder


@contextmanager
def file_in(browser: Browser, files: Path, name: str = "storm", **options: Any) -> Iterator[Page]:
    """A tab with a file, in which nothing may go wrong and nothing but the file is asked for."""
    address = (files / f"{name}.html").as_uri()
    with opened(browser, "about:blank", **options) as page:
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(address)
        drawn(page)
        yield page
        assert asked == [address]
        assert said == []


def drawn(page: Page) -> list[int]:
    """A number of each drawing, once what was asked for is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    found: list[int] = page.evaluate(
        "() => [...document.querySelectorAll('canvas')].map(c => "
        "[...c.toDataURL()].reduce((h, x) => (h * 31 + x.charCodeAt(0)) | 0, 7))"
    )
    return found


def differ(a: list[int], b: list[int]) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", ["storm", "heap", "info", "cut", "failed", "evil"])
def test_it_loads_in_silence(browser: Browser, files: Path, name: str) -> None:
    """No message, no error, no violation of the policy, no request but for the file itself."""
    with file_in(browser, files, name) as page:
        for control in ("#play", "#rewind", "#theme", "#zoom-in", "#folds"):
            page.click(control)
        assert len(set(drawn(page))) >= 3


def test_a_report_opens_on_what_matters(browser: Browser, files: Path) -> None:
    """Lanes of a run that waited, the map of one that did not, the steps of a failure."""
    for name, first in (("storm", "part-lanes"), ("heap", "part-map"), ("failed", "part-steps")):
        with file_in(browser, files, name) as page:
            ids = page.evaluate(
                "() => [...document.querySelectorAll('[id^=part-]')].map(e => e.id)"
            )
            assert ids[0] == first
            assert page.locator("details.section[open]").count() == 3
            folded = page.evaluate("() => document.querySelector('details.section').id")
            assert folded == ("part-memory" if name == "heap" else "part-contention")
            if name == "failed":
                expect(page.locator(".verdict")).to_contain_text("M1 waits for memlock")
                expect(page.locator(".verdict")).to_contain_text("gorun-mem view AgEFA")
                assert page.locator("#part-steps .log p").count() == 60


def test_hostile_names_are_shown_as_they_are(browser: Browser, files: Path) -> None:
    """The text of an attack stands there as text."""
    with file_in(browser, files, "evil") as page:
        expect(page.locator("h1")).to_contain_text(EVIL[:20])
        assert page.locator("main img, main script").count() == 0


def test_tables_sort_by_click_and_by_key_and_are_copied(browser: Browser, files: Path) -> None:
    """A figure's column sorts downwards first, by number; Enter turns it round; what is copied is
    the table as it stands."""
    grant = {"permissions": ["clipboard-read", "clipboard-write"]}
    with file_in(browser, files, **grant) as page:  # type: ignore[arg-type]
        table = page.locator("#part-contention .table").nth(1)
        expect(table.locator(".head p")).to_have_text("memlock by M")

        def acquired() -> list[int]:
            return [int(x) for x in table.locator("tbody td:nth-child(2)").all_inner_texts()]

        button, head = table.locator("th button").nth(1), table.locator("th").nth(1)
        before = acquired()
        button.click()
        assert acquired() == sorted(before, reverse=True)
        assert head.get_attribute("aria-sort") == "descending"
        button.focus()
        page.keyboard.press("Enter")
        assert acquired() == sorted(before)
        assert head.get_attribute("aria-sort") == "ascending"
        table.locator("th button").nth(0).focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") is None
        names = table.locator("tbody td:nth-child(1)").all_inner_texts()
        table.get_by_role("button", name="copy the table").click()
        expect(table.get_by_text("Copied")).to_be_visible()
        text = page.evaluate("navigator.clipboard.readText()")
        lines = [line.split("\t") for line in text.splitlines()]
        assert lines[0] == table.locator("th").all_inner_texts()
        assert [line[0] for line in lines[1:]] == names


def test_words_are_explained_and_sections_fold(browser: Browser, files: Path) -> None:
    """At a hover, by keyboard and at a tap, with the words of `explain`; Escape puts it away. A
    section closes by its head, all of them by one button."""
    with file_in(browser, files, has_touch=True) as page:
        tip = page.locator("#tip")
        head = page.locator("th button.known", has_text="contended").first
        head.focus()
        expect(tip).to_have_text(TERMS["contended"])
        assert head.get_attribute("aria-describedby") == "tip"
        page.keyboard.press("Escape")
        expect(tip).to_be_hidden()
        word = page.locator(".legend button.term", has_text="convoy").first
        word.hover()
        expect(tip).to_have_text(TERMS["convoy"])
        page.mouse.move(2, 2)
        expect(tip).to_be_hidden()
        page.locator("dt button.term", has_text="bypasses").first.tap()
        expect(tip).to_have_text(TERMS["bypass"])
        section = page.locator("#part-convoys")
        section.locator("summary").click()
        assert section.get_attribute("open") is None
        page.click("#folds")
        assert page.locator("details.section:not([open])").count() == 0
        page.click("#folds")
        assert page.locator("details.section[open]").count() == 0
        page.locator("nav.contents >> text=Growths").click()
        assert page.locator("#part-growths").get_attribute("open") is not None


@pytest.mark.parametrize("name", ["storm", "heap"])
def test_every_head_of_a_table_has_its_definition(browser: Browser, files: Path, name: str) -> None:
    """Whatever a column is called."""
    with file_in(browser, files, name) as page:
        heads = page.evaluate(
            "() => [...document.querySelectorAll('th button')].map(e => [e.textContent, "
            "e.dataset.term || ''])"
        )
        assert len(heads) > 40
        assert {text for text, term in heads if term not in TERMS} <= {"name", "value"}


@pytest.mark.parametrize("name", ["storm", "heap", "one wait"])
def test_charts_agree_with_figures(browser: Browser, files: Path, name: str) -> None:
    """At the end a chart says what the report's sections say; its axis ends at the greatest."""
    with file_in(browser, files, name) as page:
        doc = page.evaluate("() => JSON.parse(document.getElementById('data').textContent)")
        values = dict(
            page.evaluate(
                "() => [...document.querySelectorAll('.chart .legend span')].map(e => "
                "[e.firstChild.nextSibling.textContent.trim() + '|' + "
                "e.closest('.chart').querySelector('h3').textContent, "
                "e.querySelector('b').textContent])"
            )
        )
        most = dict(
            page.evaluate(
                "() => [...document.querySelectorAll('.chart')].map(e => "
                "[e.querySelector('h3').textContent, e.querySelector('canvas').dataset.most])"
            )
        )
        metrics, lines = dict(doc["metrics"]), doc["memory"]
        if lines["top"]:
            for label, line in (("memory", "top"), ("break", "bloc")):
                said = bytes_of(values[f"{label}|Memory and break"])
                assert said == pytest.approx(lines[line][-1][1], rel=1e-3)
            assert lines["bloc"][-1][1] == metrics.get("bloc", lines["bloc"][0][1])
            peak = max(value for _, value in lines["live"])
            assert peak == metrics["peak_live_bytes"]
            if peak:
                greatest = max(peak, metrics["free_bytes_max"])
                said = bytes_of(most["Live and free bytes"])
                assert said == pytest.approx(greatest, rel=1e-3)
        for queue in doc["queues"]:
            assert sum(queue["waits"]) == metrics[f"lock.{queue['name']}.wait_ns"]


UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def bytes_of(text: str) -> float:
    number, unit = text.replace(",", "").split()
    return float(number) * UNITS[unit]


def test_the_theme_follows_the_system_until_it_is_chosen(browser: Browser, files: Path) -> None:
    """Dark where the system is; the button goes through system, light and dark."""
    background = "() => getComputedStyle(document.body).backgroundColor"
    with file_in(browser, files, color_scheme="dark") as page:
        black = page.evaluate(background)
        page.click("#theme")
        white = page.evaluate(background)
        assert black != white
        expect(page.locator("#theme")).to_have_text("Theme: light")
        bright = drawn(page)
        page.click("#theme")
        assert page.evaluate(background) == black
        assert differ(bright, drawn(page)) == len(bright)


def test_the_moment_moves_by_key(browser: Browser, files: Path) -> None:
    """Arrows, Home and End move the slider; drawings and words follow."""
    with file_in(browser, files) as page:
        at_end, before = page.inner_text("#now"), drawn(page)
        page.focus("#cursor")
        page.keyboard.press("Home")
        start = drawn(page)
        assert page.inner_text("#now").startswith("at 0 ns")
        assert differ(before, start) >= 4
        page.keyboard.press("ArrowRight")
        drawn(page)
        assert page.inner_text("#now") != at_end
        assert str(page.get_attribute("#cursor", "aria-valuetext")).startswith("at ")
        page.keyboard.press("End")
        drawn(page)
        assert page.inner_text("#now") == at_end
        assert drawn(page) == before


def test_play_runs_and_rewind_stops_it(browser: Browser, files: Path) -> None:
    """Playing moves the slider from the beginning; rewinding goes back there and stays."""
    with file_in(browser, files) as page:
        page.focus("#play")
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        assert 0 < int(page.input_value("#cursor")) < 1000
        assert page.inner_text("#play") == "Pause"
        page.click("#rewind")
        assert page.inner_text("#play") == "Play"
        page.wait_for_timeout(150)
        assert page.input_value("#cursor") == "0"


def test_the_window_is_zoomed(browser: Browser, files: Path) -> None:
    """A smaller window draws a part of the run, everywhere but in the strip; All shows it all."""
    with file_in(browser, files) as page:
        whole = drawn(page)
        page.click("#zoom-in")
        assert differ(whole, drawn(page)) >= len(whole) - 1
        page.click("#zoom-all")
        assert drawn(page) == whole


@pytest.mark.parametrize(
    ("name", "box"), [("storm", "handoffs"), ("heap", "growths"), ("storm", "frees")]
)
def test_marks_are_shown_and_hidden(browser: Browser, files: Path, name: str, box: str) -> None:
    """Each box changes one drawing, and changes it back."""
    with file_in(browser, files, name) as page:
        before = drawn(page)
        page.locator("label.check", has_text=box).locator("input").focus()
        page.keyboard.press("Space")
        assert differ(before, drawn(page)) == 1
        page.keyboard.press("Space")
        assert drawn(page) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width(browser: Browser, files: Path, width: int, scheme: str) -> None:
    """Tables scroll within themselves and say so; the page itself is never wider than the window;
    what can be used has a name and is reached by keyboard."""
    for name in ("storm", "heap", "failed", "compared"):
        size = {"width": width, "height": 900}
        with file_in(browser, files, name, viewport=size, color_scheme=scheme) as page:
            shot(page, f"report-{name}-{width}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(NAMELESS) == []
            assert page.evaluate(UNREACHED) == []
            wide = page.evaluate(
                "() => [...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility() "
                "&& e.scrollWidth > e.clientWidth + 4).map(e => "
                "getComputedStyle(e.nextElementSibling).display)"
            )
            assert set(wide) <= {"block"}
            if width == WIDTHS[0] and name != "compared":
                assert wide


def test_ms_waiting_falls_where_nobody_waits(browser: Browser, files: Path) -> None:
    """At the one moment of waiting the chart says how much of it, and at the end that there is
    none."""
    with file_in(browser, files, "one wait") as page:
        said = page.locator(".chart").first.locator(".legend")
        assert said.inner_text().split() == ["shared", "(at", "most", "1", "at", "once)", "0.00"]
        page.locator("#rewind").click()
        drawn(page)
        assert 0.2 < float(said.inner_text().split()[-1]) < 1


def test_a_comparison_is_shown(browser: Browser, files: Path) -> None:
    """A dot for each run, names as text, figures in words."""
    with file_in(browser, files, "compared") as page:
        assert page.locator("svg.box").count() == 2
        assert page.locator("svg.box circle").count() == 6
        expect(page.locator("table")).to_contain_text("<script>alert(1)</script>")
        expect(page.locator("table")).to_contain_text("+50.0% (+25.0% to +75.0%)")
        expect(page.locator("table")).to_contain_text("1.000 us to 90.000 us, log scale")
        expect(page.locator("main")).to_contain_text("gorun-mem run x --seed 3")
