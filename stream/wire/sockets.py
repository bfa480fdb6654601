"""Sockets: how messages get from stage to stage. Queues are bounded, nobody waits for a slow listener, and nothing
delays the exit.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import zmq

from .coding import KINDS, MalformedMessage, UnknownKind, decode, encode, joined, parts_of
from .curve import Knocks, Link, ServerKey, lock
from .messages import AnyMessage, End, Frame, Lost, Scores, Window

MAX_MESSAGE_BYTES = 64 << 20  # a 4K BGR frame is 25 MB; anything larger is no message of ours
Count = Callable[[int], object]
PROTOCOL = 1  # what is spoken here; what may change within a version is in docs/protocol.md
# A network may swallow everything without a word: a peer that answers no heartbeat is cut off, and sought again.
_FAR = {
    zmq.HEARTBEAT_IVL: 1000, zmq.HEARTBEAT_TIMEOUT: 3000, zmq.HEARTBEAT_TTL: 3000, zmq.CONNECT_TIMEOUT: 1000,
    zmq.RECONNECT_IVL: 100, zmq.RECONNECT_IVL_MAX: 1000, zmq.HANDSHAKE_IVL: 2000,
}  # fmt: skip
_TAG = struct.Struct("<8sQH")  # who publishes, how many messages of this kind they have before, and their PROTOCOL
_UNVERSIONED = 16  # bytes of a tag before there were versions
_LONGEST_TAG = 256  # a newer one may be longer; its beginning stays as it is
_MOST_PUBLISHERS = 256
_RUBBISH = 16  # pieces that one call passes over: if more comes than can be read, who calls must get on all the same
_BUS_QUEUE = 512  # messages for each listener: seconds, and with pictures 20 MB at most


def check_endpoint(endpoint: str) -> str:
    """The endpoint, if a plain socket may use it: ipc, or tcp on the loopback interface.

    Raises ValueError for any other: whoever can reach a plain socket may read it and write to it.
    """
    local = endpoint.startswith(("ipc://", "inproc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"))
    if not local:
        raise ValueError(
            f"{endpoint} reaches beyond this machine, and plain sockets must not; use ipc:// or tcp://127.0.0.1"
        )
    return endpoint


class _Socket:
    """A ZeroMQ socket with bounded queues that never delays the exit.

    `endpoint`: an address on this machine, or a `Link`, which needs a key. `largest`: bytes a message part may have; a
    peer that sends more is cut off before anything is allocated. `malformed` counts what was no message.
    """

    def __init__(
        self, kind: int, endpoint: str | Link, *, bind: bool, queue: int, largest: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, queue)
        self._socket.setsockopt(zmq.RCVHWM, queue)
        self._socket.setsockopt(zmq.MAXMSGSIZE, largest)
        self._knows_senders = isinstance(endpoint, Link) and isinstance(endpoint.key, ServerKey)
        address = endpoint.address if isinstance(endpoint, Link) else check_endpoint(endpoint)
        try:
            if isinstance(endpoint, Link):
                lock(self._socket, endpoint.key)
                self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing waits for whoever has not let us in yet
                for option, milliseconds in _FAR.items():
                    self._socket.setsockopt(option, milliseconds)
            (self._socket.bind if bind else self._socket.connect)(address)
        except zmq.ZMQError as error:
            self._socket.close()
            raise ValueError(f"cannot use {address}: {error}; is another skelstream running there?") from error
        self.malformed = 0
        self.sender = ""  # the public key of whoever sent the last message, where the doorkeeper saw it

    def knocks(self) -> Knocks:
        """A count of those who come without a key."""
        return Knocks(self._socket)

    def _parts(self) -> list[zmq.Frame]:
        """What has come; nothing where what was waiting turned out to be of a kind that is not listened to."""
        try:
            parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return []
        if self._knows_senders:
            self.sender = str(parts[-1].get("User-Id"))
        return parts

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, timeout_s: float, flag: int = zmq.POLLIN) -> bool:
        return bool(self._socket.poll(max(int(timeout_s * 1000), 0), flag))


class _Sender(_Socket):
    """The sending end of a link between two stages. Up to `queue` messages wait in it, and ZeroMQ holds one more.

    `count` is told of each message of frames that is handed on, just before: whoever is killed in between has lost it,
    and has not sent it without having counted it.
    """

    def __init__(self, kind: int, endpoint: str | Link, *, bind: bool, queue: int, count: Count) -> None:
        super().__init__(kind, endpoint, bind=bind, queue=1)
        self._count = count
        self._waiting: deque[AnyMessage] = deque()
        self._most = queue

    def waits(self) -> bool:
        """Whether messages wait for room."""
        return bool(self._waiting)

    def room(self, timeout_s: float) -> bool:
        """Wait until there is room for a message; False if there is none by then."""
        return self._wait(timeout_s, zmq.POLLOUT)

    def offer(self, message: AnyMessage) -> AnyMessage | None:
        """Hand the message on as soon as there is room; of too many that wait the oldest is dropped, and returned."""
        dropped = self._waiting.popleft() if len(self._waiting) >= self._most else None
        self._waiting.append(message)  # behind the rest: with a queue of one the newest alone is handed on
        self.flush()
        return dropped

    def flush(self) -> None:
        """Hand on what waits, as far as there is room."""
        while self._waiting and self._handed_on(self._waiting[0], 0):
            self._waiting.popleft()

    def send(self, message: AnyMessage, timeout_s: float) -> bool:
        """Hand the message on, waiting up to `timeout_s` for room; False if there was none (or nobody listens).

        Not to be called while others wait: it would overtake them.
        """
        assert not self._waiting
        return self._handed_on(message, timeout_s)

    def _handed_on(self, message: AnyMessage, timeout_s: float) -> bool:
        if not self.room(timeout_s):
            return False
        of_frames = int(not isinstance(message, Lost | End))
        self._count(of_frames)
        try:
            self._socket.send_multipart(parts_of(message), zmq.NOBLOCK, copy=False)
        except zmq.Again:
            self._count(-of_frames)
            return False
        return True


class Outbox(_Sender):
    """A sender that binds; one or more inboxes connect and share what is sent."""

    def __init__(self, endpoint: str | Link, *, queue: int, count: Count = lambda n: None) -> None:
        super().__init__(zmq.PUSH, endpoint, bind=True, queue=queue, count=count)


class Feeder(_Sender):
    """A sender that connects to an inbox that was bound: many cameras feed one detector."""

    def __init__(self, endpoint: str | Link, *, queue: int, count: Count = lambda n: None) -> None:
        super().__init__(zmq.PUSH, endpoint, bind=False, queue=queue, count=count)


class Inbox(_Socket):
    """The receiving end of a link. Malformed messages are counted and passed over, though not for ever."""

    def __init__(
        self, endpoint: str | Link, *, queue: int, bind: bool = False, largest: int = MAX_MESSAGE_BYTES
    ) -> None:
        super().__init__(zmq.PULL, endpoint, bind=bind, queue=queue, largest=largest)

    def receive(self, timeout_s: float) -> AnyMessage | None:
        """The next message, or None after `timeout_s`."""
        for _ in range(_RUBBISH):
            if not self._wait(timeout_s):
                return None
            parts = self._parts()
            try:
                if parts:
                    return joined([part.buffer for part in parts])
            except UnknownKind:  # a newer peer's
                continue
            except MalformedMessage:
                self.malformed += 1
        return None

    def receive_newest(self, timeout_s: float) -> tuple[AnyMessage | None, int]:
        """The newest message that is there, and how many older frames were passed over for it.

        Only frames are passed over: an `End` is never lost.
        """
        message, skipped = self.receive(timeout_s), 0
        while isinstance(message, Frame) and self._wait(0):
            newer = self.receive(0)
            if newer is None:
                break
            message, skipped = newer, skipped + 1
        return message, skipped


class Publisher(_Socket):
    """Tells the bus. Publishing never waits; what a slow listener cannot take is lost to that listener alone.

    Every message is numbered, so that a listener knows what it has missed.
    """

    def __init__(
        self, endpoint: str | Link, *, queue: int = 256, bind: bool = False, largest: int = MAX_MESSAGE_BYTES
    ) -> None:
        super().__init__(zmq.XPUB, endpoint, bind=bind, queue=queue, largest=largest)
        self._wanted: set[bytes] = set()
        self._name = os.urandom(8)
        self._published: Counter[bytes] = Counter()

    def publish(self, message: AnyMessage) -> None:
        """Publish under the message's type name."""
        kind = type(message).__name__.encode()
        self._socket.send_multipart([kind, encode(message), _TAG.pack(self._name, self._published[kind], PROTOCOL)])
        self._published[kind] += 1

    def wanted(self, kind: type[AnyMessage]) -> bool:
        """Whether somebody on the bus listens to this kind: pictures need not be made for nobody."""
        while self._wait(0):
            note = self._socket.recv(zmq.NOBLOCK)
            if note[1:] in KINDS:  # a listener may ask for anything; what there is not need not be remembered
                (self._wanted.add if note[:1] == b"\x01" else self._wanted.discard)(note[1:])
        return kind.__name__.encode() in self._wanted


