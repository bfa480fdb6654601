"""A full disk while a bundle is written or compiled: one line, what was there stays, and the engine runs."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.engine.compile import compile_engine

SmallDisk = Callable[[int], tuple[Path, dict[str, Any], Callable[[int], object]]]
CHECKPOINT = Path(__file__).parents[1] / "golden" / "dste_ntu25_pretrained.pth.tar"

COMPILING = """
import sys
from skelstream.encoder.bundle import Bundle
from skelstream.encoder.engine.compile import compile_engine
bundle = Bundle.load(sys.argv[1])
engine = compile_engine(bundle, "openvino", threads=1, say=print)
print(engine.infer(bundle.reference().joints).shape)
"""


SAVING = """
import sys
from dataclasses import replace
from skelstream.encoder.bundle import Bundle
from skelstream.encoder.full_disk import DiskFull
bundle = Bundle.load(sys.argv[1])
try:
    Bundle.save(bundle.directory, replace(bundle.config, metrics={"mAP": 0.7}), weights=bundle.weights.read_bytes(),
                graph=bundle.graph.read_bytes(), reference=bundle.reference())
except DiskFull as full:
    print(full)
"""


def run(*arguments: str, **limits: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **limits)


def filled(small_disk: SmallDisk, bundle: Bundle, room: int) -> tuple[Bundle, dict[str, Any]]:
    """The bundle on a disk that has so much room beside it, in files of at most so much."""
    folder, limits, _ = small_disk(sum(path.stat().st_size + 8192 for path in bundle.directory.iterdir()) + room)
    shutil.copytree(bundle.directory, folder / "tiny")
    if limits:
        limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))}
    return Bundle.load(folder / "tiny"), limits


def test_a_bundle_that_finds_no_room_leaves_the_older_one(small_disk: SmallDisk, bundle: Bundle) -> None:
    bundle, limits = filled(small_disk, bundle, 20 << 10)
    done = run("-c", SAVING, str(bundle.directory), **limits)
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"cannot write {bundle.directory}: ") and "make room there" in line, done.stderr
    assert Bundle.load(bundle.directory) == bundle
    assert [path.name for path in bundle.directory.parent.iterdir()] == ["tiny"]


@pytest.mark.slow  # a checkpoint of 57 million weights
def test_a_command_says_it_in_one_line(tmp_path: Path) -> None:
    program = ["-m", "skelstream", "import", str(CHECKPOINT), str(tmp_path / "imported")]
    done = run(*program, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 10, 20 << 10)))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"skelstream: cannot write {tmp_path / 'imported'}: ") and "make room there" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [0, 40 << 10], ids=["none", "for-some"])
def test_an_engine_that_cannot_be_kept_runs_all_the_same(small_disk: SmallDisk, bundle: Bundle, room: int) -> None:
    bundle, limits = filled(small_disk, bundle, room)
    done = run("-c", COMPILING, str(bundle.directory), **limits)
    assert done.returncode == 0, done.stderr
    line, shape = done.stdout.splitlines()
    assert shape == str(bundle.reference().logits.shape) and done.stderr == ""
    assert line.startswith("the engine openvino-cpu is compiled anew at every start, as it cannot be kept: ")
    assert line.endswith("make room there")
    assert list(bundle.engine_cache().iterdir()) == []  # above all nothing half-written


def test_where_nothing_can_be_written_it_runs_all_the_same(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle.directory / "engines").write_text("in the way")  # also of root
    told: list[str] = []
    compile_engine(bundle, "openvino", threads=1, say=told.append).close()
    (line,) = told
    assert line.endswith("cannot be written; let SKELSTREAM_CACHE name another folder")
