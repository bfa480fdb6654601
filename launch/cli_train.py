"""The commands of `skelstream train`: pretraining, every task of the paper, and the runs of its tables by name.

A task begins with an encoder, `--start`: a folder of `train pretrain`, a bundle, or `random` (the baseline, of
`--size`). It divides its stores by a published `--protocol` (`train/protocols.py`). What is left are the fields of the
task's own settings. This file needs torch; the live path never imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from ..encoder.config import DSTEConfig, Modality, Size, STTRConfig
from ..train.ablation import Ablation, ablation
from ..train.clips import Clips
from ..train.cluster.on_ray import OnRay
from ..train.detect import Training
from ..train.native_streams import NativeStreams, native_streams
from ..train.pretrain import Pretraining, pretrain
from ..train.pretrained import Pretrained, load_pretrained, random_encoder
from ..train.protocols import protocol_of
from ..train.recipes import RECIPES, run_recipe
from ..train.splits import may_pretrain
from ..train.store import Store
from ..train.tasks.detection import DetectionTask, detect_actions, detect_actions_leaving_one_out
from ..train.tasks.early_prediction import EarlyPrediction, predict_early
from ..train.tasks.ensemble import ensemble
from ..train.tasks.few_shot import FewShot, few_shot
from ..train.tasks.fine_tune import FineTuning, fine_tune
from ..train.tasks.linear import LinearProbe, linear_probe
from ..train.tasks.retrieval import Retrieval, retrieval
from ..train.tasks.segmentation import SegmentationTask, segment_actions, segment_actions_leaving_one_out
from ..train.tasks.semi_supervised import SemiSupervised, semi_supervised
from ..train.tasks.table import Table, table
from ..train.tasks.task import Results
from ..train.tasks.transfer import transfer
from .cli_continual import continual, continual_evaluate
from .cli_sweep import COMMANDS as SWEEPS
from .said import say

C = TypeVar("C")
Kind = Literal["dste", "sttr"]
_Stores = list[Path]


@dataclass(frozen=True, kw_only=True)
class _OnClips:
    """What every task on clips is told: `start` is a folder of `train pretrain`, a bundle, or random (of `size`)."""

    stores: _Stores
    protocol: str
    start: str
    out: Path
    size: Size = "small"


_Clips = Annotated[_OnClips, tyro.conf.arg(name="")]


def pretrain_(
    *,
    stores: _Stores,
    out: Path,
    protocol: str = "",
    start: str = "",
    size: Size = "small",
    encoder: Kind = "dste",
    gap: int = 4,
    alpha: float = 0.5,
    causal: bool = False,
    where: Annotated[OnRay, tyro.conf.arg(name="")] = OnRay(),  # noqa: B008  # frozen
    config: Annotated[Pretraining, tyro.conf.arg(name="")] = Pretraining(),  # noqa: B008
) -> int:
    """Pretrain an encoder without labels (MG-FD); OUT keeps checkpoint, log and curves. Goes on where it was stopped.

    Args:
        stores: prepared stores; one that is given twice counts twice.
        protocol: of the one data set in the stores: its training part alone. Without it: everything but the people
            and views that anything here is tested on.
        start: go on from this encoder's weights, a folder of `train pretrain` or a bundle, on these stores; joints are
            normalised as --normalisation says, however the start's were.
        encoder: dste, or the paper's plain transformer sttr.
        gap: dste: every so many tokens, one keeps its own value in DSA.
        alpha: dste: CA's share of a layer's output.
        causal: a frame's features look only back, and so does its normalisation.
    """
    opened = [Store(path) for path in stores]
    shape = _encoder(encoder, size, opened, config.modality)
    if isinstance(shape, DSTEConfig):
        shape = replace(shape, gap=gap, alpha=alpha)
    config = replace(config, encoder=replace(shape, causal=causal))
    if where.ray:
        from .on_ray import pretrain_on_ray

        return pretrain_on_ray(stores, protocol, start, out, config, where)
    chosen = protocol_of(opened, protocol).train if protocol else may_pretrain
    pretrain(Clips(opened, chosen), out, config, say, load_pretrained(start) if start else None)
    return 0


def detect(
    *,
    stores: _Stores,
    out: Path,
    start: str = "random",
    where: Annotated[OnRay, tyro.conf.arg(name="")] = OnRay(),  # noqa: B008
    config: Annotated[Training, tyro.conf.arg(name="")] = Training(),  # noqa: B008
) -> int:
    """Train a detector of the shipped vocabulary and write it as a bundle, OUT/bundle. Goes on where it was stopped.

    Args:
        start: a folder of `train pretrain`, a bundle, or random.
    """
    if where.ray:
        from .on_ray import detect_on_ray

        return detect_on_ray(stores, "" if start == "random" else start, out, config, where)
    from .train import train_and_bundle

    return train_and_bundle(stores, out, config, None if start == "random" else load_pretrained(start))


def linear(
    *,
    on: _Clips,
    config: Annotated[LinearProbe, tyro.conf.arg(name="")] = LinearProbe(),  # noqa: B008
) -> int:
    """Recognition by a linear layer on the frozen encoder."""
    return _clip_task(linear_probe, on, config)


def finetune(
    *,
    on: _Clips,
    config: Annotated[FineTuning, tyro.conf.arg(name="")] = FineTuning(),  # noqa: B008
) -> int:
    """Recognition by the whole network; with --start random, supervised from scratch."""
    return _clip_task(fine_tune, on, config)


def semi(
    *,
    on: _Clips,
    config: Annotated[SemiSupervised, tyro.conf.arg(name="")] = SemiSupervised(),  # noqa: B008
) -> int:
    """Recognition with a few of the labels (1 % and 10 %)."""
    return _clip_task(semi_supervised, on, config)


def retrieve(
    *,
    on: _Clips,
    config: Annotated[Retrieval, tyro.conf.arg(name="")] = Retrieval(),  # noqa: B008
) -> int:
    """Recognition by the nearest neighbours' representations."""
    return _clip_task(retrieval, on, config)


