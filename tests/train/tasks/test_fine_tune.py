"""The tasks that train the whole network, and the table of everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.config import encoder_config
from skelstream.encoder.dste import DSTE
from skelstream.train.clips import Clips
from skelstream.train.pretrained import Pretrained, load_pretrained, random_encoder, weights_digest
from skelstream.train.probes import Exact
from skelstream.train.tasks.fine_tune import FineTuning, fine_tune, from_scratch
from skelstream.train.tasks.linear import LinearProbe
from skelstream.train.tasks.retrieval import Retrieval
from skelstream.train.tasks.semi_supervised import SemiSupervised, few_labels, semi_supervised
from skelstream.train.tasks.spans import asked_places, random_spans
from skelstream.train.tasks.table import Table, table
from skelstream.train.tasks.transfer import transfer

Split = tuple[Clips, Clips]
SHORT = FineTuning(steps=25, batch=12, warmup=5, lr=3e-3, average=0.9, test_spans=2)


def quiet(_: str) -> None:
    pass


def test_fine_tuning_learns_and_leaves_what_it_started_from(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    before = weights_digest(tiny.encoder)
    results = fine_tune(tiny, *split, replace(SHORT, steps=150), tmp_path / "run", quiet)
    assert results["top1"] >= 0.75  # chance is 0.25
    assert results["labels"] == 48
    assert weights_digest(tiny.encoder) == before
    assert not tiny.encoder.training
    tuned = load_pretrained(str(tmp_path / "run"))
    assert tuned.modality == "joint"
    assert weights_digest(tuned.encoder) != before


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    config = replace(SHORT, checkpoint_every_s=0.0)
    straight = fine_tune(tiny, *split, config, tmp_path / "straight", quiet)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(tiny, *split, config, tmp_path / "stopped", _interrupted("step 20/"))
    assert not (tmp_path / "stopped" / "results.json").exists()
    said: list[str] = []
    assert fine_tune(tiny, *split, config, tmp_path / "stopped", said.append) == straight
    assert said[0] == "fine-tune: going on from step 19"

    for name in ("log.jsonl", "results.json"):
        assert (tmp_path / "stopped" / name).read_text() == (tmp_path / "straight" / name).read_text()
    one, two = (torch.load(tmp_path / run / "checkpoint.pt", weights_only=True) for run in ("straight", "stopped"))
    for part in ("encoder", "head", "model"):
        assert one[part].keys() == two[part].keys()
        assert all(torch.equal(one[part][name], two[part][name]) for name in one[part])
    scores = [np.load(tmp_path / run / "scores.npz")["probability"] for run in ("straight", "stopped")]
    assert np.array_equal(*scores)


def _interrupted(at: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if at in line:
            raise KeyboardInterrupt

    return say


def test_points_in_a_picture_are_not_turned_in_space(split: Split, tmp_path: Path) -> None:
    flat = random_encoder(DSTE.Config(hidden=16, frames=16, joints=17), seed=0)
    with pytest.raises(ValueError, match="cannot be turned"):
        fine_tune(flat, *split, SHORT, tmp_path / "run", quiet)


def test_scratch_is_the_same_run_from_seeded_random_weights(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    config = replace(SHORT, steps=3)
    scratch = from_scratch(tiny, *split, config, tmp_path / "scratch", quiet)
    fresh = random_encoder(encoder_config(asdict(tiny.encoder.config)), config.seed)
    assert fine_tune(fresh, *split, config, tmp_path / "by-hand", quiet) == scratch


def test_transfer_is_measured_against_scratch(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    results = transfer(tiny, *split, replace(SHORT, steps=3), tmp_path / "run", quiet)
    assert results["gain"] == results["transferred"]["top1"] - results["scratch"]["top1"]
    told = [json.loads((tmp_path / "run" / name / "run.json").read_text()) for name in ("transferred", "scratch")]
    assert told[0]["weights"] == weights_digest(tiny.encoder) != told[1]["weights"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.floats(0.001, 1), st.integers(0, 99))
def test_few_labels_are_exactly_so_many_and_of_every_class(labels: list[int], fraction: float, seed: int) -> None:
    every = np.array(labels)
    chosen = few_labels(every, fraction, seed)
    assert len(chosen) == len(set(chosen.tolist())) == max(round(fraction * len(every)), len(set(labels)))
    counts, there = (np.bincount(x, minlength=6) for x in (every[chosen], every))
    most = counts.max()
    assert all(counts[c] >= min(most - 1, there[c]) for c in set(labels))  # nobody has two more while others wait
    assert np.array_equal(chosen, few_labels(every, fraction, seed))
    assert set(chosen.tolist()) <= set(few_labels(every, min(1.0, 2 * fraction), seed).tolist())


def test_another_seed_draws_other_labels() -> None:
    labels = np.arange(1000) % 10
    assert not np.array_equal(few_labels(labels, 0.1, 0), few_labels(labels, 0.1, 1))


def test_semi_supervised_runs_see_only_their_labels(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    config = SemiSupervised(fractions=(0.01, 0.5), draws=2, fine_tuning=replace(SHORT, steps=3))
    results = semi_supervised(tiny, *split, config, tmp_path, quiet)
    assert results["1 %"]["labels"] == 4
    assert results["50 %"]["labels"] == 24
    draws = results["50 %"]["draws"]
    assert len(draws) == 2
    assert results["50 %"]["top1"] == pytest.approx(sum(draws) / 2)
    told = [json.loads((tmp_path / f"1-percent-draw-{d}" / "run.json").read_text())["labelled"] for d in range(2)]
    for draw, labelled in enumerate(told):
        assert labelled == few_labels(split[0].labels, 0.01, draw).tolist()


def test_clips_without_a_label_change_nothing(make_store: Callable[..., object], split: Split, tiny: Pretrained,
                                              tmp_path: Path) -> None:  # fmt: skip
    """The same labelled clips, with the other training clips' labels made wrong: bitwise the same outcome."""
    labelled = np.arange(8)
    labels = [i % 4 for i in range(72)]
    spoilt = [*labels[:8], *((label + 1) % 4 for label in labels[8:48]), *labels[48:]]
    wrong = make_store("spoilt", labels, spoilt, ["a"] * 48 + ["b"] * 24)
    train = Clips([wrong], lambda _, entry: entry.subject == "a")  # type: ignore[list-item]
    config = replace(SHORT, steps=4)
    fine_tune(tiny, *split, config, tmp_path / "right", quiet, labelled)
    fine_tune(tiny, train, split[1], config, tmp_path / "wrong", quiet, labelled)
    scores = [np.load(tmp_path / run / "scores.npz")["probability"] for run in ("right", "wrong")]
    assert np.array_equal(*scores)


