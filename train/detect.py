"""Train a dense detector, frame by frame, on prepared stores.

    skelstream train detect --stores STORES/* --out runs/small --size small --steps 3000

Supervised from the start: cross-entropy a frame over the vocabulary (USDRL's detection protocol, with AdamW and a
cosine schedule instead of its SGD because runs here are short), and a term that keeps neighbouring frames together
(`objectives/smoothness.py`), without which one action comes out in pieces. The weights kept are an exponential average
of those of the last steps. A checkpoint is written every few minutes; the same command goes on from it.

Shapes: B batch, T frame, K class.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder.config import Size, encoder_config, suited_normalisation
from ..encoder.detector import Detector
from ..encoder.drop_path import rows_of_batch
from ..encoder.dste import DSTE
from .augment import augment
from .device import Precision, described, device_of, encoded, training_device
from .loop import Say, follow
from .objectives.smoothness import smoothness_loss
from .optimisation import adamw, copy_of_weights, follow_weights, warmed_cosine
from .pretrained import Pretrained, random_encoder, weights_digest
from .run_folder import RunFolder
from .sampler import WindowSampler
from .store import Store
from .streams import Stream, streams_of
from .vocabulary import CLASSES, IGNORE
from .workers import ALONE, Workers

NEWEST = 24  # frames: the decoder's delay, and what events take to be believed


@dataclass(frozen=True, kw_only=True)
class Training:
    """How to train. `steps` batches of `batch` windows; `seed` decides everything random.

    `smoothing` is the weight of the term between neighbouring frames; 0.15 is MS-TCN's.
    `newest` is how much more than the others the newest `NEWEST` frames of a window count: live, they alone are read.
    `without`: classes that are left out, whose frames teach nothing: what an answer of `unknown` is tested with.
    `causal` makes the encoder look only back, whatever it began as.
    `freeze_encoder` leaves the encoder as it was drawn and trains the head alone: the baseline of a random encoder.
    `precision` is the encoder's (`device.py`). `pieces_of`: compute at most so many windows of a batch at a time, to
    save memory (0: a worker's whole share at once); it changes nothing else.
    """

    size: Size = "small"
    steps: int = 3000
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 50
    label_smoothing: float = 0.05
    smoothing: float = 0.15
    newest: float = 3.0
    average: float = 0.995
    seed: int = 0
    without: tuple[str, ...] = ()
    causal: bool = False
    freeze_encoder: bool = False
    pieces_of: int = 0
    precision: Precision = "auto"
    checkpoint_every_s: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A detector on the CPU, in evaluation mode, and the provenance of its weights."""

    detector: Detector
    provenance: dict[str, Any]


def train_detector(
    stores: Sequence[Store], out: Path, config: Training, say: Say, start: Pretrained | None = None
) -> Trained:
    """Train on the training subjects of the stores; checkpoint, log and curves go to the folder `out`.

    The encoder begins as that of `start`, whose size then counts, or else as it is drawn. Raises ValueError if no
    store holds training subjects, `start` is no encoder for it, or `out` holds a run with other settings.
    """
    run = DetectorRun(stores, config, start)
    validation = streams_of({store.path: store for store in stores}.values(), ("val",))

    def right() -> float:
        return frame_accuracy(run.averaged().to(run.device), validation, precision=config.precision)

    def tell() -> None:
        if validation:
            say(f"  frame accuracy on the validation people: {right():.3f}")

    with RunFolder(out, run_settings(stores, config, start)) as folder:
        follow(run, folder, say, checkpoint_every_s=config.checkpoint_every_s, at_checkpoint=tell)
        folder.finish({**run.results(), **({"validation_frame_accuracy": right()} if validation else {})})
    return trained(run)


def run_settings(stores: Sequence[Store], config: Training, start: Pretrained | None) -> dict[str, Any]:
    """What makes two runs the same run."""
    return {
        "config": asdict(config),
        "stores": sorted(f"{s.dataset}: {s.source}, {len(s.frames)} frames" for s in stores),
        "start": "random" if start is None else weights_digest(start.encoder),
    }


def trained(run: DetectorRun) -> Trained:
    """What has come of a run so far."""
    return Trained(detector=run.averaged(), provenance=run.provenance())


class DetectorRun:
    """Everything that changes while training, and one step of it, on `device` (default: `training_device()`).

    `workers` divide each batch: all of them draw it and vary it, which costs little, and each learns from its share.
    Raises ValueError if no store holds training subjects, or a batch has fewer windows than there are workers.
    """

    steps_an_epoch = None  # windows are drawn anew for ever

    def __init__(
        self, stores: Sequence[Store], config: Training, start: Pretrained | None = None,
        device: torch.device | None = None, workers: Workers = ALONE,
    ) -> None:  # fmt: skip
        torch.manual_seed(config.seed)
        self.stores, self.config, self.workers = stores, config, workers
        self.share = workers.share(config.batch)
        self.sampler = WindowSampler([_left_out(s, config.without) for s in streams_of(stores, ("train",))])
        self.detector = _detector(config, start).to(device or training_device()).train()
        self._logits = workers.wrap(_Logits(self.detector, config.precision))
        self.optimizer = adamw(self.detector, lr=config.lr, weight_decay=config.weight_decay)
        self.average = copy_of_weights(self.detector)
        frames = self.detector.config.encoder.frames
        self._weight_T = torch.where(torch.arange(frames) < frames - NEWEST, 1.0, config.newest)
        self.step, self.total = 0, config.steps
        self.seconds = 0.0
        self._start = "random" if start is None else weights_digest(start.encoder)

    @property
    def device(self) -> torch.device:
        """Where the detector is."""
        return device_of(self.detector)

    @property
    def batch(self) -> int:
        """Windows a step, of all workers together."""
        return self.config.batch

    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        """Train to the end; after each step its loss."""
        began, before = time.monotonic(), self.seconds
        while self.step < self.total:
            loss = self.advance()
            self.seconds = before + time.monotonic() - began
            yield {"loss": loss}

    def advance(self) -> Tensor:
        """One optimiser step; the whole batch's loss."""
        # Seeded by the step alone, so that a resumed run draws what the uninterrupted one would have drawn.
        seed = self.config.seed * 1_000_003 + self.step
        joints_BCTVM, labels_BT = self.sampler.draw(np.random.default_rng((self.config.seed, self.step)), self.batch)
        varied_BCTVM = augment(joints_BCTVM, torch.Generator().manual_seed(seed))  # drawn and done on the CPU
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        mine = torch.zeros((), device=self.device)
        for piece in self._pieces():
            last = piece.stop == self.share.stop
            with nullcontext() if last else self.workers.without_averaging(self._logits):
                torch.manual_seed(seed + 1)  # DropPath draws from the global generator
                loss = self.loss(varied_BCTVM, labels_BT, piece)
                # A wrapped detector's gradients are the workers' mean; what is wanted is their sum.
                (loss * self.workers.count).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            mine += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.detector.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        follow_weights(self.average, self.detector, self.config.average, self.step)
        return self.workers.total(mine)

    def loss(self, varied_BCTVM: Tensor, labels_BT: Tensor, rows: slice) -> Tensor:
        """The part that some rows have in a batch's loss, a scalar to differentiate; the parts add up to the loss."""
        batch = len(varied_BCTVM)
        with rows_of_batch(torch.arange(batch)[rows], batch):
            logits_BTK: Tensor = self._logits(varied_BCTVM[rows].to(self.device))
        each_BT: Tensor = F.cross_entropy(
            logits_BTK.transpose(1, 2),
            labels_BT[rows].to(self.device),
            ignore_index=IGNORE,
            label_smoothing=self.config.label_smoothing,
            reduction="none",
        )
        weight_T = self._weight_T.to(self.device)
        truth = (each_BT * weight_T).sum()
        counted = ((labels_BT != IGNORE).to(self.device) * weight_T).sum()
        smoothness = smoothness_loss(logits_BTK.log_softmax(-1)) * (len(logits_BTK) / batch)
        return truth / counted + self.config.smoothing * smoothness

    def _pieces(self) -> list[slice]:
        size, end = self.config.pieces_of or self.batch, self.share.stop
        return [slice(first, min(first + size, end)) for first in range(self.share.start, end, size)]

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.config.lr * warmed_cosine(step, self.config.steps, self.config.warmup)

    def averaged(self) -> Detector:
        """A copy of the detector on the CPU with the averaged weights, for use."""
        copy = Detector(self.detector.config)
        copy.load_state_dict(self.average)
        return copy.eval()

    def provenance(self) -> dict[str, Any]:
        """Where the weights come from, for the bundle."""
        return {
            "training": asdict(self.config),
            "start": self._start,
            "minutes": round(self.seconds / 60, 1),
            "data": sorted({f"{s.dataset} ({s.source}): {s.licence}" for s in self.stores}),
        }

    def results(self) -> dict[str, Any]:
        """What is told of a run that has ended."""
        return {"seconds": round(self.seconds, 1), "steps": self.step, "device": described(self.device)}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain containers and tensors."""
        return {
            "step": self.step, "seconds": self.seconds, "weights": self.detector.state_dict(), "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.detector.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])


class _Logits(nn.Module):
    """A detector's logits of joints as a module of its own, which is what can be wrapped."""

    def __init__(self, detector: Detector, precision: Precision) -> None:
        super().__init__()
        self.detector, self.precision = detector, precision

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        return frame_logits(self.detector, joints_BCTVM, self.precision)


def frame_logits(detector: Detector, joints_BCTVM: Tensor, precision: Precision) -> Tensor:
    """The detector's logits (B, T, K), its encoder computed in this precision and its head in float32."""
    logits_BTK: Tensor = detector.head(encoded(detector.encoder.dense, precision, detector.prepared(joints_BCTVM)))
    return logits_BTK


def frame_accuracy(
    detector: Detector, streams: Sequence[Stream], hop: int = 48, precision: Precision = "auto"
) -> float:
    """The share of frames right, each scored by the windows that cover it (every `hop` frames, mean probability)."""
    right = counted = 0
    with torch.inference_mode():
        for stream in streams:
            labels = np.asarray(stream.labels)
            predicted = window_probabilities(detector, stream.joints, hop, precision).argmax(axis=1)
            matters = labels != IGNORE
            right += int((predicted[matters] == labels[matters]).sum())
            counted += int(matters.sum())
    return right / max(counted, 1)


def window_probabilities(detector: Detector, joints: np.ndarray, hop: int, precision: Precision) -> np.ndarray:
    """Mean probabilities (T, K) over windows of a stream's joints (T, M, 25, 3), offline."""
    frames = detector.config.encoder.frames
    starts = list(range(0, max(len(joints) - frames, 0) + 1, hop))
    if starts[-1] + frames < len(joints):
        starts.append(len(joints) - frames)
    total = np.zeros((len(joints), len(detector.config.classes)))
    count = np.zeros(len(joints))
    for i in range(0, len(starts), 64):
        picks = [np.minimum(np.arange(s, s + frames), len(joints) - 1) for s in starts[i : i + 64]]
        batch = torch.from_numpy(np.stack([joints[p] for p in picks]).transpose(0, 4, 1, 3, 2).copy())
        logits_BTK = frame_logits(detector, batch.to(device_of(detector)), precision)
        for pick, probabilities in zip(picks, logits_BTK.softmax(-1).cpu().numpy(), strict=True):
            unique = np.unique(pick, return_index=True)
            total[unique[0]] += probabilities[unique[1]]
            count[unique[0]] += 1
    return total / count[:, None]


def _left_out(stream: Stream, without: Sequence[str]) -> Stream:
    """The stream with no word about the frames of these classes. ValueError for a class that is no action of ours."""
    for name in without:
        if name not in CLASSES[1:]:
            raise ValueError(f"there is no action {name!r} to leave out; there are {', '.join(CLASSES[1:])}")
    hidden = np.isin(stream.labels, [CLASSES.index(name) for name in without])
    return replace(stream, labels=np.where(hidden, IGNORE, stream.labels).astype(stream.labels.dtype))


def _detector(config: Training, start: Pretrained | None) -> Detector:
    """The detector before it has learnt anything of the vocabulary."""
    begun = start or random_encoder(DSTE.Config.named(config.size), config.seed)
    shape = encoder_config({**asdict(begun.encoder.config), "causal": begun.encoder.config.causal or config.causal})
    turned = shape.causal != begun.encoder.config.causal
    normalisation = suited_normalisation(shape) if turned else begun.normalisation
    detector = Detector(
        Detector.Config(encoder=shape, classes=CLASSES, modality=begun.modality, normalisation=normalisation)
    )
    detector.encoder.load_state_dict(begun.encoder.state_dict())
    with torch.no_grad():  # what a detector already knows how to tell, it goes on telling
        for k, name in enumerate(CLASSES):
            if name in begun.head and len(begun.head[name][0]) == shape.dense_width:
                detector.head.weight[k], detector.head.bias[k] = begun.head[name]
    detector.encoder.requires_grad_(not config.freeze_encoder)
    return detector
