"""The PyTorch engine: on the CPU the reference that every other one is compared with, on a GPU a fast one that needs
no compiler. No other engine imports torch.

    reference = TorchEngine(bundle, device="cpu")        # the model as it was trained, eager, float32
    engine = TorchEngine(bundle, device="cuda:1")        # folded, half precision, CUDA graphs; "cuda" is the first GPU
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ..bundle import Bundle, BundleConfig
from ..deployed import Deployed
from ..detector import Detector
from ..folded import fold
from ..weights import load_model
from . import F32, Precision, check_windows
from .torch_gpu import GpuModel


class TorchEngine:
    """The bundle's weights in PyTorch, on `device`: "cpu", "cuda", "cuda:1" and so on (None: a GPU where there is one).

    The CPU computes the trained model itself, in float32 alone. A GPU computes its folded form, in fp16 (the default),
    bf16 or fp32. `frames`: of a window only the last so many come out (None: all). `features`: these come
    beside a detector's logits. `threads` sets torch's thread count, which is the process's.

    Raises ValueError, in one line, if there is no such device, precision or number of frames, or if the GPU's memory
    does not suffice.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        precision: Precision | None = None,
        threads: int | None = None,
        frames: int | None = None,
        features: bool = False,
        device: str | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        where = _device(device)
        self.precision: Precision = _precision(precision, where)
        self.frames = _frames(frames, bundle.config)
        self.name = f"torch-{where}"
        if threads is not None:
            torch.set_num_threads(threads)
        self._window_shape = bundle.config.window_shape
        self._model: GpuModel | _Reference
        model = load_model(bundle)
        output_shape = bundle.config.output_shape
        if features:
            model = giving_features(model)
            output_shape = (*output_shape[:-1], output_shape[-1] + bundle.config.encoder.dense_width)
        if where.type == "cuda":
            if frames is not None:
                output_shape = (frames, *output_shape[1:])
            folded = fold(model, frames)
            self._model = GpuModel(folded, self._window_shape, output_shape, precision=self.precision, device=where)
        else:
            self._model = _Reference(model, frames)

    def infer(self, joints_BCTVM: F32) -> F32:
        """The model's output; see `Engine.infer`. Raises ValueError too if the GPU fails."""
        check_windows(joints_BCTVM, self._window_shape)
        return self._model.infer(joints_BCTVM)

    def keep(self, parity: Mapping[str, float] | None = None) -> str:
        """Nothing: there is no compiled file."""
        return ""

    def discard(self) -> None:
        """Nothing: there is no compiled file."""

    def close(self) -> None:
        """Give back memory; see `Engine.close`."""
        if isinstance(self._model, GpuModel):
            self._model.close()
        del self._model


def giving_features(model: Deployed) -> Detector:
    """A detector whose answer (B, T, K + W) is its logits and then what its head reads: the head above an identity.

    Raises ValueError for a model that does not detect.
    """
    if not isinstance(model, Detector):
        raise ValueError(f"a model for the task {model.config.task} has no features of frames; give one for detect")
    width = model.config.encoder.dense_width
    wider = nn.Linear(width, len(model.config.classes) + width)
    with torch.no_grad():
        wider.weight.copy_(torch.cat((model.head.weight, torch.eye(width))))
        wider.bias.copy_(torch.cat((model.head.bias, torch.zeros(width))))
    model.head = wider
    return model


class _Reference:
    """A trained model as it is, of whose frames the last so many are asked for."""

    def __init__(self, model: nn.Module, frames: int | None) -> None:
        self._model, self._frames = model, frames

    def infer(self, joints_BCTVM: F32) -> F32:
        with torch.inference_mode():
            answer: F32 = self._model(torch.tensor(joints_BCTVM)).numpy()
        return answer if self._frames is None else np.ascontiguousarray(answer[:, -self._frames :])


def _device(name: str | None) -> torch.device:
    """The device of this name. Raises ValueError if it is not here."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.type != "cuda" and name != "cpu"):
        raise ValueError(f"the engine torch has no device {name!r}; there are cpu, cuda, and cuda:1 for a second GPU")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise ValueError(
                "PyTorch finds no GPU here; use the device cpu, or see `nvidia-smi` and torch.version.cuda"
            )
        if (device.index or 0) >= count:
            raise ValueError(f"there is no {name} here; the last GPU is cuda:{count - 1}")
    return device


def _precision(precision: Precision | None, device: torch.device) -> Precision:
    """The precision asked for, or the device's own. Raises ValueError if the device does not compute in it."""
    if device.type == "cpu":
        if precision not in (None, "fp32"):
            raise ValueError(f"PyTorch on the CPU is the fp32 reference, not {precision}; use the engine openvino")
        return "fp32"
    if precision not in (None, "fp32", "fp16", "bf16"):
        raise ValueError(f"PyTorch computes in fp32, fp16 or bf16 on a GPU, not {precision}; use the engine tensorrt")
    return precision or "fp16"


def _frames(frames: int | None, config: BundleConfig) -> int:
    """How many frames come out of a window. Raises ValueError if the model does not give that many."""
    if frames is None:
        return config.frames
    if config.task == "recognise" or not 1 <= frames <= config.frames:
        raise ValueError(
            f"this model does not give the last {frames} frames; ask for 1 to {config.frames} of a detector's"
        )
    return frames
