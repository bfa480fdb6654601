"""The check on real nodes, one of which has other disks: a mount namespace in which data and storage are empty."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

ray = pytest.importorskip("ray")

import psutil  # noqa: E402  Ray brings it

from skelstream.launch.cli_cluster import cluster_check  # noqa: E402
from skelstream.train.cluster import sight  # noqa: E402
from skelstream.train.cluster.check import (  # noqa: E402
    data_problems,
    require_same_view,
    security_problems,
    storage_problems,
    survey,
    version_problems,
)
from skelstream.train.cluster.connect import Node, connected, nodes  # noqa: E402
from skelstream.train.cluster.sight import Facts, look  # noqa: E402
from skelstream.train.recording import Recording  # noqa: E402
from skelstream.train.store import write_store  # noqa: E402

if TYPE_CHECKING:
    from skelstream.train.cluster.simulated import Machines


def _may_mount() -> bool:
    command = shutil.which("unshare")
    probe = "mount -t tmpfs none /mnt"
    return (
        command is not None
        and not subprocess.run([command, "--mount", "sh", "-c", probe], capture_output=True).returncode
    )


def store_at(path: Path, metres: float = 1.0) -> Path:
    recording = Recording(
        name="a", times_s=np.arange(20) / 30, joints=np.full((20, 1, 25, 3), metres, np.float32),
        labels=np.ones(20, np.int16), subject="s/1", view="1", trimmed=True,
    )  # fmt: skip
    write_store(path, [recording], dataset="x", classes=("background", "wave"), licence="", source="recorded")
    return path


class Places:
    """The data all nodes are to see, and what the odd node has instead where disks can be mounted."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.storage = folder / "storage"
        self.data.mkdir()
        self.storage.mkdir()
        self.store = store_at(self.data / "store")
        self.raw = folder / "raw"
        for name in ("a.skeleton", "sub/b.skeleton"):
            (self.raw / name).parent.mkdir(parents=True, exist_ok=True)
            (self.raw / name).write_text(name)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("places"))


@pytest.fixture(scope="module")
def session(machines: Machines, places: Places) -> Iterator[Machines]:
    """A head and a node of the same machine, joined by this process."""
    machines.head()
    machines.node()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_TOKEN", machines.token)
        with connected(machines.address):
            yield machines


def test_nodes_that_see_the_same_pass_and_nothing_is_left(session: Machines, places: Places) -> None:
    fresh = places.storage / "not" / "yet"
    require_same_view([places.store, places.raw, places.raw / "a.skeleton"], str(fresh))
    require_same_view([], places.storage.as_uri())
    assert not list(places.storage.iterdir())
    told, problems = survey(nodes())
    assert len(told) == 2 and not problems and not version_problems(told) and not security_problems(nodes())
    assert {fact.ray for fact in told.values()} == {ray.__version__}


def test_what_no_node_has_is_one_line(session: Machines, places: Places) -> None:
    missing = places.data / "nothing"
    assert data_problems([missing], nodes()) == [f"no node sees {missing}: nothing is there"]


def test_storage_that_is_each_process_own_is_refused(session: Machines) -> None:
    """fsspec's memory:// is a storage that nobody shares."""
    with pytest.raises(ValueError, match=r"does not see what .* wrote to memory://runs"):
        require_same_view([], "memory://runs")


def test_storage_that_cannot_be_written_is_refused(session: Machines, places: Places) -> None:
    problems = storage_problems(str(places.raw / "a.skeleton" / "runs"), nodes())
    assert len(problems) == 2 and all("cannot write to" in line for line in problems)
    assert storage_problems("nosuch://bucket/runs", nodes())[0].count("nosuch") == 2


