"""UAV-Human (Li et al., CVPR 2021): 155 actions of 119 people seen from a flying drone, as key points in the picture.

Text like NTU's, one file a sample: the number of frames; for each the number of bodies; for each body one line about
it, the number of joints (17, in COCO's order), and one line a joint that starts with its x and y in pixels. The file's
name says who (P), in which clothes (S), does what (A), for which time (R):
P000S00G10B10H10UC022000LC021000A000R0_08241716.txt.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import COCO17
from ..preparation import Item
from ..recording import Recording
from .picture import in_picture

# The names that the authors give the actions are not in the files; their numbers are.
CLASSES = tuple(f"A{number:03d}" for number in range(155))

# The official cross-subject protocols name the people who train; all others of the 119 test.
TRAIN_SUBJECTS_V1 = frozenset((
    0, 2, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 25, 26, 27, 28, 29, 30, 32, 33, 34, 35, 36, 37,
    38, 39, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 55, 56, 57, 59, 61, 62, 63, 64, 65, 67, 68, 69, 70, 71,
    73, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 98, 100, 102, 103, 105, 106, 110, 111, 112, 114,
    115, 116, 117, 118,
))  # fmt: skip
TRAIN_SUBJECTS_V2 = frozenset((
    0, 3, 4, 5, 6, 8, 10, 11, 12, 14, 16, 18, 19, 20, 21, 22, 24, 26, 29, 30, 31, 32, 35, 36, 37, 38, 39, 40, 43, 44,
    45, 46, 47, 49, 52, 54, 56, 57, 59, 60, 61, 62, 63, 64, 66, 67, 69, 70, 71, 72, 73, 74, 75, 77, 78, 79, 80, 81, 83,
    84, 86, 87, 88, 89, 91, 92, 93, 94, 95, 96, 97, 99, 100, 101, 102, 103, 104, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 117, 118,
))  # fmt: skip

_NAME = re.compile(r"P(\d{3})S(\d{2})G\d+B\d+H\d+UC\d+LC\d+A(\d{3})R(\d+)_\d+")
_WIDTH, _HEIGHT = 1920, 1080  # of the drone's pictures
_HZ = 30.0
_PEOPLE = 2
_MOST_BODIES = 50  # in a frame; more is damage
_LINES_OF_A_BODY = 2 + len(COCO17)


def items(folder: Path) -> list[Item]:
    """The sample files under a folder, by path; ValueError if there is none."""
    files = sorted(folder.rglob("P*A*R*_*.txt"))
    if not files:
        raise ValueError(f"{folder} holds no UAV-Human samples; give the folder of P000S00G10...R0_08241716.txt")
    return [(path,) for path in files]


def read_item(item: Item) -> list[Recording]:
    """The recording of one sample file, or none where fewer than five frames show anybody.

    Of more than two people the two who move most are kept. ValueError for a file that is not in the form above.
    """
    (path,) = item
    match = _NAME.fullmatch(path.stem)
    if match is None or int(match[3]) >= len(CLASSES):
        raise ValueError(f"{path} is no name of a UAV-Human sample (P000S00G10...A000R0_08241716.txt)")
    pixels = _frames(path)
    # The files keep no score: a joint counts as seen where it has a place.
    present = (pixels != 0).any(axis=-1) & np.isfinite(pixels).all(axis=-1)
    joints = in_picture(pixels, present, _WIDTH, _HEIGHT)
    joints = joints[:, np.argsort(-_movement(joints), kind="stable")[:_PEOPLE]]
    seen = joints.any(axis=(1, 2, 3))
    if seen.sum() < 5:
        return []
    return [
        Recording(
            name=f"uav_human/{path.stem}", subject=f"uav_human/P{match[1]}", view="", setup=match[2], trimmed=True,
            times_s=np.flatnonzero(seen) / _HZ, joints=joints[seen], layout=COCO17.name,
            labels=np.full(seen.sum(), int(match[3]), np.int16),
        )
    ]  # fmt: skip


def _frames(path: Path) -> NDArray[np.float64]:
    """The file's pixels (T, M, 17, 2), M the most bodies of any frame; an absent body is zero."""
    at, frames = 1, []
    try:
        lines = path.read_text().rstrip().split("\n")
        count = int(lines[0])
        # Every frame takes a line: a count beyond that is damage, and nothing is made room for on its word.
        if not 0 <= count < len(lines):
            raise ValueError(f"it promises {count} frames in {len(lines)} lines")
        for _ in range(count):
            bodies, at = int(lines[at]), at + 1
            if not 0 <= bodies <= _MOST_BODIES or at + bodies * _LINES_OF_A_BODY > len(lines):
                raise ValueError(f"line {at} promises {bodies} bodies, which do not follow")
            frame = []
            for _ in range(bodies):
                if int(lines[at + 1]) != len(COCO17):
                    raise ValueError(f"line {at + 2} says {lines[at + 1].strip()} joints, not {len(COCO17)}")
                frame.append([[float(v) for v in line.split()[:2]] for line in lines[at + 2 : at + _LINES_OF_A_BODY]])
                at += _LINES_OF_A_BODY
            frames.append(np.array(frame, np.float64).reshape(bodies, len(COCO17), 2))
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no UAV-Human skeleton ({error}); fetch it again") from error
    pixels = np.zeros((len(frames), max((len(f) for f in frames), default=0), len(COCO17), 2))
    for t, bodies_MVC in enumerate(frames):
        pixels[t, : len(bodies_MVC)] = bodies_MVC
    return pixels


def _movement(joints: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much each of M people (T, M, V, 3) moves about, over the frames that show them."""
    spread = np.zeros(joints.shape[1])
    for m in range(joints.shape[1]):
        person = joints[joints[:, m].any(axis=(1, 2)), m, :, :2]
        if len(person):
            spread[m] = person.std(axis=(0, 1)).sum() + 1e-9  # somebody who stands still goes before nobody
    return spread
