"""A recording in many files says what one in a single file says, every time; one that a power cut ended says it too."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skelstream.stream.record import Recorder, read_recording
from skelstream.stream.segments import Limits
from skelstream.stream.wire import End


@pytest.fixture(scope="module")
def recording(record_actor: Callable[[int], Path]) -> Path:
    """Eight seconds of the actor."""
    return record_actor(8)


def replayed(place: Path) -> str:
    command = [sys.executable, "-m", "skelstream", "replay", str(place), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_says_the_same_every_time_and_a_second_run_begins_anew(recording: Path, tmp_path: Path) -> None:
    clock = itertools.count(1e9, 1 / 100)
    for run in range(2):
        recorder = Recorder(tmp_path / "days", Limits(seconds=60), clock=clock.__next__)
        for message in read_recording(recording):
            if run == 0 or not isinstance(message, End):  # the power goes before the second run's end
                recorder.write(message)
        recorder._segments.close()  # type: ignore[union-attr]  # as the kernel does
    assert len(list((tmp_path / "days").glob("*.part"))) == 2
    once = replayed(recording)
    # Its people and its clock are its own: the second run says what the first did.
    assert replayed(tmp_path / "days") == once + once
    assert {event["event"] for event in map(json.loads, once.splitlines())} >= {"start", "end"}
