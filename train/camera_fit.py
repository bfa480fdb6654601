"""Measures the `CameraProfile` of pairs: how a camera's joints follow from the true ones, and what noise is left.

Shapes as in `camera_noise.py`; S sample (a frame of any window), W window, P recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ
from ..encoder.layout import NTU25
from ..encoder.normalise import TORSO, TORSO_LIMITS_M
from .camera_noise import AHEAD, FEATURES, FRAMES, NEAR, SLOWEST, CameraProfile, Noise, moved, tap_matrix
from .drawn_pairs import Pair
from .gap import split

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

_HOP = 32  # frames between two windows
_RIDGE = 30.0  # squared units that hold back what few frames show
_TAPS = 16  # frames that the filter along time spans
_TAP_RIDGE = 1e-3  # of what one tap explains
_ROUNDS = 2
_MAP_RANK, _BIAS_RANK, _DRIFT_RANK, _JITTER_RANK = 14, 6, 12, 16
_TURNS = 60  # after which varimax has settled
_FEWEST = 10  # recordings whose differences tell a spread
_SMALLEST = 0.02  # of a signal's usual size: below lies nothing
# Means over about 0.2 s to either side of each frame (T, T).
_SMOOTH = np.exp(-np.abs(np.arange(FRAMES)[:, None] - np.arange(FRAMES)) / (0.2 * HZ))
_SMOOTH /= _SMOOTH.sum(axis=0)
_BASE, _SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
_MIRROR = list(NTU25.mirror)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one recording: how the person stood and was seen, (W, T, F) features of `camera_noise.py`."""

    true_WTF: F32
    seen_WTF: F32


def fit_profile(pairs: Iterable[Pair]) -> CameraProfile:
    """The profile of the cameras that saw these pairs. ValueError if there are too few.

    Each pair counts a second time in a mirror: nothing that a camera does depends on left and right. The map (a ridge
    regression of reduced rank) and the filter along time are fitted in turn by least squares, so that what they leave
    does not correlate with what they say, and may be added as noise.
    """
    chosen = [windows(both) for pair in pairs if _starts(pair) for both in (pair, mirrored(pair))]
    if len(chosen) < 2 * _FEWEST:
        raise ValueError(
            f"{len(chosen) // 2} drawn recordings with {FRAMES} frames of somebody who was always found are too few to "
            f"measure a camera; draw {_FEWEST} or more"
        )
    taps = np.zeros(_TAPS)
    taps[AHEAD] = 1
    for _ in range(_ROUNDS):
        fit = _regression(chosen, taps)
        taps = _taps(fit, chosen)
    fit = _regression(chosen, taps)
    residuals = [fit.residual(w) for w in chosen]
    bias_PF = np.stack([residual.mean(axis=(0, 1)) for residual in residuals]).astype(np.float64)
    noise_WTF = np.concatenate([residual - mean for residual, mean in zip(residuals, bias_PF, strict=True)])

    squared_speed_WTV = squared_speed(np.concatenate([w.true_WTF for w in chosen]))
    drift_WTF, jitter_WTF = split(noise_WTF, axis=1)
    return CameraProfile(
        usual=_f32(fit.usual_F), seen_usual=_f32(fit.seen_usual_F), reads=_f32(fit.reads_FR),
        writes=_f32(fit.writes_RF), taps=_f32(taps), bias=_f32(_factor(bias_PF, _BIAS_RANK)),
        drift=_measure(drift_WTF, squared_speed_WTV, _DRIFT_RANK),
        jitter=_measure(jitter_WTF, squared_speed_WTV, _JITTER_RANK),
    )  # fmt: skip


def windows(pair: Pair) -> Windows:
    """The windows of a pair in which the person was always found, with all joints."""
    true_TVC, seen_TVC = pair.true_TVC, pair.seen_TVC
    torso_m = float(np.median(np.linalg.norm(true_TVC[:, _SHOULDER] - true_TVC[:, _BASE], axis=-1)))
    true_TVC = true_TVC * (TORSO / np.clip(torso_m, *TORSO_LIMITS_M))
    at_WT = np.array(_starts(pair), int)[:, None] + np.arange(FRAMES)
    return Windows(true_WTF=features(true_TVC[at_WT]), seen_WTF=features(seen_TVC[at_WT]))


def _starts(pair: Pair) -> list[int]:
    whole_T: NDArray[np.bool_] = np.asarray(pair.found & (pair.seen_TVC != 0).any(axis=2).all(axis=1))
    return [start for start in range(0, len(whole_T) - FRAMES + 1, _HOP) if whole_T[start : start + FRAMES].all()]


