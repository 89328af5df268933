"""What a verb has judged, for CI: annotations of GitHub's, and JUnit's report.

A case is one judgement: a run that ended well, an assertion, a search, a program on a release. All
are read off the documents that `--json` writes, so that no other judgement is possible here. What
GitHub reads are workflow commands; their data and their properties are escaped as its toolkit does
(`@actions/core`, `command.ts`). JUnit's form is the one that Jenkins, GitLab and GitHub's readers
share; characters that XML cannot hold are replaced.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

ANNOTATION_MAX: Final = 4000
"""Characters of an annotation's text; GitHub cuts those that are much longer."""
_PLACE: Final = re.compile(r"(\S+\.py):(\d+)")
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class CheckedCase:
    """One judgement.

    Args:
        name: what was judged.
        fault: in a line, what is wrong; "" where nothing is.
        kind: of fault, a word.
        text: more of it, in lines.
        file: where the program's own line is that is concerned; "" where none is.
        line: its number, 0 where that is not known.
        seconds: how long it took, of real time.
        properties: facts by name.
    """

    name: str
    fault: str = ""
    kind: str = "failure"
    text: str = ""
    file: str = ""
    line: int = 0
    seconds: float = 0.0
    properties: Mapping[str, str] = field(default_factory=dict)


# From the documents.


def cases_of_run(document: Mapping[str, Any], script: str, first_line: int) -> list[CheckedCase]:
    """How a run ended, and each of its assertions.

    Args:
        document: of `run --json`.
        script: the scenario's file.
        first_line: of the scenario in it.
    """
    error, name = document["error"], str(document["scenario"])
    again = f"again: {document['again']}"
    file, line = _place(str((error or {}).get("text", "")), script, first_line)
    facts = {"token": str(document["token"]), "run_id": str(document["run_id"])}
    if document["outcome"] == "ok":
        cases = [CheckedCase(name, file=file, line=line, properties=facts)]
    else:
        text = str(error["text"]) if error else ""
        fault = f"{document['outcome']}: {_first_line(text) or document['outcome']}"
        cases = [
            CheckedCase(
                name, fault, str(document["outcome"]), f"{text}\n{again}", file, line, 0.0, facts
            )
        ]
    for one in document["asserts"]:
        said = f"{one['metric']} is {one['value']:,}: {one['text']} does not hold"
        cases.append(
            _judged(f"{name}: {one['text']}", "" if one["holds"] else said, again, file, line)
        )
    return cases


def cases_of_search(document: Mapping[str, Any], script: str, first_line: int) -> list[CheckedCase]:
    """A search: each failure it found, or its verdict.

    Args:
        document: of `explore --json`.
        script: the scenario's file.
        first_line: of the scenario in it.
    """
    name, verdict = f"explore {document['explore']}", str(document["verdict"])
    sentence, seconds = f"{verdict}: {document['reason']}", float(document["seconds"])
    counted = ("verdict", "schedules", "distinct", "strategy", "seed")
    facts = {one: str(document[one]) for one in counted}
    cases = []
    for found in document["failures"]:
        what = ": ".join(part for part in (found["kind"], found["object"]) if part)
        file, line = _place(f"{found['site']}\n{found['text']}", script, first_line)
        text = f"{found['text']}\nreplay: {found['replay']}\n{sentence}"
        kept = facts | {"token": str(found["token"])}
        cases.append(CheckedCase(name, what, found["kind"], text, file, line, seconds, kept))
    if cases:
        return cases
    file, line = _place("", script, first_line)
    ok = verdict in ("exhausted", "survived")
    fault = "" if ok else sentence
    return [CheckedCase(name, fault, verdict, sentence, file, line, seconds, facts)]


def cases_of_diff(document: Mapping[str, Any], name: str) -> list[CheckedCase]:
    """Two runs beside each other: each `--fail-on`, or that they were compared."""
    failed = set(document["failed"])
    cases = [
        _judged(f"{name}: {text}", f"--fail-on {text} holds" if text in failed else "")
        for text in dict.fromkeys(document["fail_on"])
    ]
    return cases or [CheckedCase(name)]


