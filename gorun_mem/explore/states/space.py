"""The states of a model as ints, and each step between them made once.

What Ms share and what each M has for itself are numbered; a state is the numbers. A step depends on
the two of the M that makes it, so each pair of them is stepped once and what it led to is kept: the
lock's code runs some thousand times for millions of states. Three reductions make the states fewer,
and each is held against the lock's own code at every pair that a search comes by:

1. *Dead registers* (`stepper`) are not set at all, and raise when they are read.
2. *Symmetry.* A state stands for all that arise from it by giving the Ms other numbers. Each pair
   is stepped in every numbering, and what that leads to must be what the first led to, renumbered.
3. *Local steps.* A step that neither reads nor changes what Ms share commutes with all that others
   do, and its M may always make it: it is made at once, as part of the step before. That it leads
   to the same, whatever the others have done meanwhile, is checked for each pair that then occurs
   (`confirm`). No cycle consists of such steps alone, so nobody is put off for ever.

Where a check fails the guess is withdrawn (`Guesses`) and the search begins again: `Learnt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from gorun_mem.explore.states.parts import Common, Move, Own
from gorun_mem.explore.states.stepper import Learnt, Stepper
from gorun_mem.explore.states.values import (
    anonymous,
    number_role,
    renumbered,
    renumbered_number,
)

CHAIN_MAX = 100
"""Local steps in a row; more are taken for a loop."""
TRIED = 12
"""States in which a step is tried before it is taken for local."""


@dataclass
class Guesses:
    """What a search believes of a model until it is seen to be wrong; outlives a restart.

    Args:
        local: steps that touch nothing shared are made at once.
        symmetry: Ms may be renumbered.
        shared_steps: (call, state) of steps that are not local.
        roles: words and registers that hold numbers of Ms: name -> what is added to the number.
    """

    local: bool = True
    symmetry: bool = True
    shared_steps: set[tuple[str, str]] = field(default_factory=set)
    roles: dict[str, int] = field(default_factory=dict)


class Broken(Exception):
    """A step went wrong.

    Args:
        place: whose.
        move: the step.
    """

    def __init__(self, place: int, move: Move) -> None:
        super().__init__(move.wrong)
        self.place = place
        self.move = move


class Interned(dict[Any, int]):
    """Numbers things in the order they come; `things` has them by number."""

    def __init__(self) -> None:
        super().__init__()
        self.things: list[Any] = []

    def __missing__(self, thing: Any) -> int:
        number = len(self.things)
        self.things.append(thing)
        self[thing] = number
        return number


class Space:
    """Numbered parts of states, and the steps between them.

    Args:
        stepper: makes the steps.
        guesses: what is believed so far.
        complaints: where steps that go wrong are noted instead of raised; None to raise.
    """

    def __init__(
        self, stepper: Stepper, guesses: Guesses, complaints: set[str] | None = None
    ) -> None:
        self.stepper = stepper
        self.guesses = guesses
        self.complaints = complaints
        self.shared = Interned()
        self.own = Interned()
        self.kinds = Interned()
        places = range(len(stepper.ms))
        self.turns = list(permutations(places)) if guesses.symmetry else [tuple(places)]
        self.pairs: dict[tuple[int, int, int], list[tuple[int, int, bool]]] = {}
        self._shared_images: list[dict[int, int]] = [{} for _ in self.turns]
        self._own_images: list[dict[int, int]] = [{} for _ in self.turns]
        self._leads_to: dict[int, set[int]] = {}  # after local steps -> before them
        self._raw: dict[tuple[int, int, int], list[Move]] = {}
        self._alike: set[tuple[int, int, int]] = set()  # found to be the same in every numbering
        self.late: set[int] = set()
        """Numbers of what an M has for itself where that is a store that is not in memory."""

    def start(self) -> tuple[int, list[int]]:
        """The numbers of the first state."""
        shared, owns = self.stepper.start()
        return self.shared[shared], [self.own[own] for own in owns]

    # Steps

    def moves(self, place: int, shared: int, own: int) -> list[tuple[int, int, bool]]:
        """Each step of the M at `place`: what is shared after it, its own, and is a round through.

        Raises:
            Broken: one goes wrong.
            Learnt: a guess was wrong.
        """
        key = (place, shared, own)
        found = self.pairs.get(key)
        if found is None:
            found = []
            for move in self._checked(place, shared, own):
                if move.shared is None or move.own is None:
                    if self.complaints is None:
                        raise Broken(place, move)
                    self.complaints.add(move.complaint)
                    continue
                there = self.shared[move.shared]
                after = (there, self.settled(place, there, move.own), move.done)
                if after not in found:
                    found.append(after)
            self.pairs[key] = found
        return found

    def flushes(self, shared: int, own: int) -> list[tuple[int, int, bool]]:
        """As `moves`, of an M that is through: its stores reach memory."""
        moves = self.stepper.flushes(self.shared.things[shared], self.own.things[own])
        return [
            (self.shared[move.shared], self._own(move.own), move.done)
            for move in moves
            if move.shared is not None and move.own is not None
        ]

    def _own(self, own: Own) -> int:
        """The number of what an M has for itself."""
        number = self.own[own]
        if own.late:
            self.late.add(number)
        return number

    def raw(self, place: int, shared: int, own: int) -> list[Move]:
        """Each step as the lock's code makes it, kept."""
        key = (place, shared, own)
        found = self._raw.get(key)
        if found is None:
            things = self.shared.things, self.own.things
            found = self._raw[key] = self.stepper.outcomes(place, things[0][shared], things[1][own])
        return found

    def settled(self, place: int, shared: int, own: Own) -> int:
        """The M's own after the local steps that follow."""
        number = self._own(own)
        if not self.guesses.local:
            return number
        before: list[int] = []
        while own.call and (own.call, own.pc) not in self.guesses.shared_steps:
            after = self._local_step(place, shared, number)
            if after is None or after in before or len(before) > CHAIN_MAX:
                self._is_shared(own)
                break
            before.append(number)
            number, own = after, self.own.things[after]
            self._own(own)
        for earlier in before:
            self._leads_to.setdefault(number, set()).add(earlier)
        return number

    def _local_step(self, place: int, shared: int, own: int) -> int | None:
        """Where a step leads that touches nothing shared; None if it does, as far as is tried."""
        tried = [shared, *range(max(0, len(self.shared.things) - TRIED), len(self.shared.things))]
        after: set[int | None] = set()
        for other in tried:
            if not self.shared.things[other].ms[place].parked:
                after.add(self._unseen(place, other, own, other == shared))
        return after.pop() if len(after) == 1 else None

    def _unseen(self, place: int, shared: int, own: int, occurs: bool) -> int | None:
        """Where the step leads, if it has one outcome only and leaves what is shared as it is."""
        moves = (self._checked if occurs else self.raw)(place, shared, own)
        if len(moves) != 1:
            return None
        move = moves[0]
        if move.own is None or move.shared != self.shared.things[shared] or move.done:
            return None
        return self.own[move.own]

    def _is_shared(self, own: Own) -> None:
        """Withdraw that this step is local.

        Raises:
            Learnt: it has been taken for local before.
        """
        self.guesses.shared_steps.add((own.call, own.pc))
        for befores in self._leads_to.values():
            for before in befores:
                earlier: Own = self.own.things[before]
                if (earlier.call, earlier.pc) == (own.call, own.pc):
                    raise Learnt(f"{own.pc} of {own.call} touches what Ms share")

    def confirm(self) -> None:
        """Hold the local steps against every state of what is shared in which they may be pending.

        Raises:
            Learnt: one of them touches it.
        """
        if not self._leads_to:
            return
        for place, shared, own in tuple(self.pairs):
            if self.shared.things[shared].ms[place].parked:
                continue
            for before in self._leads_to.get(own, ()):
                number, steps = before, 0
                while number != own and steps <= CHAIN_MAX:
                    after = self._unseen(place, shared, number, True)
                    if after is None:
                        self._is_shared(self.own.things[number])
                        raise Learnt("a step that was local in one state is not in another")
                    number, steps = after, steps + 1
                if number != own:
                    self._is_shared(self.own.things[before])

    # Symmetry

    def _checked(self, place: int, shared: int, own: int) -> list[Move]:
        """The steps of an M, made in every numbering of the Ms.

        Raises:
            Learnt: the numbering matters.
        """
        moves = self.raw(place, shared, own)
        if len(self.turns) == 1 or (place, shared, own) in self._alike:
            return moves
        numbers = [self._numbers(move) for move in moves]
        for number, turn in enumerate(self.turns):
            key = (
                turn[place], self.image_of_shared(number, shared), self.image_of_own(number, own)
            )  # fmt: skip
            self._alike.add(key)
            if not number:
                continue  # the same numbering
            other = self.raw(*key)
            expected = {
                (self.image_of_shared(number, there), self.image_of_own(number, after), *rest)
                if there >= 0
                else (there, after, *rest)
                for there, after, *rest in numbers
            }
            if expected != {self._numbers(move) for move in other}:
                self._numbers_matter(moves, other, turn)
        return moves

    def _numbers(self, move: Move) -> tuple[Any, ...]:
        """A step as the numbers of its parts."""
        if move.shared is None or move.own is None:
            return (-1, -1, move.done, move.complaint)
        return (self.shared[move.shared], self.own[move.own], move.done, "")

    def of_shared(self, shared: Common, to: Sequence[int]) -> Common:
        """What is shared once the M at each place `i` is at `to[i]`."""
        ms: list[Any] = [None] * len(to)
        for there, mine in zip(to, shared.ms, strict=True):
            ms[there] = mine._replace(nextwaitm=renumbered(mine.nextwaitm, to))
        words = [self._value(str(at), word, to) for at, word in enumerate(shared.words)]
        return Common(tuple(words), renumbered(shared.monitor, to), shared.clock_ns, tuple(ms))

    def of_own(self, own: Own, to: Sequence[int]) -> Own:
        """What an M has for itself, likewise."""
        if own.late:
            own = own._replace(late=renumbered(own.late, to))
        if not own.registers:
            return own
        registers = [(n, self._value(f"{own.call}.{n}", v, to)) for n, v in own.registers]
        return own._replace(registers=tuple(registers))

    def _value(self, name: str, value: Any, to: Sequence[int]) -> Any:
        added = self.guesses.roles.get(name)
        if added is None:
            return renumbered(value, to)
        return renumbered_number(value, to, added)

    def kind(self, own: int) -> int:
        """A number for what of an M's own is the same however Ms are numbered."""
        mine: Own = self.own.things[own]
        roles = self.guesses.roles
        registers = tuple([
            (n, "number" if f"{mine.call}.{n}" in roles else anonymous(v))
            for n, v in mine.registers
        ])  # fmt: skip
        return self.kinds[mine._replace(registers=registers, late=anonymous(mine.late))]

    def _numbers_matter(self, moves: list[Move], other: list[Move], turn: Sequence[int]) -> None:
        """Find the word or register that holds a number of an M, or give symmetry up.

        Raises:
            Learnt: in any case.
        """
        roles = self.guesses.roles
        if len(moves) == len(other):
            for a, b in zip(moves, other, strict=True):
                for name, before, after in self._compared(a, b):
                    added = number_role(before, after, turn)
                    if added is not None and name not in roles:
                        roles[name] = added
                        raise Learnt(f"{name} holds the number of an M")
        self.guesses.symmetry = False
        self.guesses.roles.clear()
        raise Learnt("the Ms' numbers matter")

    def _compared(self, a: Move, b: Move) -> list[tuple[str, Any, Any]]:
        """The words and registers of two steps side by side."""
        if a.shared is None or b.shared is None or a.own is None or b.own is None:
            return []
        pairs = [
            (str(at), x, y)
            for at, (x, y) in enumerate(zip(a.shared.words, b.shared.words, strict=False))
        ]
        for (name, x), (_, y) in zip(a.own.registers, b.own.registers, strict=False):
            pairs.append((f"{a.own.call}.{name}", x, y))
        return [(name, x, y) for name, x, y in pairs if x != y]

    def image_of_shared(self, turn: int, shared: int) -> int:
        """The number of what is shared in another numbering."""
        images = self._shared_images[turn]
        image = images.get(shared)
        if image is None:
            thing = self.of_shared(self.shared.things[shared], self.turns[turn])
            image = images[shared] = self.shared[thing]
        return image

    def image_of_own(self, turn: int, own: int) -> int:
        """The number of an M's own in another numbering."""
        images = self._own_images[turn]
        image = images.get(own)
        if image is None:
            thing = self.of_own(self.own.things[own], self.turns[turn])
            image = images[own] = self._own(thing)
        return image
