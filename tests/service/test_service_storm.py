"""Many clients at once, over real sockets; what they were answered against the log.

Scaled down; GORUN_MEM_SERVICE_CALLS=2000 is the full size.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from gorun_mem.replay.ops import OpMachine, Options
from gorun_mem.replay.opscript import parse_operation
from gorun_mem.service.client import Client, ServiceError
from tests.service.service_tools import LegalClient, events_of, served

CALLS = int(os.environ.get("GORUN_MEM_SERVICE_CALLS", "25"))
CLIENTS = 64

FUNCTIONS = {
    "sysAllocOS": "alloc {n}",
    "sysFreeOS": "free {v} {n}",
    "sysReserveOS": "reserve {v} {n}",
    "sysReserveAlignedSbrk": "reserve_aligned {n} {align}",
}


def answer_of(event: dict[str, Any]) -> str:
    if event["fn"] == "sysFreeOS":
        return "ok"
    if event["fn"] == "sysReserveAlignedSbrk":
        return f"{event['p']} {event['size']}"
    return str(event["p"])


def storm(clients: list[Client], calls: int) -> dict[int, list[tuple[str, str]]]:
    """Let all clients make calls, their requests under way together; the answers by M."""
    players = {client.m: LegalClient(client.m) for client in clients}
    while any(len(player.answers) < calls for player in players.values()):
        asked = {client.m: players[client.m].requests() for client in clients}
        while asked:
            for client in clients:
                if client.m in asked:
                    client.send(asked[client.m])
            asked = {
                client.m: then
                for client in clients
                if client.m in asked
                and (then := players[client.m].take([client.read_line() for _ in asked[client.m]]))
            }
    return {m: player.answers for m, player in players.items()}


@pytest.fixture(scope="module")
def stormed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, Any], list[Any], str]:
    """A storm's answers, its log, and the state that a client saw at its end."""
    folder = tmp_path_factory.mktemp("storm")
    with served(folder, "--mem-debug", "--report-every", "0") as server:
        clients = [server.client() for _ in range(CLIENTS)]
        answers = storm(clients, CALLS)
        state = clients[0].ask("state")
        for client in clients:
            client.close()
        assert server.stop() == 0, server.said
        return answers, events_of(server.log.read_bytes()), state


def test_the_log_has_exactly_the_answers(stormed: tuple[dict[int, Any], list[Any], str]) -> None:
    """Each client's memory stayed its own (checked as it went), and its answers are, in order,
    those that the log has for its M."""
    answers, events, _ = stormed
    logged = defaultdict(list)
    for event in events:
        if event["event"] == "mem.return":
            logged[event["m"]].append(answer_of(event))
    assert {m: [answer for _, answer in said] for m, said in answers.items()} == dict(logged)
    assert sum(map(len, logged.values())) >= CLIENTS * CALLS


def test_every_call_left_the_list_in_order(stormed: tuple[dict[int, Any], list[Any], str]) -> None:
    """memCheck ran after each change of the free list and found nothing."""
    _, events, _ = stormed
    checks = [event for event in events if event["event"] == "mem.check"]
    changes = [
        event
        for event in events
        if event["event"] == "mem.return" and event["path"] in ("sbrk", "freelist", "memfree")
    ]
    assert all(event["ok"] for event in checks)
    assert len(checks) >= len(changes) > CLIENTS


def test_the_log_linearises_the_calls(stormed: tuple[dict[int, Any], list[Any], str]) -> None:
    """The calls in the log's order, made by one M of a fresh World, have the same answers and lead
    to the same state."""
    _, events, state = stormed
    header = events[0]
    machine = OpMachine(
        Options(release=header["release"], platform=header["platform"], strict=True)
    )
    # The number of an aligned reservation's bytes is 0 in mem.return when it fails; none did.
    for event in events:
        if event["event"] == "mem.return":
            operation = parse_operation(FUNCTIONS[event["fn"]].format(**event))
            assert operation is not None
            assert machine.answer(operation) == answer_of(event), event
    last = parse_operation("state")
    assert last is not None
    assert machine.answer(last) == state


def test_the_clients_contended(stormed: tuple[dict[int, Any], list[Any], str]) -> None:
    """Ms waited for memlock, and each wait names another M as its holder."""
    _, events, _ = stormed
    waits = [event for event in events if event["event"] == "lock.wait"]
    assert len({event["m"] for event in waits}) > 1
    assert all(event["owner_m"] != event["m"] for event in waits)


