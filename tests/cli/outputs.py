"""Every human output of the command line, in one table that the tests of widths go through."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from gorun_mem import cli
from gorun_mem.report.sections import SECTIONS
from tests import DATA

RECORDING: Final = "queue-go1.27.3"
"""It comes with the program."""
TRACE: Final = "{data}/traces/go1.27.3-js-maps.jsonl.gz"

OUTPUTS: Final[dict[str, list[str]]] = {
    "scenarios": [
        "scenarios",
        "scenarios memlock_storm",
        "scenarios real_program",
        "scenarios --lessons",
        "scenarios lessons/lost_wakeup",
    ],
    "run": [
        "run memlock_storm --ms 8 --log storm.jsonl",
        "run memlock_storm --ms 40 --set rounds=2 --log many.jsonl",
        "run checkerboard --log checker.jsonl --assert final_pages<600",
        "run checkerboard --max-pages 60 --init-pages 50",
        "run arena_at_break --log arena.jsonl",
        "run leaked_lock --platform js/wasm",
        "run leaked_lock --platform plan9/amd64",
        "run mutex_shootout --set ops=10",
    ],
    "compare": [
        "compare memlock_storm --ms 2 --set rounds=3 --mutex sema --mutex spinbit --seeds 3"
    ],
    "explore": [
        "explore lessons/ab_ba",
        "explore lessons/lost_wakeup --save lost.schedule",
        "explore memlock_storm --ms 6 --set rounds=2 --budget 20",
        "explore checkerboard --budget 3 --assert final_pages<1",
    ],
    "verify": [
        "verify spinbit --ms 2 --pairs 1",
        "verify js --ms 2",
        "verify spin.py:Open --ms 3",
        "verify spin.py:Open --ms 6 --pairs 1",
    ],
    "replay-schedule": [
        "replay-schedule lost.schedule",
        "replay-schedule lost.schedule --step 5",
        "replay-schedule lost.schedule --log lost.jsonl",
    ],
    "report": [
        "report storm.jsonl",
        *(f"report storm.jsonl --section {name}" for name in SECTIONS),
        *(f"report checker.jsonl --section {name}" for name in SECTIONS),
        *(f"report arena.jsonl --section {name}" for name in SECTIONS),
        "report storm.jsonl --from 0.1ms --to 0.3ms --section contention",
        f"report {RECORDING}",
        "report storm.jsonl --html storm.html",
    ],
    "export": ["export storm.jsonl --to chrome -o storm.json"],
    "diff": ["diff storm.jsonl many.jsonl", "diff storm.jsonl checker.jsonl --all"],
    "record": ["record --help", "record ./pkg"],
    "predict": [
        f"predict {RECORDING}",
        f"predict {RECORDING} --max-pages 60",
        f"predict {RECORDING} --release go1.21 --assert high<1",
        f"predict {RECORDING} --policy best_fit",
    ],
    "releases": [
        "releases checkerboard",
        "releases checkerboard --max-pages 60",
        f"releases {RECORDING} --of go1.21..go1.23",
    ],
    "sweep": ["sweep grid.toml"],
    "query": [
        "query storm.jsonl 'SELECT * FROM events LIMIT 3'",
        "query storm.jsonl 'SELECT * FROM locks LIMIT 3'",
        "query storm.jsonl 'SELECT site, count(*) AS n FROM locks GROUP BY site'",
        "query storm.jsonl 'DESCRIBE calls'",
        "query storm.jsonl 'SELECT * FROM grows WHERE false'",
        "query storm.jsonl 'SELECT nonsense FROM events'",
    ],
    "serve": ["serve --help", "serve --listen 203.0.113.1:7059"],
    "connect": ["connect --help", "connect 127.0.0.1:1"],
    "view": ["view --help", "view nothing.jsonl"],
    "ops": ["ops --check {data}/ops/1.19.8-wasm-random-1.txt.gz", "ops bad.txt"],
    "replay": [f"replay --level both {TRACE}", f"replay --level both {RECORDING}"],
    "explain": [
        "explain",
        "explain convoy",
        "explain lock.memlock.fairness",
        "explain exit-codes",
        "explain calibration",
        "explain convoi",
    ],
    # What these two write is for a shell and for man; what they say of mistakes is for people.
    "completion": ["completion tcsh"],
    "man": ["man x"],
    "bench": ["bench --help", "bench events"],
}
"""Verb -> commands whose stdout and stderr people read; in this order, in one folder."""

FILES: Final = {
    "spin.py": '''
from gorun_mem import M
from gorun_mem.locks import Mutex
from gorun_mem.sync import Word


class Open(Mutex):
    """Looks, and takes it later."""

    def __init__(self, name: str = "open") -> None:
        super().__init__(name)
        self.key = Word("a_key_with_a_rather_long_name", 0)

    async def lock(self, m: M) -> None:
        """Take it."""
        while await self.key.load():
            pass
        await self.key.store(1)

    async def unlock(self, m: M) -> None:
        """Give it back."""
        await self.key.store(0)
''',
    "grid.toml": """
[sweep]
verb = "run"
scenario = "memlock_storm"
out = "grid.parquet"
seeds = 2
[grid]
mutex = ["sema", "spinbit"]
set.rounds = [1, 2]
[assert]
pages = "final_pages <= 1"
""",
    "bad.txt": "alloc 65536\nalok 12\n",
}


def write_files(folder: Path) -> None:
    """What the commands read."""
    for name, text in FILES.items():
        (folder / name).write_text(text)


def make_files(commands: Iterable[str]) -> None:
    """Run those of the commands that write what others read: a log, a schedule.

    So each of the others can be tried alone, and on any worker of xdist.
    """
    for command in commands:
        words = shlex.split(filled(command))
        if words[0] in ("run", "explore") and {"--log", "--save"} & set(words):
            cli.main(words)


def filled(command: str) -> str:
    """A command with the path of the data."""
    return command.format(data=DATA)


def cells(line: str) -> int:
    """Columns of a terminal that a line takes."""
    plain = click.unstyle(line)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in plain)
    return len(plain) + wide


def stands_alone(line: str) -> bool:
    """Whether a line is one word that cannot be broken: the one thing that may be too wide.

    That is a token of a schedule, the path of a file, or an address, to be pasted.
    """
    word = line.strip().removesuffix("\\").strip()
    return " " not in word and bool(re.fullmatch(r"[A-Za-z0-9_.-]{40,}|.*/.*", word))


def too_wide(text: str, columns: int) -> list[str]:
    """Lines that do not fit."""
    return [line for line in text.splitlines() if cells(line) > columns and not stands_alone(line)]


def too_long(text: str, columns: int) -> list[str]:
    """Sentences longer than people can read, whatever room there is; tables and commands may be."""
    found = []
    for line in text.splitlines():
        plain = click.unstyle(line).strip()
        label = re.match(r"\S+(?: \S+)?  +", plain)
        rest = plain[label.end() :] if label else plain
        is_text = "  " not in rest and " " in rest and not rest.startswith("gorun-mem ")
        if is_text and cells(line) > columns and not stands_alone(line):
            found.append(line)
    return found
