"""Does every M that waits get the lock, and how often is it bypassed?

The Ms go on for ever, and states are not taken for one that differ in the Ms' numbers, for it is
one M that is looked at. Of the states in which it waits, a set that can be gone round in for ever
is a starvation if going round is *fair*: every M that can go on all the time does at some time
(weak fairness), and of a lot that is drawn again and again each value comes up again and again. So
a set counts only if no lot leads out of it: an end component, as model checking of Markov decision
processes has it (Baier and Katoen, Principles of Model Checking, 10.6.3).

A bypass is that another M gets the lock while this one waits, from its first access on. If that can
happen in a cycle there is no bound; else the most is the longest path, with no fairness asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gorun_mem.explore.states.search import ROUNDS_BITS, Reached, StateSearch
from gorun_mem.explore.states.values import Place

NO_BOUND = -1


@dataclass
class Action:
    """One choice of the scheduler in one state: whose step, and all that lots may make of it.

    Args:
        place: whose.
        after: the states that it may lead to.
        gets: another M gets the lock by it.
    """

    place: int
    after: tuple[int, ...]
    gets: bool


@dataclass
class Liveness:
    """What was found.

    Args:
        bypasses: the most, NO_BOUND for no bound.
        starves: the M that may wait for ever; None for none.
        others_get_it: meanwhile others get the lock again and again; else nobody does.
        way: states of a shortest way to where it goes round, the last the first of the cycle.
        cycle: the states gone round in, the last the first again.
    """

    bypasses: int = 0
    starves: int | None = None
    others_get_it: bool = False
    way: list[int] = field(default_factory=list)
    cycle: list[int] = field(default_factory=list)


class LiveSearch:
    """Looks at the states of an endless model.

    Args:
        search: with all states reached, and no symmetry.
        symmetric: the Ms are alike, so one stands for all.
    """

    def __init__(self, search: StateSearch, symmetric: bool) -> None:
        self.search = search
        self.reached: Reached = search.reached
        self.places = range(1 if symmetric else search.places)
        self._actions: dict[int, list[Action]] = {}

    def run(self) -> Liveness:
        """Look at each M, or at one that stands for all."""
        found = Liveness()
        for place in self.places:
            waiting = self.waiting(place)
            actions = {at: self.actions(at, place) for at in waiting}
            bypasses = most_bypasses(actions, waiting)
            if NO_BOUND in (bypasses, found.bypasses):
                found.bypasses = NO_BOUND
            else:
                found.bypasses = max(bypasses, found.bypasses)
            for component in end_components(actions, waiting):
                if found.starves is None and self.is_fair(component):
                    found.starves = place
                    found.others_get_it = any(
                        one.gets for ones in component.values() for one in ones
                    )
                    self.show(found, component)
        return found

    def waiting(self, place: int) -> set[int]:
        """The states in which the M at `place` has begun to lock and has not got it."""
        search, space = self.search, self.search.space
        waits = {number for number, own in enumerate(space.own.things) if own.call == "lock"}
        holds = {
            number
            for number, common in enumerate(space.shared.things)
            if common.monitor[0] == Place(place)
        }
        return {
            at
            for at, state in enumerate(self.reached.states)
            if search.slot_of(state, place) >> ROUNDS_BITS in waits
            and search.shared_of(state) not in holds
        }

    def actions(self, at: int, watched: int) -> list[Action]:
        """What the scheduler may choose in a state."""
        search, space = self.search, self.search.space
        state = self.reached.states[at]
        shared = search.shared_of(state)
        common = space.shared.things[shared]
        found: list[Action] = []
        for place in range(search.places):
            own = search.slot_of(state, place) >> ROUNDS_BITS
            shift = search.shared_bits + search.slot_bits * place + ROUNDS_BITS
            lots: list[int] = []
            gets = False
            for move in space.raw(place, shared, own):
                if move.shared is None or move.own is None:
                    continue
                there = space.shared[move.shared]
                after = space.settled(place, there, move.own)
                number = self.reached.number[state + there - shared + ((after - own) << shift)]
                holder = move.shared.monitor[0]
                got = holder is not None and holder != common.monitor[0]
                got = got and holder != Place(watched)
                if move.lot:
                    lots.append(number)
                    gets = gets or got
                else:
                    found.append(Action(place, (number,), got))
            if lots:
                found.append(Action(place, tuple(lots), gets))
        return found

    def is_fair(self, component: dict[int, list[Action]]) -> bool:
        """Whether every M that can go on all the time in it does go on in it."""
        for place in range(self.search.places):
            if any(one.place == place for ones in component.values() for one in ones):
                continue
            if all(self.can_go(at, place) for at in component):
                return False
        return True

    def can_go(self, at: int, place: int) -> bool:
        """Whether the M at `place` can make a step in a state."""
        search = self.search
        state = self.reached.states[at]
        own = search.slot_of(state, place) >> ROUNDS_BITS
        return bool(search.space.raw(place, search.shared_of(state), own))

    def show(self, found: Liveness, component: dict[int, list[Action]]) -> None:
        """A way to the component, and round in it past all that makes it fair."""
        first = min(component)
        way = [first]
        while way[-1]:
            way.append(self.reached.parents[way[-1]])
        found.way = way[::-1]
        edges = {
            at: [there for one in ones for there in one.after] for at, ones in component.items()
        }
        cycle = [first]
        for place in range(self.search.places):
            steps = {
                (at, one.after[0]) for at, ones in component.items() for one in ones
                if one.place == place
            }  # fmt: skip
            if steps:
                cycle += path(edges, cycle[-1], {at for at, _ in steps})
                cycle.append(next(after for at, after in sorted(steps) if at == cycle[-1]))
            else:
                idle = {at for at in component if not self.can_go(at, place)}
                cycle += path(edges, cycle[-1], idle)
        gets = {at for at, ones in component.items() for one in ones if one.gets}
        if gets:
            cycle += path(edges, cycle[-1], gets)
            ones = [one for one in component[cycle[-1]] if one.gets]
            cycle.append(ones[0].after[0])
        found.cycle = cycle + path(edges, cycle[-1], {first})


def path(edges: Mapping[int, Sequence[int]], start: int, ends: set[int]) -> list[int]:
    """A shortest way from a state to one of several, without the first."""
    parents = {start: start}
    todo = [start]
    for here in todo:
        if here in ends:
            way = []
            while here != start:
                way.append(here)
                here = parents[here]
            return way[::-1]
        for there in edges.get(here, ()):
            if there not in parents:
                parents[there] = here
                todo.append(there)
    raise AssertionError("no way within a strongly connected component")


def components(edges: Mapping[int, Sequence[int]], nodes: Iterable[int]) -> Iterator[list[int]]:
    """The strongly connected components, those that are reached last first; Tarjan's algorithm."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(edges.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            here, following = work[-1]
            for there in following:
                if there not in index:
                    index[there] = low[there] = len(index)
                    stack.append(there)
                    on_stack.add(there)
                    work.append((there, iter(edges.get(there, ()))))
                    break
                if there in on_stack:
                    low[here] = min(low[here], index[there])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == index[here]:
                    component = []
                    while True:
                        node = stack.pop()
                        on_stack.discard(node)
                        component.append(node)
                        if node == here:
                            break
                    yield component


