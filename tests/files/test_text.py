"""Control characters from elsewhere reach no terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.files.text import CleanText, json_text, printable, printable_json

DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ATTACKS = (
    "\x1b]0;title\x07", "\x1b]52;c;Y2xpcA==\x07", "\x1b[2J\x1b[H", "\x9b31m", "a\rb", "\x1b[6n",
    "\u202eexe.txt", "\x1bP+q\x1b\\", "\x7f", "\x00",
)  # fmt: skip


def written(text: str, *, bars: bool = False) -> str:
    raw = io.BytesIO()
    stream = CleanText(raw, "utf-8", "backslashreplace", newline="")
    stream.bars = bars
    assert stream.write(text) == len(text)
    stream.flush()
    return raw.getvalue().decode()


@given(st.text())
def test_text_is_printable(text: str) -> None:
    """Whatever it was; text without control characters is as it was."""
    assert not DANGEROUS.search(printable(text))
    if not DANGEROUS.search(text) and not re.search("[\u200e\u200f]", text):
        assert printable(text) == text


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_json_stays_json(value: object) -> None:
    """A document written for a terminal says the same; a log's line says it with the controls
    escaped."""
    for plain in (True, False):
        line = json.dumps(value, ensure_ascii=plain)
        shown = json_text(line)
        assert not DANGEROUS.search(shown)
        assert json.loads(shown) == json.loads(line)
        try:
            data = line.encode()
        except UnicodeEncodeError:
            continue
        clean = json.loads(printable_json(data))
        assert not DANGEROUS.search("".join(strings_of(clean)))
        assert strings_of(clean) == [printable(one) for one in strings_of(value)]


def strings_of(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in strings_of(one)]
    return []


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("bars", [False, True])
def test_a_stream_obeys_nobody(attack: str, bars: bool) -> None:
    """No sequence but colours passes to stdout, and none but what draws bars to stderr."""
    got = written(f"x{attack}y\n", bars=bars)
    rest = re.sub("\x1b\\[[0-9;]*m", "", got)
    if bars:
        rest = re.sub("\x1b\\[[0-9]*[AK]|\x1b\\[\\?25[lh]|\r", "", rest)
    assert not DANGEROUS.search(rest)
    assert got.endswith("y\n")
    assert written("\x1b[1;31mred\x1b[0m tab\t\n") == "\x1b[1;31mred\x1b[0m tab\t\n"
    assert written("\x1b[2K\r\x1b[1A", bars=True) == "\x1b[2K\r\x1b[1A"


def test_a_log_full_of_attacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`report`, `diff` and `query` of a log whose every word is an escape sequence write none."""
    from gorun_mem.cli import main
    from tests.analysis.make_logs import run_log, storm

    lines = []
    for line in run_log(storm)[1].splitlines():
        event = json.loads(line)
        for name in ("scenario", "site", "purpose", "lock", "mutex"):
            if name in event:
                event[name] = "".join(ATTACKS) + event[name]
        if event["event"] == "run.start":
            event["options"] = {ATTACKS[0]: ATTACKS[1]}
        lines.append(json.dumps(event))
    log = tmp_path / "evil.jsonl"
    log.write_text("\n".join(lines) + "\n")
    for verb in (
        ["report", str(log)], ["report", str(log), "--json"], ["diff", str(log), str(log)],
        ["query", str(log), "SELECT DISTINCT site, scenario FROM events"],
    ):  # fmt: skip
        main(verb)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert not DANGEROUS.search(out.replace("\x1b[1m", "").replace("\x1b[0m", "")), verb
        assert not DANGEROUS.search(err)
