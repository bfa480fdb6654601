"""Export: a trained model becomes a bundle, with the graph that every engine is compiled from.

    save_bundle(detector, Path("runs/mine/bundle"), hz=30.0)

The graph takes raw joints and gives the task's answer for any batch size; it is the folded one (`folded.py`). Its
weights are stored in half precision, each behind a Cast to float32; that halves the file and changes no number, since
they were rounded first (`weights.py`). What was folded of two of them is kept in float32.

Shapes: B batch, P probe window, C coordinate, T frame, V joint, M person.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from .bundle import F32, Bundle, BundleConfig, DecodeParameters, Reference
from .config import Task, layout_of
from .deployed import Deployed
from .folded import Folded, fold
from .graph.calibrate import calibrate
from .graph.int8 import write_scales
from .graph.model import widen
from .layout import COCO_BONES, NTU25
from .weights import pack, round_to_half

OPSET = 20  # the first with Gelu as one operator
INPUT = "joints"
OUTPUT: dict[Task, str] = {"detect": "logits", "recognise": "logits", "encode": "representation"}


def save_bundle(
    model: Deployed,
    directory: Path,
    *,
    hz: float = 30.0,
    decode: DecodeParameters | None = None,
    metrics: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    probes_PCTVM: F32 | None = None,
    windows_WCTVM: F32 | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Write weights, graph, reference and config as one bundle, whole or not at all, in place of an older one there.

    `hz` is the clock that the windows were trained on. `probes_PCTVM` are the windows on which every engine will be
    compared with this model; without them, figures drawn here. `windows_WCTVM` are real windows on which the graph is
    calibrated for int8 (`graph/calibrate.py`); without them it can be compiled to floating point alone.
    Raises ValueError for weights that float16 cannot hold, or a directory that is something else.
    """
    c = model.config
    config = BundleConfig(
        encoder=c.encoder,
        classes=c.classes,
        task=c.task,
        layout=layout_of(c.encoder),
        modality=c.modality,
        normalisation=c.normalisation,
        frames=c.encoder.frames,
        hz=hz,
        decode=decode or DecodeParameters(),
        metrics=metrics or {},
        provenance=provenance or {},
    )
    rounded = copy.deepcopy(model).cpu().eval()
    rounded.load_state_dict(round_to_half(model.state_dict()))
    probes = probe_windows(config) if probes_PCTVM is None else np.ascontiguousarray(probes_PCTVM, dtype=np.float32)
    with torch.inference_mode():
        logits = rounded(torch.tensor(probes)).numpy()
    graph = to_onnx(rounded)
    if windows_WCTVM is not None:
        graph = calibrated(graph, windows_WCTVM, say)
    return Bundle.save(
        directory,
        config,
        weights=pack(rounded.state_dict()),
        graph=graph,
        reference=Reference(joints=probes, logits=logits),
    )


def calibrated(graph: bytes, windows_WCTVM: F32, say: Callable[[str], None]) -> bytes:
    """The graph with the scales for int8 that suit these windows. Raises ValueError if there are too few of them."""
    widened = onnx.load_model_from_string(graph)
    widen(widened)
    found = calibrate(widened, windows_WCTVM, say=say)
    model = onnx.load_model_from_string(graph)
    write_scales(model, found.scales)
    content: bytes = model.SerializeToString()
    return content


def to_onnx(model: Deployed) -> bytes:
    """The model as a checked ONNX file: `joints` (B, 3, T, V, M) float32 -> `OUTPUT` of its task float32, any B.

    Every constant that float16 holds exactly is stored so; nothing lies outside the file, and nothing in it tells of
    the machine that wrote it.
    """
    c = model.config.encoder
    example = torch.zeros(2, c.coords, c.frames, c.joints, c.people)
    folded = fold(copy.deepcopy(model).cpu())
    asked = folded.asked
    logging.getLogger("torch.onnx._internal.exporter").setLevel(logging.ERROR)  # it misses torchvision; we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Asked(folded),
            (example, *asked),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT, *folded.ASKED[: len(asked)]],
            output_names=[OUTPUT[model.config.task]],
            dynamic_shapes=({0: torch.export.Dim("batch")}, *_dynamic(folded)),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    _forget_origin(graph)
    _settle(graph.graph, dict(zip(folded.ASKED, asked, strict=False)))
    _halve(graph.graph)
    onnx.checker.check_model(graph, full_check=True)
    content: bytes = graph.SerializeToString()
    return content


