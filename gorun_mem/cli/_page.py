"""Where the page is served, for the verbs that serve it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._common import BadInput
from gorun_mem.cli._exit import internal_fault, say
from gorun_mem.files.reading import read_input
from gorun_mem.service.address import Address, AddressError

if TYPE_CHECKING:
    from gorun_mem.service.server import Server

_TOKEN_BYTES_MAX: Final = 1024


def read_token(file: str) -> bytes:
    """The token in a file; see `read_tokens`."""
    return read_tokens(file)[0]


def read_tokens(file: str) -> tuple[bytes, bytes | None]:
    """The token in a file, one word, and that of who may do what concerns all, where there is one.

    The latter is on a second line, behind the word admin.

    Raises:
        BadInput: there is none in it, or others can read the file.
        OSError: it cannot be read.
    """
    name = click.format_filename(file)
    if os.name == "posix":
        mode = os.stat(file).st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            raise BadInput(f"{name} can be read by others: chmod 600 {name}")
    lines = read_input(file, 2 * _TOKEN_BYTES_MAX).split(b"\n")
    words = [line.split() for line in lines if line.strip()]
    match words:
        case [[token]] if len(token) <= _TOKEN_BYTES_MAX:
            return token, None
        case [[token], [b"admin", admin]] if len(token) <= _TOKEN_BYTES_MAX:
            return token, admin
    raise BadInput(
        f"{name} holds no token: write one word of at most {_TOKEN_BYTES_MAX} bytes into it, such "
        "as of `openssl rand -hex 16`, and on a second line, if you like, admin and another"
    )


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Where to serve the page, and to whom.

    Args:
        address: where.
        token: what callers of the API must say; None where only this machine can call.
    """

    address: Address
    token: bytes | None

    @classmethod
    def of(cls, text: str, token_file: str | None) -> PageOptions:
        """What the command line says.

        Raises:
            BadInput: it is no address, or others can reach it and there is no token.
        """
        try:
            address = Address.parse(text)
            private = address.is_private()
        except AddressError as error:
            raise BadInput(f"--http: {error}") from None
        if address.path:
            raise BadInput(f"--http {text}: a browser needs HOST:PORT")
        if token_file is None and not private:
            raise BadInput(
                f"--http {text} can be reached by others: name a file with a token that callers "
                "must send (--token-file FILE), or use 127.0.0.1"
            )
        return cls(address, read_token(token_file) if token_file is not None else None)

    @asynccontextmanager
    async def opened(
        self,
        *,
        server: Server | None = None,
        log: str | None = None,
        shows: dict[str, Any] | None = None,
        recording: str = "",
        code: Sequence[str] = (),
    ) -> AsyncIterator[str]:
        """Serve the page while the block runs; its address.

        Args:
            server: the service that it shows.
            log: an event log that it shows.
            shows: what else it opens on.
            code: beside the library's, what schedules that are looked at may run.

        Raises:
            BadInput: it cannot be served there, or the packages that it needs are not installed.
        """
        try:
            from gorun_mem.web.page import open_page
        except ImportError as error:
            raise BadInput(f"the page needs {error.name}: pip install 'gorun-mem[web]'") from None

        def on_fault(error: BaseException) -> None:
            say(internal_fault(error, "gorun-mem", sys.argv[1:]))

        try:
            async with open_page(
                self.address, server=server, token=self.token, log=log, shows=shows,
                recording=recording, code=code, on_fault=on_fault,
            ) as page:  # fmt: skip
                yield page.url
        except AddressError as error:
            raise BadInput(f"--http: {error}") from None
