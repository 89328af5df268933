"""What `releases X.wasm` and `predict X.wasm` say: what a binary declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gorun_mem.cli._common import BadInput, ExitCode, write_json
from gorun_mem.cli._output import show
from gorun_mem.files.reading import open_input, read_most

if TYPE_CHECKING:
    from gorun_mem.wasm.binary import Binary

BINARY_BYTES_MAX: Final = 256 << 20
"""Of a pipe that never ends so much is read; Go's largest programs have half of it."""
_HEAD: Final = b"\0asm"


def is_wasm(path: Path) -> bool:
    """Whether a file is named or begins like a wasm binary."""
    if not path.is_file():
        return False
    with open_input(path) as file:
        return file.read(4) == _HEAD or path.suffix == ".wasm"


def binary_bytes(path: Path) -> bytes:
    """All of a wasm binary; only the beginning of what is none, which may be a pipe without end.

    Raises:
        OSError: it cannot be read, or is too large.
    """
    with open_input(path) as file:
        head = file.peek(len(_HEAD))
        if not head.startswith(_HEAD):
            return head
        return read_most(file, BINARY_BYTES_MAX, path)


def read_binary(path: Path) -> Binary:
    """The binary of a file.

    Raises:
        BadInput: it is damaged or no wasm module.
    """
    from gorun_mem.wasm.binary import Binary
    from gorun_mem.wasm.errors import WasmError

    try:
        return Binary.parse(binary_bytes(path))
    except WasmError as error:
        raise BadInput(f"{path}: {error}") from None


def declared(path: Path) -> dict[str, Any]:
    """What a binary declares, for JSON.

    Raises:
        BadInput: it is damaged.
    """
    from gorun_mem.wasm.errors import WasmError

    binary = read_binary(path)
    try:
        memory = binary.module.memory
        data = binary.module_data
        build = binary.build
        return {
            "path": str(path),
            "toolchain": binary.toolchain,
            "release": binary.release,
            "platform": binary.platform,
            "size": binary.size,
            "initial_pages": memory.least if memory is not None else None,
            "max_pages": memory.most if memory is not None else None,
            "end": data.end if data is not None else None,
            "functions": len(data.functions) if data is not None else None,
            "main": build.path if build is not None else "",
            "stripped": binary.module.custom("name") is None,
            "refusal": binary.refusal(),
        }
    except WasmError as error:
        raise BadInput(f"{path}: {error}") from None


def tell(path: Path, as_json: bool) -> int:
    """Say what a binary declares; exit 2 where it cannot be recorded."""
    found = declared(path)
    if as_json:
        write_json(found)
    else:
        show(_text(found))
    return ExitCode.USAGE if found["refusal"] else ExitCode.CLEAN


def _text(found: dict[str, Any]) -> str:
    made = " ".join(x for x in (found["release"] or found["toolchain"], found["platform"]) if x)
    head = f"{found['path']}: {made or 'a wasm binary'}, {found['size']:,} bytes"
    head += f", {found['main']}" if found["main"] else ""
    lines = [head]
    if found["initial_pages"] is not None:
        most = f"at most {found['max_pages']:,}" if found["max_pages"] is not None else "no maximum"
        lines.append(f"  memory: starts with {found['initial_pages']:,} pages of 64 KiB, {most}")
    if found["end"] is not None:
        stripped = ", stripped" if found["stripped"] else ""
        lines.append(
            f"  data ends at {found['end']:,}; {found['functions']:,} Go functions{stripped}"
        )
    if found["refusal"]:
        lines.append(f"  it cannot be recorded: {found['refusal']}")
    else:
        lines.append(
            f"  it can be recorded: gorun-mem record {found['path']}, then predict the recording"
        )
    return "\n".join(lines)
