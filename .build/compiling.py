"""Compiles the modules that are named with mypyc, in place: `python compiling.py FILE...`.

Run in a copy of the tree, by the build of a wheel and by `gorun-mem bench compiled`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from docstrings import document
from mypyc.build import mypycify
from setuptools import setup

QUICK = [
    "-fno-tree-dominator-opts", "-fno-tree-pta", "-fno-tree-fre", "-fno-tree-ccp",
    "-fira-algorithm=priority", "-fira-region=one",
]  # fmt: skip
"""Without these passes gcc needs a sixth less time, and what it makes is as fast."""
SILENT = ["-Wno-all", "-w"]
"""Python's own flags ask for -Wall; to look for what it warns of took gcc longer than all the rest,
and -w alone hides what was found."""
COLD = '__attribute__((optimize("Og")))'
"""Of functions that need not be fast: another sixth."""

_ONCE_OR_OUTSIDE = re.compile(
    r"^(?=char CPyDef_\w+_____top_level__\(void\) \{|PyObject \*CPyPy_\w+\(.*\) ?\{)",
    re.MULTILINE,
)
"""What runs at import, and what only unpacks the arguments of a call that Python makes."""


def is_gcc() -> bool:
    """Whether the C compiler takes these options and this attribute; clang does not."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    command = [*compiler, *QUICK, "-Werror", "-x", "c", "-c", "-", "-o", os.devnull]
    source = f"{COLD} int one(void) {{ return 1; }}\n".encode()
    try:
        return (
            subprocess.run(command, input=source, capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def main(modules: list[str]) -> None:
    """Compile the modules."""
    # Two libraries, compiled side by side: what makes a step, and who decides, drives and reads
    # logs. They are of one size, which is why what programs are written with is in the first.
    below = [name for name in modules if name.split("/")[1] in ("runtime", "step", "sync")]
    below = [name for name in below if "/strategies/" not in name]
    above = [name for name in modules if name not in below]
    libraries = [(below, "gorun_mem_steps"), (above, "gorun_mem_driving")]
    flags = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    extensions = mypycify(
        [*flags, f"--cache-dir={os.environ.get('MYPY_CACHE_DIR', os.devnull)}", *modules],
        opt_level="1",  # the second level takes twice as long and gains some percent
        debug_level="0",
        separate=[library for library in libraries if library[0]],
    )
    sources = [Path(source) for one in extensions for source in one.sources]
    document(sources, modules)
    quick = is_gcc()
    for source in sources:
        # mypyc indents each function further than the one before: more than half is spaces.
        lines = source.read_text(encoding="utf-8").split("\n")
        text = "\n".join([line.lstrip(" ") for line in lines])
        text = _ONCE_OR_OUTSIDE.sub(f"{COLD} ", text) if quick else text
        source.write_text(text, encoding="utf-8")
    more = [*(SILENT if sys.platform != "win32" else ()), *(QUICK if quick else ())]
    for one in extensions:
        one.extra_compile_args = [*one.extra_compile_args, *more]
    # The libraries first, each on a core of its own; the modules' own files are a few lines each.
    extensions.sort(key=lambda one: -sum(os.path.getsize(source) for source in one.sources))
    jobs = f"-j{os.cpu_count() or 1}"
    command = ["-q", "build_ext", "--inplace", jobs]
    setup(name="gorun_mem", packages=[], ext_modules=extensions, script_args=command)


main(sys.argv[1:])
# At its end Python would take mypy's trees and types apart one by one: as long as making them.
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
