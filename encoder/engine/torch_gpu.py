"""A folded model on a GPU with PyTorch alone: half precision, and a captured CUDA graph for each of a few batch sizes.

A graph is started as one, where the model's hundreds of kernels would be started one by one. torch.compile is not
used: it needs a C compiler where it runs.

Half precision is that of CUDA's autocast: products in half, LayerNorm and softmax in float32. The normalisation of
joints has no products, and the residual stream takes float32 from its positions and keeps it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..folded import Folded, FoldedMix
from . import F32, Precision
from .batches import Recent

SIZES = (1, 2, 4, 8, 16, 32, 64)  # of the batches that have a graph

# What a run costs before its first window, in windows: it starts its kernels and reads all weights. An estimate: a
# GPU that is large for the model lies above, a small one below, and each is served at less than twice its best.
_START = 8

_TYPES: dict[Precision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}

# PyTorch captures one graph at a time in a process.
_CAPTURING = threading.Lock()


def batch_sizes(count: int) -> list[int]:
    """The `SIZES` to compute so many windows with, in order; the last may have room for more windows than are left.

    A count that is no size is padded up to the next one, or begins with the one below, whichever costs less when a run
    of n windows costs n + 8: 3 run as 4, 17 as 16 and 1, 31 as 32.
    """
    full, rest = divmod(count, SIZES[-1])
    if full:
        return [SIZES[-1]] * full + (batch_sizes(rest) if rest else [])
    above = next(size for size in SIZES if size >= count)
    if above == count:
        return [above]
    below = SIZES[SIZES.index(above) - 1]
    split = [below, *batch_sizes(count - below)]
    return [above] if above + _START <= sum(split) + _START * len(split) else split


class GpuModel:
    """A folded model on a GPU, ready for batches of windows (B, *window_shape) float32 -> (B, *output_shape) float32.

    Raises ValueError, in one line, if the GPU has not enough memory or fails.
    """

    def __init__(
        self,
        folded: Folded,
        window_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        *,
        precision: Precision,
        device: torch.device,
    ) -> None:
        self._device = device
        self._precision = precision
        self._output_shape = output_shape
        with in_one_line(), torch.cuda.device(device):
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._pool = (
                torch.cuda.graph_pool_handle()
            )  # of all graphs: no two run at once, and none leaves a result in it
            self._list_indices = ListIndices(device)
            self._model = in_half(folded, precision).to(device)
            # A graph reads and writes at fixed places, and copies to and from pinned memory need no detour.
            self._windows = torch.zeros((SIZES[-1], *window_shape), device=device)
            self._answers = torch.zeros((SIZES[-1], *output_shape), device=device)
            self._pinned_windows = torch.zeros(self._windows.shape, pin_memory=True)
            self._pinned_answers = torch.zeros(self._answers.shape, pin_memory=True)
            self._graphs = Recent(self._capture, torch.cuda.CUDAGraph.reset, keep=len(SIZES))
            torch.cuda.synchronize()  # all of it is there before the stream begins

    def infer(self, windows: F32) -> F32:
        """(B, *output_shape) of windows (B, *window_shape)."""
        result = np.empty((len(windows), *self._output_shape), np.float32)
        done = 0
        with in_one_line(), torch.cuda.device(self._device), torch.cuda.stream(self._stream), torch.inference_mode():
            for size in batch_sizes(len(windows)):
                piece = slice(done, min(done + size, len(windows)))
                count = piece.stop - piece.start
                graph = self._graphs[size]
                # What lies behind the last window is of an earlier batch: no window sees another.
                np.copyto(self._pinned_windows.numpy()[:count], windows[piece])
                self._windows[:count].copy_(self._pinned_windows[:count], non_blocking=True)
                graph.replay()
                self._pinned_answers[:count].copy_(self._answers[:count], non_blocking=True)
                self._stream.synchronize()
                np.copyto(result[piece], self._pinned_answers.numpy()[:count])
                done = piece.stop
        return result

    def close(self) -> None:
        """Give the GPU's memory back; the model is not used again."""
        with (
            suppress(RuntimeError),
            torch.cuda.device(self._device),
        ):  # of a GPU that has failed there is nothing to save
            self._stream.synchronize()
            self._graphs.clear()
            del (
                self._model,
                self._windows,
                self._answers,
                self._pinned_windows,
                self._pinned_answers,
                self._list_indices,
            )
            torch.cuda.empty_cache()

    def _capture(self, size: int) -> torch.cuda.CUDAGraph:
        windows, answers = self._windows[:size], self._answers[:size]
        graph = torch.cuda.CUDAGraph()
        with _CAPTURING, self._list_indices, autocast("cuda", self._precision), _full_float32(self._precision):
            for _ in range(2):  # libraries load and workspaces are taken, which must not be captured
                answers.copy_(self._model(windows))
            self._stream.synchronize()
            # Only this thread's calls count: another engine may allocate meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                answers.copy_(self._model(windows))
        return graph


