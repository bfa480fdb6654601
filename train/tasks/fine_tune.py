"""Recognition by the whole network: fine-tuned from pretrained weights, or trained from random ones.

A random span of each clip, turned about the vertical, is learnt from with AdamW; the weights kept are an exponential
average. A test clip is asked about in several spans, whose probabilities are averaged. The data, what is done to them
and DropPath are decided by the seed and the step alone, so that a run that was killed goes on as if it had not been.
`load_pretrained` takes the run folder: the encoder is under the same key as a pretraining run's.
Shapes: B batch, N clip, C coordinate, T frame, V joint, M person, K class.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...encoder.config import encoder_config, layout_of
from ...encoder.modality import MODALITIES
from ...encoder.normalise import normalise
from ...encoder.recogniser import Recogniser
from ..clips import Clips
from ..device import Precision, device_of, encoded, training_device
from ..dice import Dice
from ..pretrained import Pretrained
from ..run_folder import RunFolder
from ..views import Views
from .scores import measured, save_scores
from .spans import asked_places, random_spans
from .task import Results, Say, finished, random_twin, settings, shared_classes

F32 = NDArray[np.float32]
Indices = NDArray[np.integer]
_BATCH = 128  # of test clips
_LOG_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How to fine-tune: `steps` batches, whatever the number of labels, as a few labels must not mean a few steps.

    `shortest_span`: the least share of a clip that is learnt from. `test_spans`: the whole clip and so many less one
    parts of it. `precision` is the encoder's (`device.py`). The paper does not name its settings; these are the usual
    ones for transformers on small sets.
    """

    steps: int = 1500
    batch: int = 64
    lr: float = 5e-4
    weight_decay: float = 0.05
    warmup: int = 50
    label_smoothing: float = 0.1
    average: float = 0.99
    shortest_span: float = 0.5
    views: Views = field(default_factory=lambda: Views(corruption=False, shear=False, yaw_deg=30.0))
    test_spans: int = 5
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.test_spans) < 1 or self.lr <= 0:
            raise ValueError("steps, batch and test_spans must be at least 1, and lr above 0")
        if not 0 < self.shortest_span <= 1 or not 0 <= self.average < 1:
            raise ValueError("shortest_span must lie above 0 and up to 1, average in 0..1, below 1")


def fine_tune(
    pretrained: Pretrained, train: Clips, test: Clips, config: FineTuning, out: Path, say: Say,
    labelled: Indices | None = None,
) -> Results:  # fmt: skip
    """Train all weights on `train` (or its `labelled` clips alone), then top-1, top-5 and confusion on `test`.

    `pretrained` itself stays as it is. `out` keeps checkpoint, log, curves and scores; the same call goes on from
    them. Raises ValueError if `out` holds a run with other settings.
    """
    classes = shared_classes(train, test)
    chosen = np.arange(len(train)) if labelled is None else labelled
    told = {**settings("fine-tune", pretrained, train, test, config), "labelled": chosen.tolist()}
    with RunFolder(out, told) as folder:
        if (before := finished(out)) is not None:
            return before
        run = FineTuningRun(pretrained, train, chosen, classes, config)
        if (state := folder.load()) is not None:
            run.load_state_dict(state)
            say(f"fine-tune: going on from step {run.step}")
        saved, began, first = time.monotonic(), time.monotonic(), run.step
        while run.step < config.steps:
            loss, accuracy = run.advance()
            if run.step % _LOG_EVERY == 0 or run.step == config.steps:
                folder.log(run.step, loss=loss, accuracy=accuracy, lr=run.rate(run.step - 1))
                left_min = (time.monotonic() - began) / (run.step - first) * (config.steps - run.step) / 60
                say(f"fine-tune: step {run.step}/{config.steps}  loss {loss:.3f}  {left_min:.0f} min left")
            if time.monotonic() - saved > config.checkpoint_every_s or run.step == config.steps:
                folder.save(run.state_dict())
                saved = time.monotonic()
        probability_NK = predicted(run.average, test, config.test_spans, config.precision)
        results = {**measured(probability_NK, test.labels, classes), "labels": len(chosen)}
        save_scores(out, probability_NK, test.labels)
        folder.finish(results)
    say(f"fine-tune: top-1 {results['top1']:.3f}")
    return results


def from_scratch(pretrained: Pretrained, train: Clips, test: Clips, config: FineTuning, out: Path, say: Say) -> Results:
    """The same from random weights of the same encoder (drawn by `config.seed`): what pretraining is measured by."""
    return fine_tune(random_twin(pretrained, config.seed), train, test, config, out, say)


