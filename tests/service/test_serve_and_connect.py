"""The verbs serve and connect as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.service.service_tools import command, environment, events_of, served

SCRIPT = """\
# a comment
info
alloc 65536
alloc 100000 => 99
reserve 0 8192
fill 1441792 65536 7
word 1441792
free 1441792 65536
iszero 1441792 65536
reserve_aligned 65536 262144

state
failnext 1
alloc 99999999
dump
dump full
"""


def run(folder: Path, *arguments: str, text: str | bytes = "") -> subprocess.CompletedProcess[str]:
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(
        command(*arguments), env=environment(folder), input=data, capture_output=True, check=False,
        timeout=20,
    )  # fmt: skip
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.mark.parametrize(
    ("options", "script"),
    [
        (("--release", "go1.24.3", "--platform", "plan9/amd64"), SCRIPT),
        (("--release", "go1.23.9", "--platform", "js/wasm"), SCRIPT.replace("1441792", "1507328")),
        (("--release", "go1.20", "--platform", "js/wasm"), SCRIPT.replace("1441792", "1507328")),
        (("--release", "go1.27", "--platform", "plan9/386"), SCRIPT),
        # Misuse, faithful: a double free that throws, and a fault.
        (("--platform", "js/wasm"), "word 99999999999\n"),
        (("--platform", "plan9/amd64"), "alloc 4096\nalloc 4096\n" + "free 1441792 4096\n" * 3
         + "state\nalloc 8192\ninfo\n"),
    ],
)  # fmt: skip
def test_a_script_is_answered_as_ops_answers_it(
    tmp_path: Path, options: tuple[str, ...], script: str
) -> None:
    """`connect < script` on a fresh World prints what `ops` prints, and exits as it does."""
    wanted = run(tmp_path, "ops", *options, text=script)
    one = ("--connections-max", "1", "--faithful", "--admin", *options)
    with served(tmp_path, *one, listen=f"unix:{tmp_path}/s") as server:
        got = run(tmp_path, "connect", str(server.address), text=script)
    assert got.stdout == wanted.stdout
    assert got.returncode == wanted.returncode
    assert len(got.stdout) > 20 or got.returncode


def test_connect_reads_files_and_stops_at_a_bad_line(tmp_path: Path) -> None:
    """A script from a file goes in batches; what stands before a line that is none is answered,
    nothing behind it is sent; --echo and --json show requests too."""
    script = tmp_path / "script.txt"
    script.write_text("alloc 4096\n" * 700 + "aloc 1\nalloc 4096\n")
    with served(tmp_path) as server:
        with script.open("rb") as stream:
            done = subprocess.run(
                command("connect", str(server.address), "--echo"), env=environment(tmp_path),
                stdin=stream, capture_output=True, text=True, check=False, timeout=20,
            )  # fmt: skip
        lines = done.stdout.splitlines()
        assert lines[699] == f"alloc 4096 => {1441792 + 699 * 4096}"
        assert len(lines) == 700
        assert done.returncode == 2
        assert done.stderr.startswith("gorun-mem connect: <stdin>:701: no operation 'aloc'")
        done = run(tmp_path, "connect", str(server.address), "--json", text="info\nfree 1 1\n")
        document = json.loads(done.stdout)
        assert [one["request"] for one in document["answers"]] == ["info", "free 1 1"]
        assert document["exit_code"] == done.returncode == 1
        statistics = json.loads(
            run(tmp_path, "connect", str(server.address), text="statistics\n").stdout
        )
        assert statistics["calls"] == 701


def test_watch_streams_until_the_server_ends(tmp_path: Path) -> None:
    """A watching client is sent run.end, and is told why the service ended."""
    with served(tmp_path) as server:
        watcher = subprocess.Popen(
            command("connect", str(server.address)), env=environment(tmp_path),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        watcher.stdin.write("watch run.* mem.return\n")
        watcher.stdin.flush()
        assert watcher.stdout.readline() == "ok\n"
        with server.client() as client:
            client.ask("alloc 4096")
        assert server.stop() == 0
        out, err = watcher.communicate(timeout=10)
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["mem.return", "run.end"]
    assert watcher.returncode == 0, err


def test_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Mode 0600; one that a killed server left is taken over, one in use and a file that is no
    socket are not; it is removed at the end."""
    path = tmp_path / "s"
    with served(tmp_path, listen=f"unix:{path}") as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        second = run(tmp_path, "serve", "--listen", f"unix:{path}")
        assert second.returncode == 2
        assert f"unix:{path} is in use" in second.stderr
        server.process.kill()
        server.process.wait()
    assert path.exists()
    with served(tmp_path, listen=f"unix:{path}") as server:
        with server.client() as client:
            assert client.m == 1
        assert server.stop() == 0
    assert not path.exists()
    path.write_text("mine")
    third = run(tmp_path, "serve", "--listen", f"unix:{path}")
    assert third.returncode == 2
    assert "exists and is no socket" in third.stderr
    assert path.read_text() == "mine"


