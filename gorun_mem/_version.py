"""The version, in one place that costs nothing to import; pyproject.toml repeats it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
