"""Fine-tune an encoder for answers a frame: the trainer that detection, segmentation and early prediction share.

The defaults are USDRL's for detection (PKU-MMD I), as its public code runs: the whole network, plain SGD at a constant
rate, DropPath off. Small sets want something else: AdamW at 5e-4, the cosine schedule, DropPath and `vary`.
What is drawn, how it is varied and DropPath are decided by the seed and the step alone, so that a run that was killed
goes on as if it had not been.
Shapes: B sample, C coordinate, T frame, V joint, M person, H feature, K class.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoder.modality import MODALITIES
from ..encoder.normalise import normalise
from .augment import add_noise, rotate, stretch
from .device import Precision, device_of, encoded, training_device
from .pretrained import Pretrained
from .run_folder import RunFolder

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FrameTraining:
    """How to fine-tune. `frozen` trains the head alone, on features of `draws` draws of each window, computed once.

    `cosine` warms up over a twentieth of the steps and then falls to a hundredth. `vary` shows samples as another
    camera would see them, of other builds and noisy; never mirrored, because a set's classes may name a side.
    `precision` is the encoder's (`device.py`).
    """

    epochs: int = 150
    batch: int = 512
    optimiser: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.005
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    drop_path: bool = False
    vary: bool = False
    frozen: bool = False
    draws: int = 1
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.lr <= 0:
            raise ValueError("epochs and batch must be at least 1 and lr above 0")
        if self.frozen and self.drop_path:
            raise ValueError("a frozen encoder is not trained, so it drops no paths; take one of the two away")
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; every window is drawn at least once")


class FrameModel(nn.Module):
    """A copy of an encoder with a linear head a frame, and one for starts and ends if asked for (`rerank.py`)."""

    def __init__(
        self, pretrained: Pretrained, classes: int, *, boundaries: bool = False, precision: Precision = "auto"
    ) -> None:
        super().__init__()
        self.precision: Precision = precision
        self.encoder = deepcopy(pretrained.encoder)
        config = self.encoder.config
        self.modality = pretrained.modality
        self.normalisation = pretrained.normalisation
        self.shape = (config.coords, config.frames, config.joints, config.people)
        self.head = _linear(config.dense_width, classes)
        self.boundaries = _linear(config.dense_width, 2) if boundaries else None

    def prepared(self, joints_BCTVM: Tensor) -> Tensor:
        """The encoder's input (B, C, T, V, M) of joints in metres."""
        return self.of_modality(self.normalised(joints_BCTVM))

    def normalised(self, joints_BCTVM: Tensor) -> Tensor:
        """Joints (B, C, T, V, M) as this encoder's normalisation makes them: a causal one's looks back alone."""
        return normalise(joints_BCTVM, self.normalisation)

    def of_modality(self, normalised_BCTVM: Tensor) -> Tensor:
        """The encoder's input (B, C, T, V, M) of normalised joints."""
        return MODALITIES[self.modality](normalised_BCTVM)

    def forward(self, prepared_BCTVM: Tensor) -> Tensor:
        """The dense representation (B, T, H) that the heads take, float32."""
        return encoded(self.encoder.dense, self.precision, prepared_BCTVM)


class Samples(Protocol):
    """What is trained on: joints (B, 3, T, V, M) metres first, then whatever the loss needs."""

    def __len__(self) -> int: ...

    def draw(self, indices: NDArray[np.integer], rng: np.random.Generator) -> tuple[Tensor, ...]: ...


def fine_tune_frames(
    model: FrameModel, samples: Samples, loss: Callable[..., Tensor], config: FrameTraining, folder: RunFolder, say: Say
) -> None:
    """Train the model in place, going on from the folder's checkpoint.

    It ends in evaluation mode on `training_device()`. `loss` takes the joints, varied or not, and the rest of what
    `samples` drew, where the model is.
    """
    run = _Run(model.to(training_device()), samples, loss, config)
    if (state := folder.load()) is not None:
        run.load_state_dict(state)
        say(f"going on from step {run.step}")
    saved = time.monotonic()
    while run.step < run.total:
        value = run.advance()
        if run.step % 10 == 0 or run.step == run.total:
            folder.log(run.step, loss=value, lr=run.rate(run.step - 1))
            say(f"step {run.step}/{run.total}  epoch {run.step / run.steps_an_epoch:.1f}  loss {value:.3f}")
        if time.monotonic() - saved > config.checkpoint_every_s or run.step == run.total:
            folder.save(run.state_dict())
            saved = time.monotonic()
    model.eval()


class _Run:
    """Everything that changes while fine-tuning, and one step of it."""

    def __init__(self, model: FrameModel, samples: Samples, loss: Callable[..., Tensor], config: FrameTraining) -> None:
        self.model, self.samples, self.loss, self.config = model, samples, loss, config
        model.encoder.requires_grad_(not config.frozen)
        model.train(config.drop_path)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer: torch.optim.Optimizer
        if config.optimiser == "sgd":
            self.optimizer = torch.optim.SGD(trained, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)
        else:
            self.optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
        self.step = 0
        self.steps_an_epoch = -(-len(samples) // config.batch)
        self.total = config.epochs * self.steps_an_epoch

    def advance(self) -> float:
        """One optimiser step; the loss."""
        c = self.config
        epoch, place = divmod(self.step, self.steps_an_epoch)
        order = np.random.default_rng((c.seed, epoch)).permutation(len(self.samples))
        indices = order[place * c.batch : (place + 1) * c.batch]
        drawn = self.samples.draw(indices, np.random.default_rng((c.seed, epoch, place)))
        seed = c.seed * 1_000_003 + self.step
        torch.manual_seed(seed)  # DropPath draws from the global generator
        value = self.value(drawn, torch.Generator().manual_seed(seed))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if c.optimiser == "adamw":
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return float(value.detach())

    def value(self, drawn: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """The loss of what was drawn, a scalar to differentiate."""
        joints, *rest = drawn
        if self.config.vary:
            joints = varied(joints, generator)
        device = device_of(self.model)
        return self.loss(joints.to(device), *(each.to(device) for each in rest))

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if self.config.schedule == "constant":
            return self.config.lr
        warmup = max(self.total // 20, 1)
        falling = 0.01 + 0.99 * (1 + math.cos(math.pi * max(step - warmup, 0) / max(self.total - warmup, 1))) / 2
        return self.config.lr * min((step + 1) / warmup, falling)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain containers and tensors. `load_pretrained` finds the encoder in it."""
        return {
            "step": self.step, "encoder": self.model.encoder.state_dict(), "heads": self._heads(),
            "optimizer": self.optimizer.state_dict(),
            "config": asdict(self.model.encoder.config), "modality": self.model.modality,
            "normalisation": self.model.normalisation,
        }  # fmt: skip

    def _heads(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.model.state_dict().items() if not name.startswith("encoder.")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step = state["step"]
        self.model.load_state_dict(
            {f"encoder.{name}": value for name, value in state["encoder"].items()} | state["heads"]
        )
        self.optimizer.load_state_dict(state["optimizer"])


def varied(joints_BCTVM: Tensor, generator: torch.Generator) -> Tensor:
    """Samples as seen by another camera, of other builds, noisy. Absent people stay exactly zero."""
    present_BTM = (joints_BCTVM.abs().amax(dim=(1, 3)) > 0).float()
    x = rotate(joints_BCTVM, generator, yaw=math.radians(40), pitch=math.radians(14), roll=math.radians(5))
    x = add_noise(stretch(x, generator, 0.12), generator)
    return x * present_BTM[:, None, :, None, :]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A head as USDRL's downstream code starts it."""
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return linear