def test_a_killed_server_leaves_its_log(tmp_path: Path) -> None:
    """After SIGKILL the log reads to its end, and has every call answered a second before."""
    with served(tmp_path, "--report-every", "0") as server, server.client() as client:
        answered_at: list[float] = []
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            answers = client.ask_all(["alloc 4096", "state"] * 20)  # a client may own so much
            answered_at += [time.monotonic() for answer in answers if answer.isdigit()]
        server.process.kill()
        killed_at = time.monotonic()
        server.process.wait()
        lines = server.log.read_bytes().splitlines()
        events = [json.loads(line) for line in lines[:-1]]
    returns = sum(event["event"] == "mem.return" for event in events)
    due = sum(at < killed_at - 1.0 for at in answered_at)
    assert due > 100
    assert returns >= due
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize(
    ("number", "code", "outcome"), [(signal.SIGTERM, 0, "ok"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_under_load_drains(tmp_path: Path, number: int, code: int, outcome: str) -> None:
    """The calls that have begun finish, clients are told, and the log ends with run.end."""
    with served(tmp_path, "--report-every", "0", listen=f"unix:{tmp_path}/s") as server:
        clients = [server.client() for _ in range(8)]
        for client in clients:
            client.send(["alloc 4096"] * 3000)
        for client in clients:
            for _ in range(50):
                client.read_line()
        server.process.send_signal(number)
        answers = [0] * len(clients)
        for index, client in enumerate(clients):
            answers[index], ended = read_to_the_end(client)
            assert "the server" in ended
            client.close()
        assert server.process.wait(20) == code
        events = events_of(server.log.read_bytes())
        assert not (tmp_path / "s").exists()
    assert events[-1]["event"] == "run.end"
    assert events[-1]["outcome"] == outcome
    assert "stuck" not in events[-1]
    returns = sum(event["event"] == "mem.return" for event in events)
    assert returns == sum(answers) + 50 * len(clients)
    acquired = sum(event["event"] == "lock.acquire" for event in events)
    assert acquired == sum(event["event"] == "lock.release" for event in events)


def read_to_the_end(client: Client) -> tuple[int, str]:
    """How many answers came, and the server's last line."""
    count = 0
    while True:
        try:
            client.read_line()
        except ServiceError as error:
            return count, error.ended
        count += 1


def misbehave(server: Any, number: int) -> socket.socket | None:
    """One of six kinds of bad client; a socket that stays open, if it does."""
    sock = socket.create_connection((server.address.host, server.address.port), 10)
    kind = number % 6
    if kind == 0:
        sock.sendall(b"alloc 65")  # half a line
    elif kind == 1:
        sock.sendall(bytes(range(256)) * 8 + b"\nalloc -1\nfree\n\xff\xfe\nalloc 1 2 3\n" * 20)
    elif kind == 2:
        try:
            for _ in range(10 * 16):  # 10 MiB without a newline
                sock.sendall(b"x" * 65536)
        except OSError:
            pass  # the server has had enough
    elif kind == 3:
        sock.sendall(b"alloc 4096\nreserve 0 8192\n" * 40)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
    elif kind == 4:
        sock.sendall(b"alloc 65536\nfree 1 1\nfill 0 99 1\nstore 8 1\nword 18446744073709551615\n")
        return sock
    else:
        sock.setblocking(False)
        try:
            for _ in range(100):
                sock.send(b"snapshot\nstatistics\n" * 100)  # and never reads
        except OSError:
            pass
        return sock
    sock.close()
    return None


def test_bad_clients_harm_nobody(tmp_path: Path) -> None:
    """200 clients that send garbage, half lines or 10 MiB without a newline, vanish in the middle
    of calls or never read: the others' answers stay right, no lock is left held, memory bounded."""
    options = ("--queue-max", "65536", "--idle", "60", "--reclaim", "--report-every", "0")
    with served(tmp_path, *options) as server, server.client() as good:
        player = LegalClient(1)
        before = server.rss_kib()
        left: list[socket.socket] = []
        for number in range(200):
            sock = misbehave(server, number)
            if sock is not None:
                left.append(sock)
            asked = player.requests()
            while asked:
                good.send(asked)
                asked = player.take([good.read_line() for _ in asked])
        grown = server.rss_kib() - before
        for sock in left:
            sock.close()
        deadline = time.monotonic() + 10
        while (found := json.loads(good.ask("statistics")))["ms"] > 1:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        assert found["locks"]["memlock"]["waiting"] == 0
        assert found["connections"] == 1
        owned = sum(n for _, n in player._owned)
        assert found["live_bytes"] == owned  # what the others had was reclaimed
        assert server.stop() == 0, server.said
    assert grown < 80_000, f"{grown} KiB"
    assert len(player.answers) >= 100
    events = events_of(server.log.read_bytes())
    acquired = sum(event["event"] == "lock.acquire" for event in events)
    assert acquired == sum(event["event"] == "lock.release" for event in events) > 200
    assert not any("internal" in text for text in server.said)
