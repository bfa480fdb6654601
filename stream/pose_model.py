"""The pose model: a MediaPipe `.task` bundle in the cache, fetched once.

The bundle is an uncompressed zip of two TensorFlow Lite graphs: one that finds people, one that finds a person's 33
landmarks (BlazePose; Bazarevsky et al. 2020, arXiv 2006.10204). Google's storage has it ready made. Where that cannot
be reached but package registries can, the same two graphs are taken from Google's own packages, checked against their
known digests, and put together here.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

Variant = Literal["lite", "full", "heavy"]
Say = Callable[[str], None]

DETECTOR, LANDMARKS = "pose_detector.tflite", "pose_landmarks_detector.tflite"
_MB = 1_000_000
_BUNDLE_BYTES: dict[Variant, tuple[int, int]] = {
    "lite": (4 * _MB, 7 * _MB),  # the ranges do not overlap, so that one variant never passes for another
    "full": (8 * _MB, 12 * _MB),
    "heavy": (25 * _MB, 40 * _MB),
}
_OFFICIAL = "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_{v}/float16/1/pose_landmarker_{v}.task"
_CONNECT_S, _PACKAGE_S = 5, 300

_WHEEL = "mediapipe==0.10.21"  # later wheels carry no models
_NPM = "@mediapipe/pose@0.5.1675469404"
_DETECTOR_SHA256 = "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
_LANDMARKS_SHA256: dict[Variant, str] = {
    "lite": "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    "full": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "heavy": "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
}


def ensure_pose_model(variant: Variant = "lite", *, say: Say | None = None) -> Path:
    """The path of the pose bundle, fetched first if the cache has none; `say` is told, in words, what is being done.

    The cache is `$SKELSTREAM_CACHE`, else `$XDG_CACHE_HOME/skelstream`, else `~/.cache/skelstream`. Processes that ask
    at the same time fetch once. ValueError: an unknown variant, or a file in the cache that is no such bundle.
    RuntimeError: neither way of fetching worked; the line says why, and where to put the file by hand.
    """
    if variant not in get_args(Variant):
        raise ValueError(f"no pose model {variant!r}; there are {', '.join(get_args(Variant))}")
    say = say or (lambda _: None)
    path = _cache_folder() / "pose" / f"pose_landmarker_{variant}.task"
    if path.exists():
        return _checked(path, variant)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path, say):
        if path.exists():  # another process fetched it while this one waited
            return _checked(path, variant)
        bundle = _fetch(variant, path, say)
        partial = path.with_suffix(".partial")  # the lock makes one name enough; a killed run's rest is overwritten
        try:
            partial.write_bytes(bundle)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    say(f"pose model {variant}: saved as {path}")
    return path


def check_bundle(bundle: bytes, variant: Variant) -> None:
    """ValueError unless these bytes are a whole, uncompressed bundle of the two graphs, in the variant's size."""
    low, high = _BUNDLE_BYTES[variant]
    if not low <= len(bundle) <= high:
        raise ValueError(f"{len(bundle)} bytes, where {variant} has {low} to {high}")
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            members = archive.infolist()
            if sorted(member.filename for member in members) != [DETECTOR, LANDMARKS]:
                raise ValueError(f"holds {[m.filename for m in members][:4]}, not {DETECTOR} and {LANDMARKS}")
            for member in members:
                # MediaPipe maps the graphs straight from the file, so they must lie in it as they are.
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{member.filename} is compressed")
                if archive.read(member)[4:8] != b"TFL3":  # read() also compares the checksum
                    raise ValueError(f"{member.filename} is no TensorFlow Lite graph")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a whole zip file ({error})") from error


def _cache_folder() -> Path:
    if ours := os.environ.get("SKELSTREAM_CACHE"):
        return Path(ours).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "skelstream"


def _checked(path: Path, variant: Variant) -> Path:
    try:
        check_bundle(path.read_bytes(), variant)
    except ValueError as error:
        raise ValueError(
            f"{path} is not the pose model {variant}: {error}; delete it to have it fetched anew"
        ) from None
    return path


@contextmanager
def _alone(path: Path, say: Say) -> Iterator[None]:
    """Hold the lock beside `path`; the file stays, because removing a lock file races with whoever waits on it."""
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{path.name}: another process is fetching it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(variant: Variant, path: Path, say: Say) -> bytes:
    reasons = []
    for what, way in (("download", _download), ("packages", _assemble)):
        try:
            bundle = way(variant, say)
            check_bundle(bundle, variant)
            return bundle
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{what}: {' '.join(str(error).split()) or type(error).__name__}")
    raise RuntimeError(
        f"cannot fetch the pose model {variant} ({'; '.join(reasons)}); "
        f"get {_OFFICIAL.format(v=variant)} on a machine that can, and put it at {path}"
    )


def _download(variant: Variant, say: Say) -> bytes:
    url = _OFFICIAL.format(v=variant)
    say(f"pose model {variant}: fetching {url}")
    with urllib.request.urlopen(url, timeout=_CONNECT_S) as reply:
        return bytes(reply.read(_BUNDLE_BYTES[variant][1] + 1))  # one byte too many is enough to be refused


