"""Scripts held against recorded answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem.replay.opcheck import compare
from gorun_mem.replay.ops import Options
from gorun_mem.replay.opscript import Script


def check(tmp_path: Path, text: str) -> object:
    path = tmp_path / "s.txt"
    path.write_text(text)
    with Script.open(str(path)) as script:
        return compare(script, Options())


def test_compare_sees_a_wrong_answer(tmp_path: Path) -> None:
    """One answer changed is one difference, at its line; the answers around it agree."""
    good = '# {"release": "go1.27"}\nalloc 1 => 1441792\nalloc 1 => 1507328\nalloc 1 => 1572864\n'
    result = check(tmp_path, good)
    assert (result.compared, result.differences, result.first) == (3, 0, None)  # type: ignore[attr-defined]
    result = check(tmp_path, good.replace("1507328", "1507329"))
    assert (result.compared, result.differences) == (3, 1)  # type: ignore[attr-defined]
    first = result.first  # type: ignore[attr-defined]
    assert (first.line, first.operation, first.recorded, first.ours) == (
        3,
        "alloc 1",
        "1507329",
        "1507328",
    )


def test_compare_counts_what_was_never_answered(tmp_path: Path) -> None:
    """Where our program ends and the recorded one went on, each answer that is missing differs."""
    result = check(tmp_path, "word 0 => 5\nalloc 1 => 5\nalloc 1\nalloc 1 => 6\n")
    assert (result.operations, result.compared, result.unanswered) == (1, 3, 3)  # type: ignore[attr-defined]
    assert (result.differences, result.ended) == (3, "fault 0")  # type: ignore[attr-defined]
    result = check(tmp_path, "word 0 => fault 0\n")
    assert (result.differences, result.ended, result.error) == (0, "fault 0", None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no line has a recorded answer"),
        ("alloc 1\nstate\n", "no line has a recorded answer"),
        ("alloc 1 => 1441792\nfoo => 1\n", "s.txt:2: no operation 'foo'"),
        ('# {"release": "go9"}\nalloc 1 => 1\n', "s.txt:1: no release 'go9'"),
        ('# {"end": "x"}\nalloc 1 => 1\n', "s.txt:1: end is 'x' and must be an integer"),
        ('# {"end": }\nalloc 1 => 1\n', "s.txt:1: the header is not JSON"),
    ],
)
def test_compare_goes_as_far_as_the_script(tmp_path: Path, text: str, said: str) -> None:
    """What cannot be read is said, and what came before it is compared."""
    result = check(tmp_path, text)
    assert said in result.error  # type: ignore[attr-defined]
    assert result.operations == (1 if "1441792" in text else 2 if "state" in text else 0)  # type: ignore[attr-defined]
