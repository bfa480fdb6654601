"""Any camera: a drawn actor seen by MediaPipe at 15 to 120 frames a second, with frames lost, in upright pictures, in a
mirror, half out of the picture, at a desk. What is seen stays the same, and what is not seen is marked.

T tick, V joint, 3 coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.engine.compile import fallbacks, first_engine
from skelstream.encoder.layout import NTU25
from skelstream.stream.actor import Script
from skelstream.stream.camera import open_source
from skelstream.stream.decode import Decoder
from skelstream.stream.detect import score
from skelstream.stream.draw import Look, View, background, draw_scene
from skelstream.stream.pose import PoseEstimator
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.track import Tracker
from skelstream.stream.window import WindowCutter
from skelstream.stream.wire import Event, Frame, Tracks, Window

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Picture = Callable[[float], U8]  # at a time in seconds

KINECT = View(width=640, height=480)
BASE, CHEST = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
LEGS = [NTU25.index(f"{part}{side}") for part in ("Knee", "Ankle", "Foot") for side in ("Left", "Right")]
ARMS = ("wave", "raise_hand", "clap", "punch", "stop")


@pytest.fixture(scope="module", autouse=True)
def _model() -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))


@cache
def script(seed: int, duration_s: float, actions: tuple[str, ...] = ARMS) -> Script:
    return Script(seed=seed, duration_s=duration_s, actions=actions)


def drawn(acted: Script, view: View = KINECT, joints: Sequence[int] = range(25)) -> Picture:
    """The actor as this camera sees him; of his body only what these joints hold."""
    look, backdrop = Look.random(np.random.default_rng(acted.look_seed)), background(3, view.width, view.height)

    def picture(t: float) -> U8:
        pose = np.zeros((25, 3), np.float32)
        pose[list(joints)] = acted.pose(t)[list(joints)]
        return draw_scene([(pose, look)], view, backdrop)

    return picture


def close_to(acted: Script, distance_m: float, up_m: float = 0.0, aside_deg: float = 0.0) -> View:
    """A camera this far before the actor, above his hips, that looks past him by so much."""
    hips = np.mean([acted.pose(t)[BASE] for t in np.linspace(0, acted.duration_s, 50)], axis=0)
    return View(
        width=640, height=480, position=(float(hips[0]), float(hips[1]) + up_m, float(hips[2]) - distance_m),
        yaw=math.radians(aside_deg),
    )  # fmt: skip


def tracked(picture: Picture, times: NDArray[np.float64]) -> list[Tracks]:
    """What the tracker says of the pictures at these times."""
    tracker = Tracker()
    with PoseEstimator() as estimator:
        frames = [
            Frame(camera="c", t=float(t), captured_at=0.0, seq=i, image=picture(float(t))) for i, t in enumerate(times)
        ]
        return [tracker.push(estimator.estimate(frame)) for frame in frames]


def windows(tracks: Sequence[Tracks], hop: int = 1) -> list[Window]:
    cutter = WindowCutter(WindowCutter.Config(hop=hop))
    return [window for each in tracks for window in cutter.push(each)] + list(cutter.finish())


def ticks(tracks: Sequence[Tracks]) -> dict[int, F32]:
    """The joints (25, 3) of the one person at every tick, as the windows show them."""
    return {window.first_tick + 63: window.joints[:, -1, :, 0].T for window in windows(tracks)}


def apart_m(ours: dict[int, F32], theirs: Callable[[int], F32]) -> NDArray[np.float64]:
    """How far apart (T, V) two postures are, tick by tick, each told about the hips."""
    other = {tick: theirs(tick) for tick in ours}
    return np.array(
        [np.linalg.norm(j - j[BASE] - (other[tick] - other[tick][BASE]), axis=-1) for tick, j in ours.items()]
    )


def seen(tracks: Sequence[Tracks]) -> NDArray[np.bool_]:
    """Which joints (T, V) of the one person are not marked as missing, in the frames in which the person was found."""
    return np.array([joints.any(axis=-1) for each in tracks for joints in each.joints])


# --- frame rates -----------------------------------------------------------------------------------------------------

ACTED_S = 3.0


def frame_times(fps: float, duration_s: float = ACTED_S) -> NDArray[np.float64]:
    return np.arange(int(duration_s * fps)) / fps


def with_frames_lost(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """A fifth of the frames are lost, at random, though not the first."""
    lost = np.random.default_rng(0).random(len(times)) < 0.2
    lost[0] = False
    return times[~lost]


@cache
def at_30_fps() -> dict[int, F32]:
    return ticks(tracked(drawn(script(4, ACTED_S)), frame_times(30)))


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(frame_times(15), id="15"),
        pytest.param(frame_times(24), id="24"),
        pytest.param(frame_times(60), id="60"),
        pytest.param(with_frames_lost(frame_times(30)), id="30 with a fifth lost"),
        pytest.param(with_frames_lost(frame_times(60)), id="60 with a fifth lost", marks=pytest.mark.slow),
        pytest.param(frame_times(120), id="120", marks=pytest.mark.slow),
    ],
)
def test_every_frame_rate_sees_the_same(times: NDArray[np.float64]) -> None:
    acted = script(4, ACTED_S)

    def truth(tick: int) -> F32:
        return acted.pose(tick / 30)

    reference = at_30_fps()
    ours = {tick: joints for tick, joints in ticks(tracked(drawn(acted), times)).items() if tick in reference}
    assert len(ours) >= len(reference) - 2  # the last frames of a slow camera come early
    assert all(joints.any(axis=-1).all() for joints in ours.values())
    between = apart_m(ours, reference.__getitem__)
    # Nothing can be told more closely in time than the slowest of these cameras looks, and what a camera adds of its
    # own is far more than what its frame rate does.
    moved = apart_m({tick: truth(tick) for tick in ours}, lambda tick: acted.pose(max(tick / 30 - 1 / 15, 0)))
    assert np.quantile(between, 0.95) < np.quantile(moved, 0.95)
    assert np.median(between) < 0.2 * np.median(apart_m(ours, truth))


@pytest.mark.slow
def test_every_frame_rate_finds_the_same_actions() -> None:
    duration_s = 8.0
    acted = script(4, duration_s)
    bundle = Bundle.load_live("small")
    engine = first_engine(bundle, fallbacks("auto"), threads=1, say=print, frames=64)

    def actions_found(times: NDArray[np.float64]) -> set[int]:
        """Which of the script's actions are told by an event of that name that overlaps by more than half."""
        decoder, found = Decoder(bundle.config.classes, bundle.config.decode), set()
        for window in windows(tracked(drawn(acted), times)):
            for said in decoder.push(score(engine, [window])[0], 0.0):
                if isinstance(said, Event) and said.t_end is not None:
                    for i, true in enumerate(acted.segments):
                        both = min(said.t_end, true.t_end) - max(said.t_start, true.t_start)
                        either = max(said.t_end, true.t_end) - min(said.t_start, true.t_start)
                        found |= {i} if said.action == true.action and both / either > 0.5 else set()
        return found

    expected = actions_found(frame_times(30, duration_s))
    assert expected
    slow, fast = frame_times(15, duration_s), frame_times(60, duration_s)
    for times in (slow, fast, with_frames_lost(frame_times(30, duration_s))):
        assert actions_found(times) == expected
    engine.close()


