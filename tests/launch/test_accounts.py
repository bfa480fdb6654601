"""The books: every frame and window is scored or dropped for a reason; what cannot be is seen."""

from hypothesis import given
from hypothesis import strategies as st

from skelstream.launch.accounts import Accounts, told

COUNT = st.integers(0, 1000)


@given(st.lists(COUNT, min_size=16, max_size=16), st.booleans())
def test_whatever_is_lost_wherever_the_books_balance(n: list[int], gate: bool) -> None:
    """Numbers are made from the end of the line to its beginning, so that everything lost is known."""
    seen, lost_to_window, track_sent_not, track_died, lost_to_track = n[0], n[1], n[2], n[3], n[4]
    pose_skipped, pose_full, pose_died, lost_to_pose, camera_full = n[5], n[6], n[7], n[8], n[9]
    track_in = seen + lost_to_window + track_sent_not + track_died
    pose_out = track_in + lost_to_track
    pose_in = pose_out + pose_full + pose_skipped + pose_died
    camera_out = pose_in + lost_to_pose
    scored, newer, decode_died, lost_to_decode, window_full, gate_full = n[10:16]
    decode_in = scored + newer + decode_died
    gate_in = decode_in + lost_to_decode + (gate_full if gate else 0)
    counters = {
        "camera": {"captured": camera_out + camera_full, "sent": camera_out, "dropped: queue full": camera_full},
        "pose": {"received": pose_in, "dropped: newer came": pose_skipped, "dropped: queue full": pose_full,
                 "sent": pose_out, "frames_with_people": 7},
        "track": {"received": track_in, "dropped: queue full": track_sent_not, "sent": seen + lost_to_window},
        "window": {"received": seen, "windows": gate_in + window_full, "dropped: queue full": window_full,
                   "sent": gate_in},
        "decode": {"windows": decode_in, "dropped: newer came": newer, "scored": scored},
    }  # fmt: skip
    if gate:
        counters["gate"] = {"windows": gate_in, "dropped: queue full": gate_full, "sent": decode_in + lost_to_decode}
    accounts = Accounts.of(counters)
    assert accounts.unaccounted == (0, 0) and not accounts.negative
    assert (accounts.captured, accounts.seen, accounts.with_people) == (camera_out + camera_full, seen, 7)
    assert +accounts.frames_dropped == +type(accounts.frames_dropped)({
        "camera: queue full": camera_full, "pose: lost on the way": lost_to_pose, "pose: newer came": pose_skipped,
        "pose: queue full": pose_full, "pose: lost with its process": pose_died,
        "track: lost on the way": lost_to_track, "track: queue full": track_sent_not,
        "track: lost with its process": track_died, "window: lost on the way": lost_to_window,
    })  # fmt: skip
    assert accounts.windows_dropped["decode: lost on the way"] == lost_to_decode
    assert accounts.windows_dropped["decode: lost with its process"] == decode_died


def test_a_frame_that_comes_twice_is_seen_in_the_books() -> None:
    counters = {
        "camera": {"captured": 10, "sent": 10}, "pose": {"received": 12, "sent": 12},
        "track": {"received": 12, "sent": 12}, "window": {"received": 12, "windows": 5, "sent": 5},
        "decode": {"windows": 6, "scored": 6},
    }  # fmt: skip
    accounts = Accounts.of(counters)
    assert accounts.negative == {"pose: lost on the way": -2, "decode: lost on the way": -1}


def test_for_people() -> None:
    accounts = Accounts.of({"camera": {"captured": 5, "sent": 3, "dropped: queue full": 2}, "pose": {"received": 2}})
    assert (
        told(accounts.frames_dropped)
        == "2 camera (queue full), 2 pose (lost with its process), 1 pose (lost on the way)"
    )
    assert told(Accounts.of({}).frames_dropped) == "none"


CAMERA = st.tuples(*(st.integers(0, 50) for _ in range(5)))


def _camera(tag: str, numbers: tuple[int, ...]) -> dict[str, dict[str, int]]:
    """Counters of one camera of several that loses so many frames at the camera, at pose and on the way to track."""
    seen, full, skipped, lost, windows = numbers
    return {
        f"camera@{tag}": {"captured": seen + lost + skipped + full, "sent": seen + lost + skipped,
                          "dropped: queue full": full},
        f"pose@{tag}": {"received": seen + lost + skipped, "dropped: newer came": skipped, "sent": seen + lost,
                        "frames_with_people": seen},
        f"track@{tag}": {"received": seen, "sent": seen},
        f"window@{tag}": {"received": seen, "windows": windows, "sent": windows},
    }  # fmt: skip


@given(st.dictionaries(st.sampled_from(["door", "hall", "yard"]), CAMERA, min_size=2), COUNT, COUNT)
def test_the_books_of_several_cameras_add_up(cameras: dict[str, tuple[int, ...]], newer: int, guests: int) -> None:
    cut = sum(numbers[4] for numbers in cameras.values())
    newer = min(newer, cut + guests)
    counters = {name: counts for tag, numbers in cameras.items() for name, counts in _camera(tag, numbers).items()}
    counters["decode"] = {"windows": cut + guests, "dropped: newer came": newer, "scored": cut + guests - newer}
    counters["gate"] = {"windows": guests, "sent": guests}
    accounts = Accounts.of(counters, guests=True)
    assert accounts.unaccounted == (0, 0) and not accounts.negative
    assert set(accounts.frames) == set(cameras)
    for tag, (seen, full, skipped, lost, _) in cameras.items():
        frames = accounts.frames[tag]
        assert (frames.captured, frames.seen) == (seen + full + skipped + lost, seen)
        assert +frames.dropped == +type(frames.dropped)(
            {"camera: queue full": full, "pose: newer came": skipped, "track: lost on the way": lost}
        )
    assert accounts.captured == sum(frames.captured for frames in accounts.frames.values())
    assert accounts.frames_dropped.total() == accounts.captured - accounts.seen
    assert (accounts.windows, accounts.scored) == (cut + guests, cut + guests - newer)
    # What came through the gate is not of these cameras: taken for theirs, the books would not balance.
    if guests:
        assert Accounts.of(counters).negative
