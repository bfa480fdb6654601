"""The interaction: who does what for how long before the robot answers, and what interrupts what. Pure; no clock."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.stream.actor import ACTIONS, Script
from skelstream.stream.robot.interaction import Answer, Interaction
from skelstream.stream.robot.policy import InteractionPolicy
from skelstream.stream.wire import End, Event, EventKind, Glimpse, Lost, Named, Taught, Tracks

CLASSES = ("background", "wave", "bow", "raise_hand")
HZ = 30
STANDING = Script(seed=1, duration_s=1.0).pose(0.0)
FAR_AWAY, NEAR_BY = 4.0, 1.5


class World:
    """A camera, people before it, and the robot's mind: time goes by a frame at a time."""

    def __init__(self, policy: InteractionPolicy) -> None:
        self.mind = Interaction(policy, CLASSES)
        self.frame = 0

    @property
    def now(self) -> float:
        return self.frame / HZ

    def tracks(self, people: dict[int, tuple[float, float]]) -> Tracks:
        """People by number, each so many metres away and to the robot's left."""
        joints = [STANDING - STANDING[0] + np.array([left, 0, ahead]) for ahead, left in people.values()]
        return Tracks(
            camera="c", t=self.now, captured_at=1000 + self.now, seq=self.frame, size=(640, 480), ids=tuple(people),
            joints=np.array(joints, np.float32).reshape(-1, 25, 3), pixels=np.zeros((len(people), 25, 2), np.float32),
            confidence=np.ones((len(people), 25), np.float32),
        )  # fmt: skip

    def frames(
        self, seconds: float, doing: dict[int, dict[str, float]] | None = None,
        people: dict[int, tuple[float, float]] | None = None,
    ) -> list[Answer]:  # fmt: skip
        """Whoever is there does what is said, with these probabilities; the answers a frame."""
        doing = doing or {}
        people = people if people is not None else dict.fromkeys(doing or {1: {}}, (NEAR_BY, 0.0))
        answers = []
        for _ in range(round(seconds * HZ)):
            self.mind.hear(self.tracks(people))
            for track, shares in doing.items():
                probabilities = np.array([shares.get(name, 0.0) for name in CLASSES], np.float32)
                probabilities[0] = 1 - probabilities[1:].sum()
                self.mind.hear(
                    Glimpse(camera="c", t=self.now, captured_at=1000 + self.now, track=track, tick=self.frame,
                            probabilities=probabilities, evidence=1.0)
                )  # fmt: skip
            answers.append(self.mind.turn(self.now))
            self.frame += 1
        return answers

    def event(self, kind: EventKind, action: str, t_start: float, confidence: float = 0.9, track: int = 1) -> None:
        self.mind.hear(
            Event(camera="c", t=self.now, captured_at=1000 + self.now, kind=kind, track=track, action=action,
                  t_start=t_start, t_end=self.now if kind == "end" else None, confidence=confidence, decided_at=0.0)
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path):  # type: ignore[no-untyped-def]
    def with_rules(*rules: str, rest: str = "") -> World:
        path = tmp_path / "policy.toml"
        path.write_text(rest + "".join(f"[[rule]]\n{rule}\n" for rule in rules))
        return World(InteractionPolicy.load(path, CLASSES[1:]))

    return with_rules


def did(answers: list[Answer]) -> list[tuple[str, ...]]:
    """What was done, one after the other."""
    done: list[tuple[str, ...]] = []
    for answer in answers:
        if not done or done[-1] != answer.command.behaviours:
            done.append(answer.command.behaviours)
    return [behaviours for behaviours in done if behaviours]


def first(answers: list[Answer]) -> int | None:
    """The frame of the first thing that was done."""
    return next((i for i, answer in enumerate(answers) if answer.command.behaviours), None)


@settings(max_examples=15, deadline=None)
@given(lasting=st.floats(0, 2), confidence=st.floats(0.1, 0.9), share=st.floats(0, 1))
def test_it_answers_what_is_probable_for_long_enough_and_no_sooner(
    tmp_path_factory: pytest.TempPathFactory, lasting: float, confidence: float, share: float
) -> None:
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(f'[[rule]]\nwhen = "wave"\ndo = "wave"\nlasting = {lasting}\nconfidence = {confidence}')
    world = World(InteractionPolicy.load(path, CLASSES[1:]))
    at = first(world.frames(2.5, {1: {"wave": share}}))
    if float(np.float32(share)) < confidence:
        assert at is None
    else:
        assert at is not None and lasting - 1e-6 <= at / HZ <= lasting + 2 / HZ


