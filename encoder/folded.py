"""The deployed form of a model: the same function in fewer products, everything that is linear after training folded.

    folded = fold(detector)        # equal to the detector to 1e-5 in float32 (tests/encoder/test_folded.py)
    folded = fold(detector, 20)    # ... and of each window the last 20 frames alone

Products of H x H a token and layer: 25 as published, 17 here, 13 in a detector's last layer.
- With one head a score is (q + b)(k + c)^T: Wq Wk^T is one matrix, and what c adds is the same for all keys of a query,
  which a softmax does not see. Wv Wo is one matrix as well, since a softmax's rows sum to 1. That makes 2 products of
  4, and the tokens themselves are keys and values.
- CA's pass through the shared attention and DSA's two are one batch.
- DSA is the mean of two branches through one MLP, whose last map is linear: it is applied once, to their sum, and in
  one product with CA's last map, alpha inside.
- A detector's head is linear too, and goes into the last map of the last layer.
- Whoever decodes a stream reads a window's newest frames alone. Keys are needed of all tokens; all else in the last
  layer only of those that are asked for.

Shapes: B batch, H hidden, N token (T frames, or M * V joints of all people), P pass (CA's, DSA's shifted and plain), F
frame asked for, Q token asked for, O output (H, or K classes).
"""

from __future__ import annotations

import copy
import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention
from .deployed import Deployed
from .detector import Detector
from .dste import Layer, TokenMix
from .recogniser import Recogniser
from .sttr import PostNormLayer


def fold(model: Deployed, frames: int | None = None) -> Folded:
    """The folded form of a trained model, in evaluation mode. The model itself stays as it is.

    `frames`: only a window's last so many come out (None: all). Raises ValueError for a number that there is not, or
    for a model that answers for the whole clip.
    """
    whole = model.config.encoder.frames
    if frames is not None and (isinstance(model, Recogniser) or not 1 <= frames <= whole):
        raise ValueError(f"this model does not give the last {frames} frames; ask for 1 to {whole} of a detector's")
    return Folded(model, whole if frames is None else frames).eval()


class Folded(nn.Module):
    """A folded model: joints (B, 3, T, V, M) -> what the model gives; of a detector's frames the last F.

    `tail_F` and `tail_Q` say which frames and joints are asked for, `pool_FQ` how joints become frames. They keep these
    names in an exported graph (`ASKED`), so that it can be narrowed where there is no torch (`graph/narrow.py`).
    """

    ASKED: ClassVar[tuple[str, ...]] = ("tail_F", "tail_Q", "pool_FQ")

    def __init__(self, model: Deployed, frames: int) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        encoder = self.model.encoder
        config = encoder.config
        head = self.model.head if isinstance(self.model, Detector) else None
        self.spatial = not config.causal or isinstance(self.model, Recogniser)
        self.t_layers = _folded_layers(encoder.t_layers, _part_of(head, 0, config.hidden, bias=True))
        self.s_layers = nn.ModuleList()
        if self.spatial:
            self.s_layers = _folded_layers(encoder.s_layers, _part_of(head, config.hidden, config.hidden, bias=False))
        encoder.t_layers, encoder.s_layers = nn.ModuleList(), nn.ModuleList()
        if head is not None:
            self.model.head = nn.Identity()

        self.tail_F: Tensor
        self.tail_Q: Tensor
        self.pool_FQ: Tensor
        pool_FN = encoder.pool_TN[config.frames - frames :]
        asked = pool_FN.any(dim=0).nonzero().flatten()
        self.register_buffer("tail_F", torch.arange(config.frames - frames, config.frames))
        self.register_buffer("tail_Q", asked)
        self.register_buffer("pool_FQ", pool_FN[:, asked].contiguous())

    @property
    def asked(self) -> tuple[Tensor, ...]:
        """The values of `ASKED`; none where the answer is one for the whole clip."""
        return () if isinstance(self.model, Recogniser) else tuple(getattr(self, name) for name in self.ASKED)

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        """What the model gives for joints (B, 3, T, V, M) float32."""
        return self.answer(joints_BCTVM, *self.asked)

    def answer(
        self,
        joints_BCTVM: Tensor,
        tail_F: Tensor | None = None,
        tail_Q: Tensor | None = None,
        pool_FQ: Tensor | None = None,
    ) -> Tensor:
        """As `forward`, asked for these frames."""
        encoder = self.model.encoder
        x_BCTVM = self.model.prepared(joints_BCTVM)
        t_BTH = encoder.embed_temporal(x_BCTVM)
        s_BNH = encoder.embed_spatial(x_BCTVM) if self.spatial else None
        if isinstance(self.model, Recogniser):
            t_BH = self._through(self.t_layers, t_BTH, encoder.t_position_TH, None).amax(dim=1)
            s_BH = self._through(self.s_layers, s_BNH, encoder.s_position_NH, None).amax(dim=1)
            answer: Tensor = self.model.head(torch.cat((t_BH, s_BH), dim=-1))
            return answer
        t_BFO = self._through(self.t_layers, t_BTH, encoder.t_position_TH, tail_F)
        if s_BNH is None or pool_FQ is None:
            return t_BFO
        s_BQO = self._through(self.s_layers, s_BNH, encoder.s_position_NH, tail_Q)
        pooled_BFO = torch.matmul(pool_FQ, s_BQO)
        return t_BFO + pooled_BFO if isinstance(self.model, Detector) else torch.cat((t_BFO, pooled_BFO), dim=-1)

    def _through(
        self, layers: nn.ModuleList, x_BNH: Tensor | None, position_NH: Tensor, asked_Q: Tensor | None
    ) -> Tensor:
        assert x_BNH is not None
        for number, layer in enumerate(layers):
            if number == 0 or self.model.encoder.positions_again:
                x_BNH = x_BNH + position_NH
            x_BNH = layer(x_BNH, asked_Q if number == len(layers) - 1 else None)
        return x_BNH