def test_others_need_a_token(tmp_path: Path) -> None:
    """An address that others can reach is refused without a token; with one, connect says it."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("s3cre\n")
    for file in (token, wrong):
        file.chmod(0o644)
    done = run(tmp_path, "serve", "--listen", "0.0.0.0:0", "--token-file", str(token))
    assert done.returncode == 2
    assert f"{token} can be read by others: chmod 600 {token}" in done.stderr
    for file in (token, wrong):
        file.chmod(0o600)
    done = run(tmp_path, "serve", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "--token-file" in done.stderr
    with served(tmp_path, "--token-file", str(token), listen="0.0.0.0:0") as server:
        where = f"127.0.0.1:{server.address.port}"
        assert run(tmp_path, "connect", where, text="info\n").returncode == 2
        done = run(tmp_path, "connect", where, "--token-file", str(wrong), text="info\n")
        assert done.returncode == 2
        assert "wrong token" in done.stderr
        done = run(tmp_path, "connect", where, "--token-file", str(token), text="info\n")
        assert done.returncode == 0
        assert done.stdout.startswith("go1.")
        server.stop()
    assert any("in clear" in said and "ssh -L" in said for said in server.said)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--listen", "nowhere"), "is no address"),
        (("--listen", "127.0.0.1:99999"), "no port 99999"),
        (("--listen", "unix:"), "names no socket"),
        (("--listen", "unix:/no/such/folder/s"), "No such file or directory"),
        (("--listen", "no-such-host.invalid:1"), "no-such-host.invalid"),
        (("--mutex", "mutex"), "no mutex 'mutex'"),
        (("--platform", "js/wasm", "--mutex", "js"), "one M"),
        (("--release", "go1.20", "--platform", "wasip1/wasm"), "wasip1"),
        (("--cpus", "0"), "cpus = 0"),
        (("--strategy", "fastest"), "fastest"),
        (("--costs", "/no/such/file"), "/no/such/file"),
        (("--faithful", "--reclaim"), "--reclaim"),
        (("--connections-max", "0"), "at least 1"),
        (("--token-file", "/no/such/file"), "/no/such/file"),
        (("--token-file", "/dev/null"), "holds no token"),
        (("--log", "/no/such/folder/log"), "/no/such/folder/log"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    """Bad options and addresses: exit 2, one line that names the value, nothing left running."""
    listen = () if "--listen" in arguments else ("--listen", f"unix:{tmp_path}/s")
    done = run(tmp_path, "serve", *listen, *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "s").exists()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A port that another program listens on: exit 2 and the next step; and connect names an
    address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "serve", "--listen", f"127.0.0.1:{port}")
        assert done.returncode == 2
        assert f"127.0.0.1:{port} is in use" in done.stderr
    done = run(tmp_path, "connect", f"127.0.0.1:{port}", text="info\n")
    assert done.returncode == 2
    assert "no service at" in done.stderr
    assert "gorun-mem serve" in done.stderr


def test_json_and_the_default_log(tmp_path: Path) -> None:
    """Without --log the log is in the home of runs, `last` for other verbs; --json is one document
    on stdout."""
    process = subprocess.Popen(
        command("serve", "--listen", f"unix:{tmp_path}/s", "--json", "--report-every", "1"),
        env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()
    run(tmp_path, "connect", f"unix:{tmp_path}/s", text="alloc 4096\n")
    assert "has gone and still owns 1 range, 4 KiB" in process.stderr.readline()
    assert "calls/s" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    document = json.loads(out)
    assert process.returncode == document["exit"] == 0
    assert document["calls"] == 1
    assert document["abandoned_bytes"] == 4096
    assert Path(document["log"]).parent == tmp_path / "runs"
    report = run(tmp_path, "report", "last")
    assert report.returncode == 0, report.stderr
    assert "serve" in report.stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal to type at")
def test_by_hand_there_are_prompts_and_refusals(tmp_path: Path) -> None:
    """On a terminal each line is prompted for and answered, a mistyped one is not sent, and the
    history is kept."""
    with served(tmp_path) as server:
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            command("connect", str(server.address)), env=environment(tmp_path) | {"TERM": "dumb"},
            stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        )  # fmt: skip
        os.close(theirs)
        os.write(ours, b"alloc 4096\naloc 1\nfree 1 1\nquit\n")
        seen = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:
                break
            if not more:
                break
            seen += more
        os.close(ours)
        assert process.wait(10) == 0
        assert server.stop() == 0
    text = seen.decode()
    assert "M1> " in text
    assert "1441792" in text
    assert "did you mean alloc?" in text
    assert "illegal free of" in text
    assert (tmp_path / "connect_history").read_text().splitlines()[-4:] == [
        "alloc 4096", "aloc 1", "free 1 1", "quit",
    ]  # fmt: skip
    returns = [e for e in events_of(server.log.read_bytes()) if e["event"] == "mem.return"]
    assert len(returns) == 2
