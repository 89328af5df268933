"""What operations answer, on their own and beside what the real Go code answered."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gorun_mem.replay.opcheck import compare
from gorun_mem.replay.ops import BadOptions, OpMachine, Options
from gorun_mem.replay.opscript import OPERANDS, Operation, Script, parse_operation
from gorun_mem.runtime.behaviour import UnknownRelease
from gorun_mem.runtime.errors import Hang, IllegalUse, Throw
from tests import DATA

RECORDED = sorted((DATA / "ops").glob("*.txt.gz"))
EMPTY = "cbf29ce484222325"
PAGE = 65536


def machine(**options: object) -> OpMachine:
    return OpMachine(Options(**options))  # type: ignore[arg-type]


def run(subject: OpMachine, *lines: str) -> list[str]:
    answers = []
    for line in lines:
        operation = parse_operation(line)
        assert operation is not None
        answers.append(subject.answer(operation))
    return answers


def fnv1a(data: bytes) -> str:
    """FNV-1a 64, written down a second time from its definition."""
    state = 14695981039346656037
    for byte in data:
        state = ((state ^ byte) * 1099511628211) % 2**64
    return f"{state:016x}"


def pairs(*words: int) -> bytes:
    return b"".join(word.to_bytes(8, "little") for word in words)


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.name.removesuffix("-random-1.txt.gz"))
def test_recorded_scripts(path: Path) -> None:
    """Every answer of the real code, of each generation and platform, is ours too."""
    with Script.open(str(path)) as script:
        result = compare(script, Options())
    assert result.error is None
    assert result.first is None
    assert result.compared == result.operations > 1000


@pytest.mark.parametrize("path", RECORDED[::4], ids=lambda p: p.name)
def test_strict_changes_nothing_for_a_correct_program(path: Path) -> None:
    """The recorded scripts free only what they own, and strict mode answers them alike."""
    with Script.open(str(path)) as script:
        result = compare(script, Options(strict=True))
    assert (result.error, result.first) == (None, None)


def test_there_are_recorded_scripts() -> None:
    """Each generation is among the data: without files the test above would claim nothing."""
    names = {p.name.removesuffix("-random-1.txt.gz") for p in RECORDED}
    assert {"1.19.8-wasm", "1.21.13-wasm", "1.24.11-wasm", "1.27.3-wasm"} <= names
    assert {"1.23.9-plan9", "1.24.11-plan9"} <= names


def test_info() -> None:
    """The release as given, the platform, and the maximum as given."""
    assert run(machine(), "info") == [
        "go1.27 wasm page=65536 end=1441448 max=65536 goos=js",
    ]
    assert run(
        machine(release="go1.24.3", platform="plan9/386", end=5000, max_pages=9), "info"
    ) == ["go1.24.3 plan9 page=4096 end=5000 max=9 goos=plan9"]
    assert run(machine(platform="wasip1/wasm"), "info")[0].endswith("goos=wasip1")


def test_alloc_free_reserve_and_state() -> None:
    """The calls and the state between them, from 1.24 on wasm."""
    assert run(
        machine(),
        "state",
        "alloc 1",
        "alloc 0x20000",
        "free 1441792 65536",
        "state",
        "reserve 1638400 1",
        "reserve 4096 1",
        "reserve 0 65536",
        "free 1441792 0x10000",
        "reserve_aligned 65536 0x20000",
    ) == [
        f"bloc=1441792 blocMax=2424832 pages=37 fl=0 fb=0 fh={EMPTY} grows=0 fails=0",
        "1441792",
        "1507328",
        "ok",
        "bloc=1638400 blocMax=2424832 pages=37 fl=1 fb=65536 "
        f"fh={fnv1a(pairs(1441792, PAGE))} grows=0 fails=0",
        "1638400",
        "0",
        "1441792",
        "ok",
        "1703936 65536",
    ]


def test_reserve_aligned_before_1_24_goes_the_generic_way() -> None:
    """Size and alignment are reserved together; an aligned result is kept whole, others trimmed."""
    start = 277 * PAGE  # 1.22 grows from the end of the initial memory: 277 is odd
    assert run(
        machine(release="go1.22"),
        "reserve_aligned 65536 65536",
        "reserve_aligned 65536 131072",
        "dump",
    )[:2] == [f"{start} 131072", f"{start + 3 * PAGE} 65536"]
    trimmed = machine(release="go1.22")
    run(trimmed, "reserve_aligned 65536 131072")
    (dump,) = run(trimmed, "dump")
    # [start, +3 pages): the first page is skipped, the second kept, the third given back.
    assert json.loads(dump)["free"] == [[start, PAGE], [start + 2 * PAGE, PAGE]]
    assert run(machine(release="go1.22", max_pages=277), "reserve_aligned 65536 65536") == ["0 0"]


def test_up_to_1_20_bloc_stands_for_reserve_end() -> None:
    """mem_js.go: reserveEnd starts at 0, blocMax is the end of memory, nothing is ever free."""
    assert run(
        machine(release="go1.20"), "state", "alloc 5", "free 1441792 65536", "reserve 7 1", "state"
    ) == [
        f"bloc=0 blocMax=18153472 pages=277 fl=0 fb=0 fh={EMPTY} grows=0 fails=0",
        "1441792",
        "ok",
        "0",
        f"bloc=1507328 blocMax=18153472 pages=277 fl=0 fb=0 fh={EMPTY} grows=0 fails=0",
    ]


def test_fill_word_iszero() -> None:
    """A user's writes, read back by byte and by 8-byte word, on a 32-bit platform too."""
    for platform in ("js/wasm", "plan9/386"):
        assert run(
            machine(platform=platform),
            "alloc 65536",
            "fill 1441801 3 0xab",
            "word 1441800",
            "iszero 1441792 4096",
            "fill 1441802 1 0",
            "iszero 1441792 4096",
            "fill 0 0 1",
            "iszero 0 0",
        ) == ["1441792", "ok", str(0xABABAB00), "3", "ok", "2", "ok", "0"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("word 0", "fault 0"),
        ("fill 0 1 1", "fault 0"),
        ("iszero 0 1", "fault 0"),
        ("word 2424825", "fault 2424832"),
        ("fill 2424830 3 1", "fault 2424832"),
        ("iszero 9999999 1", "fault 9999999"),
        ("free 2424832 65536", "fault 2424832"),
    ],
)
def test_faults(line: str, answer: str) -> None:
    """An access outside memory ends the program at the first byte that cannot be reached."""
    subject = machine()
    assert run(subject, line) == [answer]
    with pytest.raises(RuntimeError, match="the program has ended: fault"):
        run(subject, "state")


