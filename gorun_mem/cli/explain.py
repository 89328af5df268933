"""`gorun-mem explain`: what a word means here."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from gorun_mem.cli._common import BadInput, ExitCode, json_option, write_json
from gorun_mem.cli._output import show
from gorun_mem.cli._topics import TOPICS

if TYPE_CHECKING:
    from gorun_mem.report.terms import Term

EXIT_CODES: Final[dict[ExitCode, str]] = {
    ExitCode.CLEAN: "clean: it ended well, it agrees, nothing was found",
    ExitCode.FAILED: "a throw, a fault, out of memory, an assertion, a difference, or anything "
    "that a search found",
    ExitCode.USAGE: "the command line or the input is wrong",
    ExitCode.HANG: "run or ops ended in a deadlock, a hang or without progress",
    ExitCode.INTERNAL: "a fault of this program, or of the machine it runs on",
    ExitCode.INCONCLUSIVE: "a search that can promise nothing",
    ExitCode.INTERRUPTED: "interrupted, by Ctrl-C; SIGTERM and SIGHUP end it likewise, and then by "
    "the signal",
}


@click.command("explain")
@click.argument("term", nargs=-1)
@json_option()
def command(term: tuple[str, ...], as_json: bool) -> int:
    """Say what TERM is: a word of an output, a metric, a lock, an event, a step, a verb.

    Without TERM all words are listed, and what lists the names of each sort.

    \b
    Examples:
      gorun-mem explain convoy
      gorun-mem explain wait p50
      gorun-mem explain lock.memlock.fairness
      gorun-mem explain exit-codes
      gorun-mem explain calibration
      gorun-mem explain lock.acquire
      gorun-mem explain mutexes

    Exit codes: 0 clean; 2 there is no such word.
    """
    wanted = " ".join(term)
    topic = wanted.lower().replace(" ", "-").replace("_", "-")
    if not wanted:
        _list(as_json)
    elif topic == "exit-codes":
        _exit_codes(as_json)
    elif topic == "calibration":
        _calibration(as_json)
    elif topic == "schema":
        _schema()
    elif topic in TOPICS:
        _all_of(topic, as_json)
    else:
        _one(wanted, as_json)
    return ExitCode.CLEAN


def _list(as_json: bool) -> None:
    from gorun_mem.report.terms import WORDS, metric_terms

    terms = [*WORDS, *metric_terms()]
    if as_json:
        write_json({"topics": TOPICS, "terms": [asdict(each) for each in terms]})
        return
    groups: dict[str, list[str]] = {}
    for each in terms:
        groups.setdefault(each.group, []).append(each.word)
    for group, words in groups.items():
        show(click.style(group, bold=True))
        show(_wrapped(", ".join(words)))
    show(click.style("more", bold=True))
    for name, text in TOPICS.items():
        show(_wrapped(f"{name}: {text}"))
    show("\ngorun-mem explain WORD says what it means")


def _one(wanted: str, as_json: bool) -> None:
    from gorun_mem.cli._named import all_names, named
    from gorun_mem.report.terms import UnknownTerm, look_up, unknown

    found: list[Term] = []
    try:
        found.append(look_up(wanted))
    except UnknownTerm:
        found += named(wanted)
    else:
        found += [each for each in named(wanted) if each.word == wanted]
    if not found:
        raise BadInput(unknown(wanted, all_names()))
    if as_json:
        first, *others = map(asdict, found)
        write_json(first | ({"others": others} if others else {}))
        return
    for each in found:
        show("\n".join(_said(each)))


def _said(term: Term) -> Iterable[str]:
    from gorun_mem.cli._named import NameEntry

    parts = term.parts if isinstance(term, NameEntry) else {}
    sort = f", {term.group}" if isinstance(term, NameEntry) else ""
    yield click.style(term.word, bold=True) + sort
    yield _wrapped(term.text)
    yield from _listed(parts, "    ")
    facts = {
        "also": ", ".join(term.also),
        "formula": term.formula,
        "source": term.source,
    }
    for name, text in facts.items():
        if text:
            yield _wrapped(f"{name + ':':9}{text}", "           ")
    if term.example:
        yield f"  try:     {term.example}"  # not wrapped: it is to be pasted


def _exit_codes(as_json: bool) -> None:
    verbs = dict(_of_the_verbs())
    if as_json:
        codes = {str(int(code)): text for code, text in EXIT_CODES.items()}
        write_json({"codes": codes, "verbs": verbs})
        return
    for code, text in EXIT_CODES.items():
        show(_wrapped(f"{int(code):3}  {text}", "       "))
    show("of several files the weightiest counts: 4, then 2, 1, 0")
    show("\nverb by verb, and 130 where it is interrupted:")
    for verb, text in verbs.items():
        show(_wrapped(f"{verb:17}{text}", " " * 19))
    show("\nin CI: --github and --junit of run, explore, compare, diff and predict")


def _of_the_verbs() -> Iterable[tuple[str, str]]:
    """What each verb's help says of its exit codes."""
    from gorun_mem.cli._named import helps

    for verb, paragraphs in helps():
        for paragraph in paragraphs:
            said = paragraph.partition("Exit codes: ")[2]
            if said:
                yield verb, said


def _calibration(as_json: bool) -> None:
    from gorun_mem import calibration

    text = inspect.cleandoc(calibration.__doc__ or "")
    if as_json:
        write_json({"calibration": text})
        return
    for paragraph in text.split("\n\n"):
        for part in _parts(paragraph.splitlines()):
            show(part)
        show("")


def _schema() -> None:
    from gorun_mem.events.schema import make_schema

    write_json(make_schema())


def _all_of(sort: str, as_json: bool) -> None:
    from gorun_mem.cli._named import SORTS

    found = SORTS[sort].texts()
    if as_json:
        write_json({sort: found})
        return
    show("\n".join(_listed(found)))
    if sort == "detectors":
        _example_of_a_detector()


def _listed(found: Mapping[str, str], before: str = "  ") -> Iterable[str]:
    size = max(map(len, found), default=0)
    for name, text in found.items():
        yield _wrapped(f"{name:{size}}  {text}", " " * (len(before) + size + 2), before)


def _example_of_a_detector() -> None:
    from gorun_mem.explore.detectors.load import EXAMPLE

    show("\nOne of your own, explore --detector FILE.py:NeverBelowZero:")
    show(EXAMPLE.rstrip().replace("\n", "\n    "))


def _parts(lines: list[str]) -> Iterable[str]:
    """A paragraph for this terminal: as a whole, or each `word  meaning` of a list by itself."""
    entries: list[list[str]] = []
    for line in lines:
        if entries and not (line.startswith(" " * 4) and line[4:5].strip()):
            entries[-1].append(line.strip())
        else:
            entries.append([line.rstrip()])
    for entry in entries:
        name, _, rest = entry[0].strip().partition("  ")
        if entry[0].startswith(" "):
            text = f"{name:12}{' '.join([rest.strip(), *entry[1:]])}"
            yield _wrapped(text, " " * 16, " " * 4)
        else:
            yield _wrapped(" ".join(entry), "", "")


def _wrapped(text: str, behind: str = "  ", before: str = "  ") -> str:
    from gorun_mem.report.width import folded

    return "\n".join(folded(before + text, len(behind)))