class _Asked(torch.nn.Module):
    """A folded model whose choice of frames is an input, so that the exporter does not fold it into the graph."""

    def __init__(self, folded: Folded) -> None:
        super().__init__()
        self.folded = folded

    def forward(self, joints_BCTVM: torch.Tensor, *asked: torch.Tensor) -> torch.Tensor:
        return self.folded.answer(joints_BCTVM, *asked)


def _dynamic(folded: Folded) -> tuple[tuple[dict[int, object], ...], ...]:
    """Which axes of `Folded.asked`, one argument as the exporter sees them, may be shorter in a narrowed graph."""
    if not folded.asked:
        return ()
    frames, joints = torch.export.Dim("frames"), torch.export.Dim("joints")
    return (({0: frames}, {0: joints}, {0: frames, 1: joints}),)


def _settle(graph: onnx.GraphProto, values: Mapping[str, torch.Tensor]) -> None:
    """Turn these inputs into constants: all frames of the window, until somebody asks for fewer."""
    kept = [value for value in graph.input if value.name not in values]
    del graph.input[:]
    graph.input.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(value.numpy(), name) for name, value in values.items())


def probe_windows(config: BundleConfig) -> F32:
    """Four windows (4, 3, T, V, M) that reach every branch of the graph: somebody moving, two people, somebody who
    comes and goes, nobody. The same on every call."""
    rng = np.random.default_rng(20240601)
    c, t, v, m = config.window_shape
    probes = np.zeros((4, c, t, v, m), np.float32)
    for probe, slots in ((0, 1), (1, m), (2, 1)):
        for slot in range(slots):
            if config.layout == "coco17":
                probes[probe, ..., slot] = _seen(rng, t) + np.array([0.2 * slot, 0.1, 0], np.float32)[:, None, None]
            else:
                probes[probe, ..., slot] = _figure(rng, t) + np.array([0.7 * slot, 0.1, 2.5], np.float32)[:, None, None]
    probes[2, :, : t // 3] = 0
    return probes


def _seen(rng: np.random.Generator, frames: int) -> F32:
    """A body in a picture (3, T, 17): x, y in heights of the picture, and confidence, some joints unknown."""
    time = np.linspace(0, 2, frames)
    figure = np.zeros((3, frames, len(COCO_BONES)))
    for child, parent in COCO_BONES[1:]:
        angle = rng.uniform(0, 2 * np.pi) + 0.3 * np.sin(2 * np.pi * (time * rng.uniform(0.3, 1.5) + rng.uniform()))
        figure[:2, :, child] = figure[:2, :, parent] + 0.08 * np.stack((np.cos(angle), np.sin(angle)))
    unknown = rng.random((frames, len(COCO_BONES))) < 0.05
    figure[2] = rng.uniform(0.3, 1, unknown.shape)
    figure[:, unknown] = 0
    return figure.astype(np.float32)


def _figure(rng: np.random.Generator, frames: int) -> F32:
    """A body of about a person's size that sways (3, T, 25): the joints on their bones, each bone swinging smoothly."""
    lengths = {"SpineMid": 0.3, "SpineShoulder": 0.22, "Neck": 0.08, "Head": 0.14}
    time = np.linspace(0, 2, frames)
    figure = np.zeros((3, frames, len(NTU25)))
    for child, parent in NTU25.bones:
        name = NTU25.joints[child]
        rest = rng.normal(size=3) if name not in lengths else np.array([0.0, 1.0, 0.0])
        swing = rng.normal(size=3)[:, None] * np.sin(2 * np.pi * (time * rng.uniform(0.3, 1.5) + rng.uniform()))
        direction = rest[:, None] + 0.2 * swing
        figure[:, :, child] = figure[:, :, parent] + lengths.get(name, 0.2) * direction / np.linalg.norm(
            direction, axis=0
        )
    return figure.astype(np.float32)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes for debugging: file names, stack traces and intermediate shapes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")


def _halve(graph: onnx.GraphProto) -> None:
    """Store every float32 constant that float16 holds exactly as float16, with a Cast in front of its readers."""
    casts = []
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.ndim == 0 or tensor.name in Folded.ASKED:
            continue
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), value):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)
