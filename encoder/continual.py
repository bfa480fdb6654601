"""A continual detector: DSTE's temporal stream rebuilt so that a new frame costs a frame's work, not a window's.

In DSTE next to nothing of a window can be carried over to the one four frames later: its normalisation, its positions,
DSA's token mixing and its attention all tie a frame's features to its place in the window. Here
- joints are normalised by running means of slot 0 (`running_facing`), whatever came before;
- attention looks at the last `reach` frames with a learned bias for each lag, and there are no positions;
- DSA's two token mixings are the same for every frame (Toeplitz): a learned weight for each lag;
- DSA's rule that every gap-th token keeps its own value is dropped: the answer to a frame would hang on its number;
- there is no spatial stream: a spatial token holds a joint's whole track;
- what is said at frame t is about frame t - `delay`, so that a decision sees some future, as the windowed one does.

With one head, query and key are one linear map and value and output another, so what attention has to remember of a
frame are its layer-normalised tokens themselves.

Two forms that agree: `forward` over whole sequences of any length, for training, and `step` over one frame and a
`State` of constant size. A prototype: it runs on the CPU, and `live` does not know of it.

Shapes: B batch, C coordinate, T frame, V joint, M person, H hidden, K class, W reach, P past frames (W - 1), S branch
(of three: CA's tokens, DSA's mixed ones, DSA's as they are).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import check
from .continual_past import Past, RingPast, Rings, WholePast
from .deployed import linear_head
from .drop_path import DropPath
from .embedding import embedding
from .layout import NTU25
from .running_facing import Means, running_facing
from .skeleton_encoder import temporal_tokens

BRANCHES = 3
_PEOPLE = 2


@dataclass(frozen=True, kw_only=True)
class ContinualConfig:
    """`reach`, `delay` and `memory` are frames: how far attention and each mixing look back (this frame included), how
    far behind an answer is, and the time constant of the running means. ValueError for sizes that make no sense.
    """

    classes: tuple[str, ...]
    hidden: int = 256
    layers: int = 2
    reach: int = 64
    delay: int = 8
    memory: float = 45.0
    alpha: float = 0.5
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        check(2 <= len(self.classes) <= 4096, "classes must hold 2 to 4096 names")
        check(self.classes[0] == "background", "classes must begin with 'background'")
        for name, least, most in (("hidden", 2, 8192), ("layers", 1, 64), ("reach", 2, 4096), ("delay", 0, 4096)):
            check(least <= getattr(self, name) <= most, f"{name} must be in {least}..{most}")
        check(1 <= self.memory <= 1e6, "memory must be in 1..1000000 frames")
        check(0 <= self.alpha <= 1, "alpha must be in 0..1")
        check(0 <= self.drop_path < 1, "drop_path must be in 0..1, below 1")


class State(NamedTuple):
    """All that is kept of a stream: its size does not depend on how long the stream is. `tick` counts its frames."""

    tick_B: Tensor
    means: Means
    layers: tuple[Rings, ...]


class Seen(NamedTuple):
    """What one frame adds to a state: the new means, and for each layer the frame's slot, (B, S, H) and (B, 2, H)."""

    means: Means
    layers: tuple[tuple[Tensor, Tensor], ...]


