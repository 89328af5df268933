"""The structured event log: typed events, structlog, sinks, reader."""
