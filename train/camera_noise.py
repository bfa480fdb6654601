"""What a camera makes of a Kinect's joints: recorded windows become what MediaPipe, the lift and the smoothing give.

    profile = CameraProfile.shipped()
    seen_BCTVM = as_a_camera_sees(joints_BCTVM, generator, profile)

A single camera hardly sees depth, takes a thigh for shorter than it is and sets the hips elsewhere than a Kinect does:
most of the gap depends on the posture and repeats itself, and a linear map of the posture holds it. What is left is
noise, drawn here with its measured sizes, its correlations between joints and its time constants. All numbers lie in
camera_profile.json, which `skelstream data gap` measures on drawn recordings of training people (`camera_fit.py`).

Shapes: B batch, C coordinate, T frame, V joint (NTU25), M person slot, N person of the batch who is there at all,
F feature (78: the joints about SpineBase, and the way of SpineBase about its mean place), R direction in the space of
features. Features lie in the space of the camera, in units that make the recorded torso `TORSO` long.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..encoder.clock import HZ
from ..encoder.layout import NTU25
from ..encoder.normalise import TORSO, TORSO_LIMITS_M

FRAMES = 64  # of a window: the autocorrelations reach so far
FEATURES = 3 * len(NTU25) + 3  # the joints about SpineBase, and where SpineBase lies about its mean place
_BASE, _SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
_YAW = math.radians(30)  # either way: where the drawn cameras stand (`View.framing`)
_PITCH = (math.radians(-14), math.radians(5))
AHEAD = 4  # frames that `CameraProfile.taps` look ahead
SLOWEST = 0.03  # m/s: who moves less is as noisy as one who moves so much

F32 = NDArray[np.float32]

# Weights (T - 1, T) of the steps between frames in the speed "about" each frame: within some 0.2 s to either side.
NEAR: F32 = np.exp(-np.abs(np.arange(FRAMES - 1)[:, None] + 0.5 - np.arange(FRAMES)) / (0.2 * HZ)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise that comes and goes: R independent signals, each of which moves some joints.

    `factor` (R, F) says what each signal moves and how far, `spectrum` (T,) their amplitudes at the frequencies k / 2T
    of the clock (k = 0 ... T - 1), up to a common factor. In each frame a signal is `exp(n + effort * (log speed -
    usual_log_speed))` times as large: n is normal and stays for a window, `common` is the deviation of its part that
    all signals share and `own` that of the rest; the speed is the rms, thereabouts, of the joints that the signal moves
    (m/s), `usual_log_speed` (R,). ValueError for sizes that disagree and numbers that are not finite.
    """

    factor: F32
    spectrum: F32
    usual_log_speed: F32
    common: float
    own: float
    effort: float

    def __post_init__(self) -> None:
        ranks = (len(self.factor), FEATURES)
        sizes = (
            self.factor.shape == ranks and self.spectrum.shape == (FRAMES,) and self.usual_log_speed.shape == ranks[:1]
        )
        _require(sizes and _finite(*vars(self).values()) and bool(self.spectrum.any()))

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weights_FR = np.repeat(moved(self.factor), 3, axis=0)
        arrays = (self.factor, noise_matrix(self.spectrum), weights_FR, self.usual_log_speed)
        factor_RF, memory_TT, moved_FR, usual_R = (torch.from_numpy(np.array(array, np.float32)) for array in arrays)
        return factor_RF, memory_TT, moved_FR, usual_R

    def draw(self, steps: _Steps, generator: torch.Generator) -> Tensor:
        """Noise (N, T, F) for people who move like this."""
        factor_RF, memory_TT, moved_FR, usual_R = self._tensors
        squared_speed_NTR = steps.near_NTS @ (steps.squared_NSF @ moved_FR)
        people, frames, _ = squared_speed_NTR.shape
        log_speed_NTR = 0.5 * (squared_speed_NTR + SLOWEST**2).log() - usual_R
        common_N11 = self.common * torch.randn(people, 1, 1, generator=generator)
        own_N1R = self.own * torch.randn(people, 1, len(usual_R), generator=generator)
        size_NTR = (common_N11 + own_N1R + self.effort * log_speed_NTR).exp()
        return (memory_TT @ torch.randn(people, frames, len(usual_R), generator=generator) * size_NTR) @ factor_RF


