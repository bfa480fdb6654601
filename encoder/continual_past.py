"""How a layer of the continual detector sees the frames before: all at once in blocks, or through rings of them.

Both say the same. Shapes: B batch, T frame, H hidden, W reach, P past frames (W - 1), S branch, N block of W frames,
U two blocks.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Rings(NamedTuple):
    """What one layer remembers of the last P frames; frame f lies in slot f mod P.

    `tokens` are what attention attends to, `mixing` what goes into DSA's first and second mixing.
    """

    tokens_BSPH: Tensor
    mixing_B2PH: Tensor


class Past(Protocol):
    """How a layer sees the frames before: all at once, or through its rings."""

    def mixed(self, x_BTH: Tensor, taps_2W: Tensor, bias_2: Tensor) -> Tensor:
        """Both mixings of (B, T, H), with ReLU between."""

    def attended(self, query_BSTH: Tensor, tokens_BSTH: Tensor, bias_W: Tensor) -> Tensor:
        """The tokens' mean (B, S, T, H) that each query attends to, with this bias for each lag."""


class WholePast:
    """All frames at once, in blocks of W: a frame of a block looks at that block and the one before it."""

    def __init__(self, reach: int) -> None:
        self.reach = reach
        lag_WU = torch.arange(reach)[:, None] + reach - torch.arange(2 * reach)[None]  # U: two blocks of keys
        self.within_WU = (lag_WU >= 0) & (lag_WU < reach)
        self.lag_WU = lag_WU.clamp(0, reach - 1)

    def mixed(self, x_BTH: Tensor, taps_2W: Tensor, bias_2: Tensor) -> Tensor:
        band_2WU = torch.where(self.within_WU, taps_2W[:, self.lag_WU], 0.0)
        once_BTH = F.relu((band_2WU[0] @ self._two_blocks(x_BTH)).flatten(1, 2) + bias_2[0])
        return (band_2WU[1] @ self._two_blocks(once_BTH)).flatten(1, 2) + bias_2[1]

    def attended(self, query_BSTH: Tensor, tokens_BSTH: Tensor, bias_W: Tensor) -> Tensor:
        keys_BSNUH = self._two_blocks(tokens_BSTH)
        query_BSNWH = self._blocks(query_BSTH)
        bias_WU = torch.where(self.within_WU, bias_W[self.lag_WU], -math.inf)
        score_BSNWU = query_BSNWH @ keys_BSNUH.transpose(-2, -1) + bias_WU
        # Before the first block there is nothing.
        before_N1U = (torch.arange(score_BSNWU.shape[2])[:, None, None] == 0) & (
            torch.arange(2 * self.reach) < self.reach
        )
        share_BSNWU = score_BSNWU.masked_fill(before_N1U, -math.inf).softmax(dim=-1)
        return (share_BSNWU @ keys_BSNUH).flatten(2, 3)

    def _two_blocks(self, x_TH: Tensor) -> Tensor:
        """(..., T, H) -> (..., N, 2W, H): each block behind the one before it, zeros before the first."""
        blocks_NWH = self._blocks(x_TH)
        before_NWH = F.pad(blocks_NWH, (0, 0, 0, 0, 1, 0))[..., :-1, :, :]
        return torch.cat((before_NWH, blocks_NWH), dim=-2)

    def _blocks(self, x_TH: Tensor) -> Tensor:
        """(..., T, H) -> (..., N, W, H)."""
        return x_TH.reshape(*x_TH.shape[:-2], -1, self.reach, x_TH.shape[-1])


class RingPast:
    """One frame, and what a layer's rings hold of those before. The rings are read in place, never copied."""

    def __init__(self, rings: Rings, tick_B: Tensor) -> None:
        self.rings = rings
        past = rings.tokens_BSPH.shape[2]
        self.lag_BP = 1 + (tick_B[:, None] + (past - 1) - torch.arange(past)) % past
        self.there_BP = self.lag_BP <= tick_B[:, None]
        self._slot: list[Tensor] = []

    def mixed(self, x_BTH: Tensor, taps_2W: Tensor, bias_2: Tensor) -> Tensor:
        taps_BP2 = torch.where(self.there_BP[..., None], taps_2W.T[self.lag_BP], 0.0)
        past_B21H = taps_BP2.transpose(1, 2)[:, :, None] @ self.rings.mixing_B2PH
        once_B1H = F.relu(past_B21H[:, 0] + taps_2W[0, 0] * x_BTH + bias_2[0])
        self._slot.append(torch.cat((x_BTH, once_B1H), dim=1))
        return past_B21H[:, 1] + taps_2W[1, 0] * once_B1H + bias_2[1]

    def attended(self, query_BSTH: Tensor, tokens_BSTH: Tensor, bias_W: Tensor) -> Tensor:
        bias_BP = torch.where(self.there_BP, bias_W[self.lag_BP], -math.inf)
        past_BS1P = query_BSTH @ self.rings.tokens_BSPH.transpose(-2, -1) + bias_BP[:, None, None]
        now_BS11 = (query_BSTH * tokens_BSTH).sum(dim=-1, keepdim=True) + bias_W[0]
        share = torch.cat((past_BS1P, now_BS11), dim=-1).softmax(dim=-1)
        self._slot.append(tokens_BSTH[:, :, 0])
        return share[..., :-1] @ self.rings.tokens_BSPH + share[..., -1:] * tokens_BSTH

    def slot(self) -> tuple[Tensor, Tensor]:
        """What this frame leaves in the rings, (B, S, H) and (B, 2, H)."""
        mixing_B2H, tokens_BSH = self._slot
        return tokens_BSH, mixing_B2H
