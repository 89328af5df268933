"""Little programs over words, and all that they can end as: by a machine of its own.

The machine is written from the paper's rules (Sewell et al., CACM 2010, section 3.2) and knows
nothing of the package: a state is memory, and for each M where it is, its registers and its buffer;
all states are visited. With `buffers` off a store is in memory at once, and the machine is
sequentially consistent.

The same programs run on the kit by `on_the_kit`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, NamedTuple

from gorun_mem.machine.world import World
from gorun_mem.sync import Cell, Word, fence

WORDS = ("x", "y", "z")


class Do(NamedTuple):
    """One instruction.

    Args:
        what: "store" (late), "exchange" (a fence that stores), "load", "add", "cas", "fence" or
            "skip" (the next `value` instructions, if the register is `other`).
        word: what it touches.
        value: what is stored or added.
        other: what is expected.
        register: where a load, an add or a cas puts what it found.
    """

    what: str
    word: str = ""
    value: int = 0
    other: int = 0
    register: int = 0


Code = tuple[Do, ...]
Program = tuple[Code, ...]
Registers = tuple[int, ...]
Outcome = tuple[tuple[Registers, ...], tuple[int, ...]]
"""The registers of each M, and what memory holds in the end."""
Buffer = tuple[tuple[str, int], ...]
M = tuple[int, Registers, Buffer]
"""Which instruction is next; the registers; what is in the buffer, the oldest first."""
Memory = tuple[int, ...]

REGISTERS = 3


def store(word: str, value: int) -> Do:
    """A store that a buffer may hold."""
    return Do("store", word, value)


def exchange(word: str, value: int) -> Do:
    """A store that is a fence."""
    return Do("exchange", word, value)


def load(word: str, register: int = 0) -> Do:
    """A load."""
    return Do("load", word, register=register)


FENCE = Do("fence")


def outcomes(program: Program, *, buffers: bool) -> set[Outcome]:
    """Everything that a program can end as."""
    first = tuple([(0, (0,) * REGISTERS, ()) for _ in program])
    memory = (0,) * len(WORDS)
    todo: list[tuple[tuple[M, ...], Memory]] = [(first, memory)]
    seen = {todo[0]}
    found: set[Outcome] = set()
    while todo:
        ms, memory = todo.pop()
        following = []
        for number, m in enumerate(ms):
            for after, then in _steps(program[number], m, memory, buffers):
                following.append(((*ms[:number], after, *ms[number + 1 :]), then))
        if not following:
            assert all(
                at == len(code) and not late
                for code, (at, _, late) in zip(program, ms, strict=True)
            )
            found.add((tuple([registers for _, registers, _ in ms]), memory))
        for state in following:
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return found


def _steps(code: Code, m: M, memory: Memory, buffers: bool) -> list[tuple[M, Memory]]:
    """What one M, or its buffer, can do."""
    at, registers, late = m
    can: list[tuple[M, Memory]] = []
    if late:
        (word, value), *rest = late
        can.append(((at, registers, tuple(rest)), _set(memory, word, value)))
    if at == len(code):
        return can
    do = code[at]
    if do.what == "store":
        if buffers:
            can.append(((at + 1, registers, (*late, (do.word, do.value))), memory))
        else:
            can.append(((at + 1, registers, late), _set(memory, do.word, do.value)))
    elif do.what == "load":
        value = memory[WORDS.index(do.word)]
        for word, stored in late:
            if word == do.word:
                value = stored
        can.append(((at + 1, _put(registers, do.register, value), late), memory))
    elif do.what == "skip":
        jump = do.value if registers[do.register] == do.other else 0
        can.append(((min(at + 1 + jump, len(code)), registers, late), memory))
    elif not late:  # all others are fences
        if do.what == "exchange":
            memory = _set(memory, do.word, do.value)
        elif do.what == "add":
            total = memory[WORDS.index(do.word)] + do.value
            memory = _set(memory, do.word, total)
            registers = _put(registers, do.register, total)
        elif do.what == "cas":
            fits = memory[WORDS.index(do.word)] == do.other
            memory = _set(memory, do.word, do.value) if fits else memory
            registers = _put(registers, do.register, int(fits))
        can.append(((at + 1, registers, late), memory))
    return can


def _set(memory: Memory, word: str, value: int) -> Memory:
    at = WORDS.index(word)
    return (*memory[:at], value, *memory[at + 1 :])


def _put(registers: Registers, register: int, value: int) -> Registers:
    return (*registers[:register], value, *registers[register + 1 :])


def on_the_kit(
    program: Program, found: set[Outcome], *, cells: bool = False
) -> Callable[[World], Coroutine[Any, Any, None]]:
    """The same program, for a search; each run adds how it ended.

    Args:
        program: of Ms.
        found: what the runs ended as.
        cells: plain memory in place of words, in programs that only load and store.
    """

    async def main(world: World) -> None:
        words: dict[str, Any] = {name: Cell(name) if cells else Word(name) for name in WORDS}
        ends: list[Registers] = [()] * len(program)

        async def run(m: Any, number: int) -> None:
            registers = [0] * REGISTERS
            code, at = program[number], 0
            while at < len(code):
                do = code[at]
                at += 1
                if do.what == "skip":
                    at += do.value if registers[do.register] == do.other else 0
                else:
                    await _do(do, words, registers)
            ends[number] = tuple(registers)

        async with world.open_ms() as ms:
            for number in range(len(program)):
                ms.start_soon(run, number)
        found.add((tuple(ends), tuple([words[name].value for name in WORDS])))

    return main


async def _do(do: Do, words: dict[str, Any], registers: list[int]) -> None:
    word: Any = words.get(do.word)
    if do.what == "store":
        await (word.store(do.value) if isinstance(word, Cell) else word.store_release(do.value))
    elif do.what == "exchange":
        await word.store(do.value)
    elif do.what == "load":
        registers[do.register] = await word.load()
    elif do.what == "add":
        registers[do.register] = await word.add(do.value)
    elif do.what == "cas":
        registers[do.register] = int(await word.cas(do.other, do.value))
    else:
        await fence()


def drawn(random: Random) -> Program:
    """A random program of 2 or 3 Ms on 1 to 3 words, small enough for every order of it."""
    ms = random.choice((2, 2, 3))
    words = WORDS[: random.choice((1, 2, 2, 2, 3))]
    length = 5 if ms == 2 else 3
    if random.random() < 0.25:  # each M stores to a word and looks at others
        return tuple([_stores_first(random, number) for number in range(ms)])
    whats = random.choice((
        ("store", "load"),
        ("store", "store", "load", "load", "fence"),
        ("store", "store", "load", "load", "add", "cas", "exchange", "fence", "skip"),
    ))  # fmt: skip
    return tuple([
        tuple([_drawn_do(random, whats, words) for _ in range(random.randint(2, length))])
        for _ in range(ms)
    ])  # fmt: skip


def _stores_first(random: Random, number: int) -> Code:
    own = WORDS[number]
    others = [word for word in WORDS if word != own]
    code = [store(own, 1), load(random.choice(others), 0)]
    if random.random() < 0.5:
        code.insert(random.randint(0, 2), load(own, 1))
    if random.random() < 0.3:
        code.insert(random.randint(0, 2), random.choice((FENCE, exchange(own, 2), store(own, 2))))
    return tuple(code)


def _drawn_do(random: Random, whats: tuple[str, ...], words: tuple[str, ...]) -> Do:
    what = random.choice(whats)
    value = random.randint(1, 2)
    if what == "fence":
        return FENCE
    if what == "skip":
        return Do("skip", value=value, other=random.randint(0, 2), register=random.randrange(3))
    return Do(what, random.choice(words), value, random.randint(0, 1), random.randrange(REGISTERS))
