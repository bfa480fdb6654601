"""Anchors: how frames of what a model knows look to its encoder, so that a new action can be told from them.

    anchors = Anchors.load(Bundle.load("small"))

A few thousand frames of the training people, as the head reads them, each with its class. They lie beside the bundle's
own files, rounded to eight bits, and belong to its weights: `skelstream anchors MODEL --stores ...` makes them.

N anchor, W feature, K class.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .arrays import read_arrays, write_arrays
from .bundle import Bundle
from .bundle_files import ANCHORS as ANCHORS

F32 = NDArray[np.float32]

_LARGEST = 64 << 20
_LEVELS = 127


def digest_of_weights(bundle: Bundle) -> str:
    """The identity of what features mean: that of the weights alone, however their scores are decoded."""
    with bundle.weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """`features_NW`, and of which class each frame is, `labels_N`. `sources` tells what they were taken from."""

    features_NW: F32
    labels_N: NDArray[np.int16]
    sources: tuple[str, ...]

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Those of a bundle. Raises ValueError if it has none, or not its own."""
        path = bundle.directory / ANCHORS
        mend = f"make them with `skelstream anchors {bundle.directory} --stores STORE ...`"
        if not path.exists():
            raise ValueError(f"{bundle.directory} has no {ANCHORS}, without which it can be taught nothing; {mend}")
        try:
            held = read_arrays(path, largest=_LARGEST)
            about = json.loads(held["about"].tobytes())
            if about["weights"] != digest_of_weights(bundle):
                raise ValueError("they are of other weights")
            levels_NW, scale_W, labels_N = held["levels"], held["scale"], held["labels"]
            width, classes = bundle.config.encoder.dense_width, len(bundle.config.classes)
            fits = levels_NW.shape == (len(labels_N), width) and scale_W.shape == (width,)
            if (
                not fits
                or levels_NW.dtype != np.int8
                or labels_N.dtype != np.int16
                or labels_N.ndim != 1
                or not len(labels_N)
            ):
                raise ValueError("their arrays do not fit the model")
            if not (np.isfinite(scale_W).all() and (labels_N >= 0).all() and (labels_N < classes).all()):
                raise ValueError("their numbers make no sense")
            sources = tuple(str(source) for source in about["sources"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} cannot be used: {error}; {mend}") from error
        features_NW = levels_NW.astype(np.float32) * scale_W.astype(np.float32)
        return cls(features_NW=features_NW, labels_N=labels_N, sources=sources)

    def save(self, bundle: Bundle) -> Path:
        """Write them beside the bundle's files, in place of older ones."""
        scale_W = np.maximum(np.abs(self.features_NW).max(axis=0) / _LEVELS, np.finfo(np.float32).tiny)
        about = {"weights": digest_of_weights(bundle), "sources": list(self.sources)}
        path = bundle.directory / ANCHORS
        write_arrays(
            path,
            {
                "levels": np.rint(self.features_NW / scale_W).astype(np.int8), "scale": scale_W.astype(np.float32),
                "labels": self.labels_N.astype(np.int16),
                "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
            },
        )  # fmt: skip
        return path