def test_limit_and_failnext() -> None:
    """Growth is refused where it passes the limit, or as often as asked for; both are counted."""
    subject = machine()  # 37 pages, 15 of them not handed out
    assert run(subject, "limit 38", "alloc 0x110000", "alloc 0x100000") == ["ok", "0", "1441792"]
    assert run(subject, "limit 100", "failnext 5", "failnext 1") == ["ok"] * 3
    assert run(subject, "alloc 65536", "alloc 65536") == ["0", "2490368"]
    assert run(subject, "state")[0].endswith(
        "pages=39 fl=0 fb=0 fh=cbf29ce484222325 grows=4 fails=2"
    )
    subject = machine(platform="plan9/amd64")
    limit = 23 * PAGE
    assert run(
        subject, "limit 23", f"alloc {limit - 1441792}", "alloc 1", "limit 24", "alloc 1"
    ) == [
        "ok",
        "1441792",
        "0",
        "ok",
        str(limit),
    ]
    assert run(subject, "failnext 2", "failnext 1", "alloc 1", "alloc 1") == [
        "ok",
        "ok",
        "0",
        str(limit + 4096),
    ]
    assert run(subject, "state")[0].endswith("grows=5 fails=2")


def test_dump_reads_the_headers_in_memory() -> None:
    """The list in order, and the hash of its headers, 16 bytes each or 8 on 386."""
    for platform, word in (("js/wasm", 8), ("plan9/386", 4)):
        subject = machine(platform=platform)
        run(subject, *["alloc 65536"] * 5, "free 1441792 65536", "free 1572864 65536")
        headers = b"".join(v.to_bytes(word, "little") for v in (1572864, PAGE, 0, PAGE))
        (dump,) = run(subject, "dump")
        assert dump.startswith('{"bloc":1769472,"blocMax":')
        view = json.loads(dump)
        assert list(view) == ["bloc", "blocMax", "pages", "free", "headers_sha256"]
        assert view["free"] == [[1441792, PAGE], [1572864, PAGE]]
        assert view["headers_sha256"] == hashlib.sha256(headers).hexdigest()


