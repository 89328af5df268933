"""How fast a service's Ms go: as fast as they can, in slow motion, or not at all.

In slow motion virtual time goes on by so many ns a second of real time; a person can then see who
waits for whom, and the requests of the meantime wait as they would for a slow machine.
"""

from __future__ import annotations

from typing import Final

import trio

_NAP_S: Final = 0.25
"""The longest sleep at a stretch, so that a change of pace is soon seen."""


class Pace:
    """Holds a host back between two operations.

    Attributes:
        holds: whether it does at all.
        paused: nobody makes a step.
        ns_per_s: virtual ns in a second; None: as many as the machine can.
    """

    def __init__(self) -> None:
        self.holds = False
        self.paused = False
        self.ns_per_s: float | None = None
        self._changed = trio.Event()
        self._from_ns = -1
        self._from_s = 0.0

    def __repr__(self) -> str:
        return f"<Pace {'paused' if self.paused else self.ns_per_s or 'full'}>"

    def set(self, *, paused: bool, ns_per_s: float | None) -> None:
        """From now on go like this."""
        self.paused, self.ns_per_s = paused, ns_per_s
        self.holds = paused or ns_per_s is not None
        self._from_ns = -1
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self, now_ns: int) -> None:
        """Until the Ms may go on.

        Args:
            now_ns: virtual time.
        """
        await trio.lowlevel.checkpoint()
        while self.paused:
            await self._changed.wait()
        while self.ns_per_s is not None and not self.paused:
            now_s = trio.current_time()
            if self._from_ns < 0 or now_ns < self._from_ns:
                self._from_ns, self._from_s = now_ns, now_s
                return
            left_s = self._from_s + (now_ns - self._from_ns) / self.ns_per_s - now_s
            if left_s < -1:  # nothing was asked for a while: time did not go on
                self._from_ns, self._from_s = now_ns, now_s
            if left_s <= 0:
                return
            with trio.move_on_after(min(left_s, _NAP_S)):
                await self._changed.wait()
