"""Other explorers, each in a process of its own under a Python that it runs on.

They need Python 3.12 where this package takes 3.11 too, so they are installed into a virtual
environment of their own, made when they are first measured and kept in
`$XDG_CACHE_HOME/gorun_mem/peers` (`~/.cache` by default). Their versions are those that the
programs were tried with. One that cannot be had is named, with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

VERSIONS: Final = {
    "simloom": "0.5.0",
    "simloop": "0.2.2",
    "seedloop": "0.4.1",
    "detangle": "0.1.0",
    "frontrun": "0.7.0",
}
"""Of the package index."""
NEEDED: Final = (3, 12)
ANSWER_S: Final = 300.0
"""Seconds of real time that an explorer has for what it is asked."""
INSTALL_S: Final = 300.0
SCRIPT: Final = Path(__file__).with_name("asyncio_peers.py")


class PeerProcess:
    """An explorer that answers.

    Args:
        name: of its module.
        python: where it is installed.
    """

    def __init__(self, name: str, python: Path) -> None:
        self.name = name
        self._times: dict[tuple[int, int], float] = {}
        self._process = subprocess.Popen(
            [str(python), "-I", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        hello = self._read() or {"python": "", "versions": {}}
        self.version = hello["versions"].get(name, "")
        self.label = f"asyncio under {name} {self.version}, Python {hello['python']}"

    def ask(self, **asked: Any) -> dict[str, Any] | None:
        """What it answers; None if it does not, or says that it failed."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"peer": self.name, **asked}) + "\n")
            stdin.flush()
        except OSError:
            return None
        answer = self._read()
        return None if answer is None or "error" in answer else answer

    def measure(self, tasks: int, checkpoints: int, count: int) -> None:
        """Take the time of so many schedules of a program without a bug."""
        answer = self.ask(tasks=tasks, checkpoints=checkpoints, count=count)
        if answer is not None:
            shape, seconds = (tasks, checkpoints), answer["seconds"] / count
            self._times[shape] = min(seconds, self._times.get(shape, seconds))

    def best(self, tasks: int, checkpoints: int) -> float | None:
        """The least CPU time of a schedule that was taken, in seconds; None for none."""
        return self._times.get((tasks, checkpoints))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any] | None:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        late = threading.Timer(ANSWER_S, self._process.kill)
        late.start()
        try:
            line = stdout.readline()
        finally:
            late.cancel()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        return answer


class Peers:
    """Those that can be had; a context manager.

    Args:
        install: make their environment, and install what it lacks.
        folder: of the environment; the usual one if None.

    Attributes:
        running: those that answer.
        missing: the others, with the reason.
    """

    def __init__(self, *, install: bool, folder: Path | None = None) -> None:
        self.running: list[PeerProcess] = []
        self.missing: dict[str, str] = {}
        self._install = install
        self._folder = _usual_folder() if folder is None else folder

    def __enter__(self) -> Peers:
        python = self._folder / "bin" / "python"
        why = self._made(python)
        for name, version in VERSIONS.items():
            reason = why or self._installed(python, name, version)
            if reason:
                self.missing[name] = reason
                continue
            peer = PeerProcess(name, python)
            if peer.version:
                self.running.append(peer)
            else:
                peer.close()
                self.missing[name] = "is installed and does not run"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for peer in self.running:
            peer.close()

    def _made(self, python: Path) -> str:
        """Why there is no environment, "" where there is one."""
        if python.is_file():
            return ""
        if not self._install:
            return "not installed, which is done without --quick"
        base = python_for_peers()
        wanted = ".".join(map(str, NEEDED))
        if base is None:
            return f"not installed: it needs Python {wanted}, and there is none"
        return _failed([base, "-m", "venv", "--clear", str(self._folder)])

    def _installed(self, python: Path, name: str, version: str) -> str:
        """Why it is not there, "" where it is."""
        found = list(self._folder.glob(f"lib/python*/site-packages/{name}-{version}.dist-info"))
        if found:
            return ""
        if not self._install:
            return "not installed, which is done without --quick"
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        return _failed([*pip, f"{name}=={version}"])


def python_for_peers() -> str | None:
    """A Python that they run on, None for none: this one, one on the path, or one of pyenv's."""
    if sys.version_info >= NEEDED:
        return sys.executable
    for minor in range(NEEDED[1], NEEDED[1] + 4):
        found = shutil.which(f"python{NEEDED[0]}.{minor}")
        if found is not None and not _failed([found, "-c", "pass"]):
            return found
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = sorted(root.glob(f"versions/{NEEDED[0]}.*/bin/python"), key=_version_of)
    return next((str(one) for one in kept if _version_of(one) >= NEEDED), None)


def _version_of(python: Path) -> tuple[int, ...]:
    parts = python.parts[-3].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


def _usual_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gorun_mem" / "peers"


def _failed(command: list[str]) -> str:
    """What a command says when it fails, in one line; "" where it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be installed: {error}"
    if not done.returncode:
        return ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"cannot be installed: {said[-1] if said else 'no reason given'}"
