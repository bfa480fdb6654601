"""Pretrain an encoder without labels: USDRL's multi-grained feature decorrelation over four views of each clip.

    skelstream train pretrain --stores STORES/* --out runs/pretrained --epochs 30

Source: arXiv 2412.09220 and 2508.12586. All views of a batch go through the encoder in one pass; the projectors see one
view at a time, because their BatchNorm's statistics are part of the method. The order of the data, the crops, what is
done to them and DropPath are decided by the seed and the step alone, so that a run that was killed goes on as if it
had not been.

MG-FD and BatchNorm speak of a whole batch. Several workers (`workers.py`) therefore divide the encoder's work alone:
each encodes its share, all bring what they found together, and each computes projections and loss of the whole batch,
which cost next to nothing beside the encoder. The loss's gradient for a worker's own share then goes back through its
encoder. In the same way a share that does not fit into memory is encoded in pieces (`pieces_of`): twice, once for the
loss, once more, piece by piece, for the gradient. Neither changes what is learnt.
Shapes: R view (4), B clip, N = R * B, C coordinate, T frame, V joint, M person, H hidden, W = 2H, D projection,
K modality.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..encoder.build import build_encoder
from ..encoder.config import AnyEncoderConfig, DSTEConfig, Normalisation, check_normalisation, suited_normalisation
from ..encoder.drop_path import rows_of_batch
from ..encoder.modality import MODALITIES, SINGLE, Modality
from ..encoder.normalise import normalise
from ..encoder.skeleton_encoder import SkeletonEncoder
from .clips import Clips
from .device import Precision, computed_in, described, device_of, encoded, training_device
from .dice import Dice
from .loop import Say, follow
from .objectives.mgfd import VIEWS, Terms, Weights, mgfd
from .pretrained import Pretrained, weights_digest
from .projectors import Projectors
from .run_folder import RunFolder
from .views import Views
from .workers import ALONE, Workers


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How to pretrain. The learning rate falls to a tenth after `drop_at` of the epochs (the paper: 351 of 451), or
    follows half a cosine; `warmup` steps lead up to it. Without a normalisation, the encoder's own
    (`suited_normalisation`). `precision` is the encoder's (`device.py`). `pieces_of`: encode at most so many clips of
    the batch at a time, to save memory (0: a worker's whole share at once).
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
    pieces_of: int = 0
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        if self.pieces_of < 0:
            raise ValueError(f"pieces_of is {self.pieces_of}; give how many clips fit into memory, or 0 for all")
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
    run = PretrainingRun(clips, config, start)
    with RunFolder(out, run_settings(clips, config, start)) as folder:
        follow(run, folder, say, checkpoint_every_s=config.checkpoint_every_s)
        folder.finish(run.results())
    return run.encoder.cpu().eval()


def run_settings(clips: Clips, config: Pretraining, start: Pretrained | None) -> dict[str, Any]:
    """What makes two runs the same run."""
    settings = {"pretraining": asdict(config), "clips": len(clips), "data": _described(clips)}
    return settings if start is None else {**settings, "start": weights_digest(start.encoder)}


class PretrainingRun:
    """Everything that changes while pretraining, and one step of it, on `device` (default: `training_device()`).

    `workers` divide each batch. Raises ValueError for settings that do not go together, and if the clips are fewer than
    a batch, or the batch's clips fewer than the workers.
    """

    def __init__(
        self, clips: Clips, config: Pretraining, start: Pretrained | None = None, device: torch.device | None = None,
        workers: Workers = ALONE,
    ) -> None:  # fmt: skip
        if len(clips) < config.batch:
            raise ValueError(f"{len(clips)} clips do not fill one batch of {config.batch}; give a smaller --batch")
        if config.encoder.multimodal != (config.modality == "joint+motion+bone"):
            raise ValueError("modality joint+motion+bone and encoder.multimodal go together; set both or neither")
        check_normalisation(config.encoder, config.scheme)
        torch.manual_seed(config.seed)
        self.clips, self.config, self.workers = clips, config, workers
        self.share = workers.share(config.batch)
        self.encoder = build_encoder(config.encoder)
        if start is not None:
            # A causal encoder has the weights of one that is not: it may go on from either.
            if replace(start.encoder.config, causal=config.encoder.causal) != config.encoder:
                raise ValueError("the encoder to go on from is not the one that was asked for; give its size and kind")
            self.encoder.load_state_dict(start.encoder.state_dict())
        self.projectors = Projectors(config.encoder.hidden)
        for module in (self.encoder, self.projectors):  # drawn on the CPU: the seed's weights are the same everywhere
            module.to(device or training_device())
        self._represent = workers.wrap(_ClipEncoder(self.encoder, config.precision))
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

    @property
    def batch(self) -> int:
        """Clips a step, of all workers together."""
        return self.config.batch

    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        """Train to the end; after each step its loss, and each domain's part of it."""
        for terms in self.steps():
            yield {"loss": terms.loss, **{str(domain): part for domain, part in terms.domains.items()}}

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
        """The crops (R * B, 3, T, V, M) of this worker's share of a step's batch, view by view, metres."""
        epoch, place = divmod(step, self.steps_an_epoch)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.clips))
        batch = order[place * self.config.batch : (place + 1) * self.config.batch]
        rng = np.random.default_rng((self.config.seed, epoch, place))
        return self.clips.cropped(
            np.tile(batch, VIEWS), self.config.encoder.frames, rng, self._rows(self.share).numpy()
        )

    def _read(self, step: int) -> Tensor:
        joints = self.draw(step)
        return joints.pin_memory() if self.device.type == "cuda" else joints

    def _rows(self, clips: slice) -> Tensor:
        """Where the views of these clips of the batch stand among all of its views (R * B,)."""
        return torch.arange(VIEWS * self.config.batch).view(VIEWS, -1)[:, clips].flatten()

    def advance(self, joints_NCTVM: Tensor) -> Terms:
        """One optimiser step on drawn crops."""
        seed = self.config.seed * 1_000_003 + self.step
        terms = self.backward(self.viewed(joints_NCTVM, torch.Generator().manual_seed(seed)), seed)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.step()
        self.step += 1
        return terms

    def viewed(self, joints_NCTVM: Tensor, generator: torch.Generator) -> Tensor:
        """What the encoder is given of drawn crops (R * B, 3, T, V, M): normalised, each in a view of its own."""
        with torch.no_grad():
            centred = normalise(joints_NCTVM.to(self.device, non_blocking=True), self.config.scheme)
            dice = Dice(generator, self._rows(self.share), VIEWS * self.config.batch)
            return MODALITIES[self.config.modality](self.config.views(centred, dice))

    def backward(self, viewed_NCTVM: Tensor, seed: int) -> Terms:
        """Give every weight its gradient of the whole batch's loss, from this worker's views; that loss."""
        self.optimizer.zero_grad(set_to_none=True)
        batch, first = self.config.batch, self.share.start
        size = self.config.pieces_of or batch
        pieces = [slice(a, min(a + size, self.share.stop)) for a in range(first, self.share.stop, size)]
        views_RB = viewed_NCTVM.view(VIEWS, -1, *viewed_NCTVM.shape[1:])

        def encode(clips: slice) -> Tensor:
            """The representations (R, B, 2H) of some clips; whenever they are asked for, DropPath falls alike."""
            torch.manual_seed(seed)
            rows_N = self._rows(clips)
            mine_NCTVM = views_RB[:, clips.start - first : clips.stop - first].flatten(0, 1)
            with rows_of_batch(rows_N, VIEWS * batch):
                clip_NW: Tensor = self._represent(mine_NCTVM, *self._modalities(rows_N))
            return clip_NW.view(VIEWS, -1, clip_NW.shape[1])

        with torch.set_grad_enabled(len(pieces) == 1):
            encoded_RBW = [encode(piece) for piece in pieces]
        mine_BRW = torch.cat(encoded_RBW, dim=1).transpose(0, 1)
        whole_RBW = self.workers.gather(mine_BRW, batch).transpose(0, 1).contiguous().requires_grad_()
        terms = self.loss_of(whole_RBW)
        terms.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.workers.average_gradients(self.projectors.parameters())  # alike, but for the last bits
        assert whole_RBW.grad is not None
        # A wrapped encoder's gradients are the workers' mean; what is wanted is their sum.
        gradient_RBW = whole_RBW.grad * self.workers.count
        for piece in pieces:
            last = piece.stop == self.share.stop
            with nullcontext() if last else self.workers.without_averaging(self._represent):
                clip_RBW = encoded_RBW[0] if len(pieces) == 1 else encode(piece)
                clip_RBW.backward(gradient_RBW[:, piece])  # type: ignore[no-untyped-call]
        return Terms(terms.loss.detach(), terms.domains)

    def loss(self, viewed_NCTVM: Tensor) -> Terms:
        """MG-FD of a whole batch's views (R * B, 3, T, V, M), laid end to end."""
        clip_NW: Tensor = self._represent(viewed_NCTVM, *self._modalities(torch.arange(len(viewed_NCTVM))))
        return self.loss_of(clip_NW.view(VIEWS, -1, clip_NW.shape[1]))

    def loss_of(self, clip_RBW: Tensor) -> Terms:
        """MG-FD of clip representations (R, B, 2H)."""
        projected = [self.projectors(view_BW) for view_BW in clip_RBW]
        return mgfd({d: torch.stack([p[d] for p in projected]) for d in projected[0]}, self.config.weights)

    def _modalities(self, rows_N: Tensor) -> list[Tensor]:
        """How much of joint, motion and bone a multi-modal encoder is given of these rows, (N, 3).

        The first three views are the joints, the motion and the bones alone, the fourth is all of them together. That
        is what the loss's asymmetry, three against a fourth, reads as; the authors' code for it is not public.
        """
        if not self.config.encoder.multimodal:
            return []
        each_RK = torch.cat((torch.eye(len(SINGLE)), torch.full((1, len(SINGLE)), 1 / len(SINGLE))))
        return [each_RK[rows_N // self.config.batch].to(self.device)]

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

    def results(self) -> dict[str, Any]:
        """What is told of a run that has ended."""
        return {
            "seconds": round(self.seconds, 1), "steps": self.step, "device": described(self.device),
            "precision": str(computed_in(self.device, self.config.precision)).removeprefix("torch."),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.encoder.load_state_dict(state["encoder"])
        self.projectors.load_state_dict(state["projectors"])
        self.optimizer.load_state_dict(state["optimizer"])


class _ClipEncoder(nn.Module):
    """An encoder's clip representation as a module of its own, which is what can be wrapped."""

    def __init__(self, encoder: SkeletonEncoder, precision: Precision) -> None:
        super().__init__()
        self.encoder, self.precision = encoder, precision

    def forward(self, viewed_NCTVM: Tensor, *weights_NK: Tensor) -> Tensor:
        return encoded(self.encoder.clip, self.precision, viewed_NCTVM, *weights_NK)


def _described(clips: Clips) -> list[str]:
    return sorted(f"{store.dataset} ({store.source}): {store.licence}" for store in clips.stores)
