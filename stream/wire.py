"""Messages and the sockets that carry them: the only file that imports zmq or msgspec.

Every message is a tagged msgspec struct in MessagePack; an array travels as (dtype, shape, bytes) and is checked on
arrival: the dtype is one of three, the shape agrees with the length, the numbers are finite. Nothing is ever unpickled.

Two clocks travel with every message: `t`, seconds on the camera's own clock (a file's time stamps; strictly
increasing), which decides *what* is detected, and `captured_at`, Unix seconds of the capture, which only measures
latency.

Shapes: N people, T frame (64), V joint (25), M person slot (2), K class.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
EventKind = Literal["start", "update", "end"]

UNKNOWN = -1  # the label of what is none of the classes

MAX_MESSAGE_BYTES = 64 << 20  # a 4K BGR frame is 25 MB; anything larger is no message of ours
_DTYPES: dict[str, np.dtype[Any]] = {"f": np.dtype("<f4"), "d": np.dtype("<f8"), "B": np.dtype("|u1")}


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What every message of one camera carries. `seq` counts the camera's frames from 0."""

    camera: str
    t: float
    captured_at: float


class Frame(Message, frozen=True):
    """A picture: `image` (height, width, 3) uint8, BGR."""

    seq: int
    image: np.ndarray


class People(Message, frozen=True):
    """The people found in one frame, as BlazePose's 33 landmarks.

    `image` (N, 33, 3): x right and y down in pixels, z in about the same scale, smaller is nearer. `world` (N, 33, 3):
    metres, the origin between the hips, x right, y down, z away from the camera. `visibility` (N, 33) in 0..1 is how
    sure it is that nothing hides a landmark, `presence` (N, 33) that it is in the picture at all: MediaPipe invents the
    rest of a body. `size` is the picture's (width, height) in pixels.
    """

    seq: int
    size: tuple[int, int]
    image: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray


class Tracks(Message, frozen=True):
    """The same people, each with an identity, as NTU RGB+D's 25 joints.

    `joints` (N, 25, 3) metres in Kinect camera space (y up, z away); `pixels` (N, 25, 2); `confidence` (N, 25) in 0..1.
    A joint that was not seen is exactly zero in `joints`, and so is its confidence. `ended` are the identities that
    have left: what they did is over. One that is seen again within seconds bears its old number, and begins anew.
    """

    seq: int
    size: tuple[int, int]
    ids: tuple[int, ...]
    joints: np.ndarray
    pixels: np.ndarray
    confidence: np.ndarray
    ended: tuple[int, ...] = ()


class Window(Message, frozen=True):
    """The last 64 frames of one person on the 30 Hz clock, ready for an engine.

    `joints` (3, 64, 25, 2): the person in slot 0, whoever is close by in slot 1 (else zeros). Column i is clock tick
    `first_tick + i`; tick n is the time n / hz on the camera's clock. The first `64 - valid` columns repeat the oldest
    known frame: the person was not seen yet. `index` counts this person's windows from 0; after the `last` none comes.
    A joint that was not seen is exactly zero; `evidence` in 0..1 is how much of the person's last second was seen.
    """

    track: int
    index: int
    first_tick: int
    valid: int
    last: bool
    joints: np.ndarray
    evidence: float


class Scores(Message, frozen=True):
    """Class logits (F, K) of a window's newest F frames: of the ticks `first_tick` ... `first_tick + F - 1`.

    The first `F - valid` are of no frame of its own. `evidence` is the window's. `scored_at` is Unix seconds.
    """

    track: int
    index: int
    first_tick: int
    valid: int
    last: bool
    logits: np.ndarray
    evidence: float
    scored_at: float


class Decision(Message, frozen=True):
    """The final word on a run of frames of one person: ticks `first_tick` ... with their probabilities (n, K).

    `labels[i]` is the class of tick `first_tick + i` as decided; class 0 is the background, and `UNKNOWN` (-1) what is
    outside the vocabulary or of which too little was seen. `captured_at` is that of the newest frame that the decision
    rests on, `decided_at` the moment it fell (both Unix seconds).
    """

    track: int
    first_tick: int
    labels: tuple[int, ...]
    probabilities: np.ndarray
    decided_at: float


class Event(Message, frozen=True):
    """An action of one person starts, goes on, or has ended. Times on the camera's clock, in seconds.

    `action` is a class of the bundle, or "unknown" for what is none of them. `captured_at` is that of the newest frame
    that the event rests on; `decided_at` minus it is the latency.
    """

    kind: EventKind
    track: int
    action: str
    t_start: float
    t_end: float | None
    confidence: float
    decided_at: float


class Preview(Message, frozen=True):
    """A small picture for people to look at: JPEG bytes of frame `seq`; `size` is the original's (width, height)."""

    seq: int
    size: tuple[int, int]
    jpeg: bytes


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stage says how it is, twice a second and once more at its end.

    `counters` only grow (frames captured, windows dropped ...); `gauges` are measures of now (milliseconds, bytes).
    """

    stage: str
    pid: int
    at: float
    state: Literal["starting", "ready", "ended", "failed"]
    counters: dict[str, int]
    gauges: dict[str, float]
    message: str = ""


class End(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The camera's stream is over; nothing of it follows."""

    camera: str


