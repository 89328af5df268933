"""A failure on one screen: what broke, the steps that matter, who did what when, how to replay it.

The screen has 100 columns and 45 lines. What always stands there is what broke and the command that
replays it; the diagram of the Ms gets the lines that the rest leaves. Of the steps it shows those
around switches, forced ones first, then the latest. Nothing is guessed: every line follows from the
failure and, for the free list, from one replay of it.

The steps that matter are named before it (see `matters`).

A token that has the names of its steps may take half a screen; then the command has the same
schedule without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.explore.failure import Failure
from gorun_mem.explore.matters import Sights, what_matters
from gorun_mem.explore.verdict import count
from gorun_mem.explore.waits import lines_of
from gorun_mem.runtime.errors import EmulatedFailure, Fault, Hang, Throw
from gorun_mem.step.schedule import Schedule, Step

if TYPE_CHECKING:
    from gorun_mem.explore.target import Target
    from gorun_mem.machine.world import World

COLUMNS: Final = 100
_columns: Final = ContextVar("columns", default=COLUMNS)
"""Columns of the screen that is being written."""
LINES: Final = 45
LANES_MAX: Final = 6
"""Ms that the diagram has room for."""
TOKEN_LINES_MAX: Final = 6
"""Of the screen, for the command; see the module."""
_TEXT_MAX: Final = 4
_SENTENCE_MAX: Final = 3
"""Lines of a sentence on what matters."""
_BLOCKS_MAX: Final = 4
_SOURCES_MAX: Final = 6
"""Lines of the program that are shown."""
_GUTTER: Final = 7
_MEMORY_KINDS: Final = frozenset({"throw", "fault", "illegal_use"})
_SETTINGS: Final = (
    "trio",
    "release",
    "platform",
    "mutex",
    "policy",
    "granularity",
    "ms",
    "host",
    "seed",
)


def render(failure: Failure, target: Target | None = None, columns: int = COLUMNS) -> str:
    """The report of a failure.

    Args:
        failure: as `explore` found it.
        target: the program, to look at its memory; found by the schedule's own words if None, and
            where that is not possible the report goes without the free list.
        columns: that a line has at most.

    Returns:
        At most `LINES` lines of so many columns, the last line the command that replays it. That
        line alone may be longer than the screen is wide, for it is made to be pasted.
    """
    token = _columns.set(columns)
    try:
        return _render(failure, target)
    finally:
        _columns.reset(token)


def _render(failure: Failure, target: Target | None) -> str:
    sights, memory = _seen_again(failure, target)
    head = [*_head(failure), "", *_what_matters(failure, sights)]
    tail: list[str] = []
    for part in (failure.history, lines_of(failure), _sources(sights), _memory(memory)):
        if part:
            tail += ["", *map(_cut, part)]
    command = _command(failure)
    tail += ["", "Replay it:", command]
    used = len(head) + len(tail) - 1 + -(-len(command) // _columns.get()) + 1
    places = [getattr(op, "place", "") for op in sights.ops] if sights is not None else []
    return "\n".join([*head, "", *_lanes(failure, LINES - used, places), *tail])


# What broke.


def _head(failure: Failure) -> list[str]:
    lines = [_cut(f"FAILED: {failure.signature}")]
    parts = [part for part in failure.text.splitlines() if part not in failure.history]
    text = [line for part in parts for line in wrap(part, _columns.get() - 2)]
    lines += [f"  {line}" for line in text[:_TEXT_MAX]]
    if len(text) > _TEXT_MAX:
        lines.append(f"  ... and {count(len(text) - _TEXT_MAX, 'line')} more")
    lines.append(_cut(f"  {_found(failure)}"))
    known = [f"{name} {failure.settings[name]}" for name in _SETTINGS if failure.settings.get(name)]
    if known:
        lines.append(_cut(f"  {', '.join(known)}"))
    return lines


def _found(failure: Failure) -> str:
    steps, switches = len(failure.steps), failure.switches
    text = f"{count(steps, 'step')}, {count(switches, 'switch', 'switches')}"
    text += f", {failure.preemptions} forced"
    if failure.strategy:
        text += f"; found by {failure.strategy} in run {failure.run + 1:,}"
    if failure.shrunk_from is not None:
        before_steps, before_switches = failure.shrunk_from
        if (before_steps, before_switches) != (steps, switches):
            text += f", shrunk from {count(before_steps, 'step')}"
            text += f" and {count(before_switches, 'switch', 'switches')}"
    return text


def _what_matters(failure: Failure, sights: Sights | None) -> list[str]:
    if not failure.steps:
        return ["No step was written down."]
    lines = ["What matters:"]
    for number, sentence in enumerate(what_matters(failure, sights), 1):
        lines += _wrapped(f"  {number}. ", sentence, _SENTENCE_MAX)
    return lines


# The Ms, each in a column.


def _lanes(failure: Failure, room: int, places: Sequence[str] = ()) -> list[str]:
    """The diagram: a line of names, then a line for each step shown; at most `room` lines.

    Args:
        failure: what is shown.
        room: lines.
        places: of the steps, the program's own line, as "file:line"; "" where that is not known.
    """
    steps = failure.steps
    if not steps or room < 3:
        return []
    shown = _shown(steps, max(room - (2 if any(places) else 1), 2))
    ms = _lanes_of(steps, shown)
    width = (_columns.get() - _GUTTER) // max(len(ms), 1)
    names = [_fit(f"M{m} {failure.ms.get(m, '')}".rstrip(), width) for m in ms]
    files = {place.rpartition(":")[0] for place in places if place}
    lines = [f"{'step':>{_GUTTER - 2}}  {''.join(names)}".rstrip()]
    if len(files) == 1 and room > 3:  # then the numbers of its lines will do
        lines.insert(
            0, f"{'':>{_GUTTER}}(behind each step: the line of {files.pop()} it goes on from)"
        )
        places = [f":{place.rpartition(':')[2]}" if place else "" for place in places]
    before = -1
    for index in shown:
        left_out = index - before - 1
        if left_out:
            lines.append(f"{':':>{_GUTTER - 2}}  ({count(left_out, 'step')})")
        place = places[index] if index < len(places) else ""
        lines.append(_lane_line(steps, index, ms, width, place))
        before = index
    return lines


def _lane_line(steps: Sequence[Step], index: int, ms: Sequence[int], width: int, place: str) -> str:
    step = steps[index]
    mark = ">" if step.preempts else " "
    if step.m not in ms:
        return _cut(f"{index + 1:>{_GUTTER - 2}}{mark} (M{step.m} {step.kind} {step.obj})")
    cells = []
    for m in ms:
        line = "|" if _lives(steps, m, index) else ""
        cells.append(_fit(_placed(step.name, place, width) if m == step.m else line, width))
    return f"{index + 1:>{_GUTTER - 2}}{mark} {''.join(cells)}".rstrip()


def _placed(name: str, place: str, width: int) -> str:
    """A step with the program's line; a long name makes room for it."""
    if not place:
        return name
    room = max(width - len(place) - 2, 8)
    return f"{name if len(name) <= room else f'{name[: room - 3]}...'} {place}"


