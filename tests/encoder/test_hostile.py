"""Files from somebody who means harm: refused in one line, nothing executed, nothing allocated by their word."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.checkpoint import read_checkpoint
from skelstream.encoder.engine.compile import compile_engine
from skelstream.encoder.weights import load_model
from skelstream.train.pretrained import load_pretrained

GOLDEN = Path(__file__).parents[1] / "golden" / "dste_ntu25_pretrained.pth.tar"
GIGABYTE = 1 << 30
Reseal = Callable[[Path], None]


class CreatesFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def archive(edit: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint of one tensor of four numbers, its members changed."""
    honest, changed = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(4)}}, honest)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(changed, "w", compression) as target:
        for name in source.namelist():
            target.writestr(name, edit(name, source.read(name)))
    return changed.getvalue()


def with_pickle(content: bytes) -> bytes:
    return archive(lambda name, body: content if name.endswith("data.pkl") else body)


def many_times(body: bytes) -> bytes:
    """The pickle of a tensor, which now claims 2^31 numbers."""
    return body.replace(b"K\x04tq", b"J\xff\xff\xff\x7ftq").replace(b"K\x04\x85q", b"J\xff\xff\xff\x7f\x85q")


NESTED = b"\x80\x02})q\x000" + b"".join(b"h%ch%c\x86q%c0" % (k, k, k + 1) for k in range(40)) + b"h\x28K\x01s."


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (archive(lambda n, b: b"\0" * GIGABYTE if n.endswith("/0") else b, zipfile.ZIP_DEFLATED), "is compressed"),
        (archive(lambda n, b: many_times(b) if n.endswith("data.pkl") else b), "does not match expected size"),
        (with_pickle(NESTED), "damaged"),  # a tuple of 2^40 tuples, of which somebody wants the hash
        (with_pickle(b"\x80\x05\x8e" + struct.pack("<Q", 1 << 40) + b"abc."), "damaged"),
        (with_pickle(b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"abc."), "damaged"),
        (b"\x80\x02" + b"]" * 10_000, "damaged"),
        (b"hello", "damaged"),
        (b"", "damaged"),
    ],
    ids=["zip-bomb", "boast", "nested", "long-string", "long-frame", "deep", "text", "empty"],
)
def test_a_checkpoint_that_is_a_bomb(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"cannot read the checkpoint .*x\.pth: .*{complaint}"):
        read_checkpoint(tmp_path / "x.pth")


def test_views_of_one_number_are_not_unfolded(tmp_path: Path) -> None:
    state = read_checkpoint(GOLDEN)
    wide = {
        f"module.{key}": torch.zeros(()).expand([8192 if n == 32 else n for n in w.shape]) for key, w in state.items()
    }
    torch.save({"state_dict": wide}, tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 100_000
    with pytest.raises(ValueError, match="would unfold to far more than it has bytes"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_named_and_not_run(tmp_path: Path, zipped: bool) -> None:
    path, bait = tmp_path / "checkpoint.pt", tmp_path / "run"
    torch.save({"state_dict": {"a": CreatesFolder(bait)}}, path, _use_new_zipfile_serialization=zipped)
    for read in (lambda: read_checkpoint(path), lambda: load_pretrained(str(tmp_path))):
        with pytest.raises(ValueError, match=r"it names posix\.mkdir, and is not executed") as refused:
            read()
        assert "\n" not in str(refused.value) and "weights_only" not in str(refused.value)
    assert not bait.exists()
    torch.load(path, weights_only=False)  # the bait is live
    assert bait.exists()


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(pickle.dumps(CreatesFolder(tmp_path / "run")))
    command = [sys.executable, "-m", "skelstream", "import", str(tmp_path / "x.pth"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"skelstream: cannot read the checkpoint {tmp_path / 'x.pth'}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def replaced_by(path: Path, what: str, elsewhere: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        elsewhere.write_bytes(content)
        path.symlink_to(elsewhere)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.onnx", "reference.npz"])
@pytest.mark.parametrize("what", ["pipe", "device", "link"])
def test_a_bundle_reads_nothing_but_its_own_files(bundle: Bundle, tmp_path: Path, name: str, what: str) -> None:
    replaced_by(bundle.directory / name, what, tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=rf"corrupt bundle .*{name} is no file of the bundle's own"):
        Bundle.load(bundle.directory)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 1 << 42) + b"{}",
        struct.pack("<Q", 72) + b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046]}}',
        struct.pack("<Q", 63)
        + b'{"a":{"dtype":"F32","shape":[1099511627776,1099511627776,4194304],"data_offsets":[0,0]}}',
        b"",
    ],
    ids=["header", "shape", "overflow", "short"],
)
def test_weights_that_boast(bundle: Bundle, reseal: Reseal, content: bytes) -> None:
    bundle.weights.write_bytes(content + b"\0" * 100)
    reseal(bundle.directory)
    with pytest.raises(ValueError, match="weights do not fit its config: not a safetensors file"):
        load_model(Bundle.load(bundle.directory))


def test_a_config_that_boasts_allocates_nothing(bundle: Bundle) -> None:
    path = bundle.directory / "config.json"
    config = json.loads(path.read_text())
    config["encoder"].update(hidden=8192, layers=64)  # 200 GB
    path.write_text(json.dumps(config))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="of another shape, such as"):
        load_model(Bundle.load(bundle.directory))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize("what", ["pipe", "altered", "added"])
def test_an_engine_that_was_altered_is_made_anew(bundle: Bundle, tmp_path: Path, what: str) -> None:
    compile_engine(bundle, "openvino", threads=1).close()
    blob = next((bundle.directory / "engines").rglob("*.blob"))
    altered = blob.read_bytes()[:-1] + b"!"
    if what == "pipe":
        replaced_by(blob, what, tmp_path / "elsewhere")
    else:
        (blob if what == "altered" else blob.parent / "another.blob").write_bytes(altered)
    compile_engine(bundle, "openvino", threads=1).close()
    files = list(blob.parent.iterdir())
    assert blob in files and all(path.is_file() and path.read_bytes() != altered for path in files)
