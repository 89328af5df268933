"""The second owner of the memory, sizes that wrap, and what strict makes of Go's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gorun_mem.cli import main
from gorun_mem.replay.ops import BadOptions, OpMachine, Options
from gorun_mem.replay.opscript import ScriptError, parse_operation

PAGE = 65536
WRAPS = (
    "alloc 100000",
    "alloc 18446744073709551615",
    "alloc 18446744073709551000",
    "alloc 9223372036854775808",
    "alloc 9223372036854775807",
    "alloc 4294967295",
    "alloc 140737488355328",
    "alloc 281474976710656",
    "reserve 0 18446744073709551615",
    "reserve_aligned 18446744073709551615 4194304",
)


def machine(**options: object) -> OpMachine:
    return OpMachine(Options(**options))  # type: ignore[arg-type]


def run(subject: OpMachine, *lines: str) -> list[str]:
    answers: list[str] = []
    for line in lines:
        operation = parse_operation(line)
        assert operation is not None
        if subject.failure is None:
            answers.append(subject.answer(operation))
    return answers


def test_the_host_gets_the_old_size_or_minus_one() -> None:
    """hostgrow answers as memory.grow does, and counts as no growth of Go's."""
    subject = machine(init_pages=40, max_pages=50)
    assert run(subject, "hostgrow 2", "hostgrow 0", "hostgrow 9", "hostgrow 8") == [
        "40", "42", "-1", "42",
    ]  # fmt: skip
    assert "pages=50" in run(subject, "state")[0]
    assert "grows=0 fails=0" in run(subject, "state")[0]
    run(subject, "failnext 1")
    assert run(machine(), "failnext 1", "hostgrow 2")[1] == "37"  # failnext is about Go's growths


@pytest.mark.parametrize("release", ["dac514ea", "go1.21.13", "go1.22", "go1.23.9"])
def test_to_1_23_go_leaves_the_hosts_pages_alone(release: str) -> None:
    """sbrk asks for the old size each time, so what it hands out begins behind the host's pages."""
    subject = machine(release=release, init_pages=40, strict=True)
    answers = run(subject, "hostgrow 2", "alloc 4194304", "hostgrow 1", "alloc 65536")
    assert answers == ["40", str(42 * PAGE), str(42 + 64), str((42 + 64 + 1) * PAGE)]
    assert subject.failure is None


@pytest.mark.parametrize("release", ["go1.20", "go1.24.11", "go1.25", "go1.26", "go1.27"])
def test_from_1_24_go_hands_the_hosts_pages_out(release: str) -> None:
    """A faithful answer is Go's; a strict one names the host, its call and the call that took them.

    So did go1.24.11 under wasmtime, which wrote to all of the host's pages. Up to 1.20 reserveEnd
    does not look who made the memory larger either.
    """
    script = "alloc 131072", "hostgrow 2", "alloc 4194304"
    faithful = run(machine(release=release, init_pages=40), *script)
    first = int(faithful[2])
    assert first < 40 * PAGE < 42 * PAGE < first + 4194304
    strict = run(machine(release=release, init_pages=40, strict=True), *script)
    assert strict[:2] == faithful[:2]
    assert strict[2].startswith("illegal the host's memory is handed out: sysAllocOS took ")
    owner = "is owned by the host, which got it in call 2 (memory.grow by the host)"
    assert f"[0x280000, 0x2a0000) {owner}" in strict[2]
    assert "for M1 in call 3" in strict[2]


def test_pages_that_alignment_skips_are_the_hosts_too() -> None:
    """The gap before an aligned arena is cleared and gets a header: that writes their pages."""
    answers = run(
        machine(init_pages=40, strict=True), "hostgrow 2", "reserve_aligned 524288 4194304"
    )
    assert "sysReserveAlignedSbrk took " in answers[1]
    assert "[0x280000, 0x2a0000) is owned by the host" in answers[1]


