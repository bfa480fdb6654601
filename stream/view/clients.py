"""The browsers that watch: each gets the newest of everything, as fast as it says that it can take it.

A client acknowledges every picture, state and robot. While it owes too many, nothing more is sent to it: what would
have been sent is not queued but replaced by what is newest later, so that a slow client costs neither memory nor the
others' time, and is never behind by more than what is in flight. Pictures are sent of the cameras that it shows, the
one that has waited longest first; the more there are, the fewer a second of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque

from starlette.websockets import WebSocket, WebSocketDisconnect

from .access import Access
from .desk import Desk, Refused
from .hub import STATE_HZ, Hub
from .requests import AskMoment, AskPast, Bucket, Request, Seen, Show, Want, parse

MAX_CLIENTS = 16
_IN_FLIGHT, _MOST_IN_FLIGHT = 2, 6
_PICTURES_PER_S = 32.0  # of all cameras together, where more than two are shown
_MOST_ANSWERS = 32
_TRY_AGAIN_LATER, _GOING_AWAY, _UNSUPPORTED, _TOO_MUCH = 1013, 1001, 1003, 1008  # WebSocket close codes


class Clients:
    """All clients of one server; every method runs on its event loop."""

    def __init__(self, hub: Hub, desk: Desk, access: Access) -> None:
        self._hub, self._desk, self._access = hub, desk, access
        self._clients: set[_Client] = set()

    async def serve(self, websocket: WebSocket) -> None:
        """Keep this connection supplied until it closes; one too many is told so and closed at once."""
        if not self._access.admits(websocket):
            await websocket.close()  # before it is accepted: the browser sees 403
            return
        await websocket.accept()
        if len(self._clients) >= MAX_CLIENTS:
            self._access.refused("too many viewers")
            await websocket.close(_TRY_AGAIN_LATER, f"{MAX_CLIENTS} viewers are connected already")
            return
        client = _Client(websocket, self._hub, self._desk)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.discard(client)
            self.turn()

    def turn(self) -> None:
        """Ask for glimpses only while somebody wants to see them."""
        self._hub.wants_glimpses = any(client.wants.bars for client in self._clients)

    def wake(self) -> None:
        """Let every client look for something new."""
        for client in self._clients:
            client.wake.set()

    def dismiss(self) -> None:
        """Say good-bye to every client."""
        for client in self._clients:
            client.leaving = True
            client.wake.set()


class _Client:
    """One connection; what it may send is in `requests.py`."""

    def __init__(self, websocket: WebSocket, hub: Hub, desk: Desk) -> None:
        self.wake = asyncio.Event()
        self.leaving = False
        self.wants = Want(bars=False, charts=False)
        self._websocket, self._hub, self._desk = websocket, hub, desk
        self._show = Show(None, None)
        self._unseen = {"picture": 0, "state": 0, "robot": 0}
        self._answers: deque[str] = deque(maxlen=_MOST_ANSWERS)
        self._told: dict[str, str] = {}  # what was sent last of each kind
        self._log_sent: tuple[str | None, int] | None = None
        self._state_due = 0.0
        self._pictures: dict[str | None, tuple[float, bytes]] = {}  # when the last one was sent, and which
        self._messages, self._requests = Bucket(400, 800), Bucket(20, 40)
        self._pasts = Bucket(0.5, 4)

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(WebSocketDisconnect):
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        while not self.leaving:
            self.wake.clear()
            for kind, text in self._hub.news().items():
                await self._tell(kind, text)
            while self._answers:
                await self._websocket.send_text(self._answers.popleft())
            await self._send_pictures()
            for name, text in self._hub.robots().items():
                if self._unseen["robot"] < _IN_FLIGHT and await self._tell(f"robot {name}", text):
                    self._unseen["robot"] += 1
            if self._unseen["state"] < _IN_FLIGHT and time.monotonic() >= self._state_due:
                self._state_due = time.monotonic() + 1 / STATE_HZ
                await self._send_state()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), timeout=1 / STATE_HZ)
        await self._websocket.close(_GOING_AWAY, "the server stops")

    async def _send_pictures(self) -> None:
        """The newest picture of every camera that is shown, as far as there is room in flight."""
        shown = [self._show.focus] if self._show.cameras is None else [*self._show.cameras]
        room = _IN_FLIGHT if len(shown) == 1 else min(len(shown) + 1, _MOST_IN_FLIGHT)
        gap_s = len(shown) / _PICTURES_PER_S if len(shown) > 2 else 0.0
        for camera in [camera for camera in self._pictures if camera not in shown]:
            del self._pictures[camera]
        for camera in sorted(set(shown), key=lambda camera: self._pictures.get(camera, (0.0, b""))[0]):
            now = time.monotonic()
            sent_at, sent = self._pictures.get(camera, (0.0, b""))
            if self._unseen["picture"] >= room:
                return
            if now - sent_at < gap_s or (picture := self._hub.picture(camera)) is None or picture is sent:
                continue
            self._pictures[camera] = (now, picture)
            self._unseen["picture"] += 1
            await self._websocket.send_bytes(picture)

    async def _send_state(self) -> None:
        camera = self._show.focus
        revision, state = self._hub.state(camera)
        if self._log_sent != (camera, revision):
            self._log_sent = (camera, revision)
            await self._websocket.send_text(self._hub.log(camera))
        if self.wants.bars:
            await self._tell("bars", self._hub.bars(camera))
        if self.wants.charts:
            await self._tell("trends", self._hub.trends(camera))
        self._unseen["state"] += 1
        await self._websocket.send_text(state)

    async def _tell(self, kind: str, text: str) -> bool:
        """Send a text unless it says what the last one of its kind did."""
        if self._told.get(kind) == text:
            return False
        self._told[kind] = text
        await self._websocket.send_text(text)
        return True

    async def _receive(self) -> None:
        while True:
            try:
                request = parse(await self._websocket.receive_text())
            except (ValueError, KeyError):
                await self._websocket.close(_UNSUPPORTED, "not a message of this page")
                return
            if not self._messages.takes(time.monotonic()):
                await self._websocket.close(_TOO_MUCH, "too many messages")
                return
            try:
                self._take(request)
            except Refused as refusal:
                self._answers.append(json.dumps({"type": "refused", "line": str(refusal)}))
            self.wake.set()

    def _take(self, request: Request) -> None:
        if isinstance(request, Seen):
            self._unseen[request.what] = max(0, self._unseen[request.what] - 1)
            return
        now = time.monotonic()
        if not self._requests.takes(now):
            raise Refused("too much is asked for at once; wait a moment")
        match request:
            case Show():
                self._show = request
            case Want():
                self.wants = request
            case AskPast():
                if not self._pasts.takes(now):
                    raise Refused("the past is asked for too often; wait a moment")
                self._answers.append(self._hub.past(self._show.focus))
            case AskMoment():
                self._answers.append(self._hub.moment(self._show.focus, request.t))
            case _:
                self._desk.take(request)
