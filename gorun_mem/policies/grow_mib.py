"""Go's own search; memory grows by whole MiB."""

from __future__ import annotations

from gorun_mem.policies.first_fit import FirstFit


class GrowMiB(FirstFit):
    """Fewer growths, each of a multiple of 16 pages; from go1.24."""

    grow_pages = 16
