"""The pose stage's core: landmarks where another program found them, and time stamps that MediaPipe never refuses."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.layout import BLAZEPOSE33
from skelstream.stream.pose import MonotoneClock, PoseEstimator, to_people
from skelstream.stream.pose_model import Variant, ensure_pose_model
from skelstream.stream.wire import Frame, People, decode, encode

VIDEOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"


def frame(image: np.ndarray, t: float = 0.0, seq: int = 0) -> Frame:
    return Frame(camera="door", t=t, captured_at=1_700_000_000.0, seq=seq, image=image)


def need_model(variant: Variant) -> None:
    try:
        ensure_pose_model(variant)
    except RuntimeError as error:
        pytest.skip(str(error))


def need_video(name: str) -> Path:
    if not (VIDEOS / name).exists():
        pytest.skip(f"{name} is not in a folder `shared` beside the repository")
    return VIDEOS / name


def pictures(video: Path) -> Iterator[tuple[float, np.ndarray]]:
    """The pictures of a video with their times in seconds."""
    capture = cv2.VideoCapture(str(video))
    rate, number = capture.get(cv2.CAP_PROP_FPS), 0
    while (read := capture.read())[0]:
        yield number / rate, read[1]
        number += 1
    capture.release()


# --- time stamps ---------------------------------------------------------------------------------------------------

TIMES = st.floats(-1e9, 1e9) | st.floats(0, 0.01) | st.sampled_from([0.0, 1.0, 1.0004, 1.0006, 2e9])


@given(st.lists(TIMES, min_size=1, max_size=50))
def test_stamps_are_whole_and_only_grow(times: list[float]) -> None:
    clock = MonotoneClock()
    stamps = [clock.milliseconds(t) for t in times]
    assert stamps[0] == 0
    assert all(isinstance(stamp, int) for stamp in stamps)
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0.003, 10), min_size=1, max_size=30), st.floats(-1e6, 1e6))
def test_stamps_keep_the_pace_of_the_camera_also_after_it_starts_again(
    start: float, steps: list[float], again: float
) -> None:
    clock = MonotoneClock()
    for begin in (start, min(again, start) - 1.0):
        first = clock.milliseconds(begin)
        for passed in np.cumsum(steps):
            assert abs(clock.milliseconds(begin + passed) - first - passed * 1000) <= 1.01


@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_time_is_refused(t: float) -> None:
    with pytest.raises(ValueError, match="no time"):
        MonotoneClock().milliseconds(t)


# --- MediaPipe's answer as a message ---------------------------------------------------------------------------------


def marks(values: np.ndarray) -> list[SimpleNamespace]:
    """(33, 5) as objects with MediaPipe's field names."""
    return [SimpleNamespace(x=x, y=y, z=z, visibility=v, presence=p) for x, y, z, v, p in values.tolist()]


def test_parts_of_the_picture_become_pixels_and_metres_stay() -> None:
    rng = np.random.default_rng(1)
    image, world = rng.uniform(-1, 2, (2, 33, 5)), rng.uniform(-1, 1, (2, 33, 5))
    people = to_people(
        frame(np.zeros((480, 640, 3), np.uint8), t=2.5, seq=7), [*map(marks, image)], [*map(marks, world)]
    )
    assert (people.camera, people.t, people.captured_at, people.seq) == ("door", 2.5, 1_700_000_000.0, 7)
    assert people.size == (640, 480)
    np.testing.assert_allclose(people.image[..., 0], image[..., 0] * 640, rtol=1e-5)
    np.testing.assert_allclose(people.image[..., 1], image[..., 1] * 480, rtol=1e-5)
    np.testing.assert_allclose(people.image[..., 2], image[..., 2] * 640, rtol=1e-5)
    np.testing.assert_allclose(people.world, world[..., :3], rtol=1e-5)
    np.testing.assert_allclose(people.visibility, image[..., 3].clip(0, 1), rtol=1e-5)
    np.testing.assert_allclose(people.presence, image[..., 4].clip(0, 1), rtol=1e-5)


@given(
    where=st.sampled_from(["image", "world"]),
    mark=st.integers(0, 32),
    coordinate=st.integers(0, 2),
    value=st.sampled_from([math.nan, math.inf, -math.inf, 1e39]),  # the last overflows float32
)
def test_a_person_with_a_number_that_is_not_finite_is_left_out(
    where: str, mark: int, coordinate: int, value: float
) -> None:
    found = {name: np.stack([np.full((33, 5), 0.25), np.full((33, 5), 0.75)]) for name in ("image", "world")}
    found[where][0, mark, coordinate] = value
    with np.errstate(over="ignore"):
        people = to_people(
            frame(np.zeros((10, 10, 3), np.uint8)), *([*map(marks, found[k])] for k in ("image", "world"))
        )
    assert people.world.shape == (1, 33, 3)
    assert (people.world == 0.75).all()
    decode(encode(people))  # which refuses what is not finite