class _Steps(NamedTuple):
    """The steps S between frames: squared, of each coordinate about SpineBase, in (m/s)^2; and in which shares those
    nearby tell the speed about each frame."""

    squared_NSF: Tensor
    near_NTS: Tensor


def moved(factor_RF: NDArray[np.floating]) -> F32:
    """How much each joint takes part in each signal: the shares (V, R) of its squared length; a column sums to 1."""
    squared_RV = np.square(factor_RF[:, :-3]).reshape(len(factor_RF), -1, 3).sum(axis=-1)
    return np.asarray((squared_RV / squared_RV.sum(axis=1, keepdims=True).clip(1e-12)).T, np.float32)


@dataclass(frozen=True, kw_only=True)
class CameraProfile:
    """The measured statistics; arrays are float32.

    `usual` (F,) is the mean posture, `seen_usual` (F,) how it is seen; `reads` (F, R) and `writes` (R, F) are the
    linear map of a posture's difference from `usual` to the change of how it is seen. `taps` (K,) say how much of what
    is seen now was so how many frames ago, from `-AHEAD` on: a camera sees late and smoothed, and hardly what only a
    Kinect made jump, hence some frames that are yet to come. `bias` (R, F) is a factor of the covariance between
    recordings of what the map leaves; `drift` is slower than 1 Hz, `jitter` faster.

    Raises ValueError if sizes disagree or a number is not finite.
    """

    usual: F32
    seen_usual: F32
    reads: F32
    writes: F32
    bias: F32
    taps: F32
    drift: Noise
    jitter: Noise

    def __post_init__(self) -> None:
        arrays = (self.usual, self.seen_usual, self.reads, self.writes, self.bias, self.taps)
        sizes = self.usual.shape == self.seen_usual.shape == (FEATURES,) and self.reads.ndim == self.bias.ndim == 2
        sizes = (
            sizes
            and self.taps.ndim == 1
            and AHEAD < len(self.taps) < FRAMES
            and self.reads.shape == self.writes.shape[::-1]
            and len(self.reads) == FEATURES
        )
        _require(sizes and self.bias.shape[1] == FEATURES and _finite(*arrays))

    @classmethod
    def shipped(cls) -> Self:
        """The profile in the package: MediaPipe lite on drawn training people."""
        return cls.from_json(files(__package__).joinpath("camera_profile.json").read_text())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote. ValueError if it is anything else."""
        try:
            told = _from_thousandths(json.loads(text))
            return cls(**{**told, "drift": Noise(**told["drift"]), "jitter": Noise(**told["jitter"])})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(_DAMAGED) from error

    def to_json(self) -> str:
        """All numbers as text, those of the arrays in thousandths, so millimetres where they are lengths."""
        told = _to_thousandths({**vars(self), "drift": vars(self.drift), "jitter": vars(self.jitter)})
        lines = [f' "{name}": {json.dumps(value, separators=(",", ":"))}' for name, value in told.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """The profile in a file of `to_json`'s. ValueError if there is none."""
        if not path.is_file():
            raise ValueError(f"{path} does not exist; measure a camera profile with `skelstream data gap`")
        return cls.from_json(path.read_text())

    @cached_property
    def _tensors(self) -> tuple[Tensor, ...]:
        arrays = (self.usual, self.seen_usual, self.reads, self.writes, self.bias, tap_matrix(self.taps))
        return tuple(torch.from_numpy(np.array(array, np.float32)) for array in arrays)


_DAMAGED = "this is no camera profile, or a damaged one; measure it again with `skelstream data gap`"


def _require(sound: bool) -> None:
    if not sound:
        raise ValueError(_DAMAGED)


def _finite(*values: object) -> bool:
    return all(bool(np.isfinite(np.asarray(value, np.float64)).all()) for value in values)


def _to_thousandths(told: dict[str, Any]) -> dict[str, Any]:
    """Arrays as lists of whole thousandths, numbers to four decimals; no caches (their names begin with _)."""
    return {
        name: _to_thousandths(value) if isinstance(value, dict)
        else np.rint(1000 * value).astype(int).tolist() if isinstance(value, np.ndarray)
        else round(value, 4)
        for name, value in told.items() if not name.startswith("_")
    }  # fmt: skip


def _from_thousandths(told: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _from_thousandths(value) if isinstance(value, dict)
        else np.asarray(value, np.float32) / 1000 if isinstance(value, list)
        else float(value)
        for name, value in told.items()
    }  # fmt: skip


