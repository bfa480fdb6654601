"""Where the cameras of a drawn store stood: `drawn.json` beside its frames, so that truth and picture can be compared.

{"seed": 0, "stride": 1, "cameras": {"utkinect/s01_e01": {"position": [x, y, z], "axes": [[...], [...], [...]]}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .whole_file import write_whole

F64 = NDArray[np.float64]
NAME = "drawn.json"


@dataclass(frozen=True, kw_only=True)
class DrawnCamera:
    """A camera in the recording's space: its place (3,) in metres and its axes (3, 3) as rows: left, up, ahead."""

    position: F64
    axes: F64

    def sees(self, joints: NDArray[np.floating]) -> F64:
        """Points (..., 3) of the recording's space in the camera's."""
        return np.asarray((joints - self.position) @ self.axes.T)


def write_cameras(store: Path, seed: int, stride: int, cameras: Mapping[str, DrawnCamera]) -> None:
    """Put the cameras, by the recordings' names, beside a store."""
    told = {name: {"position": c.position.tolist(), "axes": c.axes.tolist()} for name, c in cameras.items()}
    lines = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(camera)}" for name, camera in told.items())
    write_whole(store / NAME, f'{{"seed": {seed}, "stride": {stride}, "cameras": {{\n  {lines}\n}}}}\n')


def read_cameras(store: Path) -> tuple[int, dict[str, DrawnCamera]]:
    """The stride and the cameras of a drawn store. ValueError if it has none, or they are damaged."""
    path = store / NAME
    if not path.is_file():
        raise ValueError(f"{store} does not say where its cameras stood; make it with `skelstream data draw`")
    try:
        told = json.loads(path.read_text())
        cameras = {
            name: DrawnCamera(position=np.array(camera["position"], float), axes=np.array(camera["axes"], float))
            for name, camera in told["cameras"].items()
        }
        stride = int(told["stride"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged; draw the store again") from error
    if stride < 1 or any(c.position.shape != (3,) or c.axes.shape != (3, 3) for c in cameras.values()):
        raise ValueError(f"{path} is damaged; draw the store again")
    return stride, cameras
