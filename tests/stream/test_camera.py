"""Cameras: every frame of what was recorded, real time for what is live, truth where it is known."""

import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.encoder.layout import NTU25
from skelstream.stream.actor import ACTIONS, Script
from skelstream.stream.camera import SourceLost, _host, open_source
from skelstream.stream.skeleton_file import read_clip


def test_a_file_gives_every_frame_with_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for i in range(40):
        writer.write(np.full((48, 64, 3), 6 * i, np.uint8))
    writer.release()
    source = open_source(str(path))
    frames = list(source.frames())
    assert not source.live and source.truth(0.0) is None
    assert [frame.seq for frame in frames] == list(range(40))
    np.testing.assert_allclose([frame.t for frame in frames], np.arange(40) / 25, atol=1e-3)
    np.testing.assert_allclose([frame.image.mean() for frame in frames], 6 * np.arange(40), atol=3)


@pytest.mark.parametrize(("quarter_turns", "size"), [(0, (48, 64)), (1, (64, 48)), (2, (48, 64)), (3, (64, 48))])
def test_a_video_of_a_phone_held_otherwise_stands_upright(
    tmp_path: Path, quarter_turns: int, size: tuple[int, int]
) -> None:
    """A phone notes in the track's header (ISO 14496-12, tkhd) by which matrix a player has to turn the pictures."""
    path = tmp_path / "phone.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (64, 48))
    lying = np.zeros((48, 64, 3), np.uint8)
    lying[:24, :32] = 250  # the first quarter is bright
    for _ in range(5):
        writer.write(lying)
    writer.release()
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter_turns]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(
        ">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30
    )  # fmt: skip
    path.write_bytes(content)
    (image, *rest) = [frame.image for frame in open_source(str(path)).frames()]
    assert image.shape[:2] == size and len(rest) == 4
    # Turned clockwise.
    np.testing.assert_allclose(image, np.rot90(lying, -quarter_turns), atol=30)


def test_a_mirrored_source_is_turned_back(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.arange(3 * 4, dtype=np.uint8).reshape(3, 4))
    plain, mirrored = (next(open_source(str(tmp_path), mirror=mirror).frames()) for mirror in (False, True))
    np.testing.assert_array_equal(mirrored.image, plain.image[:, ::-1])
    assert (mirrored.t, mirrored.seq, mirrored.camera) == (plain.t, plain.seq, plain.camera)


def test_a_folder_gives_its_images_in_the_order_of_their_names(tmp_path: Path) -> None:
    for i in (3, 1, 2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    frames = list(open_source(str(tmp_path)).frames())
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 3]
    (tmp_path / "4.png").write_text("broken")
    with pytest.raises(ValueError, match=r"4\.png is no image"):
        list(open_source(str(tmp_path)).frames())


def test_the_actor_plays_in_real_time_and_passes_over_what_it_cannot_show() -> None:
    source = open_source("actor:3", width=160, height=120, duration_s=2.0)
    assert source.live
    times, began = [], time.monotonic()
    for frame in source.frames():
        times.append(frame.t)
        if len(times) == 5:
            time.sleep(0.4)  # somebody holds the camera up
    assert time.monotonic() - began > 1.9
    gaps = np.diff(times)
    assert gaps.max() > 0.3 and (gaps > 0).all() and times[-1] < 2.0
    script = Script(seed=3, duration_s=2.0)
    assert [source.truth(t) for t in times] == [script.truth(t) for t in times]
    assert {source.truth(t) for t in times} <= {"background", *ACTIONS}


def skeletons(path: Path, joints: int, facing: float) -> Path:
    """Two clips of a still person of this many joints; `facing` -1 looks at the camera."""
    x = np.zeros((30, joints, 3), np.float32)
    x[...] = np.random.default_rng(0).normal(scale=0.2, size=(joints, 3)) + np.array([0, 0, 3])
    left, right = (4, 8) if joints in (20, 25) else (7, 11)
    x[:, left, 0], x[:, right, 0] = 0.2 * facing, -0.2 * facing
    np.savez(
        path, x=x, offsets=np.array([0, 10, 30]), label=np.array([0, 1]), class_names=np.array(["walk", "wave"]),
        name=np.array(["first", "second"]), fps=np.float32(10),
    )  # fmt: skip
    return path


@pytest.mark.parametrize("which", ["1", "second"])
def test_a_skeleton_file_is_drawn_clip_by_clip_with_its_truth(tmp_path: Path, which: str) -> None:
    path = skeletons(tmp_path / "set.npz", 20, -1.0)
    clip = read_clip(f"{path}:{which}")
    assert clip.joints.shape == (20, 1, 25, 3) and clip.labels == ("wave",) * 20
    np.testing.assert_allclose(np.diff(clip.times_s), 0.1)
    source = open_source(f"skeletons:{path}:{which}", width=320, height=240)
    frames = list(source.frames())
    assert len(frames) == 20 and source.truth(0.5) == "wave" and frames[0].image.shape == (240, 320, 3)


def test_motion_capture_is_turned_to_the_camera(tmp_path: Path) -> None:
    path = skeletons(tmp_path / "mocap.npz", 22, 1.0)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["x"] = arrays["x"] - np.array([0, 0, 3], np.float32)  # around the origin, as motion capture is
    np.savez(path, **arrays)
    joints = read_clip(str(path)).joints
    assert joints[0, 0, NTU25.index("ShoulderLeft"), 0] < joints[0, 0, NTU25.index("ShoulderRight"), 0]
    assert joints[..., 2].mean() > 2


@pytest.mark.parametrize("spec", ["none.npz", "{file}:7", "{file}:third", "{other}"])
def test_what_is_no_skeleton_file_or_clip_is_said_in_one_line(tmp_path: Path, spec: str) -> None:
    path = skeletons(tmp_path / "set.npz", 20, -1.0)
    (tmp_path / "other.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError) as caught:
        read_clip(spec.format(file=path, other=tmp_path / "other.npz"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_video_that_stops_before_its_end_is_lost_only_if_its_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for i in range(40):
        writer.write(np.full((48, 64, 3), 6 * i, np.uint8))
    writer.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # it was never finished: what is there is all there is
    frames = open_source(str(path)).frames()
    assert 5 < len(list(frames)) < 40
    frames = open_source(str(path)).frames()
    next(frames)
    path.unlink()  # its mount is gone
    with pytest.raises(SourceLost, match="no more pictures"):
        list(frames)


def test_a_folder_that_is_gone_is_lost(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    frames = open_source(str(tmp_path)).frames()
    next(frames)
    (tmp_path / "2.png").unlink()
    with pytest.raises(SourceLost, match=r"2\.png is gone"):
        list(frames)


def test_a_live_source_shows_the_time_since_its_epoch() -> None:
    source = open_source("actor:3", width=160, height=120, duration_s=60.0, epoch=time.monotonic() - 20.0)
    frame = next(source.frames())
    assert 20.0 <= frame.t < 21.0
    np.testing.assert_array_equal(frame.image, source.picture(frame.t))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://guard:secret@10.0.0.9:554/door?key=secret", "rtsp-10.0.0.9"),
        ("http://secret@[fd00::2]/x", "http-fd00::2"),
        ("rtsp:///nowhere", "rtsp-camera"),
    ],
)
def test_a_network_camera_is_called_by_its_place_alone(url: str, name: str) -> None:
    assert _host(url) == name