def test_dump_full_hashes_the_memory() -> None:
    """All of memory up to the top, also where an unrounded free left Plan 9's break off a page."""
    subject = machine(platform="plan9/amd64", end=70000)
    run(subject, "alloc 8192", "free 76640 5280", "alloc 8192", "fill 80720 9 1", "fill 65530 8 2")
    (dump,) = run(subject, "dump full")
    view = json.loads(dump)
    top = 73728 + 8192 - 5280 + 8192
    memory = bytearray(top)
    memory[80720:80729] = b"\1" * 9
    memory[65530:65538] = b"\2" * 8
    assert list(view)[5:] == ["top", "nonzero_words", "nonzero_fnv", "mem_sha256"]
    assert view["top"] == top
    assert view["mem_sha256"] == hashlib.sha256(memory).hexdigest()
    seen = [
        (at, int.from_bytes(memory[at : at + 8], "little"))
        for at in range(PAGE, top - 7, 8)
        if any(memory[at : at + 8])
    ]
    assert view["nonzero_words"] == len(seen) == 3
    assert view["nonzero_fnv"] == fnv1a(b"".join(pairs(*pair) for pair in seen))


DOUBLE_FREE = ("alloc 65536", "alloc 65536", "free 1441792 65536", "free 1441792 65536")


def test_a_double_free_hangs_the_walks_after_it() -> None:
    """Without memDebug the list comes back to itself; each walk of it names its function."""
    for last, function in (
        ("state", "state"),
        ("dump", "dump"),
        ("dump full", "dump"),
        ("alloc 131072", "memAllocNoGrow"),
        ("free 1507328 4096", "memFree"),
    ):
        subject = machine()
        assert run(subject, *DOUBLE_FREE)[-1] == "ok"
        assert run(subject, last) == [f"hang {function}"]
        assert isinstance(subject.failure, Hang)


def test_memdebug_throws() -> None:
    """memCheck finds the loop where it is made, and prints a line first."""
    subject = machine(memdebug=True)
    assert run(subject, *DOUBLE_FREE)[-1] == "throw mem: infinite loop"
    assert isinstance(subject.failure, Throw)
    assert subject.failure.printed == ("runtime: 0x160000 == 0x160000",)


def test_strict_refuses_and_changes_nothing() -> None:
    """The same double free is refused, before anything is changed."""
    subject = machine(strict=True)
    run(subject, *DOUBLE_FREE[:3])
    before = run(subject, "dump full")
    (answer,) = run(subject, "free 1441792 65536")
    assert answer.startswith("illegal free of [0x160000, 0x170000) refused: ")
    assert isinstance(subject.failure, IllegalUse)
    subject.failure = None
    assert run(subject, "dump full") == before


LEAK = ("alloc 0x100000", "alloc 1", "free 1441792 0x100000", "reserve_aligned 65536 65536")


@pytest.mark.parametrize(
    ("release", "platform", "answer"),
    [
        ("go1.24.4", "js/wasm", "throw self deadlock"),
        ("go1.24.4", "wasip1/wasm", "throw self deadlock"),
        ("go1.24.4", "plan9/amd64", "hang lock2"),
        ("go1.24.5", "js/wasm", "2293760"),
        ("go1.24.5", "plan9/amd64", "2355200"),
    ],
)
def test_memlock_leaked_by_1_24_0_to_1_24_4(release: str, platform: str, answer: str) -> None:
    """The next call finds memlock held: a throw on wasm, an endless sleep on Plan 9."""
    subject = machine(release=release, platform=platform)
    run(subject, *LEAK)
    assert run(subject, "alloc 1") == [answer]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"end": 0}, "end 0 does not lie"),
        ({"end": 1 << 32, "platform": "plan9/386"}, "32-bit address space"),
        ({"init_pages": -2}, "init_pages -2"),
        ({"max_pages": 65537}, "max_pages 65537"),
        ({"brk_max": -1}, "brk_max -1"),
    ],
)
def test_options_no_program_can_start_with(options: dict[str, object], said: str) -> None:
    """Bad options are named with their values before anything runs."""
    with pytest.raises(BadOptions, match=said):
        machine(**options)


