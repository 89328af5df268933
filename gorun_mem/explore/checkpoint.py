"""How far a long search has come, in a file: plain values, from which it goes on as if never ended.

What is kept is a search at a moment at which everything that its course was told of has been taken
in and nothing else; what was under way then is run anew. So a search that is broken off and gone on
with, however often, comes to what one run comes to. The file says of what program, how searched and
by which version: another search is refused, with what differs. Budget, time and the number of
workers may differ, for they say how far to go and with what, not what is searched.

The file is data: nothing of it is run. It begins with a line that names it, and is MessagePack
behind that, compressed by zstd with a checksum.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from gorun_mem._version import VERSION
from gorun_mem.explore.batch import Batch, Found
from gorun_mem.explore.courses import ByCost, ByCostState, Course, Drawing, WholeTree
from gorun_mem.explore.detectors.load import files_of
from gorun_mem.explore.failure import Signature
from gorun_mem.explore.naming import code_of
from gorun_mem.explore.portfolio import Portfolio, Slice
from gorun_mem.explore.rounds import Rounds
from gorun_mem.explore.subtrees import SharedOrder, SharedTree
from gorun_mem.explore.target import Target
from gorun_mem.files.packed import RATIO_MAX
from gorun_mem.files.reading import is_read_once, open_input
from gorun_mem.files.writing import write_output
from gorun_mem.machine.config import ConfigError
from gorun_mem.scripts import split
from gorun_mem.step.strategies import STRATEGIES
from gorun_mem.step.strategies.dfs import Branch, DfsState, Left
from gorun_mem.step.strategies.searching import Profile

EVERY_S: Final = 60.0
"""Seconds of real time between two that are written."""
_KIND: Final = b"gorun_mem search "
HEAD: Final = _KIND + b"2\n"
PACKED_MAX: Final = 1 << 30
"""No checkpoint is larger."""
_DIFFER_MAX: Final = 20
"""Differences from another search that are told."""
FREE_BYTES: Final = 64 << 20
"""What any checkpoint may be when it is unpacked; a larger one RATIO_MAX times what it was."""
_NOT_SEARCHED: Final = frozenset({"costs", "schedule", "seed", "steps_max", "strategy"})
"""Settings that a search does not go by, or that are told in another way."""
NAME_MAX: Final = 1024
"""A longer option is no file's name."""


class CheckpointError(ConfigError):
    """A file that is no checkpoint, or not one of this search, or cannot be written."""


class SavedFound(msgspec.Struct, array_like=True):
    """As `Found`."""

    run: int
    strategy: str
    kind: str
    obj: str
    site: str
    tape: list[int]


class SavedBatch(msgspec.Struct):
    """As `Batch`; the hashes as machine words."""

    schedules: int
    redundant: int
    steps: int
    decisions: int
    unfair: int
    timed: bool
    by_strategy: dict[str, int]
    handovers: list[tuple[str, str]]
    found: list[SavedFound]
    uncontrolled: list[str]
    rested: bool
    hashes: bytes


class SavedProfile(msgspec.Struct):
    """As `Profile`."""

    decisions: int
    steps: dict[str, int]
    objects: dict[str, dict[str, int]]


class SavedRounds(msgspec.Struct):
    """As `Rounds`."""

    tree: SharedTree | None
    order: SharedOrder | None
    portfolio: Portfolio | None
    planned: list[Slice]
    complete: bool
    rested: bool
    keeps_time: bool
    cut: bool
    bypasses: dict[str, int]


SavedOthers = list[tuple[int, int, str, str]]


class SavedCost(msgspec.Struct):
    """As `ByCostState`."""

    bound_max: int | None
    bound: int
    beyond: bool
    queues: list[list[tuple[int, list[int], SavedOthers]]]
    tape: list[int]
    others: SavedOthers
    back: list[tuple[int, list[int], str, str]]
    told: int
    out_of_steps: bool


class Kept(msgspec.Struct):
    """A search.

    Args:
        version: of this package.
        program: what is searched, as in a token, and the hashes of its sources.
        how: what else decides which schedules there are.
        host: what runs the program; see `Target`.
        seconds: of real time that it has taken.
        spent: schedules that its first runs took of the budget.
        walks: random walks before it.
        space: about how many schedules there are.
        histories: objects whose operations are held against a model.
        canary: whether the planted bug was found; None: not asked.
        profile: what is known of the program.
        batch: what was counted.
        walked: what the walks before it came to, where they are no part of it.
        course: one of the four below, the others are None; none of them if it ended before.
    """

    version: str
    program: dict[str, Any]
    how: dict[str, Any]
    host: str = ""
    seconds: float = 0.0
    spent: int = 0
    walks: int = 0
    space: float | None = None
    histories: list[str] = []
    canary: bool | None = None
    profile: SavedProfile | None = None
    batch: SavedBatch | None = None
    walked: SavedBatch | None = None
    rounds: SavedRounds | None = None
    drawing: Drawing | None = None
    by_cost: SavedCost | None = None
    tree: WholeTree | None = None


