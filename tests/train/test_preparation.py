"""Preparing many files: any number of processes gives the same store, a killed run goes on, bad files are named."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelstream.train.datasets import FILES_READERS
from skelstream.train.preparation import BLOCK, Job, do, in_processes, prepare_files
from skelstream.train.store import Store

READER = FILES_READERS["pku_mmd1"]
FILES = 2 * BLOCK + 5


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 3 to 9 frames, each with its number as all coordinates."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "label").mkdir()
    for n in range(FILES):
        np.savetxt(folder / f"{n:04d}-M.txt", np.full((3 + n % 7, 150), n + 1.0), fmt="%g")
        (folder / "label" / f"{n:04d}-M.txt").write_text(f"{n % 51 + 1},1,2,2\n")
    return folder


def prepare(store: Path, raw: Path, processes: int = 1, told: list[tuple[int, int]] | None = None) -> Store:
    def progress(done: int, total: int) -> None:
        if told is not None:
            told.append((done, total))

    return prepare_files(store, READER, raw, dataset="pku_mmd1", run=in_processes(processes), progress=progress)


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_the_store_does_not_depend_on_how_many_processes_wrote_it(raw: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    one, two = prepare(tmp_path / "one", raw), prepare(tmp_path / "two", raw, 2, told)
    assert content(one.path) == content(two.path)
    assert [entry.name for entry in one.entries] == [f"pku_mmd1/{n:04d}-M" for n in range(FILES)]
    for n, entry in enumerate(one.entries):
        assert one.joints(entry).shape == (3 + n % 7, 2, 25, 3) and (one.joints(entry) == n + 1).all()
        assert entry.segments == ((n % 51 + 1, 1, 2),)
    assert told[0] == (0, FILES) and told[-1] == (FILES, FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_killed_preparation_goes_on_where_it_was(raw: Path, tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from skelstream.train.datasets import FILES_READERS
from skelstream.train.preparation import in_processes, prepare_files
def progress(done, total):
    if done:
        print(done, flush=True)
        time.sleep(60)
prepare_files(Path({str(tmp_path / "s")!r}), FILES_READERS["pku_mmd1"], Path({str(raw)!r}), dataset="pku_mmd1",
              run=in_processes(1), progress=progress)
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    done = int(run.stdout.readline())
    run.kill()
    run.wait()
    run.stdout.close()
    assert not (tmp_path / "s").exists() and done == BLOCK
    told: list[tuple[int, int]] = []
    store = prepare(tmp_path / "s", raw, told=told)
    assert told[0] == (BLOCK, FILES) and told[-1] == (FILES, FILES)
    assert content(store.path) == content(prepare(tmp_path / "at once", raw).path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at once", "s"]


def test_other_files_do_not_go_into_what_was_begun(raw: Path, tmp_path: Path) -> None:
    mine = tmp_path / "raw"
    (mine / "label").mkdir(parents=True)
    for n in (1, 2):
        (mine / f"{n:04d}-M.txt").write_bytes((raw / f"{n:04d}-M.txt").read_bytes())
        (mine / "label" / f"{n:04d}-M.txt").write_bytes((raw / "label" / f"{n:04d}-M.txt").read_bytes())

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_files(tmp_path / "s", READER, mine, dataset="pku_mmd1", run=in_processes(1), progress=stop)
    (mine / "label" / "0002-M.txt").write_text("9,0,2,2\n9,1,2,2\n")
    with pytest.raises(ValueError, match="other files; remove it"):
        prepare(tmp_path / "s", mine)


def test_bad_files_are_named_and_skipped(raw: Path, tmp_path: Path) -> None:
    mine = tmp_path / "raw"
    (mine / "label").mkdir(parents=True)
    for n in range(4):
        (mine / f"{n:04d}-M.txt").write_bytes((raw / f"{n:04d}-M.txt").read_bytes())
        (mine / "label" / f"{n:04d}-M.txt").write_text("1,2,1,2\n")
    (mine / "0001-M.txt").write_text("")
    (mine / "label" / "0002-M.txt").unlink()
    store = prepare(tmp_path / "s", mine)
    assert [entry.name for entry in store.entries] == ["pku_mmd1/0000-M", "pku_mmd1/0003-M"]
    assert set(store.skipped) == {"0001-M.txt", "0002-M.txt"}
    assert "empty" in store.skipped["0001-M.txt"] and "no label" in store.skipped["0002-M.txt"]
    assert set(store.mended) == {"pku_mmd1/0000-M", "pku_mmd1/0003-M"}
    for path in mine.glob("*.txt"):
        path.write_text("")
    with pytest.raises(ValueError, match="none of the 4 files"):
        prepare(tmp_path / "none", mine)
    with pytest.raises(ValueError, match="exists already"):
        prepare(tmp_path / "s", raw)


def test_of_two_attempts_at_once_the_first_to_end_counts(tmp_path: Path) -> None:
    def write(what: str, meanwhile: Callable[[], object] = lambda: None) -> Callable[[Path], None]:
        def to(path: Path) -> None:
            path.mkdir()
            meanwhile()
            (path / "what").write_text(what)

        return to

    def job(write: Callable[[Path], None]) -> Job:
        return Job(what="", files=3, place=tmp_path / "place", write=write)

    second = job(write("second"))
    # The first is given up for lost and goes on all the same: the second begins and ends in its middle.
    assert do(job(write("first", meanwhile=lambda: do(second, "b"))), "a") == 3
    assert (tmp_path / "place" / "what").read_text() == "second"
    assert do(job(write("third")), "c") == 3  # the place is taken: nothing is done
    assert (tmp_path / "place" / "what").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # An orphan that has ended may wait for its new parent to collect it.
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_processes_end_with_the_one_that_started_them(raw: Path, tmp_path: Path) -> None:
    code = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import os, time
from skelstream.train.preparation import _end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""
    (tmp_path / "run.py").write_text(code)
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py")], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    worker = int(run.stdout.readline())
    assert _alive(worker)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    for _ in range(200):
        if not _alive(worker):
            break
        time.sleep(0.05)
    assert not _alive(worker)
