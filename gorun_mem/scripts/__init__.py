"""A user's own file: compiled, run as a module of its own, and asked for what it defines.

Scenarios, locks and whatever else is written as `FILE.py` or `FILE.py:Class` come in here. The
module has a name that nothing else has and is out of `sys.modules` again when it has run. Errors in
the file are told by its line, and no traceback of this package is among what a user sees.

Rejected: `runpy` and the loaders of `importlib`, which leave `__pycache__` beside a user's script
and say in which of their own frames it failed.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from gorun_mem._near import no_such
from gorun_mem.files.reading import read_input
from gorun_mem.runtime.errors import said

SOURCE_BYTES_MAX: Final = 4 << 20
"""No script is larger; a log that was named by mistake may be."""


SCRIPT: Final = "_gorun_mem_script_"
"""What the name of a user's module begins with."""


class UserFileError(ValueError):
    """A file that cannot be read or does not run, or has not what was asked for."""


def split(reference: str) -> tuple[str, str]:
    """The path and the name that "FILE.py:NAME" says; the name is "" where there is none."""
    where, colon, wanted = reference.rpartition(":")
    if colon and wanted.isidentifier():
        return where, wanted
    return reference, ""


def is_file(reference: str) -> bool:
    """Whether a name is a file's, as `FILE.py` or `FILE.py:NAME`."""
    where = reference.rpartition(":")[0] if ".py:" in reference else reference
    return where.endswith(".py") or os.sep in reference


def run_script(path: Path, what: str) -> ModuleType:
    """A module of the file at `path`, which has run.

    Args:
        path: the file.
        what: what it is to be, for people, such as "scenario".

    Raises:
        UserFileError: it cannot be read, or did not run to its end; the message has the line.
    """
    source = _read(path, what)
    path = path.resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    module = ModuleType(f"{SCRIPT}{path.stem}_{digest}")
    module.__file__ = str(path)
    try:
        # What a scenario asserts is what it is run for: `python -O` is no reason to leave that out.
        code = compile(source, str(path), "exec", dont_inherit=True, optimize=0)
        with _importing_beside(path, module):
            exec(code, module.__dict__)
    except SyntaxError as error:
        raise UserFileError(_failed(path, what, error, _line_of_syntax(path, error))) from None
    except SystemExit:
        raise UserFileError(
            f"{what} script {path} exits when it is imported: put what runs it under "
            'if __name__ == "__main__"'
        ) from None
    except Exception as error:
        raise UserFileError(_failed(path, what, error, line_of(path, error))) from None
    return module


def find_class(reference: str, what: str, fits: Callable[[type], bool], needs: str) -> type:
    """The class that "FILE.py:Class" names.

    Args:
        reference: ":Class" may be left out where the file defines one that fits.
        what: what it is to be, for people, such as "lock".
        fits: whether a class is one.
        needs: what a class has to derive from, for people.

    Raises:
        UserFileError: there is no such file or class, or the class is something else.
    """
    where, wanted = split(reference)
    module = run_script(Path(where), what)
    own = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    fitting = [name for name, value in own.items() if fits(value)]
    if wanted in own:
        if fits(own[wanted]):
            return own[wanted]
        line = own[wanted].__dict__.get("__firstlineno__", 0) or _line_of_class(where, wanted)
        raise UserFileError(f"{where}:{line}: {wanted} is no {what}: derive it from {needs}")
    there = f"it has {', '.join(fitting)}" if fitting else f"derive one from {needs}"
    if wanted:
        raise UserFileError(no_such("class", wanted, fitting, of=where, lists=there))
    if not fitting:
        raise UserFileError(f"{where} defines no {what}: {there}")
    if len(fitting) > 1:
        raise UserFileError(
            f"{where} defines {len(fitting)} {what}s, {', '.join(fitting)}: say which, as in "
            f"{where}:{fitting[0]}"
        )
    return own[fitting[0]]


def line_of(path: Path, error: BaseException) -> int:
    """The innermost line of the file at `path` that `error` came through; 0 for none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == str(path):
            return frame.lineno or 0
    return 0


def _line_of_class(where: str, name: str) -> int:
    lines = Path(where).read_text(encoding="utf-8", errors="replace").splitlines()
    heads = (f"class {name}(", f"class {name}:")
    return next((n for n, line in enumerate(lines, 1) if line.strip().startswith(heads)), 0)


def _read(path: Path, what: str) -> bytes:
    try:
        return read_input(path, SOURCE_BYTES_MAX)
    except FileNotFoundError:
        near = _scripts_beside(path)
        there = f"; scripts there are {', '.join(near)}" if near else ""
        raise UserFileError(f"no {what} script {path}{there}") from None
    except OSError as error:
        raise UserFileError(f"{what} script {path}: {error.strerror}") from None


def _scripts_beside(path: Path) -> list[str]:
    try:
        others = [other.name for other in path.parent.glob("*.py")]
    except OSError:
        return []
    return difflib.get_close_matches(path.name, others, n=5, cutoff=0.4)


@contextmanager
def _importing_beside(path: Path, module: ModuleType) -> Iterator[None]:
    """Let a script import what lies beside it; afterwards nothing of it stays in `sys.modules`."""
    folder = str(path.parent)
    before: Mapping[str, ModuleType] = dict(sys.modules)
    sys.modules[module.__name__] = module
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        for name, loaded in list(sys.modules.items()):
            file = getattr(loaded, "__file__", None) or ""
            if name not in before and file.startswith(folder + os.sep):
                del sys.modules[name]
        sys.modules.pop(module.__name__, None)


def _failed(path: Path, what: str, error: BaseException, line: int) -> str:
    told = error.msg if isinstance(error, SyntaxError) else said(error)
    at = f", line {line}" if line else ""
    text = f"{type(error).__name__}: {told}" if told else type(error).__name__
    return f"{what} script {path} does not run: {' '.join(text.split())}{at}"


def _line_of_syntax(path: Path, error: SyntaxError) -> int:
    if error.filename == str(path):
        return error.lineno or 0
    return line_of(path, error)
