"""Teaching the shipped model: what it makes of showings, and engines and decoders that know it at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.bundle import Bundle, DecodeParameters
from skelstream.encoder.engine import Engine
from skelstream.encoder.engine.compile import compile_engine
from skelstream.encoder.taught import grown
from skelstream.stream.decode import Decoder
from skelstream.stream.detect import TaughtEngine, score
from skelstream.stream.showing import Showing
from skelstream.stream.taught_store import TaughtStore
from skelstream.stream.teaching import Teacher, learnt_rows
from skelstream.stream.window import cut_offline
from skelstream.stream.wire import Decision, Event, Scores

from .shown import Shown, shown

FRAMES = 36


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load("small")


@pytest.fixture(scope="module")
def wider(bundle: Bundle) -> Iterator[Engine]:
    engine = compile_engine(bundle, "openvino", threads=1, frames=FRAMES, features=True)
    yield engine
    engine.close()


def showings(scene: Shown, name: str) -> list[Showing]:
    return [
        Showing(joints_TVC=scene.joints_TVC[max(first - 60, 0) : last + 16].astype(np.float32),
                first=min(first, 60), last=min(first, 60) + last - first)
        for what, first, last in scene.spans if what == name
    ]  # fmt: skip


def windows(scene: Shown, every: int = 3) -> tuple[np.ndarray, np.ndarray]:
    both = np.stack((scene.joints_TVC, np.zeros_like(scene.joints_TVC)), axis=1).astype(np.float32)
    ends = np.arange(20, len(both), every)
    return ends, np.stack([cut_offline(both, int(end)) for end in ends])


def test_what_was_shown_is_known_again_and_the_old_logits_stay(bundle: Bundle, wider: Engine, tmp_path: Path) -> None:
    store = TaughtStore(tmp_path)
    store.keep(Teacher(bundle, wider).learn("circle", showings(shown(["circle"] * 5), "circle"), ()).action)
    plain = compile_engine(bundle, "openvino", threads=1, frames=FRAMES)
    engine = TaughtEngine(
        bundle, compile_engine(bundle, "openvino", threads=1, frames=FRAMES),
        lambda: compile_engine(bundle, "openvino", threads=1, frames=FRAMES, features=True), store,
    )  # fmt: skip
    assert (engine.look(patient=True), engine.taught) == ("", ("circle",))

    scene = shown(["circle", "bow"], seed=11, first_s=1.0, rest_s=0.5)  # somebody else
    ends, some = windows(scene)
    before, after = plain.infer(some), engine.infer(some)
    np.testing.assert_allclose(after[..., :-1], before, atol=1e-5)
    said = np.array([after[i, -5].argmax() == len(bundle.config.classes) for i in range(len(ends))])
    at = ends - 4
    for name, first, last in scene.spans:
        middle = (at > first + 0.25 * (last - first)) & (at < last - 0.25 * (last - first))
        if name == "circle":
            assert said[middle].mean() > 0.6, name
        else:
            assert said[middle].mean() < 0.2, name
    store.forget("circle")
    assert (engine.look(), engine.taught) == ("", ())
    assert engine.infer(some[:1]).shape[-1] == len(bundle.config.classes)
    engine.close()
    plain.close()


def test_showings_that_look_nothing_alike_are_refused(bundle: Bundle, wider: Engine) -> None:
    scene = shown(["circle", "bow", "wings", "clap"])
    mixed = [showings(scene, name)[0] for name in ("circle", "bow", "wings", "clap")]
    with pytest.raises(ValueError, match=r"^[^\n]*mix (look nothing like|cannot be told)[^\n]*$"):
        Teacher(bundle, wider).learn("mix", mixed, ())


def test_another_model_learns_it_again_from_what_was_shown(bundle: Bundle, wider: Engine, tmp_path: Path) -> None:
    teacher = Teacher(bundle, wider)
    store = TaughtStore(tmp_path)
    action = teacher.learn("wings", showings(shown(["wings"] * 3), "wings"), ()).action
    store.keep(replace(action, lessons={"f" * 16: action.lessons[teacher.weights[:16]]}))
    assert learnt_rows(store, teacher.weights, ())[0] == ()
    learnt, troubles = teacher.learn_again(store.actions)
    assert troubles == [] and [one.name for one in learnt] == ["wings"]
    again, first = learnt[0].learnt_by(teacher.weights), action.learnt_by(teacher.weights)
    assert again is not None and first is not None
    np.testing.assert_allclose(again.row.weights_W, first.row.weights_W, atol=1e-5)
    assert set(learnt[0].lessons) == {"f" * 16, teacher.weights[:16]}


def said_of(decoder: Decoder, logits: list[float], seconds: float, start: int, taught: tuple[str, ...]) -> list[Event]:
    """What a decoder says of a person whose frames all have these logits; windows of 36 frames, tick after tick."""
    said: list[Event] = []
    for tick in range(start, start + round(30 * seconds)):
        scores = Scores(
            camera="c", t=tick / 30, captured_at=0.0, track=1, index=tick, first_tick=tick - 35, valid=36, last=False,
            logits=np.tile(np.array(logits, np.float32), (36, 1)), evidence=1.0, scored_at=0.0, taught=taught,
        )  # fmt: skip
        for message in decoder.push(scores, 0.0):
            if isinstance(message, Decision):
                assert message.probabilities.shape[1] == len(decoder.classes)
            elif message.kind != "update":
                said.append(message)
    return said


def test_a_decoder_goes_on_while_classes_come_and_go() -> None:
    own, parameters = ("background", "wave"), DecodeParameters(delay=4, belief=2.0, enter=(0.5, 0.5), leave=(0.4, 0.4))
    none: frozenset[int] = frozenset()
    decoder = Decoder(own, parameters)
    events = said_of(decoder, [0, 6], 2.0, 100, ())
    assert [(e.kind, e.action) for e in events] == [("start", "wave")]
    assert list(decoder.learn((*own, "a", "b"), grown(parameters, 2, 2), none, 0.0)) == []
    assert said_of(decoder, [0, 6, 0, 0], 1.0, 160, ("a", "b")) == []  # it goes on waving
    events = said_of(decoder, [0, 0, 0, 6], 1.0, 190, ("a", "b"))
    assert [(e.kind, e.action) for e in events] == [("end", "wave"), ("start", "b")]
    assert list(decoder.learn((*own, "b"), grown(parameters, 2, 1), none, 0.0)) == []  # `a` is forgotten, `b` moves up
    assert said_of(decoder, [0, 0, 6], 1.0, 220, ("b",)) == []
    standing = decoder.standing
    assert standing is not None

    heir = Decoder(own, parameters)  # the process died; the next one goes on
    heir.go_on(standing)
    assert heir.classes == (*own, "b")
    assert said_of(heir, [0, 0, 6], 1.0, 250, ("b",)) == []

    ended = list(heir.learn(own, parameters, none, 0.0))  # what goes on is forgotten: it ends
    assert [(e.kind, e.action) for e in ended] == [("end", "b")]
    assert said_of(heir, [6, 0], 1.0, 280, ()) == []


def test_scores_say_what_they_are_of(bundle: Bundle, wider: Engine) -> None:
    from skelstream.stream.wire import Window, decode, encode

    joints = bundle.reference().joints[0]
    window = Window(
        camera="c", t=1.0, captured_at=0.0, track=1, index=0, first_tick=0, valid=64, last=False, joints=joints,
        evidence=1.0,
    )  # fmt: skip
    (scores,) = score(wider, [window], ("circle",))
    received = decode(encode(scores))
    assert isinstance(received, Scores) and received.taught == ("circle",)
    with pytest.raises(ValueError, match="taught"):
        replace_logits(scores)


def replace_logits(scores: Scores) -> Scores:
    from skelstream.stream.wire import replaced

    return replaced(scores, logits=scores.logits[:, :2], taught=("a",))
