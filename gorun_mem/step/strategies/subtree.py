"""Parts of an exhaustive search as plain values, which another process can run or a file can keep.

A part is what is left below a branch of one node: the way there, which is fixed, and the nodes from
that one on, of which the last is ready to run. What else is to be run at the nodes of the way is no
business of the part's. It tells what it has seen to be wanted there (`WantedAbove`), and whoever
has shared out the tree sees to that; see `gorun_mem.explore.subtrees`.
"""

from __future__ import annotations

from typing import NamedTuple

Asleep = tuple[int, str, bool, bool]
"""An M that sleeps: its number, what its operation touches, whether it only reads that; whether its
subtree is run at the same time, and was not run before."""
Values = tuple[int, ...]
"""Data choices of a step."""


class Branching(NamedTuple):
    """A branch of a wakeup tree; as `WakeupBranch`."""

    m: int
    obj: str
    reads: bool
    after: tuple[tuple[Values, tuple[Branching, ...]], ...] = ()


class Offered(NamedTuple):
    """A branch that is still to be run, and the operation that its M is about to make."""

    branch: Branching
    obj: str
    reads: bool


class Way(NamedTuple):
    """A step on the way to a part.

    Args:
        m: who makes it; `obj` and `reads` are of his operation.
        values: data choices that it draws.
        sleep: who sleeps before it.
    """

    m: int
    obj: str
    reads: bool
    values: Values
    sleep: tuple[Asleep, ...]


class NodeState(NamedTuple):
    """A node; as `Node`.

    Args:
        op: of the M whose step is under way; None where nobody has seen it yet.
    """

    op: tuple[str, bool] | None
    sleep: tuple[Asleep, ...]
    branch: Branching
    wakeup: tuple[Offered, ...] = ()
    values: Values = ()
    counts: tuple[tuple[Values, int], ...] = ()
    drawn: tuple[Values, ...] = ()
    open: bool = False
    others: Branching | None = None


class Subtree(NamedTuple):
    """A part.

    Args:
        way: the steps to its first node.
        places: its nodes, one at least.
        taken: for each node of the way, and for the first of the part, the Ms whose branches there
            are others' already.
        opened: for each node of the way, whether all values of its step are seen to already.
    """

    way: tuple[Way, ...]
    places: tuple[NodeState, ...]
    taken: tuple[tuple[int, ...], ...] = ()
    opened: tuple[bool, ...] = ()


class WantedAbove(NamedTuple):
    """What is wanted at a node that is not the part's.

    Args:
        node: its number.
        branch: to be run there, unless something that is run there covers it; None: other values of
            the step on the way are wanted.
        obj: what the operation touches that the branch's M is about to make; `reads` likewise.
        initials: the Ms whose branches cover it.
        others: where values are wanted, what is to follow each, if anything.
    """

    node: int
    branch: Branching | None
    obj: str = ""
    reads: bool = False
    initials: frozenset[int] = frozenset()
    others: Branching | None = None


class PathPart(NamedTuple):
    """A part of a search through every order.

    Args:
        decisions: how many ways there were, the one taken, those to be tried, in reverse.
        fixed: how many of the decisions are not the part's.
    """

    decisions: tuple[tuple[Values, int, Values], ...]
    fixed: int