class Subscriber(_Socket):
    """Listens to some kinds of message on the bus. It hears what comes after the subscription has arrived there.

    `missed` counts what came before something that was heard, and was not: this listener was too slow for it.
    Kinds that are not known here are passed over, and so is all that comes of another version of the protocol: that is
    counted by `unread`, and `foreign` says it in a line.
    """

    def __init__(
        self,
        endpoint: str | Link,
        kinds: Sequence[type[AnyMessage]],
        *,
        queue: int = 1024,
        bind: bool = False,
        largest: int = MAX_MESSAGE_BYTES,
    ) -> None:
        super().__init__(zmq.SUB, endpoint, bind=bind, queue=queue, largest=largest)
        self.missed = self.unread = 0
        self.foreign = ""
        self._next: dict[tuple[bytes, bytes], int] = {}
        self._kinds: set[type[AnyMessage]] = set()
        for kind in kinds:
            self.listen_to(kind, True)

    def listen_to(self, kind: type[AnyMessage], listen: bool) -> None:
        """Listen to this kind from now on, or no longer."""
        if listen != (kind in self._kinds):  # ZeroMQ counts subscriptions
            self._socket.setsockopt(zmq.SUBSCRIBE if listen else zmq.UNSUBSCRIBE, kind.__name__.encode())
            self._kinds ^= {kind}
            self._next.clear()  # what comes while nobody listens is not missed

    def receive(self, timeout_s: float) -> AnyMessage | None:
        """The next message, or None after `timeout_s`."""
        for _ in range(_RUBBISH):
            if not self._wait(timeout_s):
                return None
            if not (parts := self._parts()):
                continue
            try:
                if (message := self._heard(parts)) is not None:
                    return message
            except MalformedMessage:
                self.malformed += 1
        return None

    def _heard(self, parts: Sequence[zmq.Frame]) -> AnyMessage | None:
        """The message in these parts; None if it is not for us."""
        if len(parts) != 3:
            raise MalformedMessage(f"{len(parts)} parts, not kind, message and tag")
        kind, tag = parts[0].bytes, parts[2].buffer
        publisher, number, version = b"", 0, 0
        if _TAG.size <= len(tag) <= _LONGEST_TAG:
            publisher, number, version = _TAG.unpack_from(tag)
        elif len(tag) != _UNVERSIONED:
            raise MalformedMessage(f"a tag of {len(tag)} bytes")
        if version != PROTOCOL:
            self.unread += 1
            self.foreign = self.foreign or (  # the first says enough: a hostile one may have many
                f"somebody here speaks version {version} of the protocol, and this skelstream version {PROTOCOL}: they "
                "are not heard; install the same skelstream on both sides"
            )
            return None
        if kind not in KINDS:  # ZeroMQ matches beginnings: whoever listens to "End" gets a newer "Ending", too
            return None
        message = decode(parts[1].buffer)
        if not isinstance(message, KINDS[kind]):
            raise MalformedMessage(f"a {type(message).__name__} that is called {kind.decode()}")
        self._number(kind, publisher, number)
        return message

    def _number(self, kind: bytes, publisher: bytes, number: int) -> None:
        """Note which message of which publisher this is."""
        who = (publisher, kind)
        if who not in self._next and len(self._next) >= _MOST_PUBLISHERS:
            self._next.clear()
        self.missed += max(number - self._next.get(who, number), 0)
        self._next[who] = number + 1