def test_beside_the_hosts_pages_nothing_is_found() -> None:
    """The fixed twin: what ends below the host's pages is no finding."""
    answers = run(machine(init_pages=40, strict=True), "hostgrow 2", "alloc 1179648")
    assert answers == ["40", "1441792"]


def test_a_page_that_is_not_zero_is_found() -> None:
    """Go takes what it gets for zero; a pattern in it is named by its byte, zeros are not."""
    script = "alloc 65536", "fill 1507328 65536 {}", "alloc 65536"
    for byte, found in ((7, True), (0, False)):
        lines = [line.format(byte) for line in script]
        faithful, strict = run(machine(), *lines), run(machine(strict=True), *lines)
        assert faithful[2] == "1507328"
        assert (strict[2] != "1507328") is found
    lines = [line.format(7) for line in script]
    said = run(machine(strict=True), *lines)[2]
    assert said.startswith("illegal memory that is taken for zero is not: sysAllocOS handed ")
    assert said.endswith("in call 2, and the byte at 0x170000 is 0x07")


def test_the_hosts_pages_are_freed_by_nobody() -> None:
    """A free names their owner."""
    answers = run(machine(init_pages=40, strict=True), "hostgrow 2", "free 2621440 65536")
    assert "is owned by the host, which got it in call 1" in answers[1]


@pytest.mark.parametrize("platform", ["js/wasm", "plan9/amd64"])
@pytest.mark.parametrize("release", ["go1.20", "go1.22", "go1.24.11", "go1.27"])
@pytest.mark.parametrize("line", WRAPS)
def test_a_size_that_wraps_is_refused_where_it_is_strict(
    release: str, platform: str, line: str
) -> None:
    """Go's answer stands where it is faithful. Strict gives it only where there is as much memory.

    That is told by the answer alone: an address at which so many bytes do not fit below the end of
    memory is one that is short.
    """
    faithful, strict = (
        machine(release=release, platform=platform, strict=strict) for strict in (False, True)
    )
    first = run(faithful, line)[0]
    answer = run(strict, line)[0]
    asked = int(line.split()[-1 if not line.startswith("reserve_aligned") else 1])
    p = int(first.split()[0]) if first[0].isdigit() else 0
    size = int(first.split()[1]) if len(first.split()) == 2 and p else asked
    memory = faithful._memory.size
    if p and (p + asked > memory or size < asked):
        assert answer.startswith("illegal ")
    else:
        assert answer == first
    if "shorter than was asked for" in answer:
        assert f"asked for {asked}" in answer or "reserve" in line


def test_wrapped_sizes_are_there() -> None:
    """The test above has short answers in it: three or more on each release."""
    for release in ("go1.22", "go1.27"):
        answers = [run(machine(release=release, strict=True), line)[0] for line in WRAPS]
        short = [answer for answer in answers if answer.startswith("illegal")]
        assert len(short) >= 3, (release, short)


def test_only_wasm_has_a_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On Plan 9 the line is no operation: exit 2, naming file and line."""
    with pytest.raises(ScriptError, match="only wasm memory has a host"):
        parse_operation("hostgrow 1", has_host=False)
    script = tmp_path / "x.txt"
    script.write_text("alloc 1\nhostgrow 1\nalloc 1\n", encoding="utf-8")
    assert main(["ops", "--platform", "plan9/386", str(script)]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert f"{script}:2: hostgrow on Plan 9" in err


def test_a_limit_below_the_start_is_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    """38 pages do not fit into 20: nothing runs, exit 2, and both figures are said."""
    with pytest.raises(BadOptions, match=r"38 x 64 KiB at the start and the limit is 20"):
        machine(init_pages=38, max_pages=20)
    assert main(["ops", "--init-pages", "38", "--max-pages", "20", "/dev/null"]) == 2
    assert "38" in capsys.readouterr().err
    machine(init_pages=20, max_pages=20)
    with pytest.raises(BadOptions, match="22 x 64 KiB at the start and the limit is 1;"):
        machine(platform="plan9/386", brk_max=PAGE)  # its data alone
