"""Train a dense detector, frame by frame, on prepared stores.

    skelstream train detect --stores STORES/* --out runs/small --size small --steps 3000

Supervised from the start: cross-entropy a frame over the vocabulary (USDRL's detection protocol, with AdamW and a
cosine schedule instead of its SGD because runs here are short), and a term that keeps neighbouring frames together
(`objectives/smoothness.py`), without which one action comes out in pieces. The weights kept are an exponential average
of those of the last steps. A checkpoint is written every few minutes; the same command goes on from it.

Shapes: B batch, T frame, K class.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..encoder.config import Size, encoder_config
from ..encoder.detector import Detector
from ..encoder.dste import DSTE
from .augment import augment
from .device import Precision, device_of, encoded, training_device
from .objectives.smoothness import smoothness_loss
from .pretrained import Pretrained, random_encoder, weights_digest
from .sampler import WindowSampler
from .store import Store
from .streams import Stream, streams_of
from .vocabulary import CLASSES, IGNORE
from .whole_file import whole_file

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How to train. `steps` batches of `batch` windows; `seed` decides everything random.

    `smoothing` is the weight of the term between neighbouring frames; 0.15 is MS-TCN's.
    `freeze_encoder` leaves the encoder as it was drawn and trains the head alone: the baseline of a random encoder.
    `precision` is the encoder's (`device.py`).
    """

    size: Size = "small"
    steps: int = 3000
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 50
    label_smoothing: float = 0.05
    smoothing: float = 0.15
    average: float = 0.995
    seed: int = 0
    freeze_encoder: bool = False
    precision: Precision = "auto"
    checkpoint_every_s: float = 300.0
    log_every: int = 10


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A detector on the CPU, in evaluation mode, and the provenance of its weights."""

    detector: Detector
    provenance: dict[str, Any]


def train_detector(
    stores: Sequence[Store], out: Path, config: Training, say: Say, start: Pretrained | None = None
) -> Trained:
    """Train on the training subjects of the stores; checkpoints and the log go to the folder `out`.

    The encoder begins as that of `start`, whose size then counts, or else as it is drawn. Raises ValueError if no
    store holds training subjects, `start` is no encoder for it, or `out` holds a run with other settings.
    """
    torch.manual_seed(config.seed)
    device = training_device()
    detector = _detector(config, start).to(device)
    out.mkdir(parents=True, exist_ok=True)
    _check_same_run(out, config, stores, start)
    sampler = WindowSampler(streams_of(stores, ("train",)))
    validation = streams_of(stores, ("val",))
    run = _Run(detector, config)
    if (out / "checkpoint.pt").is_file():
        run.load(out / "checkpoint.pt")
        say(f"going on from step {run.step}")

    detector.train()
    loss_mean, started, saved, step_before = math.nan, time.monotonic(), time.monotonic(), run.step
    while run.step < config.steps:
        loss = run.advance(sampler)
        loss_mean = loss if math.isnan(loss_mean) else 0.95 * loss_mean + 0.05 * loss
        if run.step % config.log_every == 0 or run.step == config.steps:
            rate = (run.step - step_before) * config.batch / (time.monotonic() - started)
            left_min = (config.steps - run.step) * config.batch / rate / 60
            say(f"step {run.step}/{config.steps}  loss {loss_mean:.3f}  {rate:.0f} windows/s  {left_min:.0f} min left")
            with (out / "log.jsonl").open("a") as log:
                log.write(
                    json.dumps({"step": run.step, "loss": round(loss_mean, 5), "seconds": round(run.seconds, 1)}) + "\n"
                )
        if time.monotonic() - saved > config.checkpoint_every_s or run.step == config.steps:
            run.save(out / "checkpoint.pt")
            saved = time.monotonic()
            if validation:
                right = frame_accuracy(run.averaged().to(device), validation, precision=config.precision)
                say(f"  frame accuracy on the validation people: {right:.3f}")
    return Trained(detector=run.averaged(), provenance=_provenance(stores, config, run.seconds))


class _Run:
    """Everything that changes while training, and that a checkpoint therefore holds."""

    def __init__(self, detector: Detector, config: Training) -> None:
        self.detector, self.config = detector, config
        decayed = [p for p in detector.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in detector.parameters() if p.requires_grad and p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=config.lr,
        )
        self.average = {name: value.detach().clone() for name, value in detector.state_dict().items()}
        self.step = 0
        self.seconds = 0.0

    def advance(self, sampler: WindowSampler) -> float:
        """One optimiser step; the loss."""
        began = time.monotonic()
        # Seeded by the step alone, so that a resumed run draws what the uninterrupted one would have drawn.
        rng = np.random.default_rng((self.config.seed, self.step))
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        torch.manual_seed(self.config.seed * 1_000_003 + self.step + 1)  # DropPath draws from the global generator
        loss = self.loss(*sampler.draw(rng, self.config.batch), generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self._schedule()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.detector.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(self.config.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.detector.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        self.seconds += time.monotonic() - began
        return float(loss.detach())

    def loss(self, joints_BCTVM: Tensor, labels_BT: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of drawn windows, augmented; a scalar to differentiate."""
        device = device_of(self.detector)
        varied_BCTVM = augment(joints_BCTVM, generator).to(device)  # drawn and done on the CPU
        logits_BTK = frame_logits(self.detector, varied_BCTVM, self.config.precision)
        truth: Tensor = F.cross_entropy(
            logits_BTK.flatten(0, 1),
            labels_BT.to(device).flatten(),
            ignore_index=IGNORE,
            label_smoothing=self.config.label_smoothing,
        )
        return truth + self.config.smoothing * smoothness_loss(logits_BTK.log_softmax(-1))

    def _schedule(self) -> float:
        """The share of the learning rate: linear warm-up, then half a cosine down to a hundredth."""
        if self.step < self.config.warmup:
            return (self.step + 1) / self.config.warmup
        done = (self.step - self.config.warmup) / max(self.config.steps - self.config.warmup, 1)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def averaged(self) -> Detector:
        """A copy of the detector on the CPU with the averaged weights, for use."""
        copy = Detector(self.detector.config)
        copy.load_state_dict(self.average)
        return copy.eval()

    def save(self, path: Path) -> None:
        state = {
            "step": self.step, "seconds": self.seconds, "weights": self.detector.state_dict(), "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        with whole_file(path) as unfinished:
            torch.save(state, unfinished)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.average = {name: value.to(device_of(self.detector)) for name, value in state["average"].items()}
        self.detector.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])


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


