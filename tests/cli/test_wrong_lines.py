"""Mistakes that people make, each answered with the fact, the values and what to write."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gorun_mem.cli._mistakes import (
    EMPTY,
    FOLDER,
    LOG,
    NOT_PACKED,
    RECORDING,
    SCHEDULE,
    SCRIPT,
    TOML,
    WASM,
    kind_of,
)
from gorun_mem.files.packed import GZIP
from tests import TRACES
from tests.cli.run_scripts import Command

TRACE = next(iter(sorted(TRACES.glob("*.jsonl.gz"))))
TWO = '''
from gorun_mem import World, scenario


@scenario(ms=1)
async def one(world: World) -> None:
    """One."""


@scenario(ms=1)
async def two(world: World) -> None:
    """Two."""
'''
GRID = '[sweep]\nverb = "run"\nscenario = "memlock_storm"\nout = "x.parquet"\n'
FILES = {
    "two.py": TWO,
    "none.py": "x = 1\n",
    "broken.py": "def f(:\n",
    "empty.py": "",
    "empty.jsonl": "",
    "plain.jsonl.gz": "hello\n",
    "text.txt": "not a log\n",
    "bare.py": "from gorun_mem import scenario\n@scenario\nasync def bare(world): pass\n",
    "setting.py": TWO.replace("ms=1", "mss=1"),
    "option.py": """
from gorun_mem import World, scenario


@scenario()
async def option(world: World, rounds: int = 3) -> None:
    'Its option has no star before it.'
""",
    "locks.py": """
from gorun_mem.locks import Mutex


class Plain(Mutex):
    def lock(self, m): pass
    def unlock(self, m): pass


class Half(Mutex):
    async def lock(self, m): pass