# --- half out of the picture -----------------------------------------------------------------------------------------


def outside(view: View, joints: F32) -> NDArray[np.float64]:
    """How far (V,) joints truly lie outside the picture, in lengths of the torso; negative inside.

    The spine's joints are made of hips and shoulders: they are as far outside as the farther one of those.
    """
    at = view.project(joints)
    torso_px = float(np.linalg.norm(at[CHEST] - at[BASE]))
    away = np.maximum(-at, at - (view.width, view.height)).max(axis=-1) / torso_px
    made_of = [("SpineBase", "Hip"), ("SpineMid", "Hip"), ("SpineMid", "Shoulder"), ("SpineShoulder", "Shoulder")]
    for joint, of in [*made_of, ("Neck", "Shoulder")]:
        pair = [away[NTU25.index(f"{of}{side}")] for side in ("Left", "Right")]
        away[NTU25.index(joint)] = max(away[NTU25.index(joint)], *pair)
    return np.asarray(away)


@pytest.mark.parametrize(
    ("distance_m", "up_m", "aside_deg"),
    [
        pytest.param(2.1, 0.25, 0, id="legs below the knees"),
        pytest.param(1.6, 0.35, 0, id="legs"),
        pytest.param(0.95, 0.55, 0, id="all below the chest"),
        pytest.param(2.6, 0.0, 26, id="one side"),
        pytest.param(2.6, 0.0, -27, id="the other side"),
    ],
)
def test_what_lies_outside_the_picture_is_marked_and_nothing_else(
    distance_m: float, up_m: float, aside_deg: float
) -> None:
    acted = script(4, 3.0)
    view, times = close_to(acted, distance_m, up_m, aside_deg), frame_times(15)
    tracks = [each for each in tracked(drawn(acted, view), times) if len(each.ids)]
    assert len(tracks) > 0.9 * len(times)
    found = seen(tracks)
    away = np.array([outside(view, acted.pose(each.t)) for each in tracks])
    # A fifth of a torso is what MediaPipe may misplace a joint by; an arm that swings out is lost a little late.
    assert (~found)[away > 0.2].mean() > 0.8
    assert found[away < -0.2].mean() > 0.8
    confidence = np.array([each.confidence[0] for each in tracks])
    assert not confidence[~found].any()


