"""Preparation on a simulated cluster: the same bytes as without one, whichever process or node is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelstream.launch.prepare import prepare as command
from skelstream.train.datasets import FILES_READERS
from skelstream.train.preparation import BLOCK, FilesReader, Item, Job, Runner, in_processes, prepare_files
from skelstream.train.recording import Recording
from skelstream.train.store import Store

pytest.importorskip("ray", reason="the extra `train` is not installed")

import ray
from ray.cluster_utils import Cluster

from skelstream.train.cluster.connect import connected, nodes
from skelstream.train.cluster.preparation import ATTEMPTS, on_cluster

READER = FILES_READERS["ntu60"]
FILES = 3 * BLOCK + 5
BROKEN = 7  # the number of the file that ends too early
NODE: dict[str, Any] = {"object_store_memory": 80 << 20, "include_dashboard": False}


def name(n: int) -> str:
    return f"S001C00{1 + n % 3}P{1 + n % 40:03d}R{1 + n // 60:03d}A{1 + n % 60:03d}.skeleton"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NTU's own text: one body of 25 joints for 3 to 7 frames; one file is cut off."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(4)
    for n in range(FILES):
        frames = 3 + n % 5
        lines = [str(frames)]
        for _ in range(frames):
            lines += ["1", "72057594037931101 0 1 1 0 1 0 -0.26 -0.03 2", "25"]
            lines += [f"{x:.6f} {y:.6f} {z:.6f} 0 0 0 0 0 0 0 0 2" for x, y, z in rng.normal((0, 0, 3), 0.5, (25, 3))]
        (folder / name(n)).write_text("\n".join(lines[: 40 if n == BROKEN else None]) + "\n")
    assert len(list(folder.iterdir())) == FILES
    return folder


@pytest.fixture(scope="module")
def here(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What this process alone makes of the files."""
    return content(prepare(tmp_path_factory.mktemp("here") / "store", raw, run=in_processes(1)).path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that takes no work and notices soon that a node is gone; workers yield to nothing else that runs here."""
    settings = {
        "health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_failure_threshold": 3,
        "worker_niceness": 0,
    }  # fmt: skip
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "_system_config": settings})
    try:
        with connected(cluster.address):
            yield cluster
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def two_nodes(cluster: Cluster) -> Cluster:
    """Two nodes of one CPU each, besides the head."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(**NODE, num_cpus=1)
    return cluster


def prepare(
    store: Path, raw: Path, *, run: Runner = on_cluster, reader: FilesReader = READER,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:  # fmt: skip
    return prepare_files(store, reader, raw, dataset="ntu60", run=run, progress=progress)


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_the_store_is_that_of_one_process_and_an_interrupted_one_goes_on(
    two_nodes: Cluster, raw: Path, here: dict[str, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "store", raw, progress=stop)
    assert not (tmp_path / "store").exists()
    told: list[tuple[int, int]] = []
    store = prepare(tmp_path / "store", raw, progress=lambda done, total: told.append((done, total)))
    assert content(store.path) == here
    assert set(store.skipped) == {name(BROKEN)} and len(store.entries) == FILES - 1
    assert told[0][0] >= BLOCK and told[-1] == (FILES, FILES) and told == sorted(set(told))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    said = capfd.readouterr()
    assert not said.out and not said.err  # the terminal is left to our own bar


def held_up(marker: Path, at: str) -> FilesReader:
    """NTU's reader, which writes down the process and the node that read the file `at` and waits there for its end."""

    def read(item: Item) -> list[Recording]:
        if item[0].name == at and not marker.exists():
            marker.with_suffix(".new").write_text(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}")
            marker.with_suffix(".new").rename(marker)
            time.sleep(120)
        return READER.read_item(item)

    return replace(READER, read_item=read)


def when_there(marker: Path, act: Callable[[int, str], None]) -> threading.Thread:
    """Starts a thread that waits for the marker and acts on the process and the node in it."""

    def watch() -> None:
        while not marker.exists():
            time.sleep(0.01)
        process, node = marker.read_text().split()
        act(int(process), node)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_block_whose_process_is_killed_in_its_middle_is_read_again(
    two_nodes: Cluster, raw: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "there"
    killer = when_there(marker, lambda process, _: os.kill(process, signal.SIGKILL))
    store = prepare(tmp_path / "store", raw, reader=held_up(marker, name(BLOCK + 9)))
    killer.join()
    assert content(store.path) == here
    assert {path.name for path in tmp_path.iterdir()} == {"store", "there"}


@pytest.mark.slow  # the end of a node must be noticed
def test_a_block_whose_node_is_lost_is_read_by_another(
    two_nodes: Cluster, raw: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "there"

    def lose(_: int, node: str) -> None:
        (lost,) = [worker for worker in two_nodes.worker_nodes if worker.node_id == node]
        two_nodes.remove_node(lost, allow_graceful=False)

    loser = when_there(marker, lose)
    store = prepare(tmp_path / "store", raw, reader=held_up(marker, name(9)))
    loser.join()
    assert len(two_nodes.worker_nodes) == 1
    assert content(store.path) == here
    assert {path.name for path in tmp_path.iterdir()} == {"store", "there"}


@pytest.mark.slow  # processes start and are killed, three times
def test_files_that_kill_whoever_reads_them_are_named_in_the_end(
    two_nodes: Cluster, raw: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    def read(item: Item) -> list[Recording]:
        if item[0].name == name(BLOCK + 9):
            os.kill(os.getpid(), signal.SIGKILL)
        return READER.read_item(item)

    names = sorted(path.name for path in raw.iterdir())
    number = names.index(name(BLOCK + 9)) // BLOCK
    first, last = names[number * BLOCK], names[min(number * BLOCK + BLOCK, FILES) - 1]
    with pytest.raises(
        ValueError, match=f"reads {first} to {last} was killed {ATTEMPTS} times; .*out of the way"
    ) as said:
        prepare(tmp_path / "store", raw, reader=replace(READER, read_item=read))
    assert "\n" not in str(said.value) and not (tmp_path / "store").exists()
    assert content(prepare(tmp_path / "store", raw).path) == here  # with a reader that survives them


def test_a_set_that_is_read_from_end_to_end_is_read_on_a_node(two_nodes: Cluster, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    with pytest.raises(ValueError, match=r"utkinect.npz does not exist"):
        command("utkinect", raw, tmp_path / "there", ray="auto")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    frames = np.arange(20, 80, 2)[:, None]  # UTKinect counts them at 30 Hz
    joints = np.random.default_rng(6).normal((0, 0, 3), 0.5, (30, 20, 3)).reshape(30, 60)
    np.savetxt(raw / "joints_s03_e02.txt", np.hstack([frames, joints]), fmt="%g")
    (raw / "actionLabel.txt").write_text("s03_e02\nwalk: 22 40\n")
    assert command("utkinect", raw, tmp_path / "here") == command("utkinect", raw, tmp_path / "there", ray="auto") == 0
    assert content(tmp_path / "there") == content(tmp_path / "here")
    with pytest.raises(ValueError, match="there exists already; remove it"):
        command("utkinect", raw, tmp_path / "there", ray="auto")
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "here", "there"}


def test_the_command_names_the_broken_file(
    two_nodes: Cluster, raw: Path, here: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("ntu60", raw, tmp_path / "new" / "store", ray="auto") == 0
    assert content(tmp_path / "new" / "store") == here
    said = capsys.readouterr()
    assert not said.out and f"skipped {name(BROKEN)}: " in said.err and "skipped: 1" in said.err.splitlines()


def test_a_job_that_fails_says_why_in_a_line(two_nodes: Cluster, tmp_path: Path) -> None:
    def write(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match=r"^\[Errno 28\] No space left on device$"):
        list(on_cluster([Job(what="", files=1, place=tmp_path / "place", write=write)]))
    assert not list(tmp_path.iterdir())


def test_a_cluster_without_a_cpu_is_refused_at_once(cluster: Cluster, raw: Path, tmp_path: Path) -> None:
    for node in list(cluster.worker_nodes):
        cluster.remove_node(node)
    while len(nodes()) > 1:
        time.sleep(0.05)
    with pytest.raises(ValueError, match="no node of the cluster has a CPU"):
        prepare(tmp_path / "store", raw)
