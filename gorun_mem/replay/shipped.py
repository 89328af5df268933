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


def not_there(path: Path | str) -> str:
    """What to say of a recording that is neither a file nor one of these."""
    from gorun_mem._near import near_file, no_such

    name = str(path)
    near = near_file(name)
    lists = (
        f"gorun-mem record APP.wasm makes one, and some come along, such as {names()[0]}: "
        "gorun-mem predict --list"
    )
    hint = f"did you mean {near}?" if near else ""
    return no_such("recording", name, names(), cutoff=0.5, hint=hint, lists=lists)


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