AnyMessage = Frame | People | Tracks | Window | Scores | Decision | Event | Preview | Report | End


class MalformedMessage(ValueError):
    """Bytes that are no message of ours, or one whose fields contradict each other."""


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.char not in _DTYPES:
            raise TypeError(f"arrays on the wire are float32, float64 or uint8, not {value.dtype}")
        return (value.dtype.char, value.shape, np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    raise TypeError(f"cannot send a {type(value).__name__}")


def _decode_array(expected: type, value: Any) -> Any:
    if expected is not np.ndarray:
        raise TypeError(f"cannot receive a {expected}")
    char, shape, data = value
    dtype = _DTYPES[char]
    if any(n < 0 for n in shape) or len(shape) > 5 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} in {len(data)} bytes")
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("an array with numbers that are not finite")
    return array


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array)
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage, dec_hook=_decode_array)


def encode(message: AnyMessage) -> bytes:
    """The message as MessagePack bytes."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview) -> AnyMessage:
    """The message in these bytes; `MalformedMessage` says what is wrong with them. Arrays are read-only views."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise MalformedMessage(f"not a message of ours: {error}") from error


def _parts(message: AnyMessage) -> list[bytes | memoryview]:
    """What goes over a link. A frame's picture travels beside its message, so that megabytes are not copied twice."""
    if not isinstance(message, Frame):
        return [encode(message)]
    image = np.ascontiguousarray(message.image)
    # An image of no channels carries the height and the width.
    return [encode(msgspec.structs.replace(message, image=image[..., :0])), image.data.cast("B")]


def _joined(parts: Sequence[memoryview]) -> AnyMessage:
    """The message that came in these parts; `MalformedMessage` if they do not fit together."""
    message = decode(parts[0])
    if not isinstance(message, Frame) and len(parts) == 1:
        return message
    if not isinstance(message, Frame) or len(parts) != 2 or message.image.ndim != 3:
        raise MalformedMessage(f"{len(parts)} parts that are no frame")
    height, width = message.image.shape[:2]
    if len(parts[1]) != height * width * 3:
        raise MalformedMessage(f"a picture of {width}x{height} in {len(parts[1])} bytes")
    image = np.frombuffer(parts[1], np.uint8).reshape(height, width, 3)
    return msgspec.structs.replace(message, image=image)


# --- sockets ---------------------------------------------------------------------------------------------------------


def check_endpoint(endpoint: str) -> str:
    """The endpoint, if a plain socket may use it: ipc, or tcp on the loopback interface.

    Raises ValueError for any other: whoever can reach a plain socket may read it and write to it.
    """
    local = endpoint.startswith(("ipc://", "inproc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"))
    if not local:
        raise ValueError(
            f"{endpoint} reaches beyond this machine, and plain sockets must not; use ipc:// or tcp://127.0.0.1"
        )
    return endpoint


class _Socket:
    """A ZeroMQ socket with bounded queues that never delays the exit."""

    def __init__(self, kind: int, endpoint: str, *, bind: bool, queue: int) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, queue)
        self._socket.setsockopt(zmq.RCVHWM, queue)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        try:
            (self._socket.bind if bind else self._socket.connect)(check_endpoint(endpoint))
        except zmq.ZMQError as error:
            self._socket.close()
            raise ValueError(f"cannot use {endpoint}: {error}; is another skelstream running there?") from error
        self.malformed = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, timeout_s: float, flag: int = zmq.POLLIN) -> bool:
        return bool(self._socket.poll(max(int(timeout_s * 1000), 0), flag))


