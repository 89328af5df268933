"""A WASI whose time moves only by being looked at, and whose random data is always the same.

A run with it repeats to the page. It is one sample of what the program does, not the truth of it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, Final

STEP_NS: Final = 1000
EPOCH_NS: Final = 1_700_000_000 * 10**9
_SUBSCRIPTION: Final = 48
_EVENT: Final = 32
_CLOCK: Final = 0
_MODULE: Final = "wasi_snapshot_preview1"


class VirtualWasi:
    """clock_time_get, random_get and poll_oneoff.

    Attributes:
        read: reads n bytes of the memory at an address.
        write: writes bytes into the memory at an address.
        now_ns: virtual time.
    """

    read: Callable[[int, int], bytes]
    write: Callable[[bytes, int], Any]

    def __init__(self) -> None:
        self.now_ns = EPOCH_NS
        self._random = random.Random(1)

    def define(self, wasmtime: Any, linker: Any) -> None:
        """Put them in place of the host's."""
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
        for name, parameters, function in (
            ("clock_time_get", [i32, i64, i32], self.clock_time_get),
            ("random_get", [i32, i32], self.random_get),
            ("poll_oneoff", [i32, i32, i32, i32], self.poll_oneoff),
        ):
            linker.define_func(_MODULE, name, wasmtime.FuncType(parameters, [i32]), function)

    def clock_time_get(self, _clock: int, _precision: int, out: int) -> int:
        """The time, a step later than last."""
        self.now_ns += STEP_NS
        self.write(struct.pack("<Q", self.now_ns), out)
        return 0

    def random_get(self, out: int, n: int) -> int:
        """Bytes of a fixed stream."""
        self.write(self._random.randbytes(n), out)
        return 0

    def poll_oneoff(self, subscriptions: int, out: int, n: int, count: int) -> int:
        """All files are ready at once; without any, time goes on to the first timeout."""
        events = []
        timeouts = []
        for i in range(n):
            entry = self.read(subscriptions + i * _SUBSCRIPTION, _SUBSCRIPTION)
            user, tag = struct.unpack_from("<QB", entry)
            if tag == _CLOCK:
                timeout, _, flags = struct.unpack_from("<QQH", entry, 24)
                timeouts.append((timeout if flags & 1 else self.now_ns + timeout, user))
            else:
                events.append((user, tag))
        if not events and timeouts:
            when, user = min(timeouts)
            self.now_ns = max(self.now_ns, when)
            events.append((user, _CLOCK))
        for i, (user, tag) in enumerate(events):
            self.write(struct.pack("<QHB21x", user, 0, tag), out + i * _EVENT)
        self.write(struct.pack("<I", len(events)), count)
        return 0
