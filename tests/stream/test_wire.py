"""The wire: what goes in comes out, and what is no message of ours is refused."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skelstream.stream.stage import Place, resident_mb
from skelstream.stream.wire import (
    AnyMessage,
    Bus,
    Decision,
    End,
    Event,
    Frame,
    Inbox,
    Lost,
    MalformedMessage,
    Outbox,
    People,
    Preview,
    Publisher,
    Report,
    Scores,
    Subscriber,
    Tracks,
    Window,
    check_endpoint,
    decode,
    encode,
    replaced,
)


def people(image: np.ndarray) -> People:
    return People(
        camera="c", t=1.5, captured_at=2.5, seq=3, size=(640, 480), image=image, world=image,
        visibility=np.ones(image.shape[:2], np.float32), presence=np.ones(image.shape[:2], np.float32),
    )  # fmt: skip


@given(arrays.arrays(np.float32, (2, 33, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_a_message_survives_the_wire(image: np.ndarray) -> None:
    sent = people(image)
    received = decode(encode(sent))
    assert isinstance(received, People)
    np.testing.assert_array_equal(received.image, image)
    assert (received.camera, received.t, received.seq, received.size) == ("c", 1.5, 3, (640, 480))


@settings(max_examples=300)
@given(st.data())
def test_damaged_bytes_are_refused_or_decode_to_a_sound_message(data: st.DataObject) -> None:
    whole = bytearray(encode(people(np.ones((1, 33, 3), np.float32))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        message = decode(damaged)
    except MalformedMessage:
        return
    if isinstance(message, People):
        assert np.isfinite(message.image).all()


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(noise)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(MalformedMessage, match="finite"):
        decode(encode(people(np.full((1, 33, 3), bad, np.float32))))


def test_a_shape_that_disagrees_with_its_bytes_is_refused_before_anything_is_allocated() -> None:
    data = encode(people(np.zeros((1, 33, 3), np.float32)))
    # (1, 33, 3) in MessagePack is 0x93 1 33 3; claim 2**31 people instead.
    forged = data.replace(b"\x93\x01\x21\x03", b"\x93\xce\x7f\xff\xff\xff\x21\x03", 1)
    assert forged != data
    with pytest.raises(MalformedMessage):
        decode(forged)


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.168.1.4:5555", "udp://x:1"])
def test_plain_sockets_stay_on_this_machine(endpoint: str) -> None:
    with pytest.raises(ValueError, match="beyond this machine"):
        check_endpoint(endpoint)


@pytest.fixture
def place() -> Place:
    return Place(Path(tempfile.mkdtemp(prefix="skel-")))


def frame(seq: int) -> Frame:
    return Frame(camera="c", t=float(seq), captured_at=0.0, seq=seq, image=np.full((4, 4, 3), seq, np.uint8))


def test_a_link_delivers_in_order_and_the_newest_frame_wins_when_asked(place: Place) -> None:
    with Outbox(place.link("frames"), queue=16) as outbox, Inbox(place.link("frames"), queue=16) as inbox:
        assert all(outbox.send(frame(i), 2.0) for i in range(5))
        first = inbox.receive(2.0)
        assert isinstance(first, Frame) and first.seq == 0
        received = [first]
        while received[-1].seq < 4:
            message, skipped = inbox.receive_newest(2.0)
            assert isinstance(message, Frame) and message.seq == received[-1].seq + skipped + 1
            received.append(message)
        assert outbox.send(frame(9), 2.0) and outbox.send(End(camera="c"), 2.0)
        seen = [inbox.receive_newest(2.0)[0] for _ in range(1)]
        while not isinstance(seen[-1], End):
            seen.append(inbox.receive_newest(2.0)[0])
        assert isinstance(seen[-1], End)


def test_of_too_many_that_wait_the_oldest_goes_and_the_rest_arrives_in_order(place: Place) -> None:
    sent: list[int] = []
    with Outbox(place.link("tracks"), queue=4, count=sent.append) as outbox:
        offered = [outbox.offer(frame(i)) for i in range(10)]  # nobody listens
        dropped = [message.seq for message in offered if isinstance(message, Frame)]
        assert dropped == [0, 1, 2, 3, 4, 5] and outbox.waits() and not sent
        with Inbox(place.link("tracks"), queue=1) as inbox:
            received: list[int] = []
            deadline = time.monotonic() + 5.0
            while len(received) < 4:
                assert time.monotonic() < deadline
                outbox.flush()
                if isinstance(message := inbox.receive(0.05), Frame):
                    received.append(message.seq)
            assert received == [6, 7, 8, 9] and not outbox.waits() and sum(sent) == 4
            assert outbox.send(End(camera="c"), 2.0) and sum(sent) == 4  # which is no frame


def test_without_a_listener_a_message_is_not_taken(place: Place) -> None:
    with Outbox(place.link("frames"), queue=1) as outbox:
        assert not outbox.send(frame(0), 0.0)


def test_the_bus_brings_everybody_what_they_asked_for(place: Place) -> None:
    bus = Bus(place.here("bus-in"), place.here("bus-out"))
    try:
        with (
            Publisher(place.link("bus-in")) as publisher,
            Subscriber(place.link("bus-out"), (End,)) as ends,
            Subscriber(place.link("bus-out"), (Tracks, End)) as both,
        ):
            while not (publisher.wanted(Tracks) and publisher.wanted(End)):
                pass
            empty = np.zeros((0, 25, 3), np.float32)
            publisher.publish(
                Tracks(camera="c", t=0.0, captured_at=0.0, seq=0, size=(1, 1), ids=(), joints=empty,
                       pixels=empty[..., :2], confidence=empty[..., 0])
            )  # fmt: skip
            publisher.publish(End(camera="c"))
            assert isinstance(ends.receive(2.0), End)
            assert isinstance(both.receive(2.0), Tracks) and isinstance(both.receive(2.0), End)
            assert not publisher.wanted(Frame)
    finally:
        bus.close()


def test_a_listener_that_has_stalled_delays_nobody_and_knows_what_it_missed(place: Place) -> None:
    """Pictures of 40 kB to two listeners, of whom one takes nothing for a while."""
    bus = Bus(place.here("bus-in"), place.here("bus-out"))
    picture = b"\xff\xd8" + bytes(40_000)

    def preview(seq: int) -> Preview:
        return Preview(camera="c", t=float(seq), captured_at=time.time(), seq=seq, size=(640, 480), jpeg=picture)

    try:
        with (
            Publisher(place.link("bus-in")) as publisher,
            Subscriber(place.link("bus-out"), (Preview,)) as awake,
            Subscriber(place.link("bus-out"), (Preview, End)) as stalled,
        ):
            while not (publisher.wanted(Preview) and publisher.wanted(End)):
                pass
            before, slowest = resident_mb(), 0.0
            for seq in range(4000):
                publisher.publish(preview(seq))
                received = awake.receive(2.0)
                assert isinstance(received, Preview) and received.seq == seq
                slowest = max(slowest, time.time() - received.captured_at)
            assert awake.missed == 0 and slowest < 1.0
            assert resident_mb() - before < 160  # the queues of this listener, in the bus and here, and no more
            heard = 0
            while isinstance(stalled.receive(0.2), Preview):
                heard += 1
            publisher.publish(preview(4000))
            assert isinstance(last := stalled.receive(2.0), Preview) and last.seq == 4000
            assert 0 < heard < 4000 and stalled.missed == 4000 - heard
    finally:
        bus.close()


def test_a_place_in_use_is_said_in_one_line(place: Place) -> None:
    with Inbox(f"tcp://127.0.0.1:{_port()}", queue=1, bind=True) as inbox:
        taken = inbox._socket.getsockopt_string(32)  # LAST_ENDPOINT
        with pytest.raises(ValueError, match="cannot use"):
            Inbox(taken.rstrip("\0"), queue=1, bind=True)


def _port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- fuzzing: whatever arrives, a stage sees a sound message or none ------------------------------------------------


def one_of_each() -> list[AnyMessage]:
    two = np.zeros((2, 25, 3), np.float32)
    here: dict[str, Any] = {"camera": "c", "t": 1.0, "captured_at": 2.0}
    joints = np.zeros((3, 64, 25, 2), np.float32)
    return [
        frame(1), people(np.zeros((2, 33, 3), np.float32)),
        Tracks(**here, seq=1, size=(640, 480), ids=(1, 2), joints=two, pixels=two[..., :2], confidence=two[..., 0]),
        Window(**here, track=1, index=2, first_tick=3, valid=4, last=False, joints=joints, evidence=0.5),
        Scores(
            **here, track=1, index=2, first_tick=3, valid=4, last=False, logits=joints[0, :8, :3, 0], evidence=0.5,
            scored_at=3.0,
        ),
        Decision(**here, track=1, first_tick=3, labels=(0, -1), probabilities=joints[0, :2, :3, 0], decided_at=3.0),
        Event(
            **here, kind="end", track=1, action="wave", t_start=0.5, t_end=1.0, confidence=0.5, decided_at=3.0
        ),
        Preview(**here, seq=1, size=(640, 480), jpeg=b"\xff\xd8\xff"),
        Report(stage="pose", pid=1, at=2.0, state="ready", counters={"frames": 3}, gauges={"pose_ms": 2.0},
               histograms={"latency_s": (1.0, 0.0, 2.5)}),
        Lost(camera="c", at=1.0, reason="it gives no pictures"),
        End(camera="c"),
    ]  # fmt: skip


def sound(message: AnyMessage) -> None:
    """What every stage relies on."""
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert np.isfinite(value).all()
        if isinstance(value, float):
            assert np.isfinite(value)
    if isinstance(message, Tracks):
        assert message.joints.shape == (len(message.ids), 25, 3) == (*message.confidence.shape, 3)
        assert message.pixels.shape == (len(message.ids), 25, 2)
    elif isinstance(message, People):
        assert message.image.shape == message.world.shape == (len(message.image), 33, 3)
        assert message.visibility.shape == message.presence.shape == (len(message.image), 33)
    elif isinstance(message, Window):
        assert message.joints.dtype == np.float32 and message.joints.shape[0] == 3
        assert 1 <= message.valid <= message.joints.shape[1]
    elif isinstance(message, Scores):
        assert message.logits.ndim == 2 and 1 <= message.valid <= len(message.logits)
    elif isinstance(message, Decision):
        assert len(message.labels) == len(message.probabilities)
        assert all(-1 <= label < message.probabilities.shape[1] for label in message.labels)
    elif isinstance(message, Event):
        assert (message.t_end is not None) == (message.kind == "end")


# Values that have broken parsers before, in MessagePack: huge lengths, negative and huge numbers, NaN, nil, deep nests.
_NASTY = [
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    b"\xc0", b"\xc1", b"\x91" * 2000, b"\xa0", b"\xff", b"\xc7\xff\x01", b"\x00", b"\xc3",
]  # fmt: skip


def fuzzed(wholes: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A message with some of its bytes changed, cut out, doubled, or replaced by something nasty."""
    data = bytearray(wholes[int(rng.integers(len(wholes)))])
    # The head of a message is where its structure is; a window's joints are 38 kB of numbers.
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(min(len(data), 200) or 1)) if rng.random() < 0.9 else int(rng.integers(len(data) or 1))
        what, many = rng.integers(5), int(rng.integers(1, 9))
        if what == 0:
            data[at : at + 1] = bytes([rng.integers(256)])
        elif what == 1:
            del data[at : at + many]
        elif what == 2:
            data[at:at] = data[at : at + many]
        elif what == 3:
            nasty = _NASTY[rng.integers(len(_NASTY))]
            data[at : at + (len(nasty) if rng.random() < 0.5 else 1)] = nasty
        else:
            other = wholes[int(rng.integers(len(wholes)))]
            data[at : at + many] = other[at : at + many]
    return bytes(data)


