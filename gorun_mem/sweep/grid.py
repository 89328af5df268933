"""A sweep as a TOML file says it: the cells of its grid, and what is to hold of each.

[sweep]
verb = "run"                        # or explore, predict, verify
scenario = "memlock_storm"          # of predict: recording; of verify: mutex
out = "storm.parquet"
seeds = 20

[grid]                              # each list is a dimension
mutex = ["sema", "spinbit"]
ms = [2, 4, 8]
set.rounds = [50, 200]

[fixed]
cpus = 4

[assert]
pages = "final_pages <= 700"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from gorun_mem._near import no_such
from gorun_mem.analysis.metrics import Expression, parse_expression
from gorun_mem.files.toml import read_toml
from gorun_mem.sweep.verbs import SET, VERBS, SweepCell, SweepError, SweepVerb, option_of

CELLS_MAX: Final = 1_000_000
_SECTIONS: Final = ("sweep", "grid", "fixed", "assert")


@dataclass(frozen=True, slots=True)
class Grid:
    """What a file says.

    Args:
        verb: what is done.
        out: where its rows go.
        cells: in the order of the file, the seeds innermost.
        asserts: what is to hold of each row.
    """

    verb: str
    out: Path
    cells: tuple[SweepCell, ...]
    asserts: tuple[Expression, ...]


def read_grid(path: Path) -> Grid:
    """Read a file.

    Raises:
        SweepError: it cannot be read, or says what cannot be.
    """
    try:
        return _grid(read_toml(path))
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # of ours too
        raise SweepError(f"{path}: {error}") from None


def _grid(data: Mapping[str, Any]) -> Grid:
    for name, value in data.items():
        if name not in _SECTIONS:
            raise SweepError(no_such("section", name, _SECTIONS))
        if not isinstance(value, dict):
            raise SweepError(f"{name} = {value!r:.60}: it is a section: write [{name}]")
    head = dict(data.get("sweep", {}))
    name = head.pop("verb", None)
    if name not in VERBS:
        if name is None:
            raise SweepError(f'no verb in [sweep]: write verb = "run", or {", ".join(VERBS)}')
        raise SweepError(f"[sweep]: {no_such('verb', str(name), VERBS)}")
    verb = VERBS[name]
    out = head.pop("out", None)
    if not isinstance(out, str) or not out.endswith(".parquet"):
        raise SweepError(f"out = {out!r} in [sweep]: name the file of the rows, NAME.parquet")
    seeds = _seeds(head, verb, name)
    fixed, grid = data.get("fixed", {}), dict(data.get("grid", {}))
    if verb.about in head:
        grid = {verb.about: [head.pop(verb.about)], **grid}
    if head:
        known = ("verb", "out", "seeds", verb.about)
        raise SweepError(f"[sweep]: {no_such('key', next(iter(head)), known)}")
    dimensions = _dimensions(verb, grid, fixed)
    total = len(seeds)
    for values in dimensions.values():
        total *= len(values)
    if total > CELLS_MAX:
        raise SweepError(f"{total:,} cells: at most {CELLS_MAX:,} can be swept")
    cells = []
    for chosen in product(*dimensions.values()):
        options = dict(zip(dimensions, chosen, strict=True))
        subject = str(options.pop(verb.about))
        cells += [SweepCell(name, subject, options, seed) for seed in seeds]
    return Grid(name, Path(out), tuple(cells), _asserts(data.get("assert", {})))


def _seeds(head: dict[str, Any], verb: SweepVerb, name: str) -> Sequence[int | None]:
    seeds = head.pop("seeds", 1)
    if not verb.seeds:
        if seeds != 1:
            raise SweepError(f"seeds = {seeds} in [sweep]: {name} draws nothing and has no seeds")
        return [None]
    if isinstance(seeds, list) and seeds and all(type(seed) is int for seed in seeds):
        return seeds
    if type(seeds) is not int or seeds < 1:
        raise SweepError(f"seeds = {seeds!r} in [sweep]: must be a number from 1, or a list")
    return range(seeds)


def _dimensions(
    verb: SweepVerb, grid: Mapping[str, Any], fixed: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """The values of each option; those of [fixed] are one."""
    found: dict[str, list[Any]] = {}
    for section, one_only in ((grid, False), (fixed, True)):
        where = "[fixed]" if one_only else "[grid]"
        for name, value in _flat(section):
            option = name if name == verb.about or name.startswith(SET) else option_of(verb, name)
            if option in found:
                raise SweepError(f"{name} is said twice, in {where} too")
            values = [value] if one_only else value
            if not isinstance(values, list) or not values:
                raise SweepError(f"{name} = {value!r} in [grid]: must be a list of values")
            found[option] = values
    if verb.about not in found:
        raise SweepError(f"no {verb.about}: say in [sweep] or [grid] what is to be swept")
    return {verb.about: found.pop(verb.about), **found}


def _flat(section: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values, those of the scenario's options with `SET` before them."""
    found: list[tuple[str, Any]] = []
    for name, value in section.items():
        if name == "set" and isinstance(value, dict):
            found += [(SET + option, one) for option, one in value.items()]
        else:
            found.append((name, value))
    return found


def _asserts(section: Mapping[str, Any]) -> tuple[Expression, ...]:
    texts: list[str] = []
    for name, value in section.items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                raise SweepError(f"{name} = {text!r} in [assert]: must be an expression as text")
            texts.append(text)
    return tuple(parse_expression(text) for text in texts)
