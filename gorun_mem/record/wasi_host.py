"""Runs an instrumented Go wasip1/wasm binary under wasmtime and writes down what its hooks see.

`python -P -m gorun_mem.record.wasi_host PLAN.json`, in a process of its own, so that the program's
exit, a trap, or its memory are not ours. Node's own WASI was rejected: it aborts in poll_oneoff on
programs that other hosts run.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gorun_mem._interrupts import end_with
from gorun_mem.record.plan import Plan
from gorun_mem.record.raw import END, raw_record
from gorun_mem.record.virtual import VirtualWasi
from gorun_mem.runtime.behaviour import WASM_PAGE
from gorun_mem.wasm.instrument import ENTERED, MEMORY_EXPORT, RETURNED, TABLE_EXPORT

WASM_STACK: Final = 8 << 20
"""Bytes of the wasm stack, as Go's own script gives wasmtime."""
_THREAD_STACK: Final = 256 << 20
_TRAP_LINES: Final = 20
_TRAPPED: Final = 134
_FLUSH_BYTES: Final = 1 << 18
_FLUSH_S: Final = 0.2
"""Seconds after which what was recorded is written, so that a killed run leaves it."""
_MASK32: Final = 0xFFFF_FFFF


class HostRecorder:
    """What the hooks saw, on its way to the file.

    Args:
        plan: the run.
        size: tells the memory's pages.
        address: tells where the memory lies.
    """

    def __init__(self, plan: Plan, size: Callable[[], int], address: Callable[[], int]) -> None:
        self._size = size
        self._address = address
        self._reads = [(_triples(enter), _triples(leave), ()) for enter, leave in plan.hooks]
        self._osinit = plan.osinit
        self._search = plan.state
        self._state: tuple[int, ...] = ()
        self._file = open(plan.raw, "wb", buffering=0)  # noqa: SIM115 - closed by end()
        self._out = bytearray()
        self._flush_at = time.monotonic() + _FLUSH_S
        self._pages = -1
        self._words: memoryview = memoryview(b"")

    def hook(self, id: int, phase: int, sp: int, context: int) -> None:
        """A watched function was entered or left."""
        pages = self._size()
        if pages != self._pages:
            self._look(pages)
        words = self._words
        sp &= _MASK32
        found = [words[sp >> 3]] if phase == ENTERED else []
        run = b""
        for base, offset, through in self._reads[id][phase]:
            place = ((context & _MASK32 if base else sp) + offset) >> 3
            if through < -1:
                run = words[place : place - through].tobytes()
                continue
            word = words[place]
            if through >= 0:
                at = (word + through) >> 3
                word = words[at] if at < len(words) else 0
            found.append(word)
        if phase == RETURNED:
            found += [words[place] for place in self._state]
        self._out += raw_record(id, phase, sp, pages, tuple(found), run)
        if phase == RETURNED and id == self._osinit:
            self._find_state()
        if len(self._out) > _FLUSH_BYTES or time.monotonic() > self._flush_at:
            self._flush()

    def end(self) -> None:
        """The program ended by itself."""
        pages = self._size()
        self._out += raw_record(END, 0, 0, pages, ())
        self._flush()
        self._file.close()

    def _look(self, pages: int) -> None:
        self._pages = pages
        memory = (ctypes.c_ubyte * (pages * WASM_PAGE)).from_address(self._address())
        self._words = memoryview(memory).cast("B").cast("Q")

    def _find_state(self) -> None:
        """After osinit bloc and blocMax have known values: two words that have them are these."""
        search = self._search
        first, last = search["from"] >> 3, search["to"] >> 3
        words = self._words[first:last].tolist()

        def places(value: int) -> list[int]:
            return [first + i for i, word in enumerate(words) if word == value]

        bloc = places(search["bloc"])
        if search["growsFirst"]:
            self._state = tuple(bloc) if len(bloc) == 2 else ()
            return
        bloc_max = places(self._pages * WASM_PAGE)
        if len(bloc) == len(bloc_max) == 1 and bloc != bloc_max:
            self._state = (bloc[0], bloc_max[0])

    def _flush(self) -> None:
        self._file.write(self._out)
        self._out.clear()
        self._flush_at = time.monotonic() + _FLUSH_S


