"""What a wasm binary declares, and whether it can be recorded.

Only binaries of the Go toolchain can be, from 1.21 on. Others are recognised by what their
toolchains leave behind, so that the refusal names them; what is not recognised is refused as such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gorun_mem.wasm.errors import WasmError
from gorun_mem.wasm.golang import (
    BuildInfo,
    ModuleData,
    find_build_info,
    find_module_data,
)
from gorun_mem.wasm.image import Image
from gorun_mem.wasm.module import Module
from gorun_mem.wasm.names import producers
from gorun_mem.wasm.toolchains import other_toolchain

_JS_MODULES: Final = ("gojs", "go")
_WASI: Final = "wasi_snapshot_preview1"
_RELEASE: Final = re.compile(r"go1\.\d{1,4}(?:\.\d{1,4}|rc\d+|beta\d+)?")


@dataclass(frozen=True)
class Binary:
    """A wasm binary and what it says of itself.

    Args:
        module: its sections.
        size: its bytes.
    """

    module: Module
    size: int

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Binary:
        """Look at a binary.

        Raises:
            WasmError: it is damaged, or no wasm module.
        """
        return cls(Module.parse(data), len(data))

    @cached_property
    def image(self) -> Image:
        """The initial memory.

        Raises:
            WasmError: the data section is damaged.
        """
        return Image.of(self.module)

    @cached_property
    def module_data(self) -> ModuleData | None:
        """Go's table of itself; None where this is no Go binary of 1.20 or later."""
        return find_module_data(self.image)

    @cached_property
    def build(self) -> BuildInfo | None:
        """What Go's build says of itself."""
        return find_build_info(self.image)

    @cached_property
    def producers(self) -> dict[str, list[str]]:
        """What the toolchain says of itself."""
        return producers(self.module)

    @cached_property
    def release(self) -> str:
        """The Go release, as in "go1.27.3"; "" where it is not said."""
        texts = [self.build.release] if self.build is not None else []
        texts += self.producers.get("language", []) + self.producers.get("processed-by", [])
        for text in texts:
            if match := _RELEASE.search(text):
                return match[0]
        return ""

    @cached_property
    def platform(self) -> str:
        """js/wasm or wasip1/wasm, by what it imports; "" for neither."""
        modules = {i.module for i in self.module.imports}
        if modules & set(_JS_MODULES):
            return "js/wasm"
        return "wasip1/wasm" if _WASI in modules else ""

    @cached_property
    def toolchain(self) -> str:
        """What made it: "Go", another by name, or "" where it cannot be told."""
        said = " ".join(entry for entries in self.producers.values() for entry in entries).lower()
        if "go cmd/compile" in said:
            return "Go"
        if other := other_toolchain(self.module, said):
            return other
        return "Go" if self.module_data is not None or _is_old_go(self.module) else ""

    @cached_property
    def functions(self) -> dict[str, list[int]]:
        """Go function -> its places among the functions with bodies.

        Raises:
            WasmError: Go's function table is damaged.
        """
        if self.module_data is None:
            return {}
        found: dict[str, list[int]] = {}
        for number, name in self.module_data.functions.items():
            found.setdefault(name, []).append(number)
        return found

    def refusal(self) -> str:
        """Why it cannot be recorded; "" where it can."""
        if self.toolchain != "Go":
            made = f"made by {self.toolchain}" if self.toolchain else "not made by Go's toolchain"
            return (
                f"this binary is {made}: its memory is not managed by Go's runtime "
                "(build it with `go build`, GOOS=js or wasip1)"
            )
        if self.module_data is None:
            older = f" ({self.release})" if self.release else ""
            return (
                f"no function table of Go 1.21 or later in this binary{older}: "
                "build it with a newer Go"
            )
        if self.platform == "js/wasm" and _is_old_go(self.module):
            return (
                f"this binary is of Go before 1.21 ({self.release or 'no release said'}), whose "
                "memory layer is another: build it with a newer Go"
            )
        if not self.platform:
            return (
                "this Go binary imports neither gojs nor wasi_snapshot_preview1: "
                "it is for no host that is known"
            )
        if not self.release:
            return (
                "this Go binary does not say its release (a development build?): "
                "build it with a released Go"
            )
        if self.module.memory is None:
            return "this Go binary brings no memory of its own: it cannot be recorded"
        return ""

    def check(self) -> None:
        """Refuse what cannot be recorded.

        Raises:
            WasmError: with the reason.
        """
        if reason := self.refusal():
            raise WasmError(reason)


def _is_old_go(module: Module) -> bool:
    """Whether it imports what Go's js binaries did up to 1.20."""
    return any(i.module == "go" and i.name.startswith("runtime.") for i in module.imports) and (
        module.custom("go.buildid") is not None or module.custom("go:buildid") is not None
    )
