"""Compiles the modules that are named with mypyc, in place: `python compiling.py FILE...`.

Run in a copy of the tree, by the build of a wheel and by `gorun-mem bench compiled`.
"""

from __future__ import annotations

import os
import sys

from mypyc.build import mypycify
from setuptools import setup

modules = sys.argv[1:]
sys.argv[1:] = ["-q", "build_ext", "--inplace", f"-j{os.cpu_count() or 1}"]
# Two libraries, compiled side by side: what makes a step, and who decides and drives.
below = [name for name in modules if name.split("/")[1] in ("runtime", "step")]
below = [name for name in below if "/strategies/" not in name]
above = [name for name in modules if name not in below]
libraries = [(below, "gorun_mem_steps"), (above, "gorun_mem_driving")]
extensions = mypycify(
    ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", *modules],
    opt_level="1",  # the second level takes twice as long and gains some percent
    debug_level="0",
    separate=[library for library in libraries if library[0]],
)
# The libraries first, each on a core of its own; the modules' own files are a few lines each.
extensions.sort(key=lambda one: -sum(os.path.getsize(source) for source in one.sources))
setup(name="gorun_mem", packages=[], ext_modules=extensions)