class FoldedAttention(nn.Module):
    """The published attention with its four products folded into two."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        (wq, wk, wv), (bq, _, bv) = attention.qkv.weight.double().chunk(3), attention.qkv.bias.double().chunk(3)
        wo, bo = attention.out.weight.double(), attention.out.bias.double()
        self.query = _linear(attention.scale * wk.T @ wq, attention.scale * wk.T @ bq)
        self.out = _linear(wo @ wv, wo @ bv + bo)
        self.later_NN: Tensor | None
        self.register_buffer("later_NN", attention.later_NN, persistent=False)

    def forward(self, x_NH: Tensor, asked_Q: Tensor | None) -> Tensor:
        """(..., N, H) -> (..., Q, H), or of all N where none are named."""
        asking_QH = x_NH if asked_Q is None else x_NH.index_select(x_NH.ndim - 2, asked_Q)
        score_QN = self.query(asking_QH) @ x_NH.transpose(-2, -1)
        if self.later_NN is not None:
            later_QN = self.later_NN if asked_Q is None else self.later_NN.index_select(0, asked_Q)
            score_QN = score_QN.masked_fill(later_QN, -math.inf)
        out: Tensor = self.out(score_QN.softmax(dim=-1) @ x_NH)
        return out


class FoldedLayer(nn.Module):
    """A DSTE layer (B, N, H) -> (B, Q, O)."""

    def __init__(self, layer: Layer, head: nn.Linear | None) -> None:
        super().__init__()
        ca, dsa = layer.ca, layer.dsa
        self.attention = FoldedAttention(layer.attention)
        self.convolution = ca.convolution
        self.mix1 = FoldedMix(dsa.mix1, torch.ones_like(dsa.mixes_N1))
        self.mix2 = FoldedMix(dsa.mix2, dsa.mixes_N1)
        self.norms1 = nn.ModuleList((ca.norm1, dsa.norm1))
        self.norms2 = nn.ModuleList((ca.norm2, dsa.norm2))
        self.in_ca, self.in_dsa = ca.mlp[0], dsa.mlp[0]
        share = (1 - layer.alpha) / 2  # of each of DSA's branches
        out_ca, out_dsa = _doubled(ca.mlp[2]), _doubled(dsa.mlp[2])
        weight = torch.cat((layer.alpha * out_ca.weight, share * out_dsa.weight), dim=1)
        bias = layer.alpha * out_ca.bias + 2 * share * out_dsa.bias
        self.of_branch = share
        self.of_residual: nn.Linear | None = None
        if head is not None:
            w = head.weight.double()
            weight, bias = w @ weight, w @ bias + head.bias.double()
            self.of_residual = _linear(share * w, None)
        self.of_hidden = _linear(weight, bias)

    def forward(self, x_BNH: Tensor, asked_Q: Tensor | None) -> Tensor:
        convolved = x_BNH + F.relu(self.convolution(x_BNH))
        shifted = x_BNH + self.mix2(F.relu(self.mix1(x_BNH)))
        norm_ca, norm_dsa = self.norms1
        tokens_PBNH = torch.stack((norm_ca(convolved), norm_dsa(shifted), norm_dsa(x_BNH)))
        attended_PBQH = self.attention(tokens_PBNH, asked_Q)

        if asked_Q is not None:
            x_BNH, shifted = x_BNH.index_select(1, asked_Q), shifted.index_select(1, asked_Q)
        ca_BQH, shifted_BQH, plain_BQH = (
            attended + before for attended, before in zip(attended_PBQH, (x_BNH, shifted, x_BNH), strict=True)
        )
        norm_ca, norm_dsa = self.norms2
        in_ca = F.gelu(self.in_ca(norm_ca(ca_BQH)))
        in_SBQG = F.gelu(self.in_dsa(norm_dsa(torch.stack((shifted_BQH, plain_BQH)))))
        in_dsa = in_SBQG[0] + in_SBQG[1]
        hidden_BQO: Tensor = self.of_hidden(torch.cat((in_ca, in_dsa), dim=-1))
        residual_BQH = shifted_BQH + plain_BQH
        scaled = self.of_residual
        residual_BQO: Tensor = self.of_branch * residual_BQH if scaled is None else scaled(residual_BQH)
        return hidden_BQO + residual_BQO


class FoldedMix(nn.Module):
    """DSA's map along the token axis, (B, N, H) -> (B, N, H) without turning the tokens round. `keeps_N1` is 0 for the
    tokens that keep their own value and 1 for the others; the past-only mask of a causal one is inside too."""

    def __init__(self, mix: TokenMix, keeps_N1: Tensor) -> None:
        super().__init__()
        weight_NN = mix.weight if mix.past_NN is None else mix.weight * mix.past_NN
        self.weight_NN = nn.Parameter((weight_NN * keeps_N1).detach())
        self.bias_N1 = nn.Parameter((mix.bias[:, None] * keeps_N1).detach())

    def forward(self, x_BNH: Tensor) -> Tensor:
        return torch.matmul(self.weight_NN, x_BNH) + self.bias_N1


class FoldedPostNormLayer(nn.Module):
    """An STTR layer (B, N, H) -> (B, Q, O)."""

    def __init__(self, layer: PostNormLayer, head: nn.Linear | None) -> None:
        super().__init__()
        self.attention = FoldedAttention(layer.attention)
        self.norm1, self.norm2, self.mlp = layer.norm1, layer.norm2, layer.mlp
        self.head = nn.Identity() if head is None else head  # behind a norm, which is not linear

    def forward(self, x_BNH: Tensor, asked_Q: Tensor | None) -> Tensor:
        before_BQH = x_BNH if asked_Q is None else x_BNH.index_select(1, asked_Q)
        attended = self.norm1(before_BQH + self.attention(x_BNH, asked_Q))
        out: Tensor = self.head(self.norm2(attended + self.mlp(attended)))
        return out


def _folded_layers(layers: nn.ModuleList, head: nn.Linear | None) -> nn.ModuleList:
    folded: list[nn.Module] = []
    for number, layer in enumerate(layers):
        mine = head if number == len(layers) - 1 else None
        if isinstance(layer, Layer):
            folded.append(FoldedLayer(layer, mine))
        else:
            assert isinstance(layer, PostNormLayer)
            folded.append(FoldedPostNormLayer(layer, mine))
    return nn.ModuleList(folded)


def _part_of(head: nn.Linear | None, first: int, width: int, *, bias: bool) -> nn.Linear | None:
    """The part of a head that reads one stream."""
    if head is None:
        return None
    return _linear(head.weight[:, first : first + width], head.bias if bias else torch.zeros_like(head.bias))


def _doubled(linear: nn.Module) -> nn.Linear:
    """A copy in float64."""
    assert isinstance(linear, nn.Linear)
    return copy.deepcopy(linear).double()


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear map with these weights. They are folded in float64, so that nothing is lost but the last rounding."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear
