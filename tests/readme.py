"""README.md by its headings, for the tests that run what it says."""

from __future__ import annotations

import re

from tests import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What stands under a heading, up to the next one that is not below it."""
    found = re.search(rf"^(#+) {re.escape(title)}.*$", TEXT, re.MULTILINE)
    assert found is not None, f"README has no heading {title!r}"
    rest = _without_code(TEXT[found.end() :])
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return TEXT[found.end() :][: following.start() if following else None]


def _without_code(text: str) -> str:
    """The text with what is in code blocks blanked, a character for each."""
    return re.sub(
        r"^```.*?^```$",
        lambda block: re.sub(r"[^\n]", " ", block[0]),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
