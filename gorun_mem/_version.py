"""What is installed: the version, which pyproject.toml repeats, and whether it is compiled."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"


def is_compiled() -> bool:
    """Whether the hot modules are the compiled ones, which answer the same but faster."""
    from importlib.util import find_spec

    spec = find_spec("gorun_mem.step.engine")
    return spec is not None and not str(spec.origin).endswith(".py")


def build() -> str:
    """ "compiled" or "pure Python", for people."""
    return "compiled" if is_compiled() else "pure Python"
