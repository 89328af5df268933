"""What the README says of the page is run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.service.service_tools import command, environment
from tests.web.web_tools import page_process


def commands() -> list[list[str]]:
    """The lines of the section's block, without their remarks."""
    section = (ROOT / "README.md").read_text().split("\n## The page\n")[1].split("\n## ")[0]
    block = section.split("```sh\n")[1].split("```")[0]
    return [shlex.split(line.partition(" #")[0])[1:] for line in block.splitlines()]


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def test_each_command_serves_the_page(tmp_path: Path) -> None:
    """A service, the newest log and a token: each opens on what the README says."""
    subprocess.run(
        command("run", "memlock_storm", "--set", "rounds=5"), env=environment(tmp_path),
        capture_output=True, check=True,
    )  # fmt: skip
    shows = []
    for words in commands():
        extra = ["--listen", "127.0.0.1:0"] if words[0] == "serve" else ["--no-open"]
        free = [re.sub(r":70\d\d$", ":0", word) for word in words]
        with page_process(tmp_path, *free, *extra) as page:
            site = fetch(f"{page.url}api/site")
            shows.append(site["shows"]["kind"])
            if shows[-1] == "token":
                state = fetch(f"{page.url}api/schedules/{site['shows']['token']}?step=6")
                assert state["whole"]["ended"]["failed"]
                assert len(state["whole"]["choices"]) == 11
            library = fetch(f"{page.url}api/library")
    assert shows == ["live", "run", "token"]
    assert len(library["lessons"]) == 26
