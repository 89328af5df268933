"""Who may not ask, and what may not be sent: over sockets, against a service with its page."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gorun_mem.service.address import Address
from gorun_mem.service.client import Client
from tests import ROOT
from tests.web.web_tools import PageProcess, page_process, serving

JSON = "content-type: application/json\r\n"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageProcess]:
    with serving(tmp_path_factory.mktemp("page")) as one:
        yield one


def request(
    page: PageProcess, line: str, headers: str = "", body: bytes = b"", host: str | None = None
) -> tuple[int, bytes]:
    """Status and answer of one request, byte by byte as given."""
    host = f"127.0.0.1:{page.port}" if host is None else host
    head = f"{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n".encode()
    answer = page.raw(head + body)
    return (int(answer.split()[1]) if answer else 0), answer


def sound(page: PageProcess) -> bool:
    """The service answers, over both doors."""
    address = next(line for line in page.said if "listening on" in line).split()[2].rstrip(":")
    with Client(Address.parse(address), timeout_s=10) as client:
        assert client.ask("alloc 4096").isdigit()
    status, answer = request(page, "GET /api/world")
    return status == 200 and b"statistics" in answer


def test_a_body_with_two_ends_hides_no_request(page: PageProcess) -> None:
    """A length and chunks in one request: it is hung up on, with a 400 where there is time for one;
    what may be body or request is neither, and has no answer."""
    hidden = f"GET /api/world HTTP/1.1\r\nhost: 127.0.0.1:{page.port}\r\n\r\n"
    head = (
        f"POST /api/ms HTTP/1.1\r\nhost: 127.0.0.1:{page.port}\r\n{JSON}"
        f"content-length: {5 + len(hidden)}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    answer = page.raw(f"{head}0\r\n\r\n{hidden}".encode())
    assert answer.count(b"HTTP/1.1") == answer.count(b"HTTP/1.1 400 ") <= 1
    assert sound(page)


def test_the_page_and_its_headers(page: PageProcess) -> None:
    """It is served, may load its own files only, and says nothing about who serves it."""
    status, answer = request(page, "GET /")
    assert status == 200
    assert b"default-src 'none'; script-src 'self'" in answer
    assert b"nosniff" in answer
    assert b"hypercorn" not in answer.lower()
    for name in ("main.js", "style.css", "lanes.js"):
        status, answer = request(page, f"GET /static/{name}")
        assert status == 200
        assert b"unsafe" not in answer.split(b"\r\n\r\n")[0]
        assert b"http://" not in answer.partition(b"\r\n\r\n")[2].replace(b"http://www.w3.org", b"")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1", "", "[::1",
        "10.0.0.1:{port}",
    ],
)  # fmt: skip
def test_another_host_is_refused(page: PageProcess, host: str) -> None:
    """A name that somebody else's DNS points here is not ours."""
    status, answer = request(page, "GET /api/world", host=host.format(port=page.port))
    assert status == 400, answer


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}"])
def test_another_origin_is_refused(page: PageProcess, origin: str) -> None:
    """Another page may not ask, not even with what a browser sends without asking."""
    header = f"origin: {origin.format(port=page.port)}\r\n"
    assert request(page, "GET /api/world", header)[0] == 400
    body = b'{"name": "x"}'
    sized = f"content-length: {len(body)}\r\n"
    assert request(page, "POST /api/ms", header + JSON + sized, body)[0] == 400
    plain = f"content-type: text/plain\r\n{sized}"
    assert request(page, "POST /api/ms", plain, body)[0] == 400
    assert request(page, "GET /api/world", "sec-fetch-site: cross-site\r\n")[0] == 400
    mine = f"origin: http://127.0.0.1:{page.port}\r\n"
    assert request(page, "GET /api/world", mine)[0] == 200


