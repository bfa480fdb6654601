"""The gap between a Kinect and a camera, measured on pairs with known truth: what MediaPipe does to which joint.

    gap = measure([*drawn_pairs(recorded, drawn)])

Both skeletons of a pair are told about the middle of the trunk (shoulders and hips), because the two sensors disagree
about SpineBase more than about anything else. What is seen is then turned and scaled as a whole, by one rotation and
one scale a recording, to lie on what is true (Umeyama, PAMI 1991, without its translation). What is left is told in
the body's own axes: to the person's left, up, to their front; depth is that along the camera's line of sight.

Shapes: T frame, V joint (NTU25), C coordinate, P pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ
from ..encoder.layout import NTU25
from .drawn_pairs import F64, Bools, Pair

VIEWS = {"front": (0, 30), "oblique": (30, 60), "side": (60, 120), "back": (120, 180)}  # degrees, facing to camera

_SHORTEST = 30  # frames: a second
_SPLIT_HZ = 1.0  # what changes slower is drift, faster jitter
_MOVES_M_S = 0.1  # rms speed from which on a joint's lag and gain can be told
_LAGS = np.arange(-4, 11)  # frames
_LEFT = [NTU25.index("ShoulderLeft"), NTU25.index("HipLeft")]
_RIGHT = [NTU25.index("ShoulderRight"), NTU25.index("HipRight")]
_TRUNK = _LEFT + _RIGHT


@dataclass(frozen=True, kw_only=True)
class _Faults:
    """What is measured of a pair, and then averaged over pairs; `Gap` says what each is."""

    scale: float
    tilt_deg: float
    place_along: float
    place_across: float
    bias: F64
    noise: F64
    drift: F64
    jitter: F64
    along: F64
    across: F64
    gain_along: F64
    gain_across: F64
    lag_ms: F64
    missing: F64


@dataclass(frozen=True, kw_only=True)
class Gap(_Faults):
    """Means over pairs, weighed alike; metres unless a name says otherwise, NaN where nothing could be measured.

    Of the whole: `found` (share of frames), `scale` and `scale_spread` (true size over seen size), `tilt_deg` (how far
    what is seen has to be pitched back), `place_along` and `place_across` (deviation of the trunk's middle along the
    line of sight and across, after the best scale and shift). By joint (25,): `bias` (25, 3) and its `bias_spread`
    (25, 3) between pairs, `noise` about the bias and its parts `drift` and `jitter`, `along` and `across` the line of
    sight (a coordinate each), `gain_along` and `gain_across` (of movements: seen over true), `lag_ms`, `missing` (share
    of the frames in which the person was found). `error_by_view` (25, 4) is the rms error in each of `VIEWS`,
    `frames_by_view` (4,) how often.
    """

    pairs: int
    frames: int
    found: float
    scale_spread: float
    bias_spread: F64
    error_by_view: F64
    frames_by_view: NDArray[np.int64]


def measure(pairs: Sequence[Pair]) -> Gap:
    """The gap of some pairs. ValueError if no pair shows somebody for a second."""
    measured = [one for pair in pairs if (one := _measure_one(pair)) is not None]
    if not measured:
        raise ValueError("no recording shows somebody for a second both as recorded and as seen; draw more of them")

    means = {
        field.name: _nanmean(np.stack([np.asarray(getattr(one, field.name), float) for one in measured]))
        for field in fields(_Faults)
    }
    squared, frames = (
        np.sum([getattr(one, f"{what}_by_view") for one in measured], axis=0) for what in ("squared", "frames")
    )
    total = sum(len(pair.found) for pair in pairs)
    with np.errstate(invalid="ignore", divide="ignore"):
        error_by_view = np.sqrt(squared / frames)
    told: dict[str, Any] = {name: mean if mean.ndim else float(mean) for name, mean in means.items()}
    return Gap(
        pairs=len(measured), frames=total, found=sum(int(pair.found.sum()) for pair in pairs) / total,
        scale_spread=float(np.std([one.scale for one in measured])),
        bias_spread=np.asarray(np.nanstd(np.stack([one.bias for one in measured]), axis=0)),
        error_by_view=error_by_view, frames_by_view=np.asarray(frames.sum(axis=0) // len(NTU25), np.int64),
        **told,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _One(_Faults):
    """A pair's; the squares and frames of `by_view` are sums."""

    squared_by_view: F64
    frames_by_view: F64


