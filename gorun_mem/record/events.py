"""From what the hooks saw to the events of a recording.

A stack of watched calls tells which call is nested in which. Three things are put right on the way:

    morestack   a function whose stack is too small unwinds before it has done anything and is
                entered again; the first entry is forgotten.
    no return   a call that throws stays on the stack for ever; what was nested in it stands alone.
    callers     sysAlloc and sysFree only pass on, so who called them is who called.

Events come in the order of return, as recordings have them, and those of the span level where the
call entered. Which call an event is nested in is known only when that has returned, so the events
under an outermost call are held back until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gorun_mem.record.hooks import STACK, FoundHooks
from gorun_mem.record.raw import END, RawError, RawRecord
from gorun_mem.replay.recording import OS_CALLS, SPAN_EVENTS
from gorun_mem.wasm.golang import FUNCTION_BASE
from gorun_mem.wasm.instrument import ENTERED, RETURNED
from gorun_mem.wasm.stacks import Stacks

Fields = dict[str, Any]

_PC_SHIFT: Final = 16
_HELD_MAX: Final = 200_000
"""Events held back under one call that does not return."""
_INT32_SIGN: Final = 1 << 31
_CLOSURE: Final = ".sysFreeOS.func1"
_RUNTIME: Final = ("runtime.", "internal/runtime/")


class _Frame:
    """A watched call that has not returned."""

    __slots__ = ("caller", "event", "found", "sp")

    def __init__(self, found: FoundHooks, sp: int, caller: str, event: Fields | None) -> None:
        self.found = found
        self.sp = sp
        self.caller = caller
        self.event = event


class Events:
    """The events of one run.

    Args:
        found: what was watched; the place is the hook's id.
        functions: number of a function among those with bodies -> name.
        end: end of the program's data.
        stacks: finds who called on a stack.

    Attributes:
        pages: size of the memory when last seen.
        ended: the host wrote its last record.
        lost: returns without an entry, and calls that never returned.
        count: events given so far.
    """

    def __init__(
        self, found: Sequence[FoundHooks], functions: Mapping[int, str], end: int, stacks: Stacks
    ) -> None:
        self.pages = 0
        self.ended = False
        self.lost = 0
        self.count = 0
        self._found = found
        self._functions = functions
        self._end = end
        self._stacks = stacks
        self._asked: list[str] = []
        self._stack: list[_Frame] = []
        self._held: list[Fields] = []
        self._calls = 0
        self._heap_list = 0
        self._marking = self._started = False

    def of(self, records: Iterable[RawRecord]) -> Iterator[Fields]:
        """The events, each as one line of the recording has it.

        Args:
            records: from `read_raw`.

        Raises:
            RawError: they are none of this binary's.
        """
        for record in records:
            self.pages = record.pages
            if record.id == END:
                self.ended = True
                break
            self._check(record)
            if record.phase == ENTERED:
                self._enter(record)
            elif record.phase == RETURNED:
                self._leave(record)
            else:
                self._unwind(record)
            if self._held and (not self._open() or len(self._held) > _HELD_MAX):
                yield from self._release()
        self._stack.clear()
        yield from self._release()

    def _check(self, record: RawRecord) -> None:
        """Hold a record against the hook that it says it is of."""
        if record.id >= len(self._found):
            raise RawError(f"it has a record of hook {record.id}, which the binary has not")
        hook, words = self._found[record.id].hook, len(record.words)
        least = {ENTERED: 1 + len(hook.enter), RETURNED: len(hook.leave or ())}
        if words < least.get(record.phase, 0):
            raise RawError(f"it has a record of {hook.function} that says too little")

    def _open(self) -> bool:
        """Whether a call is open that events may be nested in."""
        return any(frame.event is not None and frame.found.hook.leave is not None
                   for frame in self._stack)  # fmt: skip

    # Calls.

    def _enter(self, record: RawRecord) -> None:
        found = self._found[record.id]
        hook = found.hook
        caller = self._name(record.words[0])
        if hook.ev == STACK:
            self._asked = callers(self._stacks.walk(record.words[0], record.words[1:]))
            return
        if hook.leave is None:
            if self._is_news(hook.ev):
                self._held.append(
                    self._fields(hook.ev, dict(zip(hook.enter, record.words[1:], strict=False)))
                )
            return
        event = None
        if hook.ev:
            event = self._fields(hook.ev, dict(zip(hook.enter, record.words[1:], strict=False)))
            if not self._place(event, found, record, caller):
                event = None
        self._stack.append(_Frame(found, record.sp, caller, event))

    def _fields(self, ev: str, words: Mapping[str, int]) -> Fields:
        return {"seq": 0, "ev": ev, "depth": 0, **words}

    def _place(self, event: Fields, found: FoundHooks, record: RawRecord, caller: str) -> bool:
        """Say what a call is nested in and who made it; False where it is no event of its own."""
        parents = [
            f.event for f in self._stack if f.event is not None and f.event["ev"] not in SPAN_EVENTS
        ]
        ev = event["ev"]
        if ev in SPAN_EVENTS:
            if ev == "persistent" and any(p["ev"] == "mheap.sysAlloc" for p in parents):
                return False
            if ev == "span.alloc":
                event["kind"] &= 0xFF
                if self._asked:
                    event["stack"], self._asked = self._asked, []
            self._held.append(event)
            return True
        if ev == "sysFreeOS" and parents and parents[-1]["ev"] == ev:
            return False  # its own closure, in a build that inlines nothing
        self._calls += 1
        event["call"] = self._calls
        event["depth"] = len(parents)
        event["by"] = self._by(found, caller)
        if parents:
            event["parent"] = parents[-1]
        if ev in OS_CALLS and not any(p["ev"] in OS_CALLS for p in parents):
            event["top"] = 1
        if ev == "growMemory":
            event["pages"] = _int32(event["pages"])
            event["pages_before"] = record.pages
        elif ev == "osinit":
            event["end"] = self._end
            event["physPageSize"] = 65536
        elif ev == "mheap.sysAlloc":
            hints = event.pop("list")
            self._heap_list = self._heap_list or hints
            event["user"] = int(hints != self._heap_list)
        return True

    def _by(self, found: FoundHooks, caller: str) -> str:
        """Who called: through sysAlloc and sysFree, and of a closure, who made it."""
        for frame in reversed(self._stack):
            name = frame.found.hook.function
            if frame.found.hook.ev:
                break
            if caller == name or name == "runtime.sysFree":
                return frame.caller
        name = found.hook.function
        if name.endswith(_CLOSURE):
            return name.removesuffix(_CLOSURE).removesuffix(".sysUnreserve")
        return caller

    def _is_news(self, ev: str) -> bool:
        """Whether it happened, and not only a function was entered again with more stack."""
        if ev == "gc.start":
            new, self._marking = not self._marking, True
        elif ev == "gc.mark_end":
            new, self._marking = self._marking, False
        elif ev == "main":
            new, self._started = not self._started, True
        else:
            return True
        return new

    def _leave(self, record: RawRecord) -> None:
        frame = self._pop(record)
        if frame is None or frame.event is None:
            return
        event, leave = frame.event, frame.found.hook.leave or {}
        event.update(zip(leave, record.words, strict=False))
        ev = event["ev"]
        if ev in SPAN_EVENTS:
            if event.pop("span", 1) == 0:
                event["base"] = 0
            return
        if ev == "growMemory":
            event["r"] = _int32(event["r"])
        state = record.words[len(leave) :]
        if len(state) == 2:
            event["bloc"], event["blocMax"] = state
        event["pages_now"] = record.pages
        self._held.append(event)

    def _unwind(self, record: RawRecord) -> None:
        frame = self._pop(record, moved=False)
        if frame is not None:
            self._held = [event for event in self._held if event is not frame.event]

    def _pop(self, record: RawRecord, moved: bool = True) -> _Frame | None:
        """The call that ends here; those above it never returned."""
        sp = record.sp - 8 if moved else record.sp
        stack = self._stack
        found = self._found[record.id]
        for i in range(len(stack) - 1, -1, -1):
            if stack[i].found is found and (stack[i].sp == sp or not moved):
                self.lost += len(stack) - 1 - i
                frame = stack[i]
                del stack[i:]
                return frame
        self.lost += moved
        return None

    def _name(self, address: int) -> str:
        number = (address >> _PC_SHIFT) - FUNCTION_BASE
        return self._functions.get(number, "")

    # Order.

    def _release(self) -> Iterator[Fields]:
        """Number what was held back and give it, parents named by their numbers."""
        held, self._held = self._held, []
        for event in held:
            event["seq"] = self.count
            self.count += 1
        given = {id(event) for event in held}
        for event in held:
            parent = event.pop("parent", None)
            if parent is not None and id(parent) in given:
                event["parent"] = parent["seq"]
            yield {key: value for key, value in event.items() if key != "list"}


def callers(stack: Sequence[str]) -> list[str]:
    """A stack without the runtime's own functions at its inner end; all of it where it has no
    others.

    Args:
        stack: the innermost function first.
    """
    for i, name in enumerate(stack):
        if not name.startswith(_RUNTIME):
            return list(stack[i:])
    return list(stack)


def _int32(n: int) -> int:
    n &= 0xFFFF_FFFF
    return n - (1 << 32) if n & _INT32_SIGN else n
