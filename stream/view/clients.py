"""The browsers that watch: each gets the newest of everything, as fast as it says that it can take it.

A client acknowledges every picture and every state. While it owes too many, nothing more is sent to it: what would have
been sent is not queued but replaced by what is newest later, so that a slow client costs neither memory nor the others'
time, and is never behind by more than what is in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

from starlette.websockets import WebSocket, WebSocketDisconnect

from .access import Access
from .hub import STATE_HZ, Hub

MAX_CLIENTS = 16
_IN_FLIGHT = 2
_TRY_AGAIN_LATER, _GOING_AWAY, _UNSUPPORTED = 1013, 1001, 1003  # WebSocket close codes


class Clients:
    """All clients of one server; every method runs on its event loop."""

    def __init__(self, hub: Hub, access: Access) -> None:
        self._hub, self._access = hub, access
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
        client = _Client(websocket, self._hub)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.discard(client)

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
    """One connection. It may send {"seen": "picture" | "state"} and {"camera": name}, to choose what it is shown."""

    def __init__(self, websocket: WebSocket, hub: Hub) -> None:
        self.wake = asyncio.Event()
        self.leaving = False
        self._websocket = websocket
        self._hub = hub
        self._camera: str | None = None
        self._unseen = {"picture": 0, "state": 0}

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
        await self._websocket.send_text(self._hub.hello)
        picture_sent: bytes | None = None
        log_sent: tuple[str | None, int] | None = None
        state_due = 0.0
        while not self.leaving:
            self.wake.clear()
            if self._unseen["picture"] < _IN_FLIGHT:
                picture = self._hub.picture(self._camera)
                if picture is not None and picture is not picture_sent:
                    self._unseen["picture"] += 1
                    picture_sent = picture
                    await self._websocket.send_bytes(picture)
            if self._unseen["state"] < _IN_FLIGHT and time.monotonic() >= state_due:
                state_due = time.monotonic() + 1 / STATE_HZ
                camera = self._camera
                revision, state = self._hub.state(camera)
                if log_sent != (camera, revision):
                    log_sent = (camera, revision)
                    await self._websocket.send_text(self._hub.log(camera))
                self._unseen["state"] += 1
                await self._websocket.send_text(state)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), timeout=1 / STATE_HZ)
        await self._websocket.close(_GOING_AWAY, "the server stops")

    async def _receive(self) -> None:
        while True:
            try:
                message = json.loads(await self._websocket.receive_text())
            except (ValueError, KeyError, TypeError, RecursionError):
                await self._websocket.close(_UNSUPPORTED, "not a message of this page")
                return
            match message:
                case {"seen": "picture" | "state" as what}:
                    self._unseen[what] = max(0, self._unseen[what] - 1)
                case {"camera": str(name)}:
                    self._camera = name
            self.wake.set()
