"""CURVE: who may connect where. Keys on sockets, and a doorkeeper who looks every key up before it is let in.

A link that leaves this machine is encrypted, and each end knows the other's public key (ZeroMQ RFC 26); the doorkeeper
answers ZeroMQ's own question whether a key may use a door (RFC 27, ZAP).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

# Those of a wrong key the doorkeeper has counted itself.
_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_CANNOT_TELL = "unreadable key store"


@dataclass(frozen=True, kw_only=True)
class ClientKey:
    """A peer's pair of keys, and the public key of the one it trusts. Each 40 letters (Z85)."""

    public: str
    secret: str = field(repr=False)
    server: str


@dataclass(frozen=True, kw_only=True)
class ServerKey:
    """The key that those who connect must know, and the door: what the doorkeeper is asked about."""

    secret: str = field(repr=False)
    door: str


@dataclass(frozen=True)
class Link:
    """An address that only those with a key may use."""

    address: str
    key: ClientKey | ServerKey


def new_pair() -> tuple[str, str]:
    """A new public and secret key."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def public_of(secret: str) -> str:
    """The public key that belongs to a secret one; ValueError if it is none."""
    try:
        return zmq.curve_public(secret.encode()).decode()
    except (zmq.ZMQError, UnicodeEncodeError) as error:
        raise ValueError("a secret key is 40 letters of Z85; make one with `skelstream keys new NAME`") from error


def lock(socket: zmq.Socket[bytes], key: ClientKey | ServerKey) -> None:
    """Put the key on a socket that is not bound or connected yet."""
    if isinstance(key, ServerKey):
        socket.curve_secretkey = key.secret.encode()
        socket.curve_server = True
        socket.zap_domain = key.door.encode()
    else:
        socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
        socket.curve_serverkey = key.server.encode()


class Doorkeeper:
    """Lets in who may come in, and counts who may not, by reason. A thread of its own; `close` ends it.

    `refuses(door, public key)` says why a key may not use a door, or None; ValueError while that cannot be told: then
    nobody may, but they are sent away without an answer and so come again, where ZeroMQ's clients take a refusal for
    final. One doorkeeper in a process, before any locked socket is bound.
    """

    def __init__(self, refuses: Callable[[str, str], str | None]) -> None:
        self.refused: Counter[str] = Counter()
        self._refuses = refuses
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._asked = context.socket(zmq.REP)
        self._asked.linger = 0
        self._asked.bind("inproc://zeromq.zap.01")
        self._told, self._tell = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self._told.bind(f"inproc://doorkeeper-{id(self)}")
        self._tell.connect(f"inproc://doorkeeper-{id(self)}")
        self._thread = threading.Thread(target=self._run, name="doorkeeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._asked, zmq.POLLIN)
        poller.register(self._told, zmq.POLLIN)
        while self._told not in dict(poller.poll()):
            self._answer(self._asked.recv_multipart())
        self._asked.close()
        self._told.close()

    def _answer(self, request: list[bytes]) -> None:
        """RFC 27: version, request, door, address, identity, mechanism, key; 200 lets in, 300 not now, 400 never."""
        version, number, door, _, _, mechanism, *credentials = request
        status, who, reason = b"400", b"", "no key"
        if mechanism == b"CURVE" and len(credentials) == 1:
            key = z85.encode(credentials[0])
            try:
                reason = self._refuses(door.decode(), key.decode()) or ""
                status, who = (b"400", b"") if reason else (b"200", key)
            except ValueError:
                status, reason = b"300", _CANNOT_TELL
        if reason:
            self.refused[reason] += 1
        self._asked.send_multipart([version, number, status, b"", who, b""])

    def close(self) -> None:
        self._tell.send(b"")
        self._thread.join()
        self._tell.close()


class Knocks:
    """Counts those who come to a bound socket without any key, or speak another language."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._events = socket.get_monitor_socket(_FAILURES)

    def count(self) -> int:
        """How many since the last time."""
        knocks = 0
        while self._events.poll(0):
            recv_monitor_message(self._events, zmq.NOBLOCK)
            knocks += 1
        return knocks

    def close(self) -> None:
        self._socket.disable_monitor()
