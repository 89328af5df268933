"""What bounds a service, and the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_ADDRESS: Final = "127.0.0.1:7059"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on.

    Args:
        connections: open at once; each is an M.
        line_bytes: the longest request line.
        pipeline: requests of one connection that wait; it is not read further until they are fewer.
        queue_bytes: answers, or events of a watcher, that wait to be read by one client. Requests
            are held back meanwhile; a watcher loses events.
        idle_s: seconds in which a client may neither send nor read; 0 for ever.
        linger_s: seconds that a closing connection has to read its last lines.
    """

    connections: int = 256
    line_bytes: int = 4096
    pipeline: int = 1024
    queue_bytes: int = 1 << 20
    idle_s: float = 600.0
    linger_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server behaves, beside the World's own settings.

    Args:
        limits: what it takes on.
        token: what clients must say first, None where they need not.
        procs: how many Ms may be in calls at once, Go's GOMAXPROCS; 0: as many as there are CPUs.
        reclaim: free what an M still owns when its connection ends.
        report_s: seconds between two lines on the terminal; 0 for none.
    """

    limits: Limits = Limits()
    token: bytes | None = None
    procs: int = 0
    reclaim: bool = False
    report_s: float = 10.0
