"""The page as one file: one script of the page's own modules, safe whatever a document says."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.report.page import document, read
from gorun_mem.web import offline
from tests.analysis.make_logs import run_log, storm, toy_log

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\u2028</body>"
MODULES = sorted(path.stem for path in offline.STATIC.glob("*.js"))


class Tags(HTMLParser):
    """Elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def data_of(text: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


@pytest.fixture(scope="module")
def stormy() -> str:
    return offline.page(document(read(io.BytesIO(run_log(storm)[1]))))


def evil_log() -> bytes:
    """A log in which every word that a user or a stranger can choose is an attack."""
    lines = []
    for line in toy_log(1).splitlines():
        event = json.loads(line)
        for name in ("scenario", "site", "purpose", "lock", "mutex"):
            if name in event:
                event[name] = EVIL + event[name]
        if event["event"] == "run.start":
            event["options"] = {EVIL: EVIL}
        if event["event"] == "run.end":
            event |= {"outcome": "failed", "error": EVIL, "results": {EVIL: EVIL}}
        lines.append(json.dumps(event).encode())
    return b"\n".join(lines) + b"\n"


def test_no_word_of_a_log_becomes_markup() -> None:
    """Names full of markup add no element: the file has those of one with harmless names."""
    text = offline.page(document(read(io.BytesIO(evil_log())), again=EVIL))
    tags = Tags(text).seen
    scripts = [attrs for tag, attrs in tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {"type": "module"}]
    assert not [tag for tag, _ in tags if tag == "img"]
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    data = data_of(text)
    assert data["queues"][0]["name"].startswith(EVIL)
    assert data["again"] == EVIL
    assert text.count("</body>") == 1


def test_the_file_asks_for_nothing(stormy: str) -> None:
    """No element names a place to load from, and the policy forbids what a script might ask for."""
    for _, attrs in Tags(stormy).seen:
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith(("#", "data:,"))
    bare = stormy.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    for sign in ("http:", "https:", "url(", "@import", "fetch(", "XMLHttpRequest", "EventSource"):
        assert sign not in bare


def test_only_the_files_own_script_and_style_may_be_used(stormy: str) -> None:
    """The policy names each by its hash; nothing inline is allowed besides."""

    def hash_of(opening: str, closing: str) -> str:
        own = stormy.partition(opening)[2].partition(closing)[0]
        return f"'sha256-{b64encode(sha256(own.encode()).digest()).decode()}'"

    policy = stormy.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts == {
        "default-src": "'none'",
        "script-src": hash_of('<script type="module">', "</script>"),
        "style-src": hash_of("<style>", "</style>"),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_and_export_in_one_way(name: str) -> None:
    """By name, one statement a line, from modules that export those names."""
    text = (offline.STATIC / f"{name}.js").read_text("utf-8")
    assert len(re.findall(r"^\s*import\b", text, re.M)) == len(offline.IMPORT.findall(text))
    assert len(re.findall(r"^\s*export\b", text, re.M)) == len(offline.EXPORT.findall(text))
    assert "import(" not in text
    assert "</script" not in text
    for names, other in offline.IMPORT.findall(text):
        exported = offline.EXPORT.findall((offline.STATIC / f"{other}.js").read_text("utf-8"))
        assert set(names.split(", ")) <= set(exported)


def test_the_bundle_is_the_modules(stormy: str) -> None:
    """Each line of every module that is used is in the script, but for imports and the word export;
    what only a service can answer is not."""
    used = re.findall(r"^const \$(\w+) = ", offline.bundle(offline.ENTRY), re.M)
    assert {"report", "lanes", "charts", "addresses", "dom", "offline"} <= set(used)
    assert not {"api", "live", "runs", "chair", "main"} & set(used)
    for name in used:
        for line in (offline.STATIC / f"{name}.js").read_text("utf-8").splitlines():
            if not line.startswith("import "):
                assert line.removeprefix("export ") in stormy


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    """A target that is a folder is refused by the system, and no part of a page stays behind."""
    target = tmp_path / "folder"
    target.mkdir()
    (target / "keep").touch()
    with pytest.raises(OSError, match=r"folder|directory"):
        offline.write(document(read(io.BytesIO(toy_log(1)))), target)
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_it_needs_nothing_that_the_extra_brings() -> None:
    """A report is written where starlette and hypercorn are not installed."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(('starlette', 'hypercorn', 'trio'));"
        "from gorun_mem.web import offline; print(len(offline.bundle('offline')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 10_000
