"""The token: who is asked for it, and what somebody without it gets to see, which is nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from skelstream.stream.view.access import REFUSALS
from skelstream.stream.view.server import serve
from skelstream.stream.view.token import page_url, token_for
from skelstream.stream.wire import AnyMessage

TOKEN = "a-token.of_20~letters"
PATIENCE_S = 20.0
GUARDED = ("/", "/page/main.js", "/page/page.css", "/metrics")


class Quiet:
    """A feed in which nothing happens."""

    def receive(self, timeout_s: float) -> AnyMessage | None:
        time.sleep(timeout_s)
        return None

    def listen_to(self, kind: type[AnyMessage], listen: bool) -> None: ...


@contextlib.contextmanager
def serving(host: str, token: str) -> Iterator[tuple[int, Counter[str]]]:
    """The page on a free port; the port, and how often somebody was refused for what."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    stop, refused, up = threading.Event(), Counter[str](), threading.Event()

    def run() -> None:
        serve(
            Quiet(), classes=("background", "wave"), host=host, port=port, token=token, stop=stop,
            refused=lambda reason: refused.update([reason]), turned=up.set,
        )  # fmt: skip

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert up.wait(PATIENCE_S)
        yield port, refused
    finally:
        stop.set()
        thread.join()


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers={name.capitalize(): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def cookie(port: int, token: str = TOKEN) -> str:
    return f"skelstream-{port}={token}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_on_loopback_no_token_is_asked_for(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELSTREAM_TOKEN", TOKEN)
    assert token_for(host) == ""
    assert "token" not in page_url(host, 8765, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.1.5", "robot.local", "127.0.0.1.evil.example"])
def test_anywhere_else_it_is_random_or_the_environments(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKELSTREAM_TOKEN", raising=False)
    tokens = {token_for(host) for _ in range(20)}
    assert len(tokens) == 20
    assert all(re.fullmatch(r"[\w-]{32,}", token) for token in tokens)
    monkeypatch.setenv("SKELSTREAM_TOKEN", TOKEN)
    assert token_for(host) == TOKEN


@pytest.mark.parametrize("bad", ["fifteen-letters", "sixteen letters!", "a" * 20 + "\n", "ä" * 20, "a" * 15 + "; b"])
def test_a_bad_token_is_refused_and_not_repeated(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELSTREAM_TOKEN", bad)
    with pytest.raises(ValueError, match=r"^SKELSTREAM_TOKEN must be 16 to 256 letters, digits, [^\n]*$") as refused:
        token_for("0.0.0.0")
    assert bad not in str(refused.value)


def test_the_address_to_open_holds_a_random_token_but_not_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKELSTREAM_TOKEN", raising=False)
    assert page_url("192.168.1.5", 80, TOKEN) == f"http://192.168.1.5:80/?token={TOKEN}"
    assert page_url("fd00::2", 80, TOKEN) == f"http://[fd00::2]:80/?token={TOKEN}"
    everywhere = page_url("0.0.0.0", 80, TOKEN)
    assert re.fullmatch(rf"http://\d+\.\d+\.\d+\.\d+:80/\?token={re.escape(TOKEN)}", everywhere)
    assert "0.0.0.0" not in everywhere  # which opens nothing on another machine
    monkeypatch.setenv("SKELSTREAM_TOKEN", TOKEN)
    assert page_url("192.168.1.5", 80, token_for("192.168.1.5")) == "http://192.168.1.5:80/?token=$SKELSTREAM_TOKEN"


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])
def test_nothing_is_served_beyond_loopback_without_a_token(host: str) -> None:
    with pytest.raises(ValueError, match=r"other machines can reach a page at .*, and it has no token; give it one"):
        serve(Quiet(), classes=("background", "wave"), host=host, port=0, stop=threading.Event())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_whoever_has_no_token_sees_nothing(method: str) -> None:
    with serving("0.0.0.0", TOKEN) as (port, refused):
        wrong: list[dict[str, str]] = [
            {}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer"},
            {"authorization": f"Bearer {TOKEN[:-1]}"}, {"cookie": cookie(port, "")}, {"cookie": cookie(port, "ü")},
            {"cookie": cookie(port + 1)},
        ]  # fmt: skip
        for path in GUARDED:
            for headers in wrong:
                status, _, body = get(port, path, method, **headers)
                assert status == 401, (path, headers)
                assert body == "" if method == "HEAD" else body.count("\n") == 1 and "?token=" in body
        for given in ("", "wrong", "%FF", TOKEN[:-1]):
            status, answered, _ = get(port, f"/?token={given}", method)
            assert status == 401 and "Set-Cookie" not in answered
        assert refused == {"token": len(GUARDED) * len(wrong) + 4}


def test_the_right_token_opens_everything() -> None:
    with serving("0.0.0.0", TOKEN) as (port, refused):
        for path in GUARDED:
            assert get(port, path, authorization=f"Bearer {TOKEN}")[0] == 200
            assert get(port, path, cookie=cookie(port))[0] == 200
        status, headers, body = get(port, f"/?token={TOKEN}")
        assert (status, headers["Location"], body) == (303, "/", "")
        assert headers["Set-Cookie"].split("; ")[0] == cookie(port)
        attributes = {part.lower() for part in headers["Set-Cookie"].split("; ")[1:]}
        assert attributes == {"httponly", "samesite=strict", "path=/"}
        assert not refused


def test_the_health_of_the_pipeline_is_told_to_all_its_details_to_those_with_the_token() -> None:
    with serving("0.0.0.0", TOKEN) as (port, refused):
        assert get(port, "/healthz")[::2] == (200, '{"alive":true}')
        assert get(port, "/readyz")[::2] == (503, '{"ready":false}')
        for path in ("/healthz", "/readyz"):
            assert '"stages":' in get(port, path, authorization=f"Bearer {TOKEN}")[2]
        assert get(port, "/readyz", host="evil.example")[0] == 403
        assert refused == {"host": 1}


@pytest.mark.parametrize(
    ("name", "origin", "headers", "reason"),
    [
        ("127.0.0.1", "http://127.0.0.1:{port}", {"Cookie": "skelstream-{port}=" + TOKEN}, None),
        ("127.0.0.1", "http://127.0.0.1:{port}", {"Authorization": "Bearer " + TOKEN}, None),
        ("127.0.0.1", "http://127.0.0.1:{port}", {}, "token"),
        ("127.0.0.1", "http://127.0.0.1:{port}", {"Cookie": "skelstream-{port}=wrong"}, "token"),
        ("127.0.0.1", "http://evil.example", {"Authorization": "Bearer " + TOKEN}, "origin"),
        ("127.0.0.1", None, {"Authorization": "Bearer " + TOKEN}, "origin"),
        ("evil.example", "http://evil.example:{port}", {"Authorization": "Bearer " + TOKEN}, "host"),
    ],
)
def test_nobody_watches_without_the_token_nor_from_elsewhere(
    name: str, origin: str | None, headers: dict[str, str], reason: str | None
) -> None:
    with serving("0.0.0.0", TOKEN) as (port, refused), socket.create_connection(("127.0.0.1", port)) as line:
        sent = {key: value.format(port=port) for key, value in headers.items()}
        where = None if origin is None else Origin(origin.format(port=port))
        with contextlib.ExitStack() as stack:
            if reason is not None:
                stack.enter_context(pytest.raises(InvalidStatus, match="403"))
            page = connect(f"ws://{name}:{port}/live", sock=line, origin=where, additional_headers=sent)
            with page:
                assert "hello" in str(page.recv(timeout=PATIENCE_S))
        assert refused == ({} if reason is None else {reason: 1})
    assert reason is None or reason in REFUSALS


def test_the_command_tells_the_token_once_and_no_process_bears_it(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "skelstream", "view", "--host", "0.0.0.0", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "SKELSTREAM_TOKEN"}
    process = subprocess.Popen(
        [*command, "--at", str(tmp_path)], stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        told = re.search(rf":{port}(/\?token=([\w-]+))\b", line)
        assert told is not None, line
        deadline, status = time.monotonic() + PATIENCE_S, 0
        while status != 303 and time.monotonic() < deadline:
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                status = get(port, told[1])[0]
        assert status == 303
        assert get(port, "/")[0] == 401
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                lines.append(path.read_bytes())
        assert any(str(port).encode() in line for line in lines)
        assert not any(told[2].encode() in line for line in lines)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=PATIENCE_S)
        assert told[2] not in rest
    finally:
        process.kill()
        process.wait()
