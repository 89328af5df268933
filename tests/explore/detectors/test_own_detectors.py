"""A detector of a user's file: found by its name, it finds, is silent, replays and is told of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gorun_mem import cli
from gorun_mem.explore import explore
from gorun_mem.explore.detectors import DETECTORS
from gorun_mem.explore.detectors.load import EXAMPLE, UnknownDetector, load_detector

SEATS = '''
from gorun_mem import scenario
from gorun_mem.sync import Word


@scenario(ms=2)
async def seats(world, *, fixed: bool = False):
    """One seat, which two Ms take."""
    left = Word("left", 1)

    async def book(m):
        while (seen := await left.load()) > 0:
            if not fixed:
                await left.add(-1)
                return
            if await left.cas(seen, seen - 1):
                return

    async with world.open_ms() as ms:
        ms.start_soon(book)
        ms.start_soon(book)
'''
BROKEN = '''
from gorun_mem.explore import Detector, Finding


class NoEnd(Detector):
    """It has none."""


class Plain:
    """It is none."""


class Few(Detector):
    def step(self, task): ...
    def end(self, world): return ()


class Late(Detector):
    async def end(self, world): return ()


class Unmade(Detector):
    def __init__(self): self.of = {}["x"]
    def end(self, world): return ()


class Begins(Detector):
    def begin(self, world): 1 / 0
    def end(self, world): return ()


class Steps(Detector):
    def step(self, task, op, kind, obj, reads, result):
        if kind == "atomic.load":
            raise ValueError("what is this")
    def end(self, world): return ()


class Ends(Detector):
    def end(self, world): raise SystemExit(7)


class Forgets(Detector):
    def end(self, world): self.found = []


class Says(Detector):
    def end(self, world): return ["a race"]


class Counts(Detector):
    def end(self, world): return [Finding(1, 2)]
'''
OWN = "own.py:NeverBelowZero"
SEARCH = ("explore", "seats.py", "--no-detectors", "--detector", OWN)

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Says command lines in a folder that has the files."""
    monkeypatch.setenv("GORUN_MEM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("seats.py").write_text(SEATS)
    Path("own.py").write_text(EXAMPLE)
    Path("broken.py").write_text(BROKEN)

    def said(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        return code, *capsys.readouterr()

    return said


@pytest.mark.parametrize("strategy", ["auto", "exhaustive", "dfs", "pct", "states"])
def test_it_finds_the_bug_and_is_silent_on_the_twin(say: Say, strategy: str) -> None:
    """Shrunk; and every schedule of the twin is none of its."""
    code, out, err = say(*SEARCH, "--strategy", strategy)
    assert (code, err) == (1, "")
    assert "FAILED: below.zero: left\n" in out
    assert "took left to -1" in out
    assert say(*SEARCH, "--strategy", strategy, "--set", "fixed=true")[0] == 0
    assert say("explore", "seats.py", "--no-detectors", "--strategy", strategy)[0] == 0


def test_its_failure_is_run_again_where_it_is_named_and_only_there(say: Say) -> None:
    """By the words that the search says, by --detector, and in a report; a token imports none."""
    code, out, _ = say(*SEARCH, "--json")
    (failure,) = json.loads(out)["failures"]
    assert code == 1
    words = failure["replay"].split()[1:]
    assert words[-4:] == ["--code", "seats.py", "--code", OWN]
    for reference in ("last", failure["token"]):
        code, _, err = say("replay-schedule", reference, "--code", "seats.py")
        assert code == 2
        assert f"would run code, '{OWN}'" in err
        assert f"--code seats.py --code {OWN}" in err
        for given in (["--code", OWN], ["--detector", OWN]):
            code, out, _ = say("replay-schedule", reference, "--code", "seats.py", *given)
            assert code == 1
            assert out.count("took left to -1") == 1
        words = ["replay-schedule", reference, "--code", "seats.py", "--no-detectors"]
        assert say(*words)[0] == 0
        assert say(*words, "--detector", OWN)[0] == 1
        told = say("report", failure["token"], "--code", "seats.py", "--code", OWN)
        assert told[0] == 0
        assert "FAILED: below.zero: left\n" in told[1]
        assert "The nearest schedule that passes" in told[1]
    Path("own.py").unlink()
    code, _, err = say("replay-schedule", "last", "--code", "seats.py", "--code", OWN)
    assert (code, "no detector script own.py" in err) == (2, True)


def test_other_failures_name_no_detector(say: Say) -> None:
    """What fails by itself is run again without it."""
    Path("seats.py").write_text(SEATS + "    assert left.value > 0\n")
    code, out, _ = say(*SEARCH, "--set", "fixed=true", "--json")
    (failure,) = json.loads(out)["failures"]
    assert code == 1
    assert (failure["kind"], OWN in failure["replay"]) == ("AssertionError", False)


def test_other_processes_look_with_it(say: Say) -> None:
    """The same failure, and every figure, with --jobs 2."""
    words = (*SEARCH, "--json", "--strategy", "exhaustive")
    found = [json.loads(say(*words, "--jobs", jobs)[1]) for jobs in ("1", "2")]
    for one in found:
        del one["seconds"], one["schedule"]
    assert found[0] == found[1]


def test_a_search_goes_on_under_the_same_detector_only(say: Say) -> None:
    """A checkpoint names it and what it is."""
    words = (*SEARCH[:3], "--strategy", "exhaustive", "--set", "fixed=true", "--resume", "a.search")
    own = ("--detector", OWN)
    assert say(*words, *own, "--budget", "1")[0] == 5
    code, _, err = say(*words)
    assert (code, f"detectors is {OWN} there and not given here" in err) == (2, True)
    Path("own.py").write_text(EXAMPLE + "\n")
    code, _, err = say(*words, *own)
    assert (code, f"the content of {OWN} is" in err) == (2, True)
    Path("own.py").write_text(EXAMPLE)
    code, out, _ = say(*words, *own)
    assert (code, "verdict   exhausted" in out) == (0, True)


REFUSED = {
    "broken.py:NoEnd": "broken.py:NoEnd: NoEnd has no end",
    "broken.py:Plain": "broken.py:9: Plain is no detector: derive it from gorun_mem.explore.Detect",
    "broken.py:Few": "Few.step: too many positional arguments: write `def step(self, task, op, kin",
    "broken.py:Late": "broken.py:Late: Late.end is an async function: write `def end(self, world)`",
    "broken.py:Unmade": "broken.py:Unmade: Unmade cannot be made: KeyError: 'x', line 23",
    "broken.py:Begin": "broken.py has no class 'Begin': did you mean Begins?",
    "broken.py": "broken.py defines 10 detectors, NoEnd, Few, Late,",
    "none.py": "no detector script none.py; scripts there are own.py",
    "bypases": "no detector 'bypases': did you mean bypasses?",
    "bypasses:many": "bypasses:many: 'many' is no bound: write bypasses:8",
    "races:3": "races:3: races has no bound: write races",
    "": "no detector ''",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_detector_is_refused(say: Say, name: str) -> None:
    """Exit 2 before anything is run, with the line or the next step, whichever verb it is."""
    code, out, err = say(*SEARCH, "--detector", name)
    assert (code, out) == (2, "")
    assert REFUSED[name] in err
    assert "Traceback" not in err
    say(*SEARCH)
    again = say("replay-schedule", "last", "--code", "seats.py", "--code", OWN, "--detector", name)
    assert again[0] == 2
    assert REFUSED[name] in again[2]


RAISES = {
    "Begins": "its begin raised ZeroDivisionError: division by zero, at broken.py:28",
    "Steps": "its step raised ValueError: what is this, at broken.py:35",
    "Ends": "its end raised SystemExit: 7, at broken.py:40",
    "Forgets": "it returns None from end: return the findings, () where there are none",
    "Says": "its end returned str among what it found: make each gorun_mem.explore.Finding(kind,",
    "Counts": "its end returned a Finding whose kind, obj, site and text are no text",
}


@pytest.mark.parametrize(("name", "jobs"), [*((name, "1") for name in RAISES), ("Steps", "2")])
def test_what_goes_wrong_in_it_is_its_own(say: Say, name: str, jobs: str) -> None:
    """Exit 1, at its line; neither the program's failure nor a fault of this package."""
    code, out, err = say(*SEARCH[:4], f"broken.py:{name}", "--json", "--jobs", jobs)
    (failure,) = json.loads(out)["failures"]
    assert (code, err) == (1, "")
    assert (failure["kind"], failure["object"]) == ("detector", name)
    assert failure["text"].startswith(f"detector broken.py:{name}: {RAISES[name]}")
    assert failure["text"].endswith("mend the detector, the program is not at fault")


def test_one_that_is_not_usual_is_named_by_what_it_finds(say: Say) -> None:
    """So the token of a failure that `--fair-bound` or `--detector` found leads to it again."""
    storm = ("explore", "memlock_storm", "--ms", "2", "--mutex", "sema", "--no-detectors", "--json")
    for words in (["--fair-bound", "0"], ["--detector", "bypasses:0"]):
        code, out, _ = say(*storm, "--strategy", "random", "--budget", "100", *words)
        (failure,) = json.loads(out)["failures"]
        assert (code, failure["kind"]) == (1, "starvation")
        code, out, _ = say("replay-schedule", failure["token"])
        assert (code, "FAILED: starvation" in out) == (1, True)
    Path("keeps.py").write_text(
        "from gorun_mem import scenario\n\n\n@scenario(ms=1)\nasync def keeps(world):\n"
        "    '''One M gives nothing back.'''\n\n    async def work(m):\n"
        "        await m.sys_alloc(65536)\n\n    async with world.open_ms() as ms:\n"
        "        ms.start_soon(work)\n"
    )
    code, out, _ = say("explore", "keeps.py", "--detector", "leaked_memory", "--json")
    (failure,) = json.loads(out)["failures"]
    assert (code, failure["kind"]) == (1, "memory.leaked")
    code, out, _ = say("replay-schedule", failure["token"], "--code", "keeps.py")
    assert (code, "FAILED: memory.leaked" in out) == (1, True)


def test_tokens_cannot_name_what_is_no_list_of_detectors(say: Say) -> None:
    """A schedule is data; each of these is exit 2 and runs nothing."""
    from gorun_mem.step.schedule import Schedule

    for detectors in (5, {"a": 1}, ["races"] * 65, ["none.py:X"], [["seats.py"]], [None]):
        token = Schedule((), (), {"scenario": "leaked_lock", "detectors": detectors}).token()
        code, out, err = say("replay-schedule", token)
        assert (code, out) == (2, ""), detectors
        assert "Traceback" not in err


def test_python_takes_names_too(say: Say) -> None:
    """`explore(detectors=[...])` mixes classes and names."""
    from gorun_mem.machine.library import find

    seats: Any = find("seats.py")
    found = explore(seats, detectors=[DETECTORS["races"], OWN], canary=False)
    assert found.failure is not None
    assert found.failure.signature.kind == "below.zero"
    with pytest.raises(UnknownDetector, match="no detector 'rases': did you mean races"):
        explore(seats, detectors=["rases"])
    assert load_detector(OWN) is load_detector(OWN)


def test_a_mark_takes_names_and_keeps_what_they_found(pytester: pytest.Pytester) -> None:
    """The replayed token and the kept one are looked at with the mark's detectors."""
    pytester.makepyfile(own=EXAMPLE)
    body = SEATS.partition('"""One seat')[2].partition("\n")[2]
    body = body.replace("not fixed", "True").replace("seen - 1", "0")
    test = (
        "import pytest\nfrom gorun_mem.sync import Word\n\n\n"
        "@pytest.mark.explore(detectors=['own.py:NeverBelowZero'], budget=50{more})\n"
        f"async def test_seats(world):\n{body}"
    )
    made = pytester.makepyfile(test_seats=test.replace("{more}", ""))
    done = pytester.runpytest_inprocess(str(made), "-p", "no:cacheprovider")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*FAILED: below.zero: left*"])
    line = next(row for row in done.outlines if "explore(replay=" in row)
    token = line.partition('"')[2].partition('"')[0]
    again = pytester.runpytest_inprocess(str(made), "--explore-token", token)
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*FAILED: below.zero: left*"])
    made.write_text(test.replace("{more}", f', replay="{token}"'))
    kept = pytester.runpytest_inprocess(str(made))
    kept.assert_outcomes(failed=1)
    kept.stdout.fnmatch_lines(["*It is a schedule that replay= keeps*"])


def test_explain_has_one_to_begin_with(say: Say) -> None:
    """What it shows is the example that these tests run."""
    code, out, _ = say("explain", "detectors")
    assert code == 0
    assert "class NeverBelowZero(Detector):" in out
    assert [line[4:].rstrip() for line in out.splitlines()][-13:] == EXAMPLE.splitlines()[-13:]
