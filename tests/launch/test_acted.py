"""The sets that are acted: every part has people of its own, and the labels are the script's."""

from itertools import islice
from pathlib import Path

import numpy as np

from skelstream.launch.acted import ACTED
from skelstream.stream.acting.daily import Daily
from skelstream.train.splits import part_of
from skelstream.train.vocabulary import CLASSES, IGNORE, class_map


def test_a_recording_is_a_minute_of_one_script() -> None:
    reader = ACTED["daily"]
    first, second = islice(reader.read(Path("-")), 2)
    assert first.name != second.name and part_of("daily", first.subject) == "train"
    assert not np.array_equal(first.joints, second.joints)
    assert first.joints.shape == (900, 1, 25, 3) and first.times_s[-1] < 60
    script = Daily(int(first.name.removeprefix("daily/")), 60.0)
    for i in range(0, 900, 60):
        assert reader.classes[first.labels[i]] == script.truth(first.times_s[i])
        np.testing.assert_array_equal(first.joints[i, 0], script.pose(first.times_s[i]))


def test_what_is_acted_speaks_the_vocabulary() -> None:
    assert class_map("actor", ACTED["actor"].classes).tolist() == list(range(len(CLASSES)))
    # Steps on the spot are neither a walk nor none.
    assert class_map("daily", ACTED["daily"].classes).tolist() == [*range(len(CLASSES)), IGNORE]