def features(joints_WTVC: F64) -> F32:
    """Windows of joints as features (W, T, F)."""
    base_WTC = joints_WTVC[:, :, _BASE]
    way_WTC = base_WTC - base_WTC.mean(axis=1, keepdims=True)
    about = joints_WTVC - base_WTC[:, :, None]
    return np.asarray(np.concatenate([about.reshape(*base_WTC.shape[:2], -1), way_WTC], axis=2), np.float32)


def mirrored(pair: Pair) -> Pair:
    """The same in a mirror that stands along the camera's line of sight."""

    def mirror(joints_TVC: F64) -> F64:
        return np.asarray(joints_TVC[:, _MIRROR] * [-1.0, 1.0, 1.0])

    return Pair(**{**vars(pair), "true_TVC": mirror(pair.true_TVC), "seen_TVC": mirror(pair.seen_TVC)})


def spectrum(x_WTF: NDArray[np.floating]) -> F64:
    """The amplitudes (T,) of windows at the frequencies k / 2T, all features together, the greatest being 1."""
    continued_WTF = np.concatenate([x_WTF, x_WTF[:, ::-1]], axis=1)
    power = np.square(np.abs(np.fft.rfft(continued_WTF, axis=1))).mean(axis=(0, 2))[: x_WTF.shape[1]]
    # The mean's bin stands alone where every other frequency has a sine and a cosine, of which the mirror keeps one.
    power[0] /= 2
    return np.asarray(np.sqrt(power / power.max()))


def squared_speed(x_WTF: F32) -> F32:
    """The squared speed (W, T, V) of the joints about SpineBase, smoothed as `camera_noise.py` does it."""
    squared_WTV = np.square(np.diff(x_WTF[..., :-3], axis=1)).reshape(len(x_WTF), FRAMES - 1, -1, 3).sum(axis=-1)
    return np.asarray(np.einsum("st,wsv->wtv", NEAR / NEAR.sum(axis=0), squared_WTV * HZ**2, optimize=True))


def _measure(noise_WTF: NDArray[np.floating], squared_speed_WTV: F32, rank: int) -> Noise:
    """One kind of noise: what its signals move, how long they last, and how their size goes with the movement.

    The main directions are turned so that each moves few joints (varimax): a resting arm stays quiet while the other
    one waves. The signals' sizes are then measured as if everybody moved at the usual speed.
    """
    factor_RF = _varimax(_factor(noise_WTF.reshape(-1, FEATURES), rank))
    signal_WTR = noise_WTF @ np.linalg.pinv(factor_RF)
    log_speed_WTR = 0.5 * np.log(squared_speed_WTV @ moved(factor_RF) + SLOWEST**2)
    usual_R = log_speed_WTR.mean(axis=(0, 1))
    log_speed_WTR = log_speed_WTR - usual_R
    log_size_WTR = 0.5 * np.log(np.einsum("st,wsr->wtr", _SMOOTH, np.square(signal_WTR), optimize=True) + _SMALLEST**2)
    log_size_WTR -= log_size_WTR.mean(axis=(0, 1))
    effort = float((log_size_WTR * log_speed_WTR).mean() / np.square(log_speed_WTR).mean())
    signal_WTR = signal_WTR / np.exp(effort * log_speed_WTR)
    # A few windows in which MediaPipe takes leave of its senses must not say what the others are like: each counts
    # alike for how long noise lasts, and sizes are measured by their logarithms.
    size_WR = np.sqrt(np.square(signal_WTR).mean(axis=1)).clip(_SMALLEST)
    usual_size_R = np.exp(np.log(size_WR).mean(axis=0))
    common_W1 = np.log(size_WR / usual_size_R).mean(axis=1, keepdims=True)
    return Noise(
        factor=_f32(factor_RF * usual_size_R[:, None]),
        spectrum=_f32(spectrum(signal_WTR / size_WR[:, None])), usual_log_speed=_f32(usual_R),
        common=float(common_W1.std()), own=float((np.log(size_WR / usual_size_R) - common_W1).std()),effort=effort,
    )  # fmt: skip


def _varimax(factor_RF: F64) -> F64:
    """The same covariance by signals that each move as few joints as can be (Kaiser 1958), joints taken whole."""
    turn_RR = np.eye(len(factor_RF))
    for _ in range(_TURNS):
        turned = turn_RR @ factor_RF
        whole = np.square(turned).reshape(len(turned), -1, 3).sum(axis=2).repeat(3, axis=1)
        left, _, right = np.linalg.svd((turned * (whole - whole.mean(axis=1, keepdims=True))) @ factor_RF.T)
        turn_RR = left @ right
    return turn_RR @ factor_RF


