"""One model examined: every state, what is wrong with any, and the way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gorun_mem.explore.states.model import Model
from gorun_mem.explore.states.parts import FLUSH, Common, Move, Own, without_numbers
from gorun_mem.explore.states.search import (
    ROUNDS_BITS,
    Progress,
    Reached,
    StateSearch,
    TooNarrow,
    at_rest,
    not_ending,
)
from gorun_mem.explore.states.space import Broken, Guesses, Space
from gorun_mem.explore.states.stepper import Learnt, Stepper

_BITS: Final = {1: (22, 20), 2: (24, 14), 3: (20, 11), 4: (14, 9)}
"""Ms -> bits for what is shared and for an M's own, so that a state fits into a machine's word."""
TO_LEARN: Final = 20_000
"""How many states of a smaller model to learn from."""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One access of a counterexample.

    Args:
        place: the M's, from 0.
        branch: which of the steps that it may make; see `Move`.
        text: the access, for people.
        told: what the lock told with it.
        common: what Ms share after it; None where it goes wrong.
        wrong: what goes wrong.
    """

    place: int
    branch: tuple[int, ...]
    text: str
    told: tuple[str, ...]
    common: Common | None
    wrong: str = ""


@dataclass
class Examined:
    """What a search of states has found.

    Args:
        states: how many, each standing for all that it is the same as.
        steps: how many steps between them.
        wrong: what is wrong; "" where nothing is.
        trace: a shortest way there.
        complete: every state was visited.
        complaints: all that goes wrong anywhere, without numbers, where that was asked for.
        ends: what is shared in states that nothing follows.
        guesses: by which states were taken for the same.
        restarts: how many guesses were wrong before.
        search: the tables, to go on with.
        full: a store buffer was to hold more stores than it may.
    """

    states: int = 0
    steps: int = 0
    wrong: str = ""
    trace: list[TraceStep] = field(default_factory=list)
    complete: bool = False
    complaints: set[str] = field(default_factory=set)
    ends: set[Common] = field(default_factory=set)
    guesses: Guesses = field(default_factory=Guesses)
    restarts: int = 0
    search: StateSearch | None = None
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reductions:
    """By what states are taken for the same.

    Args:
        local: steps that touch nothing shared are made at once.
        dead: registers that are not read any more are left out.
        symmetry: states that differ in the Ms' numbers alone are one.
    """

    local: bool = True
    dead: bool = True
    symmetry: bool = True


