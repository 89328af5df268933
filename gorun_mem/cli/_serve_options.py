"""The options of `serve` that bound what clients may take, and say what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from gorun_mem.cli._common import Number, apply
from gorun_mem.service.settings import Limits

_LIMITS: Final = Limits()


def _limit(name: str, default: float, least: int, most: int, text: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        type=Number(least, most),
        default=int(default),
        show_default=True,
        metavar="N",
        help=text,
    )


def _bytes(name: str, default: int, text: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        type=Number(4096, 1 << 50, sizes=True),
        default=default,
        show_default=f"{default >> 20}MiB",
        metavar="BYTES",
        help=text,
    )


def _rights() -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--shared",
            is_flag=True,
            help="Let every client load, store, fill and free what another owns.  [default: only "
            "its owner, and what it shares by share V N; what a client leaves behind is anybody's]",
        ),
        click.option(
            "--admin",
            is_flag=True,
            help="Let every client say limit, failnext and hostgrow, which concern all.  [default: "
            "only who says the admin's token, the second line of --token-file: admin TOKEN]",
        ),
    ]


def _bounds() -> list[Callable[[Any], Any]]:
    """Of what clients own and send."""
    return [
        _bytes("--request-max", _LIMITS.request_bytes, "Refuse a request about more bytes."),
        _bytes("--client-max", _LIMITS.client_bytes, "Refuse a client that would own more bytes."),
        _limit(
            "--ranges-max",
            _LIMITS.client_ranges,
            1,
            _LIMITS.world_ranges,
            "Refuse a client that would own more ranges.",
        ),
        _bytes(
            "--resident-max",
            _LIMITS.resident_bytes,
            "Refuse writes when so much of the World's memory is written, by all clients.",
        ),
        _limit(
            "--connections-max",
            _LIMITS.connections,
            1,
            4000,
            "Let in so many clients at once, each of which is an M.",
        ),
        _limit(
            "--line-max", _LIMITS.line_bytes, 16, 1 << 20, "Hang up on a request of more bytes."
        ),
        _limit(
            "--pipeline-max",
            _LIMITS.pipeline,
            1,
            1 << 20,
            "Read no further while so many requests of a client wait.",
        ),
        _limit(
            "--queue-max",
            _LIMITS.queue_bytes,
            1024,
            1 << 30,
            "Begin no request of a client that has so many bytes to read.",
        ),
        _limit(
            "--idle",
            _LIMITS.idle_s,
            0,
            1 << 30,
            "Hang up on a client that is idle for so many seconds; 0 never does.",
        ),
    ]


def _guest_bounds() -> list[Callable[[Any], Any]]:
    return [
        _limit(
            "--guest-steps",
            _LIMITS.guest_steps,
            0,
            1 << 62,
            "End a scenario that the page runs in the World after so many steps of its Ms; 0 never "
            "does.",
        ),
        _limit(
            "--guest-virtual",
            _LIMITS.guest_ns // 10**9,
            0,
            1 << 30,
            "End it after so many seconds of virtual time; 0 never does.",
        ),
        _limit(
            "--guest-time",
            _LIMITS.guest_s,
            0,
            1 << 30,
            "End it after so many seconds of real time, those not counted in which the World is "
            "paused or in slow motion; 0 never does.",
        ),
    ]


def bounds_options(function: Any) -> Any:
    """Decorate a command with the bounds and rights of clients."""
    return apply([*_rights(), *_bounds(), *_guest_bounds()])(function)


def take_limits(given: dict[str, Any]) -> Limits:
    """The bounds, taken out of what the command line gave."""
    return Limits(
        connections=given.pop("connections_max"),
        line_bytes=given.pop("line_max"),
        pipeline=given.pop("pipeline_max"),
        queue_bytes=given.pop("queue_max"),
        idle_s=given.pop("idle"),
        request_bytes=given.pop("request_max"),
        client_bytes=given.pop("client_max"),
        client_ranges=given.pop("ranges_max"),
        resident_bytes=given.pop("resident_max"),
        guest_steps=given.pop("guest_steps"),
        guest_ns=given.pop("guest_virtual") * 10**9,
        guest_s=given.pop("guest_time"),
    )
