"""A recording of a real Go program, dealt to several Ms.

The program that was recorded had one M (wasm has no more). Here its calls are dealt to the Ms of a
World, either in turn or by the Go function that called, and issued in one of two ways:

    RecordedOrder   in the order recorded, whoever has a call waiting for its turn. Then every
                    answer, what sbrk and growMemory did beneath it, and the state after it must be
                    Go's. It shows that nothing at this layer depends on which M calls.
    FreeOrder       each M issues its own calls as fast as it gets memlock. Addresses come out
                    differently then, so a call is made for what it wants: mheap.sysAlloc is issued
                    as one, and a free frees what *here* was allocated by the call whose memory Go
                    freed there, and the same part of it. An M that is to free what another has not
                    allocated yet waits for it. Every answer is checked for soundness.

The World has the release, the platform and the memory of the recording's header. A smaller limit is
one that the program did not have: where a call gets nil that Go dies of, the run ends as
`OutOfMemory`. In recorded order it cannot go on either where Go would live and go another way.

On another release than the recorded one, in free order only, a program that grew by small arenas
fills a larger one before it asks again, as mheap.grow does with curArena. One that grew by large
arenas is taken to need all of them, though smaller ones might have done.

Simplified in free order: what mheap.sysAlloc does inside, chunks of persistentalloc among it, is
ours and not the recording's, and each M has a chunk of its own. Memory that Go allocated inside of
mheap.sysAlloc for itself never came to exist here; a free of it is skipped and counted.

Rejected: reading a recording into lists for the recorded order too. It is read as it is issued, so
its length does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from gorun_mem.machine.config import Config
from gorun_mem.machine.scenario import ScenarioError
from gorun_mem.replay.recording import Header, RecordedEvent, Recording, RecordingError
from gorun_mem.runtime.boot import DATA_END, MAX_PAGES

Deal = Literal["round_robin", "caller"]


class AnswersDiffer(Exception):
    """In recorded order an answer, or the state after a call, was not Go's."""


class AnotherWay(Exception):
    """In recorded order a limit refused what Go had, and what Go would do then is not recorded."""


class Unsound(Exception):
    """In free order an answer was one that no allocator may give; the message says which."""


def as_recorded(config: Config, options: Mapping[str, Any]) -> Config:
    """The settings under which the recording called `options["trace"]` was made.

    A smaller `max_pages` of the user's stays: what if the machine had had less memory? A larger one
    is refused, for a program's own maximum holds on every machine. Another release stays too, in
    free order: what if it had been built with that one? The initial pages are then the linker's
    rule applied to the recorded program's end.

    Args:
        config: what the user asks for.
        options: "trace", a path, and "order".

    Raises:
        ScenarioError: there is no such recording, it is bad, or `config` contradicts it.
    """
    trace = options["trace"]
    if not trace:
        raise ScenarioError(
            "no recording: name one with --set trace=FILE, such as maps.jsonl.gz "
            "(`gorun-mem replay FILE` reads the same files)"
        )
    header = _read_through(Path(trace)).header
    other_release = options["order"] == "free" and config.release not in (None, header.go)
    for name, asked, recorded in (
        ("release", config.release, header.go),
        ("platform", config.platform, header.platform_name),
    ):
        if asked not in (None, recorded) and not (name == "release" and other_release):
            raise ScenarioError(
                f"{name} {asked}: the recording is of {recorded}; leave --{name} out"
            )
    if options["order"] == "free" and header.goarch == "386":
        raise ScenarioError(
            "order = free: boot on plan9/386 reserves heap memory that a recording does not tell "
            "apart; take --set order=recorded"
        )
    _check_limits(config, header)
    return config.but(
        release=config.release or header.go,
        platform=header.platform_name,
        data_end=header.end,
        initial_pages=-1 if other_release else header.initial_pages,
        max_pages=min(config.max_pages, header.max_pages),
    )


def _check_limits(config: Config, header: Header) -> None:
    """Refuse what the user says of the memory and the recording says otherwise."""
    if header.max_pages < config.max_pages < MAX_PAGES:
        raise ScenarioError(
            f"max_pages {config.max_pages}: the recorded program itself allows no more than "
            f"{header.max_pages}, so a limit above that changes nothing; give a lower one, or "
            "leave --max-pages out"
        )
    for option, asked, usual, recorded in (
        ("init-pages", config.initial_pages, -1, header.initial_pages),
        ("end", config.data_end, DATA_END, header.end),
    ):
        if asked not in (usual, recorded):
            raise ScenarioError(
                f"--{option} {asked}: the recording has {recorded}; leave --{option} out"
            )


def _read_through(path: Path) -> Recording:
    """The recording, closed, once it is known to be good to its end."""
    try:
        with Recording(path) as recording:
            for _ in recording:
                pass
            return recording
    except RecordingError as error:
        raise ScenarioError(str(error)) from None
    except OSError as error:
        raise ScenarioError(f"recording {path}: {error.strerror}") from None


def dealt_to(event: RecordedEvent, number: int, deal: Deal, ms: int) -> int:
    """Index of the M that is to issue `event`, the `number`th call."""
    return (crc32(event.by.encode()) if deal == "caller" else number) % ms