def fewshot(
    *,
    on: _Clips,
    config: Annotated[FewShot, tyro.conf.arg(name="")] = FewShot(),  # noqa: B008
) -> int:
    """Episodes of a few classes with a few examples each."""
    return _clip_task(few_shot, on, config)


def transfer_(
    *,
    on: _Clips,
    config: Annotated[FineTuning, tyro.conf.arg(name="")] = FineTuning(),  # noqa: B008
) -> int:
    """Fine-tune what was pretrained on another data set, against the same network from scratch."""
    return _clip_task(transfer, on, config)


def table_(
    *,
    on: _Clips,
    config: Annotated[Table, tyro.conf.arg(name="")] = Table(),  # noqa: B008
) -> int:
    """All recognition tasks in one table, beside a random encoder: OUT/table.md."""
    return _clip_task(table, on, config)


def predict(
    *,
    on: _Clips,
    config: Annotated[EarlyPrediction, tyro.conf.arg(name="")] = EarlyPrediction(),  # noqa: B008
) -> int:
    """Early prediction: accuracy after the first 10 to 100 % of a clip; `random` starts causal. OUT/accuracy.png."""
    return _clip_task(predict_early, on, config, causal=True)


def ablation_(
    *,
    stores: _Stores,
    protocol: str,
    out: Path,
    config: Annotated[Ablation, tyro.conf.arg(name="")] = Ablation(),  # noqa: B008
) -> int:
    """What each part of the method is worth: short pretraining without it, then probes. OUT/ablation.png."""
    opened = [Store(path) for path in stores]
    parts = protocol_of(opened, protocol)
    ablation(Clips(opened, parts.train, actions=True), Clips(opened, parts.test, actions=True), config, out, say)
    return 0


def ensemble_(runs: tyro.conf.Positional[list[Path]], *, out: Path) -> int:
    """The streams of several finished runs (joint, motion, bone) together."""
    ensemble(runs, out, say)
    return 0


def actions(
    *,
    stores: _Stores,
    start: str,
    out: Path,
    protocol: str = "",
    size: Size = "small",
    config: Annotated[DetectionTask, tyro.conf.arg(name="")] = DetectionTask(),  # noqa: B008
) -> int:
    """Action detection with a data set's own classes, by PKU-MMD's protocol.

    Args:
        protocol: of the data set; without it each person is left out once.
    """
    return _dense_task(detect_actions, detect_actions_leaving_one_out, stores, protocol, start, out, size, config)


def segment(
    *,
    stores: _Stores,
    start: str,
    out: Path,
    protocol: str = "",
    size: Size = "small",
    config: Annotated[SegmentationTask, tyro.conf.arg(name="")] = SegmentationTask(),  # noqa: B008
) -> int:
    """Segmentation of whole sequences: frame accuracy, edit score, F1@10, 25, 50.

    Args:
        protocol: of the data set; without it each person is left out once.
    """
    return _dense_task(segment_actions, segment_actions_leaving_one_out, stores, protocol, start, out, size, config)


