"""Messages: what the stages tell one another, and the bytes that it travels as.

Every message is a tagged msgspec struct in MessagePack; an array travels as (dtype, shape, bytes). Nothing is ever
unpickled. A message is sound or it is none: dtype and shape of every array, lengths that must agree, numbers that must
be finite and in range, names that must be short, all are checked when it is made, and so when it arrives; nothing is
allocated by a sender's word alone, for an array is a view of the bytes that came.

Two clocks travel with every message: `t`, seconds on the camera's own clock (a file's time stamps; strictly
increasing), which decides *what* is detected, and `captured_at`, Unix seconds of the capture, which only measures
latency.

Shapes: N people, T frame (64), V joint (25), M person slot (2), K class.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .sound import (
    LATEST_S,
    LONGEST_TEXT,
    MOST_CLASSES,
    MOST_COUNTED,
    MOST_COUNTERS,
    MOST_ENDED,
    MOST_FRAMES,
    MOST_JOINTS,
    array_of,
    named,
    people_in,
    pictured,
    placed,
    require,
    shaped,
    within,
)
from .wishes import Named, Recording, RobotState, Taught, Teach, Tuned

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
EventKind = Literal["start", "update", "end"]

UNKNOWN = -1  # the label of what is none of the classes

_LANDMARKS, _JOINTS = 33, 25

replaced = msgspec.structs.replace  # a message with other values in some fields, which are checked again


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What every message of one camera carries. `seq` counts the camera's frames from 0."""

    camera: str
    t: float
    captured_at: float

    def __post_init__(self) -> None:
        named("camera", self.camera)
        within("t", self.t, -LATEST_S, LATEST_S)
        within("captured_at", self.captured_at, 0, LATEST_S)


class Frame(Message, frozen=True):
    """A picture: `image` (height, width, 3) uint8, BGR."""

    seq: int
    image: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        within("seq", self.seq, 0, MOST_COUNTED)
        array_of("B", 3, "image", self.image)
        height, width, channels = self.image.shape
        pictured((width, height))
        require(channels in (0, 3), f"an image of {channels} channels")


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

    def __post_init__(self) -> None:
        super().__post_init__()
        within("seq", self.seq, 0, MOST_COUNTED)
        pictured(self.size)
        people = people_in(self.image)
        for name, array, shape in (
            ("image", self.image, (people, _LANDMARKS, 3)), ("world", self.world, (people, _LANDMARKS, 3)),
            ("visibility", self.visibility, (people, _LANDMARKS)), ("presence", self.presence, (people, _LANDMARKS)),
        ):  # fmt: skip
            shaped(name, array, shape)


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

    def __post_init__(self) -> None:
        super().__post_init__()
        within("seq", self.seq, 0, MOST_COUNTED)
        pictured(self.size)
        people = people_in(self.joints)
        for name, array, shape in (
            ("joints", self.joints, (people, _JOINTS, 3)), ("pixels", self.pixels, (people, _JOINTS, 2)),
            ("confidence", self.confidence, (people, _JOINTS)),
        ):  # fmt: skip
            shaped(name, array, shape)
        require(len(self.ids) == people, f"{len(self.ids)} identities for {people} people")
        require(len(set(self.ids)) == people, "two people of one identity")
        require(len(self.ended) <= MOST_ENDED and not set(self.ended) & set(self.ids), "somebody left and is there")
        for track in (*self.ids, *self.ended):
            within("an identity", track, 0, MOST_COUNTED)


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

    def __post_init__(self) -> None:
        super().__post_init__()
        array_of("f", 4, "joints", self.joints)
        coords, frames, joints, slots = self.joints.shape
        fits = coords == 3 and 1 <= frames <= MOST_FRAMES and 1 <= joints <= MOST_JOINTS and 1 <= slots <= 8
        require(fits, f"a window of joints {self.joints.shape}")
        placed(self.track, self.index, self.first_tick)
        within("valid", self.valid, 1, frames)
        within("evidence", self.evidence, 0, 1)


class Scores(Message, frozen=True):
    """Class logits (F, K) of a window's newest F frames: of the ticks `first_tick` ... `first_tick + F - 1`.

    The first `F - valid` are of no frame of its own. `evidence` is the window's. `scored_at` is Unix seconds. The last
    classes are those that the detector has been taught, `taught`, behind the bundle's own.
    """

    track: int
    index: int
    first_tick: int
    valid: int
    last: bool
    logits: np.ndarray
    evidence: float
    scored_at: float
    taught: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        array_of("f", 2, "logits", self.logits)
        frames, classes = self.logits.shape
        require(len(self.taught) <= max(classes - 2, 0), f"{len(self.taught)} taught actions in {classes} classes")
        for action in self.taught:
            named("a taught action", action)
        fits = 1 <= frames <= MOST_FRAMES and 2 <= classes <= MOST_CLASSES
        require(fits, f"logits {self.logits.shape}")
        placed(self.track, self.index, self.first_tick)
        within("valid", self.valid, 1, frames)
        within("evidence", self.evidence, 0, 1)
        within("scored_at", self.scored_at, 0, LATEST_S)


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

    def __post_init__(self) -> None:
        super().__post_init__()
        array_of("f", 2, "probabilities", self.probabilities)
        frames, classes = self.probabilities.shape
        require(2 <= classes <= MOST_CLASSES, f"probabilities {self.probabilities.shape}")
        require(len(self.labels) == frames <= 2 * MOST_FRAMES, f"{len(self.labels)} labels of {frames} frames")
        placed(self.track, 0, self.first_tick)
        for label in self.labels:
            within("a label", label, UNKNOWN, classes - 1)
        within("decided_at", self.decided_at, 0, LATEST_S)


