"""What each step from the published network to the deployed one gives: OpenVINO on one thread, in turns.

    python tests/bench/fold_steps.py --model small --batches 1 8

Every variant is a graph of the same detector that computes the same logits (int8: nearly). The steps between are made
here out of the library's parts; it has the first and the last of them alone.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skelstream.encoder.attention import Attention
from skelstream.encoder.bundle import F32, Bundle
from skelstream.encoder.deployed import Deployed
from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import DSTE, Layer
from skelstream.encoder.export import INPUT, OPSET
from skelstream.encoder.folded import FoldedAttention, FoldedLayer, fold
from skelstream.encoder.graph import engine_graph
from skelstream.encoder.graph.int8 import is_calibrated
from skelstream.encoder.weights import load_detector
from skelstream.launch.published import PublishedDSTE

FRAMES = 20  # what `live` reads of a window
OUTPUT = "logits"


class Published(nn.Module):
    """The published network behind the same normalisation, and the head."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        assert isinstance(detector.encoder, DSTE)
        self.prepared: Callable[[Tensor], Tensor] = detector.prepared
        self.encoder, self.head = PublishedDSTE.of(detector.encoder).eval(), detector.head

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        logits_BTK: Tensor = self.head(self.encoder.dense(self.prepared(joints_BCTVM)))
        return logits_BTK


class AllTokens(nn.Module):
    """A part of the folded network in the place of one of the trained network's, which asks for no tokens."""

    def __init__(self, part: FoldedAttention | FoldedLayer) -> None:
        super().__init__()
        self.part = part

    def forward(self, x_BNH: Tensor) -> Tensor:
        out: Tensor = self.part(x_BNH, None)
        return out


def with_attention_folded(detector: Detector) -> Detector:
    """Query with key and value with output are one matrix each; all else is as trained."""
    changed = copy.deepcopy(detector)
    for layer in layers_of(changed):
        assert isinstance(layer.attention, Attention)
        layer.attention = AllTokens(FoldedAttention(layer.attention))  # type: ignore[assignment]
    return changed


def with_layers_folded(detector: Detector) -> Detector:
    """And one batch for the three passes through attention, one product for the last maps of CA and DSA."""
    changed = copy.deepcopy(detector)
    for layers in (changed.encoder.t_layers, changed.encoder.s_layers):
        for number, layer in enumerate(layers):
            assert isinstance(layer, Layer)
            layers[number] = AllTokens(FoldedLayer(layer, None))
    return changed


def layers_of(detector: Detector) -> list[Layer]:
    layers = (*detector.encoder.t_layers, *detector.encoder.s_layers)
    assert all(isinstance(layer, Layer) for layer in layers)
    return [layer for layer in layers if isinstance(layer, Layer)]


@dataclass
class Step:
    """A graph, whether its batch is fixed when it is compiled, and what it took: seconds a call, by batch size."""

    name: str
    graph: bytes
    gflop: float
    fixed: bool
    requests: dict[int, ov.InferRequest]
    seconds: dict[int, list[float]]

    @classmethod
    def of(cls, name: str, graph: bytes, gflop: float, *, fixed: bool, batches: Sequence[int]) -> Step:
        """Compiled for one thread in float32 (products in int8 where the graph says so)."""
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        core = ov.Core()
        shared = None if fixed else core.compile_model(core.read_model(graph), "CPU", settings)
        requests = {}
        for batch in batches:
            compiled = shared
            if compiled is None:
                model = core.read_model(graph)
                model.reshape([batch, *(n.get_length() for n in list(model.input(0).get_partial_shape())[1:])])
                compiled = core.compile_model(model, "CPU", settings)
            requests[batch] = compiled.create_infer_request()
        return cls(name, graph, gflop, fixed, requests, {batch: [] for batch in batches})

    def answer(self, windows: F32) -> F32:
        request = self.requests[len(windows)]
        request.infer({0: windows}, share_inputs=True)
        logits: F32 = np.array(request.get_output_tensor(0).data)
        return logits

    def measure(self, windows: F32, calls: int) -> None:
        self.answer(windows)
        began = time.perf_counter()
        for _ in range(calls):
            self.answer(windows)
        self.seconds[len(windows)].append((time.perf_counter() - began) / calls)


def exported(model: nn.Module, detector: Deployed) -> bytes:
    """The ONNX of a variant, any batch size, its weights in float32."""
    c = detector.config.encoder
    logging.getLogger("torch.onnx._internal.exporter").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.eval(),
            (torch.zeros(2, c.coords, c.frames, c.joints, c.people),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def gflop(model: nn.Module, bundle: Bundle) -> float:
    """10^9 operations in the products of one window. Counted in PyTorch: the published one has convolutions too."""
    with FlopCounterMode(display=False) as counter:
        model(torch.tensor(bundle.reference().joints[:1]))
    total: int = counter.get_total_flops()
    return total / 1e9


def steps_of(bundle: Bundle, batches: Sequence[int]) -> list[Step]:
    detector = load_detector(bundle)
    models: dict[str, nn.Module] = {
        "published": Published(detector),
        "as trained: DSA's branches one batch, gaps by a mask": detector,
        "attention in two products": with_attention_folded(detector),
        "three passes one batch, last maps one product": with_layers_folded(detector),
        "the head in the last layer": fold(detector),
        f"the last {FRAMES} frames alone": fold(detector, FRAMES),
    }
    steps = []
    for name, model in models.items():  # compiled without knowing the batch size, all of them
        step = Step.of(name, exported(model, detector), gflop(model, bundle), fixed=False, batches=batches)
        print(f"{name}: {step.gflop:.3f} GFLOP a window", flush=True)
        steps.append(step)
    last = steps[-1]
    steps.append(Step.of("a graph for each batch size", last.graph, last.gflop, fixed=True, batches=batches))
    if is_calibrated(bundle.graph):
        int8 = engine_graph(bundle, precision="int8", frames=FRAMES)
        steps.append(Step.of("int8", int8, last.gflop, fixed=True, batches=batches))
    return steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="a shipped bundle's name or a folder: a plain DSTE's")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=3, help="calls in each measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.load(options.model)
    steps = steps_of(bundle, options.batches)
    reference = bundle.reference()
    for batch in options.batches:
        windows = np.ascontiguousarray(np.resize(reference.joints, (batch, *reference.joints.shape[1:])))
        expected = np.resize(reference.logits, (batch, *reference.logits.shape[1:]))[:, -FRAMES:]
        differences = [float(np.abs(step.answer(windows)[:, -FRAMES:] - expected).max()) for step in steps]
        for _ in range(options.rounds):
            for step in steps:
                step.measure(windows, options.calls)
        show(steps, batch, differences)
    return 0


def show(steps: Sequence[Step], batch: int, differences: Sequence[float]) -> None:
    """The middle of each step's rounds, and of its rounds' ratios to the first step and to the one before."""
    print(f"\nbatch {batch}; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'step':52}{'GFLOP':>8}{'ms a window':>13}{'x first':>9}{'x before':>10}{'largest difference':>20}")
    before = first = steps[0]
    for step, difference in zip(steps, differences, strict=True):
        ms = 1000 * np.median(step.seconds[batch]) / batch
        ratios = [np.median(np.divide(other.seconds[batch], step.seconds[batch])) for other in (first, before)]
        print(f"{step.name:52}{step.gflop:8.3f}{ms:13.2f}{ratios[0]:9.2f}{ratios[1]:10.2f}{difference:20.1e}")
        before = step


if __name__ == "__main__":
    raise SystemExit(main())
