"""Who learns a new action in `skelstream bench teach`: the model's encoder, and two that it has to be better than.

    encoder      the model's own, with the anchors that it is shipped with
    random       one of the same shape that was never trained; its anchors are those of the training people at hand
    neighbour    no encoder: the joints themselves, now and a while ago, and whose they are nearest to

All of them stand behind the same known classes, as the model scores them, and may take as much of the anchors.

B window, F frame, K class, D what a learner sees of a frame, N frame.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..encoder.anchors import Anchors
from ..encoder.bundle import Bundle
from ..encoder.engine import Engine
from ..encoder.engine.compile import compile_engine
from ..encoder.layout import NTU25
from ..encoder.taught import F32, MOST_TAKEN, Frames, learn
from ..stream.showing import Showing, shown_frames
from ..stream.teaching import Head
from ..train.store import Store
from ..train.streams import streams_of
from .anchors import anchor_windows

METHODS = ("encoder", "random", "neighbour")
FRAMES = 24  # of a window's newest that are scored
_AGO = (0, 8, 16, 24)  # frames: what the neighbour looks at
_HIPS, _LEFT, _RIGHT, _NECK = (NTU25.index(n) for n in ("SpineBase", "ShoulderLeft", "ShoulderRight", "SpineShoulder"))
_OF_EACH = 110
_BATCH = 32

Scorer = Callable[[F32], F32]  # what a learner sees of frames (..., D) -> logits of the new action (...)


class Learner:
    """Sees windows in its own way, beside what the model says of them: an engine of (B, F, K + D)."""

    def __init__(self, name: str, bundle: Bundle, model: Engine, sees: Callable[[F32], F32]) -> None:
        self.name, self._bundle, self.model, self._sees = name, bundle, model, sees
        self.classes, self._temperature = len(bundle.config.classes), bundle.config.decode.temperature
        self._anchors: Frames | None = None
        self._labels_N: NDArray[np.int16] = np.zeros(0, np.int16)

    def infer(self, joints_BCTVM: F32) -> F32:
        """The model's logits, and what this one sees."""
        answer_BFO = self.model.infer(joints_BCTVM)
        return np.concatenate((answer_BFO[..., : self.classes], self.sees(joints_BCTVM, answer_BFO)), axis=-1)

    def sees(self, joints_BCTVM: F32, answer_BFO: F32) -> F32:
        """What it sees (B, F, D) in windows for which this is the model's answer."""
        return answer_BFO[..., self.classes :] if self.name == "encoder" else self._sees(joints_BCTVM)

    def anchored(self, anchors: Frames, labels_N: NDArray[np.int16]) -> None:
        """From now on it knows these frames."""
        self._anchors, self._labels_N = anchors, labels_N

    def learn(self, showings: Sequence[Showing]) -> Scorer:
        """An action from its showings."""
        assert self._anchors is not None
        parts = [shown_frames(self, showing, self.classes, self._temperature) for showing in showings]
        shots = [shot for shot, _ in parts if len(shot)]
        rests = [rest for _, rest in parts if rest is not None]
        rest = Frames.joined(rests) if rests else None
        if self.name == "neighbour":
            return self._nearest(shots)
        row = learn(
            shots, rest, self._anchors, self._labels_N, temperature=self._temperature, judge=False
        ).row  # fmt: skip
        return row.of

    def _nearest(self, shots: Sequence[Frames]) -> Scorer:
        """Above all known classes where a frame is nearer to a showing than to any anchor, by so much that as little
        of the anchors is taken as by the others."""
        assert self._anchors is not None
        shown, known = Frames.joined(shots).features_NW, self._anchors.features_NW
        among = _distances(known, known)
        np.fill_diagonal(among, np.inf)
        margin_N = among.min(axis=1) - _distances(known, shown).min(axis=1)
        needed = max(0.0, *(float(np.quantile(margin_N[kind], 1 - MOST_TAKEN))
                            for kind in (self._labels_N == 0, self._labels_N > 0)))  # fmt: skip

        def score(seen: F32) -> F32:
            flat = seen.reshape(-1, seen.shape[-1]).astype(np.float32)
            margin = _distances(flat, known).min(axis=1) - _distances(flat, shown).min(axis=1) - needed
            return np.where(margin > 0, 50.0, -50.0).astype(np.float32).reshape(seen.shape[:-1])

        return score


