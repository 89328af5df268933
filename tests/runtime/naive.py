"""A second, dumb emulation of the layer, to hold the real one against.

Written from what Go's mem_sbrk.go, mem_wasm.go, mem_plan9.go, the mem_js.go of 1.19 and the three
osinit do, and not from our own code: one flat bytearray, every header read and written in place,
every list walked from its head, no index, no laziness, and the release's facts spelt out below from
its version number. It is slow, and small enough to check by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

WALK_MAX = 1000
"""No test list is as long: a walk that takes more steps goes round for ever."""


class Dead(Exception):
    """The program ended: ("fault", address), ("hang", function) or ("throw", text)."""

    def __init__(self, kind: str, what: int | str, *printed: str) -> None:
        super().__init__(kind, what)
        self.verdict = (kind, what)
        self.printed = printed


@dataclass(frozen=True)
class Facts:
    """What a release is on a platform."""

    era: str  # "reserve_end", "grow_always", "bloc_max" or "plan9"
    word: int
    page: int
    round_to: int  # 0: physPageSize
    init_bloc_first: bool
    bloc_max_at_osinit: bool
    aligned: bool
    leaks: bool
    nil_free_does_nothing: bool


def facts(release: str, platform: str) -> Facts:
    """The facts of "go1.24.3" or "dac514ea" on a platform."""
    if release == "dac514ea":
        minor, patch = 20.5, 0
    else:
        parts = release.removeprefix("go1.").split(".")
        minor, patch = float(parts[0]), int(parts[1]) if len(parts) > 1 else 99
    plan9 = platform.startswith("plan9")
    if plan9:
        era = "plan9"
    elif minor <= 20:
        era = "reserve_end"
    elif minor < 24:
        era = "grow_always"
    else:
        era = "bloc_max"
    return Facts(
        era=era,
        word=4 if platform == "plan9/386" else 8,
        page=4096 if plan9 else 65536,
        round_to=4096 if plan9 and minor <= 20 else 0,
        init_bloc_first=plan9 and minor <= 20,
        bloc_max_at_osinit=minor >= 24 and not plan9,
        aligned=minor >= 24,
        leaks=minor == 24 and patch <= 4,
        nil_free_does_nothing=minor >= 27,
    )


class Naive:
    """The whole layer, faithful to a fault."""

    walk_max = WALK_MAX

    def __init__(
        self,
        release: str,
        platform: str,
        *,
        end: int,
        initial_pages: int,
        max_pages: int,
        brk_max: int,
        mem_debug: bool = False,
        wrong_order: bool = False,
    ) -> None:
        self.f = f = facts(release, platform)
        self.wrap = 1 << (8 * f.word)
        self.end = end
        self.max_pages = max_pages
        self.brk_max = brk_max
        self.mem_debug = mem_debug
        self.plan9 = f.era == "plan9"
        size = -(-end // 4096) * 4096 if self.plan9 else initial_pages * 65536
        self.mem = bytearray(size)
        self.grows = self.fails = self.fail_left = 0
        self.bloc = self.bloc_max = 0
        self.head = 0
        self.locked = False
        self.phys_page_size = 0
        if f.era == "reserve_end":
            return
        if wrong_order or f.init_bloc_first:
            self.bloc = self.bloc_max = self.round(end)
            self.phys_page_size = f.page
        else:
            self.phys_page_size = f.page
            self.bloc = self.bloc_max = self.round(end)
        if f.bloc_max_at_osinit:
            self.bloc_max = len(self.mem)

    # Memory.

    def fault(self, addr: int) -> Dead:
        return Dead("fault", 0 if addr == 0 else max(addr, len(self.mem)))

    def get(self, addr: int) -> int:
        addr %= self.wrap
        if addr == 0 or addr + self.f.word > len(self.mem):
            raise self.fault(addr)
        return int.from_bytes(self.mem[addr : addr + self.f.word], "little")

    def put(self, addr: int, value: int) -> None:
        addr %= self.wrap
        if addr == 0 or addr + self.f.word > len(self.mem):
            raise self.fault(addr)
        self.mem[addr : addr + self.f.word] = (value % self.wrap).to_bytes(self.f.word, "little")

    def put_size(self, block: int, size: int) -> None:
        if block == 0:
            raise self.fault(0)
        self.put(block + self.f.word, size)

    def get_size(self, block: int) -> int:
        if block == 0:
            raise self.fault(0)
        return self.get(block + self.f.word)

    def blank(self, block: int) -> None:
        self.put(block, 0)
        self.put_size(block, 0)

    def zero(self, addr: int, n: int) -> None:
        if n == 0:
            return
        if addr + n > len(self.mem):
            raise self.fault(addr)
        self.mem[addr : addr + n] = bytes(n)

    def grow(self, pages: int) -> int:
        pages %= 1 << 32
        before = len(self.mem) // 65536
        self.grows += 1
        if self.refused():
            return -1
        if pages and before + pages > min(self.max_pages, 65536):
            self.fails += 1
            return -1
        self.mem.extend(bytes(pages * 65536))
        return before

    def brk(self, addr: int) -> int:
        self.grows += 1
        if self.refused():
            return -1
        if addr > self.brk_max:
            self.fails += 1
            return -1
        top = -(-addr // 4096) * 4096
        self.mem.extend(bytes(max(0, top - len(self.mem))))
        return 0

    def refused(self) -> bool:
        if self.fail_left == 0:
            return False
        self.fail_left -= 1
        self.fails += 1
        return True

    # The break.

    def round(self, n: int) -> int:
        to = self.f.round_to or self.phys_page_size
        if to == 0:
            return 0
        return (n + to - 1) % self.wrap // to * to

    def sbrk(self, n: int) -> int:
        page = self.f.page
        if self.f.era == "grow_always":
            old = self.grow((n + page - 1) % self.wrap // page)
            return 0 if old < 0 else old * page
        old_bloc = self.bloc
        n = self.round(n)
        wanted = (old_bloc + n) % self.wrap
        if wanted > self.bloc_max:
            more = (wanted - self.bloc_max) // page
            answer = self.brk(wanted) if self.plan9 else self.grow(more)
            if answer < 0:
                return 0
            self.bloc_max = wanted
        self.bloc = wanted
        return old_bloc

    # The list.

    def no_grow(self, n: int) -> int:
        n = self.round(n)
        before, at = 0, self.head
        steps = 0
        while at:
            if self.get_size(at) >= n:
                break
            before, at = at, self.get(at)
            steps += 1
            if steps > self.walk_max:
                raise Dead("hang", "memAllocNoGrow" if self.f.aligned else "memAlloc")
        if not at:
            return 0
        if self.get_size(at) == n:
            if before:
                self.put(before, self.get(at))
            else:
                self.head = self.get(at)
            found = at
        else:
            self.put_size(at, self.get_size(at) - n)
            found = (at + self.get_size(at)) % self.wrap
        if found == 0:
            raise self.fault(0)
        self.blank(found)
        return found

    def take_back(self, block: int, n: int) -> None:
        n = self.round(n)
        self.zero(block, n)
        self.put_size(block, n)
        if self.head == 0:
            self.put(block, 0)
            self.head = block
            return
        first = self.head
        if block < first:
            self.head = block
            if (block + self.get_size(block)) % self.wrap == first:
                self.put_size(block, self.get_size(block) + self.get_size(first))
                self.put(block, self.get(first))
                self.blank(first)
            else:
                self.put(block, first)
            return
        left = first
        steps = 0
        while self.get(left) and not left < block < self.get(left):
            left = self.get(left)
            steps += 1
            if steps > self.walk_max:
                raise Dead("hang", "memFree")
        if (block + self.get_size(block)) % self.wrap == self.get(left):
            right = self.get(left)
            self.put_size(block, self.get_size(block) + self.get_size(right))
            self.put(block, self.get(self.get(left)))
            self.blank(self.get(left))
        else:
            self.put(block, self.get(left))
        if (left + self.get_size(left)) % self.wrap == block:
            self.put_size(left, self.get_size(left) + self.get_size(block))
            self.put(left, self.get(block))
            self.blank(block)
        else:
            self.put(left, block)

    def check(self) -> None:
        if not self.mem_debug:
            return
        at = self.head
        while at and self.get(at):
            behind = self.get(at)
            if at == behind:
                raise Dead("throw", "mem: infinite loop", f"runtime: {at:#x} == {behind:#x}")
            if at > behind:
                raise Dead("throw", "mem: unordered list", f"runtime: {at:#x} > {behind:#x}")
            size = self.get_size(at)
            last = (at + size) % self.wrap
            if last > behind:
                raise Dead(
                    "throw", "mem: overlapping blocks", f"runtime: {at:#x}+{size} > {behind:#x}"
                )
            start = at + 2 * self.f.word
            inside = self.mem[start:last]
            if inside.strip(b"\0"):
                b = start + len(inside) - len(inside.lstrip(b"\0"))
                raise Dead(
                    "throw",
                    "mem: uninitialised memory",
                    f"runtime: value at addr {b:#x} with offset {b - at} in block {at:#x} "
                    f"of size {size} is not zero",
                )
            if last > max(start, len(self.mem)):
                raise self.fault(start)
            at = behind

    def free_list(self) -> list[tuple[int, int]]:
        """Each block's address and size in list order; a lone reader's walk."""
        found = []
        at = self.head
        while at:
            if at + 2 * self.f.word > len(self.mem):
                raise self.fault(at)
            found.append((at, self.get_size(at)))
            at = self.get(at)
            if len(found) > self.walk_max:
                raise Dead("hang", "memFreelist")
        return found

    # The calls.

    def lock(self) -> None:
        if self.locked:
            raise Dead("throw", "self deadlock")
        self.locked = True

    def alloc(self, n: int) -> int:
        if self.f.era == "reserve_end":
            return self.reserve(0, n)
        self.lock()
        p = self.no_grow(n) or self.sbrk(n)
        self.check()
        self.locked = False
        return p

    def free(self, v: int, n: int) -> None:
        if self.f.era == "reserve_end" or (v == 0 and self.f.nil_free_does_nothing):
            return
        self.lock()
        if (v + n) % self.wrap == self.bloc:
            self.zero(v, n)
            self.bloc = (self.bloc - n) % self.wrap
        else:
            self.take_back(v, n)
            self.check()
        self.locked = False

    def reserve(self, v: int, n: int) -> int:
        if self.f.era == "reserve_end":
            return 0 if v else self.bump(n)
        self.lock()
        p = self.sbrk(n) if v == self.bloc else 0
        if p == 0 and v == 0:
            p = self.no_grow(n) or self.sbrk(n)
            self.check()
        self.locked = False
        return p

    def bump(self, n: int) -> int:
        page = self.f.page
        p = max(self.bloc, -(-self.end // page) * page)
        self.bloc = (p + (n + page - 1) % self.wrap // page * page) % self.wrap
        needed = self.bloc // page % (1 << 32)
        if needed >= 1 << 31:
            needed -= 1 << 32
        have = len(self.mem) // page
        if have < needed and self.grow(needed - have) == -1:
            return 0
        return p

    def aligned(self, size: int, align: int) -> tuple[int, int]:
        self.lock()
        base = self.no_grow((size + align) % self.wrap)
        if base:
            start = self.up(base, align)
            if start != base:
                self.take_back(base, (start - base) % self.wrap)
            end = (start + size) % self.wrap
            rest = (base + size + align - end) % self.wrap
            if rest:
                self.take_back(end, rest)
            self.check()
            self.locked = self.f.leaks
            return start, size
        start = self.up(self.bloc, align)
        got = self.sbrk((start + size - self.bloc) % self.wrap)
        if got == 0:
            start, size = 0, 0
        elif start != got:
            self.take_back(got, (start - got) % self.wrap)
            self.check()
        self.locked = False
        return start, size

    def up(self, n: int, align: int) -> int:
        return (n + align - 1) & ~(align - 1) & (self.wrap - 1)

    # What a user and a test do.

    def store(self, addr: int, value: int) -> None:
        self.put(addr, value)

    def fill(self, addr: int, n: int, byte: int) -> None:
        if n == 0:
            return
        if addr == 0 or addr + n > len(self.mem):
            raise self.fault(addr)
        self.mem[addr : addr + n] = bytes([byte]) * n

    def fail_next(self, n: int) -> None:
        self.fail_left = n

    def limit(self, pages: int) -> None:
        self.max_pages = pages
        self.brk_max = pages * 65536

    @property
    def pages(self) -> int:
        return 0 if self.plan9 else len(self.mem) // 65536

    @property
    def bloc_max_shown(self) -> int:
        return len(self.mem) if self.f.era == "reserve_end" else self.bloc_max
