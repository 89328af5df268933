"""A failure as a document: the one value that the terminal, `--json` and the page show.

`gorun_mem.explore.telling` makes it, with one more run of the schedule and a search for the
nearest one that passes; `gorun_mem.explore.report` draws it for a terminal. As JSON
(`msgspec.to_builtins`) it is what `explore --json` has in `failures`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gorun_mem.step.schedule import step_name


class LaneStep(Struct, frozen=True):
    """A step, as a line of the lanes.

    Args:
        step: its number, from 1.
        m: id of the M that made it, or whose store reaches memory by it.
        kind: of the access, and `obj` what it was made to.
        value: what it came to, such as "= 4096", "-> 0", "= SLEEPING|LOCKED" or "wakes M2"; ""
            where there is nothing to say, or the program was not run again.
        place: the program's own line, as "file:line"; "" where it is not known.
        preempts: the M that made the step before could have gone on.
        enabled: ids of the Ms that might have gone instead, itself included.
        drawn: data choices: label, number of values, value.
    """

    step: int
    m: int
    kind: str
    obj: str
    value: str = ""
    place: str = ""
    preempts: bool = False
    enabled: tuple[int, ...] = ()
    drawn: tuple[tuple[str, int, int], ...] = ()

    @property
    def text(self) -> str:
        """Kind, object and value."""
        name = step_name(self.kind, self.obj)
        return f"{name} {self.value}" if self.value else name


class Matter(Struct, frozen=True):
    """Something that matters.

    Args:
        text: in a sentence.
        steps: the numbers of the steps that it names, the most telling first.
    """

    text: str
    steps: tuple[int, ...] = ()


class PassingSchedule(Struct, frozen=True):
    """The nearest schedule that passes.

    Args:
        sentence: what differs: "had M2 gone before M1 at step 4, this passes: ...".
        differs_at: number of the failing schedule's step before which the other M would have had to
            go, or at which another value would have had to be drawn: the first that differs in
            effect.
        instead: ids of the Ms: who goes there in the failing schedule, and who should have.
        deviations: decisions in which the two schedules differ.
        parts_at: number of the first step that the two make differently; from there on `steps` are
            to be read beside the failing one's.
        token: replays it, as does `short_token`, which leaves the names of the steps out; `replay`
            is the command.
        choices: its decisions, as the scheduler's chair takes them: the id of an M wherever several
            could go, the value wherever one is drawn.
        but: what is found in it nevertheless, such as a race which every schedule has; "" for
            nothing.
        tried: schedules that were run to find it.
        steps: its steps.
    """

    sentence: str
    differs_at: int
    instead: tuple[int, int]
    deviations: int
    parts_at: int
    token: str
    short_token: str
    replay: str
    choices: tuple[int, ...]
    but: str
    tried: int
    steps: tuple[LaneStep, ...]


class FailureAccount(Struct, frozen=True):
    """All that is said of a failure.

    Args:
        signature: the failure in a line; `kind`, `object` and `site` are its parts.
        text: what went wrong, in lines.
        found: how many steps and switches, by which strategy in which run, shrunk from what.
        strategy: which found it.
        run: in which run of the search, from 0.
        token: the schedule; `replay` is the command that makes it again, `replay_short` the same
            with a token that leaves the names of the steps out.
        view: the command that opens the page on it.
        preemptions: forced switches.
        switches: all of them.
        settings: release, platform, mutex and the like.
        ms: names of the Ms by id.
        matters: what matters, the weightiest first.
        steps: the lanes.
        stuck: who waited or held what at the end.
        history: why an object's history is not linearizable, in lines.
        waits: who waits for whom at the end, in lines: the cycle, where there is one.
        sources: lines of the program that the last steps went on from: "file:line", its text.
        memory: the free list before and at the end, and the invariant that is violated, in lines.
        passing: the nearest schedule that passes; None where none was found or looked for.
        no_passing: why there is none, in a sentence; "" where there is one.
        opens_at: number of the step to look at first; 0 where none stands out.
    """

    signature: str
    kind: str
    object: str
    site: str
    text: str
    found: str
    strategy: str
    run: int
    token: str
    replay: str
    replay_short: str
    view: str
    preemptions: int
    switches: int
    settings: dict[str, Any]
    ms: dict[int, str]
    matters: tuple[Matter, ...]
    steps: tuple[LaneStep, ...]
    stuck: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    memory: tuple[str, ...] = ()
    passing: PassingSchedule | None = None
    no_passing: str = ""
    opens_at: int = 0