def _lives(steps: Sequence[Step], m: int, index: int) -> bool:
    """Whether `m` has begun before step `index` and makes another after it."""
    return any(s.m == m for s in steps[:index]) and any(s.m == m for s in steps[index:])


def _lanes_of(steps: Sequence[Step], shown: Sequence[int]) -> list[int]:
    """The Ms that get a column: of those shown the ones that act latest."""
    latest: dict[int, int] = {}
    for index in shown:
        latest[steps[index].m] = index
    chosen = sorted(latest, key=lambda m: -latest[m])[:LANES_MAX]
    return sorted(chosen)


def _shown(steps: Sequence[Step], room: int) -> list[int]:
    """Indices of the steps to show, so that with the lines for what is left out they fit `room`."""
    chosen: set[int] = set()
    for index in _by_weight(steps):
        more = chosen | {index}
        if _lines_of(more) <= room:
            chosen = more
        elif len(chosen) >= room:
            break
    return sorted(chosen)


def _by_weight(steps: Sequence[Step]) -> Iterator[int]:
    """Every step around a switch, the weightiest first; in a short run all others after them."""
    last = len(steps) - 1
    yield last
    switches = [i for i, (a, b) in enumerate(pairwise(steps), 1) if a.m != b.m]
    forced = [i for i in switches if steps[i].preempts]
    for index in (*reversed(forced), *reversed(switches)):
        yield index
        yield index - 1
    if last:
        yield last - 1
    yield 0
    for index in (*reversed(forced), *reversed(switches)):
        if index < last:
            yield index + 1
        if index > 1:
            yield index - 2
    if last < LINES:
        yield from range(last, -1, -1)