class Bus:
    """Everybody publishes to `inlet`, everybody listens on `outlet`: one meeting point, in a thread of its own."""

    def __init__(self, inlet: str, outlet: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._inlet = self._context.socket(zmq.XSUB)
        self._outlet = self._context.socket(zmq.XPUB)
        for socket, endpoint in ((self._inlet, inlet), (self._outlet, outlet)):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDHWM, _BUS_QUEUE)
            socket.setsockopt(zmq.RCVHWM, _BUS_QUEUE)
            socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
            try:
                socket.bind(check_endpoint(endpoint))
            except zmq.ZMQError as error:
                self._context.destroy(linger=0)
                raise ValueError(f"cannot use {endpoint}: {error}; is another skelstream running there?") from error
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # Returns when the context is terminated under it, which is how it is stopped.
        with contextlib.suppress(zmq.ContextTerminated, zmq.ZMQError):
            zmq.proxy(self._inlet, self._outlet)
        self._inlet.close()
        self._outlet.close()

    def close(self) -> None:
        self._context.term()
        self._thread.join(1.0)


class WorkServer(_Socket):
    """Hands windows to whichever detectors say that they are free, and takes their scores back.

    A detector that has gone away is noticed by the caller (its work does not come back) or on sending to it.
    """

    def __init__(self, endpoint: str | Link, *, largest: int = MAX_MESSAGE_BYTES) -> None:
        super().__init__(zmq.ROUTER, endpoint, bind=True, queue=64, largest=largest)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)

    def receive(self, timeout_s: float) -> tuple[bytes, list[Scores]] | None:
        """(detector, its scores; none if it only says that it is free), or None after `timeout_s`."""
        for _ in range(_RUBBISH):
            if not self._wait(timeout_s):
                return None
            if not (received := self._parts()):
                continue
            worker, *parts = received
            try:
                scores = [decode(part.buffer) for part in parts if len(part.buffer)]
            except MalformedMessage:
                self.malformed += 1
                continue
            return worker.bytes, [message for message in scores if isinstance(message, Scores)]
        return None

    def send(self, worker: bytes, windows: Sequence[Window]) -> bool:
        """Give windows to a detector; False if it is not there any more."""
        try:
            self._socket.send_multipart([worker, *(encode(window) for window in windows)], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True


class Worker(_Socket):
    """A detector's end: says that it is free, gets windows, returns scores."""

    def __init__(self, endpoint: str | Link) -> None:
        super().__init__(zmq.DEALER, endpoint, bind=False, queue=64)

    def free(self) -> None:
        """Say (again) that windows are welcome."""
        self.give([])

    def give(self, scores: Sequence[Scores]) -> None:
        """Return scores, and with that say that the next windows are welcome."""
        if self._wait(0, zmq.POLLOUT):
            self._socket.send_multipart([encode(message) for message in scores] or [b""], zmq.NOBLOCK)

    def take(self, timeout_s: float) -> list[Window]:
        """The windows to score next; empty after `timeout_s`."""
        if not self._wait(timeout_s):
            return []
        try:
            messages = [decode(part) for part in self._socket.recv_multipart(zmq.NOBLOCK)]
        except MalformedMessage:
            self.malformed += 1
            return []
        return [message for message in messages if isinstance(message, Window)]


def wait_any(sockets: Sequence[_Socket], timeout_s: float) -> None:
    """Wait until one of the sockets has something to receive, or for `timeout_s`."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket._socket, zmq.POLLIN)
    poller.poll(int(timeout_s * 1000))
