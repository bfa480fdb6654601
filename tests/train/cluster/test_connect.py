"""A session is found or refused in a line: dead addresses, other versions, wrong tokens, a machine outside."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ray = pytest.importorskip("ray")

from ray.experimental import internal_kv  # noqa: E402

from skelstream.train.cluster.connect import connected, nodes, on_node, token_demanded  # noqa: E402
from skelstream.train.cluster.knock import knock  # noqa: E402

if TYPE_CHECKING:
    from skelstream.train.cluster.simulated import Machines

pytestmark = pytest.mark.usefixtures("without_ray_settings")
WITHIN_S = 30.0  # what the issue grants for a refusal


def refusal(address: str) -> str:
    """The line that refuses an address, which comes in time and leaves no session."""
    began = time.monotonic()
    with pytest.raises(ValueError) as refused, connected(address):
        pass
    assert time.monotonic() - began < WITHIN_S
    assert not ray.is_initialized()
    line = str(refused.value)
    assert "\n" not in line
    return line


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    accepted.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in accepted:
            connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_addresses_that_lead_nowhere_are_refused(silent_port: int) -> None:
    assert "HOST:PORT" in refusal("127.0.0.1")
    assert "HOST:PORT" in refusal("127.0.0.1:ray")
    assert "HOST:PORT" in refusal("127.0.0.1:70000")
    assert "Ray Client" in refusal("ray://127.0.0.1:10001")
    assert "ray start --head" in refusal(f"127.0.0.1:{free_port()}")
    assert "no machine 'nowhere.invalid'" in refusal("nowhere.invalid:6379")
    assert "no Ray head" in refusal(f"127.0.0.1:{silent_port}")


def test_auto_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    assert os.environ["RAY_ADDRESS"] in refusal("auto")


def own_address() -> str:
    """This machine's address on its network; loopback if it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def knocked(address: str, *before: str, **settings: str) -> str:
    """What another process is told that knocks: "" if it is let in."""
    program = f"from skelstream.train.cluster.knock import knock; knock({address!r})"
    other = subprocess.run(
        [*before, sys.executable, "-c", program], env=os.environ | settings, capture_output=True, text=True, timeout=60
    )
    return other.stderr.strip().splitlines()[-1] if other.returncode else ""


def settings_of_ours() -> dict[str, str]:
    """The variables that a session sets for its time. (Ray keeps some of its own in the process.)"""
    ours = ("RAY_AUTH", "RAY_USAGE", "RAY_ACCEL", "GLOO_", "NCCL_")
    return {name: value for name, value in os.environ.items() if name.startswith(ours)}


def test_a_local_session_is_closed_to_the_network_and_leaves_nothing(tmp_path: Path) -> None:
    before = settings_of_ours()
    with connected():
        (here,) = nodes()
        assert here.address == "127.0.0.1" and here.cpus >= 1
        assert ray.get(on_node(here, lambda number: number + 1, 41)) == 42
        assert token_demanded()
        head = ray.get_runtime_context().gcs_address
        raylet = ray.nodes()[0]["NodeManagerPort"]
        for port in (int(head.rpartition(":")[2]), raylet):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            if (outside := own_address()) != "127.0.0.1":
                with pytest.raises(OSError):
                    socket.create_connection((outside, port), timeout=5)
        with connected(), connected("203.0.113.1:1"):  # within a session it is the session that counts
            assert [node.id for node in nodes()] == [here.id]
        assert ray.is_initialized()
        assert "demands a token and there is none here" in knocked(head, RAY_AUTH_TOKEN="")
    assert not ray.is_initialized()
    assert settings_of_ours() == before
    assert not (tmp_path / ".ray").exists()


def test_a_cluster_without_a_token_is_refused_where_one_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with connected():
        head = ray.get_runtime_context().gcs_address
        assert not token_demanded() and not knock(head).with_token
        assert knocked(head) == ""
        assert "runs without token authentication" in knocked(head, RAY_AUTH_MODE="token")


@pytest.fixture(scope="module")
def two_nodes(machines: Machines) -> Machines:
    machines.head()
    machines.node()
    return machines


def test_a_cluster_is_joined_with_its_token_alone(two_nodes: Machines, tmp_path: Path) -> None:
    assert "demands a token and there is none here" in refusal(two_nodes.address)
    kept = tmp_path / ".ray" / "auth_token"
    kept.parent.mkdir()
    kept.write_text("a" * 64)
    assert "refuses our token" in refusal(two_nodes.address)
    kept.write_text(two_nodes.token)
    before = settings_of_ours()
    with connected(two_nodes.address):
        both = nodes()
        assert len(both) == 2 and len({node.id for node in both}) == 2
        for node in both:
            there = ray.get(on_node(node, lambda: ray.get_runtime_context().get_node_id()))
            assert there == node.id
    assert settings_of_ours() == before
    with connected(two_nodes.address):  # the cluster was left as it was
        assert len(nodes()) == 2


def test_a_cluster_of_other_versions_is_refused(two_nodes: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", two_nodes.token)
    key, place = b"CLUSTER_METADATA", "cluster"
    with connected(two_nodes.address):
        genuine = internal_kv._internal_kv_get(key, namespace=place)
        try:
            for what, ours in (("ray", ray.__version__), ("python", platform.python_version())):
                other = json.loads(genuine) | {f"{what}_version": "1.2.3"}
                internal_kv._internal_kv_put(key, json.dumps(other).encode(), overwrite=True, namespace=place)
                with pytest.raises(ValueError, match=f"(?i)runs {what} 1.2.3, this machine {ours}"):
                    knock(two_nodes.address)
        finally:
            internal_kv._internal_kv_put(key, genuine, overwrite=True, namespace=place)


def _may_unshare() -> bool:
    command = shutil.which("unshare")
    return (
        command is not None and not subprocess.run([command, "--pid", "--fork", "true"], capture_output=True).returncode
    )


@pytest.mark.slow  # a node starts
@pytest.mark.skipif(not _may_unshare(), reason="other namespaces may not be made here")
def test_a_machine_outside_the_cluster_is_told_so(two_nodes: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process namespace of its own there is no raylet, as on a machine that never joined."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", two_nodes.token)
    assert knocked(two_nodes.address) == ""
    outside = knocked(two_nodes.address, "unshare", "--pid", "--fork", "--mount-proc")
    assert outside.startswith("ValueError: this machine is no node of the cluster")