def cases_of_comparison(document: Mapping[str, Any]) -> list[CheckedCase]:
    """Settings beside each other: how each side's runs ended, and each `--fail-on`."""
    name = f"compare {document['compare']}"
    cases = []
    for side in document["sides"]:
        bad = [
            f"seed {seed}: {outcome}"
            for seed, outcome in zip(side["seeds"], side["outcomes"], strict=True)
            if outcome != "ok"
        ]
        fault = f"{len(bad)} of {len(side['seeds'])} runs did not end well" if bad else ""
        text = "\n".join([*bad, f"again: {side['run']}"]) if bad else ""
        cases.append(_judged(f"{name}: {side['name']}", fault, text))
    for text, sides in document["fail_on"].items():
        fault = f"--fail-on {text} holds of {', '.join(sides)}" if sides else ""
        cases.append(_judged(f"{name}: {text}", fault))
    return cases


def cases_of_predictions(documents: Iterable[Mapping[str, Any]]) -> list[CheckedCase]:
    """Programs under releases: whether each lives and holds what is asserted.

    Args:
        documents: `programs` of `predict --json`.
    """
    cases = []
    for program in documents:
        for row in program["releases"]:
            faults = [f"{text} does not hold" for text in row["failed_asserts"]]
            if row["outcome"] != "ok":
                least = row["smallest_limit"]
                more = f", it needs {least:,} pages" if least is not None else ""
                faults.insert(0, f"{row['outcome']}{more}")
            cases.append(
                CheckedCase(
                    f"predict {program['program']} {program['platform']} {row['release']}",
                    "; ".join(faults),
                    row["outcome"] if row["outcome"] != "ok" else "assertion",
                    f"pages {row['pages']}, expected {row['low']} to {row['high']}",
                    properties={name: str(row[name]) for name in ("pages", "low", "high")},
                )
            )
    return cases


def _judged(name: str, fault: str, text: str = "", file: str = "", line: int = 0) -> CheckedCase:
    """An assertion."""
    return CheckedCase(name, fault, "assertion", text if fault else "", file, line)


def _place(text: str, script: str, first_line: int) -> tuple[str, int]:
    """The line that a text names, where it is one of the script or of a file that is here."""
    for name, line in _PLACE.findall(text):
        if script and os.path.basename(script) == os.path.basename(name):
            return _from_here(script), int(line)
        if os.path.isfile(name):
            return _from_here(name), int(line)
    own = _from_here(script) if script else ""
    return (own, first_line) if own else ("", 0)


def _from_here(path: str) -> str:
    """A path as CI knows it: from the checkout on, with slashes; "" of what lies elsewhere."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.getcwd()
    try:
        inside = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    except ValueError:  # another drive
        return ""
    return "" if inside.startswith("..") else inside.replace(os.sep, "/")


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")


# As GitHub and JUnit have it.


def workflow_commands(cases: Sequence[CheckedCase]) -> Iterator[str]:
    """The workflow commands: an error for each case that is wrong."""
    for case in cases:
        if not case.fault:
            continue
        said = "\n".join(part for part in (case.fault, case.text.strip()) if part)
        if len(said) > ANNOTATION_MAX:
            said = f"{said[: ANNOTATION_MAX - 3]}..."
        places = {"file": case.file, "line": str(case.line or "")}
        properties = [
            f"{name}={_escaped_property(value)}"
            for name, value in (*places.items(), ("title", case.name))
            if value
        ]
        yield f"::error {','.join(properties)}::{_escaped_data(said)}"


def _escaped_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped_data(text).replace(":", "%3A").replace(",", "%2C")


def junit(verb: str, cases: Sequence[CheckedCase]) -> bytes:
    """JUnit's report of one call of the program.

    Args:
        verb: names the suite.
        cases: what was judged.
    """
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.fault) for case in cases)),
        "errors": "0",
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": "gorun-mem", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"gorun-mem {verb}", **counts})
    for case in cases:
        facts = {"classname": f"gorun-mem.{verb}", "name": _for_xml(case.name)}
        facts["time"] = f"{case.seconds:.3f}"
        if case.file:
            facts |= {"file": _for_xml(case.file), "line": str(case.line)}
        made = ElementTree.SubElement(suite, "testcase", facts)
        if case.properties:
            held = ElementTree.SubElement(made, "properties")
            for name, value in case.properties.items():
                ElementTree.SubElement(held, "property", {"name": name, "value": _for_xml(value)})
        if case.fault:
            about = {"message": _for_xml(case.fault), "type": _for_xml(case.kind)}
            ElementTree.SubElement(made, "failure", about).text = _for_xml(case.text)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _for_xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