""",
    "key.toml": GRID + "seds = 3\n",
    "verb.toml": GRID.replace('"run"', '"runn"'),
    "grid.toml": GRID + '[grid]\nmutx = ["sema"]\n',
    "section.toml": GRID + '[gird]\nmutex = ["sema"]\n',
    "syntax.toml": "[sweep\n",
    "log.jsonl": '{"event":"m.exit","level":"debug","seq":1,"t_ns":0,"m":1}\n',
    "app.wasm": "\0asm\1\0\0\0",
    "lost.schedule": '{"schedule":2}\n',
}

MISTAKES = [
    # Verbs and words in another order.
    ("memlock_storm run", "no verb 'memlock_storm'", "did you mean gorun-mem run memlock_storm?"),
    ("memlock_storm --ms 2", "no verb 'memlock_storm'", "gorun-mem run memlock_storm --ms 2?"),
    ("rn memlock_storm", "no verb 'rn'", "did you mean run?"),
    ("help run", "no verb 'help'", "did you mean gorun-mem run --help?"),
    ("two.py", "no verb 'two.py'", "did you mean gorun-mem run two.py?"),
    ("log.jsonl", "no verb 'log.jsonl'", "did you mean gorun-mem report log.jsonl?"),
    ("report", "no LOG is given", "write gorun-mem report LOG, as in gorun-mem report last"),
    ("run memlock_storm rounds=3", "'rounds=3' is one word", "did you mean --set rounds=3?"),
    ("run memlock_storm json", "'json' is one word too many", "did you mean --json?"),
    ("run memlock_storm more", "'more' is one word too many", "gorun-mem run [SCENARIO]"),
    ("run memlock_storm --jsn", "no option --jsn", "did you mean --json?"),
    ("export log.jsonl --to chrome", "no -o/--output FILE is given", "as in gorun-mem export"),
    ("query 'SELECT 1' log.jsonl", "'SELECT 1' stands where", "gorun-mem query log.jsonl 'SELECT"),
    # Values.
    ("run memlock_storm --seed -1", "--seed -1", "must be at least 0"),
    ("run memlock_storm --ms 0", "ms = 0", "must be from 1 to 4096"),
    ("run memlock_storm --ms two", "--ms 'two' is not a number", "write 65536"),
    ("releases memlock_storm --seed -1", "--seed -1", "must be at least 0"),
    ("releases memlock_storm --of ''", "--of '' names no release", "as in go1.23..go1.27"),
    ("run memlock_storm --host asyncio", "--host 'asyncio' is none", "there are trio, trampoline"),
    ("export log.jsonl --to chrom -o x", "--to 'chrom' is none", "did you mean chrome?"),
    ("explore memlock_storm --time -1", "--time -1.0", "must be more than 0"),
    ("explore memlock_storm --faults grw", "no fault 'grw'", "did you mean grow?"),
    ("run memlock_storm --strategy dpor", "no strategy 'dpor'", "explore SCENARIO --strategy exh"),
    ("run memlock_storm --strategy pct", "no strategy 'pct'", "explore SCENARIO --strategy pct"),
    ("run memlock_storm --set rounds", "--set rounds", "write KEY=VALUE"),
    ("run memlock_storm --set round=3", "no option 'round'", "did you mean rounds?"),
    ("run memlock_storm --json --color red", "--color 'red' is none", "there are auto, always"),
    ("run memlock_storm --mutex spinlock", "no mutex 'spinlock'", "did you mean spinbit?"),
    ("run memlock_storm --mutex two.py:Missing", "no class 'Missing'", "derive one from"),
    ("verify none.py", "none.py defines no lock", "derive one from"),
    ("compare memlock_storm --ms 2", "one setting is nothing to compare", "give an option twice"),
    ("compare memlock_storm --ms 1 --ms 2 --metric fooo", "no metric 'fooo'", "run --metrics"),
    ("predict trees-go1.24", "no recording 'trees-go1.24'", "did you mean trees-go1.24.11?"),
    ("predict trees-go1.24.11 --assert 'hihg < 3'", "no metric 'hihg'", "did you mean high?"),
    ("explain convoi", "no word 'convoi'", "did you mean convoy?"),
    ("bench evnts", "no benchmark 'evnts'", "did you mean events?"),
    ("compare memlock_storm --mutex sema,spinbit", "--mutex sema,spinbit", "--mutex sema --mutex"),
    ("explore memlock_storm --strategy DFS", "--strategy 'DFS' is none", "did you mean dfs?"),
    ("run memlock_storm --release Go1.24", "no release 'Go1.24'", "did you mean go1.24?"),
    ("run memlock_storm --max-pages 32 MiB", "'MiB' is one word too many", "in one, as in 32MiB"),
    ("run memlock_storm --ms", "--ms has no value", "write one behind it"),
    ("serve --ms 4", "no option --ms", "gorun-mem serve --help lists them"),
    ("--json run", "no option --json", "behind it, as in gorun-mem run --json"),
    ("run lessons", "no scenario 'lessons'", "gorun-mem scenarios --lessons lists those"),
    ("query log.jsonl ''", "the SQL is empty", "write it as in 'SELECT"),
    ("query log.jsonl 'SELECT x FROM events'", "SQL: Binder Error", "'DESCRIBE events' lists"),
    ("view", "no LOG_OR_TOKEN_OR_RECORDING is given", "as in gorun-mem view last"),
    # Files.
    (
        "run log.jsonl",
        "log.jsonl is an event log, which run does not",
        "gorun-mem report log.jsonl",
    ),
    ("replay log.jsonl", "is an event log, which replay does not take", "gorun-mem report"),
    ("query {trace} 'SELECT 1'", "is a recording, which query does not take", "gorun-mem replay"),
    ("report two.py", "is a Python script, which report does not", "gorun-mem run two.py"),
    ("ops lost.schedule", "is a schedule, which ops does not", "gorun-mem replay-schedule lost"),
    ("diff log.jsonl key.toml", "is a TOML file, which diff does not", "gorun-mem sweep key.toml"),
    ("report plain.jsonl.gz", "is not compressed, whatever its name", "rename it without .gz"),
    ("report empty.jsonl", "empty.jsonl is no event log: it is empty", "run --log FILE wrote"),
    ("report text.txt", "none of its 1 lines is an event", "run --log FILE wrote"),
    ("report log.jsnl", "cannot read log log.jsnl: No such file", "did you mean log.jsonl?"),
    ("ops text.tx", "text.tx: No such file", "did you mean text.txt?"),
    ("ops folder", "folder: Is a directory", "name a file in it"),
    ("run empty.py", "empty.py is an empty file", "name another (run takes a scenario's name"),
    ("run none.py", "none.py defines no scenario", "put @scenario() of gorun_mem"),
    ("explore two.py", "defines 2 scenarios, one, two", "say which, as in two.py:one"),
    ("run broken.py", "does not run: SyntaxError", "line 1"),
    ("run missing.py", "no scenario script missing.py", "scripts there are"),
    ("run memlock_storm --log nowhere/x.jsonl", "there is no folder nowhere", "make it first"),
    ("run memlock_storm --log folder", "--log folder is a folder", "name a file in it"),
    ("replay-schedule no.schedule", "no file no.schedule", "gorun-mem explore saved"),
    ("replay-schedule AgABnonsense", "token: its checksum does not fit", "copy all of it"),
    ("sweep key.toml", "key.toml: [sweep]: no key 'seds'", "did you mean seeds?"),
    ("sweep verb.toml", "verb.toml: [sweep]: no verb 'runn'", "did you mean run?"),
    ("sweep grid.toml", "grid.toml: no option 'mutx'", "did you mean mutex?"),
    ("sweep section.toml", "section.toml: no section 'gird'", "did you mean grid?"),
    ("sweep syntax.toml", "syntax.toml: Expected ']'", "at line 1"),
    ("replay-schedule log.jsonl", "log.jsonl is an event log, which replay-", "report log.jsonl"),
    ("sweep two.py", "two.py is a Python script, which sweep", "gorun-mem run two.py"),
    ("record gone.wasm", "no file gone.wasm", "go build -o app.wasm . makes one"),
    ("record text.txt", "text.txt: no wasm binary", "go build -o app.wasm . makes one"),
    ("ops 'alloc 65536'", "alloc 65536: No such file", "echo 'alloc 65536' | gorun-mem ops"),
    # Numbers, units, and what has none.
    ("run memlock_storm --ms 99999999999999999999", "--ms 99999999999", "more than 64 bits hold"),
    ("run memlock_storm --set rounds=99999999999", "rounds = 99999999999", "must be at most"),
    ("run memlock_storm --max-pages -5", "--max-pages -5", "must be at least 0"),
    ("run memlock_storm --cpus 1.5", "--cpus '1.5' is not a number", "write 65536"),
    ("explore memlock_storm --jobs 0", "--jobs 0 must be at least 1", "at most 256"),
    ("explore memlock_storm --time 5s", "--time '5s' is not a number", "write it as in 60 or 2.5"),
    ("report log.jsonl --from 1h", "--from '1h' is no time", "as in 1500, 10us or 2.5ms"),
    ("verify spinbit --ms 9", "--ms 9 must be at least 1", "at most 4"),
    ("diff log.jsonl log.jsonl --fail-on pages", "'pages' is no expression", "write NAME OP"),
    ("diff log.jsonl", "no LOG_B is given", "as in gorun-mem diff go1.25.jsonl go1.26.jsonl"),
    ("compare memlock_storm sema spinbit", "'sema spinbit' is one word too many", "--mutex sema"),
    # Names as others have them.
    ("run memlock_storm --release 1.24", "no release '1.24'", "did you mean go1.24?"),
    ("run memlock_storm --platform wasm", "no platform 'wasm'", "did you mean js/wasm?"),
    ("scenarios lesson/lost_wakeup", "no lesson 'lesson/lost_wakeup'", "lessons/lost_wakeup?"),
    (
        "query log.jsonl 'SELECT * FROM lock'",
        "name lock does not",
        "the views are locks",
    ),
    # Options that change nothing.
    ("run memlock_storm --init-pages 50", "initial_pages = 50 on plan9/amd64", "leave it out"),
    ("report {trace} --from 3", "of a recording there is one report", "leave out --section"),
    # Scripts.
    ("run bare.py", "@scenario is called, and takes settings by name", "write @scenario()"),
    ("run setting.py", "no setting 'mss'", "did you mean ms?"),
    ("run option.py --set rounds=5", "option takes 'rounds' by position", "behind a * of their"),
    (
        "run two.py:one --mutex locks.py:Plain",
        "Plain.lock is no async",
        "write `async def",
    ),
    ("run two.py:one --mutex locks.py:Half", "Half has no unlock", "write `async def unlock"),
    # Services.
    ("connect http://127.0.0.1:7059", "'http://127.0.0.1:7059' is a URL", "write 127.0.0.1:7059"),
    ("view http://127.0.0.1:7060", "http://127.0.0.1:7060 is a URL", "open it in a browser"),
    ("serve --http 7060", "--http: '7060' is no address", "write HOST:PORT"),
    ("explore memlock_storm --cluster 1:1", "--cluster 1:1", "as tcp://HOST:PORT"),
    ("connect nowhere", "'nowhere' is no address", "write HOST:PORT or unix:PATH"),
    ("connect 127.0.0.1:1", "no service at 127.0.0.1:1: Connection refused", "gorun-mem serve"),
    ("serve --listen 127.0.0.1:{port}", "{port}", "another"),
    ("serve --listen 127.0.0.1:99999", "no port 99999", "the last one is 65535"),
    ("serve --listen 0.0.0.0:7059", "can be reached by others", "--token-file FILE"),
]


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize(("line", "fact", "step"), MISTAKES, ids=[line for line, *_ in MISTAKES])
def test_a_mistake_is_answered(
    gorun_mem: Command, home: Path, taken_port: int, line: str, fact: str, step: str
) -> None:
    """Exit 2 and one line: what is wrong, with what was written, and what to write in its place."""
    for name, text in FILES.items():
        (home / name).write_text(text)
    (home / "folder").mkdir()
    known = {"trace": TRACE, "port": taken_port}
    found = gorun_mem(*shlex.split(line.format(**known)))
    assert (found.code, found.out) == (2, "")
    assert len(found.err.splitlines()) == 1, found.err
    assert found.err.startswith("gorun-mem")
    for part in (fact, step):
        assert part.format(**known) in found.err
    assert not re.search(r"Invalid value|Missing (arg|opt)|Traceback|Errno", found.err)


def test_a_name_of_ours_is_one_where_a_folder_is_called_so(gorun_mem: Command, home: Path) -> None:
    """A folder in the way changes nothing."""
    (home / "checkerboard").mkdir()
    assert gorun_mem("run", "checkerboard").code == 0


def test_a_plain_log_may_be_called_gz(gorun_mem: Command, home: Path) -> None:
    """What can be read is not refused for its name."""
    assert gorun_mem("run", "checkerboard", "--log", "a.jsonl").code == 0
    (home / "a.jsonl").rename(home / "b.jsonl.gz")
    assert gorun_mem("report", "b.jsonl.gz").code == 0


def test_kinds_of_files(gorun_mem: Command, home: Path) -> None:
    """By what they begin with, packed or not, and only then by their names."""
    for name, text in FILES.items():
        (home / name).write_text(text)
    assert gorun_mem("run", "checkerboard", "--log", "z.jsonl.zst").code == 0
    assert gorun_mem("explore", "lessons/ab_ba", "--save", "s.schedule").code == 1
    (home / "cut.jsonl.gz").write_bytes(GZIP)
    found = {name: kind_of(home / name) for name in [*FILES, "z.jsonl.zst", "s.schedule"]}
    assert found == {
        "two.py": SCRIPT, "none.py": SCRIPT, "broken.py": SCRIPT, "empty.py": EMPTY,
        "bare.py": SCRIPT, "setting.py": SCRIPT, "option.py": SCRIPT, "locks.py": SCRIPT,
        "empty.jsonl": EMPTY, "plain.jsonl.gz": NOT_PACKED, "text.txt": "", "key.toml": TOML,
        "verb.toml": TOML, "grid.toml": TOML, "section.toml": TOML, "syntax.toml": TOML,
        "log.jsonl": LOG, "app.wasm": WASM, "lost.schedule": SCHEDULE, "z.jsonl.zst": LOG,
        "s.schedule": SCHEDULE,
    }  # fmt: skip
    assert kind_of(TRACE) == RECORDING
    assert kind_of(home) == FOLDER
    assert kind_of(home / "nothing") == ""


def test_metrics_are_listed(gorun_mem: Command) -> None:
    """Each with what it means; a run is not needed."""
    found = gorun_mem("run", "--metrics")
    assert found.code == 0
    for name in ("final_pages ", "lock_wait_ns ", "lock.NAME.bypasses_max "):
        assert f"\n{name}" in f"\n{found.out}"
