"""`skelstream import CHECKPOINT OUT`: one of the USDRL authors' checkpoints as a bundle. Nothing in it is executed.

Kind, sizes and layout are read off the names and shapes. What a checkpoint does not say is asked for (modality) or told
on stderr. Its weights have seen joints that the authors' scripts prepared (NTU RGB+D: each frame about the first
person's SpineMid, turned upright), so the bundle's graph leaves joints as given: normalisation "none".
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor

from ..encoder.checkpoint import encoder_of, load_backbone, read_checkpoint
from ..encoder.config import AnyEncoderConfig, Modality, Task, layout_of
from ..encoder.deployed import Deployed
from ..encoder.detector import Detector
from ..encoder.export import save_bundle
from ..encoder.recogniser import Recogniser
from ..encoder.representer import Representer
from .said import say

HeadTask = Literal["recognise", "detect"]
_PKU_MMD = 52  # 51 actions and the background: the only head of the authors' that is trained frame by frame


def import_checkpoint(
    path: Path, out: Path, *, modality: Literal["joint", "motion", "bone"] = "joint", task: HeadTask | None = None
) -> int:
    """Read the checkpoint at `path` and write the bundle `out`. Returns the exit code 0.

    A pretraining checkpoint becomes an encoder (its projectors are left out), a downstream one a recogniser or a
    detector: `task`, or else a detector if its head has 52 classes. Actions are named A1, A2, ... in the head's order.
    Raises ValueError if the file is not such a checkpoint, names what it cannot place, or if `out` is something else.
    """
    state = read_checkpoint(path)
    config = encoder_of(state)
    if layout_of(config) == "coco17" and modality != "joint":
        raise ValueError(f"the authors' 2D {modality} differs from ours (encoder/layout.py); import a joint checkpoint")
    model = _model(state, config, modality, task)
    load_backbone(model.encoder, state)
    projectors = sorted({key.split(".")[0] for key in state if "_proj." in key and not key.startswith("backbone.")})
    provenance = {"imported": path.name, "weights": "the USDRL authors' (FoundSkelModel, Apache-2.0)"}
    bundle = save_bundle(model.eval(), out, provenance=provenance)
    width = f"hidden {config.hidden}, {config.layers} layers, {config.frames} frames, {layout_of(config)}"
    say(f"{bundle.directory}: {config.kind}, {width}, {modality}, task {model.config.task}")
    if model.config.classes:
        say(f"  a head of {len(model.config.classes)} classes, taken for {model.config.task} (see --task)")
    if projectors:
        say(f"  left out: {', '.join(projectors)}, which only pretraining needs")
    return 0


def _model(state: dict[str, Tensor], config: AnyEncoderConfig, modality: Modality, task: HeadTask | None) -> Deployed:
    """The model that these weights are of, with its head filled; the encoder is still as drawn."""
    weight, bias = state.get("fc.weight"), state.get("fc.bias")
    if weight is None or bias is None:
        if task is not None:
            raise ValueError(f"the checkpoint has no head (fc.weight, fc.bias); leave --task {task} away")
        return Representer(Representer.Config(encoder=config, modality=modality, normalisation="none"))
    if weight.ndim != 2 or weight.shape[1] != 2 * config.hidden or bias.shape != weight.shape[:1]:
        raise ValueError(f"the checkpoint's head is {tuple(weight.shape)}, not (K, {2 * config.hidden})")
    chosen: Task = task or ("detect" if len(weight) == _PKU_MMD else "recognise")
    names = tuple(f"A{i}" for i in range(1, len(weight) + (chosen == "recognise")))
    model: Detector | Recogniser
    if chosen == "detect":
        model = Detector(
            Detector.Config(encoder=config, classes=("background", *names), modality=modality, normalisation="none")
        )
    else:
        model = Recogniser(Recogniser.Config(encoder=config, classes=names, modality=modality, normalisation="none"))
    model.head.load_state_dict({"weight": weight, "bias": bias})
    return model
