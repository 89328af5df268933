"""What holds for all tests."""

from __future__ import annotations

import os

os.environ.pop("COLUMNS", None)  # pytest-xdist tells its workers how wide the terminal is
