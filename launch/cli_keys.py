"""`skelstream keys ...`: who may connect from other machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from ..stream.keys import KeyStore, Role, default_store

_Store = Annotated[Path | None, arg(help="the key store's folder; the default is this user's")]


def new(name: Positional[str], *, role: tuple[Role, ...], out: Path | None = None, keys: _Store = None) -> int:
    """A key for another machine: it is written to a file to be taken there, and its public half is let in from now on.

    Args:
        role: camera (may send windows), detector (may score them), viewer (may read events), robot (may
            read them too, and tell what it does); one or several.
        out: the file; the default is NAME.key.
    """
    path = out or Path(f"{name}.key")
    peer = KeyStore(keys or default_store()).new(name, role, path)
    print(f"{path}: take it to {name} and delete it here; it opens {', '.join(peer.roles)} (skelstream gate)")
    return 0


def list_(*, keys: _Store = None) -> int:
    """Everybody who may connect, and those who may no longer."""
    store = KeyStore(keys or default_store())
    peers = store.peers()
    if not peers:
        print(f"nobody yet in {store.folder}; skelstream keys new NAME --role camera")
        return 0
    table = Table("name", "roles", "public key", "made", "revoked")
    for peer in peers:
        table.add_row(peer.name, ", ".join(peer.roles), peer.public, peer.made, peer.revoked)
    Console(width=140).print(table, markup=False)
    return 0


def revoke(name: Positional[str], *, keys: _Store = None) -> int:
    """Take a key's rights away, also those of whoever is connected with it now."""
    peer = KeyStore(keys or default_store()).revoke(name)
    print(f"{peer.name} is revoked since {peer.revoked}")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"new": new, "list": list_, "revoke": revoke}
