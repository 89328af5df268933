"""What runs Go's locks from their source runs Go as Go runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.mutex.go_interpreter import Fault, Program, Reference, Struct, Thread, Thrown
from tests.runtime.mutex.go_locks import GoSide
from tests.runtime.mutex.walks import Shape, walk

GO = """
package main

const (
\tlimit = 0x10 // a constant
\tcount uint32 = 30
)

func loops(n int) int {
\tsum := 0
outer:
\tfor i := 0; ; i++ {
\t\tfor j := i; j < n; j++ {
\t\t\tif j == 2 {
\t\t\t\tcontinue outer
\t\t\t} else if i > 4 {
\t\t\t\tbreak outer
\t\t\t}
\t\t\tsum += 10*i + j
\t\t}
\t\tif sum > int(limit*count) {
\t\t\treturn -sum
\t\t}
\t}
\treturn sum
}

func shadows(v int) int {
\tnext := v
\tif next := v + 1; next > 2 {
\t\tv = next
\t}
\tfor {
\t\tnext := v * 2
\t\tv = next
\t\tbreak
\t}
\treturn v*100 + next
}

func chooses(v int) string {
\tswitch v {
\tdefault:
\t\treturn "other"
\tcase 1, 2:
\t\treturn "few"
\t}
}

func jumps(v int) int {
\tvar found bool
\tif v == 0 {
\t\tgoto end
\t}
\tv += 5
\tfound = true
end:
\tif found && v&^4 != 0 || v < 0 {
\t\tv |= 1 <<
\t\t\t6
\t}
\treturn v / 2
}

func follows(of *node, at int) int {
\tvar last *node
\tfor n, i := of, 0; n != nil; {
\t\ti++
\t\tlast = n
\t\tn = n.next
\t\tif i == at {
\t\t\treturn last.value
\t\t}
\t}
\treturn last.next.value
}

func writes(p *int) {
\tt := &timer{of: p}
\tt.begin()
\tset(p, (uint8)(0x1FF))
}
"""


def _run(name: str, *args: Any) -> Any:
    def set_(to: Reference, value: int) -> None:
        to.set(value)

    builtins: dict[str, Callable[..., Any]] = {
        "set": set_, "int": int, "uint8": lambda value: value & 0xFF,
    }  # fmt: skip
    running = Thread(Program([GO]), builtins, {}).call(name, *args)
    try:
        next(running)
    except StopIteration as end:
        return end.value
    raise AssertionError("an access where nothing is shared")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("loops", 9, 455), ("loops", 12, -725), ("shadows", 1, 201), ("shadows", 5, 1205),
        ("chooses", 2, "few"), ("chooses", 3, "other"), ("jumps", 0, 0), ("jumps", 2, 35),
        ("jumps", -12, -3), ("jumps", -1, 2),
    ],
)  # fmt: skip
def test_runs_as_go(name: str, given: int, expected: object) -> None:
    """Loops with labels, scopes, switches, jumps, operators and their order, division: each value
    is what go1.24 computes."""
    assert _run(name, given) == expected


def test_pointers() -> None:
    """They are followed and compared; a nil one is a fault; one to a field is written through."""
    last = Struct(value=7, next=None)
    first = Struct(value=5, next=last)
    assert _run("follows", first, 2) == 7
    with pytest.raises(Fault):
        _run("follows", first, 9)
    struct: Any = Struct(value=1)
    _run("writes", Reference(struct, "value"))
    assert struct.value == 0xFF


LOCK = """
func lock2(l *mutex) {
\tgp := getg()
\tgp.m.locks++
\tfor !atomic.Casuintptr(&l.key, 0, 1) {
\t\tosyield()
\t}
}

func unlock2(l *mutex) {
\tif l.key == 0 {
\t\tthrow("unlocked")
\t}
\tatomic.Xchg(&l.key, 0)
\tgetg().m.locks--
}
"""


def _side(tmp_path: Path, lock: str) -> tuple[GoSide, Shape]:
    shape = Shape("futex", "1.0", 2)
    folder = tmp_path / "1.0/go/src/runtime"
    folder.mkdir(parents=True)
    (folder / "lock_futex.go").write_text(lock, encoding="utf-8")
    return GoSide(shape, tmp_path), shape


def test_a_step_is_an_access(tmp_path: Path) -> None:
    """An M is stopped before each access, and does what follows with it; a call ends with its last
    access."""
    side, _ = _side(tmp_path, LOCK)
    side.begin(0, "lock")
    assert side.word() == 0
    assert side.step(0, 0) == ("atomic.cas", "ends: None (0, 0)")
    side.begin(1, "lock")
    assert side.step(1, 0) == ("atomic.cas", "more")
    assert side.step(1, 0) == ("osyield", "more")
    side.begin(0, "unlock")
    assert side.step(0, 0) == ("atomic.load", "more")
    assert side.word() == 1
    assert side.step(0, 0) == ("atomic.xchg", "ends: None (0, 0)")
    assert side.step(1, 0) == ("atomic.cas", "ends: None (1, 0)")
    side.begin(0, "unlock")
    side.step(0, 0)
    side.step(0, 0)
    side.begin(0, "unlock")
    assert side.step(0, 0) == ("atomic.load", "dies: unlocked ()")


def test_walks_tell_locks_apart(tmp_path: Path) -> None:
    """One access more, and walks are others."""
    side, shape = _side(tmp_path / "a", LOCK)
    more, _ = _side(tmp_path / "b", LOCK.replace("osyield()", "osyield()\n\t\tosyield()"))
    assert any(walk(side, shape, seed) for seed in range(1))
    assert walk(_side(tmp_path / "c", LOCK)[0], shape, 3) != walk(more, shape, 3)


def test_what_is_not_known_is_said() -> None:
    """A function or variable that is neither in the source nor a builtin is named."""
    program = Program(["func f() {\n\tg()\n}\n\nfunc h() {\n\tthrow(x)\n}"])
    for name, missing in (("f", "g"), ("h", "x")):
        with pytest.raises(NotImplementedError, match=missing):
            next(Thread(program, {"throw": Thrown}, {}).call(name))