def test_unknown_release_or_platform() -> None:
    """A release or platform that is none, or not in that release, is refused."""
    for options in (
        {"release": "go1.99"},
        {"platform": "linux/amd64"},
        {"release": "go1.20", "platform": "wasip1/wasm"},
    ):
        with pytest.raises(UnknownRelease):
            machine(**options)


def test_headers_are_taken_over_and_checked() -> None:
    """A header's options replace ours; what is none is skipped; a value of another kind is not."""
    header = {"release": "go1.24", "memdebug": True, "mode": "random", "seed": 1}
    assert Options(end=5).with_header(header) == Options("go1.24", end=5, memdebug=True)
    for bad in ({"end": "5"}, {"end": 5.0}, {"memdebug": 1}, {"end": True}, {"release": None}):
        with pytest.raises(BadOptions, match="and must be"):
            Options().with_header(bad)


def test_a_long_fragmented_list_is_quick() -> None:
    """64,000 operations over 20,000 free blocks take under 5 s of CPU; measured 1.2 s."""
    base = 1441792
    lines = ["alloc 65536"] * 40_000
    lines += [f"free {base + i * 2 * PAGE} 65536" for i in range(20_000)]
    lines += ["alloc 131072", "alloc 65536", "free 1441792 65536", "state"] * 1_000
    operations = [parse_operation(line) for line in lines]
    subject = machine()
    start = time.process_time()
    for operation in operations:
        assert operation is not None
        answer = subject.answer(operation)
    assert time.process_time() - start < 5
    assert " fl=20000 " in answer


SHAPES = {
    "release": ("go1.19", "go1.20", "dac514ea", "go1.23", "go1.24.3", "go1.26", "go1.27"),
    "platform": ("js/wasm", "plan9/amd64", "plan9/386"),
    "end": (1, 65536, 1441448),
    "max_pages": (290, 300, 700),
    "brk_max": (1441448, 1 << 22, 1 << 25),
    "memdebug": (False, False, True),
    "strict": (False, True),
}


def random_operation(rng: random.Random, known: list[int], mask: int) -> Operation:
    """One operation, near addresses that were seen and with sizes around whole pages."""
    draw: dict[str, Callable[[], int]] = {
        "V": lambda: rng.choice(known) + rng.choice((0, 0, 0, 1, 8, -8, 4096, -PAGE, PAGE)),
        "N": lambda: rng.choice((0, 1, 8, 4096, 8200, PAGE, 3 * PAGE, mask, rng.getrandbits(20))),
        "SIZE": lambda: rng.choice((0, 1, 4096, PAGE, mask - 1)),
        "ALIGN": lambda: rng.choice((0, 1, 4096, PAGE, 4 * PAGE, 12345)),
        "BYTE": lambda: rng.choice((0, 1, 255)),
    }
    name = rng.choice(("alloc", "alloc", "alloc", "free", "free", "reserve", *OPERANDS))
    return Operation(name, tuple(draw[operand]() & mask for operand in OPERANDS[name]))


@pytest.mark.parametrize("seed", range(8))
def test_any_script_is_answered_or_ends_as_go_would(seed: int) -> None:
    """No operation, however wrong, raises anything: it is answered, or ends the program by name."""
    rng = random.Random(seed)
    endings = set()
    for _ in range(60):
        subject = machine(**{name: rng.choice(values) for name, values in SHAPES.items()})
        known = [0, subject.options.end]
        for _ in range(40):
            answer = run_one(subject, random_operation(rng, known, subject.platform.word_mask))
            if subject.failure is not None:
                endings.add(answer.split()[0])
                break
            if answer.split()[0].isdigit():
                known.append(int(answer.split()[0]))
    assert endings <= {"throw", "fault", "hang", "illegal"}
    assert {"fault", "illegal"} <= endings


def run_one(subject: OpMachine, operation: Operation) -> str:
    answer = subject.answer(operation)
    assert answer
    assert "\n" not in answer
    return answer
