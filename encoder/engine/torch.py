"""The PyTorch engine: the reference that every other one is compared with. The only engine that imports torch."""

from __future__ import annotations

import numpy as np
import torch

from ..bundle import Bundle
from ..weights import load_model
from . import F32, Precision, check_windows


class TorchEngine:
    """The bundle's weights in eager PyTorch, float32, on the CPU or on any device that torch knows.

    `threads` sets torch's thread count, which is the process's.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, device: str = "cpu") -> None:
        if threads is not None:
            if threads < 1:
                raise ValueError(f"threads must be at least 1, not {threads}")
            torch.set_num_threads(threads)
        self.name = f"torch-{device}"
        self.precision: Precision = "fp32"
        self._device = torch.device(device)
        self._model = load_model(bundle).to(self._device)
        self._window_shape = bundle.config.window_shape

    def infer(self, joints_BCTVM: F32) -> F32:
        """The graph's output; see `Engine.infer`."""
        check_windows(joints_BCTVM, self._window_shape)
        with torch.inference_mode():
            logits = self._model(torch.tensor(joints_BCTVM, device=self._device))
        result: F32 = logits.cpu().numpy().astype(np.float32, copy=False)
        return result

    def close(self) -> None:
        """Give back memory; see `Engine.close`."""
        del self._model