def _lines_of(chosen: set[int]) -> int:
    """Lines that these steps take: one each, and one for each gap before one."""
    return len(chosen) + sum(1 for index in chosen if index and index - 1 not in chosen)


# The program's lines.


def _sources(sights: Sights | None) -> list[str]:
    """The lines that the last steps went on from, where they are known."""
    known: dict[str, str] = {}
    for op in reversed(sights.ops if sights is not None else []):
        place, source = getattr(op, "place", ""), getattr(op, "source", "")
        if source and len(known) < _SOURCES_MAX:
            known.setdefault(place, source)
    lines = sorted(known, key=lambda place: (place.rpartition(":")[0], _number_of(place)))
    return ["The lines:", *(f"  {place}  {known[place]}" for place in lines)] if lines else []


def _number_of(place: str) -> int:
    number = place.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


# The free list.


@dataclass(frozen=True, slots=True)
class _State:
    """The memory after one step."""

    step: int
    blocks: tuple[tuple[int, int], ...] | None
    wrong: str


class _MemoryProbe:
    """A detector that keeps the last sound free list and how the list ended.

    While memFree is half way its list may look wrong and be right again some accesses later; so
    what counts is from where on it was never sound again.
    """

    name = "report"

    def __init__(self, forced: int) -> None:
        self._forced = forced  # number of the step that was the first forced switch

    def begin(self, world: World) -> None:
        """A run begins."""
        self._world: Any = world
        self._step = 0
        self.sound: _State | None = None
        self.last: _State | None = None
        self.before: _State | None = None

    def step(self, task: Any, op: Any, kind: str, obj: str, reads: bool, result: object) -> None:
        """Look at the list, once there is one."""
        self._step += 1
        if self._world.is_booted:
            self._look()

    def end(self, world: World) -> tuple[()]:
        """Look once more; nothing is found that the run did not find itself."""
        if world.is_booted:
            self._step += 1
            self._look()
        return ()

    def _look(self) -> None:
        state = _State(self._step, *_list_of(self._world))
        self.last = state
        if self._step < self._forced:
            self.before = state
        if not state.wrong:
            self.sound = state


def _list_of(world: World) -> tuple[tuple[tuple[int, int], ...] | None, str]:
    """The free list, None where it cannot be walked, and what is wrong with it."""
    freelist = world.runtime.os.freelist
    if freelist is None:
        return None, ""
    try:
        blocks = tuple(freelist.blocks())
    except Hang as error:
        return None, f"the list ends: the block at {error.address:#x} comes up twice"
    except Fault as error:
        return None, f"every header lies in the memory: {error.detail}"
    try:
        world.check()
    except Throw as error:
        said = "; ".join(error.printed) or error.message
        return blocks, f"{_INVARIANTS.get(error.message, error.message)}: {said}"
    except EmulatedFailure as error:
        return blocks, str(error)
    return blocks, ""


