"""The wire: what goes in comes out, and what is no message of ours is refused."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skelstream.stream.stage import Place
from skelstream.stream.wire import (
    Bus,
    End,
    Frame,
    Inbox,
    MalformedMessage,
    Outbox,
    People,
    Publisher,
    Subscriber,
    Tracks,
    check_endpoint,
    decode,
    encode,
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


def test_without_a_listener_a_message_is_not_taken(place: Place) -> None:
    with Outbox(place.link("frames"), queue=1) as outbox:
        assert not outbox.send(frame(0), 0.0)


def test_the_bus_brings_everybody_what_they_asked_for(place: Place) -> None:
    bus = Bus(place.link("bus-in"), place.link("bus-out"))
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