class _Named(msgspec.Struct):
    """What is looked at first."""

    version: str


class Keeper:
    """Writes checkpoints to a file, now and then.

    Args:
        path: of the file.
        every_s: seconds of real time between two.
    """

    def __init__(self, path: Path, every_s: float | None = None) -> None:
        self.path = path
        self._every_s = EVERY_S if every_s is None else every_s
        self._last = time.monotonic()

    def keep(self, last: bool, make: Callable[[], Kept]) -> None:
        """Write one if it is time to, or the last.

        Raises:
            CheckpointError: it cannot be written.
        """
        now = time.monotonic()
        if last or now - self._last >= self._every_s:
            write(self.path, make())
            self._last = time.monotonic()


def write(path: Path, kept: Kept) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    import zstandard

    data = zstandard.ZstdCompressor(write_checksum=True).compress(msgspec.msgpack.encode(kept))
    try:
        write_output(path, HEAD + data)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from None


def read(path: Path) -> Kept | None:
    """The checkpoint in a file; None where there is no such file.

    Raises:
        CheckpointError: it is none of this version, or damaged.
    """
    if is_read_once(path):
        raise CheckpointError(f"{path} is no file: a checkpoint is read, and then written anew")
    try:
        with open_input(path) as file:
            head = file.read(len(HEAD))
            if head != HEAD and head.startswith(_KIND):
                raise CheckpointError(
                    f"{path} is a checkpoint as another version wrote them: go on with that "
                    "version, or begin anew with another file"
                )
            if head != HEAD:
                raise CheckpointError(f"{path} is no checkpoint of a search: name another file")
            packed = file.read(PACKED_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    data = _unpacked(path, packed)
    try:
        named = msgspec.msgpack.decode(data, type=_Named)
        if named.version != VERSION:
            raise CheckpointError(
                f"{path} is of version {named.version:.40}, and this is {VERSION}: go on with that "
                "version, or begin anew with another file"
            )
        return msgspec.msgpack.decode(data, type=Kept)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}): begin anew with another file"
        ) from None


def _unpacked(path: Path, data: bytes) -> bytes:
    import zstandard

    try:
        size = zstandard.get_frame_parameters(data).content_size
        if len(data) > PACKED_MAX or size > max(FREE_BYTES, RATIO_MAX * len(data)):
            raise zstandard.ZstdError(f"{len(data):,} bytes say that they are {size:,}")
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise CheckpointError(
            f"{path} is damaged ({error}): begin anew with another file"
        ) from None


def program_of(target: Target, detectors: Iterable[str] = ()) -> dict[str, Any]:
    """What is searched: names, settings, options, and the hashes of all files of the user's.

    Args:
        target: the program.
        detectors: of files, as they were named.
    """
    about = target.about
    names = [name for name in ("scenario", "function", "test") if name in about]
    found: dict[str, Any] = {name: about[name] for name in names}
    config = target.settings.config
    for field in fields(config):
        if field.name not in _NOT_SEARCHED:
            found[field.name] = _plain(getattr(config, field.name))
    found["costs"] = config.costs.sha256
    for name, value in about.get("options", {}).items():
        found[f"option {name}"] = _plain(value)
    found["source"] = target.sha256
    files = {*code_of(about), *map(str, about.get("options", {}).values()), *detectors}
    for name in sorted(files):
        path = Path(split(name)[0])
        if len(name) < NAME_MAX and path.is_file():
            with path.open("rb") as file:
                hashed = hashlib.file_digest(file, "sha256").hexdigest()
            found[f"the content of {name}"] = hashed[:16]
    return found


