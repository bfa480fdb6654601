"""A full disk while a run is saved or logged: one line, and the last whole checkpoint is gone on from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from skelstream.train.run_folder import RunFolder

SmallDisk = Callable[[int], tuple[Path, dict[str, Any], Callable[[int], object]]]

SAVING = """
import sys
from pathlib import Path
import torch
from skelstream.encoder.full_disk import DiskFull
from skelstream.train.run_folder import RunFolder
try:
    with RunFolder(Path(sys.argv[1]), {}) as folder:
        folder.save({"step": 2, "weights": torch.randn(1_000_000)})
except DiskFull as full:
    print(full)
"""

LOGGING = """
import sys
from pathlib import Path
from skelstream.encoder.full_disk import DiskFull
from skelstream.train.run_folder import RunFolder
try:
    with RunFolder(Path(sys.argv[1]), {}) as folder:
        for step in range(2, 100_000):
            folder.log(step, **{f"loss{i}": 1.0 for i in range(99)})
except DiskFull as full:
    print(full)
"""


@pytest.mark.parametrize(("program", "file"), [(SAVING, "checkpoint.pt"), (LOGGING, "")], ids=["saving", "logging"])
def test_the_last_checkpoint_is_gone_on_from(small_disk: SmallDisk, program: str, file: str) -> None:
    disk, limits, _ = small_disk(1 << 20)
    out = disk / "run"
    with RunFolder(out, {}) as folder:
        folder.log(1, loss=3.0)
        folder.save({"step": 1, "weights": torch.zeros(1000)})
    done = subprocess.run([sys.executable, "-c", program, str(out)], capture_output=True, text=True, **limits)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"cannot write {out / file}") and line.endswith("make room there, or choose another folder")
    assert {path.name for path in out.iterdir()} == {"run.json", "checkpoint.pt", "log.jsonl", "tensorboard"}
    for path in disk.glob("run/tensorboard/*"):  # somebody makes room
        path.unlink()
    with RunFolder(out, {}) as folder:
        assert [entry["step"] for entry in folder.entries()][:1] == [1]
        state = folder.load()
        assert state is not None and state["step"] == 1 and torch.equal(state["weights"], torch.zeros(1000))
        assert [entry["step"] for entry in folder.entries()] == [1]