def test_in_ordinary_views_nothing_is_marked() -> None:
    acted = script(4, 2.0)
    hips = acted.pose(0.0)[BASE].astype(float)
    beside = View(width=640, height=480, position=(hips[0] - 3.3, hips[1], hips[2]), yaw=math.pi / 2)
    for view in (KINECT, beside):
        assert (~seen(tracked(drawn(acted, view), frame_times(15, 2.0)))).mean() < 0.01


def test_a_portrait_picture_is_as_good() -> None:
    acted = script(4, 2.0)
    upright = View(width=450, height=800, horizontal_fov_deg=36, position=(0.0, 0.0, -0.3))
    tracks = tracked(drawn(acted, upright), frame_times(15, 2.0))
    assert seen(tracks).all() and windows(tracks)[-1].evidence == 1

    def truth(tick: int) -> F32:
        return acted.pose(tick / 30)

    wide = {tick: joints for tick, joints in at_30_fps().items() if tick < 60}
    # Both are off by about as much as MediaPipe always is: a body that lay on its side would be off by its own length.
    assert np.median(apart_m(ticks(tracks), truth)) < 2 * np.median(apart_m(wide, truth))


# --- sitting, and hardly anything to see -----------------------------------------------------------------------------


def test_legs_behind_a_desk_are_marked_and_hands_above_it_are_not() -> None:
    acted = script(4, 3.0)
    picture = drawn(acted, close_to(acted, 2.6, 0.1))

    def at_a_desk(t: float) -> U8:
        image = picture(t)
        cv2.rectangle(image, (40, 300), (600, 480), (60, 90, 130), -1)
        return image

    tracks = tracked(at_a_desk, frame_times(15))
    share = dict(zip(NTU25.joints, seen(tracks).mean(axis=0).tolist(), strict=True))
    assert max(share[f"Foot{side}"] for side in ("Left", "Right")) < 0.1
    assert min(share[name] for name in ("Head", "ShoulderLeft", "ElbowRight", "SpineShoulder")) > 0.9
    assert windows(tracks)[-1].evidence < 1


def test_somebody_who_sits_down_in_full_view_stays_whole() -> None:
    tracks = tracked(drawn(script(2, 4.0, ("sit_down", "stand_up"))), frame_times(15, 4.0))
    assert seen(tracks).mean() > 0.99
    assert windows(tracks)[-1].evidence > 0.99


def test_the_more_is_seen_of_a_person_the_more_evidence_there_is() -> None:
    acted = script(4, 3.0)
    views = {
        "all": KINECT, "to the thighs": close_to(acted, 1.6, 0.35), "head": close_to(acted, 0.75, 0.75),
    }  # fmt: skip
    told = {name: windows(tracked(drawn(acted, view), frame_times(15)))[-1].evidence for name, view in views.items()}
    assert told["all"] == 1
    assert 0.6 < told["to the thighs"] < 0.9  # 19 of 25 joints lie above the knees
    assert told["head"] <= 7 / 25  # head, neck, shoulders, and what hand is before the face


def test_an_arm_alone_is_nobody_or_hardly_any_evidence() -> None:
    acted = script(4, 3.0)
    arm = [NTU25.index(f"{part}Right") for part in ("Elbow", "Wrist", "Hand", "HandTip", "Thumb")]
    for window in windows(tracked(drawn(acted, close_to(acted, 1.2, 0.3), arm), frame_times(15))):
        assert window.evidence <= 7 / 25


# --- mirrors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirror", [False, True])
def test_a_mirrored_camera_swaps_the_hands_until_it_is_told(tmp_path: Path, mirror: bool) -> None:
    acted = script(1, 6.0, ("raise_hand",))
    up = max(np.linspace(0, 6, 61), key=lambda t: float(hands_m(acted.pose(t)).max()))
    picture, path = drawn(acted), tmp_path / "selfie.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, (640, 480))
    for t in np.arange(up - 0.5, up, 1 / 15):
        writer.write(cv2.flip(picture(float(t)), 1))
    writer.release()

    source, tracker = open_source(str(path), mirror=mirror), Tracker()
    assert (source.name, source.live, source.truth(0.0)) == ("selfie.avi", False, None)
    with PoseEstimator() as estimator:
        tracks = [tracker.push(estimator.estimate(frame)) for frame in source.frames()]
    source.close()
    raised = int(hands_m(tracks[-1].joints[0]).argmax())
    assert bool(raised == hands_m(acted.pose(up)).argmax()) is mirror


def hands_m(joints: F32) -> NDArray[np.float32]:
    """How high (2,) the left and the right hand are."""
    return joints[[NTU25.index("HandLeft"), NTU25.index("HandRight")], 1]
