"""What holds for all tests."""

from __future__ import annotations

import os

# readline, which pytest loads, sets it for the children of this process, workers among them.
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")
