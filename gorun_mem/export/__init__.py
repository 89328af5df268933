"""Logs in the formats of other tools: pprof profiles, Chrome traces, Parquet."""
