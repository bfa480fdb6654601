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
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from .config import (
    AnyEncoderConfig,
    LayoutName,
    Modality,
    Normalisation,
    Task,
    check,
    check_model,
    encoder_class,
    layout_of,
)
from .full_disk import needing_room

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

F32 = NDArray[np.float32]

FORMAT = 1
CONFIG, WEIGHTS, GRAPH, REFERENCE = "config.json", "model.safetensors", "model.onnx", "reference.npz"
SHIPPED = Path(__file__).parent / "bundles"

# Nothing larger is read: ten times the largest model there is, and far more text or probes than anybody needs.
_MAX_BYTES = {CONFIG: 1 << 20, WEIGHTS: 2 << 30, GRAPH: 2 << 30, REFERENCE: 64 << 20}


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
        return _strict(cls, data, "decode")

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
        return _strict(cls, data, "config")

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
        """A shipped bundle by its name, or one by its directory (a bare name is always a shipped one: write ./name).

        The directory may be that of a run whose bundle is in it, as `bundle/`.

        Raises ValueError if there is no such model, or if a file is missing, cut short, changed or nonsensical.
        """
        directory = _resolve(path_or_name)
        raw = _read(directory, CONFIG)
        try:
            data = json.loads(raw, parse_constant=_no_constant)
            check(isinstance(data, dict), "it must be an object")
            files, version = data.pop("files", None), data.pop("format", None)
            check(version == FORMAT, f"its format is {version!r}, this program reads {FORMAT}")
            config = BundleConfig.from_dict(data)
            listed = _listed(files)
        except (ValueError, RecursionError) as error:
            raise _corrupt(directory, f"{CONFIG}: {error}") from error
        for name, (sha256, size) in listed.items():
            _verify(directory, name, sha256, size)
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
        content = _read(self.directory, REFERENCE)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                joints = _read_array(archive, "joints.npy", self.config.window_shape)
                logits = _read_array(archive, "logits.npy", self.config.output_shape)
            check(0 < len(joints) == len(logits), "as many probes as logits are needed, at least one")
        except (ValueError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
            raise _corrupt(self.directory, f"{REFERENCE}: {error}") from error
        return Reference(joints=joints, logits=logits)

    def engine_cache(self) -> Path:
        """Where compiled engines are kept: `engines/` in the bundle, or a folder of the user's if that is read-only."""
        inside = self.directory / "engines"
        if os.access(inside if inside.exists() else self.directory, os.W_OK):
            return inside
        if root := os.environ.get("SKELSTREAM_CACHE"):
            return Path(root) / "engines" / self.digest[:16]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "skelstream" / "engines" / self.digest[:16]


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
    directory = Path(path_or_name)
    if not (directory / CONFIG).exists() and (directory / "bundle" / CONFIG).is_file():
        return directory / "bundle"
    if directory.is_dir():
        return directory
    names = ", ".join(available_bundles()) or "none"
    raise ValueError(f"no model {str(path_or_name)!r}; give a bundle's directory or one that is shipped: {names}")


def _corrupt(directory: Path, what: str) -> ValueError:
    mend = "install or copy it again" if directory.parent == SHIPPED else "copy it again, or export it anew"
    return ValueError(f"corrupt bundle {directory}: {what}; {mend}")


def _inside(directory: Path, name: str) -> Path:
    """A file of the bundle; not one elsewhere that a link leads to, nor what is no file and never ends."""
    path = directory / name
    if path.exists() and (path.resolve().parent != directory.resolve() or not path.is_file()):
        raise _corrupt(directory, f"{name} is no file of the bundle's own")
    return path


def _read(directory: Path, name: str) -> bytes:
    """The whole of a small file, its size checked first."""
    path = _inside(directory, name)
    try:
        if path.stat().st_size > _MAX_BYTES[name]:
            raise _corrupt(directory, f"{name} is larger than {_MAX_BYTES[name]} bytes")
        return path.read_bytes()
    except OSError as error:
        raise _corrupt(directory, f"{name}: {error.strerror or error}") from error


def _verify(directory: Path, name: str, sha256: str, size: int) -> None:
    path = _inside(directory, name)
    try:
        actual = path.stat().st_size
        if actual != size:
            raise _corrupt(directory, f"{name} has {actual} bytes, not {size}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _corrupt(directory, f"{name}: {error.strerror or error}") from error
    if digest != sha256:
        raise _corrupt(directory, f"{name} has been changed (its digest is another)")


def _listed(files: object) -> dict[str, tuple[str, int]]:
    """The digests and sizes of `files`. Only the three known names pass, so no name can lead out of the directory."""
    expected = {WEIGHTS, GRAPH, REFERENCE}
    if not isinstance(files, dict) or set(files) != expected:
        raise ValueError(f"files must list exactly {', '.join(sorted(expected))}")
    listed = {}
    for name, entry in files.items():
        known = isinstance(entry, dict) and set(entry) == {"sha256", "bytes"}
        check(known, f"files[{name!r}] must hold sha256 and bytes")
        size, sha256 = entry["bytes"], entry["sha256"]
        check(
            type(size) is int and 0 < size <= _MAX_BYTES[name],
            f"files[{name!r}].bytes must be in 1..{_MAX_BYTES[name]}",
        )
        check(isinstance(sha256, str) and len(sha256) == 64, f"files[{name!r}].sha256 must be 64 hexadecimal digits")
        listed[name] = (sha256, size)
    return listed


def _read_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> F32:
    """One float32 array (P, *shape) of an .npz; the header is believed only as far as there are bytes for it."""
    entry = archive.getinfo(name)
    check(entry.compress_type == zipfile.ZIP_STORED, f"{name} must not be compressed")
    data = archive.read(entry)
    stream = io.BytesIO(data)
    check(np.lib.format.read_magic(stream) == (1, 0), f"{name} must be .npy version 1.0")
    actual, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    check(dtype == np.dtype("<f4") and not fortran, f"{name} must be float32 in C order")
    check(actual[1:] == shape, f"{name} has shape {actual}, not (P, {', '.join(map(str, shape))})")
    body = data[stream.tell() :]
    check(math.prod(actual) * 4 == len(body), f"{name} is cut short")
    array = np.frombuffer(body, dtype=np.float32).reshape(actual)
    check(bool(np.isfinite(array).all()), f"{name} holds numbers that are not finite")
    return array


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


D = TypeVar("D", bound="DataclassInstance")


def _strict(cls: type[D], data: object, where: str) -> D:
    """Build a dataclass from parsed JSON: its fields, exactly their types, an int where a float is asked.

    A field with a default may be missing: it may be younger than the file.
    """
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object")
    if missing := [name for name in needed if name not in data]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    if unknown := [name for name in data if name not in names]:
        raise ValueError(f"{where} has unknown fields: {', '.join(map(str, unknown))}")
    return cls(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in data.items()})


def _member(members: tuple[Any, ...], value: object) -> Any:
    """Which of the types of a union a value is to have: an encoder by its kind, else null, a list or a plain value."""
    if all(is_dataclass(member) for member in members):
        return encoder_class(value.get("kind", "dste") if isinstance(value, dict) else None)
    if value is None and NoneType in members:
        return NoneType
    return next((m for m in members if (get_origin(m) is tuple) == isinstance(value, list)), members[0])


def _value(expected: Any, value: object, where: str) -> Any:
    if get_origin(expected) is UnionType:
        expected = _member(get_args(expected), value)
    origin, arguments = get_origin(expected), get_args(expected)
    if isinstance(expected, type) and is_dataclass(expected):
        return _strict(expected, value, where)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return value
    if expected is float and isinstance(value, int | float) and type(value) is not bool and math.isfinite(value):
        return float(value)
    if expected in (int, str, bool, NoneType) and type(value) is expected:
        return value
    wanted = (
        f"one of {', '.join(map(repr, arguments))}" if origin is Literal else getattr(expected, "__name__", expected)
    )
    raise ValueError(f"{where} must be {wanted}, not {value!r:.80}")
