"""Schedules: what a search found, as a tape, a token and a file.

A run of Ms is decided by a *tape* of small numbers. Wherever two Ms or more may go next it has one
number, and one for each data choice, in the order in which they come up:

    who goes next   0: whom run-to-block would take (who made the last step, else the lowest M);
                    i + 1: M i
    data choice     the value drawn

Where the tape has ended everything is 0. So a schedule says where it departs from the plainest one
and is as short as that: a tape of zeros has no forced switch at all, and shrinking is making
numbers 0. No strategy, host or seed is in it.

A *token* (`step.token`) is the schedule as text that can be pasted. A *file* has the token in its
first line, then a line of JSON for each step, with full names, and a last line that says how many
there are.

Rejected: numbers of Ms for every step (ten times as long, and nothing to shrink towards);
departures from round robin (half the known bugs need none, so shrinking would have nothing to go
by); opcode counts as positions, which change with the version of Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gorun_mem.files.reading import read_input
from gorun_mem.files.writing import write_output
from gorun_mem.runtime.kinds import FLUSH
from gorun_mem.step.task import owner_of
from gorun_mem.step.token import VERSION, ScheduleError, decoded, encoded

__all__ = ["Schedule", "ScheduleError", "Step", "load", "step_name", "stripped"]

_FILE_MAX: Final = 1 << 27
"""Bytes that are read of a file at most."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Args:
        m: id of the M that made it; of a store buffer's, which counts as one (`step.task.BUFFERS`).
        kind: kind of access.
        obj: what was accessed.
        reads: whether it changed nothing that another M can see.
        enabled: ids of the Ms that might have gone instead, itself included, in order.
        choices: data choices drawn in it, and in what its M did before its next operation:
            (label, number of values, value).
        preempts: the M that made the step before could have gone on.
    """

    m: int
    kind: str
    obj: str
    reads: bool = False
    enabled: tuple[int, ...] = ()
    choices: tuple[tuple[str, int, int], ...] = ()
    preempts: bool = False

    @property
    def name(self) -> str:
        """Kind and object, for people."""
        return step_name(self.kind, self.obj)

    @property
    def owner(self) -> int:
        """The M whose step it is, or whose store reaches memory by it."""
        return owner_of(self.m)

    def __str__(self) -> str:
        if self.kind == FLUSH:
            return f"M{self.owner}'s {self.name}"
        return f"M{self.m} {self.kind} {self.obj}"


def step_name(kind: str, obj: str) -> str:
    """A step without its M, for people."""
    return f"store of {obj} reaches memory" if kind == FLUSH else f"{kind} {obj}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule of one program.

    Args:
        tape: see the module; zeros at the end are left out.
        names: kind and object of each step, such as "acquire memlock.key"; None where it is not
            known, an int below 256 where only a hash of it is.
        about: what to run: a JSON object that `gorun_mem.explore.target` reads and writes.
    """

    tape: tuple[int, ...] = ()
    names: tuple[str | int, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def departures(self) -> int:
        """How many numbers are not 0."""
        return sum(1 for number in self.tape if number)

    def token(self) -> str:
        """The schedule as text to paste."""
        return encoded(self.tape, self.names, self.about)

    @staticmethod
    def from_token(text: str) -> Schedule:
        """The schedule that a token names.

        Raises:
            ScheduleError: it is damaged, or of another version.
        """
        return Schedule(*decoded(text))

    # Files.

    def write(self, path: Path, steps: Sequence[Step], **facts: Any) -> None:
        """Write the schedule with full names.

        Args:
            path: the file.
            steps: of the run that the schedule leads to.
            facts: what else to say in the first line, such as the failure.

        Raises:
            OSError: the file cannot be written.
        """
        head = {"schedule": VERSION, "token": self.token(), "steps": len(steps), **facts}
        lines = [json.dumps(head)]
        lines += [_step_line(number, step) for number, step in enumerate(steps, 1)]
        lines.append(json.dumps({"end": len(steps)}))
        write_output(path, ("\n".join(lines) + "\n").encode())

    @staticmethod
    def read(path: Path) -> Schedule:
        """The schedule of a file.

        Raises:
            ScheduleError: the file cannot be read, is damaged or cut; the message names the line.
        """
        lines = _read_lines(path)
        head = _json_object(path, 1, lines[0])
        if head.get("schedule") != VERSION or not isinstance(head.get("token"), str):
            raise ScheduleError(
                f"{path}:1: no schedule of version {VERSION}: the first line must have "
                '"schedule" and "token"'
            )
        try:
            schedule = Schedule.from_token(head["token"])
        except ScheduleError as error:
            raise ScheduleError(f"{path}:1: {error}") from error
        names = _read_steps(path, lines)
        return Schedule(schedule.tape, names, schedule.about)


def load(reference: str) -> Schedule:
    """The schedule that a command line names: a file, or a token.

    Raises:
        ScheduleError: it is neither.
    """
    try:
        is_file = len(reference) < 4096 and Path(reference).is_file()
    except (OSError, ValueError):
        is_file = False
    if is_file:
        return Schedule.read(Path(reference))
    if reference.endswith((".jsonl", ".schedule", ".json")):
        raise ScheduleError(
            f"no file {reference}: `last` is the newest that gorun-mem explore saved, and a token "
            "does too"
        )
    return Schedule.from_token(reference)


def stripped(tape: Iterable[int]) -> tuple[int, ...]:
    """`tape` without the zeros at its end."""
    numbers = list(tape)
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _step_line(number: int, step: Step) -> str:
    line: dict[str, Any] = {"step": number, "m": step.m, "kind": step.kind, "obj": step.obj}
    if len(step.enabled) > 1:
        line["enabled"] = list(step.enabled)
    if step.choices:
        line["choices"] = [list(choice) for choice in step.choices]
    return json.dumps(line)


def _read_lines(path: Path) -> list[str]:
    try:
        text = read_input(path, _FILE_MAX).decode()
    except OSError as error:
        raise ScheduleError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise ScheduleError(f"{path}: no text; it is no schedule") from None
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ScheduleError(f"{path}: it is empty")
    return lines


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise ScheduleError(f"{path}:{number}: no JSON; the file is damaged") from None
    if not isinstance(value, dict):
        raise ScheduleError(f"{path}:{number}: no JSON object; the file is damaged")
    return value


def _read_steps(path: Path, lines: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for number, line in enumerate(lines[1:], 2):
        entry = _json_object(path, number, line)
        if "end" in entry:
            if entry["end"] != len(names) or number != len(lines):
                break
            return tuple(names)
        kind, obj = entry.get("kind"), entry.get("obj")
        if entry.get("step") != len(names) + 1 or not isinstance(kind, str):
            raise ScheduleError(f"{path}:{number}: not step {len(names) + 1}; the file is damaged")
        if not isinstance(obj, str):
            raise ScheduleError(f"{path}:{number}: a step without an object; the file is damaged")
        names.append(f"{kind} {obj}")
    raise ScheduleError(f"{path}: cut off or damaged after step {len(names)}")
