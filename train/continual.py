"""Train a continual detector on the streams that the windowed one is trained on, in sequences of several reaches.

    skelstream train continual --stores STORES/* --out runs/continual --start small

Cross-entropy a frame and the smoothness term, AdamW, a cosine and averaged weights, as in `detect.py`; the output at
frame t is held against the label of frame t - `delay`. A sequence begins with nothing remembered, as somebody's stream
does who has just come into view.

Shapes: B batch, C coordinate, T frame, V joint, M person, K class.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..encoder.continual import Continual, ContinualConfig
from ..encoder.continual_start import begun_as
from ..encoder.detector import Detector
from .augment import augment
from .device import Precision, described, device_of, encoded
from .loop import Say, follow
from .objectives.smoothness import smoothness_loss
from .optimisation import adamw, copy_of_weights, follow_weights, warmed_cosine
from .pretrained import weights_digest
from .run_folder import RunFolder
from .sampler import WindowSampler
from .store import Store
from .streams import Stream, streams_of
from .vocabulary import CLASSES, IGNORE

SHAPE = ContinualConfig(classes=CLASSES)


@dataclass(frozen=True, kw_only=True)
class ContinualTraining:
    """How to train. `steps` batches of `batch` sequences of `frames`; the rest as in `detect.Training`."""

    steps: int = 1000
    batch: int = 24
    frames: int = 192
    lr: float = 5e-4
    weight_decay: float = 0.02
    warmup: int = 50
    label_smoothing: float = 0.05
    smoothing: float = 0.15
    average: float = 0.995
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every_s: float = 300.0


def train_continual(
    stores: Sequence[Store], out: Path, config: ContinualTraining, say: Say, start: Detector | None = None,
    shape: ContinualConfig = SHAPE,
) -> ContinualRun:  # fmt: skip
    """Train on the training people of the stores to the end; checkpoint, log and curves go to the folder `out`.

    Raises ValueError if no store holds training people, `start` does not fit, or `out` holds a run with other settings.
    """
    run = ContinualRun(stores, config, start, shape)
    validation = streams_of(stores, ("val",))

    def tell() -> None:
        if validation:
            say(f"  frame accuracy on the validation people: {accuracy(run.averaged(), validation):.3f}")

    settings = {
        "config": asdict(config),
        "model": asdict(run.model.config),
        "stores": sorted(f"{s.dataset}: {s.source}, {len(s.frames)} frames" for s in stores),
        "start": run.start,
    }
    with RunFolder(out, settings) as folder:
        follow(run, folder, say, checkpoint_every_s=config.checkpoint_every_s, at_checkpoint=tell)
        folder.finish(run.results())
    return run


class ContinualRun:
    """Everything that changes while training, and one step of it (a `loop.TrainingRun`), on the CPU.

    Raises ValueError if no store holds training people, `start` does not fit, or sequences are not longer than the
    delay.
    """

    steps_an_epoch = None  # sequences are drawn anew for ever

    def __init__(
        self, stores: Sequence[Store], config: ContinualTraining, start: Detector | None = None,
        shape: ContinualConfig = SHAPE,
    ) -> None:  # fmt: skip
        torch.manual_seed(config.seed)
        self.stores, self.config = stores, config
        self.model = (Continual(shape) if start is None else begun_as(start, shape)).train()
        self.start = "random" if start is None else weights_digest(start)
        streams = streams_of(stores, ("train",))
        self.sampler = SequenceSampler(streams, frames=config.frames, delay=self.model.delay)
        self.optimizer = adamw(self.model, lr=config.lr, weight_decay=config.weight_decay)
        self.average = copy_of_weights(self.model)
        self.step, self.total = 0, config.steps
        self.seconds = 0.0

    @property
    def batch(self) -> int:
        """Sequences a step."""
        return self.config.batch

    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        """Train to the end; after each step its loss."""
        began, before = time.monotonic(), self.seconds
        while self.step < self.total:
            loss = self.advance()
            self.seconds = before + time.monotonic() - began
            yield {"loss": loss}

    def advance(self) -> Tensor:
        """One optimiser step; the batch's loss."""
        # Seeded by the step alone, so that a resumed run draws what the uninterrupted one would have drawn.
        seed = self.config.seed * 1_000_003 + self.step
        joints_BCTVM, labels_BT = self.sampler.draw(np.random.default_rng((self.config.seed, self.step)), self.batch)
        varied_BCTVM = augment(joints_BCTVM, torch.Generator().manual_seed(seed))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(seed + 1)  # DropPath draws from the global generator
        loss = self.loss(varied_BCTVM, labels_BT)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        follow_weights(self.average, self.model, self.config.average, self.step)
        return loss.detach()

    def loss(self, varied_BCTVM: Tensor, labels_BT: Tensor) -> Tensor:
        """Each output against the label of `delay` frames before; a scalar to differentiate."""
        model, delay = self.model, self.model.delay
        with torch.no_grad():
            prepared_BCTVM = model.prepared(varied_BCTVM)
        logits_BTK: Tensor = model.head(encoded(model.features, self.config.precision, prepared_BCTVM))
        told_BTK, truth_BT = logits_BTK[:, delay:], labels_BT[:, : labels_BT.shape[1] - delay]
        truth = F.cross_entropy(
            told_BTK.flatten(0, 1), truth_BT.flatten(), ignore_index=IGNORE,
            label_smoothing=self.config.label_smoothing, reduction="sum",
        )  # fmt: skip
        smoothness = smoothness_loss(told_BTK.log_softmax(-1))
        return truth / (truth_BT != IGNORE).sum().clamp(min=1) + self.config.smoothing * smoothness

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.config.lr * warmed_cosine(step, self.config.steps, self.config.warmup)

    def averaged(self) -> Continual:
        """A copy of the model with the averaged weights, for use."""
        copy = Continual(self.model.config)
        copy.load_state_dict(self.average)
        return copy.eval()

    def provenance(self) -> dict[str, Any]:
        """Where the weights come from."""
        return {
            "training": asdict(self.config),
            "start": self.start,
            "minutes": round(self.seconds / 60, 1),
            "data": sorted({f"{s.dataset} ({s.source}): {s.licence}" for s in self.stores}),
        }

    def results(self) -> dict[str, Any]:
        """What is told of a run that has ended."""
        return {"seconds": round(self.seconds, 1), "steps": self.step, "device": described(device_of(self.model))}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain containers and tensors."""
        return {
            "step": self.step, "seconds": self.seconds, "weights": self.model.state_dict(), "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step, self.seconds, self.average = state["step"], state["seconds"], dict(state["average"])
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])


class SequenceSampler(WindowSampler):
    """Draws sequences as `WindowSampler` draws windows, but longer, and with what a delay needs.

    A sequence may run past its stream's end, where the last frame is repeated without a label: the answers to the last
    frames come there. Past the end by more than the delay it runs only where the stream is shorter than the sequence.
    """

    def __init__(self, streams: Sequence[Stream], *, frames: int, delay: int) -> None:
        super().__init__(streams)
        if frames <= delay:
            raise ValueError(f"sequences of {frames} frames answer nothing at a delay of {delay}; give longer ones")
        self.frames, self.delay = frames, delay

    def draw(self, rng: np.random.Generator, batch: int) -> tuple[Tensor, Tensor]:
        """Joints (B, 3, T, 25, 2) float32 and labels (B, T) int64."""
        classes = rng.choice(len(CLASSES), batch, p=self._class_share)
        anchor = np.array([self._frames_of[k][rng.integers(len(self._frames_of[k]))] for k in classes])
        slowest, fastest = np.log(self.speed)
        speed = np.exp(rng.uniform(slowest, fastest, batch))[:, None]
        # Where the anchor falls: anywhere that is answered, but more often late, where much is remembered.
        latest = self.frames - 1 - self.delay
        place = rng.triangular(0, latest, latest + 1, batch)[:, None]
        at = anchor[:, None] + (np.arange(self.frames)[None, :] - place) * speed
        first, last = self.start[anchor][:, None], self.end[anchor][:, None] - 1
        at += np.minimum(last + self.delay * speed - at[:, -1:], 0)
        at += np.maximum(first - at[:, :1], 0)
        joints_BTMVC, labels_BT = self._at(np.minimum(at, last))
        labels_BT[at >= last + 0.5] = IGNORE  # what shows the last frame for one that is not there
        return torch.from_numpy(joints_BTMVC).permute(0, 4, 1, 3, 2).contiguous(), torch.from_numpy(labels_BT)


def probabilities(model: Continual, joints_TMVC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (T, K) of every frame of a stream, each as said `delay` frames later. Past the end the last frame
    is repeated, as a live system would to have its last answers."""
    after = np.repeat(joints_TMVC[-1:], model.delay, axis=0)
    joints_CTVM = torch.from_numpy(np.concatenate((joints_TMVC, after))).permute(3, 0, 2, 1)
    with torch.inference_mode():
        said_TK: NDArray[np.float32] = model(joints_CTVM[None])[0, model.delay :].softmax(-1).numpy()
    return said_TK


def accuracy(model: Continual, streams: Sequence[Stream]) -> float:
    """The share of frames whose most probable class is right."""
    right = counted = 0
    for stream in streams:
        labels = np.asarray(stream.labels)
        matters = labels != IGNORE
        right += int((probabilities(model, stream.joints).argmax(axis=1) == labels)[matters].sum())
        counted += int(matters.sum())
    return right / max(counted, 1)
