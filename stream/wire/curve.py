"""CURVE: who may connect where. Keys on sockets, and a doorkeeper who looks every key up before it is let in.

A link that leaves this machine is encrypted, and each end knows the other's public key (ZeroMQ RFC 26); the doorkeeper
answers ZeroMQ's own question whether a key may use a door (RFC 27, ZAP).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

# Those of a wrong key the doorkeeper has counted itself.
_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


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

    `refuses(door, public key)` says why a key may not use a door, or None. One in a process, before any locked socket
    is bound.
    """

    def __init__(self, doors: tuple[str, ...], refuses: Callable[[str, str], str | None]) -> None:
        self.refused: Counter[str] = Counter()
        self._refuses = refuses
        self._authenticator = ThreadAuthenticator(zmq.Context.instance())
        for door in doors:
            self._authenticator.configure_curve_callback(domain=door, credentials_provider=self)
        self._authenticator.start()

    def callback(self, door: str, key: bytes) -> bool:
        """ZeroMQ asks whether whoever has this public key may come in."""
        reason = self._refuses(door, key.decode())
        if reason is not None:
            self.refused[reason] += 1
        return reason is None

    def close(self) -> None:
        self._authenticator.stop()


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
