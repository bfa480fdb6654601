"""Another machine: the address of its gate, the doors in it, and the key that opens some of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .keys import read_key
from .wire import ClientKey, Link

FIRST_PORT = 7600
PORTS = {"windows": 0, "reports": 1, "events": 2, "work": 3, "ends": 4}  # of the doors, above the first


def gate_at(address: str) -> tuple[str, int]:
    """The host and the first port of a gate, from HOST or HOST:PORT; ValueError if that is none."""
    host, separator, port = address.rpartition(":")
    if not separator or address.endswith("]"):
        host, port = address, str(FIRST_PORT)
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 - len(PORTS):
        raise ValueError(f"{address!r} is no machine; give HOST or HOST:PORT, such as robot.local:{FIRST_PORT}")
    return host, int(port)


@dataclass(frozen=True)
class Elsewhere:
    """The machine where the others meet: its name or address, the first port of its gate, and the key for it."""

    host: str
    port: int
    key: ClientKey

    @classmethod
    def named(cls, to: str, key: str) -> Self:
        """`to` is HOST or HOST:PORT, `key` the key's file; ValueError if one is none."""
        if not key:
            raise ValueError(f"{to} is another machine, and lets nobody in without a key; give --key FILE")
        return cls(*gate_at(to), read_key(Path(key)))

    def door(self, name: str) -> Link:
        """The link through a door of its gate."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Link(f"tcp://{host}:{self.port + PORTS[name]}", self.key)
