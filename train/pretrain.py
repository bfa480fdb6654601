"""Pretrain an encoder without labels: USDRL's multi-grained feature decorrelation over four views of each clip.

    skelstream train pretrain --stores STORES/* --out runs/pretrained --epochs 30

Source: arXiv 2412.09220 and 2508.12586. All views of a batch go through the encoder in one pass; the projectors see one
view at a time, because their BatchNorm's statistics are part of the method. The order of the data, the crops, what is
done to them and DropPath are decided by the seed and the step alone, so that a run that was killed goes on as if it
had not been.
Shapes: R view (4), B clip, C coordinate, T frame, V joint, M person, H hidden, D projection.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..encoder.build import build_encoder
from ..encoder.config import AnyEncoderConfig, DSTEConfig, Normalisation, check_normalisation, suited_normalisation
from ..encoder.modality import MODALITIES, SINGLE, Modality
from ..encoder.normalise import normalise
from ..encoder.skeleton_encoder import SkeletonEncoder
from .clips import Clips
from .device import Precision, computed_in, described, device_of, encoded, training_device
from .objectives.mgfd import VIEWS, Terms, Weights, mgfd
from .pretrained import Pretrained, weights_digest
from .projectors import Projectors
from .run_folder import RunFolder
from .views import Views

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How to pretrain. The learning rate falls to a tenth after `drop_at` of the epochs (the paper: 351 of 451), or
    follows half a cosine; `warmup` steps lead up to it. Without a normalisation, the encoder's own
    (`suited_normalisation`). `precision` is the encoder's (`device.py`).
    """

    encoder: AnyEncoderConfig = field(default_factory=lambda: DSTEConfig.named("small"))
    modality: Modality = "joint"
    normalisation: Normalisation | None = None
    views: Views = field(default_factory=Views)
    weights: Weights = field(default_factory=Weights)
    batch: int = 384
    epochs: int = 451
    lr: float = 1e-4
    weight_decay: float = 1e-5
    schedule: Literal["drop", "cosine"] = "drop"
    drop_at: float = 351 / 451
    warmup: int = 0
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise ValueError(f"batch is {self.batch}; decorrelation needs at least 2 clips at a time")
        if self.epochs < 1 or self.lr <= 0:
            raise ValueError("epochs must be at least 1 and lr above 0")

    @property
    def scheme(self) -> Normalisation:
        """How joints are normalised."""
        return self.normalisation or suited_normalisation(self.encoder)


def pretrain(
    clips: Clips, out: Path, config: Pretraining, say: Say, start: Pretrained | None = None
) -> SkeletonEncoder:
    """Pretrain on these clips; checkpoints, log and curves go to the folder `out`.

    Returns the encoder, on the CPU and in eval mode. It begins as `start`'s, or else as it is drawn; the projectors are
    new.
    Raises ValueError if the clips are fewer than a batch, `start` is another encoder than the config's, or `out` holds
    a run with other settings.
    """
    if len(clips) < config.batch:
        raise ValueError(f"{len(clips)} clips do not fill one batch of {config.batch}; give a smaller --batch")
    settings = {"pretraining": asdict(config), "clips": len(clips), "data": _described(clips)}
    if start is not None:
        settings["start"] = weights_digest(start.encoder)
    run = PretrainingRun(clips, config, start)
    with RunFolder(out, settings) as folder:
        if (state := folder.load()) is not None:
            run.load_state_dict(state)
            say(f"going on from step {run.step}")
        started, saved, before = time.monotonic(), time.monotonic(), run.step
        for terms in run.steps():
            if run.step % 10 == 0 or run.step == run.total:
                rate = (run.step - before) * config.batch / (time.monotonic() - started)
                left_min = (run.total - run.step) * config.batch / rate / 60
                domains = {domain: float(part) for domain, part in terms.domains.items()}
                folder.log(run.step, loss=float(terms.loss), lr=run.rate(run.step - 1), **domains)
                say(
                    f"step {run.step}/{run.total}  epoch {run.step / run.steps_an_epoch:.1f}  loss {terms.loss:.3f}  "
                    f"{rate:.1f} clips/s  {left_min:.0f} min left"
                )
            if time.monotonic() - saved > config.checkpoint_every_s or run.step == run.total:
                folder.save(run.state_dict())
                saved = time.monotonic()
        folder.finish({
            "seconds": round(run.seconds, 1), "steps": run.step, "device": described(run.device),
            "precision": str(computed_in(run.device, config.precision)).removeprefix("torch."),
        })  # fmt: skip
    return run.encoder.cpu().eval()


