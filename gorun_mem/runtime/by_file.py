"""What the files of a folder offer, each by the name of its file, so that no list has to name it.

A file is imported when it is asked for by its name, all of them only where somebody goes through
what there is. A file whose name would hide one of Python's own has an underscore behind it, as PEP
8 says.
"""

from __future__ import annotations

import pkgutil
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
    """

    def __init__(self, package: str, offered: Callable[[str, ModuleType], Offer | None]) -> None:
        self._package = package
        self._offered = offered
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
        folder = import_module(self._package).__path__
        names = sorted(module.name.rstrip("_") for module in pkgutil.iter_modules(folder))
        return (name for name in names if self._find(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
