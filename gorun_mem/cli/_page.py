"""Where the page is served, for the verbs that serve it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gorun_mem.cli._common import BadInput
from gorun_mem.cli._exit import internal_fault, say
from gorun_mem.service.address import Address, AddressError

if TYPE_CHECKING:
    from gorun_mem.service.server import Server

_TOKEN_BYTES_MAX: Final = 1024


def read_token(file: str) -> bytes:
    """The token in a file: one word.

    Raises:
        BadInput: there is none in it.
        OSError: it cannot be read.
    """
    with Path(file).open("rb") as stream:
        token = stream.read(_TOKEN_BYTES_MAX + 1).strip()
    if not token or len(token) > _TOKEN_BYTES_MAX or len(token.split()) != 1:
        raise BadInput(
            f"{click.format_filename(file)} holds no token: write one word of at most "
            f"{_TOKEN_BYTES_MAX} bytes into it, such as of `openssl rand -hex 16`"
        )
    return token


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
    ) -> AsyncIterator[str]:
        """Serve the page while the block runs; its address.

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
                on_fault=on_fault,
            ) as page:  # fmt: skip
                yield page.url
        except AddressError as error:
            raise BadInput(f"--http: {error}") from None