class Glimpse(Message, frozen=True):
    """What the newest window says of its newest frame: tick `tick`'s class probabilities (K,), before anything is
    decided. Told only where somebody listens: a robot that must react before it is sure, or a bar that moves at once.
    """

    track: int
    tick: int
    probabilities: np.ndarray
    evidence: float

    def __post_init__(self) -> None:
        super().__post_init__()
        array_of("f", 1, "probabilities", self.probabilities)
        require(2 <= len(self.probabilities) <= MOST_CLASSES, f"probabilities {self.probabilities.shape}")
        placed(self.track, 0, self.tick)
        within("evidence", self.evidence, 0, 1)


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

    def __post_init__(self) -> None:
        super().__post_init__()
        placed(self.track, 0, 0)
        named("action", self.action)
        within("t_start", self.t_start, -LATEST_S, LATEST_S)
        require((self.t_end is not None) == (self.kind == "end"), "only what has ended has an end")
        if self.t_end is not None:
            within("t_end", self.t_end, self.t_start, LATEST_S)
        within("confidence", self.confidence, 0, 1 + 1e-6)
        within("decided_at", self.decided_at, 0, LATEST_S)


class Preview(Message, frozen=True):
    """A small picture for people to look at: JPEG bytes of frame `seq`; `size` is the original's (width, height)."""

    seq: int
    size: tuple[int, int]
    jpeg: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        within("seq", self.seq, 0, MOST_COUNTED)
        pictured(self.size)
        require(self.jpeg[:2] == b"\xff\xd8", "a picture that is no JPEG")


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stage says how it is, twice a second and once more at its end.

    `counters` only grow (frames captured, windows dropped ...), also over a restart of the stage; `gauges` are measures
    of now (milliseconds, bytes); `histograms` count by classes (`stage.BOUNDS`), the last number of each is the sum.
    `stale`: the stage lives, but its newest frame is older than it should be.
    """

    stage: str
    pid: int
    at: float
    state: Literal["starting", "ready", "stale", "ended", "failed"]
    counters: dict[str, int]
    gauges: dict[str, float]
    histograms: dict[str, tuple[float, ...]] = {}
    message: str = ""

    def __post_init__(self) -> None:
        named("stage", self.stage)
        within("pid", self.pid, 0, MOST_COUNTED)
        within("at", self.at, 0, LATEST_S)
        require(len(self.message) <= LONGEST_TEXT, f"a message of {len(self.message)} letters")
        for values, least in ((self.counters, 0.0), (self.gauges, -LATEST_S)):
            require(len(values) <= MOST_COUNTERS, f"{len(values)} counters")
            for name, value in values.items():
                named("a counter's name", name)
                within(name, value, least, max(LATEST_S, MOST_COUNTED))
        require(len(self.histograms) <= MOST_COUNTERS, f"{len(self.histograms)} histograms")
        for name, counts in self.histograms.items():
            named("a histogram's name", name)
            require(2 <= len(counts) <= MOST_COUNTERS, f"a histogram of {len(counts)} numbers")
            for count in counts:
                within(name, count, 0, MOST_COUNTED)


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The camera gives no pictures (unplugged, unreachable, stuck), and is tried again: who was seen is no longer seen.

    `at` is the Unix time at which it was noticed, `reason` one line.
    """

    camera: str
    at: float
    reason: str

    def __post_init__(self) -> None:
        named("camera", self.camera)
        within("at", self.at, 0, LATEST_S)
        named("the reason", self.reason)


class End(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The camera's stream is over; nothing of it follows."""

    camera: str

    def __post_init__(self) -> None:
        named("camera", self.camera)


AnyMessage = (
    Frame
    | People
    | Tracks
    | Window
    | Scores
    | Decision
    | Glimpse
    | Event
    | Preview
    | Report
    | Lost
    | End
    | Named
    | Tuned
    | Recording
    | RobotState
    | Teach
    | Taught
)
# What views and viewers read.
SHOWN: tuple[type[AnyMessage], ...] = (Preview, Tracks, Decision, Event, Report, Lost, End, Named, Taught, RobotState)