def most_bypasses(actions: dict[int, list[Action]], waiting: set[int]) -> int:
    """How often others may get the lock while one waits; NO_BOUND where a cycle has it."""
    edges = {
        at: [there for one in ones for there in one.after if there in waiting]
        for at, ones in actions.items()
    }
    most: dict[int, int] = {}
    for component in components(edges, sorted(waiting)):
        inside = set(component)
        best = 0
        for at in component:
            for one in actions[at]:
                for there in one.after:
                    if there in inside:
                        if one.gets:
                            return NO_BOUND
                    elif there in waiting:
                        best = max(best, most[there] + one.gets)
                    elif one.gets:
                        best = max(best, 1)
        for at in component:
            most[at] = best
    return max(most.values(), default=0)


def end_components(
    actions: dict[int, list[Action]], waiting: set[int]
) -> Iterator[dict[int, list[Action]]]:
    """The largest sets of states that can be stayed in for ever, whatever lots are drawn."""
    todo = [{at: list(actions[at]) for at in waiting}]
    while todo:
        part = todo.pop()
        edges = {
            at: [there for one in ones if set(one.after) <= part.keys() for there in one.after]
            for at, ones in part.items()
        }
        for component in list(components(edges, sorted(part))):
            inside = set(component)
            kept = {
                at: [one for one in part[at] if inside.issuperset(one.after)] for at in component
            }
            kept = {at: ones for at, ones in kept.items() if ones}
            if not kept:
                continue
            if len(kept) == len(part) and all(len(kept[at]) == len(part[at]) for at in kept):
                yield kept
            else:
                todo.append(kept)
