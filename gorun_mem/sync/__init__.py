"""The kit: what Ms share and wait for, to write locks and programs with."""

from __future__ import annotations

from gorun_mem.sync.base import SyncStatistics
from gorun_mem.sync.futex import FutexWord
from gorun_mem.sync.words import Cell, Word

__all__ = ["Cell", "FutexWord", "SyncStatistics", "Word"]
