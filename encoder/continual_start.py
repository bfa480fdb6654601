"""What a continual detector begins with: all that a windowed one has learnt and that fits. Shapes: H hidden, L lag."""

from __future__ import annotations

from typing import cast

import torch

from .config import DSTEConfig, check
from .continual import Continual, ContinualConfig
from .continual import Layer as ContinualLayer
from .detector import Detector
from .dste import Layer
from .layout import NTU25


def begun_as(detector: Detector, config: ContinualConfig) -> Continual:
    """A continual detector whose weights are a windowed one's, as far as they fit.

    Taken over as they are: the temporal embedding, CA's convolution, all norms and MLPs, attention (its maps
    multiplied out) and the temporal half of the head. A tap begins as the mean of its diagonal in DSA's mixing,
    `offset_H` as the mean position. Raises ValueError unless the start is a DSTE of joints of this width, these layers
    and these classes.
    """
    theirs = detector.encoder.config
    check(isinstance(theirs, DSTEConfig), "the start must be a DSTE")
    check(detector.config.modality == "joint", "the start must see joints, and not motion or bones")
    check((theirs.joints, theirs.people) == (len(NTU25), 2), "the start must see two people of 25 joints")
    check(theirs.hidden == config.hidden, f"the start's hidden width is {theirs.hidden}, this one's {config.hidden}")
    check(theirs.layers == config.layers, f"the start has {theirs.layers} layers, this one {config.layers}")
    check(detector.config.classes == config.classes, "the start's classes are others")
    made = Continual(config)
    made.embedding.load_state_dict(detector.encoder.t_embedding.state_dict())
    with torch.no_grad():
        for mine, layer in zip(made.layers, detector.encoder.t_layers, strict=True):
            _take(cast(ContinualLayer, mine), cast(Layer, layer))
            cast(ContinualLayer, mine).offset_H.copy_(detector.encoder.t_position_TH.mean(dim=0))
        if detector.encoder.config.causal:
            made.head.load_state_dict(detector.head.state_dict())
        else:
            made.head.weight.copy_(detector.head.weight[:, : config.hidden])
            made.head.bias.copy_(detector.head.bias)
    return made


def _take(mine: ContinualLayer, layer: Layer) -> None:
    ca, dsa, attention = layer.ca, layer.dsa, layer.attention
    for one, other in (
        (mine.convolution, ca.convolution), (mine.ca_norm1, ca.norm1), (mine.ca_norm2, ca.norm2),
        (mine.ca_mlp, ca.mlp), (mine.dsa_norm1, dsa.norm1), (mine.dsa_norm2, dsa.norm2), (mine.dsa_mlp, dsa.mlp),
    ):  # fmt: skip
        one.load_state_dict(other.state_dict())
    query, key, value = attention.qkv.weight.chunk(3)
    query_bias, _, value_bias = attention.qkv.bias.chunk(3)  # a key's bias adds the same to all scores of a query
    mine.query.weight.copy_(key.T @ query)
    mine.query.bias.copy_(key.T @ query_bias)
    mine.out.weight.copy_(attention.out.weight @ value)
    mine.out.bias.copy_(attention.out.weight @ value_bias + attention.out.bias)
    for taps_L, bias, mix in zip(mine.taps_2W, mine.mix_bias_2, (dsa.mix1, dsa.mix2), strict=True):
        taps_L.zero_()
        for lag in range(min(len(taps_L), len(mix.weight))):
            taps_L[lag] = mix.weight.diagonal(-lag).mean()
        bias.copy_(mix.bias.mean())
