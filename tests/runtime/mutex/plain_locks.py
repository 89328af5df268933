"""The locks that no Go has, `queue` and `any`, once more and as plainly as can be."""

from __future__ import annotations

from gorun_mem.runtime.behaviour import release
from tests.runtime.mutex.walks import ASLEEP, DIES, MORE_TO_DO, Shape, seen_of_m


class PlainSide:
    """Who has the lock, and who wants it in the order they came.

    Args:
        shape: of the walk; its lock is "queue" or "any_".
    """

    def __init__(self, shape: Shape) -> None:
        self.clock_ns = 0
        self.hands_over = shape.lock == "queue"
        self.delta = release(f"go{shape.go}").behaviour.locks_delta
        self.owner = 0
        self.wanting: list[int] = []
        self.parked = [False] * shape.ms
        self.locks = [0] * shape.ms
        self.counted = [False] * shape.ms
        self.calls = [""] * shape.ms
        self.sleeps = [0] * shape.ms
        self.told: list[int] = []

    def begin(self, place: int, call: str) -> None:
        """`any` knows from then on who wants it, and lets nobody go while it is taken."""
        self.calls[place] = call
        self.counted[place] = False
        self.sleeps[place] = 0
        if call == "lock" and not self.hands_over:
            self.wanting.append(place + 1)
            if self.owner:
                self.parked[place] = True
                self._count(place)

    def _count(self, place: int) -> None:
        if not self.counted[place]:
            self.counted[place] = True
            self.locks[place] += self.delta

    def step(self, place: int, lot: int) -> tuple[str, str]:
        """Take it, wait for it, or give it back."""
        self.told = []
        access = "acquire" if self.calls[place] == "lock" else "release"
        said = self._lock(place) if access == "acquire" else self._unlock(place)
        if said not in (ASLEEP, MORE_TO_DO):
            self.calls[place] = ""
        return access, said

    def _lock(self, place: int) -> str:
        number = place + 1
        if self.locks[place] < 0 and not (self.hands_over and self.counted[place]):
            return f"{DIES}: runtime·lock: lock count ()"
        if self.hands_over and self.owner not in (0, number):
            self._count(place)
            self.wanting.append(number)
            self.parked[place] = True
            self.sleeps[place] = 1
            return ASLEEP
        if self.hands_over and self.owner == number and not self.counted[place]:
            self._count(place)  # locks what it has, and waits for itself
            self.wanting.append(number)
            self.parked[place] = True
            return ASLEEP
        self._count(place)
        self.owner = number
        if not self.hands_over:
            self.wanting.remove(number)
            for other in self.wanting:
                self._count(other - 1)
                self.parked[other - 1] = True
        return f"ends: None (0, {self.sleeps[place]})"

    def _unlock(self, place: int) -> str:
        if not self.owner:
            return f"{DIES}: unlock of unlocked lock ()"
        self.owner = 0
        if not self.hands_over:
            for other in self.wanting:
                self.parked[other - 1] = False
        elif self.wanting:
            self.owner = self.wanting.pop(0)
            self.told = [self.owner]
            self.parked[self.owner - 1] = False
        self.locks[place] -= self.delta
        if self.locks[place] < 0:
            return f"{DIES}: runtime·unlock: lock count ()"
        return "ends: None (0, 0)"

    def asleep(self, place: int) -> int | None:
        """For ever, or not at all."""
        return -1 if self.parked[place] else None

    def rouse(self, place: int) -> None:
        """Nobody has a limit."""

    def miscount(self, place: int) -> None:
        """Take a lock too many off."""
        self.locks[place] -= 100

    def end(self, place: int) -> None:
        """Nothing is kept of it."""

    def word(self) -> int:
        """Who has it."""
        return self.owner + 1 if self.owner else 0

    def look(self) -> str:
        """Who waits, and the Ms."""
        ms = [
            seen_of_m(-1 if parked else None, locks, 0, False, 0, not call)
            for parked, locks, call in zip(self.parked, self.locks, self.calls, strict=True)
        ]
        return f"{self.told} 0 [] {self.wanting} [] {ms} (0, 0)"
