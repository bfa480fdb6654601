"""A new row for the head: learnt from a few showings, beside everything that is known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.anchors import ANCHORS, Anchors
from skelstream.encoder.arrays import read_arrays, write_arrays
from skelstream.encoder.bundle import Bundle, DecodeParameters, of_class
from skelstream.encoder.taught import MOST_TAKEN, Frames, grown, learn

WIDTH, KNOWN = 24, 4
OTHER = np.frombuffer(json.dumps({"weights": "0" * 64, "sources": []}).encode(), np.uint8)


def world(seed: int, apart: float) -> tuple[list[Frames], Frames, np.ndarray, np.ndarray]:
    """Five showings of something new, and anchors of four classes: clouds of frames; a head that knows the four."""
    rng = np.random.default_rng(seed)
    middles = 4 * rng.normal(size=(KNOWN + 1, WIDTH)) / np.sqrt(WIDTH)
    middles[-1] = middles[0] + apart * (middles[-1] - middles[0])
    labels = np.repeat(np.arange(KNOWN), [300, 100, 100, 100]).astype(np.int16)
    head = middles[:KNOWN].T
    bias = -0.5 * (middles[:KNOWN] ** 2).sum(axis=1)

    def frames(around: np.ndarray) -> Frames:
        features = (around + 0.5 * rng.normal(size=(len(around), WIDTH))).astype(np.float32)
        logits = (features @ head + bias).astype(np.float32)
        return Frames.of(np.concatenate((logits, features), axis=1), KNOWN, 1.0)

    shots = [frames(np.tile(middles[-1] + 0.3 * rng.normal(size=WIDTH), (40, 1))) for _ in range(5)]
    unseen = frames(np.tile(middles[-1], (200, 1)))
    others = frames(middles[labels])
    learnt = learn(shots, None, others, labels, temperature=1.0)
    again = frames(middles[labels])
    new = learnt.row.of(unseen.features_NW) > unseen.known_N
    false = learnt.row.of(again.features_NW) > again.known_N
    return shots, others, np.array([new.mean(), false.mean(), learnt.found]), labels


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_new_is_known_again_and_takes_nearly_nothing_from_the_old(seed: int) -> None:
    _, _, (new, false, found), _ = world(seed, apart=1.5)
    assert new > 0.9
    assert false < 3 * MOST_TAKEN  # other frames than those that it was shifted by
    assert found == 1


def test_what_cannot_be_told_from_the_background_takes_little_of_it_all_the_same() -> None:
    for seed in range(5):
        _, _, (_, false, _), _ = world(seed, apart=0.1)
        assert false < 3 * MOST_TAKEN


def test_showings_that_have_nothing_in_common_do_not_know_one_another() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [300, 100]).astype(np.int16)

    def frames(middle: np.ndarray, count: int) -> Frames:
        features = (middle + 0.3 * rng.normal(size=(count, WIDTH))).astype(np.float32)
        logits = np.stack((np.zeros(count), features[:, 0] - 2), axis=1).astype(np.float32)
        return Frames.of(np.concatenate((logits, features), axis=1), 2, 1.0)

    apart = 4 * np.eye(WIDTH)
    anchors = Frames.joined([frames(np.zeros(WIDTH), 300), frames(apart[0], 100)])
    alike = learn([frames(apart[1], 40) for _ in range(5)], None, anchors, labels, temperature=1.0).found
    unlike = learn([frames(apart[1 + i], 40) for i in range(5)], None, anchors, labels, temperature=1.0).found
    assert (alike, unlike) == (1.0, 0.0)


def test_a_row_is_what_it_says_at_any_temperature() -> None:
    """Probabilities are of logits divided by the temperature: the row must be fitted for that."""
    shots, others, _, labels = world(2, apart=1.5)
    hot = learn(shots, None, others, labels, temperature=2.0, judge=False).row
    cold = learn(shots, None, others, labels, temperature=1.0, judge=False).row
    some = shots[0].features_NW
    np.testing.assert_allclose(hot.of(some) / 2.0, cold.of(some), rtol=1e-4, atol=1e-4)


@given(classes=st.integers(2, 9), taught=st.integers(0, 4))
def test_a_taught_action_is_believed_as_the_median_action_is(classes: int, taught: int) -> None:
    rng = np.random.default_rng(classes)
    enter = tuple(float(x) for x in rng.uniform(0.4, 0.9, classes))
    parameters = DecodeParameters(enter=enter, leave=0.3, belief=4.5)
    more = grown(parameters, classes, taught)
    assert [of_class(more.enter, k) for k in range(classes)] == list(enter)
    assert [of_class(more.enter, classes + k) for k in range(taught)] == [np.median(enter[1:])] * taught
    assert of_class(more.belief, classes + taught - 1) == 4.5


def test_the_shipped_model_has_anchors_of_every_class() -> None:
    bundle = Bundle.load("small")
    anchors = Anchors.load(bundle)
    assert anchors.features_NW.shape == (len(anchors.labels_N), bundle.config.encoder.dense_width)
    assert set(anchors.labels_N.tolist()) == set(range(len(bundle.config.classes)))
    assert all(":" in source for source in anchors.sources)  # each with its licence
    assert sum(file.stat().st_size for file in bundle.directory.iterdir() if file.is_file()) < 20e6


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"levels": np.zeros((3, 7), np.int8)}, "do not fit"),
        ({"scale": np.full(512, np.nan, np.float32)}, "make no sense"),
        (
            {"about": OTHER},
            "other weights",
        ),
    ],
)
def test_anchors_that_are_not_the_models_own_are_refused(changed: dict, told: str, tmp_path: Path) -> None:  # type: ignore[type-arg]
    shipped = Bundle.load("small").directory
    copy = tmp_path / "copy"
    shutil.copytree(shipped, copy, ignore=shutil.ignore_patterns("engines"))
    held = read_arrays(copy / ANCHORS, largest=1 << 26)
    write_arrays(copy / ANCHORS, {**held, **changed})
    with pytest.raises(ValueError, match=rf"^[^\n]*{told}[^\n]*skelstream anchors[^\n]*$"):
        Anchors.load(Bundle.load(copy))
    (copy / ANCHORS).unlink()
    with pytest.raises(ValueError, match=rf"^[^\n]*has no {ANCHORS}[^\n]*$"):
        Anchors.load(Bundle.load(copy))


def test_arrays_that_lie_about_themselves_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    write_arrays(path, {"a": np.arange(6.0)})
    assert not [file for file in tmp_path.iterdir() if file != path]
    for content in (b"", b"PK", path.read_bytes()[:-30], path.read_bytes()[:60]):
        broken = tmp_path / "broken.npz"
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            read_arrays(broken, largest=1 << 20)
    np.savez_compressed(path, a=np.zeros(1_000_000))
    with pytest.raises(ValueError, match="compressed"):
        read_arrays(path, largest=1 << 20)
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="plain"):
        read_arrays(path, largest=1 << 20)
    with pytest.raises(ValueError, match="larger"):
        read_arrays(path, largest=10)


def test_a_bundle_that_is_written_anew_keeps_its_anchors_while_its_weights_stay(tmp_path: Path) -> None:
    shipped = Bundle.load("small")
    copy = tmp_path / "copy"
    shutil.copytree(shipped.directory, copy, ignore=shutil.ignore_patterns("engines"))
    weights, graph = shipped.weights.read_bytes(), shipped.graph.read_bytes()
    config = replace(shipped.config, decode=DecodeParameters(delay=9))
    Bundle.save(copy, config, weights=weights, graph=graph, reference=shipped.reference())
    assert Bundle.load(copy).config.decode.delay == 9
    Anchors.load(Bundle.load(copy))
    Bundle.save(copy, config, weights=weights + b"\0", graph=graph, reference=shipped.reference())
    assert not (copy / ANCHORS).exists()
