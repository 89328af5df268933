"""The process of `gorun_mem.web.laboratory`: a request a line on stdin, an answer a line on stdout.

An answer is a status as HTTP has it, a space and JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gorun_mem.web.guard import Refused


def _chair(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.web import chair

    return chair.answer(facts)


def _token(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.web import chair

    return chair.answer_token(facts)


def _lanes(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.web import columns

    return columns.lanes(facts["log"], folder)


def _events(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.web import columns

    return columns.events(**facts)


def _report(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.report import page
    from gorun_mem.web import offline

    document = page.document(page.read(facts["log"]))
    handle, path = tempfile.mkstemp(".html", "report-", folder)
    os.close(handle)
    try:
        offline.write(document, Path(path))
    except OSError as error:
        raise Refused(400, f"the report cannot be written: {error.strerror}") from None
    return {**document, "file": os.path.basename(path)}


def _library(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.web import catalogue

    return catalogue.library()


def _check(facts: dict[str, Any], folder: str) -> Any:
    from gorun_mem.web import catalogue
    from gorun_mem.web.documents import NewRun

    wanted = msgspec.convert(facts, NewRun)
    catalogue.target_of(wanted.scenario, wanted.options, wanted.settings)
    return {}


ANSWERS: Final[dict[str, Callable[[dict[str, Any], str], Any]]] = {
    "chair": _chair,
    "check": _check,
    "token": _token,
    "lanes": _lanes,
    "events": _events,
    "report": _report,
    "library": _library,
}


def encoded(value: Any) -> bytes:
    """JSON; a damaged log may have numbers that need more than 64 bits."""
    try:
        return msgspec.json.encode(value)
    except OverflowError:
        return json.dumps(value).encode()


def answer(line: bytes, folder: str) -> bytes:
    """The answer to a request."""
    from gorun_mem.events.errors import LogError

    try:
        request = msgspec.json.decode(line)
        return b"200 " + encoded(ANSWERS[request["what"]](request["facts"], folder))
    except Refused as refusal:
        return b"%d %s" % (refusal.status, refusal.document())
    except LogError as error:
        return b"400 " + Refused(400, str(error), "is it an event log?").document()


def main() -> None:
    """Answer until stdin ends."""
    # What a program prints is nobody's: the answers have stdout to themselves.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin.buffer:
        out.write(answer(line, sys.argv[1]) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