_INVARIANTS: Final = {
    "mem: infinite loop": "the list ends",
    "mem: unordered list": "blocks stand in address order",
    "mem: overlapping blocks": "no block reaches into the next",
    "mem: uninitialised memory": "a free block is zero behind its header",
    "gorun_mem: free block is handed out": "what is free belongs to nobody",
    "gorun_mem: program data is handed out": "the program's data is not handed out",
}
"""The invariant behind each of memCheck's throws and of the World's own checks."""


def _memory(probe: _MemoryProbe | None) -> list[str]:
    if probe is None or probe.last is None:
        return []
    last, sound = probe.last, probe.sound if probe.last.wrong else probe.before
    if not last.blocks and not last.wrong and not (sound and sound.blocks):
        return []
    lines = ["Free list (address+bytes):"]
    if sound is not None:
        lines.append(f"  after step {sound.step}: {_blocks(sound.blocks)}")
    lines.append(f"  at the end: {_blocks(last.blocks)}")
    if last.wrong:
        lines += _wrapped("  violated: ", last.wrong)
    return lines


def _is_about_memory(failure: Failure) -> bool:
    signature = failure.signature
    return (
        signature.kind in _MEMORY_KINDS
        or (signature.kind == "no_progress" and bool(signature.obj))
        or any(step.obj.startswith(("mem:0x", "memFreelist", "bloc")) for step in failure.steps)
    )


# The failure once more.


def _seen_again(
    failure: Failure, target: Target | None
) -> tuple[Sights | None, _MemoryProbe | None]:
    """What one more run of the schedule shows; None where the program is not found or changed.

    Of a run that does not end nothing is asked that only its end would tell.
    """
    from gorun_mem.explore.drive import STEPS_MAX, replay
    from gorun_mem.explore.target import Target

    is_about_memory = _is_about_memory(failure)
    if not failure.steps or (failure.signature.kind == "no_progress" and not is_about_memory):
        return None, None
    forced = [number for number, step in enumerate(failure.steps, 1) if step.preempts]
    sights, memory = Sights(), _MemoryProbe(forced[0] if forced else 0)
    try:
        program = target or Target.from_about(failure.schedule.about)
        done = replay(
            program,
            failure.schedule,
            detectors=(sights, memory) if is_about_memory else (sights,),
            steps_max=max(STEPS_MAX, len(failure.steps)),
        )
    except ValueError:  # what is wrong with a name, a setting or an option is one
        return None, None
    if done.divergence:
        return None, None
    return sights, memory if is_about_memory else None


def _blocks(blocks: tuple[tuple[int, int], ...] | None) -> str:
    if blocks is None:
        return "it cannot be walked"
    if not blocks:
        return "empty"
    text = "  ".join(f"{addr:#x}+{size:#x}" for addr, size in blocks[:_BLOCKS_MAX])
    more = len(blocks) - _BLOCKS_MAX
    return f"{text}  and {more} more" if more > 0 else text


# How to see it again.


def _command(failure: Failure) -> str:
    command = failure.command
    if len(command) <= TOKEN_LINES_MAX * _columns.get():
        return command
    short = Schedule(failure.schedule.tape, (), failure.schedule.about).token()
    return failure.command_for(short)


def _wrapped(start: str, text: str, lines_max: int = 2) -> list[str]:
    """`text` behind `start`, in at most so many lines."""
    return wrap(
        text,
        _columns.get(),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        max_lines=lines_max,
        placeholder=" ...",
    )


def _cut(text: str) -> str:
    columns = _columns.get()
    return text if len(text) <= columns else f"{text[: columns - 3]}..."


def _fit(text: str, width: int) -> str:
    """`text` in a column of `width`, with a space behind it."""
    return text.ljust(width) if len(text) < width else f"{text[: width - 4]}... "
