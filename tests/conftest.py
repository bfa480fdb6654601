"""What holds for all tests, wherever they are started."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2`: a file's tests stay together, for they share what is slow to make; those that start Ray, too, for
    two clusters on one machine get in each other's way."""
    for item in items:
        ray = "cluster" in item.path.parts or item.path.stem in ("test_pipeline", "test_cluster_files")
        item.add_marker(pytest.mark.xdist_group("ray" if ray else str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell ignores SIGINT for what it starts in the background, and children inherit that: tests of Ctrl-C would
    then test the shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# A folder, what a process is started with that must find it full, and how a process finds room again.
SmallDisk = Callable[[int], tuple[Path, dict[str, Any], Callable[[int], object]]]


@pytest.fixture(params=["tmpfs", "limit"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of so many bytes (ENOSPC) where one can be mounted, and a limit on the size of files (EFBIG), which every
    process may give its children."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(size: int) -> tuple[Path, dict[str, Any], Callable[[int], object]]:
        mount = ["mount", "-t", "tmpfs", "-o", f"mode=700,size={size}", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("nothing can be mounted here")
        more = ["mount", "-o", f"remount,size={100 * size}", str(folder)]
        return folder, {}, lambda pid: subprocess.run(more, check=True)

    def limited(size: int) -> tuple[Path, dict[str, Any], Callable[[int], object]]:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))}
        return folder, limits, lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    yield mounted if request.param == "tmpfs" else limited
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)