class Continual(nn.Module):
    """(B, 3, T, 25, 2) metres -> frame logits (B, T, K), those at t about frame t - `delay`; or a frame at a time."""

    def __init__(self, config: ContinualConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding(_PEOPLE * len(NTU25) * 3, config.hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.head = linear_head(config.hidden, len(config.classes))

    @property
    def delay(self) -> int:
        """Frames between a frame and the output that is about it."""
        return self.config.delay

    @property
    def receptive_field(self) -> int:
        """Frames that an output depends on, itself included, beside the running means, which forget slowly.

        A layer looks back three times: through both mixings and through attention.
        """
        return 1 + self.config.layers * 3 * (self.config.reach - 1)

    def prepared(self, joints_BCTVM: Tensor) -> Tensor:
        """The joints as the network sees them: normalised by running means, the absent all zero."""
        _check_joints(joints_BCTVM)
        return running_facing(joints_BCTVM, Means.none(len(joints_BCTVM)), self.config.memory)[0]

    def features(self, prepared_BCTVM: Tensor) -> Tensor:
        """(B, T, H) of prepared joints."""
        frames = prepared_BCTVM.shape[2]
        x_BTH: Tensor = self.embedding(temporal_tokens(prepared_BCTVM))
        # Only at the end, where nothing looks: whole blocks, every one of which looks at itself and the one before.
        x_BTH = F.pad(x_BTH, (0, 0, 0, -frames % self.config.reach))
        for layer in self.layers:
            x_BTH = layer(x_BTH, WholePast(self.config.reach))
        return x_BTH[:, :frames]

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        """Frame logits (B, T, K) of whole sequences that begin where the joints begin. ValueError for other shapes."""
        logits_BTK: Tensor = self.head(self.features(self.prepared(joints_BCTVM)))
        return logits_BTK

    def start(self, batch: int) -> State:
        """The state of streams of which nothing has been seen."""
        c = self.config
        rings = Rings(torch.zeros(batch, BRANCHES, c.reach - 1, c.hidden), torch.zeros(batch, 2, c.reach - 1, c.hidden))
        return State(torch.zeros(batch, dtype=torch.int64), Means.none(batch), (rings,) * c.layers)

    def see(self, frame_BCVM: Tensor, state: State) -> tuple[Tensor, Seen]:
        """Logits (B, K) for the next frame (B, 3, 25, 2), and what it adds to the state. This is what is exported:
        the state itself stays with the caller, who writes a slot a frame instead of copying rings.
        """
        prepared_BC1VM, means = running_facing(frame_BCVM[:, :, None], state.means, self.config.memory)
        x_B1H: Tensor = self.embedding(temporal_tokens(prepared_BC1VM))
        slots = []
        for layer, rings in zip(self.layers, state.layers, strict=True):
            past = RingPast(rings, state.tick_B)
            x_B1H = layer(x_B1H, past)
            slots.append(past.slot())
        return self.head(x_B1H[:, 0]), Seen(means, tuple(slots))

    def step(self, frame_BCVM: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, K) for the next frame (B, 3, 25, 2), and the state after it. ValueError for other shapes."""
        _check_joints(frame_BCVM[:, :, None])
        logits_BK, seen = self.see(frame_BCVM, state)
        return logits_BK, remember(state, seen)


def remember(state: State, seen: Seen) -> State:
    """The state after a frame."""
    past = state.layers[0].tokens_BSPH.shape[2]
    here_B1P1 = (torch.arange(past) == (state.tick_B % past)[:, None])[:, None, :, None]
    layers = tuple(
        Rings(
            torch.where(here_B1P1, tokens_BSH[:, :, None], rings.tokens_BSPH),
            torch.where(here_B1P1, mixing_B2H[:, :, None], rings.mixing_B2PH),
        )
        for rings, (tokens_BSH, mixing_B2H) in zip(state.layers, seen.layers, strict=True)
    )
    return State(state.tick_B + 1, seen.means, layers)


def restarted(state: State, which_B: Tensor) -> State:
    """The state with the chosen streams as `start` makes them: another person's begins there."""

    def cleared(values: Tensor) -> Tensor:
        which = which_B.view(-1, *(1,) * (values.ndim - 1))
        return torch.where(which, torch.zeros_like(values), values)

    return State(
        cleared(state.tick_B),
        Means(*(cleared(values) for values in state.means)),
        tuple(Rings(*(cleared(values) for values in rings)) for rings in state.layers),
    )


class Layer(nn.Module):
    """y = alpha CA(x) + (1 - alpha) DSA(x) on (B, T, H) as in DSTE; the three passes through attention run as one."""

    def __init__(self, config: ContinualConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.alpha = config.alpha
        self.offset_H = nn.Parameter(torch.zeros(hidden))  # in the place of the positions, whose mean it starts as
        self.taps_2W = nn.Parameter(torch.randn(2, config.reach) * 0.02)
        self.mix_bias_2 = nn.Parameter(torch.zeros(2))
        self.convolution = nn.Linear(hidden, hidden)
        self.query = nn.Linear(hidden, hidden)  # query and key in one
        self.scale = 1 / math.sqrt(hidden)  # not in those weights: too small for steps of the others' size
        self.out = nn.Linear(hidden, hidden)  # value and output in one
        self.lag_bias_W = nn.Parameter(torch.zeros(config.reach))
        self.ca_norm1, self.ca_norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.dsa_norm1, self.dsa_norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.ca_mlp, self.dsa_mlp = _mlp(hidden), _mlp(hidden)
        self.drop_path = DropPath(config.drop_path)

    def forward(self, x_BTH: Tensor, past: Past) -> Tensor:
        x_BTH = x_BTH + self.offset_H
        convolved_BTH = x_BTH + F.relu(self.convolution(x_BTH))
        shifted_BTH = x_BTH + past.mixed(x_BTH, self.taps_2W, self.mix_bias_2)
        tokens_BSTH = torch.stack(
            (self.ca_norm1(convolved_BTH), self.dsa_norm1(shifted_BTH), self.dsa_norm1(x_BTH)), dim=1
        )
        looked_BSTH = self.drop_path(
            self.out(past.attended(self.scale * self.query(tokens_BSTH), tokens_BSTH, self.lag_bias_W))
        )
        ca_BTH = self.drop_path(self.ca_mlp(self.ca_norm2(looked_BSTH[:, 0] + x_BTH)))
        dsa_B2TH = looked_BSTH[:, 1:] + torch.stack((shifted_BTH, x_BTH), dim=1)
        dsa_B2TH = dsa_B2TH + self.drop_path(self.dsa_mlp(self.dsa_norm2(dsa_B2TH)))
        out_BTH: Tensor = self.alpha * ca_BTH + (1 - self.alpha) * dsa_B2TH.mean(dim=1)
        return out_BTH


def _mlp(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))


def _check_joints(joints_BCTVM: Tensor) -> None:
    wanted = (3, len(NTU25), _PEOPLE)
    if joints_BCTVM.ndim != 5 or (*joints_BCTVM.shape[1:2], *joints_BCTVM.shape[3:]) != wanted:
        raise ValueError(f"joints must have shape (B, 3, T, 25, 2), not {tuple(joints_BCTVM.shape)}")
    if joints_BCTVM.shape[2] == 0:
        raise ValueError("a sequence needs at least one frame")
