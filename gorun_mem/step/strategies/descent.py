"""Where a depth-first search through schedules stands: the nodes down to the last step.

The tree is shared out by its parts (`Subtree`): below a branch of a node everything follows from
the way there, from who sleeps and from what is put into the trees below. What a part finds to be
put into a tree above it is a `WantedAbove`.
"""

from __future__ import annotations

from gorun_mem.step.strategies.past import Past
from gorun_mem.step.strategies.subtree import NodeState, Subtree, WantedAbove
from gorun_mem.step.strategies.wakeup import (
    SHARED,
    Node,
    OrderedStep,
    WakeupBranch,
    chain,
    frozen,
    insert,
    node_of,
    slept,
    weak_initial,
)


class Descent:
    """The nodes from the root of the tree down, and what is to be run at each.

    Args:
        past: the run that goes down them.
        part: of the tree; None for all of it.

    Invariants:
        1. node 0 is the program before its first step, a step of M 0 for what is drawn there;
        2. of the first node of the part only the values are the part's, of those before it nothing.

    Attributes:
        nodes: from the root.
        first: the number of the part's first node.
        wishes: what is wanted above the part.
    """

    def __init__(self, past: Past, part: Subtree | None) -> None:
        self.nodes: list[Node] = []
        self.wishes: list[WantedAbove] = []
        self._past = past
        self._part = Subtree((), ()) if part is None else part
        self.first = len(self._part.way)
        self._ready = True
        self._over = False
        self._wished: set[tuple[int, frozenset[int]]] = set()
        if part is None:
            self.nodes.append(Node({0: ("begin", "", True)}, {}))
        else:
            self._take(part)

    def _take(self, part: Subtree) -> None:
        for number, way in enumerate(part.way):
            node = Node({way.m: ("", way.obj, way.reads)}, slept(way.sleep))
            node.take(WakeupBranch(way.m, way.obj, way.reads))
            node.known = False
            node.values = list(way.values)
            node.open = bool(part.opened) and part.opened[number]
            self.nodes.append(node)
        self.nodes += [node_of(place) for place in part.places]
        if self.nodes[0].chosen == 0:
            self.nodes[0].enabled = {0: ("begin", "", True)}
            self.nodes[0].known = True

    def left(self) -> Subtree | None:
        """What is left of the part; None for nothing."""
        if not self._is_ready():
            return None
        places = tuple(node.place() for node in self.nodes[self.first :])
        return Subtree(self._part.way, places)

    def first_place(self) -> NodeState:
        """The first node of the part as it is now, of which the values are known that were run."""
        return self.nodes[self.first].place()

    def next(self) -> bool:
        """Go back to the last node at which something is left to try; False if there is none."""
        ready = self._is_ready()
        self._ready = False
        return ready

    def _is_ready(self) -> bool:
        if not self._ready:
            self._ready = not self._over and self._back()
        return self._ready

    def _back(self) -> bool:
        nodes = self.nodes
        while True:
            node = nodes[-1]
            self._past.forget(len(nodes) - 1)
            if node.next_values():
                return True
            if len(nodes) - 1 == self.first:
                self._over = True
                return False
            kind, obj, reads = node.enabled[node.chosen]
            # Where somebody sleeps whose subtree is run at the same time, runs may end in vain and
            # do not show a later branch all that it relies on: so that finds it by itself.
            node.sleep[node.chosen] = (SHARED if node.is_shared else kind, obj, reads)
            if node.next_branch():
                return True
            nodes.pop()

    def want(self, number: int, sequence: list[OrderedStep]) -> None:
        """See to it that `sequence` is run from node `number` on, here or by whoever has that."""
        node = self.nodes[number]
        if number > self.first:
            insert(node.wakeup, sequence)
        else:
            self._wish(number, node, sequence)

    def _wish(self, number: int, node: Node, sequence: list[OrderedStep]) -> None:
        """Tell whoever has shared out the tree that `sequence` is to be run at a node above."""
        m = sequence[0].m
        if m not in node.enabled:
            return
        initials = frozenset(
            one
            for one, op in node.enabled.items()
            if 0 <= weak_initial(one, op[1], op[2], sequence) < len(sequence)
        )
        taken = self._part.taken
        if (number, initials) in self._wished or (taken and initials.intersection(taken[number])):
            return
        self._wished.add((number, initials))
        branch, (_, obj, reads) = frozen(chain(sequence)), node.enabled[m]
        self.wishes.append(WantedAbove(number, branch, obj, reads, initials))

    def want_values(self, number: int, others: list[OrderedStep]) -> None:
        """See to it that all values of the step of node `number` are run, each with `others`."""
        node = self.nodes[number]
        node.open = True
        node.others = frozen(chain(others)) if others else None
        if number < self.first:
            self.wishes.append(WantedAbove(number, None, others=node.others))
