"""The frozen tasks (linear, retrieval, few-shot, ensemble) on a set whose actions differ in the limb that moves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.modality import SINGLE
from skelstream.train.clips import Clips
from skelstream.train.pretrained import Pretrained, weights_digest
from skelstream.train.probes import Exact, GradientDescent
from skelstream.train.tasks.ensemble import ensemble
from skelstream.train.tasks.features import view_features, whole_features
from skelstream.train.tasks.few_shot import FewShot, few_shot
from skelstream.train.tasks.linear import LinearProbe, linear_probe
from skelstream.train.tasks.retrieval import Retrieval, neighbour_votes, retrieval
from skelstream.train.tasks.scores import load_scores, measured

Split = tuple[Clips, Clips]


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("solver", [Exact(), GradientDescent(lr=0.3, batch=16)], ids=["exact", "sgd"])
def test_a_linear_probe_learns_and_leaves_the_encoder_alone(
    split: Split, tiny: Pretrained, tmp_path: Path, solver: Exact | GradientDescent
) -> None:
    before = weights_digest(tiny.encoder)
    results = linear_probe(tiny, *split, LinearProbe(solver=solver, crops=1), tmp_path / "run", quiet)
    assert results["top1"] >= 15 / 24  # chance is 0.25, and gives this once in ten thousand runs
    assert np.trace(results["confusion"]) == round(results["top1"] * 24)
    assert np.sum(results["confusion"], axis=1).tolist() == [6, 6, 6, 6]
    assert weights_digest(tiny.encoder) == before
    assert not tiny.encoder.training


def test_a_finished_run_is_read_and_another_is_refused(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    said: list[str] = []
    config = LinearProbe(solver=Exact(), crops=0)
    first = linear_probe(tiny, *split, config, tmp_path / "run", said.append)
    assert said
    said.clear()
    assert linear_probe(tiny, *split, config, tmp_path / "run", said.append) == first
    assert not said
    with pytest.raises(ValueError, match="other settings"):
        linear_probe(tiny, *split, LinearProbe(solver=Exact(l2=0.5), crops=0), tmp_path / "run", quiet)
    with torch.no_grad():
        tiny.encoder.s_position_NH[0, 0] += 1  # other weights are another run as well
    with pytest.raises(ValueError, match="other settings"):
        linear_probe(tiny, *split, config, tmp_path / "run", quiet)


def test_views_are_the_whole_clip_and_seeded_crops(split: Split, tiny: Pretrained) -> None:
    train, _ = split
    views_RNF = view_features(tiny, train, crops=2, seed=4)
    assert views_RNF.shape == (3, 48, 32)
    torch.testing.assert_close(views_RNF[0], whole_features(tiny, train))
    assert torch.equal(views_RNF, view_features(tiny, train, crops=2, seed=4))
    assert not torch.equal(views_RNF[1], views_RNF[2])
    assert not torch.equal(views_RNF[1], view_features(tiny, train, crops=1, seed=5)[1])


@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_are_those_of_numpy(k: int) -> None:
    rng = np.random.default_rng(k)
    gallery, query = rng.normal(size=(50, 6)).astype(np.float32), rng.normal(size=(1100, 6)).astype(np.float32)
    labels = rng.integers(0, 3, 50)
    votes = neighbour_votes(torch.from_numpy(gallery), torch.from_numpy(labels), torch.from_numpy(query), k, 3).numpy()
    for one, vote in zip(query, votes, strict=True):
        cosine = gallery @ one / np.linalg.norm(gallery, axis=1) / np.linalg.norm(one)
        near = np.argsort(-cosine)[:k]
        counts = np.bincount(labels[near], minlength=3)
        assert (np.round(vote) == counts).all() or np.abs(vote - counts).max() <= 0.5
        best = max(range(3), key=lambda c: (counts[c], cosine[near][labels[near] == c].sum()))
        assert vote.argmax() == best


def test_retrieval_finds_the_moving_limb(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    results = retrieval(tiny, *split, Retrieval(), tmp_path / "run", quiet)
    gallery, query = (whole_features(tiny, clips).numpy() for clips in split)
    gallery, query = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (gallery, query))
    expected = (split[0].labels[(query @ gallery.T).argmax(axis=1)] == split[1].labels).mean()
    assert results["k=1"]["top1"] == expected
    assert expected >= 0.75
    with pytest.raises(ValueError, match="ask for fewer"):
        retrieval(tiny, *split, Retrieval(neighbours=(49,)), tmp_path / "other", quiet)


@pytest.mark.parametrize("method", ["prototype", "linear"])
def test_few_shot_beats_chance(split: Split, tiny: Pretrained, tmp_path: Path, method: Any) -> None:
    config = FewShot(ways=3, shots=3, queries=4, episodes=20, method=method)
    results = few_shot(tiny, *split, config, tmp_path / "run", quiet)
    assert results["accuracy"] - results["interval95"] > 1 / 3
    assert few_shot(tiny, *split, config, tmp_path / "again", quiet) == results


def test_a_shown_clip_is_never_asked_about(make_store: Any, tiny: Pretrained, tmp_path: Path) -> None:
    """Each class has the same two clips, P and Q. Shown P of one class and Q of the other, the query looks like the
    wrong class (0 right); shown P of both, the two queries look alike (1 of 2 right). That makes 0.25 in the mean, and
    0.625 if the shown clip could be the query.
    """
    store = make_store("pairs", limbs=[0, 2, 0, 2], labels=[0, 0, 1, 1], subjects=["a"] * 4, takes=[7] * 4)
    config = FewShot(ways=2, shots=1, queries=1, episodes=200)
    same, other = Clips([store]), Clips([store])
    for pair in ((same, same), (same, other)):
        out = tmp_path / f"run-{pair[1] is same}"
        assert few_shot(tiny, *pair, config, out, quiet)["accuracy"] == pytest.approx(0.25, abs=0.1)


def test_few_shot_says_what_it_lacks(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 classes have"):
        few_shot(tiny, *split, FewShot(ways=5, queries=2), tmp_path / "a", quiet)
    with pytest.raises(ValueError, match="0 classes have"):
        few_shot(tiny, *split, FewShot(ways=2, queries=7), tmp_path / "b", quiet)
    with pytest.raises(ValueError, match="no class jump"):
        few_shot(tiny, *split, FewShot(classes=("jump",)), tmp_path / "c", quiet)


def test_an_ensemble_adds_the_probabilities_of_its_streams(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    runs = []
    for modality in SINGLE:
        stream = replace(tiny, modality=modality)
        runs.append(tmp_path / modality)
        linear_probe(stream, *split, LinearProbe(solver=Exact(l2=0.5), crops=0), runs[-1], quiet)
    results = ensemble(runs, tmp_path / "all", quiet)
    total = sum(np.load(run / "scores.npz")["probability"] for run in runs)
    assert results["top1"] == (total.argmax(axis=1) == split[1].labels).mean()
    own = [json.loads((run / "results.json").read_text())["top1"] for run in runs]
    assert list(results["runs"].values()) == own
    assert json.loads((tmp_path / "all" / "results.json").read_text()) == results

    linear_probe(tiny, split[0], split[0], LinearProbe(solver=Exact(), crops=0), tmp_path / "on-train", quiet)
    with pytest.raises(ValueError, match="different clips"):
        ensemble([runs[0], tmp_path / "on-train"], tmp_path / "bad", quiet)
    with pytest.raises(ValueError, match=r"no scores\.npz"):
        ensemble([runs[0], tmp_path], tmp_path / "bad", quiet)
    with pytest.raises(ValueError, match="at least two"):
        ensemble(runs[:1], tmp_path / "bad", quiet)


def test_scores_come_back_as_they_were_kept(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    results = linear_probe(tiny, *split, LinearProbe(solver=Exact(), crops=0), tmp_path / "run", quiet)
    probability, labels = load_scores(tmp_path / "run")
    assert measured(probability, labels, results["classes"]) == results
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)


@given(st.integers(0, 10_000), st.integers(6, 12), st.integers(1, 30))
def test_top_k_is_the_place_of_the_truth(seed: int, classes: int, clips: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(clips, classes)).astype(np.float32)
    labels = rng.integers(0, classes, clips)
    place = (score > score[np.arange(clips), labels][:, None]).sum(axis=1)
    results = measured(score, labels, [str(c) for c in range(classes)])
    assert results["top1"] == pytest.approx((place == 0).mean())
    assert results["top5"] == pytest.approx((place < 5).mean())


def test_scores_that_say_nothing_are_no_success() -> None:
    classes = [str(c) for c in range(8)]
    assert measured(np.zeros((8, 8), np.float32), np.arange(8), classes)["top1"] == 1 / 8
    assert measured(np.zeros((8, 8), np.float32), np.arange(8), classes)["top5"] == 5 / 8
    with pytest.raises(ValueError, match="diverged"):
        measured(np.full((2, 8), np.nan, np.float32), np.arange(2), classes)


def test_two_data_sets_are_not_mixed(split: Split, make_store: Any, tiny: Pretrained, tmp_path: Path) -> None:
    other = make_store("other", [0], [0], ["a"])
    other.classes = ("something", "else")
    with pytest.raises(ValueError, match=r"\(limbs, other\) have different classes"):
        retrieval(tiny, split[0], Clips([other]), Retrieval(), tmp_path / "run", quiet)
