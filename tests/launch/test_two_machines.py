"""Two machines as two network namespaces: what is sent arrives, nobody gets in without a key, or reads the cable."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from skelstream.stream.pose_model import ensure_pose_model

BENCH = Path(__file__).parents[1] / "bench" / "two_machines.py"


@pytest.mark.slow  # half a minute: two machines start
def test_camera_and_box_on_two_machines() -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))
    result = subprocess.run(
        [sys.executable, str(BENCH), "--seconds", "20"], capture_output=True, text=True, timeout=400
    )  # fmt: skip
    if result.returncode == 2:
        pytest.skip(result.stderr.strip())
    assert result.stdout, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["camera's exit"], figures["box's exit"]) == (0, 0), figures
    # What the box decided of the camera came to the viewer on the other machine, from when he was there.
    assert 0 < figures["events on the other machine"] <= figures["events on the box"]
    assert figures["cameras"] == figures["cameras there"] == ["eye"]
    # Nobody without a key, and nobody with a key of somebody else's, was let in or heard anything.
    assert figures["got by nobody"] == 0
    assert any("no key" in line and "unknown key" in line for line in figures["box"]), figures["box"]
    # The tap reads what is plain, and of the pipeline nothing.
    assert figures["nobody's plain words"] > 0 and figures["greetings with CURVE"] > 0
    assert figures["bytes that crossed"] > 100_000 and figures["read on the wire"] == []