def _measure_one(pair: Pair) -> _One | None:
    known_TV: Bools = np.asarray((pair.seen_TVC != 0).any(axis=2))
    usable_T: Bools = np.asarray(known_TV[:, _TRUNK].all(axis=1))
    if usable_T.sum() < _SHORTEST:
        return None
    true_TVC, true_place_TC = about_trunk(pair.true_TVC)
    seen_TVC, seen_place_TC = about_trunk(pair.seen_TVC)
    known_TV = known_TV & usable_T[:, None]
    scale, turn = similarity(seen_TVC[known_TV], true_TVC[known_TV])
    seen_TVC = scale * seen_TVC @ turn.T
    error_TVC = np.where(known_TV[..., None], seen_TVC - true_TVC, np.nan)
    body_TVC = np.einsum("tij,tvj->tvi", body_axes(true_TVC), error_TVC)
    bias_VC = _nanmean(body_TVC)
    drift_TVC, jitter_TVC = split(np.where(known_TV[..., None], body_TVC - bias_VC, 0))
    about_bias_TVC = error_TVC - _nanmean(error_TVC)
    sight_TVC = _unit(pair.true_TVC)
    along_TV = (about_bias_TVC * sight_TVC).sum(axis=-1)
    across_TV = np.sqrt(((about_bias_TVC - along_TV[..., None] * sight_TVC) ** 2).sum(axis=-1) / 2)
    gain_along, gain_across = _gains(true_TVC, seen_TVC, known_TV, sight_TVC)
    squared, frames = _by_view(true_TVC, true_place_TC, error_TVC)
    place_along, place_across = _place(true_place_TC[usable_T], seen_place_TC[usable_T])
    return _One(
        scale=scale, tilt_deg=float(np.degrees(np.arctan2(turn[2, 1], turn[1, 1]))),
        place_along=place_along, place_across=place_across, bias=bias_VC,
        noise=_rms(body_TVC - bias_VC), drift=_rms(drift_TVC), jitter=_rms(jitter_TVC),
        along=np.sqrt(_nanmean(along_TV**2)), across=np.sqrt(_nanmean(across_TV**2)),
        gain_along=gain_along, gain_across=gain_across, lag_ms=_lag_ms(true_TVC, seen_TVC, known_TV),
        missing=1 - known_TV[pair.found].mean(axis=0), squared_by_view=squared, frames_by_view=frames,
    )  # fmt: skip


def about_trunk(joints_TVC: F64) -> tuple[F64, F64]:
    """Joints about the middle of shoulders and hips, and that middle (T, 3)."""
    middle_TC = joints_TVC[:, _TRUNK].mean(axis=1)
    return joints_TVC - middle_TC[:, None], middle_TC


def similarity(from_S3: F64, to_S3: F64) -> tuple[float, F64]:
    """The scale and the rotation (3, 3) that bring points onto others best about the origin (Umeyama, PAMI 1991)."""
    left, stretch, right = np.linalg.svd(to_S3.T @ from_S3)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return float((stretch * sign).sum() / np.square(from_S3).sum()), np.asarray((left * sign) @ right)


def body_axes(joints_TVC: F64) -> F64:
    """Axes (T, 3, 3) as rows: to the person's left, up, to their front. Left is level; without one it is the x axis."""
    left_TC = (joints_TVC[:, _LEFT] - joints_TVC[:, _RIGHT]).sum(axis=1) * [1.0, 0.0, 1.0]
    flat_T = np.linalg.norm(left_TC, axis=1) < 1e-6
    left_TC = np.where(flat_T[:, None], [1.0, 0.0, 0.0], _unit(left_TC))
    up_TC = np.broadcast_to([0.0, 1.0, 0.0], left_TC.shape)
    return np.stack([left_TC, up_TC, np.cross(left_TC, up_TC)], axis=1)


def split(x: NDArray[np.floating], axis: int = 0) -> tuple[F64, F64]:
    """What is slower and what is faster than 1 Hz along time, which is this axis. It is continued by its mirror image,
    so that no edge rings."""
    x = np.moveaxis(np.asarray(x, np.float64), axis, 0)
    spectrum = np.fft.rfft(np.concatenate([x, x[::-1]]), axis=0)
    spectrum[np.fft.rfftfreq(2 * len(x), 1 / HZ) >= _SPLIT_HZ] = 0
    slow = np.fft.irfft(spectrum, 2 * len(x), axis=0)[: len(x)]
    return np.moveaxis(slow, 0, axis), np.moveaxis(x - slow, 0, axis)


