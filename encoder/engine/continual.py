"""The continual detector in OpenVINO: a frame of many streams at a time.

The graph is `Continual.see`: the rings go in, and only a frame's own slot comes out. They stay in arrays of this
engine, which it writes a slot at a time, so that no frame costs a copy of what is remembered.

Shapes: B stream, C coordinate, V joint, M person, K class, S branch, P past frames, H hidden.
"""

from __future__ import annotations

import logging
import warnings

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from ..continual import Continual, State
from ..continual_past import Rings
from ..layout import NTU25
from ..running_facing import Means
from . import F32

OPSET = 20  # the first with Gelu as one operator


class ContinualEngine:
    """A continual detector for `streams` streams that advance together, on `threads` CPU threads.

    Every product is computed in float32, or in bf16 where the CPU has units for it, as OpenVINO chooses. `graph` is
    the model's `step_to_onnx`, for whoever makes several engines of one model.
    """

    def __init__(self, model: Continual, streams: int, *, threads: int = 1, graph: bytes | None = None) -> None:
        if streams < 1 or threads < 1:
            raise ValueError("a continual engine needs at least one stream and one thread")
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        compiled = ov.Core().compile_model(graph or step_to_onnx(model), "CPU", settings, weights=b"")
        self._request = compiled.create_infer_request()
        self._outputs = {name: port for port in compiled.outputs for name in port.names}
        self._arrays = {
            name: values.numpy().copy()
            for name, values in zip(_state_names(len(model.layers)), _flat(model.start(streams)), strict=True)
        }
        self._layers, self._streams = range(len(model.layers)), streams

    def step(self, frame_BCVM: F32) -> F32:
        """Logits (B, K) for the next frame (B, 3, 25, 2) of every stream. ValueError for another shape or dtype."""
        wanted = (self._streams, 3, len(NTU25), 2)
        if frame_BCVM.dtype != np.float32 or frame_BCVM.shape != wanted:
            raise ValueError(f"the engine takes float32 frames {wanted}, not {frame_BCVM.dtype} {frame_BCVM.shape}")
        result = self._request.infer({"frame": np.ascontiguousarray(frame_BCVM), **self._arrays}, share_inputs=True)
        a = self._arrays
        a["values"], a["weight"] = (np.array(result[self._outputs[f"{name}_after"]]) for name in ("values", "weight"))
        streams, slot = np.arange(self._streams), a["tick"] % a["tokens_0"].shape[2]
        for i in self._layers:
            for ring in (f"tokens_{i}", f"mixing_{i}"):
                a[ring][streams, :, slot] = result[self._outputs[f"{ring}_slot"]]
        a["tick"] = a["tick"] + 1
        logits: F32 = np.array(result[self._outputs["logits"]], dtype=np.float32)
        return logits


def step_to_onnx(model: Continual) -> bytes:
    """`Continual.see` as an ONNX file, for any number of streams.

    In: frame, tick, values, weight, and tokens_i and mixing_i of each layer. Out: logits, values_after, weight_after,
    and tokens_i_slot and mixing_i_slot of each layer.
    """
    layers = len(model.layers)
    names = _state_names(layers)
    logging.getLogger("torch.onnx._internal.exporter").setLevel(logging.ERROR)  # it misses torchvision; we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _See(model),
            # Cloned: layers may share their empty rings, which the exporter would take for one input.
            (torch.zeros(2, 3, len(NTU25), 2), *(values.clone() for values in _flat(model.start(2)))),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame", *names],
            output_names=["logits", "values_after", "weight_after", *(f"{name}_slot" for name in names[3:])],
            dynamic_shapes=({0: torch.export.Dim("streams")}, ({0: torch.export.Dim("streams")},) * len(names)),
            verbose=False,
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


class _See(nn.Module):
    """`Continual.see` with a flat state, which is what a graph has."""

    def __init__(self, model: Continual) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, frame_BCVM: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        tick, values, weight, *rings = state
        layers = tuple(Rings(*pair) for pair in zip(rings[::2], rings[1::2], strict=True))
        logits_BK, seen = self.model.see(frame_BCVM, State(tick, Means(values, weight), layers))
        return logits_BK, *seen.means, *(values for slot in seen.layers for values in slot)


def _state_names(layers: int) -> list[str]:
    return ["tick", "values", "weight", *(f"{ring}_{i}" for i in range(layers) for ring in ("tokens", "mixing"))]


def _flat(state: State) -> tuple[Tensor, ...]:
    return state.tick_B, *state.means, *(values for rings in state.layers for values in rings)
