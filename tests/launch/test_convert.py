"""A recording in the formats of others, read back by their own readers where they install."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.layout import NTU25
from skelstream.launch.cli import main
from skelstream.stream.actor import Script
from skelstream.stream.record import KINDS, Recorder
from skelstream.stream.recording_file import frame
from skelstream.stream.segments import Limits
from skelstream.stream.wire import AnyMessage, Decision, End, Event, Lost, Named, RobotState, Taught, Tracks

CLASSES = Bundle.load("small").config.classes
WAVE, WALK = CLASSES.index("wave"), CLASSES.index("walk")
BEGAN = 1.7e9  # when the kitchen's camera was switched on
LATER = BEGAN + 40.0  # and again
HALL = BEGAN + 5.0


def tracks(camera: str, began: float, seq: int, track: int, ended: tuple[int, ...] = ()) -> Tracks:
    joints = Script(seed=3, duration_s=4).pose(seq / 30).astype(np.float32)
    confidence = np.ones(25, np.float32)
    confidence[7], joints[7] = 0, 0  # a hand that was not seen
    return Tracks(
        camera=camera, t=seq / 30, captured_at=began + seq / 30, seq=seq, size=(640, 480), ids=(track,),
        joints=joints[None], pixels=joints[None, :, :2], confidence=confidence[None], ended=ended,
    )  # fmt: skip


def decision(camera: str, began: float, tick: int, track: int, label: int) -> Decision:
    likely = np.full((2, len(CLASSES)), 0.2 / (len(CLASSES) - 1), np.float32)
    likely[:, label] = 0.8
    return Decision(
        camera=camera, t=(tick + 5) / 30, captured_at=began + (tick + 5) / 30, track=track, first_tick=tick,
        labels=(label, label), probabilities=likely, decided_at=began + 1,
    )  # fmt: skip


def event(camera: str, began: float, kind: str, action: str, start: float, end: float | None, t: float) -> Event:
    return Event(
        camera=camera, t=t, captured_at=began + t, kind=kind, track=1, action=action, t_start=start, t_end=end,  # type: ignore[arg-type]
        confidence=0.75, decided_at=began + t,
    )  # fmt: skip


def story() -> list[AnyMessage]:
    """Two cameras; the kitchen's is switched on twice, and its second run is cut off while somebody walks."""
    said: list[AnyMessage] = []
    for seq in range(90):
        said.append(tracks("kitchen", BEGAN, seq, 1))
        if seq % 2 == 0 and seq >= 6:
            said.append(decision("kitchen", BEGAN, seq - 6, 1, WAVE))
    said.insert(40, event("kitchen", BEGAN, "start", "wave", 0.5, None, 0.8))
    said.insert(45, Named(camera="kitchen", track=1, name="Anna & <Co>", at=BEGAN + 1))
    said.append(event("kitchen", BEGAN, "end", "wave", 0.5, 2.0, 2.5))
    said += [tracks("hall", HALL, seq, 1) for seq in range(10)]
    said.append(event("hall", HALL, "start", "walk", 0.1, None, 0.2))
    said.append(Lost(camera="hall", at=HALL + 1, reason="unplugged"))
    said.append(End(camera="kitchen"))
    said += [tracks("kitchen", LATER, seq, 1) for seq in range(30)]
    said.append(event("kitchen", LATER, "start", "walk", 0.2, None, 0.6))
    said.append(event("kitchen", LATER, "update", "walk", 0.2, None, 0.9))
    return said


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "day.skel"
    with Recorder(path) as recorder:
        for message in story():
            recorder.write(message)
    return path


# What the recording holds, counted by hand: camera, run, name, action, from, to on the kitchen's first clock.
LABELS = {
    ("hall", "1", "", "walk", 5.1, 5.2),
    ("kitchen", "1", "Anna & <Co>", "wave", 0.5, 2.0),
    ("kitchen", "2", "", "walk", 40.2, 40.9),
}