def _gains(true_TVC: F64, seen_TVC: F64, known_TV: Bools, sight_TVC: F64) -> tuple[F64, F64]:
    """How much of a joint's movement is seen (V,), along the line of sight and across: the slope of displacements over
    a third of a second. Shorter ones are noise, and would show the lag."""
    step = round(HZ / 3)
    both_TV = known_TV[step:] & known_TV[:-step]
    sight_TVC = sight_TVC[:-step]
    true_TVC, seen_TVC = (np.where(both_TV[..., None], x[step:] - x[:-step], 0) for x in (true_TVC, seen_TVC))
    true_along, seen_along = ((x * sight_TVC).sum(axis=-1) for x in (true_TVC, seen_TVC))
    along = (true_along * seen_along).sum(axis=0), np.square(true_along).sum(axis=0)
    across = (true_TVC * seen_TVC).sum(axis=(0, 2)) - along[0], np.square(true_TVC).sum(axis=(0, 2)) - along[1]
    least = (_MOVES_M_S / 3) ** 2 * np.maximum(both_TV.sum(axis=0), 1)
    gains = [np.where(there > least, seen / np.maximum(there, 1e-12), np.nan) for seen, there in (along, across)]
    return gains[0], gains[1]


def _lag_ms(true_TVC: F64, seen_TVC: F64, known_TV: Bools) -> F64:
    """By how many ms (V,) a joint's speed is seen late: where the correlation of the two speeds is greatest."""
    both_TV = known_TV[1:] & known_TV[:-1]
    true_TV, seen_TV = (
        np.where(both_TV, np.linalg.norm(np.diff(x, axis=0), axis=-1) * HZ, 0) for x in (true_TVC, seen_TVC)
    )
    lags = np.full(len(NTU25), np.nan)
    inner = slice(_LAGS[-1], len(true_TV) + _LAGS[0])
    if inner.stop - inner.start < _SHORTEST:
        return lags
    for joint in np.flatnonzero(np.sqrt(np.square(true_TV).mean(axis=0)) > _MOVES_M_S):
        seen = seen_TV[inner, joint]
        shifted = np.stack([true_TV[inner.start - lag : inner.stop - lag, joint] for lag in _LAGS])
        if seen.std() == 0 or not (shifted.std(axis=1) > 0).all():
            continue
        alike = np.array([np.corrcoef(seen, one)[0, 1] for one in shifted])
        best = int(alike.argmax())
        if 0 < best < len(_LAGS) - 1:
            before, peak, after = alike[best - 1 : best + 2]
            bend = before - 2 * peak + after
            lags[joint] = (_LAGS[best] + (0.5 * (before - after) / bend if bend < 0 else 0)) / HZ * 1000
    return lags


def _by_view(true_TVC: F64, place_TC: F64, error_TVC: F64) -> tuple[F64, F64]:
    """Sums of squared errors and of frames (25, views), by the angle between where somebody looks and the camera."""
    front_TC = body_axes(true_TVC)[:, 2]
    to_camera_TC = _unit(-place_TC * [1.0, 0.0, 1.0])
    angle_T = np.degrees(np.arccos(np.clip((front_TC * to_camera_TC).sum(axis=1), -1, 1)))
    squared_TV = np.square(error_TVC).sum(axis=-1)
    columns = [(angle_T >= low) & (angle_T < (high if high < 180 else 181)) for low, high in VIEWS.values()]
    return (
        np.stack([np.nansum(squared_TV[inside], axis=0) for inside in columns], axis=1),
        np.stack([np.isfinite(squared_TV[inside]).sum(axis=0) for inside in columns], axis=1).astype(float),
    )


def _place(true_TC: F64, seen_TC: F64) -> tuple[float, float]:
    """How the trunk's middle strays along the line of sight and across, once the way is scaled and shifted to fit."""
    true_TC, seen_TC = true_TC - true_TC.mean(axis=0), seen_TC - seen_TC.mean(axis=0)
    scale = float((true_TC * seen_TC).sum() / max(float(np.square(seen_TC).sum()), 1e-12))
    stray = np.square(scale * seen_TC - true_TC).mean(axis=0)
    return float(np.sqrt(stray[2])), float(np.sqrt(stray[:2].mean()))


def _unit(x: F64) -> F64:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True).clip(1e-9))


def _rms(x_TVC: F64) -> F64:
    """The root mean square length (V,)."""
    return np.asarray(np.sqrt(_nanmean(np.square(x_TVC).sum(axis=-1))))


def _nanmean(x: F64) -> F64:
    """The mean over the first axis of what is a number; NaN where nothing is."""
    known = np.isfinite(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, x, 0).sum(axis=0) / known.sum(axis=0))
