"""Let a detector's graph give, beside its logits, what its head reads: the encoder's features of every frame.

    with_features(model, bundle)       # (B, F, K) becomes (B, F, K + W): logits, then features

The head is folded into the last layer's maps (`encoder/folded.py`), and the features are nowhere in the graph any more.
So these maps are folded anew, from the bundle's weights, for a head of K + W rows: the trained one above an identity.
No node is added or removed; a few constants become wider, and a graph that is narrowed, quantised or halved later is
none the wiser.

K class, W feature, H hidden, G hidden of both MLPs, O = K + W.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from ..bundle import Bundle
from ..config import DSTEConfig
from ..plain_weights import read_weights
from .model import Array, constants, set_constant

F64 = NDArray[np.float64]

_BIAS = re.compile(r"folded\.(?P<stream>[ts])_layers\.(?P<layer>\d+)\.(of_hidden|head)\.bias")


class _Maps(NamedTuple):
    """The constants through which one stream's last layer reaches the logits: matrix and bias of what is behind its
    MLPs (or of the head, where that stands alone), and the matrix of the residual, if it has one of its own."""

    stream: str
    layer: int
    hidden: str
    bias: str
    residual: str


def with_features(model: onnx.ModelProto, bundle: Bundle) -> None:
    """Widen the graph's answer by the features. Raises ValueError for a graph that is no folded detector's."""
    config = bundle.config
    classes, width, hidden = len(config.classes), config.encoder.dense_width, config.encoder.hidden
    values = constants(model)
    last = config.encoder.layers - 1
    maps = [found for found in _maps(model, values) if found.layer == last and len(values[found.bias]) == classes]
    if config.task != "detect" or [found.stream for found in sorted(maps)] != ["s", "t"][-(width // hidden) :]:
        raise ValueError(f"{bundle.graph} gives no features: it is no detector's graph of ours; export the bundle anew")
    for found in maps:
        first = 0 if found.stream == "t" else hidden
        chosen_WH = np.eye(width)[:, first : first + hidden]
        hidden_HG, bias_H, residual_HH = _of_features(bundle, found)
        _widen(model, found.hidden, values, (chosen_WH @ hidden_HG).T)
        _widen(model, found.bias, values, chosen_WH @ bias_H)
        if found.residual:
            _widen(model, found.residual, values, (chosen_WH @ residual_HH).T)
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = classes + width
    del model.graph.value_info[:]


def _widen(model: onnx.ModelProto, name: str, values: dict[str, Array], more: F64) -> None:
    set_constant(model, name, np.concatenate((values[name], more.astype(np.float32)), axis=-1))


def _of_features(bundle: Bundle, maps: _Maps) -> tuple[F64, F64, F64]:
    """What makes one stream's features (H) of its last layer: (H, G) and (H,) of what is behind the MLPs, and (H, H) of
    the residual. As `FoldedLayer` has it, with an identity for a head."""
    config = bundle.config.encoder
    identity_HH = np.eye(config.hidden)
    if not isinstance(config, DSTEConfig):
        return identity_HH, np.zeros(config.hidden), identity_HH
    layer = f"encoder.{maps.stream}_layers.{maps.layer}"
    names = [f"{layer}.{half}.mlp.2.{what}" for half in ("ca", "dsa") for what in ("weight", "bias")]
    weights = read_weights(bundle, names)
    ca_HG, ca_H, dsa_HG, dsa_H = (weights[name].astype(np.float64) for name in names)
    share = (1 - config.alpha) / 2  # of each of DSA's branches
    hidden_HG = np.concatenate((config.alpha * ca_HG, share * dsa_HG), axis=1)
    return hidden_HG, config.alpha * ca_H + 2 * share * dsa_H, share * identity_HH


def _maps(model: onnx.ModelProto, values: dict[str, Array]) -> Iterator[_Maps]:
    """What may be a head's maps, told by the name that a fold gives their bias."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        found = next((match for name in node.input if (match := _BIAS.fullmatch(name))), None)
        if node.op_type != "Add" or found is None or found[0] not in values:
            continue
        product = made_by[next(name for name in node.input if name != found[0])]
        users = [user for user in model.graph.node if node.output[0] in user.input and user.op_type == "Add"]
        beside = (made_by[name] for user in users for name in user.input if name in made_by and name != node.output[0])
        outputs = len(values[found[0]])
        residual = next(
            (n.input[1] for n in beside if n.op_type == "MatMul" and _columns(values, n.input[1]) == outputs), ""
        )
        yield _Maps(found["stream"], int(found["layer"]), product.input[1], found[0], residual)


def _columns(values: dict[str, Array], name: str) -> int:
    """The columns of a constant matrix; 0 of what is none."""
    return values[name].shape[1] if name in values and values[name].ndim == 2 else 0
