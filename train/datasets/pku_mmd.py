"""PKU-MMD I and II (Liu et al., 2017): long untrimmed recordings from Kinect v2 at 30 Hz, three cameras, 51 actions.

    skelstream data prepare pku_mmd1 RAW STORE     (pku_mmd2 likewise)

RAW holds, in any folders, the skeletons (0002-L.txt, part II A01N01-L.txt: a line a frame, 150 numbers = 2 people x 25
joints x 3 metres), the labels under the same names (a line a segment: class,start,end,confidence), and the split files
(cross-subject.txt, cross-view.txt; part II cross_subject_v2.txt, ...: a headline with "Training", the names, a headline
with "Valid", the names). Which split a recording belongs to is kept in its `setup`, as "xsub-train xview-test".
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..preparation import Item
from ..recording import Recording, Segment, labels_of

CLASSES = (
    "background", "bow", "brushing hair", "brushing teeth", "check time (from watch)", "cheer up", "clapping",
    "cross hands in front (say stop)", "drink water", "drop", "eat meal/snack", "falling",
    "giving something to other person", "hand waving", "handshaking", "hopping (one foot jumping)",
    "hugging other person", "jump up", "kicking other person", "kicking something", "make a phone call/answer phone",
    "pat on back of other person", "pickup", "playing with phone/tablet", "point finger at the other person",
    "pointing to something with finger", "punching/slapping other person", "pushing other person", "put on a hat/cap",
    "put something inside pocket", "reading", "rub two hands together", "salute", "sitting down", "standing up",
    "take off a hat/cap", "take off glasses", "take off jacket", "take out something from pocket", "taking a selfie",
    "tear up paper", "throw", "touch back (backache)", "touch chest (stomachache/heart pain)",
    "touch head (headache)", "touch neck (neckache)", "typing on a keyboard",
    "use a fan (with hand or paper)/feeling warm", "wear jacket", "wear on glasses", "wipe face", "writing",
)  # fmt: skip
_HZ = 30.0
_NUMBERS = 150
_PART_1 = re.compile(r"\d{4}-[LMR]")
_PART_2 = re.compile(r"A\d+N\d+-[LMR]")
_SPLITS = {"cross-subject": "xsub", "cross-view": "xview"}


def items_1(folder: Path) -> list[Item]:
    """The recordings of part I under `folder`, by name: each a skeleton file, its label file and the split files."""
    return _items(folder, _PART_1, "0002-L.txt")


def items_2(folder: Path) -> list[Item]:
    """The recordings of part II under `folder`, by name."""
    return _items(folder, _PART_2, "A01N01-L.txt")


def _items(folder: Path, pattern: re.Pattern[str], example: str) -> list[Item]:
    texts = sorted(folder.rglob("*.txt"))
    splits = tuple(path for path in texts if _split_of(path))
    skeletons: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for path in texts:
        if pattern.fullmatch(path.stem):
            (labels if _is_label(path) else skeletons).setdefault(path.stem, path)
    if not skeletons:
        raise ValueError(f"{folder} holds no skeletons of PKU-MMD; give the folder of {example} and so on")
    return [
        (skeleton, *([labels[name]] if name in labels else []), *splits) for name, skeleton in sorted(skeletons.items())
    ]


def _is_label(path: Path) -> bool:
    """Skeletons and labels have the same names; only labels have commas."""
    with path.open("rb") as file:
        return b"," in file.read(200)


def _split_of(path: Path) -> str:
    """The protocol whose split file this is, xsub or xview, or nothing. Part II writes cross_subject_v2.txt."""
    return _SPLITS.get(path.stem.lower().replace("_", "-").removesuffix("-v2"), "")


def read_1(item: Item) -> list[Recording]:
    """The recording of one camera of part I."""
    return [_read("pku_mmd1", item)]


def read_2(item: Item) -> list[Recording]:
    """The recording of one camera of part II."""
    return [_read("pku_mmd2", item)]


def _read(dataset: str, item: Item) -> Recording:
    skeleton, *others = item
    name, (sequence, camera) = skeleton.stem, skeleton.stem.split("-")
    label = next((path for path in others if path.stem == name), None)
    if label is None:
        raise ValueError(f"{skeleton.name} has no label file; unpack the labels beside the skeletons")
    joints = read_skeleton(skeleton)
    frames = len(joints)
    segments, mended = read_labels(label, frames)
    return Recording(
        # Who acts in a sequence is not published: the sequence stands for the person, all cameras of it together.
        name=f"{dataset}/{name}", subject=f"{dataset}/{sequence}", view=camera, setup=_setup(name, others),
        trimmed=False, times_s=np.arange(frames) / _HZ, joints=joints, labels=labels_of(segments, frames),
        segments=segments, mended=mended,
    )  # fmt: skip


def read_skeleton(path: Path) -> np.ndarray[tuple[int, int, int, int], np.dtype[np.float32]]:
    """The joints (T, 2, 25, 3) of a file; a person with an unknown joint counts as absent (zero) in that frame.

    Raises ValueError if the file is empty, or a line has not 150 numbers.
    """
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name} is empty; copy it again")
    try:
        numbers = np.loadtxt(path, np.float32, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path.name} is no readable skeleton file: {error}; copy it again") from error
    if numbers.shape[1] != _NUMBERS or not len(numbers):
        raise ValueError(f"{path.name} has {numbers.shape[1]} numbers a line instead of {_NUMBERS}; copy it again")
    joints = numbers.reshape(-1, 2, 25, 3)
    joints[~np.isfinite(joints).all(axis=(2, 3))] = 0
    return joints


def read_labels(path: Path, frames: int) -> tuple[tuple[Segment, ...], str]:
    """The segments of a recording of `frames` frames, in the order of the file, and what had to be mended in them.

    Frames count from 0. A segment that ends before it starts (part I has one, in 0043-L) has the two exchanged; one
    that ends after the recording is cut, one that starts after it left out.
    Raises ValueError if a line is not class,start,end,confidence, or the class is unknown.
    """
    segments: list[Segment] = []
    mended: list[str] = []
    for number, line in enumerate(path.read_text().split(), 1):
        try:
            kind, first, last = (int(field) for field in line.split(",")[:3])
        except ValueError:
            raise ValueError(f"{path.name}, line {number}: {line!r} is not class,start,end,confidence") from None
        if not 0 < kind < len(CLASSES) or first < 0 or last < 0:
            raise ValueError(f"{path.name}, line {number}: {line!r} has an unknown class or a negative frame")
        if last < first:
            first, last = last, first
            mended.append(f"line {number}: start and end exchanged")
        if first >= frames:
            mended.append(f"line {number}: after the last frame, left out")
            continue
        segments.append((kind, first, min(last, frames - 1)))
    return tuple(segments), "; ".join(mended)


def _setup(name: str, files: list[Path]) -> str:
    """Which part of which split a recording belongs to; splits that do not name it are left out."""
    parts = []
    for path in files:
        if split := _split_of(path):
            train, test = read_split(path)
            parts += [f"{split}-{part}" for part, names in (("train", train), ("test", test)) if name in names]
    return " ".join(parts)


def read_split(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The names that train and that test. Raises ValueError if the file lacks one of its two headlines."""
    words = re.split(r"[\s,]+", path.read_text())
    at = [i for i, word in enumerate(words) if word.lower().startswith(("train", "valid"))]
    if len(at) != 2:
        raise ValueError(f"{path.name} is no split file: it must have a headline for training and one for validation")
    return frozenset(words[at[0] + 1 : at[1]]) - _HEADLINE, frozenset(words[at[1] + 1 :]) - _HEADLINE


_HEADLINE = frozenset({"videos:", "videos", ""})
