"""What `report RECORDING` says: what the pages are made of, and why they do not go back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.cli._common import BadInput, ExitCode, write_json
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.predict.makeup import Makeup
    from gorun_mem.predict.program import Program

_MIB: Final = 1 << 20
_PAGE: Final = 1 << 16
_ROWS: Final = 12
"""Growths that are shown, the last among them."""


def is_recording(name: str) -> bool:
    """Whether a file, or a name of one that comes along, is a recording.

    A pipe is none: what is read of it to find out would be missing then.
    """
    from gorun_mem.files.reading import is_read_once
    from gorun_mem.replay.recording import Recording, RecordingError

    if is_read_once(name):
        return False
    try:
        with Recording(name):
            return True
    except (OSError, RecordingError):
        return False


def tell(name: str, as_json: bool) -> int:
    """Say what a recording's pages are made of.

    Raises:
        BadInput: it is damaged, or has no spans.
    """
    from gorun_mem.predict.makeup import makeup
    from gorun_mem.predict.program import load
    from gorun_mem.replay.recording import RecordingError
    from gorun_mem.report.worth import look_up_line

    try:
        program = load(name)
    except RecordingError as error:
        raise BadInput(str(error)) from None
    found = makeup(program)
    if as_json:
        write_json(_document(program, found))
    else:
        show(_text(program, found), "", look_up_line(("slack", "heap free")))
    return ExitCode.CLEAN


def _document(program: Program, found: Makeup) -> dict[str, Any]:
    header = program.header
    return {
        "program": header.program,
        "release": header.go,
        "platform": header.platform_name,
        "initial_pages": program.initial_pages,
        "pages": found.end.pages,
        "recorded_pages": program.pages,
        **asdict(found),
    }


def _text(program: Program, found: Makeup) -> str:
    from gorun_mem.predict.makeup import PARTS
    from gorun_mem.report.width import figures_table

    header = program.header
    lines = [
        f"{header.program or 'program'}, {header.go} {header.platform_name}: "
        f"{found.end.pages:,} pages at the end, {program.initial_pages:,} at the start",
        "",
        "what they are for at the end",
    ]
    lines += [
        f"  {size / _PAGE:10,.1f} pages  {PARTS[name]}"
        for name, size in found.end.parts.items()
        if size
    ]
    lines += ["", "who asked for what grew the memory"]
    lines += [f"  {pages:8,} pages  {who}" for who, pages in found.grown_by.items()]
    names = ("in_use", "heap_free", "reserved", "metadata", "free", "slack", "unused")
    head = ("event", "pages", *(name.replace("_", " ") for name in names))
    rows = [
        (f"{s.seq:,}", f"{s.pages:,}", *(f"{s.parts[name] / _PAGE:,.1f}" for name in names))
        for s in _some(found)
    ]
    lines += ["", "over time, in pages of 64 KiB", figures_table(head, rows), ""]
    lines += _verdict(found)
    return "\n".join(lines)


def _some(found: Makeup) -> list[Any]:
    """At most `_ROWS` growths, evenly chosen, and the end."""
    samples = found.samples
    step = max(-(-len(samples) // _ROWS), 1)
    return [*samples[::-1][::step][::-1], found.end]


def _verdict(found: Makeup) -> list[str]:
    from gorun_mem.predict.makeup import PARTS

    back = {name: size for name, size in found.reclaimable.items() if size}
    total = sum(back.values()) // _PAGE
    lines = [
        f"most in use at once: {found.peak_live / _MIB:,.1f} MiB of spans, at event "
        f"{found.peak_seq:,}; collections: {found.collections:,}"
    ]
    said = ", ".join(f"{size // _PAGE:,} {PARTS[name]}" for name, size in back.items())
    lines.append(
        f"linear memory cannot shrink; a host that could take back content (memory.discard) would "
        f"get {total:,} of {found.end.pages:,} pages" + (f": {said}" if said else "")
    )
    lines += [
        f"warning: the mark phase at event {mark.seq:,} ran away: in use grew {mark.ratio:.1f} "
        f"times, from {mark.before / _MIB:.1f} to {mark.after / _MIB:.1f} MiB"
        for mark in found.marks
    ]
    return lines