def predicted(recogniser: Recogniser, clips: Clips, spans: int, precision: Precision = "auto") -> F32:
    """Class probabilities (N, K) of clips, each the mean over its spans."""
    device, parts = device_of(recogniser), []
    with torch.inference_mode():
        for start in range(0, len(clips), _BATCH):
            some = np.arange(start, min(start + _BATCH, len(clips)))
            total_BK = torch.zeros(len(some), len(recogniser.config.classes), device=device)
            for place, share in asked_places(spans):
                where = np.full(len(some), place), np.full(len(some), share)
                joints_BCTVM = clips.spans(some, *where, recogniser.encoder.config.frames).to(device)
                total_BK += logits(recogniser, recogniser.prepared(joints_BCTVM), precision).softmax(dim=1)
            parts.append((total_BK / spans).cpu().numpy())
    return np.concatenate(parts)


def logits(recogniser: Recogniser, prepared_BCTVM: Tensor, precision: Precision) -> Tensor:
    """The recogniser's logits (B, K) of what its encoder is given; the head is computed in float32."""
    logits_BK: Tensor = recogniser.head(encoded(recogniser.encoder.clip, precision, prepared_BCTVM))
    return logits_BK


class FineTuningRun:
    """Everything that changes while fine-tuning, and one step of it, on `device` (default: `training_device()`).

    `average` is what comes out, in eval mode.
    """

    def __init__(
        self, pretrained: Pretrained, clips: Clips, labelled: Indices, classes: tuple[str, ...], config: FineTuning,
        device: torch.device | None = None,
    ) -> None:  # fmt: skip
        encoder, modality = encoder_config(asdict(pretrained.encoder.config)), pretrained.modality
        if layout_of(encoder) == "coco17" and (config.views.yaw_deg or config.views.shear):
            raise ValueError("points in a picture cannot be turned or sheared in space; set views.yaw_deg 0, no shear")
        torch.manual_seed(config.seed)
        self.clips, self.labelled, self.config = clips, labelled, config
        self.labels_N = torch.from_numpy(clips.labels)
        whole = Recogniser.Config(
            encoder=encoder, classes=classes, modality=modality, normalisation=pretrained.normalisation
        )
        self.model = Recogniser(whole).train()
        self.model.encoder.load_state_dict(pretrained.encoder.state_dict())
        self.model.to(device or training_device())
        self.average = copy.deepcopy(self.model).eval()
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=config.lr,
        )
        self.step = 0

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """The spans (B, 3, T, V, M), metres, and labels (B,) of a step; epochs follow one another without a seam."""
        c, n = self.config, len(self.labelled)
        epoch_B, place_B = np.divmod(np.arange(step * c.batch, (step + 1) * c.batch), n)
        order = {int(e): np.random.default_rng((c.seed, 0, int(e))).permutation(n) for e in np.unique(epoch_B)}
        some = self.labelled[[order[e][p] for e, p in zip(epoch_B.tolist(), place_B.tolist(), strict=True)]]
        rng = np.random.default_rng((c.seed, 1, step))
        frames = self.model.encoder.config.frames
        return random_spans(self.clips, some, c.shortest_span, frames, rng), self.labels_N[some]

    def advance(self) -> tuple[float, float]:
        """One optimiser step; its batch's loss and accuracy."""
        c = self.config
        seed = c.seed * 1_000_003 + self.step
        torch.manual_seed(seed)  # DropPath draws from the global generator
        loss, accuracy = self.loss(*self.draw(self.step), torch.Generator().manual_seed(seed))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(c.average, (self.step + 1) / (self.step + 10))  # at first the average is young
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(new, 1 - keep)
        return float(loss.detach()), float(accuracy)

    def loss(self, joints_BCTVM: Tensor, labels_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss, a scalar to differentiate, and the accuracy of drawn spans (B, 3, T, V, M), each seen in a view."""
        c, told, device = self.config, self.model.config, device_of(self.model)
        joints_BCTVM, labels_B = joints_BCTVM.to(device), labels_B.to(device)
        dice = Dice.whole(generator, len(joints_BCTVM))
        viewed = c.views(normalise(joints_BCTVM, told.normalisation), dice)
        logits_BK = logits(self.model, MODALITIES[told.modality](viewed), c.precision)
        loss = F.cross_entropy(logits_BK, labels_B, label_smoothing=c.label_smoothing)
        return loss, (logits_BK.argmax(dim=1) == labels_B).float().mean()

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, then half a cosine down to a hundredth."""
        c = self.config
        if step < c.warmup:
            return c.lr * (step + 1) / c.warmup
        done = (step - c.warmup) / max(c.steps - c.warmup, 1)
        return c.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1.0))) / 2)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain containers and tensors."""
        return {
            "step": self.step, "encoder": self.average.encoder.state_dict(), "head": self.average.head.state_dict(),
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "config": asdict(self.model.encoder.config), "modality": self.model.config.modality,
            "normalisation": self.model.config.normalisation,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step = state["step"]
        self.average.encoder.load_state_dict(state["encoder"])
        self.average.head.load_state_dict(state["head"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
