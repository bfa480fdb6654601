"""A picture of everything that the humanoid can do: the one in docs/robot.md.

    .venv-dev/bin/python tests/bench/robot_picture.py --out docs/robot.png

Each behaviour in MuJoCo's own physics, a moment after it began, for somebody who stands two metres ahead, to its left.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.stream.actor import Script
from skelstream.stream.robot.behaviours import BEHAVIOURS
from skelstream.stream.robot.humanoid import BONES, POINTS
from skelstream.stream.robot.puppet import ROUND_S, Puppet
from skelstream.stream.robot.robot import Person

MOMENTS_S = {"wave": 1.3, "bow": 1.0, "nod": 0.3, "take": 1.0, "clap": 1.6, "shrug": 0.8, "step_back": 1.0}
COLUMNS, WIDTH, HEIGHT = 7, 206, 300
SHARPER = 3  # drawn so many times as large, for smooth edges
THICK_M = {"head": 0.17, "torso": 0.15, "leg": 0.11, "arm": 0.075}
BACKDROP, INK = (24, 20, 18), (235, 232, 228)
WARM, COOL = np.array([110, 170, 235]), np.array([225, 165, 95])  # its right side and its left, as BGR


def somebody() -> Person:
    """Two metres ahead and a little to the left, both arms half up, so that there is something to mirror."""
    kinect = Script(seed=1, duration_s=1.0).pose(0.0)
    joints = np.stack([kinect[:, 2], kinect[:, 0], kinect[:, 1]], axis=1).astype(np.float64)
    joints += (2.0, 0.6, 0) - np.array([*joints[0, :2], joints[:, 2].min()])
    at = {name: joints[NTU25.joints.index(name)].copy() for name in NTU25.joints}
    for side, outward, up in (("Left", -1, 0.1), ("Right", 1, 0.35)):
        shoulder = at[f"Shoulder{side}"]
        joints[NTU25.joints.index(f"Elbow{side}")] = shoulder + np.array([0, 0.24 * outward, 0.05])
        for joint in ("Wrist", "Hand"):
            joints[NTU25.joints.index(f"{joint}{side}")] = shoulder + np.array([-0.1, 0.3 * outward, up])
    return Person(joints, np.ones(25, np.bool_))


def pose(name: str, whom: Person) -> NDArray[np.float64]:
    puppet = Puppet()
    for i in range(round(MOMENTS_S.get(name, 1.5) / ROUND_S)):
        puppet.round([name], i * ROUND_S, whom)
    return puppet.body.points()


def drawn(points: NDArray[np.float64], name: str) -> NDArray[np.uint8]:
    """Seen from ahead and a little from its left, nearer parts over farther ones."""
    scale = SHARPER * HEIGHT / 2.05
    turn = np.radians(32)
    ahead = np.array([np.cos(turn), np.sin(turn), 0])
    aside = np.array([-np.sin(turn), np.cos(turn), 0])
    picture = np.full((SHARPER * HEIGHT, SHARPER * WIDTH, 3), BACKDROP, np.uint8)
    x = SHARPER * WIDTH / 2 + scale * (points @ aside)
    y = SHARPER * (HEIGHT - 34) - scale * points[:, 2] - scale * 0.12 * (points @ ahead)
    near = points @ ahead
    floor = (round(SHARPER * WIDTH / 2), round(SHARPER * (HEIGHT - 34)))
    cv2.ellipse(picture, floor, (round(0.3 * scale), round(0.05 * scale)), 0, 0, 360, (44, 38, 34), -1, cv2.LINE_AA)
    parts = [(near[a] + near[b], a, b) for a, b in BONES if "nose" not in (POINTS[a], POINTS[b])]
    for _, a, b in sorted(parts):
        names = (POINTS[a], POINTS[b])
        kind = next((k for k, words in {"leg": ("hip", "knee", "foot"), "arm": ("elbow", "hand")}.items()
                     if any(word in one for one in names for word in words)), "torso")  # fmt: skip
        tint = WARM if any("right" in one for one in names) else COOL if any("left" in one for one in names) else 200
        light = float(np.clip(0.75 + 0.6 * (near[a] + near[b]) / 2, 0.45, 1.1))
        colour = tuple(float(v) for v in np.clip(np.broadcast_to(tint, 3) * light, 0, 255))
        begin, end = ((round(x[i]), round(y[i])) for i in (a, b))
        cv2.line(picture, begin, end, colour, round(THICK_M[kind] * scale), cv2.LINE_AA)
    head, nose = ((round(x[i]), round(y[i])) for i in (POINTS.index("head"), POINTS.index("nose")))
    cv2.circle(picture, head, round(THICK_M["head"] / 2 * scale), (205, 205, 205), -1, cv2.LINE_AA)
    cv2.circle(picture, nose, round(0.025 * scale), (90, 90, 90), -1, cv2.LINE_AA)
    small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    size = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0]
    place = ((WIDTH - size[0]) // 2, HEIGHT - 10)
    cv2.putText(small, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return np.asarray(small, np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    whom = somebody()
    tiles = [drawn(pose(name, whom), name.replace("_", " ")) for name in BEHAVIOURS]
    tiles += [np.full_like(tiles[0], BACKDROP)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(options.out), np.vstack(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
