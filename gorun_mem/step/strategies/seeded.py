"""What the strategies of a run have in common: choices drawn from a seed."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from gorun_mem.step.streams import stream


@mypyc_attr(allow_interpreted_subclasses=True)
class Seeded:
    """Draws data choices, in a search: a run's own are drawn by `gorun_mem.step.streams`.

    Args:
        seed: of the choices.
    """

    def __init__(self, seed: int) -> None:
        self._choices = stream(seed, "choices")

    def choice(self, n: int) -> int:
        """Any number below `n`, each as likely."""
        return self._choices.randrange(n)
