"""The structured event log: typed events, structlog, sinks, reader.

`Recorder` makes the events, `gorun_mem.events.log` writes them (it imports structlog, which is slow
to load, and is not loaded from here), `read_events` and `read_raw` read them again.
"""

from gorun_mem.events.capture import CapturedEvents, capture_events
from gorun_mem.events.errors import LogError
from gorun_mem.events.home import new_log_path, resolve_log
from gorun_mem.events.methods import LogLevel
from gorun_mem.events.reader import Damage, EventReader, RawReader, read_events, read_raw
from gorun_mem.events.recorder import Recorder
from gorun_mem.events.sinks import FileSink, LineSink, MemorySink
from gorun_mem.events.types import EVENT_TYPES, SCHEMA, AnyEvent, LogEvent

__all__ = [
    "EVENT_TYPES",
    "SCHEMA",
    "AnyEvent",
    "CapturedEvents",
    "Damage",
    "EventReader",
    "FileSink",
    "LineSink",
    "LogError",
    "LogEvent",
    "LogLevel",
    "MemorySink",
    "RawReader",
    "Recorder",
    "capture_events",
    "new_log_path",
    "read_events",
    "read_raw",
    "resolve_log",
]