def test_spans_are_the_frames_of_their_part_of_the_clip(split: Split) -> None:
    train, _ = split
    some = np.array([3, 17])
    whole = train.spans(some, np.zeros(2), np.ones(2), 16)
    assert torch.equal(whole, train.whole(some, 16))
    half = train.spans(some, np.ones(2), np.full(2, 0.5), 16)
    for clip_number, got in zip(some, half, strict=True):
        clip = train.clips[clip_number]
        frames = train.stores[0].frames[clip.start : clip.start + clip.length, 0]
        span = clip.length / 2
        at = clip.length - span + np.clip((np.arange(16) + 0.5) * span / 16 - 0.5, 0, span - 1)
        for joint, axis in ((11, 0), (4, 2)):
            expected = np.interp(at, np.arange(clip.length), frames[:, joint, axis])
            np.testing.assert_allclose(got[axis, :, joint, 0], expected, atol=1e-5)


def test_random_spans_are_seeded_and_test_spans_cover_the_clip(split: Split) -> None:
    train, _ = split
    some = np.arange(5)
    draws = [random_spans(train, some, 0.5, 16, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert asked_places(1) == [(0.0, 1.0)]
    assert asked_places(3) == [(0.0, 1.0), (0.0, 0.8), (1.0, 0.8)]
    with pytest.raises(ValueError, match="at least 1"):
        asked_places(0)


def test_one_call_makes_the_whole_table(split: Split, tiny: Pretrained, tmp_path: Path) -> None:
    few = replace(SHORT, steps=3)
    config = Table(
        linear=LinearProbe(crops=0), linear_exact=LinearProbe(solver=Exact(), crops=0),
        retrieval=Retrieval(neighbours=(1,)),
        semi_supervised=SemiSupervised(fractions=(0.1,), draws=1, fine_tuning=few), fine_tuning=few,
    )  # fmt: skip
    results = table(tiny, *split, config, tmp_path / "table", quiet)
    rows = ["linear (SGD)", "linear (exact)", "retrieval, k=1", "fine-tuned, 10 %", "fine-tuned, all"]
    assert list(results) == rows
    assert all(set(columns) == {"random", "pretrained"} for columns in results.values())
    lines = (tmp_path / "table" / "table.md").read_text().splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [f"| {row}" for row in rows]
    shown = float(lines[1].split(" | ")[2].rstrip(" |"))
    assert shown == pytest.approx(100 * results["linear (exact)"]["pretrained"]["top1"], abs=0.051)

    said: list[str] = []
    assert table(tiny, *split, config, tmp_path / "table", said.append) == results
    assert not any("step" in line for line in said)  # nothing was trained again
