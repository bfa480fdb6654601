"""Serve the page: what the camera sees, what the people in it do, and how the stages are.

    skelstream view              then open http://127.0.0.1:8765

The page is for the machine's own user: the server binds to loopback unless told otherwise, and answers a browser only
under a name that no other web site can take, so that no page elsewhere can look through the camera.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from .clients import Clients
from .hub import Hub
from .state import Feed

_STOP_POLL_S = 0.05
_GRACE_S = 0.3  # from the good-bye to the clients until those that do not answer are cut off
_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that a port in use is known before anything else is started.

    Raises ValueError when the port is in use, or the address is none of this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # A server that was just stopped leaves its port waiting for stray packets; that need not stop the next one.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} is in use; choose another with --port") from None
        raise ValueError(f"cannot listen on {host}:{port} ({error}); choose others with --host and --port") from None
    return listener


def serve(
    feed: Feed,
    *,
    classes: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 8765,
    stop: threading.Event | None = None,
) -> None:
    """Serve the page at http://host:port until `stop` is set; without one, until SIGTERM or SIGINT.

    `classes` are the bundle's, the background first. Raises ValueError when the port is in use (before the feed is
    read), and whatever the feed raises.
    """
    with listen(host, port) as listener, _stopping(stop) as stopped:
        hub = Hub(feed, classes)
        asyncio.run(_run(hub, host, listener, stopped))
    if hub.failure is not None:
        raise hub.failure


async def _run(hub: Hub, host: str, listener: socket.socket, stopped: threading.Event) -> None:
    clients = Clients(hub)
    loop = asyncio.get_running_loop()
    hub.on_picture = lambda: loop.call_soon_threadsafe(clients.wake)
    config = uvicorn.Config(
        app(clients, host),
        lifespan="off",
        log_config=None,
        access_log=False,
        ws_max_size=4096,
        ws_per_message_deflate=False,  # JPEG does not get smaller
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    hub.start()
    while not (stopped.is_set() or hub.failure is not None or serving.done()):
        await asyncio.sleep(_STOP_POLL_S)
    await asyncio.to_thread(hub.stop)
    clients.dismiss()
    server.should_exit = True
    _, stuck = await asyncio.wait({serving}, timeout=_GRACE_S)
    if stuck:
        server.force_exit = True
        await asyncio.wait({serving}, timeout=_GRACE_S)
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: they are `serve`'s, which stops more than uvicorn."""
        yield


def app(clients: Clients, host: str) -> Starlette:
    """The ASGI application: three files and one WebSocket at /live. `host` is the address that it is bound to."""

    def page(path: str) -> Route:
        name, media_type = _PAGE[path]
        content = (Path(__file__).parent / "page" / name).read_bytes()

        async def get(request: Request) -> Response:
            if not _trusted(request.headers.get("host", ""), host):
                return PlainTextResponse("open this page as localhost, or by the machine's IP address\n", 403)
            return Response(content, media_type=media_type, headers=_HEADERS)

        return Route(path, get)

    async def live(websocket: WebSocket) -> None:
        name = websocket.headers.get("host", "")
        if not _trusted(name, host) or websocket.headers.get("origin") != f"http://{name}":
            await websocket.close()  # before it is accepted: the browser sees 403
            return
        await websocket.accept()
        await clients.serve(websocket)

    return Starlette(routes=[*map(page, _PAGE), WebSocketRoute("/live", live)])


def _trusted(name: str, host: str) -> bool:
    """Whether the browser reached us under a name that is ours.

    Another site's name can be made to point at this machine, and its page would then count as ours (DNS rebinding). An
    IP address cannot, nor can localhost, nor the host that we were told to bind.
    """
    try:
        hostname = urlsplit(f"//{name}").hostname or ""
        if hostname in ("localhost", host.lower()):
            return True
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _stopping(stop: threading.Event | None) -> Iterator[threading.Event]:
    """The caller's event, or one that SIGTERM and SIGINT set for the time being."""
    if stop is not None:
        yield stop
        return
    stopped = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
