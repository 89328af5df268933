"""Server-sent events: an answer that does not end, for a browser that may not keep up.

What is not read waits in a queue that is bounded where it is made (`service.watch.Watcher`,
`live.Live`); nothing here waits for a browser but the task that serves it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import StreamingResponse

KEEP_ALIVE_S: Final = 15.0
"""After so long a silence a comment is sent, so that a browser that has gone is noticed."""


def sse(event: str, data: bytes) -> bytes:
    """One event; `data` has no newline."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), data)


def stream(parts: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer of such events."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)
