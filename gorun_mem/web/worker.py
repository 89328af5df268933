"""The process of `gorun_mem.web.laboratory`: a request a line on stdin, an answer a line on stdout.

An answer is a status as HTTP has it, a space and JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gorun_mem._interrupts import end_with
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
    from gorun_mem.explore.retold import retell_log
    from gorun_mem.report import page
    from gorun_mem.web import offline
    from gorun_mem.web.of_tests import CODE

    view = page.read(facts["log"])
    told = retell_log(view.found.start, view.found.end, CODE, "gorun-mem view LOG")
    document = page.document(view, told=told.document())
    handle, path = tempfile.mkstemp(".html", "report-", folder)
    os.close(handle)
    try:
        offline.write(document, Path(path))
    except OSError as error:
        raise Refused(400, f"the report cannot be written: {error.strerror}") from None
    return {**document, "file": os.path.basename(path)}


def _prediction(facts: dict[str, Any], folder: str) -> Any:
    """The documents of two commands, as they print them, and what their parts are in words."""
    from gorun_mem.predict.makeup import PARTS

    return {"parts": PARTS} | {
        verb: _said(verb, facts["recording"]) for verb in ("report", "predict")
    }


def _said(verb: str, recording: str) -> Any:
    words = [sys.executable, "-m", "gorun_mem", verb, recording, "--json"]
    done = subprocess.run(words, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    try:
        return msgspec.json.decode(done.stdout)
    except msgspec.DecodeError:
        return {"error": done.stderr.decode("utf-8", "replace").strip()[-400:]}


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
    "prediction": _prediction,
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
    """Answer until stdin ends, or the service does."""
    end_with(os.getppid())
    # What a program prints is nobody's: the answers have stdout to themselves.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from gorun_mem.web.of_tests import CODE, is_test

    folder, *CODE[:] = sys.argv[1:]
    tests = [code for code in CODE if is_test(code)]

    def serve() -> None:
        for line in sys.stdin.buffer:
            out.write(answer(line, folder) + b"\n")
            out.flush()

    if tests:
        from gorun_mem.web.of_tests import within

        within(tests[0], serve)
    serve()  # also where the test was not found: whoever asks for it is told


if __name__ == "__main__":
    main()