@dataclass(frozen=True, kw_only=True)
class _Fit:
    usual_F: F64
    seen_usual_F: F64
    reads_FR: F64
    writes_RF: F64
    taps: F64

    def residual(self, w: Windows) -> F32:
        """What is seen (W, T, F) less what the map and the filter say."""
        said_WTF = tap_matrix(self.taps) @ ((w.true_WTF - _f32(self.usual_F)) @ _f32(self.reads_FR @ self.writes_RF))
        return _f32(w.seen_WTF - self.seen_usual_F - said_WTF)


def _regression(recordings: Iterable[Windows], taps: F64) -> _Fit:
    """Ridge regression of how it is seen on how it is, filtered, cut to the directions that say most of it."""
    taps_TT, moments, samples = tap_matrix(taps), np.zeros((2 * FEATURES + 1, 2 * FEATURES + 1)), 0
    for w in recordings:
        both_SF = np.concatenate([taps_TT @ w.true_WTF, w.seen_WTF, np.ones_like(w.true_WTF[..., :1])], axis=2)
        both_SF = both_SF.reshape(-1, both_SF.shape[-1]).astype(np.float64)
        moments, samples = moments + both_SF.T @ both_SF, samples + len(both_SF)
    mean = moments[-1, :-1] / samples
    spread = moments[:-1, :-1] - samples * np.outer(mean, mean)
    true_FF, cross_FF = spread[:FEATURES, :FEATURES], spread[:FEATURES, FEATURES:]
    map_FF = np.linalg.solve(true_FF + _RIDGE * np.eye(FEATURES), cross_FF)
    # The way through the room is kept whole; it is small beside what limbs do, and is no mixture of that.
    _, vectors = np.linalg.eigh((map_FF.T @ true_FF @ map_FF)[:-3, :-3])
    main_FR = np.zeros((FEATURES, _MAP_RANK + 3))
    main_FR[:-3, :-3], main_FR[-3:, -3:] = vectors[:, ::-1][:, :_MAP_RANK], np.eye(3)
    return _Fit(
        usual_F=mean[:FEATURES], seen_usual_F=mean[FEATURES:], reads_FR=map_FF @ main_FR, writes_RF=main_FR.T, taps=taps
    )


def _taps(fit: _Fit, recordings: Iterable[Windows]) -> F64:
    """The filter (K,) that leaves least of what is seen, given the map; its taps sum to 1."""
    squares, products = np.zeros((_TAPS, _TAPS)), np.zeros(_TAPS)
    inside = slice(_TAPS - 1 - AHEAD, FRAMES - AHEAD)  # frames whose every tap lies in the window
    for w in recordings:
        said_WTF = (w.true_WTF - _f32(fit.usual_F)) @ _f32(fit.reads_FR @ fit.writes_RF)
        seen_WTF = w.seen_WTF - _f32(fit.seen_usual_F)
        # Means of windows say nothing about time, and are many times as large as what does.
        said_WTF, seen_WTF = (x - x.mean(axis=1, keepdims=True) for x in (said_WTF, seen_WTF))
        late = np.stack([said_WTF[:, inside.start + AHEAD - k : inside.stop + AHEAD - k].ravel() for k in range(_TAPS)])
        squares += late @ late.T
        products += late @ seen_WTF[:, inside].ravel()
    # Of movements that are slow, neighbouring taps are all but the same: the smallest are chosen.
    taps = np.linalg.solve(squares + _TAP_RIDGE * squares.trace() / _TAPS * np.eye(_TAPS), products)
    return np.asarray(taps / taps.sum())


def _factor(samples_SF: NDArray[np.floating], rank: int) -> F64:
    """A factor (R, F) of the samples' second moments: their main directions, as long as their standard deviations.

    All are longer by what the directions left out held. One factor for all: what a camera gives fulfils equations (the
    neck lies between shoulders and head), and so does any mixture of what it gave.
    """
    moments_FF = samples_SF.T @ samples_SF / len(samples_SF)
    values, vectors = np.linalg.eigh(moments_FF)
    values, vectors = values[::-1][:rank].clip(0), vectors[:, ::-1][:, :rank]
    scale = np.sqrt(np.trace(moments_FF) / values.sum().clip(1e-12))
    return np.asarray((vectors * np.sqrt(values)).T * scale)


def _f32(x: NDArray[np.floating]) -> NDArray[np.float32]:
    return x.astype(np.float32)
