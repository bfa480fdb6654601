"""The protocol as docs/protocol.md has it: the page is what the code says, every message fits the schema, and whoever
speaks a newer protocol does no harm.
"""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
import zmq

from skelstream.stream.recording_file import MAGIC, read_file
from skelstream.stream.stage import Place
from skelstream.stream.wire import (
    KINDS,
    PROTOCOL,
    AnyMessage,
    Bus,
    End,
    Inbox,
    Lost,
    MalformedMessage,
    Publisher,
    RobotState,
    Subscriber,
    UnknownKind,
    decode,
    encode,
)
from skelstream.stream.wire.schema import json_schema, reference

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
END = End(camera="c")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A bus in a folder; its path is short, for the kernel's sake."""
    place = Place(tmp_path)
    bus = Bus(place.here("bus-in"), place.here("bus-out"))
    yield place
    bus.close()


class Stranger:
    """Somebody on the bus who has nothing but ZeroMQ and the page."""

    def __init__(self, place: Place) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._socket = context.socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.connect(place.here("bus-in"))
        self._number = 0

    def wait_for(self, kind: bytes) -> None:
        """Until somebody listens to this kind."""
        assert self._socket.poll(60_000) and self._socket.recv() == b"\x01" + kind

    def say(self, kind: bytes, message: bytes, version: int | None = PROTOCOL, more: bytes = b"") -> None:
        tag = struct.pack("<8sQ", b"stranger", self._number)
        tag += b"" if version is None else struct.pack("<H", version) + more
        self._socket.send_multipart([kind, message, tag])
        self._number += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def stranger(place: Place) -> Iterator[Stranger]:
    somebody = Stranger(place)
    yield somebody
    somebody.close()