class PretrainingRun:
    """Everything that changes while pretraining, and one step of it, on `device` (default: `training_device()`)."""

    def __init__(
        self, clips: Clips, config: Pretraining, start: Pretrained | None = None, device: torch.device | None = None
    ) -> None:
        if config.encoder.multimodal != (config.modality == "joint+motion+bone"):
            raise ValueError("modality joint+motion+bone and encoder.multimodal go together; set both or neither")
        check_normalisation(config.encoder, config.scheme)
        torch.manual_seed(config.seed)
        self.clips, self.config = clips, config
        self.encoder = build_encoder(config.encoder)
        if start is not None:
            if start.encoder.config != config.encoder:
                raise ValueError("the encoder to go on from is not the one that was asked for; give its size and kind")
            self.encoder.load_state_dict(start.encoder.state_dict())
        self.projectors = Projectors(config.encoder.hidden)
        for module in (self.encoder, self.projectors):  # drawn on the CPU: the seed's weights are the same everywhere
            module.to(device or training_device())
        self.optimizer = torch.optim.Adam(
            [*self.encoder.parameters(), *self.projectors.parameters()],
            lr=config.lr, weight_decay=config.weight_decay, fused=True,
        )  # fmt: skip
        self.step, self.seconds = 0, 0.0
        self.steps_an_epoch = len(clips) // config.batch
        self.total = config.epochs * self.steps_an_epoch

    @property
    def device(self) -> torch.device:
        """Where the encoder is; everything follows it."""
        return device_of(self.encoder)

    def steps(self) -> Iterator[Terms]:
        """Train to the end, step by step; the next batch is read while this one is learnt from."""
        self.encoder.train()
        self.projectors.train()
        with ThreadPoolExecutor(1) as reader:
            following = reader.submit(self._read, self.step)
            began, before = time.monotonic(), self.seconds
            while self.step < self.total:
                joints = following.result()
                following = reader.submit(self._read, min(self.step + 1, self.total - 1))
                terms = self.advance(joints)
                # From the start on, not step by step: a GPU is still at work when `advance` returns.
                self.seconds = before + time.monotonic() - began
                yield terms

    def draw(self, step: int) -> Tensor:
        """The crops (R * B, 3, T, V, M) of a step's batch, view by view, metres."""
        epoch, place = divmod(step, self.steps_an_epoch)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.clips))
        batch = order[place * self.config.batch : (place + 1) * self.config.batch]
        rng = np.random.default_rng((self.config.seed, epoch, place))
        return self.clips.cropped(np.tile(batch, VIEWS), self.config.encoder.frames, rng)

    def _read(self, step: int) -> Tensor:
        joints = self.draw(step)
        return joints.pin_memory() if self.device.type == "cuda" else joints

    def advance(self, joints_NCTVM: Tensor) -> Terms:
        """One optimiser step on drawn crops."""
        seed = self.config.seed * 1_000_003 + self.step
        torch.manual_seed(seed)  # DropPath draws from the global generator
        terms = self.loss(self.viewed(joints_NCTVM, torch.Generator().manual_seed(seed)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        terms.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        self.step += 1
        return Terms(terms.loss.detach(), terms.domains)

    def viewed(self, joints_NCTVM: Tensor, generator: torch.Generator) -> Tensor:
        """What the encoder is given of drawn crops (R * B, 3, T, V, M): normalised, each in a view of its own."""
        with torch.no_grad():
            centred = normalise(joints_NCTVM.to(self.device, non_blocking=True), self.config.scheme)
            return MODALITIES[self.config.modality](self.config.views(centred, generator))

    def loss(self, viewed_NCTVM: Tensor) -> Terms:
        """MG-FD of four views (R * B, 3, T, V, M) laid end to end.

        Multi-modal: the first three views are the joints, the motion and the bones alone, the fourth is all of them
        together. That is what the loss's asymmetry, three against a fourth, reads as; the authors' code for it is not
        public.
        """
        weights = []
        if self.config.encoder.multimodal:
            together = torch.full((1, len(SINGLE)), 1 / len(SINGLE))
            each_RK = torch.cat((torch.eye(len(SINGLE)), together))
            weights_NK = each_RK.repeat_interleave(len(viewed_NCTVM) // VIEWS, dim=0)
            weights.append(weights_NK.to(viewed_NCTVM.device))
        clip_N2H = encoded(self.encoder.clip, self.config.precision, viewed_NCTVM, *weights)
        projected = [self.projectors(view_B2H) for view_B2H in clip_N2H.chunk(VIEWS)]
        return mgfd({d: torch.stack([p[d] for p in projected]) for d in projected[0]}, self.config.weights)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        c = self.config
        if step < c.warmup:
            return c.lr * (step + 1) / c.warmup
        if c.schedule == "cosine":
            return c.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * step / self.total)) / 2)
        return c.lr * (0.1 if step >= c.drop_at * self.total else 1.0)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain containers and tensors."""
        return {
            "step": self.step, "seconds": self.seconds, "encoder": self.encoder.state_dict(),
            "projectors": self.projectors.state_dict(), "optimizer": self.optimizer.state_dict(),
            "config": asdict(self.config.encoder), "modality": self.config.modality,
            "normalisation": self.config.scheme,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.encoder.load_state_dict(state["encoder"])
        self.projectors.load_state_dict(state["projectors"])
        self.optimizer.load_state_dict(state["optimizer"])


def _described(clips: Clips) -> list[str]:
    return sorted(f"{store.dataset} ({store.source}): {store.licence}" for store in clips.stores)
