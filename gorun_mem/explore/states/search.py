"""Every state, breadth first: the loop that takes the time, over ints and tables alone.

A state is one int: the number of what is shared in the lowest bits, then for each M the number of
its own and the rounds that it has left. `Space` says once for each pair of the two what a step adds
to that int; here it is looked up. No hash stands for a state: the ints themselves are in the dict.
Breadth first, the way to a state is a shortest one, and the states that follow a state come in the
order of their own numbers, so edges need no sorting.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gorun_mem.explore.states.space import Space

ROUNDS_BITS: Final = 3
"""The rounds that an M has left are below 8."""
THROUGH: Final = 4
"""Of a place in a key: the M there has no rounds left. Places are below 4."""
TELL_EVERY: Final = 1 << 14
"""States between two calls of `progress`."""

Progress = Callable[[int, int], object]
"""Told how many states there are, and how many of them are still to be stepped."""
OnEnd = Callable[[int], bool]
"""Told of a state that nothing follows; whether to stop there."""


class TooNarrow(Exception):
    """The parts of a state do not fit into its bits: search again with more."""


class Reached:
    """The states that a search has found.

    Attributes:
        states: each state, in the order found.
        parents: for each, the state that it was found from.
        edges: the states that follow, those of the first state first.
        edges_at: for each state, where its own edges begin; one more at the end.
        complete: all have been stepped.
        at: the state that is being stepped, or was when the search broke off.
    """

    def __init__(self) -> None:
        self.states: list[int] = []
        self.number: dict[int, int] = {}
        self.parents = array("i")
        self.edges = array("i")
        self.edges_at = array("q")
        self.complete = False
        self.at = 0


class StateSearch:
    """Searches the states of a space.

    Args:
        space: numbers the parts, and makes the steps.
        rounds: how many each M makes, below 8.
        endless: rounds are not counted down.
        shared_bits: bits for the number of what is shared.
        own_bits: bits for the number of what an M has for itself.
    """

    def __init__(
        self, space: Space, rounds: int, endless: bool, shared_bits: int, own_bits: int
    ) -> None:
        self.space = space
        self.rounds = rounds
        self.endless = endless
        self.shared_bits = shared_bits
        self.own_bits = own_bits
        self.slot_bits = own_bits + ROUNDS_BITS
        self.places = len(space.stepper.ms)
        self.deltas: dict[int, list[int]] = {}
        self.turns = space.turns
        self.shared_images: list[list[int]] = [[] for _ in space.turns]
        self.slot_images: list[list[int]] = [[] for _ in space.turns]
        self.kinds: list[int] = []  # -1: not known yet, as in the images
        self.sorting: dict[int, list[int]] = {}
        self.reached = Reached()

    # Taking states apart

    def shared_of(self, state: int) -> int:
        """The number of what is shared."""
        return state & ((1 << self.shared_bits) - 1)

    def slot_of(self, state: int, place: int) -> int:
        """The M's own, and its rounds."""
        return state >> (self.shared_bits + self.slot_bits * place) & ((1 << self.slot_bits) - 1)

    def first(self) -> int:
        """The first state."""
        shared, owns = self.space.start()
        state = shared
        for place in range(self.places):
            slot = owns[place] << ROUNDS_BITS | self.rounds
            state |= slot << (self.shared_bits + self.slot_bits * place)
        return self.canonical(state)

    # Steps

    def look_up(self, place: int, shared: int, own: int, through: bool = False) -> list[int]:
        """What each step of an M adds to a state.

        Args:
            place: the M's.
            shared: the number of what is shared.
            own: the number of its own.
            through: it has no rounds left, and only what it has stored is to reach memory.

        Raises:
            TooNarrow: a number has too many bits.
        """
        space = self.space
        shift = self.shared_bits + self.slot_bits * place
        found: list[int] = []
        steps = space.flushes(shared, own) if through else space.moves(place, shared, own)
        for there, after, done in steps:
            if there >> self.shared_bits or after >> self.own_bits:
                raise TooNarrow
            change = (after - own) << ROUNDS_BITS
            if done and not self.endless:
                change -= 1
            found.append(there - shared + (change << shift))
        return found

    def successors(self, state: int) -> list[int]:
        """The states that follow a state, in order of the Ms that step."""
        found: list[int] = []
        shared = state & ((1 << self.shared_bits) - 1)
        slot_mask = (1 << self.slot_bits) - 1
        slot_bits = self.slot_bits
        own_bits = self.own_bits
        rest = state >> self.shared_bits
        deltas = self.deltas
        late = self.space.late
        symmetric = len(self.turns) > 1
        for place in range(self.places):
            slot = rest & slot_mask
            rest >>= slot_bits
            own = slot >> ROUNDS_BITS
            key = (shared << own_bits | own) << 3 | place
            if not slot & 7:
                if own not in late:
                    continue
                key |= THROUGH
            changes = deltas.get(key)
            if changes is None:
                changes = self.look_up(place, shared, own, not slot & 7)
                deltas[key] = changes
            for change in changes:
                after = state + change
                found.append(self.canonical(after) if symmetric else after)
        return found

    def search(self, states_max: int, on_end: OnEnd, progress: Progress | None = None) -> Reached:
        """Visit every state, up to a bound.

        Args:
            states_max: how many at most.
            on_end: told of each state that nothing follows.
            progress: told now and then.

        Raises:
            Broken, Learnt: of the space.
            TooNarrow: see there.
        """
        reached = Reached()
        self.reached = reached
        first = self.first()
        states, number = reached.states, reached.number
        parents, edges, edges_at = reached.parents, reached.edges, reached.edges_at
        states.append(first)
        number[first] = 0
        parents.append(0)
        at = 0
        count = 1
        while at < count:
            reached.at = at
            edges_at.append(len(edges))
            following = self.successors(states[at])
            if not following and on_end(at):
                return reached
            for after in following:
                there = number.get(after, -1)
                if there < 0:
                    there = count
                    number[after] = count
                    states.append(after)
                    parents.append(at)
                    count += 1
                edges.append(there)
            at += 1
            if not at & (TELL_EVERY - 1):
                if progress is not None:
                    progress(count, count - at)
                if count > states_max:
                    break
        reached.complete = at == count
        edges_at.append(len(edges))
        return reached

    # Symmetry

    def canonical(self, state: int) -> int:
        """The one of all renumberings of a state that stands for them.

        Ms are sorted by what does not depend on their numbers; where that leaves a choice, the
        least int is taken.
        """
        if len(self.turns) == 1:
            return state
        rest = state >> self.shared_bits
        slot_mask = (1 << self.slot_bits) - 1
        slot_bits = self.slot_bits
        known = self.kinds
        order = 0
        kinds: list[int] = []
        for _ in range(self.places):
            slot = rest & slot_mask
            rest >>= slot_bits
            kind = known[slot] if slot < len(known) else -1
            if kind < 0:
                kind = self.kind_of(slot)
            for before in kinds:
                if before < kind:
                    order = order * 3
                elif before == kind:
                    order = order * 3 + 1
                else:
                    order = order * 3 + 2
            kinds.append(kind)
        turns = self.sorting.get(order)
        if turns is None:
            turns = self.turns_that_sort(kinds)
            self.sorting[order] = turns
        best = self.image(state, turns[0])
        for i in range(1, len(turns)):
            other = self.image(state, turns[i])
            if other < best:
                best = other
        return best

    def kind_of(self, slot: int) -> int:
        """What of a slot does not depend on numbers, as a number."""
        kind = self.space.kind(slot >> ROUNDS_BITS) << ROUNDS_BITS | slot & 7
        _put(self.kinds, slot, kind)
        return kind

    def turns_that_sort(self, kinds: list[int]) -> list[int]:
        """The renumberings after which the Ms' kinds are in order."""
        wanted = sorted(kinds)
        return [
            number for number, turn in enumerate(self.turns) if [wanted[to] for to in turn] == kinds
        ]

    def image(self, state: int, turn: int) -> int:
        """A state in another numbering.

        Raises:
            TooNarrow: a number has too many bits.
        """
        if turn == 0:
            return state
        shared = state & ((1 << self.shared_bits) - 1)
        images = self.shared_images[turn]
        image = images[shared] if shared < len(images) else -1
        if image < 0:
            image = self.space.image_of_shared(turn, shared)
            if image >> self.shared_bits:
                raise TooNarrow
            _put(images, shared, image)
        slots = self.slot_images[turn]
        to = self.turns[turn]
        rest = state >> self.shared_bits
        slot_mask = (1 << self.slot_bits) - 1
        slot_bits = self.slot_bits
        for place in range(self.places):
            slot = rest & slot_mask
            rest >>= slot_bits
            there = slots[slot] if slot < len(slots) else -1
            if there < 0:
                there = self.space.image_of_own(turn, slot >> ROUNDS_BITS)
                if there >> self.own_bits:
                    raise TooNarrow
                there = there << ROUNDS_BITS | slot & 7
                _put(slots, slot, there)
            image |= there << (self.shared_bits + slot_bits * to[place])
        return image


