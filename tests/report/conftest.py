"""The logs that the analysis is tested with serve here too."""

from __future__ import annotations