class Together:
    """All learners at once, (B, F, K + D + D + ...), and the model only once."""

    def __init__(self, learners: Sequence[Learner]) -> None:
        self._learners = learners
        self.widths: list[int] = []  # K, and each D

    def infer(self, joints_BCTVM: F32) -> F32:
        """See `Infers`."""
        first = self._learners[0]
        answer_BFO = first.model.infer(joints_BCTVM)
        parts = [answer_BFO[..., : first.classes], *(one.sees(joints_BCTVM, answer_BFO) for one in self._learners)]
        self.widths = [part.shape[-1] for part in parts]
        return np.concatenate(parts, axis=-1)


@contextmanager
def learners(bundle: Bundle, stores: Sequence[Store], seed: int) -> Iterator[list[Learner]]:
    """All three, each with its anchors."""
    classes, temperature = len(bundle.config.classes), bundle.config.decode.temperature
    model = compile_engine(bundle, frames=FRAMES, features=True)
    with tempfile.TemporaryDirectory() as folder:
        random = compile_engine(_random(bundle, Path(folder) / "bundle", seed), frames=FRAMES, features=True)
        made = [
            Learner("encoder", bundle, model, lambda joints: joints),
            Learner("random", bundle, model, lambda joints: random.infer(joints)[..., classes:]),
            Learner("neighbour", bundle, model, postures),
        ]
        shipped, head = Anchors.load(bundle), Head.of(bundle)
        logits_NK = head.logits(shipped.features_NW, ())
        made[0].anchored(
            Frames.of(np.concatenate((logits_NK, shipped.features_NW), axis=1), classes, temperature), shipped.labels_N
        )  # fmt: skip
        chosen = anchor_windows(streams_of(stores, ("train",)), classes, _OF_EACH, np.random.default_rng(seed))
        for learner in made[1:]:
            answers, labels = [], []
            for windows_BCTVM, labels_B in chosen():
                answers.append(learner.infer(windows_BCTVM)[:, -5])
                labels.append(labels_B)
            learner.anchored(Frames.of(np.concatenate(answers), classes, temperature), np.concatenate(labels))
        try:
            yield made
        finally:
            model.close()
            random.close()


def postures(joints_BCTVM: F32) -> F32:
    """The joints of a window's newest frames and of some before, (B, F, D): seen from the hips, in lengths of the
    trunk, with the shoulders turned to the camera."""
    joints = np.moveaxis(joints_BCTVM[..., 0], 1, -1)  # (B, T, V, C)
    moved = np.where((joints != 0).any(axis=-1, keepdims=True), joints - joints[:, :, _HIPS : _HIPS + 1], 0)
    across = moved[:, :, _RIGHT] - moved[:, :, _LEFT]
    angle = np.arctan2(across[..., 2], across[..., 0])
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y, z = moved[..., 0], moved[..., 1], moved[..., 2]
    length = np.maximum(np.linalg.norm(moved[:, :, _NECK], axis=-1), 0.2)[..., None]
    turned = np.stack((cos * x + sin * z, y, cos * z - sin * x), axis=-1) / length[..., None]
    frames = np.arange(turned.shape[1] - FRAMES, turned.shape[1])
    parts = [turned[:, np.maximum(frames - ago, 0)] for ago in _AGO]
    return np.concatenate(parts, axis=2).reshape(len(turned), FRAMES, -1).astype(np.float32)


def _distances(a: F32, b: F32) -> F32:
    """Between each of (N, D) and each of (n, D)."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)


def _random(bundle: Bundle, directory: Path, seed: int) -> Bundle:
    """A bundle of the same shape whose weights are as they were drawn."""
    import torch

    from ..encoder.detector import Detector
    from ..encoder.export import save_bundle

    c = bundle.config
    torch.manual_seed(seed)
    config = Detector.Config(
        encoder=c.encoder, classes=c.classes, modality=c.modality, normalisation=c.normalisation
    )  # fmt: skip
    detector = Detector(config)
    for parameter in detector.parameters():  # constants that are all zero would be folded away, and all is drawn
        parameter.data += 1e-3 * torch.randn_like(parameter)
    return save_bundle(detector, directory)
