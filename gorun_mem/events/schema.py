"""The JSON Schema of the log's lines, made from the event types.

`gorun-mem explain schema` prints it. It is closed: a field that the format does not have is an
error, so that a validator finds a misspelt one. Readers of logs are open: they pass over fields
they do not know.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec

from gorun_mem.events.types import EVENT_TYPES, SCHEMA, AnyEvent


def make_schema() -> dict[str, Any]:
    """The schema of one line, JSON Schema 2020-12."""
    schema: dict[str, Any] = msgspec.json.schema(AnyEvent)
    kinds = schema.pop("$defs")
    for kind in EVENT_TYPES:
        described = kinds[kind.__name__]
        described["additionalProperties"] = False
        # From 3.13 on Python itself takes the indentation from docstrings.
        described["description"] = cleandoc(described["description"])
        described["properties"]["level"] = {"enum": list(kind.levels)}
        described["required"] = sorted({"event", *described["required"]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:gorun-mem:event-log:{SCHEMA}",
        "title": f"One line of an event log, format {SCHEMA}",
        **schema,
        "$defs": kinds,
    }
