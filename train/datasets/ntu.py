"""NTU RGB+D 60 and 120: genuine `.skeleton` text files, one trimmed sample each, from Kinect v2 at 30 Hz.

    skelstream data prepare ntu60 RAW STORE        (ntu120 likewise; RAW holds the .skeleton files, in any folders)

The text: the number of frames; for each frame the number of bodies; for each body a line of ten fields (the first is
its id), the number of joints (25), and 25 lines of twelve fields (x y z in metres come first). `ntu_bodies` chooses
the people among the bodies. Sources: Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2019.
Shapes: T frame, M person, V joint, C coordinate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..preparation import Item
from ..recording import Recording
from .ntu_bodies import Body, people
from .ntu_names import MISSING_SKELETONS, SETUPS_60, sample

_HZ = 30.0
_JOINTS = 25


def items_60(folder: Path) -> list[Item]:
    """The samples of NTU RGB+D 60 (setups 1 to 17) under `folder`, less the 302 with missing skeletons, by name."""
    return _items(folder, SETUPS_60)


def items_120(folder: Path) -> list[Item]:
    """All samples under `folder`, less the 535 with missing skeletons, by name."""
    return _items(folder, 32)


def _items(folder: Path, last_setup: int) -> list[Item]:
    # By name, so that a sample that lies in two folders counts once.
    found = {path.stem: path for path in sorted(folder.rglob("S???C???P???R???A???.skeleton"), reverse=True)}
    names = [name for name in sorted(found) if name not in MISSING_SKELETONS and sample(name).setup <= last_setup]
    if not names:
        raise ValueError(f"{folder} holds no NTU samples; give the folder of S001C001P001R001A001.skeleton and so on")
    return [(found[name],) for name in names]


def read_60(item: Item) -> list[Recording]:
    """The recording of one sample of NTU-60."""
    return [_read("ntu60", item[0])]


def read_120(item: Item) -> list[Recording]:
    """The recording of one sample of NTU-120."""
    return [_read("ntu120", item[0])]


def _read(dataset: str, path: Path) -> Recording:
    frames, bodies = parse(path)
    joints_TMVC = people(bodies, frames)
    # Frames without anybody are left out; at 30 Hz their neighbours are interpolated.
    seen = np.flatnonzero(joints_TMVC.any(axis=(1, 2, 3)))
    told = sample(path.stem)
    return Recording(
        name=f"{dataset}/{path.stem}", subject=f"{dataset}/{told.performer}", view=str(told.camera),
        setup=str(told.setup), trimmed=True, times_s=seen / _HZ, joints=joints_TMVC[seen],
        labels=np.full(len(seen), told.action - 1, np.int16),
    )  # fmt: skip


def parse(path: Path) -> tuple[int, list[Body]]:
    """The number of frames in a `.skeleton` file, and its bodies in the order in which they appear.

    Bodies have one id as long as the sensor follows them; a second body with an id that its frame already has becomes
    a body of its own. A body with an unknown (not finite) joint, or with all of them zero, counts as not seen in that
    frame. Raises ValueError if the file is empty, truncated or no such text.
    """
    lines = path.read_text(encoding="ascii", errors="strict").splitlines()
    owner: list[tuple[str, int, int]] = []  # id, how often the frame had it before, frame: of every 25 joint lines
    joint_lines: list[str] = []
    at = 0
    try:
        frames, at = int(lines[at]), at + 1
        for frame in range(frames):
            seen: list[str] = []
            bodies, at = int(lines[at]), at + 1
            for _ in range(bodies):
                body, joints = lines[at].split()[0], int(lines[at + 1])
                if joints != _JOINTS:
                    raise ValueError(f"a body has {joints} joints instead of {_JOINTS}")
                here = lines[at + 2 : at + 2 + joints]
                if len(here) < joints:
                    raise IndexError
                owner.append((body, seen.count(body), frame))
                seen.append(body)
                joint_lines += here
                at += 2 + joints
        if not owner:
            raise ValueError("it shows nobody")
        joints_NVC = np.loadtxt(joint_lines, np.float32, usecols=(0, 1, 2), ndmin=2).reshape(-1, _JOINTS, 3)
    except IndexError:
        raise ValueError(f"{path.name} is empty or truncated at line {len(lines)}; copy it again") from None
    except ValueError as error:
        raise ValueError(f"{path.name} is no readable .skeleton file near line {at + 1}: {error}") from error
    if len(joints_NVC) != len(owner):  # an empty line among the joints
        raise ValueError(f"{path.name} is no readable .skeleton file: it lacks joints; copy it again")
    return frames, _bodies(owner, joints_NVC)


def _bodies(owner: list[tuple[str, int, int]], joints_NVC: NDArray[np.float32]) -> list[Body]:
    whole = np.asarray(np.isfinite(joints_NVC).all(axis=(1, 2)) & joints_NVC.any(axis=(1, 2)))
    rows: dict[tuple[str, int], list[int]] = {}
    for row, (body, again, _) in enumerate(owner):
        if whole[row]:
            rows.setdefault((body, again), []).append(row)
    return [Body(frames=np.array([owner[row][2] for row in mine]), joints=joints_NVC[mine]) for mine in rows.values()]
