"""The real layer and the naive one, driven side by side and compared after every call.

A call is a tuple of small numbers that says what to do in terms of the state that is there ("free
the third live block", "write over the size of the second free block"), so that sequences stay
meaningful however they are shortened. `Twins.act` turns it into a call with addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gorun_mem.runtime.behaviour import release
from gorun_mem.runtime.boot import BootOptions, boot
from gorun_mem.runtime.errors import Fault, Hang, Throw
from gorun_mem.runtime.mutex import make
from gorun_mem.step.solo import SoloM, solo
from tests.runtime.naive import Dead, Naive

GENERATIONS = [
    ("go1.19", "js/wasm"),
    ("go1.20", "js/wasm"),
    ("dac514ea", "js/wasm"),
    ("go1.21", "wasip1/wasm"),
    ("go1.23", "js/wasm"),
    ("go1.24.3", "js/wasm"),
    ("go1.24", "js/wasm"),
    ("go1.26", "wasip1/wasm"),
    ("go1.27", "js/wasm"),
    ("go1.19", "plan9/amd64"),
    ("dac514ea", "plan9/386"),
    ("go1.22", "plan9/386"),
    ("go1.23", "plan9/amd64"),
    ("go1.24.3", "plan9/amd64"),
    ("go1.25", "plan9/386"),
    ("go1.27", "plan9/amd64"),
    ("go1.27", "plan9/386"),
]
"""Each way of answering on each word size at least once."""

Act = tuple[str, int, int, int]
KINDS = (
    "alloc", "free", "free_part", "free_any", "free_end", "free_nil", "reserve", "aligned",
    "scribble", "restore", "store", "fill", "fail_next", "limit",
)  # fmt: skip
LEGAL = ("alloc", "free", "free_part", "free_end", "reserve", "aligned", "fill", "fail_next")


class Twins:
    """One state, kept three times: with the index, without it, and by the naive model."""

    def __init__(
        self,
        release_name: str,
        platform: str,
        *,
        end: int = 5000,
        initial_pages: int = 3,
        max_pages: int = 14,
        brk_pages: int = 30,
        mem_debug: bool = False,
        wrong_order: bool = False,
    ) -> None:
        known = release(release_name)
        options: dict[str, Any] = {
            "end": end,
            "initial_pages": initial_pages,
            "max_pages": max_pages,
            "brk_max": brk_pages * 4096,
            "mem_debug": mem_debug,
            "wrong_order": wrong_order,
        }
        self.naive = Naive(release_name, platform, **options)
        self.real = [
            boot(
                known,
                known.platform(platform),
                BootOptions(faithful=True, use_index=use_index, **options),
                memlock=make("js", known),
            ).os
            for use_index in (True, False)
        ]
        self.page = known.platform(platform).page_size
        self.word = known.platform(platform).word_size
        self.m = [SoloM(), SoloM()]
        self.live: list[tuple[int, int]] = []
        self.saved: list[tuple[int, int]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.dead: tuple[str, Any] | None = None

    # Calls with addresses.

    def call(self, name: str, *args: int) -> Any:
        """Make one call on all and compare the answers and everything after it."""
        self.calls.append((name, *args))
        wanted = outcome(lambda: getattr(self.naive, name)(*args))
        for os, m in zip(self.real, self.m, strict=True):
            got = outcome(lambda os=os, m=m: _on_real(os, m, name, args))  # type: ignore[misc]
            assert got == wanted, self.story(got, wanted)
        if wanted[0] != "ok":
            self.dead = wanted
            return None
        self.compare()
        return wanted[1]

    def compare(self) -> None:
        """Compare the whole state."""
        naive = self.naive
        wanted = (naive.bloc, naive.bloc_max_shown, naive.pages, naive.grows, naive.fails)
        free = outcome(naive.free_list)
        image = memoryview(naive.mem)[1:]
        for os in self.real:
            memory = os.memory
            got = (os.bloc, os.bloc_max, os.pages, memory.grows, memory.fails)
            assert got == wanted, self.story(got, wanted)
            assert memory.size == len(naive.mem), self.story(memory.size, len(naive.mem))
            assert memory.read(1, memory.size - 1) == image, self.story("bytes", "other bytes")
            if os.freelist is None:
                continue
            blocks = outcome(os.freelist.blocks)
            assert blocks == free, self.story(blocks, free)
            if free[0] != "ok":
                continue
            sizes = [size for _, size in free[1]]
            counts = (os.freelist.count, os.freelist.total_bytes, os.freelist.largest)
            total = sum(sizes) % naive.wrap  # as Go's sum of uintptrs wraps
            assert counts == (len(sizes), total, max(sizes, default=0)), self.story(counts, free)
            assert os.freelist.head == naive.head

    def story(self, got: object, wanted: object) -> str:
        calls = "\n".join(f"    t.call{call!r}" for call in self.calls)
        return f"after\n{calls}\n  got    {got}\n  wanted {wanted}"

    # Calls by what there is.

    def act(self, act: Act) -> None:
        """Turn (kind, a, b, c) into a call and make it; nothing once the program is dead."""
        kind, a, b, c = act
        if self.dead is None:
            getattr(self, f"_{kind}")(a, b, c)

    def _size(self, a: int, b: int) -> int:
        page = self.page
        sizes = (0, 1, page - 1, page, page, page, page + 1, 2 * page, 2 * page, 3 * page, 5 * page)
        odd = (
            1 << 48,
            (1 << 32) * page,
            (1 << (8 * self.word)) - 1,
            (1 << 31) * page,
            2 * page + 8,
        )
        if b % 16 == 15:
            return odd[a % len(odd)] % (1 << (8 * self.word))
        return sizes[a % len(sizes)]

    def _note(self, p: Any, n: int) -> None:
        if p:
            self.live.append((p, -(-n // self.page) * self.page))

    def _alloc(self, a: int, b: int, c: int) -> None:
        n = self._size(a, b)
        self._note(self.call("alloc", n), n)

    def _free(self, a: int, b: int, c: int) -> None:
        if self.live:
            v, n = self.live.pop(a % len(self.live))
            self.call("free", v, max(1, n - 1) if b % 7 == 6 else n)

    def _free_part(self, a: int, b: int, c: int) -> None:
        if not self.live:
            return
        v, n = self.live.pop(a % len(self.live))
        pages = max(1, n // self.page)
        low = b % pages
        high = low + 1 + c % (pages - low)
        if low:
            self.live.append((v, low * self.page))
        if high < pages:
            self.live.append((v + high * self.page, n - high * self.page))
        self.call("free", v + low * self.page, (high - low) * self.page)

    def _free_end(self, a: int, b: int, c: int) -> None:
        for i, (v, n) in enumerate(self.live):
            if v + n == self.naive.bloc:
                del self.live[i]
                self.call("free", v, n)
                return

    def _free_any(self, a: int, b: int, c: int) -> None:
        v = self._address(a, b)
        self.call("free", v, self._size(c, b))

    def _free_nil(self, a: int, b: int, c: int) -> None:
        if c % 4 == 3:
            self.call("free", 0, self._size(a, b))

    def _reserve(self, a: int, b: int, c: int) -> None:
        bloc = self.naive.bloc
        v = (bloc, bloc, 0, 0, bloc + self.page, max(0, bloc - self.page))[c % 6]
        n = self._size(a, b)
        self._note(self.call("reserve", v, n), n)

    def _aligned(self, a: int, b: int, c: int) -> None:
        if not self.naive.f.aligned:
            return
        align = self.page << c % 3 if c % 16 < 14 else (0, 1)[c % 2]
        answer = self.call("aligned", self._size(a, b), align)
        if answer is not None:
            self._note(*answer)

    def _header(self, a: int) -> int:
        try:
            free = self.naive.free_list()
        except Dead:
            return 0
        return free[a % len(free)][0] if free else 0

    def _address(self, a: int, b: int) -> int:
        """A block's start, or a place near one, or a page of memory."""
        header = self._header(a)
        near = (0, 8, -8, self.word, 16, self.page, -self.page)[b % 7]
        if header and a % 3:
            return max(0, header + near)
        page = a % (len(self.naive.mem) // self.page + 1)
        return max(1, page * self.page + (0, 0, 0, 8, -8, 24)[b % 6])

    def _scribble(self, a: int, b: int, c: int) -> None:
        header = self._header(a)
        if not header:
            return
        at = header + (b & 1) * self.word
        old = self.naive.get(at)
        values = (
            0, header, self._header(b), old + 8, old + self.page, old - 8, self._address(c, b),
            self.naive.bloc, 1 << 40, len(self.naive.mem) - 8, old - self.page, -header, 24,
        )  # fmt: skip
        self.saved.append((at, old))
        self.call("store", at, values[c % len(values)] % (1 << (8 * self.word)))

    def _restore(self, a: int, b: int, c: int) -> None:
        if self.saved:
            self.call("store", *self.saved.pop())

    def _store(self, a: int, b: int, c: int) -> None:
        self.call("store", self._address(a, b), c)

    def _fill(self, a: int, b: int, c: int) -> None:
        if self.live:
            v, n = self.live[a % len(self.live)]
            if n:
                start = b % n
                self.call("fill", v + start, min(1 + c, n - start), 1 + c % 255)

    def _fail_next(self, a: int, b: int, c: int) -> None:
        self.call("fail_next", a % 3)

    def _limit(self, a: int, b: int, c: int) -> None:
        self.call("limit", a % (self.naive.max_pages + 4))


def outcome(what: Callable[[], Any]) -> tuple[str, Any]:
    """("ok", answer), or how the emulated program ended."""
    try:
        return "ok", what()
    except Dead as dead:
        return dead.verdict if dead.verdict[0] != "throw" else (*dead.verdict, dead.printed)  # type: ignore[return-value]
    except Fault as fault:
        return "fault", fault.address
    except Hang as hang:
        return "hang", hang.function
    except Throw as throw:
        return "throw", throw.message, throw.printed  # type: ignore[return-value]


def _on_real(os: Any, m: SoloM, name: str, args: tuple[int, ...]) -> Any:
    memory = os.memory
    if name == "store":
        return memory.store_word(*args)
    if name in ("fill", "fail_next", "limit"):
        return getattr(memory, name)(*args)
    call = {
        "alloc": os.sys_alloc_os,
        "free": os.sys_free_os,
        "reserve": os.sys_reserve_os,
        "aligned": os.sys_reserve_aligned_sbrk,
    }[name]
    return solo(call(*args), m)
