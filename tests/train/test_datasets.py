"""The readers, on the real files: what the data sets say of themselves must be what comes out."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.layout import NTU25
from skelstream.train.datasets import READERS

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "npz"
RECORDINGS = {
    "utkinect": (16, 8), "precog2016": (58, 10), "kinder_gator": (927, 16), "nw_ucla": (1482, 10),
    "msr_action3d": (557, 10), "cmu_mocap6": (5, 2), "bandai1": (174, 1), "bandai2": (180, 1),
}  # fmt: skip


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside the repository")
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_set_is_read_whole_and_its_people_stand_the_right_way_round(name: str) -> None:
    recordings = list(READERS[name].read(SHARED))
    assert (len(recordings), len({r.subject for r in recordings})) == RECORDINGS[name]
    height, left_of_right, labels = [], [], Counter[int]()
    for r in recordings:
        labels.update(r.labels.tolist())
        person = r.joints[:, 0]
        head, feet = person[:, NTU25.index("Head"), 1], person[:, NTU25.index("FootLeft"), 1]
        height.append(np.median(head - feet))
        left_of_right.append(
            np.median(person[:, NTU25.index("ShoulderLeft"), 0] - person[:, NTU25.index("ShoulderRight"), 0])
        )
        assert person[..., 2].mean() > 0.5  # in front of the camera
        assert (np.diff(r.times_s) > 0).all()
    # Metres, y up, left and right as in NTU (people turn away now and then, most do not).
    assert 0.8 < np.median(height) < 1.9
    assert np.median(left_of_right) < -0.1
    assert min(labels) >= 0 and max(labels) < len(READERS[name].classes)


@pytest.mark.parametrize("name", [*RECORDINGS, "sbu"])
def test_a_missing_or_foreign_file_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        next(READERS[name].read(tmp_path))
    np.savez(tmp_path / f"{name}.npz", something=np.zeros(3))
    with pytest.raises(ValueError, match="lacks the arrays"):
        next(READERS[name].read(tmp_path))
    (tmp_path / f"{name}.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError):
        next(READERS[name].read(tmp_path))