def fuzz(times: int, seed: int) -> int:
    """How many of so many fuzzed messages were taken; whatever is taken is sound."""
    rng, taken = np.random.default_rng(seed), 0
    wholes = [encode(message) for message in one_of_each()]
    for _ in range(times):
        try:
            message = decode(fuzzed(wholes, rng))
        except MalformedMessage:
            continue
        taken += 1
        sound(message)
    return taken


def test_fuzzed_messages_are_sound_or_refused() -> None:
    # Most changes break a message; a changed number or letter may not.
    assert 0 < fuzz(20_000, 0) < 10_000


@pytest.mark.slow
def test_a_million_fuzzed_messages_leave_no_trace() -> None:
    fuzz(20_000, 1)
    before = resident_mb()
    fuzz(1_000_000, 2)
    assert resident_mb() - before < 20


@pytest.mark.parametrize("message", one_of_each(), ids=lambda message: type(message).__name__)
def test_no_field_can_be_nonsense(message: AnyMessage) -> None:
    assert decode(encode(message)) is not None
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            nonsense: list[object] = [float("nan"), 1e300, 2**63] if isinstance(value, float) else [-(2**62), 2**62]
        elif isinstance(value, str):
            nonsense = ["x" * 100_000] if name == "message" else ["", "x" * 10_000, "a\x1b[2J", "\0"]
        elif isinstance(value, np.ndarray):
            nonsense = [value[None], value.astype(np.float64), value.reshape(-1), np.full_like(value, 1)[:0, :0]]
        elif isinstance(value, dict):
            nonsense = [{"x" * 10_000: 1}, {f"{n}": 1 for n in range(1000)}]
        elif name == "size":
            nonsense = [(0, 1), (1, 0), (10**6, 10**6), (-1, -1)]
        else:
            continue
        for bad in nonsense:
            with pytest.raises((ValueError, TypeError, OverflowError)):
                decode(encode(replaced(message, **{name: bad})))