class _Sender(_Socket):
    """The sending end of a link between two stages."""

    def send(self, message: AnyMessage, timeout_s: float) -> bool:
        """Hand the message on, waiting up to `timeout_s` for room; False if there was none (or nobody listens)."""
        if not self._wait(timeout_s, zmq.POLLOUT):
            return False
        try:
            self._socket.send_multipart(_parts(message), zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True


class Outbox(_Sender):
    """A sender that binds; one or more inboxes connect and share what is sent."""

    def __init__(self, endpoint: str, *, queue: int) -> None:
        super().__init__(zmq.PUSH, endpoint, bind=True, queue=queue)


class Feeder(_Sender):
    """A sender that connects to an inbox that was bound: many cameras feed one detector."""

    def __init__(self, endpoint: str, *, queue: int) -> None:
        super().__init__(zmq.PUSH, endpoint, bind=False, queue=queue)


class Inbox(_Socket):
    """The receiving end of a link. Malformed messages are counted and passed over."""

    def __init__(self, endpoint: str, *, queue: int, bind: bool = False) -> None:
        super().__init__(zmq.PULL, endpoint, bind=bind, queue=queue)

    def receive(self, timeout_s: float) -> AnyMessage | None:
        """The next message, or None after `timeout_s`."""
        while self._wait(timeout_s):
            try:
                return _joined([part.buffer for part in self._socket.recv_multipart(zmq.NOBLOCK, copy=False)])
            except MalformedMessage:
                self.malformed += 1
        return None

    def receive_newest(self, timeout_s: float) -> tuple[AnyMessage | None, int]:
        """The newest message that is there, and how many older frames were passed over for it.

        Only frames are passed over: an `End` is never lost.
        """
        message, skipped = self.receive(timeout_s), 0
        while isinstance(message, Frame) and self._wait(0):
            newer = self.receive(0)
            if newer is None:
                break
            message, skipped = newer, skipped + 1
        return message, skipped


class Publisher(_Socket):
    """Tells the bus. Publishing never waits; what a slow listener cannot take is lost to that listener alone."""

    def __init__(self, endpoint: str, *, queue: int = 256) -> None:
        super().__init__(zmq.XPUB, endpoint, bind=False, queue=queue)
        self._wanted: set[bytes] = set()

    def publish(self, message: AnyMessage) -> None:
        """Publish under the message's type name."""
        self._socket.send_multipart([type(message).__name__.encode(), encode(message)])

    def wanted(self, kind: type[AnyMessage]) -> bool:
        """Whether somebody on the bus listens to this kind: pictures need not be made for nobody."""
        while self._wait(0):
            note = self._socket.recv(zmq.NOBLOCK)
            (self._wanted.add if note[:1] == b"\x01" else self._wanted.discard)(note[1:])
        return kind.__name__.encode() in self._wanted


class Subscriber(_Socket):
    """Listens to some kinds of message on the bus. It hears what comes after the subscription has arrived there."""

    def __init__(self, endpoint: str, kinds: Sequence[type[AnyMessage]], *, queue: int = 4096) -> None:
        super().__init__(zmq.SUB, endpoint, bind=False, queue=queue)
        for kind in kinds:
            self._socket.setsockopt(zmq.SUBSCRIBE, kind.__name__.encode())

    def receive(self, timeout_s: float) -> AnyMessage | None:
        """The next message, or None after `timeout_s`."""
        while self._wait(timeout_s):
            parts = self._socket.recv_multipart(zmq.NOBLOCK)
            try:
                if len(parts) == 2:
                    return decode(parts[1])
            except MalformedMessage:
                pass
            self.malformed += 1
        return None


class Bus:
    """Everybody publishes to `inlet`, everybody listens on `outlet`: one meeting point, in a thread of its own."""

    def __init__(self, inlet: str, outlet: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._inlet = self._context.socket(zmq.XSUB)
        self._outlet = self._context.socket(zmq.XPUB)
        for socket, endpoint in ((self._inlet, inlet), (self._outlet, outlet)):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
            try:
                socket.bind(check_endpoint(endpoint))
            except zmq.ZMQError as error:
                self._context.destroy(linger=0)
                raise ValueError(f"cannot use {endpoint}: {error}; is another skelstream running there?") from error
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # Returns when the context is terminated under it, which is how it is stopped.
        with contextlib.suppress(zmq.ContextTerminated, zmq.ZMQError):
            zmq.proxy(self._inlet, self._outlet)
        self._inlet.close()
        self._outlet.close()

    def close(self) -> None:
        self._context.term()
        self._thread.join(1.0)


class WorkServer(_Socket):
    """Hands windows to whichever detectors say that they are free, and takes their scores back.

    A detector that has gone away is noticed by the caller (its work does not come back) or on sending to it.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.ROUTER, endpoint, bind=True, queue=64)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)

    def receive(self, timeout_s: float) -> tuple[bytes, list[Scores]] | None:
        """(detector, its scores; none if it only says that it is free), or None after `timeout_s`."""
        while self._wait(timeout_s):
            worker, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            try:
                scores = [decode(part) for part in parts if part]
            except MalformedMessage:
                self.malformed += 1
                continue
            return worker, [message for message in scores if isinstance(message, Scores)]
        return None

    def send(self, worker: bytes, windows: Sequence[Window]) -> bool:
        """Give windows to a detector; False if it is not there any more."""
        try:
            self._socket.send_multipart([worker, *(encode(window) for window in windows)], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True


class Worker(_Socket):
    """A detector's end: says that it is free, gets windows, returns scores."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.DEALER, endpoint, bind=False, queue=64)

    def free(self) -> None:
        """Say (again) that windows are welcome."""
        self.give([])

    def give(self, scores: Sequence[Scores]) -> None:
        """Return scores, and with that say that the next windows are welcome."""
        if self._wait(0, zmq.POLLOUT):
            self._socket.send_multipart([encode(message) for message in scores] or [b""], zmq.NOBLOCK)

    def take(self, timeout_s: float) -> list[Window]:
        """The windows to score next; empty after `timeout_s`."""
        if not self._wait(timeout_s):
            return []
        try:
            messages = [decode(part) for part in self._socket.recv_multipart(zmq.NOBLOCK)]
        except MalformedMessage:
            self.malformed += 1
            return []
        return [message for message in messages if isinstance(message, Window)]


def wait_any(sockets: Sequence[_Socket], timeout_s: float) -> None:
    """Wait until one of the sockets has something to receive, or for `timeout_s`."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket._socket, zmq.POLLIN)
    poller.poll(int(timeout_s * 1000))