class Examination:
    """Searches the states of a model.

    Args:
        model: what is examined.
        rounds: how many each M makes, 1 to 7.
        reductions: by what states are taken for the same.
        states_max: a bound of states.
        collect: note all that goes wrong and go on, in place of stopping at the first.
        progress: told now and then.
    """

    def __init__(
        self,
        model: Model,
        rounds: int,
        *,
        reductions: Reductions | None = None,
        states_max: int = 50_000_000,
        collect: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.reductions = reductions = reductions or Reductions()
        self.model = model
        self.rounds = rounds
        self.states_max = states_max
        self.collect = collect
        self.progress = progress
        self.stepper = Stepper(model, reductions.dead)
        self.guesses = Guesses(reductions.local, reductions.symmetry)
        self.found = Examined(guesses=self.guesses)
        self.ends: list[int] = []

    def run(self) -> Examined:
        """Search, and again while a guess turns out to be wrong.

        What the guesses are is learnt from a smaller model first, where there is one.
        """
        smaller = self.model.smaller()
        if smaller is not None:
            first = Examination(
                smaller, min(2, self.rounds), states_max=TO_LEARN, collect=True,
                reductions=self.reductions,
            )  # fmt: skip
            first.stepper.live, first.guesses = self.stepper.live, self.guesses
            first.run()
            self.found.restarts = first.found.restarts
            self.guesses.symmetry = self.reductions.symmetry
        bits = _BITS.get(len(self.model.ms), (14, 9))
        space: Space | None = None
        while True:
            if space is None:
                self.found.complaints = set()
                complaints = self.found.complaints if self.collect else None
                space = Space(self.stepper, self.guesses, complaints)
            search = StateSearch(space, self.rounds, self.model.endless, *bits)
            try:
                self._search(search)
            except Learnt:
                self.found.restarts += 1
                space = None
            except TooNarrow:
                bits = bits[0] + 2, bits[1] + 1
            else:
                self.found.search = search
                return self.found

    def _search(self, search: StateSearch) -> None:
        found = self.found
        found.wrong, found.trace, found.ends = "", [], set()
        self.ends = []
        stopped: list[str] = []

        def on_end(at: int) -> bool:
            wrong = self._at_end(search, at)
            if wrong and self.collect:
                found.complaints.add(without_numbers(wrong))
                wrong = ""
            if wrong:
                stopped.append(wrong)
            else:
                self.ends.append(at)
            return bool(wrong)

        try:
            reached = search.search(self.states_max, on_end, self.progress)
        except Broken as broken:
            reached = search.reached
            found.trace = self._trace(search, reached.at, broken.move)
            found.wrong = found.trace[-1].wrong
        else:
            if stopped:
                found.trace = self._trace(search, reached.at, None)
                found.wrong = self._in_this_numbering(stopped[0], found.trace)
            elif reached.complete:
                search.space.confirm()
                self._afterwards(search, reached)
        found.states, found.steps = len(reached.states), len(reached.edges)
        found.complete = reached.complete

    # What is wrong with a state

    def _owns(self, search: StateSearch, state: int) -> list[Own]:
        things = search.space.own.things
        slots = [search.slot_of(state, place) for place in range(search.places)]
        return [things[slot >> ROUNDS_BITS] for slot in slots]

    def _at_end(self, search: StateSearch, at: int) -> str:
        """What is wrong with a state that nothing follows."""
        state = search.reached.states[at]
        shared: Common = search.space.shared.things[search.shared_of(state)]
        owns = self._owns(search, state)
        waiting = [
            place
            for place in range(search.places)
            if search.slot_of(state, place) & 7 and not self.model.may_wait_for_ever(place)
        ]
        if waiting:
            if self.collect and self._has_broken(search, state):
                return ""
            return f"deadlock: {names_of(waiting)} for ever"
        self.found.ends.add(shared)
        return self.model.wrong_end(self.stepper.start()[0], shared, owns)

    def _has_broken(self, search: StateSearch, state: int) -> bool:
        """Whether nothing follows a state because all that would follow goes wrong."""
        shared = search.shared_of(state)
        owns = [search.slot_of(state, place) >> ROUNDS_BITS for place in range(search.places)]
        return any(
            move.shared is None
            for place, own in enumerate(owns)
            for move in search.space.raw(place, shared, own)
        )

    def _in_this_numbering(self, wrong: str, trace: list[TraceStep]) -> str:
        """The same said of the Ms as the trace numbers them."""
        if not wrong.startswith("deadlock") or not trace or trace[-1].common is None:
            return wrong
        parked = [i for i, m in enumerate(trace[-1].common.ms) if m.parked]
        return f"deadlock: {names_of(parked)} for ever" if parked else wrong

    def _afterwards(self, search: StateSearch, reached: Reached) -> None:
        """What can be said only once every state is known."""
        found = self.found
        stuck = -1 if self.model.endless or self.collect else not_ending(reached, self.ends)
        if stuck >= 0:
            found.trace = self._trace(search, stuck, None)
            found.wrong = "no progress: from here on the Ms go on for ever, and none gets through"
            return
        misused = self._misuse(search)
        if misused is None:
            return
        at, wrong = misused
        if self.collect:
            found.complaints.add(without_numbers(wrong))
        else:
            found.trace, found.wrong = self._trace(search, at, None), wrong

    def _misuse(self, search: StateSearch) -> tuple[int, str] | None:
        """The first state at rest in which a call that nobody should make is not refused."""
        space = search.space
        resting = {
            number
            for number, own in enumerate(space.own.things)
            if not own.call and own.phase == self.model.rest_phase
        }
        for shared, at in at_rest(search, resting).items():
            wrong = self.model.misuse(self.stepper.outcomes, space.shared.things[shared])
            if wrong:
                return at, wrong
        return None

    # The way there

    def _trace(self, search: StateSearch, at: int, last: Move | None) -> list[TraceStep]:
        """A way to a state, in one numbering of the Ms, and one step more that goes wrong."""
        reached = search.reached
        path = [at]
        while path[-1]:
            path.append(reached.parents[path[-1]])
        trace, state = self.trace_along(search, path[::-1])
        if last is not None:
            for place in range(search.places):
                moves = search.space.raw(
                    place, search.shared_of(state), search.slot_of(state, place) >> ROUNDS_BITS
                )
                if not search.slot_of(state, place) & 7:
                    continue  # its stores reach memory, and nothing can go wrong with that
                for move in moves:
                    if move.shared is None and move.complaint == last.complaint:
                        trace.append(
                            TraceStep(place, move.branch, move.text, move.told, None, move.wrong)
                        )
                        return trace
        return trace

    def trace_along(self, search: StateSearch, path: Sequence[int]) -> tuple[list[TraceStep], int]:
        """The steps that lead through states, and the last state in their numbering of the Ms."""
        state = search.reached.states[path[0]]
        trace: list[TraceStep] = []
        for there in path[1:]:
            state = self._one_step(search, state, search.reached.states[there], trace)
        return trace, state

    def _one_step(
        self, search: StateSearch, state: int, wanted: int, trace: list[TraceStep]
    ) -> int:
        """Add the step that leads from a state to one that is `wanted`, and what is local after."""
        space, shared = search.space, search.shared_of(state)
        for place in range(search.places):
            slot = search.slot_of(state, place)
            shift = search.shared_bits + search.slot_bits * place
            for move in space.raw(place, shared, slot >> ROUNDS_BITS):
                if move.shared is None or move.own is None:
                    continue
                if not slot & 7 and move.branch != (FLUSH,):
                    continue  # it is through
                there = space.shared[move.shared]
                own = space.settled(place, there, move.own)
                after = (own << ROUNDS_BITS | slot & 7) - int(move.done and not search.endless)
                next_state = state + there - shared + ((after - slot) << shift)
                if search.canonical(next_state) != wanted:
                    continue
                trace.append(TraceStep(place, move.branch, move.text, move.told, move.shared))
                number = space.own[move.own]
                while number != own:
                    local = space.raw(place, there, number)[0]
                    trace.append(
                        TraceStep(place, local.branch, local.text, local.told, move.shared)
                    )
                    number = space.own[local.own]
                return next_state
        raise AssertionError("no step leads from one state to the next")


def names_of(places: Sequence[int]) -> str:
    """ "M1 waits", or "M1 and M2 wait"."""
    names = [f"M{place + 1}" for place in places]
    if len(names) == 1:
        return f"{names[0]} waits"
    return f"{', '.join(names[:-1])} and {names[-1]} wait"