def test_what_stops_in_between_begins_anew(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\nlasting = 0.5')
    assert not did(w.frames(0.4, {1: {"wave": 0.9}}) + w.frames(0.2, {1: {}}) + w.frames(0.4, {1: {"wave": 0.9}}))
    assert did(w.frames(0.3, {1: {"wave": 0.9}})) == [("wave",)]


def test_a_moment_of_doubt_is_no_end(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\nlasting = 0.5\nconfidence = 0.6')
    w.frames(0.3, {1: {"wave": 0.7}})
    w.frames(0.1, {1: {"wave": 0.4}})
    assert did(w.frames(0.2, {1: {"wave": 0.7}})) == [("wave",)]


def test_it_answers_once_and_again_only_after_a_rest(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\ncooldown = 3')
    numbers = {a.command.number for a in w.frames(5.0, {1: {"wave": 0.9}}) if a.command.behaviours}
    assert len(numbers) == 1
    numbers |= {a.command.number for a in w.frames(3.0, {1: {"wave": 0.9}}) if a.command.behaviours}
    assert len(numbers) == 2


def test_what_has_no_end_of_its_own_lasts_as_long_as_its_cause_and_a_little_more(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "look"\nhold = 1')
    w.frames(4.0, {1: {"wave": 0.9}})
    held = [bool(a.command.behaviours) for a in w.frames(2.0, {1: {}})]
    assert 28 <= sum(held) <= 32 and held == sorted(held, reverse=True)


def test_a_higher_rule_interrupts_a_lower_one_and_not_the_other_way(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\npriority = 1', 'when = "raise_hand"\ndo = "stop"\npriority = 5')
    assert did(w.frames(0.5, {1: {"wave": 0.9}})) == [("wave",)]
    assert did(w.frames(0.5, {1: {"raise_hand": 0.9}})) == [("stop",)]
    assert did(w.frames(0.5, {1: {"wave": 0.9}})) == [("stop",)]  # held for a second


def test_a_rule_may_name_what_it_interrupts_whatever_its_priority(world) -> None:  # type: ignore[no-untyped-def]
    low = 'when = "bow"\ndo = "bow"\ninterrupts = ["mirror"]'
    w = world('when = "wave"\ndo = "mirror"\npriority = 9', low)
    assert did(w.frames(0.5, {1: {"wave": 0.9}})) == [("mirror",)]
    assert did(w.frames(0.5, {1: {"bow": 0.9}})) == [("bow",)]


@pytest.mark.parametrize(
    ("who", "people", "answers"),
    [
        ("anyone", {1: (FAR_AWAY, 2.0)}, True), ("in front", {1: (FAR_AWAY, 0.0)}, False),
        ("in front", {1: (NEAR_BY, 0.0)}, True), ("in front", {1: (NEAR_BY, 1.5)}, False),
        ("nearest", {1: (FAR_AWAY, 0.0), 2: (NEAR_BY, 0.0)}, False),
        ("nearest", {1: (NEAR_BY, 0.0), 2: (FAR_AWAY, 0.0)}, True), ("Anna", {1: (NEAR_BY, 0.0)}, False),
    ],
)  # fmt: skip
def test_only_those_are_answered_who_are_meant(world, who, people, answers) -> None:  # type: ignore[no-untyped-def]
    w = world(f'when = "wave"\ndo = "wave"\nwho = "{who}"')
    done = did(w.frames(0.5, {1: {"wave": 0.9}}, people))
    assert done == ([("wave",)] if answers else [])


def test_a_name_that_is_given_counts_from_then_on(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\nwho = "Anna"')
    assert not did(w.frames(0.5, {1: {"wave": 0.9}}))
    w.mind.hear(Named(camera="c", track=1, name="Anna", at=1.0))
    answers = w.frames(0.2, {1: {"wave": 0.9}})
    assert did(answers) == [("wave",)] and answers[-1].because.startswith("Anna")


def test_in_front_is_where_the_camera_is_mounted_to_look(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\nwho = "in front"', rest="[camera]\nturn = 90\n")
    assert not did(w.frames(0.3, {1: {"wave": 0.9}}, {1: (NEAR_BY, 0.0)}))  # that is to the robot's left
    w = world('when = "wave"\ndo = "look"', rest="[camera]\nturn = 90\nahead = 1\nheight = 2\n")
    person = w.frames(0.3, {1: {"wave": 0.9}}, {1: (2.0, 0.0)})[-1].command.person
    np.testing.assert_allclose(person.joints[0], (1.0, 2.0, 2.0), atol=1e-6)


def test_anything_is_whatever_is_not_background(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "anything"\ndo = "attend"\nconfidence = 0.5')
    assert not did(w.frames(0.5, {1: {"wave": 0.2, "bow": 0.2}}))
    assert did(w.frames(0.5, {1: {"wave": 0.3, "bow": 0.3}})) == [("attend",)]


def test_several_actions_count_together(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = ["wave", "raise_hand"]\ndo = "stop"\nconfidence = 0.5')
    assert did(w.frames(0.5, {1: {"wave": 0.3, "raise_hand": 0.3}})) == [("stop",)]


def test_who_is_sure_waits_for_the_decision(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\nsure = true\nlasting = 0.5\nconfidence = 0.6')
    assert not did(w.frames(1.0, {1: {"wave": 1.0}}))
    w.event("start", "wave", t_start=w.now - 0.2)
    answers = w.frames(0.6, {1: {}})
    assert first(answers) in range(8, 12)  # it has lasted since before it was decided
    w = world('when = "wave"\ndo = "wave"\nsure = true\nconfidence = 0.6')
    w.frames(0.1)
    w.event("start", "wave", t_start=0.0, confidence=0.5)
    assert not did(w.frames(0.5))


def test_the_unknown_is_answered_when_it_is_decided(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "unknown"\ndo = "shrug"\nlasting = 0.2')
    w.frames(0.1)
    w.event("start", "unknown", t_start=w.now, confidence=0.3)
    assert did(w.frames(0.5)) == [("shrug",)]
    w.event("end", "unknown", t_start=0.1)
    assert not did(w.frames(6.0)[150:])


def test_arriving_is_answered_once(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "arrive"\ndo = "bow"\nlasting = 0.3\ncooldown = 60')
    assert not did(w.frames(1.0, people={}))
    assert did(w.frames(6.0)) == [("bow",)]


def test_whoever_is_gone_is_answered_no_more(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "look"\nhold = 0.2')
    assert did(w.frames(0.5, {1: {"wave": 0.9}}))
    w.mind.hear(Lost(camera="c", at=1.0, reason="unplugged"))
    assert not did(w.frames(1.0, people={})[10:])
    w.frames(0.5, {1: {"wave": 0.9}})
    w.mind.hear(End(camera="c"))
    assert not did(w.frames(1.0, people={})[10:])


def test_a_frame_without_them_is_no_farewell(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "wave"\ndo = "wave"\nlasting = 0.5')
    w.frames(0.4, {1: {"wave": 0.9}})
    w.frames(0.1, people={})
    assert did(w.frames(0.2, {1: {"wave": 0.9}})) == [("wave",)]


def test_a_taught_action_counts_from_the_moment_that_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\nwhen = "salute"\ndo = "wave"')
    w = World(InteractionPolicy.load(path, (*CLASSES[1:], "salute")))
    w.frames(0.2)
    glimpse = Glimpse(camera="c", t=w.now, captured_at=1000 + w.now, track=1, tick=9, evidence=1.0,
                      probabilities=np.array([0.1, 0, 0, 0, 0.9], np.float32))  # fmt: skip
    w.mind.hear(glimpse)
    assert not w.mind.turn(w.now).command.behaviours
    w.mind.hear(Taught(at=1.0, actions=("salute",)))
    w.mind.hear(glimpse)
    assert w.mind.turn(w.now).command.behaviours == ("wave",)


def fallen(share: float) -> np.ndarray:
    """Somebody who tips over sideways about their feet, from upright (0) to the floor (1)."""
    about = STANDING[[15, 19]].mean(axis=0)
    angle = share * math.radians(88)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    tipped: np.ndarray = (STANDING - about) @ turn.T + about
    return tipped


def played(w: World, joints_VC: np.ndarray) -> Answer:
    tracks = w.tracks({1: (NEAR_BY, 0.0)})
    w.mind.hear(
        Tracks(camera="c", t=w.now, captured_at=1000 + w.now, seq=w.frame, size=(640, 480), ids=(1,),
               joints=joints_VC[None].astype(np.float32), pixels=tracks.pixels, confidence=tracks.confidence)
    )  # fmt: skip
    w.frame += 1
    return w.mind.turn(w.now)


def test_a_fall_is_answered_and_lying_down_slowly_is_not(world) -> None:  # type: ignore[no-untyped-def]
    for seconds, falls in ((0.8, True), (6.0, False)):
        w = world('when = "fall"\ndo = "call"\nlasting = 1.0')
        frames = round(seconds * HZ)
        down = [played(w, fallen(i / frames)) for i in range(frames)]
        lying = [played(w, fallen(1.0)) for _ in range(2 * HZ)]
        assert not did(down)
        assert did(lying) == ([("call",)] if falls else [])
        if falls:
            assert first(lying) in range(HZ - frames, HZ + 2)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_people_do_standing_sitting_or_bending_is_a_fall(world, seed: int) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "fall"\ndo = "call"')
    script = Script(seed=seed, duration_s=90.0)
    assert {segment.action for segment in script.segments} >= set(ACTIONS) - {"kick", "beckon"}
    assert not did([played(w, script.pose(i / HZ)) for i in range(90 * HZ)])


def test_when_the_motion_began_is_told(world) -> None:  # type: ignore[no-untyped-def]
    w = world('when = "raise_hand"\ndo = "stop"')
    for _ in range(2 * HZ):
        played(w, STANDING)
    began = 1000 + w.now
    for i in range(12):  # an arm goes up by 3 cm a frame
        moved = STANDING.copy()
        moved[[10, 11]] += (0, 0.03 * (i + 1), 0)
        played(w, moved)
    w.mind.hear(
        Glimpse(camera="c", t=w.now, captured_at=1000 + w.now, track=1, tick=9, evidence=1.0,
                probabilities=np.array([0.1, 0, 0, 0.9], np.float32))
    )  # fmt: skip
    at = w.mind.turn(w.now).moved_first_at
    assert at is not None and abs(at - began) <= 3 / HZ
