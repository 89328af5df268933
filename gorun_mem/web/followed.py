"""`python -m gorun_mem.web.followed PID ARGS`: `gorun-mem ARGS`; it ends when process PID does."""

from __future__ import annotations

import sys

from gorun_mem._interrupts import end_with
from gorun_mem.start import main

if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    raise SystemExit(main())
