"""Where training runs, and in which precision: the one place that decides.

Weights are drawn on the CPU and then go to `training_device()`; joints follow them, and what comes out comes back to
the CPU. All that is random but DropPath is drawn on the CPU too, so that a seed means the same data on any device.

Where the hardware computes in bfloat16, encoders do (`encoded`): their products, that is, because the sums within
LayerNorm and softmax are float32 either way. Their weights, and normalisation, views, projectors, heads, losses and the
optimiser stay float32. bfloat16 has float32's range, so no loss needs scaling.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["auto", "float32", "bfloat16"]

# The units of x86 processors that multiply in bfloat16; without them it is emulated, and slower than float32.
_CPU_UNITS = ("amx_bf16", "avx512_bf16")


def training_device() -> torch.device:
    """The current CUDA device (an AMD GPU counts as one) if there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights are."""
    return next(module.parameters()).device


def described(device: torch.device) -> str:
    """The device in words, for logs and tables."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def computed_in(device: torch.device, precision: Precision) -> torch.dtype:
    """What encoders compute in. "auto": bfloat16 on a GPU or a processor that has units for it, else float32."""
    if precision == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which products are computed in `computed_in`; an empty one where that is float32."""
    dtype = computed_in(device, precision)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def encoded(represent: Callable[..., Tensor], precision: Precision, joints_BCTVM: Tensor, *rest: Tensor) -> Tensor:
    """What `represent` (an encoder's `clip` or `dense`) makes of joints, computed in this precision, as float32."""
    with autocast(joints_BCTVM.device, precision):
        features = represent(joints_BCTVM, *rest)
    return features.float()


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of torch do not tell what the processor has; float32 is right on every one.
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    units = torch.cpu.get_capabilities()
    return any(bool(units.get(unit)) for unit in _CPU_UNITS)
