"""What the words of all outputs mean: one place for `explain`, the report's page and the service's.

The words are in terms.toml beside this; what metrics mean is said where they are made
(`gorun_mem.analysis.metrics`) and only looked up here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from gorun_mem._near import no_such
from gorun_mem.analysis.metrics import LOCK_METRICS, METRICS, PERCENTILES, RESULT, lock_of

METRIC_GROUP: Final = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word that an output uses.

    Args:
        word: it.
        group: what it belongs to.
        text: what it means, in a sentence or three.
        also: other words with this meaning, such as a column's title.
        formula: how it is computed, "" where there is nothing to compute.
        source: the paper, or the file of Go's runtime, "" for none.
        example: a command that shows it.
    """

    word: str
    group: str
    text: str
    also: tuple[str, ...] = ()
    formula: str = ""
    source: str = ""
    example: str = ""


class UnknownTerm(ValueError):
    """A word that has no entry; the message has the nearest."""


def _read() -> tuple[Term, ...]:
    table = tomllib.loads(files("gorun_mem.report").joinpath("terms.toml").read_text("utf-8"))
    return tuple(
        Term(word=word, **{**entry, "also": tuple(entry.get("also", ()))})
        for word, entry in table.items()
    )


WORDS: Final = _read()
"""All but the metrics, as they stand in the file."""

TERMS: Final[dict[str, str]] = {
    name: term.text for term in reversed(WORDS) for name in (*term.also, term.word)
}
"""Word -> what it means; other spellings and titles too."""


def metric_terms() -> Iterator[Term]:
    """Every metric of `run --json`; those of a lock as lock.NAME.WHAT."""
    for name, text in METRICS.items():
        yield _metric(name, text, f"{name} >= 0")
    for name, text in LOCK_METRICS.items():
        yield _metric(f"lock.NAME.{name}", text, f"lock.memlock.{name} >= 0")
    yield _metric(f"{RESULT}NAME", "a number that the scenario found", f"{RESULT}acquisitions >= 0")


def _metric(name: str, text: str, asserted: str) -> Term:
    return Term(
        word=name,
        group=METRIC_GROUP,
        text=f"{text[0].upper()}{text[1:]}.",
        source="metrics of run --json",
        example=f"gorun-mem run memlock_storm --assert '{asserted}'",
    )


def look_up(wanted: str) -> Term:
    """The entry of a word, a column's title or a metric.

    Raises:
        UnknownTerm: there is none.
    """
    plain = _plain(wanted)
    for term in WORDS:
        if plain == _plain(term.word):
            return term
    for term in WORDS:
        if plain in map(_plain, term.also):
            return term
    metrics = {term.word: term for term in metric_terms()}
    found = metrics.get(_family(wanted.strip())) or metrics.get(f"lock.NAME.{wanted.strip()}")
    if found is not None:
        return found
    raise UnknownTerm(unknown(wanted))


def unknown(wanted: str, others: Iterable[str] = ()) -> str:
    """What is wrong with a word that has no entry, and the nearest that has one.

    Args:
        wanted: the word.
        others: what could have been meant besides.
    """
    known = [*TERMS, *(term.word for term in metric_terms()), *others]
    return no_such("word", wanted, known, cutoff=0.5, lists="gorun-mem explain lists them")


def _plain(word: str) -> str:
    return " ".join(word.lower().replace("_", " ").replace("-", " ").split())


def _family(name: str) -> str:
    """A metric's name without the lock's or the result's, and without a percentile."""
    if name.startswith(RESULT):
        return f"{RESULT}NAME"
    if name.startswith("lock."):
        name = f"lock.NAME.{name.removeprefix(f'lock.{lock_of(name)}.')}"
    stem, _, last = name.rpartition(".")
    if last in PERCENTILES and name not in METRICS:
        return stem
    return name
