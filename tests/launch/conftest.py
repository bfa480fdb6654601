"""What several tests of the command line need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelstream.stream.actor import Script
from skelstream.stream.record import Recorder
from skelstream.stream.wire import End, Tracks


@pytest.fixture(scope="session")
def record_actor(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """So many seconds of the actor's own joints in a file, as if a camera had seen them."""

    def record(seconds: int) -> Path:
        script = Script(seed=11, duration_s=seconds)
        path = tmp_path_factory.mktemp("recording") / "actor.skel"
        with Recorder(path) as recorder:
            for seq in range(30 * seconds):
                joints = script.pose(seq / 30)[None]
                recorder.write(
                    Tracks(camera="actor", t=seq / 30, captured_at=0.0, seq=seq, size=(640, 480), ids=(1,),
                           joints=joints, pixels=joints[..., :2], confidence=np.ones((1, 25), np.float32))
                )  # fmt: skip
            recorder.write(End(camera="actor"))
        return path

    return record
