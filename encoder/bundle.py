"""The model bundle: one directory that is trained, shipped, compiled and loaded. On the live path: no torch in here.

    config.json          what the model is, what it expects, how well it does, where it is from; the digests of the rest
    model.safetensors    the weights, float16
    model.onnx           the deployed graph: joints (B, 3, T, V, M) float32 -> what the task asks for
    reference.npz        a few windows and the reference's output for them, to check a compiled engine without torch
    engines/             compiled engines; a cache, not part of the bundle, and elsewhere if this is not writable

    bundle = Bundle.load("small")           # one that is shipped, or a directory

The task says what comes out: "detect" frame logits (B, T, K), "recognise" clip logits (B, K), "encode" the dense
representation (B, T, W) of a pretrained encoder. The layout says what goes in: "ntu25" metres in camera space, "coco17"
x, y and confidence in a picture.

Shapes: P probe window, B batch, T frame, V joint (25 or 17), M person (2), K class, W width.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from .bundle_files import ANCHORS, cache_folder, corrupt, listed, no_constant, read, read_array, verify
from .bundle_files import CONFIG as CONFIG
from .bundle_files import F32 as F32
from .bundle_files import GRAPH as GRAPH
from .bundle_files import REFERENCE as REFERENCE
from .bundle_files import SHIPPED as SHIPPED
from .bundle_files import WEIGHTS as WEIGHTS
from .config import (
    AnyEncoderConfig,
    LayoutName,
    Modality,
    Normalisation,
    Task,
    check,
    check_model,
    layout_of,
)
from .full_disk import needing_room
from .strict import strict

FORMAT = 1
HUB = "hf://"

LOOK = 32  # ticks: the decoder looks so far back on a window for when an action began and how sure it is


@dataclass(frozen=True, kw_only=True)
class DecodeParameters:
    """How scores become decisions and events; `stream/decode.py` says what is done with each.

    A number stands for all classes, a tuple has one entry a class (that of the background is not read). In frames:
    `delay` between a frame and its decision, `min_frames` that an action lasts before it is believed, `boundary` by
    which its edges may move to where the scores change most, `unknown_frames` over which the energy is averaged. In
    probability: `enter` and `leave`. In frames of certainty: `belief` that starts an action and `doubt` that ends it
    (0: as soon as the mean is beyond `enter` or `leave`). Logits are divided by `temperature`. What has an energy (the
    log-sum-exp of the logits) below `unknown` is unknown, None: never; so is what has less `evidence` in its windows.
    """

    delay: int = 8
    temperature: float = 1.0
    enter: float | tuple[float, ...] = 0.5
    leave: float | tuple[float, ...] = 0.3
    min_frames: int | tuple[int, ...] = 6
    belief: float | tuple[float, ...] = 0.0
    doubt: float | tuple[float, ...] = 0.0
    boundary: int = 0
    unknown: float | None = None
    unknown_frames: int = 15
    min_evidence: float = 0.0

    def __post_init__(self) -> None:
        check(0 <= self.delay <= 4096, "decode.delay must be in 0..4096 frames")
        check(0.05 <= self.temperature <= 20, "decode.temperature must be in 0.05..20")
        lengths = {len(value) for value in self._of_classes() if isinstance(value, tuple)}
        check(len(lengths) <= 1, "decode thresholds must have as many entries as one another, one a class")
        for k in range(max(lengths, default=1)):
            enter, leave, min_frames, belief, doubt = (of_class(value, k) for value in self._of_classes())
            check(0 < leave <= enter < 1, "decode thresholds must satisfy 0 < leave <= enter < 1")
            check(1 <= min_frames <= LOOK, f"decode.min_frames must be in 1..{LOOK}")
            check(0 <= belief <= LOOK and 0 <= doubt <= LOOK, f"decode.belief and doubt must be in 0..{LOOK}")
        check(0 <= self.boundary < LOOK // 2, f"decode.boundary must be in 0..{LOOK // 2 - 1} frames")
        check(self.unknown is None or math.isfinite(self.unknown), "decode.unknown must be a finite energy, or none")
        check(1 <= self.unknown_frames <= LOOK, f"decode.unknown_frames must be in 1..{LOOK}")
        check(0 <= self.min_evidence <= 1, "decode.min_evidence must be in 0..1")

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """These fields with exactly these types, as they stand in JSON; ValueError names the one that is wrong."""
        return strict(cls, data, "decode")

    @property
    def classes(self) -> int | None:
        """How many classes these are for; None where every number stands for all."""
        return next((len(value) for value in self._of_classes() if isinstance(value, tuple)), None)

    def _of_classes(self) -> tuple[float | tuple[float, ...], ...]:
        return (self.enter, self.leave, self.min_frames, self.belief, self.doubt)


def of_class(value: float | tuple[float, ...], k: int) -> float:
    """What a parameter of `DecodeParameters` says of class `k`."""
    return value[k] if isinstance(value, tuple) else value


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """What `config.json` says. `metrics` and `provenance` are free: figures, data sets, licences, seeds."""

    encoder: AnyEncoderConfig
    classes: tuple[str, ...]
    task: Task = "detect"
    layout: LayoutName = "ntu25"
    modality: Modality = "joint"
    normalisation: Normalisation = "torso"
    frames: int = 64
    hz: float = 30.0
    decode: DecodeParameters = field(default_factory=DecodeParameters)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_model(self.task, self.encoder, self.classes, self.modality, self.normalisation)
        check(self.layout == layout_of(self.encoder), f"layout must be {layout_of(self.encoder)}, as encoder.joints")
        check(self.frames == self.encoder.frames, "frames must equal encoder.frames")
        check(1 <= self.hz <= 1000, "hz must be in 1..1000")
        if self.task == "detect":
            check(self.decode.delay < self.frames, "decode.delay must be shorter than the window")
            check(
                "unknown" not in self.classes, "no class may be called 'unknown': the decoder says so of what is none"
            )
            check(self.decode.classes in (None, len(self.classes)), "decode must have one entry a class, or one number")

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """These fields with exactly these types, what has a default at will; ValueError names the one that is wrong."""
        return strict(cls, data, "config")

    @property
    def window_shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of one window."""
        return (self.encoder.coords, self.frames, self.encoder.joints, self.encoder.people)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What comes out for one window: (T, K), (K,) or (T, W)."""
        if self.task == "recognise":
            return (len(self.classes),)
        return (self.frames, len(self.classes) if self.task == "detect" else self.encoder.dense_width)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Probe windows (P, 3, T, V, M) and the reference's output for them (P, *output_shape), float32."""

    joints: F32
    logits: F32


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk whose every file has been found as its config says."""

    directory: Path
    config: BundleConfig
    digest: str  # of config.json, which holds the digests of the others: the identity of the model

    @classmethod
    def load(cls, path_or_name: str | Path) -> Self:
        """A shipped bundle by its name, or one by its directory (a bare name is always a shipped one: write ./name),
        or one from a hub: hf://ORG/NAME, or of one revision, hf://ORG/NAME@REVISION.

        The directory may be that of a run whose bundle is in it, as `bundle/`.

        Raises ValueError if there is no such model, or if a file is missing, cut short, changed or nonsensical.
        """
        directory = _resolve(path_or_name)
        raw = read(directory, CONFIG)
        try:
            data = json.loads(raw, parse_constant=no_constant)
            check(isinstance(data, dict), "it must be an object")
            files, version = data.pop("files", None), data.pop("format", None)
            check(version == FORMAT, f"its format is {version!r}, this program reads {FORMAT}")
            config = BundleConfig.from_dict(data)
            known = listed(files)
        except (ValueError, RecursionError) as error:
            raise corrupt(directory, f"{CONFIG}: {error}") from error
        for name, (sha256, size) in known.items():
            verify(directory, name, sha256, size)
        return cls(directory=directory, config=config, digest=hashlib.sha256(raw).hexdigest())

    @classmethod
    def load_live(cls, path_or_name: str | Path) -> Self:
        """As `load`, for the live path. Raises ValueError too if the model does not detect on the live joints."""
        bundle = cls.load(path_or_name)
        if (bundle.config.task, bundle.config.layout) != ("detect", "ntu25"):
            raise ValueError(
                f"{bundle.directory} is for the task {bundle.config.task} on {bundle.config.layout}; the live path "
                "needs detect on ntu25: make such a bundle with `skelstream train detect`"
            )
        return bundle

    @classmethod
    def save(cls, directory: Path, config: BundleConfig, *, weights: bytes, graph: bytes, reference: Reference) -> Self:
        """Write the bundle whole or not at all, in place of an older bundle there, and load it.

        Raises ValueError if `directory` exists and is anything but a bundle, and `DiskFull`.
        """
        check_place(directory)
        packed = io.BytesIO()
        np.savez(packed, joints=reference.joints, logits=reference.logits)
        contents = {WEIGHTS: weights, GRAPH: graph, REFERENCE: packed.getvalue()}
        files = {n: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for n, c in contents.items()}
        text = json.dumps({"format": FORMAT, **asdict(config), "files": files}, indent=2, allow_nan=False)

        directory.parent.mkdir(parents=True, exist_ok=True)
        scratches = tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent)
        with needing_room(directory), scratches as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            for name, content in (*contents.items(), (CONFIG, f"{text}\n".encode())):
                with (new / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            cls.load(new).reference()  # what would not load again does not replace what does
            anchors, before = directory / ANCHORS, directory / WEIGHTS
            if anchors.is_file() and before.is_file() and before.read_bytes() == weights:
                shutil.copy2(anchors, new / ANCHORS)  # the same weights can be taught as they could
            old = Path(scratch) / "old"
            if directory.exists():
                directory.rename(old)
            try:
                new.rename(directory)
            except OSError:
                if old.exists():
                    old.rename(directory)
                raise
        return cls.load(directory)

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def graph(self) -> Path:
        return self.directory / GRAPH

    @property
    def weights(self) -> Path:
        return self.directory / WEIGHTS

    def reference(self) -> Reference:
        """The probes and their logits. Raises ValueError if they are not what the config lets expect."""
        content = read(self.directory, REFERENCE)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                joints = read_array(archive, "joints.npy", self.config.window_shape)
                logits = read_array(archive, "logits.npy", self.config.output_shape)
            check(0 < len(joints) == len(logits), "as many probes as logits are needed, at least one")
        except (ValueError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
            raise corrupt(self.directory, f"{REFERENCE}: {error}") from error
        return Reference(joints=joints, logits=logits)

    def engine_cache(self) -> Path:
        """Where compiled engines are kept: `engines/` in the bundle, or a folder of the user's if that is read-only."""
        inside = self.directory / "engines"
        if os.access(inside if inside.exists() else self.directory, os.W_OK):
            return inside
        return cache_folder() / "engines" / self.digest[:16]


def check_place(directory: Path) -> None:
    """Raise ValueError if a bundle must not be written there: the directory exists, and is anything but a bundle."""
    if directory.exists() and not (directory / CONFIG).is_file():
        raise ValueError(f"{directory} exists and is no model bundle; name another directory")


def available_bundles() -> tuple[str, ...]:
    """The names of the bundles that are shipped, in alphabetical order."""
    return tuple(sorted(config.parent.name for config in SHIPPED.glob(f"*/{CONFIG}")))


def _resolve(path_or_name: str | Path) -> Path:
    if isinstance(path_or_name, str) and path_or_name in available_bundles():
        return SHIPPED / path_or_name
    if isinstance(path_or_name, str) and path_or_name.startswith(HUB):
        from .hub import fetched

        return fetched(path_or_name)
    directory = Path(path_or_name)
    if not (directory / CONFIG).exists() and (directory / "bundle" / CONFIG).is_file():
        return directory / "bundle"
    if directory.is_dir():
        return directory
    names = ", ".join(available_bundles()) or "none"
    raise ValueError(
        f"no model {str(path_or_name)!r}; give a bundle's directory, hf://ORG/NAME, or one that is shipped: {names}"
    )