def _put(table: list[int], at: int, value: int) -> None:
    """Write into a table that grows."""
    while len(table) <= at:
        table.append(-1)
    table[at] = value


def at_rest(search: StateSearch, resting: set[int]) -> dict[int, int]:
    """What is shared in states in which every M's own is one of `resting` -> the first of them."""
    found: dict[int, int] = {}
    reached = search.reached
    states = reached.states
    shared_bits = search.shared_bits
    shared_mask = (1 << shared_bits) - 1
    slot_mask = (1 << search.slot_bits) - 1
    for at in range(len(states)):
        state = states[at]
        rest = state >> shared_bits
        for _ in range(search.places):
            if (rest & slot_mask) >> ROUNDS_BITS not in resting:
                break
            rest >>= search.slot_bits
        else:
            shared = state & shared_mask
            if shared not in found:
                found[shared] = at
    return found


def not_ending(reached: Reached, ends: list[int]) -> int:
    """The first state from which none of `ends` can be reached; -1 if there is none."""
    count = len(reached.states)
    edges, edges_at = reached.edges, reached.edges_at
    begins = array("q", bytes(8 * (count + 1)))
    for there in edges:
        begins[there + 1] += 1
    for i in range(count):
        begins[i + 1] += begins[i]
    filled = array("q", begins)
    before = array("i", bytes(4 * len(edges)))
    for here in range(count):
        for edge in range(edges_at[here], edges_at[here + 1]):
            there = edges[edge]
            before[filled[there]] = here
            filled[there] += 1
    good = bytearray(count)
    todo = list(ends)
    for end in ends:
        good[end] = 1
    while todo:
        there = todo.pop()
        for edge in range(begins[there], begins[there + 1]):
            here = before[edge]
            if not good[here]:
                good[here] = 1
                todo.append(here)
    return good.find(0)
