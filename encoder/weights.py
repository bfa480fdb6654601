"""Weights as safetensors in half precision, and the model that a bundle holds. The train side: torch lives here.

The weights are rounded to float16 once, before anything is written, so that model.safetensors and model.onnx hold the
same numbers; all arithmetic stays float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .bundle import Bundle
from .config import Task
from .deployed import Deployed
from .detector import Detector
from .recogniser import Recogniser
from .representer import Representer

_MODELS: dict[Task, type[Deployed]] = {"detect": Detector, "recognise": Recogniser, "encode": Representer}


def pack(state: Mapping[str, Tensor]) -> bytes:
    """A state dict as a safetensors file's bytes, float16. Raises ValueError for a weight that float16 cannot hold."""
    content: bytes = save({name: _half(name, value).contiguous() for name, value in state.items()})
    return content


def unpack(content: bytes) -> dict[str, Tensor]:
    """The state dict of `pack`, as float32. Raises ValueError if the bytes are no safetensors file."""
    try:
        return {name: value.float() for name, value in load(content).items()}
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error


def round_to_half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights in float32, each rounded to a number that float16 holds."""
    return {name: _half(name, value).float() for name, value in state.items()}


def load_model(bundle: Bundle) -> Deployed:
    """The bundle's model on the CPU, in evaluation mode. Raises ValueError if its weights do not fit its config."""
    c = bundle.config
    kind = _MODELS[c.task]
    config = kind.Config(encoder=c.encoder, classes=c.classes, modality=c.modality, normalisation=c.normalisation)
    try:
        state = unpack(bundle.weights.read_bytes())
        with torch.device("meta"):  # nothing is allocated by the config's word alone
            shapes = kind(config).state_dict()
        if wrong := [n for n in shapes.keys() | state.keys() if _shape(shapes, n) != _shape(state, n)]:
            raise ValueError(f"{len(wrong)} of them are missing, unknown or of another shape, such as {min(wrong)}")
        model = kind(config)
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"corrupt bundle {bundle.directory}: its weights do not fit its config: {reason}") from error
    return model.eval()


def _shape(state: Mapping[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def load_detector(bundle: Bundle) -> Detector:
    """The bundle's model if it detects. Raises ValueError if its task is another, or its weights do not fit."""
    model = load_model(bundle)
    if not isinstance(model, Detector):
        raise ValueError(f"the bundle {bundle.directory} is for the task {bundle.config.task}; give one for detect")
    return model


def _half(name: str, value: Tensor) -> Tensor:
    half = value.detach().cpu().to(torch.float16)
    if not torch.isfinite(half).all():
        raise ValueError(f"weight {name} is not finite in float16: the training diverged")
    return half