def _plain(value: Any) -> Any:
    """As it comes back from a file."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value, enc_hook=str))


def check(path: Path, kept: Kept, program: Mapping[str, Any], how: Mapping[str, Any]) -> None:
    """Whether the checkpoint is one of this search.

    Raises:
        CheckpointError: it is of another; the message says what differs.
    """
    there = {**kept.program, **kept.how}
    here = {**program, **how}
    differ = [
        f"{_in_words(name)} is {_in_words(there.get(name))} there and {_in_words(here.get(name))} "
        "here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
    if len(differ) > _DIFFER_MAX:
        differ[_DIFFER_MAX:] = [f"{len(differ) - _DIFFER_MAX:,} more"]
    if differ:
        raise CheckpointError(
            f"{path} is of another search: {'; '.join(differ)}; begin anew with another file"
        )


def _in_words(value: Any) -> str:
    text = "not given" if value in (None, "") else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def name_of(make: Any) -> str:
    """What makes a detector, in words that tell it from others."""
    if isinstance(make, partial):
        named = files_of([make])
        if named:
            return named[0]
        given = [str(one) for one in make.args if not isinstance(one, Mapping)]
        return f"{name_of(make.func)}({', '.join(given)})"
    return str(getattr(make, "__qualname__", repr(make)))


# Values that other modules have in a form of their own.


def saved_batch(batch: Batch) -> SavedBatch:
    """As it is kept."""
    found = [
        SavedFound(one.run, one.strategy, *_parts(one.signature), list(one.tape))
        for one in batch.found
    ]
    return SavedBatch(
        batch.schedules, batch.redundant, batch.steps, batch.decisions, batch.unfair, batch.timed,
        dict(batch.by_strategy), sorted(batch.handovers), found, list(batch.uncontrolled),
        batch.rested, array("q", sorted(batch.hashes)).tobytes(),
    )  # fmt: skip


def _parts(signature: Signature) -> tuple[str, str, str]:
    return signature.kind, signature.obj, signature.site


def restore_batch(saved: SavedBatch, into: Batch) -> None:
    """Let `into` be as it was kept."""
    into.schedules, into.redundant, into.steps = saved.schedules, saved.redundant, saved.steps
    into.decisions, into.unfair, into.timed = saved.decisions, saved.unfair, saved.timed
    into.by_strategy, into.handovers = dict(saved.by_strategy), set(saved.handovers)
    into.found = [
        Found(one.run, one.strategy, Signature(one.kind, one.obj, one.site), one.tape)
        for one in saved.found
    ]
    into.uncontrolled, into.rested = list(saved.uncontrolled), saved.rested
    hashes = array("q")
    hashes.frombytes(saved.hashes)
    into.hashes = set(hashes)


def saved_profile(profile: Profile) -> SavedProfile:
    """As it is kept."""
    objects = {obj: dict(counts) for obj, counts in profile.objects.items()}
    return SavedProfile(profile.decisions, dict(profile.steps), objects)


def restored_profile(saved: SavedProfile) -> Profile:
    """As it was."""
    return Profile(saved.decisions, saved.steps, saved.objects)


def save_course(course: Course, kept: Kept) -> None:
    """Put how far a course has come into a checkpoint; nothing may be under way."""
    if isinstance(course, Rounds):
        kept.rounds = _saved_rounds(course)
    elif isinstance(course, Drawing):
        kept.drawing = course
    elif isinstance(course, WholeTree):
        kept.tree = course
    elif isinstance(course, ByCost):
        kept.by_cost = _saved_cost(course.state())


def _saved_rounds(rounds: Rounds) -> SavedRounds:
    return SavedRounds(
        rounds.tree,
        rounds.order,
        rounds.portfolio,
        [*rounds.under_way, *rounds.planned],
        rounds.complete,
        rounds.rested,
        rounds.keeps_time,
        rounds.cut,
        rounds.bypasses,
    )


def _saved_cost(state: ByCostState) -> SavedCost:
    dfs = state.dfs
    queues: Any = [[tuple(left) for left in queue] for queue in dfs.queues]
    back: Any = [tuple(branch) for branch in state.back]
    return SavedCost(
        dfs.bound_max, dfs.bound, dfs.beyond, queues, dfs.tape, dfs.others, back,
        state.told, state.out_of_steps,
    )  # fmt: skip


def restored_course(kept: Kept) -> Course | None:
    """The course as it was; None where it ended before there was one."""
    if kept.rounds is not None:
        saved = kept.rounds
        rounds = Rounds(
            saved.tree, saved.order, saved.portfolio, saved.planned, [], saved.complete,
            saved.rested, saved.keeps_time, saved.cut, saved.bypasses,
        )  # fmt: skip
        rounds.put_back()
        return rounds
    if kept.by_cost is not None:
        cost = kept.by_cost
        queues = [[Left(*left) for left in queue] for queue in cost.queues]
        dfs = DfsState(cost.bound_max, cost.bound, cost.beyond, queues, cost.tape, cost.others)
        back = [Branch(*branch) for branch in cost.back]
        state = ByCostState(dfs, back, cost.told, cost.out_of_steps)
        return ByCost(cost.bound_max, None, state)
    if kept.drawing is not None:
        STRATEGIES[kept.drawing.strategy]  # a KeyError here, where a file is being judged
        kept.drawing.put_back()
        return kept.drawing
    if kept.tree is not None:
        kept.tree.put_back()
    return kept.tree
