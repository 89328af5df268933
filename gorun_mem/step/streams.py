"""What a run draws, each kind from a stream of its own: one seed is one load, whatever it meets.

    data        a stream for each M, by its origin (`step.task`). So what an M draws depends neither
                on the order in which Ms begin nor on what others draw
    lots        a stream for each kind of lot that a lock, or a fault, draws
    schedule    who goes next, where that is drawn; under `timing`, of Ms whose clocks are equal
    machine     what varies in it: ways between CPUs, spins, wakeups, interrupts

Were they one, a lock that draws a lot more would give every M other data, and comparing locks would
compare loads. A search is another matter: there all of it is on one tape.

A stream's seed is text, which Python turns into the same numbers on every machine and version;
`hash` would not.
"""

from __future__ import annotations

from random import Random

from gorun_mem.step.task import Task


def stream(seed: int, name: str) -> Random:
    """The stream of a run's seed that is called `name`."""
    return Random(f"{name} {seed}")


def schedule_stream(seed: int) -> Random:
    """The stream of the schedule, whose seed is the run's as it is."""
    return Random(seed)


class Streams:
    """What the Ms and the locks of one run draw.

    Args:
        seed: the run's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lots: dict[str, Random] = {}

    def data(self, m: Task, n: int) -> int:
        """The next number below `n` of what `m` draws."""
        drawn = m.draws
        if drawn is None:
            drawn = m.draws = stream(self._seed, f"data {m.origin}")
        return drawn.randrange(n)

    def lot(self, n: int, label: str) -> int:
        """The next number below `n` of the lots called `label`."""
        drawn = self._lots.get(label)
        if drawn is None:
            drawn = self._lots[label] = stream(self._seed, f"lot {label}")
        return drawn.randrange(n)
