"""Serve the page: what the camera sees, what the people in it do, and how the stages are.

    skelstream view              then open http://127.0.0.1:8765

The page is for the machine's own user: the server binds to loopback unless told otherwise, and asks for a token where
other machines can reach it (`access.py`). For whoever supervises the machine there are /healthz, /readyz and /metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from ...encoder.stopping import Stop
from . import health, metrics
from .access import Access
from .clients import Clients
from .desk import Desk, Publish
from .hub import Ear, Hub
from .state import Watched

_TURN_S = 0.05
_GRACE_S = 0.3  # from the good-bye to the clients until those that do not answer are cut off
_FOLDER = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
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
    feed: Ear,
    *,
    classes: Sequence[str],
    marks: Sequence[float] = (),
    publish: Publish = lambda message: None,
    kept: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str = "",
    stop: threading.Event | None = None,
    refused: Callable[[str], object] = lambda reason: None,
    turned: Callable[[], object] = lambda: None,
) -> None:
    """Serve the page at http://host:port until `stop` is set; without one, until SIGTERM or SIGINT.

    `classes` are the bundle's, the background first; `marks` what the probability of each must exceed, as fitted. What
    people ask for goes to `publish`, in this thread; what they set is kept in the file `kept`. `token` (`token_for`)
    is asked for, where there is one. In this thread `refused` is told why somebody was turned away
    (`access.REFUSALS`), and `turned` called 20 times a second.
    Raises ValueError when the port is in use (before the feed is read) or other machines can reach it without a token,
    and whatever the feed raises.
    """
    access = Access(host, port, token, refused)
    with listen(host, port) as listener, _stopping(stop) as stopped:
        hub = Hub(feed, classes, marks)
        desk = Desk(hub, publish, kept)
        asyncio.run(_run(hub, desk, access, listener, stopped, turned))
    if hub.failure is not None:
        raise hub.failure


async def _run(
    hub: Hub,
    desk: Desk,
    access: Access,
    listener: socket.socket,
    stopped: threading.Event,
    turned: Callable[[], object],
) -> None:
    clients = Clients(hub, desk, access)
    loop = asyncio.get_running_loop()
    hub.on_news = lambda: loop.call_soon_threadsafe(clients.wake)
    config = uvicorn.Config(
        app(hub, clients, access),
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
        turned()
        clients.turn()
        desk.turn()
        await asyncio.sleep(_TURN_S)
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


def app(hub: Hub, clients: Clients, access: Access) -> Starlette:
    """The ASGI application: the page's files and its WebSocket at /live; /healthz, /readyz and /metrics."""

    def page(file: Path) -> Route:
        content, media_type = file.read_bytes(), _TYPES[file.suffix]

        async def get(request: Request) -> Response:
            return access.answer(request) or Response(content, media_type=media_type, headers=_HEADERS)

        return Route("/" if file.name == "index.html" else f"/page/{file.name}", get)

    def state(path: str, name: str, judge: Callable[[Watched], bool]) -> Route:
        async def get(request: Request) -> Response:
            if (answer := access.misnamed(request)) is not None:
                return answer
            watched = hub.watched()
            good = judge(watched)
            said = {name: good, **(health.details(watched) if access.knows(request) else {})}
            return JSONResponse(said, 200 if good else 503, headers=_HEADERS)

        return Route(path, get)

    async def measured(request: Request) -> Response:
        if (answer := access.answer(request)) is not None:
            return answer
        return Response(metrics.exposition(hub.watched()), headers={**_HEADERS, "Content-Type": metrics.CONTENT_TYPE})

    return Starlette(
        routes=[
            *(page(file) for file in sorted(_FOLDER.iterdir()) if file.suffix in _TYPES),
            state("/healthz", "alive", health.alive),
            state("/readyz", "ready", health.ready),
            Route("/metrics", measured),
            WebSocketRoute("/live", clients.serve),
        ]
    )


@contextlib.contextmanager
def _stopping(stop: threading.Event | None) -> Iterator[threading.Event]:
    """The caller's event, or one that SIGTERM and SIGINT set for the time being."""
    if stop is not None:
        yield stop
        return
    stopped = Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
