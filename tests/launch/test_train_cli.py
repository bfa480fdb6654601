"""`skelstream train ...`: a tiny run of every command, from stores to results, and what it says of wrong requests."""

import json
from pathlib import Path

import numpy as np
import pytest

from skelstream.launch.cli import main
from skelstream.train.pretrained import load_pretrained
from skelstream.train.recipes import RECIPES
from skelstream.train.recording import Recording
from skelstream.train.store import write_store

CLIPS = ("a", "b", "c")


def recording(rng: np.random.Generator, name: str, subject: str, view: str, label: int | None) -> Recording:
    """A person who moves one of three limbs, or (no label) each after the other with rest between."""
    frames = 40 if label is not None else 240
    t = np.arange(frames) / 30
    labels = np.full(frames, label) if label is not None else np.repeat([0, 1, 0, 2], 60)
    joints = np.tile(rng.normal(0, 0.3, (25, 3)), (frames, 1, 1))
    joints[:, 0], joints[:, 20] = (0, 0, 0), (0, 0.5, 0)
    for k in range(3):
        joints[:, 4 + 4 * k : 8 + 4 * k, 1] += (0.4 * np.sin(9 * t) * (labels == k))[:, None]
    joints += (0, 0.1, 3)
    return Recording(
        name=name, subject=subject, view=view, trimmed=label is not None, times_s=t,
        joints=joints.astype(np.float32)[:, None], labels=labels.astype(np.int16),
    )  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trimmed store with NW-UCLA's views, an untrimmed one with UTKinect's people, and a pretrained encoder."""
    work, rng = tmp_path_factory.mktemp("train"), np.random.default_rng(0)
    clips = [
        recording(rng, f"nw_ucla/{i}", f"nw_ucla/{1 + i % 4}", str(1 + i % 3), i // 3 % 3) for i in range(36)
    ]  # fmt: skip
    streams = [recording(rng, f"utkinect/{i}", f"utkinect/{i % 4 + 1}", "", None) for i in range(4)]
    for name, recordings, classes in (
        ("nw_ucla", clips, CLIPS), ("utkinect", streams, ("background", "b", "c")),
    ):  # fmt: skip
        write_store(work / name, recordings, dataset=name, classes=classes, licence="ours", source="recorded")
    assert run(work, "pretrain --stores {w}/nw_ucla --protocol xview --epochs 1 --batch 8 --out {w}/encoder") == 0
    return work


def run(work: Path, line: str) -> int:
    return main(["train", *line.format(w=work).split()])


ON_CLIPS = "--stores {w}/nw_ucla --protocol xview --start {w}/encoder"


@pytest.mark.parametrize(
    ("line", "measure"),
    [
        (f"linear {ON_CLIPS} --crops 1", "top1"),
        (f"linear {ON_CLIPS} --crops 0 solver:exact", "top1"),
        (f"retrieve {ON_CLIPS} --neighbours 1", "k=1"),
        (f"finetune {ON_CLIPS} --steps 2 --batch 6 --test-spans 1", "top1"),
        (f"semi {ON_CLIPS} --fractions 0.5 --draws 1 --fine-tuning.steps 2 --fine-tuning.batch 6", None),
        (f"fewshot {ON_CLIPS} --ways 2 --queries 2 --episodes 5", None),
        (f"predict {ON_CLIPS} --training.epochs 1 --training.batch 8 --ratios 0.5 1.0", "accuracy"),
        ("actions --stores {w}/utkinect --protocol loso-1 --start random --training.epochs 1 --training.batch 8",
         "plain"),
        ("segment --stores {w}/utkinect --protocol loso-1 --start {w}/encoder --training.epochs 1 --training.batch 8 "
         "--training.frozen", "frame_accuracy"),
    ],
)  # fmt: skip
def test_every_task_runs_and_a_finished_one_is_not_done_again(
    work: Path, tmp_path: Path, line: str, measure: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(work, f"{line.partition(' solver:')[0]} --out {out}{''.join(line.partition(' solver:')[1:])}") == 0
    told = [json.loads(path.read_text()) for path in sorted(out.rglob("results.json"))]
    assert told
    if measure is not None:
        assert any(measure in results for results in told), told
    assert run(work, f"{line.partition(' solver:')[0]} --out {out}{''.join(line.partition(' solver:')[1:])}") == 0
    assert [json.loads(path.read_text()) for path in sorted(out.rglob("results.json"))] == told


def test_an_ensemble_of_two_runs(work: Path, tmp_path: Path) -> None:
    for crops in (0, 1):
        assert run(work, f"linear {ON_CLIPS} --crops {crops} --out {tmp_path}/{crops}") == 0
    assert run(work, f"ensemble {tmp_path}/0 {tmp_path}/1 --out {tmp_path}/both") == 0
    assert 0 <= json.loads((tmp_path / "both" / "results.json").read_text())["top1"] <= 1


@pytest.mark.slow  # eight small runs
def test_an_ablation_has_a_figure_for_every_part(work: Path, tmp_path: Path) -> None:
    line = f"ablation --stores {{w}}/nw_ucla --protocol xview --hidden 8 --epochs 1 --batch 12 --out {tmp_path}/run"
    assert run(work, line) == 0
    told = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {"random encoder", "all parts", "CA alone", "DSA alone", "without instance domain"} <= set(told)
    assert all(0 <= found["linear"][0] <= 1 and 0 <= found["neighbour"][0] <= 1 for found in told.values())
    assert (tmp_path / "run" / "ablation.png").read_bytes()[:4] == b"\x89PNG"
    assert len((tmp_path / "run" / "table.md").read_text().splitlines()) == 2 + len(told)


def test_one_encoder_learns_joint_motion_and_bone(work: Path) -> None:
    line = "pretrain --modality joint+motion+bone --stores {w}/nw_ucla --epochs 1 --batch 16 --out {w}/together"
    assert run(work, line) == 0
    assert load_pretrained(str(work / "together")).modality == "joint+motion+bone"


@pytest.mark.slow  # its bundle is calibrated and compiled
def test_a_detector_starts_from_what_was_pretrained(work: Path, tmp_path: Path) -> None:
    line = "detect --stores {w}/utkinect --steps 2 --batch 4 --out " + str(tmp_path / "run")
    assert run(work, f"{line} --start {{w}}/encoder") == 0
    assert (tmp_path / "run" / "bundle" / "model.onnx").is_file()
    assert run(work, line) == 2  # the same folder from random weights would be another run


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("linear --stores {w}/nw_ucla --protocol loso-1 --start random --out {w}/x", "it has xview, xsub"),
        ("linear --stores {w}/nw_ucla {w}/utkinect --protocol xview --start random --out {w}/x", "divides one data"),
        ("linear --stores {w}/nothing --protocol xview --start random --out {w}/x", "is no store"),
        ("actions --stores {w}/nw_ucla --protocol xview --start random --out {w}/x", "has no background"),
        ("pretrain --stores {w}/nw_ucla --out {w}/x", "smaller --batch"),
        ("recipe nw_ucla-xview-linear --data {w}/nw_ucla --out {w}/x", "the published protocol 1019 and 463"),
        ("recipe ntu60-xsub-linear --data {w}/nw_ucla --out {w}/x", "needs a store of ntu60"),
        ("recipe ntu60-linear", "no recipe"),
    ],
)
def test_a_wrong_request_gets_one_clear_line(
    work: Path, line: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(work, line) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and complaint in told[0], told
    assert not (work / "x").exists()


def test_recipes_are_listed_with_the_papers_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "recipe"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == len(RECIPES) == len(set(RECIPES))
    assert any(row.split() == ["ntu60-xsub-linear", "joint", "85.2"] for row in rows)
