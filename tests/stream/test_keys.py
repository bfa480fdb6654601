"""The key store: secrets that only their owner reads, names and roles that make sense, and what is revoked stays so."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from skelstream.launch.cli import main
from skelstream.stream.keys import KeyStore, read_key


def test_a_key_opens_the_doors_of_its_role_until_it_is_revoked(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    kitchen = store.new("kitchen", ("camera",), tmp_path / "kitchen.key")
    assert store.refuses("windows", kitchen.public) is None
    assert store.refuses("events", kitchen.public) == "wrong role"
    assert store.refuses("no door", kitchen.public) == "wrong role"
    assert store.refuses("windows", "x" * 40) == "unknown key"
    KeyStore(tmp_path / "keys").revoke("kitchen")  # by somebody else: it is seen at once
    assert store.refuses("windows", kitchen.public) == "revoked key"
    assert [peer.revoked != "" for peer in store.peers()] == [True]


def test_secrets_are_for_their_owner_alone_and_peers_secrets_are_not_kept(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    store.new("kitchen", ("camera", "viewer"), tmp_path / "kitchen.key")
    key = read_key(tmp_path / "kitchen.key")
    assert key.server == store.server_public() == KeyStore(tmp_path / "keys").server_public()
    for path in (tmp_path / "kitchen.key", tmp_path / "keys" / "server.json", tmp_path / "keys" / "peers.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert key.secret not in path.read_text()
    assert key.secret not in repr(key)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    KeyStore(tmp_path / "keys").new("kitchen", ("camera",), tmp_path / "kitchen.key")
    (tmp_path / "kitchen.key").chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        read_key(tmp_path / "kitchen.key")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"public": 1}', '{"public": "x", "secret": "x", "server": "x"}', "[" * 100_000, "\x00\xff"],
)
def test_a_file_that_is_no_key_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="skelstream keys new"):
        read_key(path)


def test_two_halves_of_different_keys_are_told_apart(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    store.new("a", ("camera",), tmp_path / "a.key")
    store.new("b", ("camera",), tmp_path / "b.key")
    mixed = json.loads((tmp_path / "a.key").read_text()) | {
        "public": json.loads((tmp_path / "b.key").read_text())["public"]
    }
    (tmp_path / "a.key").write_text(json.dumps(mixed))
    with pytest.raises(ValueError, match="do not belong together"):
        read_key(tmp_path / "a.key")


@pytest.mark.parametrize("content", ["{", '{"peers": 3}', '{"peers": [{"name": "x"}]}', '{"peers": ["x"]}'])
def test_with_a_damaged_key_store_nobody_comes_in(tmp_path: Path, content: str) -> None:
    store = KeyStore(tmp_path)
    peer = store.new("kitchen", ("camera",), tmp_path / "kitchen.key")
    (tmp_path / "peers.json").write_text(content)
    with pytest.raises(ValueError, match=r"make the keys anew|holds no keys"):
        store.refuses("windows", peer.public)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, out = str(tmp_path / "keys"), str(tmp_path / "tv.key")
    assert main(["keys", "list", "--keys", keys]) == 0
    assert main(["keys", "new", "tv", "--role", "viewer", "--out", out, "--keys", keys]) == 0
    assert read_key(Path(out)).public in (tmp_path / "keys" / "peers.json").read_text()
    capsys.readouterr()
    for words, complaint in (
        (["new", "tv", "--role", "viewer", "--out", f"{out}2"], "there is a peer called tv already"),
        (["new", "../tv", "--role", "viewer", "--out", f"{out}2"], "a peer's name is"),
        (["new", "tv2", "--role", "viewer", "--out", out], "exists already"),
        (["revoke", "nobody"], "no peer called nobody"),
    ):
        assert main(["keys", *words, "--keys", keys]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and complaint in said[0], said
    assert [peer.name for peer in KeyStore(tmp_path / "keys").peers()] == ["tv"]  # nothing half done
    assert main(["keys", "revoke", "tv", "--keys", keys]) == 0
    assert main(["keys", "list", "--keys", keys]) == 0
    assert "viewer" in capsys.readouterr().out