@pytest.mark.parametrize(
    "target",
    [
        "/static/../page.py", "/static/..%2f..%2fpage.py", "/../../etc/passwd", "//etc/passwd",
        "/static/%2e%2e/%2e%2e/page.py", "/api/files/../../etc/passwd", "/static/\\..\\page.py",
        "/static/", "/static", "/api", "/api/", "/%00", "/static/%ff",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(page: PageProcess, target: str) -> None:
    """Files are found by their name alone."""
    status, answer = request(page, f"GET {target}")
    assert 400 <= status < 500, answer
    assert b"root:" not in answer
    assert b"import" not in answer


def test_large_bodies_are_refused(page: PageProcess) -> None:
    """10 MB, declared or not: 413, at once, and the connection ends."""
    started = time.monotonic()
    status, _ = request(page, "POST /api/ms", f"{JSON}content-length: 10000000\r\n", b"x" * 70_000)
    assert status == 413
    chunk = b"%x\r\n%s\r\n" % (65536, b"x" * 65536)
    status, _ = request(page, "POST /api/ms", f"{JSON}transfer-encoding: chunked\r\n", chunk * 4)
    assert status == 413
    assert time.monotonic() - started < 8
    status, answer = request(page, "GET /" + "x" * 70_000)
    assert 400 <= status < 500 or answer == b""
    assert sound(page)


def test_slow_bodies_and_heads_end(page: PageProcess) -> None:
    """A body that does not come is refused after 5 s; a head that does not is hung up on."""
    started = time.monotonic()
    status, answer = request(page, "POST /api/ms", f"{JSON}content-length: 10\r\n", b"{")
    assert status == 400
    assert b"did not come" in answer
    assert 4 < time.monotonic() - started < 9
    assert sound(page)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_ends_the_connection(page: PageProcess, data: bytes) -> None:
    """Whatever is sent, the server goes on."""
    page.raw(data, timeout_s=1)
    assert sound(page)


def test_websockets_are_refused(page: PageProcess) -> None:
    """The page has none."""
    upgrade = (
        "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    host = f"127.0.0.1:{page.port}"
    head = f"GET /api/live HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\n{upgrade}\r\n"
    answer = page.raw(head.encode(), timeout_s=3)
    assert int(answer.split()[1]) in range(400, 500)
    assert sound(page)


def test_there_is_no_http_2(page: PageProcess) -> None:
    """Neither by an upgrade nor by beginning with it: what follows is answered as HTTP/1.1 or not
    at all, and no frame of HTTP/2 comes back."""
    host = f"host: 127.0.0.1:{page.port}\r\n"
    asks = "connection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: \r\n"
    answer = page.raw(f"GET /api/world HTTP/1.1\r\n{host}{asks}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"101 " not in answer.partition(b"\r\n\r\n")[0]
    settings = b"\0\0\0\x04\0\0\0\0\0"
    answer = page.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert settings not in answer
    assert sound(page)


@pytest.mark.parametrize("length", ["9" * 5000, "9" * 19, "-1", "1e3", "\u00b2"])
def test_lengths_that_are_none(page: PageProcess, length: str) -> None:
    """Refused as what the client did, and no fault of ours."""
    status, answer = request(page, "POST /api/ms", f"{JSON}content-length: {length}\r\n", b"{}")
    assert status in (400, 413), answer
    assert sound(page)


def test_an_open_address_needs_the_token(tmp_path: Path) -> None:
    """There every call of the API needs it; the page's own files, which are public, do not."""
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    with serving(tmp_path, "--token-file", str(file)) as page:
        assert request(page, "GET /")[0] == 200
        for path in ("/api/world", "/api/live", "/api/openapi.json", "/api/site", "/api/nothing"):
            status, answer = request(page, f"GET {path}")
            assert status == 401, path
            assert b"www-authenticate: Bearer" in answer
            for wrong in ("Bearer x", "Bearer", "Basic s3cret", "Bearer s3cret x"):
                assert request(page, f"GET {path}", f"authorization: {wrong}\r\n")[0] == 401
        assert request(page, "GET /api/world", "authorization: Bearer s3cret\r\n")[0] == 200
        body = b"{}"
        headers = f"{JSON}authorization: Bearer s3cret\r\ncontent-length: 2\r\n"
        assert request(page, "POST /api/ms", headers, body)[0] == 201


def test_an_open_address_without_a_token_is_no_choice(tmp_path: Path) -> None:
    """The command says so and ends."""
    from tests.service.service_tools import command, environment

    done = subprocess.run(
        command("serve", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"),
        env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--token-file" in done.stderr


def test_a_browser_that_does_not_read_costs_nothing_and_is_told(tmp_path: Path) -> None:
    """It stops reading the whole log at full load: the Ms' calls go on, what waits for it is
    bounded, and when it reads again it is told how many events it missed. The service ends in time
    with it still connected."""
    with (
        serving(tmp_path, "--queue-max", "65536") as page,
        socket.socket() as stalled,
        socket.socket() as other,
    ):
        address = next(line for line in page.said if "listening on" in line).split()[2].rstrip(":")
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", page.port))
        head = f"GET /api/events?level=debug HTTP/1.1\r\nhost: 127.0.0.1:{page.port}\r\n\r\n"
        stalled.sendall(head.encode())
        time.sleep(0.3)
        with Client(Address.parse(address), timeout_s=20) as client:
            for _ in range(3000):
                addr = client.ask("alloc 4096")
                assert client.ask(f"free {addr} 4096") == "ok"
        data = b""
        stalled.settimeout(5)
        while b"watch.missed" not in data or b"}" not in data.partition(b'"missed":')[2]:
            data += stalled.recv(1 << 16)
        assert int(data.partition(b'"missed":')[2].partition(b"}")[0]) > 0
        other.connect(("127.0.0.1", page.port))
        other.sendall(head.encode())
        started = time.monotonic()
        page.process.terminate()
        page.process.wait(timeout=15)
        assert time.monotonic() - started < 8


def test_streams_and_connections_are_bounded(tmp_path: Path) -> None:
    """Hundreds of browsers: those beyond the bound are told so, and the service answers."""
    with serving(tmp_path) as page:
        head = f"GET /api/live HTTP/1.1\r\nhost: 127.0.0.1:{page.port}\r\n\r\n".encode()
        sockets = []
        try:
            for _ in range(300):
                one = socket.create_connection(("127.0.0.1", page.port), timeout=5)
                one.sendall(head)
                sockets.append(one)
            time.sleep(1)
            refused = 0
            for one in sockets[-30:]:
                one.settimeout(5)
                refused += b"429" in one.recv(200)
            assert refused == 30
        finally:
            for one in sockets:
                one.close()
        time.sleep(0.5)
        assert sound(page)


def test_view_shows_a_log(tmp_path: Path) -> None:
    """`view` serves the page on one log until it is stopped; it has no service."""
    from tests.service.service_tools import command, environment

    log = tmp_path / "a.jsonl"
    subprocess.run(
        command("run", "memlock_storm", "--set", "rounds=5", "--log", str(log)),
        env=environment(tmp_path), capture_output=True, check=True,
    )  # fmt: skip
    with page_process(tmp_path, "view", str(log), "--no-open") as page:
        with urllib.request.urlopen(page.url + "api/site") as answer:
            assert json.load(answer)["shows"] == {"kind": "run", "id": 1}
        assert request(page, "GET /api/world")[0] == 404
        status, told = request(page, "GET /api/runs/1/lanes")
        assert status == 200
        assert b'"intervals":' in told
    assert page.process.returncode == 0


def test_view_shows_a_services_log(tmp_path: Path) -> None:
    """Which is a folder of parts."""
    from tests.service.service_tools import command, environment

    process = subprocess.Popen(
        command("serve", "--listen", "127.0.0.1:0"), env=environment(tmp_path),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[2].rstrip(":")
        with Client(Address.parse(address), timeout_s=20) as client:
            assert client.ask("alloc 4096").isdigit()
        process.terminate()
    with page_process(tmp_path, "view", "last", "--no-open") as page:
        status, told = request(page, "GET /api/runs/1/lanes")
        assert status == 200, told
        assert b'"intervals":1' in told
        assert request(page, "GET /api/runs/1/log")[0] == 409


def test_view_shows_a_recording(tmp_path: Path) -> None:
    """It is replayed first; what the page shows is the log of that."""
    trace = ROOT / "tests/data/traces/go1.19-js-t_runtime.jsonl.gz"
    with page_process(tmp_path, "view", str(trace), "--no-open") as page:
        status, told = request(page, "GET /api/runs/1/lanes")
        assert status == 200
        assert b'"trace"' in told
        assert b'"memory":[[' in told


@pytest.mark.parametrize(
    ("argument", "says"),
    [("nothing.jsonl", "no such file"), ("AgAA", "no token"), ("{here}", "no event log")],
)
def test_view_says_what_it_cannot_show(tmp_path: Path, argument: str, says: str) -> None:
    """A file that is none, a damaged token, a text: exit 2 and why."""
    from tests.service.service_tools import command, environment

    text = tmp_path / "text"
    text.write_text("hello\n")
    done = subprocess.run(
        command("view", argument.format(here=text), "--no-open"),
        env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
