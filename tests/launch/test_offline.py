"""Offline evaluation is the live path: the same windows, the same decisions."""

import numpy as np
import pytest
from numpy.typing import NDArray

from skelstream.encoder.bundle import BundleConfig, DecodeParameters
from skelstream.encoder.config import DSTEConfig
from skelstream.encoder.engine import Precision
from skelstream.launch.fit import fit_decoder
from skelstream.launch.offline import decode_stream, events_in, looks_of, score_windows
from skelstream.stream.decode import Decoder
from skelstream.stream.detect import score
from skelstream.stream.window import WindowCutter
from skelstream.stream.wire import Decision, Event, Tracks, Window
from skelstream.train.streams import Stream
from skelstream.train.vocabulary import CLASSES

HOP = 2


class HandHeight:
    """An engine whose answer is plain from the joints: `wave` where the left hand is above the head."""

    name = "by hand"
    precision: Precision = "fp32"

    def infer(self, joints_BCTVM: NDArray[np.float32]) -> NDArray[np.float32]:
        above = joints_BCTVM[:, 1, :, 7, 0] - joints_BCTVM[:, 1, :, 3, 0]
        logits = np.zeros((*above.shape, len(CLASSES)), np.float32)
        logits[..., 1] = 12 * (above - 0.5)
        logits[..., 2:] = -9
        return logits

    def close(self) -> None:
        pass


@pytest.fixture
def config() -> BundleConfig:
    return BundleConfig(encoder=DSTEConfig(hidden=16, layers=1), classes=CLASSES)


@pytest.fixture
def stream() -> Stream:
    joints = np.zeros((300, 2, 25, 3), np.float32)
    joints[:, 0] = np.random.default_rng(0).normal(scale=0.02, size=(300, 25, 3)) + np.array([0, 0, 3])
    joints[100:160, 0, 7, 1] += 1.0
    labels = np.zeros(300, np.int16)
    labels[100:160] = CLASSES.index("wave")
    return Stream(name="s", dataset="actor", subject="actor/test", source="recorded", joints=joints, labels=labels)


def test_offline_says_what_the_stages_say_one_after_the_other(stream: Stream, config: BundleConfig) -> None:
    parameters = DecodeParameters(delay=8)
    offline = decode_stream(score_windows(HandHeight(), stream, HOP), config, parameters)

    cutter, decoder = WindowCutter(WindowCutter.Config(hop=HOP)), Decoder(CLASSES, parameters)
    said: list[Decision | Event] = []
    windows: list[Window] = []
    for i, joints in enumerate(stream.joints[:, :1]):
        windows += cutter.push(
            Tracks(camera="c", t=i / 30, captured_at=0.0, seq=i, size=(1, 1), ids=(1,), joints=joints,
                   pixels=joints[..., :2], confidence=joints[..., 0])
        )  # fmt: skip
    for window in [*windows, *cutter.finish()]:
        (scores,) = score(HandHeight(), [window])
        said += decoder.push(scores, 0.0)
    online = np.concatenate([d.probabilities for d in said if isinstance(d, Decision)])
    np.testing.assert_allclose(offline.probabilities, online, atol=1e-6)
    ends = [(e.action, e.t_start, e.t_end) for e in said if isinstance(e, Event) and e.kind == "end"]
    assert offline.events == tuple(ends)
    ((action, *span),) = ends
    assert action == "wave" and span == pytest.approx([100 / 30, 160 / 30])
    np.testing.assert_array_equal(offline.decided, stream.labels)
    # It was said with the newest frame that had been seen by then.
    (start,) = [e for e in said if isinstance(e, Event) and e.kind == "start"]
    assert offline.said_s is not None and start.t > start.t_start
    assert list(offline.said_s) == pytest.approx([start.t])


@pytest.mark.parametrize("delay", [0, 5])
def test_the_short_way_to_the_events_is_the_long_one(stream: Stream, config: BundleConfig, delay: int) -> None:
    windowed = score_windows(HandHeight(), stream, HOP)
    parameters = DecodeParameters(delay=delay, temperature=2.0, min_frames=1, belief=2.0, unknown=3.2)
    decoded = decode_stream(windowed, config, parameters)
    events = events_in(looks_of(windowed, delay, 2.0), len(CLASSES), parameters)
    named = [event for event in events if event.label != -1]
    assert [(CLASSES[int(e.label)], e.start, e.end) for e in named] == list(decoded.events or ())
    assert [e.said_s for e in named] == pytest.approx(list(decoded.said_s or ()))
    assert [(e.start, e.end) for e in events if e.label == -1] == list(decoded.unknown_s)
    assert named and decoded.unknown_s


def test_the_fitted_decoder_is_right_where_that_is_possible(stream: Stream, config: BundleConfig) -> None:
    windowed = [score_windows(HandHeight(), stream, HOP)]
    fitted = fit_decoder(windowed, config, delay=4)
    assert fitted.delay == 4
    np.testing.assert_array_equal(decode_stream(windowed[0], config, fitted).decided, stream.labels)