_QUICK_PRETRAINING = Pretraining(batch=64, epochs=30, lr=2e-3, schedule="cosine", warmup=20)
_QUICK_TRAINING = Training(steps=1200)


def pipeline_(
    dataset: tyro.conf.Positional[str],
    *,
    raw: Path,
    out: Path,
    targets: tuple[str, ...] = ("openvino",),
    where: Annotated[OnRay, tyro.conf.arg(name="")] = OnRay(),  # noqa: B008
    pretraining: Pretraining = _QUICK_PRETRAINING,
    training: Training = _QUICK_TRAINING,
) -> int:
    """From raw files to a compiled detector: prepare, pretrain, fine-tune, evaluate, compile. Goes on if stopped.

    Args:
        dataset: its name, as nw-ucla; one that the detector's vocabulary has words for.
        raw: the folder that holds the set's own files, or DATASET.npz.
        out: the folder to write; then `skelstream live --model OUT`.
        targets: BACKEND or BACKEND:PRECISION: openvino, tensorrt:fp16, ...
    """
    from .pipeline import pipeline

    return pipeline(dataset, raw, out, where, pretraining, training, targets)


def recipe(
    name: tyro.conf.Positional[str] = "",
    *,
    data: tuple[Path, ...] = (),
    out: Path = Path("runs"),
    start: str = "",
    size: Size = "base",
) -> int:
    """One row of the paper's tables: pretrain (unless --start gives what was pretrained), then the task.

    Args:
        name: as `ntu60-xsub-linear`; without it all are listed.
        data: the store of the recipe's data set (and, for a transfer, that of the set that is pretrained on first).
    """
    if not name:
        for known in RECIPES.values():
            print(f"{known.name:38} {known.figures}")
        return 0
    if name not in RECIPES:
        near = [known for known in RECIPES if known.startswith(name.partition("-")[0])] or list(RECIPES)
        raise ValueError(f"no recipe {name!r}; there are {', '.join(near[:12])} ... (`skelstream train recipe` lists)")
    run_recipe(RECIPES[name], [Store(path) for path in data], out / name, size, start, say)
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "pretrain": pretrain_, "detect": detect, "linear": linear, "finetune": finetune, "semi": semi,
    "retrieve": retrieve, "fewshot": fewshot, "transfer": transfer_, "table": table_, "ensemble": ensemble_,
    "predict": predict, "ablation": ablation_, "actions": actions, "segment": segment, "recipe": recipe,
    "continual": continual, "continual-evaluate": continual_evaluate, "pipeline": pipeline_, **SWEEPS,
}  # fmt: skip


def _clip_task(
    task: Callable[[Pretrained, Clips, Clips, C, Path, Callable[[str], None]], Results],
    on: _OnClips, config: C, *, causal: bool = False,
) -> int:  # fmt: skip
    opened = [Store(path) for path in on.stores]
    parts = protocol_of(opened, on.protocol)
    train, test = (Clips(opened, part, actions=True) for part in (parts.train, parts.test))
    task(_start(on.start, on.size, opened, causal), train, test, config, on.out, say)
    say(f"{on.out}/results.json")
    return 0


def _dense_task(
    task: Callable[[Pretrained, NativeStreams, NativeStreams, C, Path, Callable[[str], None]], Results],
    leaving_one_out: Callable[[Pretrained, NativeStreams, C, Path, Callable[[str], None]], Results],
    stores: Sequence[Path], named: str, start: str, out: Path, size: Size, config: C,
) -> int:  # fmt: skip
    opened = [Store(path) for path in stores]
    encoder = _start(start, size, opened, False)
    if named:
        parts = protocol_of(opened, named)
        task(encoder, native_streams(opened, parts.train), native_streams(opened, parts.test), config, out, say)
    else:
        leaving_one_out(encoder, native_streams(opened), config, out, say)
    say(f"{out}/results.json")
    return 0


def _start(start: str, size: Size, stores: Sequence[Store], causal: bool) -> Pretrained:
    if start != "random":
        return load_pretrained(start)
    return random_encoder(replace(_encoder("dste", size, stores, "joint"), causal=causal), seed=0)


def _encoder(kind: Kind, size: Size, stores: Sequence[Store], modality: Modality) -> DSTEConfig | STTRConfig:
    config = DSTEConfig.named(size) if kind == "dste" else STTRConfig.named(size)
    joints = {store.frames.shape[2] for store in stores}
    if len(joints) != 1:
        raise ValueError("the stores' joints differ, or no store is given; give stores of one layout")
    return replace(config, joints=joints.pop(), multimodal=modality == "joint+motion+bone")
