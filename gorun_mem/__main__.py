"""`python -m gorun_mem` is `gorun-mem`."""

from __future__ import annotations

from gorun_mem.start import main

if __name__ == "__main__":
    raise SystemExit(main())
