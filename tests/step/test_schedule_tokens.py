"""Tokens and schedule files: what is written is read again, and damage is said clearly."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gorun_mem.step.schedule import Schedule, ScheduleError, Step, load, stripped
from gorun_mem.step.token import name_hash

ABOUT = {"scenario": "memlock_storm", "config": {"ms": 2}, "options": {}}
NAMES = tuple(f"{kind} {obj}" for kind in ("load", "store", "acquire") for obj in ("bloc", "L"))
ADDRESSED = st.builds("load mem:0x{:x} {}".format, st.integers(0, 1 << 70), st.text(max_size=3))
CHARACTERS = "ABCxyz019-_ =+/\n\x00é{}"


def schedule_of(seed: int, length: int = 30) -> Schedule:
    random = Random(seed)
    tape = stripped(random.choice((0, 0, 0, 1, 2, 3, 200)) for _ in range(length))
    return Schedule(tape, tuple(random.choice(NAMES) for _ in range(length)), ABOUT)


@given(
    st.lists(st.integers(0, 1 << 40), max_size=60),
    st.lists(st.sampled_from(NAMES) | ADDRESSED | st.text(max_size=9), max_size=60),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
)
def test_a_token_says_all_of_a_schedule(
    tape: list[int], names: list[str], about: dict[str, object]
) -> None:
    """Tape, names and program come back as they were."""
    schedule = Schedule(stripped(tape), tuple(names), about)
    assert Schedule.from_token(schedule.token()) == schedule


def test_long_schedules_have_hashes_and_then_nothing_for_names() -> None:
    """A token stays short enough to paste; the tape in it is whole all the same."""
    random = Random(1)
    for length, kind in ((50, str), (1500, int), (60_000, None)):
        names = tuple(f"load mem:{random.randrange(1 << 60):#x}" for _ in range(length))
        schedule = Schedule((0,) * 10 + (3,), names, ABOUT)
        token = schedule.token()
        again = Schedule.from_token(token)
        assert again.tape == schedule.tape
        if kind is None:
            assert again.names == ()
        elif kind is int:
            assert again.names == tuple(name_hash(name) for name in names)
        assert len(token) <= 2400


def test_what_ms_do_alike_is_told_once() -> None:
    """Ms that go over 16 pages each, like the first, cost a token a few characters more."""

    def clearing(ms: int) -> Schedule:
        pages = [f"clear mem:{0x160000 + page * 4096:#x}" for page in range(16 * ms)]
        return Schedule((0, 3), ("start m", "load bloc", *pages, "store bloc"), ABOUT)

    one, eight = clearing(1).token(), clearing(8).token()
    assert len(one) < 80
    assert len(eight) < len(one) + 10


def damaged(data: bytes, random: Random) -> bytes:
    """`data` with one thing wrong."""
    place = random.randrange(len(data))
    what = random.randrange(5)
    if what == 0:
        return data[:place]
    if what == 1:
        return data[:place] + data[place + 1 :]
    if what == 2:
        return data[:place] + bytes([random.randrange(256)]) + data[place + 1 :]
    if what == 3:
        return data[:place] + random.choice(CHARACTERS).encode() + data[place:]
    return data[place:] + data[:place]


def test_damaged_tokens_are_refused() -> None:
    """500 of them: an error in words, or, where the damage changed nothing, the same schedule."""
    random = Random(7)
    refusals = []
    for number in range(500):
        schedule = schedule_of(number)
        text = damaged(schedule.token().encode(), random).decode("utf-8", "replace")
        try:
            again = Schedule.from_token(text)
        except ScheduleError as error:
            refusals.append(str(error))
        else:
            assert again == schedule
    assert len(refusals) > 450
    assert all("token" in said and len(said) < 200 for said in refusals)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """500 of them: the message names file and line; a file that is read says the same schedule.

    A name, the M of a step or what could go may be changed without notice: they are for people, or
    are held against the program.
    """
    random = Random(8)
    path = tmp_path / "a.schedule"
    refusals = []
    for number in range(500):
        schedule = schedule_of(number, 12)
        steps = [Step(1, *str(name).split(" "), enabled=(1, 2)) for name in schedule.names]  # type: ignore[arg-type, misc]
        schedule.write(path, steps, failure="throw: x")
        path.write_bytes(damaged(path.read_bytes(), random))
        try:
            again = load(str(path))
        except ScheduleError as error:
            refusals.append(str(error))
        else:
            assert again.tape == schedule.tape
            assert again.about == schedule.about
            assert len(again.names) == len(schedule.names)
    assert len(refusals) > 300
    assert all(str(path) in said and len(said) < 300 + len(str(path)) for said in refusals)


def test_a_file_says_all_of_a_schedule(tmp_path: Path) -> None:
    """Also the names that a token of that length only has hashes of."""
    names = tuple(f"load mem:{number:#x}" for number in range(2000))
    path = tmp_path / "long.schedule"
    schedule = Schedule((1, 0, 2), names, ABOUT)
    schedule.write(path, [Step(1, *name.split(" ")) for name in names])  # type: ignore[arg-type]
    assert load(str(path)) == schedule
    head = json.loads(path.read_text().splitlines()[0])
    assert load(head["token"]).tape == schedule.tape


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "token: it is empty"),
        ("AQ", "token: it is too short; copy all of it"),
        ("no token", "is neither a file nor a token"),
        ("lost.schedule", "no file lost.schedule"),
        ("A" * (1 << 21), "characters; it is no token"),
        ("_" * 40, "token: version 255; this gorun-mem reads version 2"),
    ],
)
def test_what_is_no_token(text: str, said: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ScheduleError, match=said):
        load(text)


def test_a_token_with_a_wrong_character_says_so() -> None:
    """Not what the wrong character happens to lead to."""
    token = schedule_of(3).token()
    wrong = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    with pytest.raises(ScheduleError, match="its checksum does not fit: a character is wrong"):
        load(wrong)
