"""Who is let in, what slow and rude viewers cost the others, and how it ends."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from skelstream.stream.view.server import serve
from skelstream.stream.wire import AnyMessage


def test_a_port_in_use_is_said_before_the_feed_is_read(made: Any) -> None:
    feed = made.QueueFeed()
    feed.put(made.tracks(0))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"^port {port} is in use; choose another with --port$"):
            serve(feed, classes=made.CLASSES, port=port)
    assert feed.read == 0


def test_what_the_feed_raises_ends_the_server(made: Any) -> None:
    class Broken:
        def receive(self, timeout_s: float) -> AnyMessage | None:
            raise OSError("the cable is out")

        def listen_to(self, kind: type[AnyMessage], listen: bool) -> None: ...

    with pytest.raises(OSError, match="the cable is out"):
        serve(Broken(), classes=made.CLASSES, port=made.free_port(), stop=threading.Event())


@pytest.mark.parametrize(
    ("host", "origin", "welcome"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", True),
        ("localhost:{port}", "http://localhost:{port}", True),
        ("127.0.0.1:{port}", "http://evil.example", False),
        ("127.0.0.1:{port}", "http://127.0.0.1:1", False),
        ("127.0.0.1:{port}", "null", False),
        ("127.0.0.1:{port}", None, False),
        ("evil.example:{port}", "http://evil.example:{port}", False),  # a name that was made to point at us
        ("127.0.0.1.evil.example:{port}", "http://127.0.0.1.evil.example:{port}", False),
    ],
)
def test_only_our_own_page_may_watch(made: Any, host: str, origin: str | None, welcome: bool) -> None:
    port = made.free_port()
    headers = {"Host": host.format(port=port)}
    with made.serving(made.QueueFeed(), port), socket.create_connection(("127.0.0.1", port)) as raw:
        request = (
            f"GET /live HTTP/1.1\r\nHost: {headers['Host']}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + (f"Origin: {origin.format(port=port)}\r\n" if origin else "")
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2tlbGV0b25zIGxpdmUhIQ==\r\n\r\n"
        )
        raw.settimeout(made.PATIENCE_S)
        raw.sendall(request.encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 101" if welcome else b"HTTP/1.1 403")
        page = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
        if "evil" in host:
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(page, timeout=made.PATIENCE_S)
        else:
            with urllib.request.urlopen(page, timeout=made.PATIENCE_S) as response:
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_seventeenth_viewer_is_turned_away_until_one_leaves(made: Any) -> None:
    port, refused = made.free_port(), queue.SimpleQueue[str]()
    with made.serving(made.QueueFeed(), port, refused=refused.put), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(made.viewer(port)) for _ in range(16)]
        for client in clients:
            assert json.loads(client.recv(timeout=made.PATIENCE_S))["type"] == "hello"
        with made.viewer(port) as late, pytest.raises(ConnectionClosed) as closed:
            late.recv(timeout=made.PATIENCE_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        assert refused.get(timeout=made.PATIENCE_S) == "too many viewers" and refused.empty()
        clients[0].close()

        def room() -> bool:
            with made.viewer(port) as next_one, contextlib.suppress(ConnectionClosed):
                return "hello" in str(next_one.recv(timeout=made.PATIENCE_S))
            return False

        made.until(room, "room for another viewer")


def test_a_slow_viewer_delays_nobody_and_skips_to_the_newest_picture(made: Any) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port), made.viewer(port) as slow, made.viewer(port) as quick:
        feed.put(made.preview(0), made.tracks(0))
        made.see_until(quick, 0)
        for seq in range(1, 120):
            feed.put(made.preview(seq), made.tracks(seq))
        made.see_until(quick, 119)
        slow_seen = []
        with contextlib.suppress(TimeoutError):
            while True:
                message = slow.recv(timeout=0.5)
                slow_seen += [made.seq_of(message)] if isinstance(message, bytes) else []
        assert len(slow_seen) <= 2
        if slow_seen[-1] != 119:  # it now says that it has seen them, and gets none of those in between
            slow.send('{"seen": "picture"}')
            assert made.see_until(slow, 119) == [119]


@pytest.mark.parametrize("nonsense", ["{", "[]", '{"seen": ["picture"]}', '{"camera": 5}', b"\x00", "9" * 5000])
def test_a_viewer_that_talks_nonsense_harms_nobody(made: Any, nonsense: str | bytes) -> None:
    port, feed = made.free_port(), made.QueueFeed()
    with made.serving(feed, port), made.viewer(port) as rude, made.viewer(port) as polite:
        rude.send(nonsense)
        feed.put(made.preview(3), made.tracks(3))
        assert made.see_until(polite, 3) == [3]


def test_sigterm_ends_the_server_and_says_good_bye(made: Any) -> None:
    port = made.free_port()
    program = (
        "import time; from skelstream.stream.view.server import serve\n"
        "class Quiet:\n    def receive(self, timeout_s): time.sleep(timeout_s)\n"
        "    def listen_to(self, kind, listen): ...\n"
        f"serve(Quiet(), classes={made.CLASSES}, port={port})"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    try:
        made.until(lambda: made.answers(port), "the server")
        with made.viewer(port) as client:
            client.recv(timeout=made.PATIENCE_S)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    client.recv(timeout=made.PATIENCE_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        _, errors = process.communicate(timeout=made.PATIENCE_S)
        assert (process.returncode, errors) == (0, b"")
    finally:
        process.kill()
        process.wait()
