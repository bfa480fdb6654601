"""Keys: who may connect from other machines, and for what.

    skelstream keys new kitchen --role camera        # kitchen.key goes to that machine, and nowhere else
    skelstream keys list
    skelstream keys revoke kitchen

The key store is a folder that only its owner may read: `server.json`, this machine's own pair, and `peers.json`, the
public keys of those who may come, with their roles. A peer's secret is written once, to the file that it takes along,
and is not kept here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from .wire import ClientKey
from .wire.curve import new_pair, public_of

Role = Literal["camera", "detector", "viewer", "robot"]
ROLES: tuple[Role, ...] = get_args(Role)

# What each role may connect to: `gate.py` has these doors.
DOORS: dict[str, tuple[Role, ...]] = {
    "windows": ("camera",), "reports": ROLES, "events": ("viewer", "robot"), "work": ("detector",), "ends": ("camera",),
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # 32 bytes in Z85
_LARGEST = 1 << 20  # of a file of keys


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Somebody who may connect: `made` and `revoked` are dates, the latter empty while the key is good."""

    name: str
    public: str
    roles: tuple[Role, ...]
    made: str
    revoked: str = ""


class KeyStore:
    """The folder of keys. It is read anew whenever its file has changed, so that what is revoked is revoked at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read_at: tuple[int, int] | None = None
        self._peers: dict[str, Peer] = {}

    def server_secret(self) -> str:
        """This machine's own secret, made at the first call. ValueError if what is there is no key."""
        path = self.folder / "server.json"
        if not path.exists():
            public, secret = new_pair()
            _write(path, {"public": public, "secret": secret}, anew=True)
        secret = _text(_read(path), "secret", path)
        public_of(secret)
        return secret

    def server_public(self) -> str:
        """What peers must know of this machine."""
        return public_of(self.server_secret())

    def peers(self) -> tuple[Peer, ...]:
        """Everybody, the revoked too, by name."""
        self._refresh()
        return tuple(sorted(self._peers.values(), key=lambda peer: peer.name))

    def new(self, name: str, roles: tuple[Role, ...], out: Path) -> Peer:
        """Make a pair for a peer, note its public key, and write its file `out`: all that it needs to connect.

        ValueError if the name is taken or no name, there is no role, or `out` exists.
        """
        self._refresh()
        if not _NAME.fullmatch(name):
            raise ValueError(f"a peer's name is letters, digits, - and _, not {name!r}; try kitchen-camera")
        if name in self._peers:
            raise ValueError(f"there is a peer called {name} already; choose another name (see `skelstream keys list`)")
        if not roles:
            raise ValueError(f"{name} must have a role: {', '.join(ROLES)}")
        public, secret = new_pair()
        peer = Peer(name=name, public=public, roles=tuple(dict.fromkeys(roles)), made=_now())
        _write(out, {"name": name, "public": public, "secret": secret, "server": self.server_public()}, anew=True)
        self._save({**self._peers, name: peer})
        return peer

    def revoke(self, name: str) -> Peer:
        """From now on this key opens nothing. ValueError if there is no such peer."""
        self._refresh()
        if name not in self._peers:
            raise ValueError(f"there is no peer called {name}; `skelstream keys list` shows them")
        peer = self._peers[name] if self._peers[name].revoked else replace(self._peers[name], revoked=_now())
        self._save({**self._peers, name: peer})
        return peer

    def refuses(self, door: str, public: str) -> str | None:
        """Why this key may not use this door: "unknown key", "revoked key", "wrong role"; None if it may.

        ValueError if the store cannot be read.
        """
        peer = self.peer_of(public)
        if peer is None:
            return "unknown key"
        if peer.revoked:
            return "revoked key"
        return None if set(peer.roles) & set(DOORS.get(door, ())) else "wrong role"

    def peer_of(self, public: str) -> Peer | None:
        """Whose key this is."""
        self._refresh()
        return next((peer for peer in self._peers.values() if peer.public == public), None)

    def _refresh(self) -> None:
        path = self.folder / "peers.json"
        try:
            status = path.stat()
        except FileNotFoundError:
            self._read_at, self._peers = None, {}
            return
        if self._read_at != (status.st_mtime_ns, status.st_ino):
            self._peers = {peer.name: peer for peer in map(_peer, _list(_read(path), path))}
            self._read_at = (status.st_mtime_ns, status.st_ino)

    def _save(self, peers: dict[str, Peer]) -> None:
        _write(self.folder / "peers.json", {"peers": [asdict(peer) for peer in peers.values()]}, anew=False)
        self._refresh()


def default_store() -> Path:
    """Where this user's keys are."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "skelstream" / "keys"


def read_key(path: Path) -> ClientKey:
    """A peer's file, as `KeyStore.new` wrote it. ValueError if it is none, or others may read it."""
    fields = _read(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others; chmod 600 {path}, or have a new key made")
    key = ClientKey(
        public=_text(fields, "public", path), secret=_text(fields, "secret", path),
        server=_text(fields, "server", path),
    )  # fmt: skip
    if public_of(key.secret) != key.public:
        raise ValueError(f"the two keys in {path} do not belong together; have a new one made")
    return key


def key_owner(path: Path) -> str:
    """What the peer with this file is called. ValueError if it is none."""
    name = _read(path).get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{path} is of nobody; give a file made by `skelstream keys new`")
    return name


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path} is too large for keys; give a file made by `skelstream keys new`")
        fields = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give a file made by `skelstream keys new`") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} holds no keys; give a file made by `skelstream keys new`") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path} holds no keys; give a file made by `skelstream keys new`")
    return fields


def _text(fields: Mapping[str, Any], name: str, path: Path) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise ValueError(f"{path} has no {name} key in it; give a file made by `skelstream keys new`")
    return value


def _list(fields: Mapping[str, Any], path: Path) -> list[Any]:
    peers = fields.get("peers")
    if not isinstance(peers, list):
        raise ValueError(f"{path} lists no peers; move it away, and make the keys anew")
    return peers


def _peer(fields: Any) -> Peer:
    try:
        peer = Peer(**{**fields, "roles": tuple(fields["roles"])})
        good = _NAME.fullmatch(peer.name) and _KEY.fullmatch(peer.public) and set(peer.roles) <= set(ROLES)
    except (TypeError, KeyError) as error:
        raise ValueError(f"the key store lists a peer that is none ({error}); make the keys anew") from error
    if not good:
        raise ValueError(f"the key store lists a peer that is none: {str(peer.name)[:64]}; make the keys anew")
    return peer


def _write(path: Path, fields: Mapping[str, Any], *, anew: bool) -> None:
    """Write a file that only its owner may read, whole or not at all; `anew`: it must not exist."""
    if anew and path.exists():
        raise ValueError(f"{path} exists already; choose another place for the key")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(fields, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}; choose another place") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