def _detector(config: Training, start: Pretrained | None) -> Detector:
    """The detector before it has learnt anything of the vocabulary."""
    begun = start or random_encoder(DSTE.Config.named(config.size), config.seed)
    shape = encoder_config(asdict(begun.encoder.config))
    detector = Detector(
        Detector.Config(encoder=shape, classes=CLASSES, modality=begun.modality, normalisation=begun.normalisation)
    )
    detector.encoder.load_state_dict(begun.encoder.state_dict())
    detector.encoder.requires_grad_(not config.freeze_encoder)
    return detector


def _check_same_run(out: Path, config: Training, stores: Sequence[Store], start: Pretrained | None) -> None:
    """A folder holds one run: going on with other settings would mix two."""
    mine = {
        "config": asdict(config),
        "stores": sorted(f"{s.dataset}: {s.source}, {len(s.frames)} frames" for s in stores),
        "start": "random" if start is None else weights_digest(start.encoder),
    }
    path = out / "run.json"
    if path.is_file() and json.loads(path.read_text()) != mine:
        raise ValueError(f"{out} holds a run with other settings (run.json); choose another --out or remove it")
    path.write_text(json.dumps(mine, indent=1))


def _provenance(stores: Sequence[Store], config: Training, seconds: float) -> dict[str, Any]:
    return {
        "training": asdict(config),
        "minutes": round(seconds / 60, 1),
        "data": sorted({f"{s.dataset} ({s.source}): {s.licence}" for s in stores}),
    }