def as_a_camera_sees(joints_BCTVM: Tensor, generator: torch.Generator, profile: CameraProfile) -> Tensor:
    """Kinect's joints (B, 3, 64, 25, M) in metres as a camera from a random side would have given them.

    The result lies in that camera's space, turned about where each window's first person is; else as `seen`.
    """
    return seen(_turned(joints_BCTVM, generator), generator, profile)


def seen(joints_BCTVM: Tensor, generator: torch.Generator, profile: CameraProfile) -> Tensor:
    """Joints (B, 3, 64, 25, M) in metres in a camera's space as that camera would have given them.

    Everybody keeps their size and their mean place. Absent people and missing joints (exactly zero) stay so, and so
    does a person in frames where SpineBase is missing. Frames that repeat a window's first, as those before a person
    was known do, go on doing so. ValueError for windows of another length or other joints.
    """
    if joints_BCTVM.shape[1:4] != (3, FRAMES, len(NTU25)):
        raise ValueError(f"windows to see are (B, 3, {FRAMES}, {len(NTU25)}, M), not {tuple(joints_BCTVM.shape)}")
    # Coordinates are reduced while they are an outer axis: over an inner one of three, torch is slow.
    known_BMTV = (joints_BCTVM != 0).any(dim=1).permute(0, 3, 1, 2)
    present_BM = known_BMTV.flatten(2).any(dim=2)
    x_BMTVC = joints_BCTVM.permute(0, 4, 2, 3, 1).contiguous()
    x_NTVC, known_NTV = x_BMTVC[present_BM], known_BMTV[present_BM]
    there_NT = known_NTV[..., _BASE]
    seen_NTVC = _see(x_NTVC, known_NTV, there_NT, generator, profile)
    at_NT = torch.maximum(torch.arange(FRAMES), _repeats(x_NTVC)[:, None])
    seen_NTVC = seen_NTVC[torch.arange(len(seen_NTVC))[:, None], at_NT]
    if not known_NTV.all():
        seen_NTVC = torch.where(there_NT[..., None, None], seen_NTVC, x_NTVC) * known_NTV[..., None]
    x_BMTVC[present_BM] = seen_NTVC
    return x_BMTVC.permute(0, 4, 2, 3, 1).contiguous()


def _turned(x_BCTVM: Tensor, generator: torch.Generator) -> Tensor:
    """Each window in the space of a random camera that stands where the first person's mean place does not move."""
    base_BTC = x_BCTVM[:, :, :, _BASE, 0].transpose(1, 2)
    middle_BC1 = _mean_over_time(base_BTC, (base_BTC != 0).any(dim=-1))[..., None]
    axes_BCC = _cameras(len(x_BCTVM), generator)
    turned_BCX = torch.baddbmm(middle_BC1 - axes_BCC @ middle_BC1, axes_BCC, x_BCTVM.flatten(2))
    known_B1X = (x_BCTVM != 0).any(dim=1, keepdim=True).flatten(2)
    return (turned_BCX * known_B1X).view_as(x_BCTVM)


def _see(
    x_NTVC: Tensor, known_NTV: Tensor, there_NT: Tensor, generator: torch.Generator, profile: CameraProfile
) -> Tensor:
    """People in a camera's space as it sees them, (N, T, 25, 3) metres."""
    usual_F, seen_usual_F, reads_FR, writes_RF, bias_RF, taps_TT = profile._tensors
    base_NTC = x_NTVC[:, :, _BASE]
    torso_NT1 = (x_NTVC[:, :, _SHOULDER] - base_NTC).norm(dim=-1, keepdim=True)
    torso_N1 = _mean_over_time(torso_NT1, there_NT & known_NTV[..., _SHOULDER]).clamp(*TORSO_LIMITS_M)
    unit_N11 = (torso_N1 / TORSO)[:, None]
    place_N1C = _mean_over_time(base_NTC, there_NT)[:, None]

    features_NTF = torch.cat([(x_NTVC - base_NTC[:, :, None]).flatten(2), base_NTC - place_N1C], dim=2)
    features_NTF = features_NTF / unit_N11 - usual_F
    valid_NTV = torch.cat([known_NTV, there_NT[..., None]], dim=2) & there_NT[..., None]
    if not valid_NTV.all():
        features_NTF = features_NTF * valid_NTV.repeat_interleave(3, dim=2)  # an unknown joint is as usual

    read_NTR = _filtered(features_NTF @ reads_FR, there_NT, taps_TT)
    bias_N1R = torch.randn(len(features_NTF), 1, len(bias_RF), generator=generator)
    steps = _steps(features_NTF, valid_NTV)
    seen_NTF = torch.baddbmm(seen_usual_F + bias_N1R @ bias_RF, read_NTR, writes_RF.expand(len(read_NTR), -1, -1))
    seen_NTF = seen_NTF + profile.drift.draw(steps, generator) + profile.jitter.draw(steps, generator)

    way_NTC = seen_NTF[..., -3:]
    root_NTC = place_N1C + (way_NTC - _mean_over_time(way_NTC, there_NT)[:, None]) * unit_N11
    about_NTVC = seen_NTF[..., :-3].reshape(x_NTVC.shape)
    return root_NTC[:, :, None] + about_NTVC * unit_N11[..., None]