# --- the estimator ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"people": 0}, {"min_confidence": 1.1}, {"min_confidence": math.nan}])
def test_a_configuration_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PoseEstimator.Config(**wrong)  # type: ignore[arg-type]


def test_an_empty_room_is_nobody_and_a_wrong_image_is_refused() -> None:
    need_model("lite")
    with PoseEstimator() as estimator:
        people = estimator.estimate(frame(np.full((480, 640, 3), 90, np.uint8)))
        assert (people.image.shape, people.world.shape, people.visibility.shape) == ((0, 33, 3), (0, 33, 3), (0, 33))
        assert {a.dtype for a in (people.image, people.world, people.visibility)} == {np.dtype(np.float32)}
        sent = decode(encode(people))
        assert isinstance(sent, People)
        assert sent.world.shape == (0, 33, 3)
        for wrong in (
            np.zeros((480, 640), np.uint8),
            np.zeros((480, 640, 3), np.float32),
            np.zeros((0, 9, 3), np.uint8),
        ):
            with pytest.raises(ValueError, match=r"image|picture"):
                frame(wrong)
        with pytest.raises(ValueError, match="a frame is"):
            estimator.estimate(frame(np.zeros((9, 9, 0), np.uint8)))


def test_a_person_is_found_whatever_becomes_of_the_clock_the_size_and_the_memory() -> None:
    need_model("lite")
    pairs = pictures(need_video("pose_squats.mp4"))
    images = [image for (_, image), _ in zip(pairs, range(6), strict=False)]
    times = [5.0, 5.0, 5.0002, 0.0, 0.2, 1e8]  # repeats, hardly moves, starts again, leaps
    with PoseEstimator() as estimator:
        for seq, (t, image) in enumerate(zip(times, images, strict=True)):
            if seq % 2:
                image = image[::2, ::2]  # a camera may change its mind; also, not contiguous
            sent = decode(encode(frame(image, t, seq)))  # read-only
            assert isinstance(sent, Frame)
            people = estimator.estimate(sent)
            assert people.t == t
            assert people.image.shape == (1, 33, 3)
            height, width = image.shape[:2]
            shoulder = people.image[0, BLAZEPOSE33.index("ShoulderLeft")]
            assert 0 < shoulder[0] < width
            assert 0 < shoulder[1] < height


def test_landmarks_agree_with_another_programs() -> None:
    """`pose_squats`: one person of 676 px, with the landmarks that BlazePose full gave to somebody else's program."""
    need_model("full")
    video = need_video("pose_squats.mp4")
    pixels = np.array(json.loads((VIDEOS / "reference_json" / "pose_squats.full.json").read_text()))
    metres = np.array(json.loads((VIDEOS / "reference_json" / "pose_squats_3d.full.json").read_text()))
    with PoseEstimator(PoseEstimator.Config(variant="full")) as estimator:
        found = [estimator.estimate(frame(image, t, seq)) for seq, (t, image) in enumerate(pictures(video))]
    assert len(found) == len(pixels) == len(metres)
    assert all(len(people.world) == 1 for people in found)
    image = np.concatenate([people.image for people in found])
    world = np.concatenate([people.world for people in found])
    off_px = np.linalg.norm(image[..., :2] - pixels[..., :2], axis=-1)
    off_m = np.linalg.norm(world - metres, axis=-1)
    assert np.median(off_px) < 8, f"median {np.median(off_px):.2f} px"
    assert np.median(off_m) < 0.06, f"median {np.median(off_m) * 100:.2f} cm"
    # z of the image has its own scale; its agreement is what shows that x's was meant.
    assert np.corrcoef(image[..., 2].ravel(), pixels[..., 2].ravel())[0, 1] > 0.8
    assert 0.8 < image[..., 2].std() / pixels[..., 2].std() < 1.25

    left = [i for i, name in enumerate(BLAZEPOSE33.joints) if name.endswith("Left") and i >= 11]
    right = [BLAZEPOSE33.mirror[i] for i in left]
    to_right = np.linalg.norm(world[:, left] - metres[:, right], axis=-1)
    assert (off_m[:, left] < to_right).mean() > 0.95


def test_two_people_side_by_side_are_both_found() -> None:
    need_model("lite")
    video = need_video("pose_squats.mp4")
    with PoseEstimator(PoseEstimator.Config(people=2)) as estimator:
        for seq, (t, image) in zip(range(12), pictures(video), strict=False):
            people = estimator.estimate(frame(np.hstack([image, image]), t, seq))
    assert people.image.shape == people.world.shape == (2, 33, 3)
    one, other = people.image[np.argsort(people.image[:, 0, 0])]
    assert abs(np.median(other[:, 0] - one[:, 0]) - image.shape[1]) < 20
    assert abs(np.median(other[:, 1] - one[:, 1])) < 20