def _triples(reads: list[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(reads[i : i + 3]) for i in range(0, len(reads), 3))


def run(plan: Plan) -> int:
    """Run the program to its end; its exit code."""
    import wasmtime

    clock = VirtualWasi() if plan.virtual else None
    try:
        engine = wasmtime.Engine(_config(wasmtime))
        store = wasmtime.Store(engine)
        store.set_wasi(_wasi(wasmtime, plan))
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        if clock is not None:
            linker.allow_shadowing = True
            clock.define(wasmtime, linker)
        module = wasmtime.Module.from_file(engine, plan.wasm)
        instance = linker.instantiate(store, module)
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        Path(plan.refused).write_text(str(error), encoding="utf-8")
        return 1
    exports: Any = instance.exports(store)
    memory = exports[MEMORY_EXPORT]

    def address() -> int:
        return ctypes.addressof(memory.data_ptr(store).contents)

    if clock is not None:
        clock.write = lambda data, at: memory.write(store, data, at)
        clock.read = lambda at, n: bytes(memory.read(store, at, at + n))
    recorder = HostRecorder(plan, lambda: memory.size(store), address)
    i32 = wasmtime.ValType.i32()
    function = wasmtime.Func(store, wasmtime.FuncType([i32] * 4, []), recorder.hook)
    exports[TABLE_EXPORT].set(store, plan.slot, function)
    try:
        exports["_start"](store)
        code = 0
    except wasmtime.ExitTrap as ended:
        code = ended.code
    except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
        sys.stderr.write(_shortened(str(trap)))
        code = _TRAPPED
    recorder.end()
    return code


def _config(wasmtime: Any) -> Any:
    """A deep stack, as far as this wasmtime lets it be set; compiled code is kept between runs."""
    config = wasmtime.Config()
    try:
        config.cache = True
    except wasmtime.WasmtimeError:
        pass  # no home, or one that cannot be written: it is compiled each time
    library = import_module("wasmtime._ffi").dll
    # Not every version's Config has them. An engine panics whose wasm stack is larger than that of
    # its fibers, though it uses none; one that knows no fibers does not.
    for name, size in (
        ("wasmtime_config_async_stack_size_set", 2 * WASM_STACK),
        ("wasmtime_config_max_wasm_stack_set", WASM_STACK),
    ):
        setter = getattr(library, name, None)
        if setter is not None:
            setter.argtypes, setter.restype = [ctypes.c_void_p, ctypes.c_uint64], None
            setter(config.ptr(), size)
    return config


def _shortened(trap: str) -> str:
    """What a trap says, without the middle of a deep backtrace."""
    lines = trap.splitlines()
    if len(lines) > _TRAP_LINES:
        lines[_TRAP_LINES // 2 : -_TRAP_LINES // 2] = [f"  ... {len(lines) - _TRAP_LINES:,} more"]
    return "\n".join(lines) + "\n"


def _wasi(wasmtime: Any, plan: Plan) -> Any:
    wasi = wasmtime.WasiConfig()
    wasi.argv = plan.argv
    wasi.env = list(plan.env.items())
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for here, there in plan.dirs:
        wasi.preopen_dir(here, there)
    return wasi


def main() -> None:
    """Run the plan that the command line names, in a thread with a stack for deep programs."""
    plan = Plan.read(Path(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with(plan.parent)
    codes: list[int] = []
    threading.stack_size(_THREAD_STACK)
    thread = threading.Thread(target=lambda: codes.append(run(plan)))
    thread.start()
    thread.join()
    sys.exit(codes[0] if codes else 1)


if __name__ == "__main__":
    main()