def as_json(value: Any) -> Any:
    """What a stranger's MessagePack library makes of a message, with bytes as the text that JSON Schema knows."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return "" if isinstance(value, bytes) else value


def one_of_each() -> list[AnyMessage]:
    """A message of every kind, filled with whatever its types allow."""
    return [msgspec.convert(_filled(kind), kind, dec_hook=lambda _, value: value) for kind in KINDS.values()]


def _filled(kind: type) -> dict[str, Any]:
    """Sound values, by the names of fields: a new message whose fields have new names must be added here."""
    n, two = 2, np.zeros((2, 25, 3), np.float32)
    known: dict[str, Any] = {
        "camera": "c", "t": 1.0, "captured_at": 2.0, "seq": 1, "size": (64, 48), "ids": (1, 2), "pixels": two[..., :2],
        "confidence": 0.5, "track": 1, "index": 0, "first_tick": 3, "valid": 1, "last": False, "evidence": 0.5,
        "logits": two[0, :4, :3], "scored_at": 3.0, "labels": (0,) * n, "probabilities": two[0, :n, :3],
        "decided_at": 3.0, "tick": 4, "kind": "start", "action": "wave", "t_start": 0.5, "t_end": None,
        "jpeg": b"\xff\xd8", "stage": "pose", "pid": 1, "at": 2.0, "counters": {"frames": 3}, "gauges": {"ms": 2.0},
        "histograms": {"took_s": (1.0, 2.0)}, "reason": "why", "name": "Ann", "robot": "r", "behaviour": "nod",
        "because": "why", "reacted_ms": None, "moved_at": None,
        "points": two[0], "bones": ((0, 1),), "actions": ("wave",),
    }  # fmt: skip
    special: dict[str, dict[str, Any]] = {
        "Frame": {"image": np.zeros((48, 64, 3), np.uint8)},
        "People": {"image": np.zeros((1, 33, 3), np.float32), "world": np.zeros((1, 33, 3), np.float32),
                   "visibility": np.zeros((1, 33), np.float32), "presence": np.zeros((1, 33), np.float32)},
        "Tracks": {"joints": two, "confidence": two[..., 0], "ended": (3,)},
        "Window": {"joints": np.zeros((3, 64, 25, 2), np.float32)},
        "Glimpse": {"probabilities": two[0, 0]},
        "Report": {"state": "ready"}, "RobotState": {"state": "acting"}, "Taught": {"state": "idle"},
        "Tuned": {"actions": {"wave": 0.1}}, "Recording": {"op": "start"}, "Teach": {"op": "begin"},
    }  # fmt: skip
    here = {**known, **special.get(kind.__name__, {})}
    needed = [field.encode_name for field in msgspec.structs.fields(kind)]
    return {"type": kind.__name__, **{name: here[name] for name in needed if name in here}}


def test_the_page_is_what_the_code_says() -> None:
    """If it is not: sed -i '/<!-- from here on/q' docs/protocol.md && skelstream protocol >> docs/protocol.md"""
    assert PAGE.read_text().endswith(f"<!-- from here on: skelstream protocol -->\n{reference()}\n")
    assert f"**version {PROTOCOL}** of the protocol" in PAGE.read_text()


@pytest.mark.parametrize("message", one_of_each(), ids=lambda message: type(message).__name__)
def test_every_message_fits_its_schema(message: AnyMessage) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    fields = as_json(msgspec.msgpack.decode(encode(message)))
    validator.validate(fields)
    for name in fields:  # and it would notice
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({**fields, name: {"nothing": "of that kind"} if name != "actions" else 1})


def test_the_command_prints_the_schema() -> None:
    ask = [sys.executable, "-m", "skelstream", "protocol", "--json"]
    done = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(json_schema()))


@pytest.mark.parametrize("message", one_of_each(), ids=lambda message: type(message).__name__)
def test_fields_of_a_newer_peer_are_ignored(message: AnyMessage) -> None:
    fields = msgspec.msgpack.decode(encode(message))
    newer = msgspec.msgpack.encode({"mood": ["happy", {"very": 1.0}], **fields, "shoe_size": 42, "data": b"\x00" * 99})
    assert encode(decode(newer)) == encode(message)


def test_kinds_of_a_newer_peer_are_passed_over_and_cost_nothing(place: Place, stranger: Stranger) -> None:
    """Also one whose name begins as that of a kind which is listened to, for that is how ZeroMQ subscribes."""
    with Subscriber(place.here("bus-out"), (End,)) as feed:
        stranger.wait_for(b"End")
        stranger.say(b"Ending", msgspec.msgpack.encode({"type": "Ending", "camera": "c"}))
        stranger.say(b"End", encode(END), more=b"whatever a newer tag may hold")
        assert feed.receive(5.0) == END
        assert feed.malformed == feed.missed == 0 and not feed.foreign


@pytest.mark.parametrize("version", [None, 0, PROTOCOL + 1])
def test_another_version_is_not_read_and_said_in_a_line(place: Place, stranger: Stranger, version: int | None) -> None:
    with Subscriber(place.here("bus-out"), (End,)) as feed:
        stranger.wait_for(b"End")
        stranger.say(b"End", b"\xc1 nothing that anybody could read", version)
        stranger.say(b"End", encode(END))
        assert feed.receive(5.0) == END and (feed.unread, feed.malformed) == (1, 0)
        assert f"speaks version {version or 0} of the protocol" in feed.foreign and "\n" not in feed.foreign


def test_what_is_not_what_it_is_called_is_malformed(place: Place, stranger: Stranger) -> None:
    with Subscriber(place.here("bus-out"), (End,)) as feed:
        stranger.wait_for(b"End")
        stranger.say(b"End", encode(Lost(camera="c", at=1.0, reason="why")))
        stranger.say(b"End", encode(END), more=b"x" * 1000)
        stranger._socket.send_multipart([b"End", encode(END)])
        stranger.say(b"End", encode(END))
        assert feed.receive(5.0) == END and feed.malformed == 3


def test_a_stage_tells_its_keeper_of_another_version_once(place: Place, stranger: Stranger, tmp_path: Path) -> None:
    """A recorder, as a process, beside somebody who speaks another version; it goes on recording what it knows."""
    command = [sys.executable, "-m", "skelstream", "record", "walk.skel", "--at", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as recorder:
        try:
            stranger.wait_for(b"Tracks")
            for _ in range(3):
                stranger.say(b"Tracks", b"", PROTOCOL + 1)
            assert recorder.stderr is not None
            line = recorder.stderr.readline()
            assert f"version {PROTOCOL + 1} of the protocol" in line and "install the same skelstream" in line
            stranger.say(b"End", encode(END))
            written = tmp_path / "walk.skel.part"
            until = time.monotonic() + 20
            while encode(END) not in written.read_bytes():
                assert time.monotonic() < until, "it has stopped recording"
                time.sleep(0.05)
        finally:
            recorder.terminate()
        assert not recorder.stderr.read() and recorder.wait(20) == 0


def test_a_link_passes_over_kinds_of_a_newer_peer(place: Place) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    with Inbox(place.here("windows"), queue=4, bind=True) as inbox, context.socket(zmq.PUSH) as peer:
        peer.linger = 0
        peer.connect(place.here("windows"))
        peer.send(msgspec.msgpack.encode({"type": "Cloud", "points": 1}))
        peer.send(encode(END))
        assert inbox.receive(5.0) == END and inbox.malformed == 0


def test_a_recording_of_a_newer_skelstream_can_be_read(tmp_path: Path) -> None:
    def framed(data: bytes) -> bytes:
        return struct.pack("<II", len(data), zlib.crc32(data)) + data

    path = tmp_path / "walk.skel"
    newer = msgspec.msgpack.encode({"type": "Mood", "camera": "c"})
    more = msgspec.msgpack.encode({"type": "End", "camera": "d", "mood": 1})
    path.write_bytes(MAGIC + b"".join(map(framed, (encode(END), newer, more))))
    assert list(read_file(path)) == [END, End(camera="d")]
    path.write_bytes(MAGIC + framed(encode(END)) + framed(msgspec.msgpack.encode({"type": "End"})))
    with pytest.raises(ValueError, match="damaged"):
        list(read_file(path))


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x91" * 5000, msgspec.msgpack.encode({"type": 3}), msgspec.msgpack.encode({"type": "a b"}),
             msgspec.msgpack.encode({"type": "End"}), msgspec.msgpack.encode({"type": ""})],
)  # fmt: skip
def test_rubbish_is_no_newer_kind(data: bytes) -> None:
    with pytest.raises(MalformedMessage) as refusal:
        decode(data)
    assert not isinstance(refusal.value, UnknownKind)


def test_the_tag_is_as_the_page_has_it(place: Place) -> None:
    listener: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    listener.linger = 0
    listener.connect(place.here("bus-out"))
    listener.subscribe(b"RobotState")
    state = RobotState(
        robot="r", at=1.0, state="ready", behaviour="", because="", camera="", track=None, reacted_ms=None,
        moved_at=None,
        points=np.arange(6, dtype=np.float32).reshape(2, 3), bones=((0, 1),),
    )  # fmt: skip
    with Publisher(place.here("bus-in")) as publisher:
        until = time.monotonic() + 5
        while not publisher.wanted(RobotState):
            assert time.monotonic() < until
        tags = []
        for _ in range(2):
            publisher.publish(state)
            assert listener.poll(5000)
            kind, message, tag = listener.recv_multipart()
            assert kind == b"RobotState"
            fields = msgspec.msgpack.decode(message)
            assert fields["points"] == ["f", [2, 3], struct.pack("<6f", *range(6))]
            assert math.isclose(fields["at"], 1.0) and fields["track"] is None
            tags.append(tag)
    listener.close()
    assert tags[0][:8] == tags[1][:8]
    assert [int.from_bytes(tag[8:16], "little") for tag in tags] == [0, 1]
    assert [int.from_bytes(tag[16:18], "little") for tag in tags] == [PROTOCOL, PROTOCOL]