def _assemble(variant: Variant, say: Say) -> bytes:
    """The bundle made of the graphs in Google's packages; the same bytes each time."""
    with tempfile.TemporaryDirectory(prefix="skelstream-pose-") as folder:
        say(f"pose model {variant}: fetching {_WHEEL} from the Python package index")
        wheel = _fetch_wheel(Path(folder))
        detector = _member_of_zip(wheel, "mediapipe/modules/pose_detection/pose_detection.tflite", _DETECTOR_SHA256)
        name, digest = f"pose_landmark_{variant}.tflite", _LANDMARKS_SHA256[variant]
        if variant == "full":  # the one that the wheel carries
            landmarks = _member_of_zip(wheel, f"mediapipe/modules/pose_landmark/{name}", digest)
        else:
            say(f"pose model {variant}: fetching {_NPM} from the npm registry")
            landmarks = _member_of_tar(_fetch_npm(Path(folder)), f"package/{name}", digest)
    # The detector carries its own description; of the landmarks' graph the old solution knew it by heart.
    return _packed({DETECTOR: detector, LANDMARKS: _with_normalisation(landmarks, mean=0.0, std=255.0)})


def _packed(graphs: dict[str, bytes]) -> bytes:
    """The graphs as an uncompressed zip, each beginning at a multiple of 64 bytes, so that it is used in place."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for name, graph in graphs.items():
            member = zipfile.ZipInfo(name)  # its time stamp is fixed: 1980
            padding = -(bundle.tell() + 30 + len(name) + 4) % 64  # 30: a member's header; 4: that of its extra field
            member.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)  # zipalign's tag for such padding
            archive.writestr(member, graph)
    return bundle.getvalue()


def _fetch_wheel(folder: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input")
    # Only data is read from it, so one platform's wheel does for every machine.
    wheel = ("--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux_2_28_x86_64")
    _run(*pip, "--retries=1", "--timeout=10", "--no-deps", "--only-binary=:all:", *wheel, f"--dest={folder}", _WHEEL)
    return _only(folder, "*.whl")


def _fetch_npm(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError("npm is not installed")
    _run(npm, "pack", "--silent", "--ignore-scripts", "--fetch-retries=1", "--pack-destination", str(folder), _NPM)
    return _only(folder, "*.tgz")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_PACKAGE_S
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{command[-1]} did not come within {_PACKAGE_S} s") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise ValueError(f"{command[-1]}: {lines[-1] if lines else f'exit code {done.returncode}'}")


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"the package manager left {len(found)} files {pattern}")
    return found[0]


def _member_of_zip(path: Path, name: str, sha256: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            return _verified(name, member.read(_BUNDLE_BYTES["heavy"][1]), sha256)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _member_of_tar(path: Path, name: str, sha256: str) -> bytes:
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile(name)
            if member is None:
                raise ValueError(f"{path.name}: {name} is no file")
            return _verified(name, member.read(_BUNDLE_BYTES["heavy"][1]), sha256)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _verified(name: str, data: bytes, sha256: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{name} is not the file that was expected (its SHA-256 differs)")
    return data


def _with_normalisation(graph: bytes, *, mean: float, std: float) -> bytes:
    """The graph with the metadata that MediaPipe Tasks asks of it: how the input image is normalised."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as described
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    class AlignedBuffer(tflite.BufferT):  # type: ignore[misc]
        """TensorFlow Lite wants weights at multiples of 16 bytes; the generated Pack does not see to it."""

        def Pack(self, builder: flatbuffers.Builder) -> int:
            size = 0 if self.data is None else len(self.data)
            if size:
                builder.StartVector(1, size, 16)
                builder.head -= size
                builder.Bytes[builder.head : builder.head + size] = bytes(self.data)
                vector = builder.EndVector()
            tflite.BufferStart(builder)
            if size:
                tflite.BufferAddData(builder, vector)
            return int(tflite.BufferEnd(builder))

    options = described.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = described.ProcessUnitT()
    unit.optionsType, unit.options = described.ProcessUnitOptions.NormalizationOptions, options
    image = described.ImagePropertiesT()
    image.colorSpace = described.ColorSpaceType.RGB
    content = described.ContentT()
    content.contentPropertiesType, content.contentProperties = described.ContentProperties.ImageProperties, image
    tensor = described.TensorMetadataT()
    tensor.name, tensor.content, tensor.processUnits = "image", content, [unit]
    subgraph = described.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [tensor]
    root = described.ModelMetadataT()
    root.name, root.subgraphMetadata, root.minParserVersion = "pose landmarks", [subgraph], "1.0.0"
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"M001")

    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(graph, 0))
    note = tflite.MetadataT()
    note.name, note.buffer = "TFLITE_METADATA", len(model.buffers)
    model.metadata = [*(model.metadata or []), note]
    model.buffers.append(tflite.BufferT())
    model.buffers[-1].data = bytes(builder.Output())
    for buffer in model.buffers:
        buffer.__class__ = AlignedBuffer
    builder = flatbuffers.Builder(len(graph) + 65536)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
