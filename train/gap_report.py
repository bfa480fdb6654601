"""How well the simulated camera stands for the real one, on people it was not measured on.

    report = likeness(pairs, CameraProfile.shipped())

Three kinds of windows are compared: as recorded, as seen (drawn, through MediaPipe) and as simulated from what was
recorded. What a camera's windows are told by, bones and speeds, is given to a logistic regression: the area under its
ROC curve says how easily two kinds are told apart (0.5: not at all), once for what is recorded and seen, once for what
is simulated and seen.

Shapes: W window, T frame, F feature of `camera_noise.py`, V joint, D what a classifier is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..encoder.clock import HZ
from ..encoder.layout import NTU25
from ..encoder.normalise import TORSO
from .calibration import auroc
from .camera_fit import features, windows
from .camera_noise import CameraProfile, seen
from .drawn_pairs import Pair

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

KINDS = ("recorded", "simulated")
# The trunk's joints are left out: where they lie between the others follows from how a layout's joints are derived.
_PARTS = ("Head", "Elbow", "Wrist", "Knee", "Ankle", "Foot")
_LIMBS = [joint for joint, name in enumerate(NTU25.joints) if name.startswith(_PARTS)]
_BONES = [(child, parent) for child, parent in NTU25.bones if child in _LIMBS and NTU25.joints[child] != "Head"]
_SHOULDER = NTU25.index("SpineShoulder")
_SEED = 0
_DECAY = 1e-2  # of the regression's weights


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """`error_seen` and `error_simulated` (25,) are the rms deviation from what is recorded, about SpineBase, in units
    of a torso of 0.5 m; `speed` the rms speed of the joints in m/s, `jerk` that of their second differences in metres,
    each of recorded, seen and simulated windows. `told_apart` is the area under the ROC curve, by what the classifier
    was told (bones, speeds) and which kind (`KINDS`) it had to tell from what was seen.
    """

    windows: int
    error_seen: F64
    error_simulated: F64
    speed: dict[str, float]
    jerk: dict[str, float]
    told_apart: dict[str, dict[str, float]]


def likeness(pairs: Sequence[Pair], profile: CameraProfile) -> Likeness:
    """Compare on these pairs. ValueError if they hold fewer than two recordings with windows to compare."""
    told = [both for pair in pairs if len((both := windows(pair)).true_WTF)]
    if len(told) < 2:
        raise ValueError("a simulated camera is compared on two drawn recordings or more; draw more of them")
    recorded_WTF = np.concatenate([both.true_WTF for both in told])
    seen_WTF = np.concatenate([both.seen_WTF for both in told])
    simulated_WTF = simulated(recorded_WTF, profile)
    # Whole recordings teach or test.
    test_W = np.concatenate([np.full(len(both.true_WTF), i % 2 == 1) for i, both in enumerate(told)])
    kinds = {"recorded": recorded_WTF, "seen": seen_WTF, "simulated": simulated_WTF}
    return Likeness(
        windows=len(recorded_WTF),
        error_seen=_error(seen_WTF, recorded_WTF), error_simulated=_error(simulated_WTF, recorded_WTF),
        speed={name: _rms_difference(x, 1) * HZ for name, x in kinds.items()},
        jerk={name: _rms_difference(x, 2) for name, x in kinds.items()},
        told_apart={
            name: {kind: _told_apart(tell(kinds[kind]), tell(seen_WTF), test_W) for kind in KINDS}
            for name, tell in (("bones", _bones), ("speeds", _speeds))
        },
    )  # fmt: skip


def simulated(recorded_WTF: F32, profile: CameraProfile) -> F32:
    """What the simulated camera makes of windows that lie in its space, as features."""
    about_WTVC = recorded_WTF[..., :-3].reshape(*recorded_WTF.shape[:2], -1, 3)
    joints_WTVC = about_WTVC + recorded_WTF[:, :, None, -3:] + np.array([0, 0, 3.0], np.float32)
    one_BCTVM = torch.from_numpy(joints_WTVC).permute(0, 3, 1, 2)[..., None]
    made_BCTVM = seen(one_BCTVM, torch.Generator().manual_seed(_SEED), profile)
    return features(made_BCTVM[..., 0].permute(0, 2, 3, 1).numpy().astype(np.float64))


def _about(x_WTF: F32) -> F64:
    return x_WTF[..., :-3].reshape(*x_WTF.shape[:2], -1, 3).astype(np.float64)


def _error(x_WTF: F32, recorded_WTF: F32) -> F64:
    return np.asarray(np.sqrt(np.square(_about(x_WTF) - _about(recorded_WTF)).sum(axis=-1).mean(axis=(0, 1))))


def _rms_difference(x_WTF: F32, order: int) -> float:
    return float(np.sqrt(np.square(np.diff(_about(x_WTF), n=order, axis=1)).sum(axis=-1).mean()))


def _torso(x_WTVC: F64) -> F64:
    return np.asarray(np.linalg.norm(x_WTVC[:, :, _SHOULDER], axis=-1).mean(axis=1)[:, None] / TORSO)


def _bones(x_WTF: F32) -> F64:
    """Mean and deviation of the limbs' lengths (W, D), in torsos."""
    x_WTVC = _about(x_WTF)
    length_WTD = np.stack([np.linalg.norm(x_WTVC[:, :, c] - x_WTVC[:, :, p], axis=-1) for c, p in _BONES], axis=-1)
    torso_W1 = _torso(x_WTVC)
    return np.concatenate(
        [length_WTD.mean(axis=1) / torso_W1, np.log(length_WTD.std(axis=1) / torso_W1 + 1e-3)], axis=1
    )


def _speeds(x_WTF: F32) -> F64:
    """Mean and deviation of the limbs' speeds, and the mean of their changes (W, D), in torsos; logarithms."""
    torso_W1 = _torso(_about(x_WTF))
    x_WTVC = _about(x_WTF)[:, :, _LIMBS]
    speed_WTV = np.linalg.norm(np.diff(x_WTVC, axis=1), axis=-1) * HZ
    change_WTV = np.linalg.norm(np.diff(x_WTVC, n=2, axis=1), axis=-1) * HZ
    told = (speed_WTV.mean(axis=1), speed_WTV.std(axis=1), change_WTV.mean(axis=1))
    return np.concatenate([np.log(x / torso_W1 + 1e-3) for x in told], axis=1)


def _told_apart(one_WD: F64, other_WD: F64, test_W: NDArray[np.bool_]) -> float:
    """The area under the ROC curve of a logistic regression, taught on half of the recordings, tested on the rest."""
    x_SD, test_S = np.concatenate([one_WD, other_WD]), np.concatenate([test_W, test_W])
    other_S = np.arange(len(x_SD)) >= len(one_WD)
    mean_D, size_D = x_SD[~test_S].mean(axis=0), x_SD[~test_S].std(axis=0).clip(1e-9)
    x_SD = np.clip((x_SD - mean_D) / size_D, -10, 10)
    taught_SD, truth_S = torch.from_numpy(x_SD[~test_S]), torch.from_numpy(other_S[~test_S].astype(np.float64))
    weight_D = torch.zeros(x_SD.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight_D], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        told = functional.binary_cross_entropy_with_logits(taught_SD @ weight_D, truth_S)
        value = told + _DECAY * weight_D.square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return auroc(x_SD[test_S] @ weight_D.detach().numpy(), other_S[test_S])
