"""Calibrate a graph for int8: from real windows, the scale of each product's input, and which products keep float32.

Accuracy is controlled: all large products are tried in int8, and while class probabilities move more than they may,
the product that does most harm for what it saves goes back to float32; then those that could have stayed come back. No
torch in here: OpenVINO computes what is compared.

B batch, W window, F frame, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from .int8 import LEVELS, candidates, quantise
from .model import constants

F32 = NDArray[np.float32]
_BATCH = 8
_SAMPLES = 1 << 18  # numbers of an activation that are looked at for its range
_FRACTIONS = np.linspace(0.3, 1.0, 29)  # of its largest number: where it might be clipped


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far class probabilities (W, ..., K) are from the reference's: the 99.9th percentile of the differences and
    the largest, and the share of frames on which the likeliest class is the same."""

    p999: float
    largest: float
    argmax: float

    def within(self, p999: float, argmax: float) -> bool:
        """Whether both bounds hold."""
        return self.p999 <= p999 and self.argmax >= argmax


def agreement(logits: F32, reference: F32) -> Agreement:
    """The agreement of two arrays of logits (..., K)."""
    ours, theirs = _softmax(logits), _softmax(reference)
    difference = np.abs(ours - theirs)
    return Agreement(
        p999=float(np.quantile(difference, 0.999)), largest=float(difference.max()),
        argmax=float((ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean()),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The scales of the products that are in int8, the names of those that are not, and what it came to."""

    scales: Mapping[str, float]
    kept: tuple[str, ...]
    agreement: Agreement


def calibrate(
    model: onnx.ModelProto, windows: F32, *, p999: float = 0.01, argmax: float = 0.9975,
    say: Callable[[str], None] = lambda line: None,
) -> Calibration:  # fmt: skip
    """Calibrate a graph in float32 that gives logits, on real windows (W, 3, T, V, M): half of them give the ranges,
    the other half judge. The bounds default to half of what an engine may differ by, so that other people's windows
    stay within.

    Raises ValueError if there are too few windows.
    """
    if len(windows) < 64:
        raise ValueError(f"int8 needs at least 64 real windows to calibrate, not {len(windows)}")
    learnt, judged = windows[::2], windows[1::2]
    found = {name: node.input[0] for name, node in candidates(model).items()}
    ranges = {source: _scale(samples) for source, samples in _samples(model, set(found.values()), learnt)}
    every = {name: ranges[source] for name, source in found.items()}
    scales = dict(every)
    reference = _run(model, judged)

    def judge(chosen: Mapping[str, float]) -> Agreement:
        return agreement(_run(_quantised(model, chosen), judged), reference)

    result = judge(scales)
    say(f"{len(scales)} products in int8: {_told(result)}")
    kept: list[str] = []
    if not result.within(p999, argmax):
        values = constants(model)
        work = {name: values[node.input[1]].size for name, node in candidates(model).items()}
        harm = {}
        for name, scale in scales.items():
            alone = judge({name: scale})
            harm[name] = (alone.p999 + (1 - alone.argmax)) / work[name]
            say(f"{name} alone: {_told(alone)}")
        for name in sorted(harm, key=harm.__getitem__, reverse=True):
            kept.append(name)
            del scales[name]
            result = judge(scales)
            say(f"without {name}: {_told(result)}")
            if result.within(p999, argmax):
                break
        # Some were sent back that did harm only beside a worse one, which was sent back later.
        for name in kept[-2::-1]:
            with_it = judge({**scales, name: every[name]})
            say(f"with {name} again: {_told(with_it)}")
            if with_it.within(p999, argmax):
                scales[name], result = every[name], with_it
                kept.remove(name)
    return Calibration(scales=scales, kept=tuple(kept), agreement=result)


def _told(result: Agreement) -> str:
    return f"99.9 % of probabilities within {result.p999:.4f}, {100 * result.argmax:.2f} % the same class"


def _scale(samples: F32) -> float:
    """The scale whose rounding and clipping lose the least, in mean square."""
    largest: float = float(np.abs(samples).max()) or 1.0

    def loss(scale: float) -> float:
        rounded = np.clip(np.rint(samples / scale), -LEVELS, LEVELS) * scale
        return float(np.square(rounded - samples).mean())

    return min((largest * float(fraction) / LEVELS for fraction in _FRACTIONS), key=loss)


def _samples(model: onnx.ModelProto, sources: set[str], windows: F32) -> Iterator[tuple[str, F32]]:
    """What flows through these tensors: for each some numbers from all windows, its largest in them."""
    watched = onnx.ModelProto.FromString(model.SerializeToString())
    names = sorted(sources)
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    rng = np.random.default_rng(0)
    taken: dict[str, list[F32]] = {name: [] for name in names}
    each = max(1, _SAMPLES * _BATCH // len(windows))
    for outputs in _batches(watched, windows):
        for name, values in zip(names, outputs[1:], strict=True):
            flat = values.reshape(-1)
            some = rng.choice(flat.size, min(each, flat.size), replace=False)
            taken[name].append(np.append(flat[some], flat[np.abs(flat).argmax()]))
    for name in names:
        yield name, np.concatenate(taken[name])


def _quantised(model: onnx.ModelProto, scales: Mapping[str, float]) -> onnx.ModelProto:
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    quantise(copy, scales)
    return copy


def _run(model: onnx.ModelProto, windows: F32) -> F32:
    return np.concatenate([outputs[0] for outputs in _batches(model, windows)])


def _batches(model: onnx.ModelProto, windows: F32) -> Iterator[list[F32]]:
    """All outputs of the graph, batch after batch."""
    import openvino as ov

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(ov.Core().read_model(model.SerializeToString()), "CPU", settings)
    request = compiled.create_infer_request()
    for start in range(0, len(windows), _BATCH):
        result = request.infer({0: np.ascontiguousarray(windows[start : start + _BATCH])})
        yield [np.array(result[port]) for port in compiled.outputs]


def _softmax(logits: F32) -> F32:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: F32 = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares
