"""A log of a million events in the page: opened in time, and moved through smoothly."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.web.test_browser import browser, opened, until
from tests.web.web_tools import page_process

EVENTS = 1_000_000
OPEN_S = 3.0
FRAME_MS = 1000 / 30
TRIES = 4
"""Of several the best: other programs may have the machine meanwhile."""
MS = 16

assert browser


def lines(events: int) -> Iterator[str]:
    """A storm of Ms on one lock, as `run` would log it, with a third of the event types."""
    at, seq = 0, 1
    yield (
        '{"event":"run.start","level":"info","seq":1,"t_ns":0,"m":0,"schema":"gorun_mem/1",'
        f'"run_id":"x","release":"go1.27","platform":"plan9/amd64","mutex":"spinbit","ms":{MS},'
        '"cpus":4,"strategy":"timing","seed":0,"scenario":"storm","options":{}}'
    )
    while seq < events - 8:
        m = seq * 7 % MS + 1
        hold, wait = 900 + seq * 13 % 5000, seq * 31 % 60_000
        begin, end = at, at + hold
        head = f'"level":"debug","seq":{{}},"t_ns":{{}},"m":{m},'
        parts = [
            ("lock.wait", begin, '"lock":"memlock","owner_m":1,"queue_depth":3,"waiters":[2,3]'),
            ("lock.acquire", begin, f'"lock":"memlock","contended":true,"wait_ns":{wait}'),
            ("mem.call", begin, '"fn":"sysAllocOS","v":0,"n":65536,"align":0'),
            ("freelist.take", begin, '"addr":65536,"size":4096,"block_addr":65536,"exact":true'),
            (
                "mem.return",
                end,
                f'"fn":"sysAllocOS","pages":{22 + seq // 4000},"bloc":{1441792 + seq},'
                f'"bloc_max":{1500000 + seq},"free_bytes":{seq * 17 % 900_000},"free_blocks":3',
            ),
            (
                "lock.release",
                end,
                f'"lock":"memlock","hold_ns":{hold},"wait_ns":{wait},"contended":true,"spins":1,'
                '"sleeps":0,"blocked_ns":0,"waiters":[2,3],"next_m":2',
            ),
        ]
        for name, t, fields in parts:
            seq += 1
            yield f'{{"event":"{name}",{head.format(seq, t)}{fields}}}'
        at = end + 40
    yield f'{{"event":"run.end","level":"info","seq":{seq + 1},"t_ns":{at},"m":0,"outcome":"ok"}}'


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.jsonl"
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines(EVENTS))
    return path


def test_it_opens_and_scrubs(browser: Browser, log: Path, tmp_path: Path) -> None:
    """From the address to painted lanes within 3 s, the process that reads it started; then 30
    frames a second while the window moves through the time, at three magnifications."""
    took: list[float] = []
    with page_process(tmp_path, "view", str(log), "--no-open") as viewed:
        for _ in range(TRIES):
            started = time.monotonic()
            with opened(browser, viewed.url, viewport={"width": 1280, "height": 900}) as page:
                page.wait_for_selector("canvas[data-loaded]")
                until(page, "gorunLanes.frames > 0")
                took.append(time.monotonic() - started)
                assert int(page.get_attribute("canvas[data-loaded]", "data-loaded") or 0) > 300_000
                if took[-1] > OPEN_S and len(took) < TRIES:
                    continue
                frames = page.evaluate(SCRUB)
                break
        said = {m: (statistics.median(gaps), max(gaps)) for m, gaps in frames.items()}
        sys.stderr.write(
            f"opened in {took} s, the first cold, load {os.getloadavg()[0]:.1f}; "
            f"ms a frame, median and most, by magnification: {said}\n"
        )
        assert min(took) < OPEN_S
        for magnification, gaps in frames.items():
            assert statistics.median(gaps) < FRAME_MS, (magnification, gaps)


SCRUB = """async () => {
  const lanes = gorunLanes, all = {}, whole = lanes.last - lanes.first;
  const frame = () => new Promise(requestAnimationFrame);
  for (const magnification of [1.2, 20, 2000]) {
    const span = whole / magnification, gaps = [];
    let before = performance.now();
    for (let i = 0; i < 60; i++) {
      lanes.show((whole - span) * (i / 60), (whole - span) * (i / 60) + span);
      await frame();
      await frame();
      const now = performance.now();
      gaps.push(Math.round((now - before) / 2 * 10) / 10);
      before = now;
    }
    all[magnification] = gaps;
  }
  return all;
}"""