@pytest.mark.skipif(not _may_mount(), reason="disks may not be mounted here")
def test_a_node_with_other_disks_is_named(session: Machines, places: Places) -> None:
    before = set(nodes())
    other = places.data.parent / "other"
    other.mkdir()
    store_at(other / "store", 2.0)
    (other / "store" / "index.json").write_text((other / "store" / "index.json").read_text().replace("wave", "bow"))
    empty = "mount -t tmpfs none"
    odd = session.node(f"mount --bind {other} {places.data} && {empty} {places.raw} && {empty} {places.storage}")
    try:
        among = nodes()
        (odd_node,) = set(among) - before
        problems = data_problems([places.store, places.raw, places.raw / "a.skeleton"], among)
        assert len(problems) == 3 and all(line.startswith(str(odd_node)) for line in problems)
        assert f"at {places.store}, 2 other(s) see a store" in problems[0]
        assert f"sees a folder of 0 files (digest e3b0c442) at {places.raw}" in problems[1]
        assert f"does not see {places.raw / 'a.skeleton'}: nothing is there" in problems[2]
        with pytest.raises(ValueError, match=r"node .* sees .*store.*mount the same folder"):
            require_same_view([places.store], str(places.storage))
        (problem,) = storage_problems(str(places.storage), among)
        assert str(odd_node) in problem and "give --storage a URL" in problem
        assert not list(places.storage.iterdir())
    finally:
        odd.terminate()
        odd.wait(20)
        wait_until_gone(odd_node)


@pytest.mark.slow  # a node starts
@pytest.mark.skipif(not _may_mount(), reason="disks may not be mounted here")
def test_a_node_without_skelstream_is_named(session: Machines) -> None:
    before = set(nodes())
    bare = session.node(f"mount -t tmpfs none {Path(sight.__file__).parent}")
    try:
        (bare_node,) = set(nodes()) - before
        told, (problem,) = survey(nodes())
        assert set(told) == before
        assert problem.startswith(f"{bare_node} cannot run skelstream (ModuleNotFoundError") and "install" in problem
    finally:
        bare.terminate()
        bare.wait(20)
        wait_until_gone(bare_node)


def wait_until_gone(node: Node) -> None:
    """The head notices within some seconds that a node has died."""
    end = time.monotonic() + 60
    while node in nodes():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow  # waits for it
def test_a_node_that_hangs_is_named(session: Machines, places: Places) -> None:
    before = set(nodes())
    process = session.node()
    among = nodes()
    (hung,) = set(among) - before
    processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    try:
        for one in processes:
            one.suspend()
        (problem,) = data_problems([places.store], among, answer_s=4)
        assert problem.startswith(f"{hung} did not answer within 4 s")
    finally:
        for one in processes:
            one.kill()
        process.wait(20)
        wait_until_gone(hung)


def test_the_command_tells_what_is_wrong(session: Machines, places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert cluster_check(session.address, data=(places.store,), storage=str(places.storage)) == 0
    said = capsys.readouterr()
    assert "token authentication on" in said.out and ray.__version__ in said.out and "shares" in said.out
    assert cluster_check(session.address, data=(places.data / "nothing",)) == 2
    assert capsys.readouterr().err.startswith("skelstream: no node sees")


def test_versions_that_differ_are_named() -> None:
    def told(torch: str, skelstream: str = "1") -> Facts:
        return Facts(memory_gb=1, python="3.11.7", ray="2.60.0", torch=torch, skelstream=skelstream)

    a, b, c = (Node(id=f"{i}" * 56, host="h", cpus=1, gpus=0) for i in range(3))
    assert version_problems({a: told("2.13"), b: told("2.13"), c: told("2.13")}) == []
    (line,) = version_problems({a: told("2.13"), b: told("2.6"), c: told("2.13")})
    assert line.startswith(str(b)) and "install 2.13" in line
    lines = version_problems({a: told("2.13", "1"), b: told("", "2"), c: told("2.13", "1")})
    assert len(lines) == 2 and all(str(b) in line for line in lines)


def test_a_look_tells_every_change_that_matters(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (folder / name).write_text("12345")
    seen = {look([str(folder)])[0].what}
    (folder / "a").write_text("1234567")  # longer
    seen.add(look([str(folder)])[0].what)
    (folder / "deep" / "b").rename(folder / "deep" / "c")  # another name
    seen.add(look([str(folder)])[0].what)
    (folder / "deep" / "c").unlink()
    seen.add(look([str(folder)])[0].what)
    assert len(seen) == 4
    assert look([str(tmp_path / "x")])[0].there is False
    if os.geteuid():
        folder.chmod(0)
        assert "Permission denied" in look([str(folder)])[0].what
        folder.chmod(0o700)
