"""The recordings that come with this package: small Go programs, each with several releases.

A verb that takes a recording takes the name of one of these too, such as `trees-go1.24.11`, where
there is no file of that name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "recordings"
_SUFFIX: Final = ".jsonl.gz"


def names() -> list[str]:
    """Every name, in order."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in FOLDER.glob(f"*{_SUFFIX}"))


def resolve(path: Path | str) -> Path:
    """The file that is meant: the one named, or a shipped recording of that name.

    Args:
        path: of a file, or a name from `names`.
    """
    path = Path(path)
    shipped = FOLDER / (path.name + _SUFFIX)
    if path.parent == Path() and not path.exists() and shipped.is_file():
        return shipped
    return path
