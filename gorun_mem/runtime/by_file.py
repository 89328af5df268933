"""What the files of a folder offer, each by the name of its file, so that no list has to name it.

A file is imported when it is asked for by its name. The names alone cost no import: a file that
offers something bears a mark, a line that is looked for in its text. A file whose name would hide
one of Python's own has an underscore behind it, as PEP 8 says.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Generic, TypeVar

Offer = TypeVar("Offer")


class ByFile(Mapping[str, Offer], Generic[Offer]):
    """The files of a package that offer something, by name, in the order of the names.

    Args:
        package: its name.
        offered: what a module offers, given its name too; None where it only helps others.
        mark: the regular expression of the line that only a file has that offers something, given
            its name.
    """

    def __init__(
        self,
        package: str,
        offered: Callable[[str, ModuleType], Offer | None],
        mark: Callable[[str], str],
    ) -> None:
        self._package = package
        self._offered = offered
        self._mark = mark
        self._found: dict[str, Offer | None] = {}

    def _find(self, name: str) -> Offer | None:
        if name not in self._found:
            self._found[name] = self._load(name)
        return self._found[name]

    def _load(self, name: str) -> Offer | None:
        if not name.isidentifier() or name.startswith("_"):
            return None
        for whole in (f"{self._package}.{name}", f"{self._package}.{name}_"):
            try:
                module = import_module(whole)
            except ModuleNotFoundError as error:
                if error.name != whole:
                    raise
                continue
            return self._offered(name, module)
        return None

    def __getitem__(self, name: str) -> Offer:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name, text in self.texts() if text is not None or name in self)

    def texts(self) -> Iterator[tuple[str, str | None]]:
        """Name and text of each file that bears its mark, and of those that cannot be read.

        Of a compiled file it is the text that it was made of. None stands for one that is not
        there: such a file has to be imported to tell what it offers.
        """
        folder = import_module(self._package).__path__
        files = {module.name.rstrip("_"): module.name for module in pkgutil.iter_modules(folder)}
        for name in sorted(files):
            text = self._text(files[name])
            if text is None or re.search(self._mark(name), text, re.MULTILINE):
                yield name, text

    def _text(self, module: str) -> str | None:
        try:
            data = pkgutil.get_data(self._package, f"{module}.py")
        except OSError:
            return None
        return data.decode() if data is not None else None

    def __len__(self) -> int:
        return sum(1 for _ in self)
