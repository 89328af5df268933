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
        request_bytes: what one request may ask for, fill or look through.
        client_bytes: what one client may own.
        client_ranges: in how many ranges.
        world_ranges: in how many ranges memory may be handed out, to all together.
        resident_bytes: what may be written in the World's memory, by all.
        strangers: connections that have not said their token, beside the others.
        auth_s: seconds in which they must.
        auth_bytes: the longest line of one.
        guest_steps: steps that the Ms of a scenario in the World may make; 0 for any number.
        guest_ns: virtual time in which one must end; 0 for any.
        guest_s: seconds in which it must, not counted while people hold the World back; 0 for any.
    """

    connections: int = 256
    line_bytes: int = 4096
    pipeline: int = 1024
    queue_bytes: int = 1 << 20
    idle_s: float = 600.0
    linger_s: float = 2.0
    request_bytes: int = 1 << 30
    client_bytes: int = 4 << 30
    client_ranges: int = 16_384
    world_ranges: int = 50_000
    resident_bytes: int = 512 << 20
    strangers: int = 64
    auth_s: float = 10.0
    auth_bytes: int = 256
    guest_steps: int = 20_000_000
    guest_ns: int = 3600 * 10**9
    guest_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server behaves, beside the World's own settings.

    Args:
        limits: what it takes on.
        token: what clients must say first, None where they need not.
        procs: how many Ms may be in calls at once, Go's GOMAXPROCS; 0: as many as there are CPUs.
        reclaim: free what an M still owns when its connection ends.
        shared: every client may load, store, fill and free what another owns.
        admin: every client may do to the machine what concerns all: limit, failnext, hostgrow.
        admin_token: who says this in place of the token may, None for nobody.
        report_s: seconds between two lines on the terminal; 0 for none.
    """

    limits: Limits = Limits()
    token: bytes | None = None
    procs: int = 0
    reclaim: bool = False
    shared: bool = False
    admin: bool = False
    admin_token: bytes | None = None
    report_s: float = 10.0