def _cameras(batch: int, generator: torch.Generator) -> Tensor:
    """Random axes (B, 3, 3) of cameras as rows: to their left, up, along their line of sight."""
    yaw = (torch.rand(batch, generator=generator) * 2 - 1) * _YAW
    pitch = torch.rand(batch, generator=generator) * (_PITCH[1] - _PITCH[0]) + _PITCH[0]
    left = torch.stack([yaw.cos(), torch.zeros(batch), -yaw.sin()], dim=1)
    ahead = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], dim=1)
    return torch.stack([left, torch.linalg.cross(ahead, left), ahead], dim=1)


def tap_matrix(taps: NDArray[np.floating]) -> F32:
    """The filter as a matrix (T, T); taps that reach beyond a window's ends read its first or last frame."""
    matrix_TT = np.zeros((FRAMES, FRAMES))
    now = np.arange(FRAMES)
    for tap, weight in enumerate(taps):
        matrix_TT[now, np.clip(now + AHEAD - tap, 0, FRAMES - 1)] += weight
    return matrix_TT.astype(np.float32)


def _filtered(x_NTR: Tensor, there_NT: Tensor, taps_TT: Tensor) -> Tensor:
    """The filter along time (N, T, R); a frame without the person is taken as that frame that asks for it."""
    there_NT1 = there_NT[..., None].to(x_NTR.dtype)
    return taps_TT @ (x_NTR * there_NT1) + (taps_TT @ (1 - there_NT1)) * x_NTR


def _steps(features_NTF: Tensor, valid_NTV: Tensor) -> _Steps:
    """Between a frame that knows a joint and one that does not lies no step of it."""
    squared_NSF = features_NTF[..., :-3].diff(dim=1).square() * HZ**2
    both_NSV = valid_NTV[:, 1:] & valid_NTV[:, :-1]
    if not both_NSV.all():
        squared_NSF = squared_NSF * both_NSV[..., :-1].repeat_interleave(3, dim=2)
    near_NTS = torch.from_numpy(NEAR.T) * both_NSV[:, None, :, -1]
    return _Steps(squared_NSF, near_NTS / near_NTS.sum(dim=2, keepdim=True).clamp(min=1e-9))


def noise_matrix(spectrum: NDArray[np.floating]) -> F32:
    """The (T, T) matrix that turns white noise into stationary noise of size 1 with this spectrum of amplitudes."""
    power = np.concatenate([np.square(spectrum, dtype=np.float64), [0]])
    autocorrelation = np.fft.irfft(power)[: len(spectrum)]
    lag_TT = np.abs(np.arange(len(spectrum))[:, None] - np.arange(len(spectrum)))
    values, vectors = np.linalg.eigh((autocorrelation / autocorrelation[0])[lag_TT])
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T, np.float32)


def _mean_over_time(x_NTC: Tensor, there_NT: Tensor) -> Tensor:
    """The mean (N, C) over the frames in which the person is there."""
    weight_NT1 = there_NT[..., None].to(x_NTC.dtype)
    return (x_NTC * weight_NT1).sum(dim=1) / weight_NT1.sum(dim=1).clamp(min=1)


def _repeats(x_NTVC: Tensor) -> Tensor:
    """(N,) how many frames at a window's start repeat the first of all, but for the last of these."""
    moved_NT = (x_NTVC.flatten(2).diff(dim=1)).abs().amax(dim=2)
    return (moved_NT == 0).long().cumprod(dim=1).sum(dim=1)