def test_events_as_a_table(recording: Path, tmp_path: Path) -> None:
    assert main(["convert", str(recording), str(tmp_path / "day.csv")]) == 0
    with (tmp_path / "day.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    said = {(r["camera"], r["run"], r["name"], r["action"], float(r["start_s"]), float(r["end_s"])) for r in rows}
    assert said == LABELS and len(rows) == 3
    assert {r["confidence"] for r in rows} == {"0.7500"}
    assert rows[1]["start_utc"].startswith("2023-11-14T22:13:20.5")


def test_frames_as_a_table(recording: Path, tmp_path: Path) -> None:
    assert main(["convert", str(recording), str(tmp_path / "frames.csv"), "--frames"]) == 0
    with (tmp_path / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 42
    np.testing.assert_allclose([float(r["t_s"]) for r in rows], np.arange(84) / 30, atol=6e-4)
    assert {r["label"] for r in rows} == {"wave"}
    assert all(float(r["wave"]) == pytest.approx(0.8) for r in rows)
    np.testing.assert_allclose([sum(float(r[name]) for name in CLASSES) for r in rows], 1, atol=2e-3)


def elan(path: Path) -> dict[str, list[tuple[str, int, int, float]]]:
    """The tiers of an EAF file: action, from, to in ms, confidence; every reference in it must lead somewhere."""
    document = Xml.parse(path).getroot()
    assert document.tag == "ANNOTATION_DOCUMENT" and document.get("VERSION") == "3.0"
    order = [child.tag for child in document]
    ranks = (
        "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY",
    )  # fmt: skip
    assert [ranks.index(tag) for tag in order] == sorted(ranks.index(tag) for tag in order)
    slots = {s.get("TIME_SLOT_ID"): int(s.get("TIME_VALUE", "-1")) for s in document.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    entries = {e.get("CVE_ID"): e.findtext("CVE_VALUE") for e in document.iter("CV_ENTRY_ML")}
    types = {t.get("LINGUISTIC_TYPE_ID"): t for t in document.iter("LINGUISTIC_TYPE")}
    ids = [a.get("ANNOTATION_ID") for a in document.iter() if a.get("ANNOTATION_ID")]
    assert len(ids) == len(set(ids))
    tiers: dict[str, list[tuple[str, int, int, float]]] = {}
    surely: dict[str, float] = {}
    for tier in document.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in types
        if tier.get("PARENT_REF"):
            assert tier.get("PARENT_REF") in tiers
            for a in tier.iter("REF_ANNOTATION"):
                surely[a.get("ANNOTATION_REF", "")] = float(a.findtext("ANNOTATION_VALUE", ""))
            continue
        tiers[tier.get("TIER_ID", "")] = []
    for tier in document.iter("TIER"):
        for a in tier.iter("ALIGNABLE_ANNOTATION"):
            assert entries[a.get("CVE_REF")] == a.findtext("ANNOTATION_VALUE")
            start, end = slots[a.get("TIME_SLOT_REF1")], slots[a.get("TIME_SLOT_REF2")]
            found = (a.findtext("ANNOTATION_VALUE", ""), start, end, surely[a.get("ANNOTATION_ID", "")])
            tiers[tier.get("TIER_ID", "")].append(found)
    assert set(CLASSES[1:]) <= set(entries.values())
    return tiers


def test_labels_for_elan(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "my video.mp4").write_bytes(b"")
    out = tmp_path / "day.eaf"
    assert main(["convert", str(recording), str(out), "--media", str(tmp_path / "my video.mp4")]) == 0
    assert elan(out) == {
        "hall person 1": [("walk", 5100, 5200, 0.75)],
        "kitchen person 1": [("wave", 500, 2000, 0.75)],
        "kitchen person 1 (run 2)": [("walk", 40200, 40900, 0.75)],
    }
    (media,) = Xml.parse(out).getroot().iter("MEDIA_DESCRIPTOR")
    assert media.get("RELATIVE_MEDIA_URL") == "./my%20video.mp4" and media.get("MIME_TYPE") == "video/mp4"
    (wave,) = [t for t in Xml.parse(out).getroot().iter("TIER") if t.get("TIER_ID") == "kitchen person 1"]
    assert wave.get("PARTICIPANT") == "Anna & <Co>"


def test_elans_other_readers_take_it(recording: Path, tmp_path: Path) -> None:
    pympi = pytest.importorskip("pympi", reason="an independent reader of EAF: pip install pympi-ling")
    assert main(["convert", str(recording), str(tmp_path / "day.eaf")]) == 0
    read = pympi.Elan.Eaf(str(tmp_path / "day.eaf"))
    assert read.get_annotation_data_for_tier("kitchen person 1") == [(500, 2000, "wave")]
    assert read.get_ref_annotation_data_for_tier("kitchen person 1 confidence") == [(500, 2000, "0.75", "wave")]


def mcap_messages(path: Path) -> dict[str, list[tuple[int, str, dict[str, Any]]]]:
    """By topic: log time, the schema's name, and the message, which must be as its schema says."""
    reading = pytest.importorskip("mcap.reader", reason="the extra `mcap`")
    jsonschema = pytest.importorskip("jsonschema")
    found = defaultdict(list)
    validators: dict[int, Any] = {}
    with path.open("rb") as file:
        for schema, channel, message in reading.make_reader(file, validate_crcs=True).iter_messages():
            assert schema.encoding == "jsonschema" and channel.message_encoding == "json"
            value = json.loads(message.data)
            if schema.id not in validators:
                validators[schema.id] = jsonschema.Draft202012Validator(json.loads(schema.data))
            validators[schema.id].validate(value)
            found[channel.topic].append((message.log_time, schema.name, value))
    return found


def test_mcap_holds_skeletons_probabilities_events_and_a_log(recording: Path, tmp_path: Path) -> None:
    assert main(["convert", str(recording), str(tmp_path / "day.mcap")]) == 0
    found = mcap_messages(tmp_path / "day.mcap")
    people = found["/kitchen/people"]
    times = [at for at, _, _ in people]
    np.testing.assert_allclose(
        np.array(times) / 1e9 - BEGAN, [*np.arange(90) / 30, *(40 + np.arange(30) / 30)], atol=1e-5
    )
    assert {name for _, name, _ in people} == {"foxglove.SceneUpdate"}
    # The skeleton: its balls are the joints that were seen, its lines the bones between them, the text who it is.
    (entity,) = people[60][2]["entities"]
    joints = tracks("kitchen", BEGAN, 60, 1).joints[0]
    balls = np.array([[ball["pose"]["position"][c] for c in "xyz"] for ball in entity["spheres"]])
    np.testing.assert_allclose(balls, np.delete(joints, 7, axis=0), atol=1e-4)
    ends = np.array([[point[c] for c in "xyz"] for point in entity["lines"][0]["points"]])
    bones = [bone for bone in NTU25.bones if 7 not in bone]
    np.testing.assert_allclose(ends, joints[np.array(bones).ravel()], atol=1e-4)
    assert entity["texts"][0]["text"] == "Anna & <Co>: wave 75%" and entity["frame_id"] == "kitchen"
    # Stood upright, up is up: the head is above the feet along the room's z.
    transform = found["/kitchen/transform"][0][2]
    q = [transform["rotation"][c] for c in "wxyz"]
    up = rotated(q, joints[3] - joints[15])
    assert up[2] == pytest.approx((joints[3] - joints[15])[1], abs=1e-6) and up[2] > 1
    likely = found["/kitchen/person/1/probabilities"]
    assert len(likely) == 84 and likely[0][2]["label"] == "wave" and likely[0][2]["wave"] == pytest.approx(0.8)
    np.testing.assert_allclose([at / 1e9 - BEGAN for at, _, _ in likely], np.arange(84) / 30, atol=1e-5)
    assert [(v["kind"], v["action"]) for _, _, v in found["/kitchen/events"]] == [
        ("start", "wave"), ("end", "wave"), ("start", "walk"), ("update", "walk")
    ]  # fmt: skip
    log = [(value["name"], value["message"]) for _, _, value in found["/log"]]
    assert ("kitchen", "Anna & <Co> ends: wave (75%, 1.5 s)") in log
    assert ("hall", "the camera is lost: unplugged") in log
    assert ("kitchen", "person 1 (run 2) begins: walk (75%)") in log


def rotated(q: list[float], v: np.ndarray) -> np.ndarray:
    """v turned by the quaternion q = (w, x, y, z)."""
    w, u = q[0], np.array(q[1:])
    turned: np.ndarray = v + 2 * np.cross(u, np.cross(u, v) + w * v)
    return turned


def test_a_robot_in_the_recording_stands_on_its_feet(tmp_path: Path) -> None:
    points = np.array([[0, 0, 0], [0, 0.1, 0.9], [0.3, 0, 1.5]], np.float32)  # x ahead, y left, z up
    state = RobotState(
        robot="ada", at=BEGAN, state="acting", behaviour="wave", because="Anna waves", camera="kitchen", track=1,
        reacted_ms=400.0, moved_at=BEGAN, points=points, bones=((0, 1), (1, 2)),
    )  # fmt: skip
    with Recorder(tmp_path / "robot.skel") as recorder:
        recorder.write(tracks("kitchen", BEGAN, 0, 1))
        recorder.write(state)
    assert main(["convert", str(tmp_path / "robot.skel"), str(tmp_path / "robot.mcap")]) == 0
    found = mcap_messages(tmp_path / "robot.mcap")
    (entity,) = found["/ada/scene"][0][2]["entities"]
    q = [found["/ada/transform"][0][2]["rotation"][c] for c in "wxyz"]
    balls = [rotated(q, np.array([b["pose"]["position"][c] for c in "xyz"])) for b in entity["spheres"]]
    np.testing.assert_allclose(balls, points, atol=1e-6)
    assert [v["message"] for _, _, v in found["/log"]] == ["wave, because Anna waves"]


def test_rerun_reads_its_recording(recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra `rerun`")
    out = tmp_path / "day.rrd"
    assert main(["convert", str(recording), str(out)]) == 0
    tool = [sys.executable, "-m", "rerun", "rrd"]
    done = subprocess.run([*tool, "verify", str(out)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = subprocess.run([*tool, "print", "-vv", str(out)], capture_output=True, text=True, timeout=60).stdout
    for entity in ("/cameras/kitchen/person\\ 1/joints", "/probabilities/kitchen/person\\ 1", "/cameras/hall", "/log"):
        assert entity in told, entity


def test_what_was_taught_has_its_name(tmp_path: Path) -> None:
    """Also in what was decided before it was first told; what is taught later joins from then on."""
    likely = np.full((1, len(CLASSES) + 1), 0.1, np.float32)
    juggles = Decision(
        camera="c", t=1.0, captured_at=BEGAN, track=1, first_tick=0, labels=(len(CLASSES),), decided_at=BEGAN,
        probabilities=likely,
    )  # fmt: skip
    with Recorder(tmp_path / "taught.skel") as recorder:
        recorder.write(juggles)
        recorder.write(Taught(at=BEGAN, actions=("juggle",)))
        recorder.write(juggles)
    assert main(["convert", str(tmp_path / "taught.skel"), str(tmp_path / "taught.csv"), "--frames"]) == 0
    with (tmp_path / "taught.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["juggle"] * 2 and rows[0]["juggle"] == "0.1000"


def test_a_folder_of_segments_says_what_one_file_says(recording: Path, tmp_path: Path) -> None:
    clock = iter(np.arange(1e9, 1e9 + 1e6, 0.2).tolist())
    with Recorder(tmp_path / "days", Limits(seconds=60), clock=clock.__next__) as recorder:
        for message in story():
            recorder.write(message)
    assert len(list((tmp_path / "days").iterdir())) > 2
    for source, out in ((recording, "one.csv"), (tmp_path / "days", "many.csv")):
        assert main(["convert", str(source), str(tmp_path / out)]) == 0
    assert (tmp_path / "one.csv").read_text().splitlines()[1:] != []
    kept = (tmp_path / "many.csv").read_text().splitlines()
    assert set(kept) <= set((tmp_path / "one.csv").read_text().splitlines())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{recording}", "{empty}/day.txt"], "its name must end in .mcap, .rrd, .csv, .eaf"),
        (["{recording}", "{empty}/nowhere/day.csv"], "there is no folder"),
        (["{recording}", "{recording}"], "of no known kind"),
        (["{empty}", "{empty}/day.csv"], "is no recording"),
        (["{empty}/none.skel", "{empty}/day.csv"], "cannot read"),
        (["{broken}", "{empty}/day.mcap"], "damaged"),
        (["{recording}", "{empty}/day.csv", "--media", "{recording}"], "--media"),
        (["{recording}", "{empty}/day.mcap", "--frames"], "--frames"),
        (["{recording}", "{empty}/day.eaf", "--media", "none.mp4"], "no video none.mp4"),
        (["{recording}", "{empty}/day.eaf", "--model", "nothing"], "no model 'nothing'"),
        (["{foreign}", "{empty}/frames.csv", "--frames"], "give the model that decided"),
        (["{foreign}", "{empty}/day.mcap"], "give the model that decided"),
    ],
)
def test_what_cannot_be_gets_one_line_and_leaves_nothing(
    words: list[str], complaint: str, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    data = bytearray(recording.read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "broken.skel").write_bytes(data)
    foreign = Decision(
        camera="c", t=1.0, captured_at=1.0, track=1, first_tick=0, labels=(0,), decided_at=1.0,
        probabilities=np.full((1, 31), 1 / 31, np.float32),
    )  # fmt: skip
    (tmp_path / "foreign.skel").write_bytes(b"skelstream 1\n" + frame(foreign))
    places = {
        "recording": recording, "empty": empty, "broken": tmp_path / "broken.skel",
        "foreign": tmp_path / "foreign.skel",
    }  # fmt: skip
    assert main(["convert", *(word.format(**places) for word in words)]) == 2
    said = capsys.readouterr().err
    assert complaint in said and len(said.strip().splitlines()) == 1
    assert not list(empty.iterdir())


def test_what_exists_is_left_as_it_is(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "day.csv").write_text("mine")
    assert main(["convert", str(recording), str(tmp_path / "day.csv")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "day.csv").read_text() == "mine"


def test_every_kind_that_is_recorded_is_understood() -> None:
    assert set(KINDS) == {Tracks, Decision, Event, Lost, End, Named, Taught}