def in_half(folded: Folded, precision: Precision) -> Folded:
    """The folded model itself, the weights of its products in half, so that autocast need not cast them each time."""
    if precision in _TYPES:
        dtype = _TYPES[precision]
        for module in folded.modules():
            if isinstance(module, nn.Linear):
                module.to(dtype)
            elif isinstance(module, FoldedMix):
                module.weight_NN = nn.Parameter(module.weight_NN.detach().to(dtype))
    return folded


def autocast(device_type: str, precision: Precision) -> torch.autocast:
    """The arithmetic of this precision, in this thread."""
    # Its cache of cast weights would outlive a captured graph's memory.
    return torch.autocast(
        device_type, dtype=_TYPES.get(precision, torch.float16), enabled=precision in _TYPES, cache_enabled=False
    )


class ListIndices(TorchFunctionMode):
    """While it is entered, lists that index a tensor are read from the GPU, where they are put the first time.

    PyTorch copies them there each time, which a capture does not allow.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._kept: dict[tuple[int, ...], Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__ and not isinstance(args[1], Tensor):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(self._there(part) if isinstance(part, list) else part for part in index))
        return func(*args, **(kwargs or {}))

    def _there(self, index: list[int]) -> Tensor:
        key = tuple(index)
        if key not in self._kept:
            self._kept[key] = torch.tensor(index, device=self._device)
        return self._kept[key]


@contextmanager
def _full_float32(precision: Precision) -> Iterator[None]:
    """float32 products with all their bits, whatever the process has chosen; as it was afterwards.

    A captured graph keeps what held when it was captured.
    """
    if precision != "fp32":
        yield
        return
    matmul = torch.backends.cuda.matmul
    name, full = ("fp32_precision", "ieee") if hasattr(matmul, "fp32_precision") else ("allow_tf32", False)
    before = getattr(matmul, name)
    setattr(matmul, name, full)
    try:
        yield
    finally:
        setattr(matmul, name, before)


@contextmanager
def in_one_line() -> Iterator[None]:
    """What the GPU complains of becomes a ValueError of one line."""
    outside = sys.exception()  # one that the caller is handling is not the reason
    try:
        yield
    except RuntimeError as error:
        # A capture that ends badly complains again, after the reason.
        reason: BaseException = error
        while reason.__context__ is not None and reason.__context__ is not outside:
            reason = reason.__context__
        said = (str(reason).strip().splitlines() or [type(reason).__name__])[0][:300]
        if isinstance(reason, torch.OutOfMemoryError) or "out of memory" in said or "ALLOC_FAILED" in said:
            raise ValueError(
                f"not enough memory on the GPU: {said}; end what else runs there, see `nvidia-smi`"
            ) from error
        raise ValueError(f"the GPU failed: {said}; see `nvidia-smi`, or use another engine") from error
