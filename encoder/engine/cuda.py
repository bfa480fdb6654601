"""The few calls to the CUDA runtime: which GPU it is, memory there and pinned memory here, a stream, a captured graph.

All of it is for the process's first GPU; CUDA_VISIBLE_DEVICES says which one that is. Needs cuda-bindings, of the same
CUDA major version as TensorRT.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cuda.bindings import runtime as cudart

from . import F32

_DEVICE = 0


class CudaError(ValueError):
    """CUDA refused: there is no GPU, no driver, not enough memory, or the device failed. One line."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The GPU as it names itself, its compute capability as "9.0", and its memory in bytes."""

    name: str
    capability: str
    memory: int


def use_gpu() -> Gpu:
    """Let this thread work on the GPU, and say which one it is. Raises `CudaError` if there is none."""
    error, count = cudart.cudaGetDeviceCount()
    if error == cudart.cudaError_t.cudaErrorNoDevice or (error == cudart.cudaError_t.cudaSuccess and not count):
        raise CudaError("no NVIDIA GPU is visible here; use the engine openvino or torch, or see `nvidia-smi`")
    if error == cudart.cudaError_t.cudaErrorInsufficientDriver:
        raise CudaError(
            "no NVIDIA driver, or one that is older than the installed CUDA bindings; install a newer driver, or "
            "pip install 'cuda-bindings<13' 'tensorrt-cu12' for an older one"
        )
    _check(error)
    _check(cudart.cudaSetDevice(_DEVICE))
    properties = _check(cudart.cudaGetDeviceProperties(_DEVICE))
    return Gpu(
        name=properties.name.decode(errors="replace").strip("\0 "),
        capability=f"{properties.major}.{properties.minor}",
        memory=int(properties.totalGlobalMem),
    )


def select_gpu() -> None:
    """Let this thread work on the GPU: CUDA's choice of a device is each thread's own."""
    _check(cudart.cudaSetDevice(_DEVICE))


class DeviceMemory:
    """So many bytes on the GPU, at `address`, which is a multiple of 256."""

    def __init__(self, size: int) -> None:
        self.size = max(1, size)
        error, address = cudart.cudaMalloc(self.size)
        if error == cudart.cudaError_t.cudaErrorMemoryAllocation:
            cudart.cudaGetLastError()  # see _check
            raise CudaError(
                f"not enough memory on the GPU: {self.size / 2**20:.0f} MiB are needed, {_free_mib()} are free; "
                "end what else runs there, or compile for smaller batches"
            )
        _check(error)
        self.address = int(address)

    def close(self) -> None:
        cudart.cudaFree(self.address)


class PinnedArray:
    """A float32 array in memory that the GPU reads and writes by itself; `array` is not used after `close`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.size = 4 * math.prod(shape)
        self.address = int(_check(cudart.cudaHostAlloc(self.size, cudart.cudaHostAllocDefault)))
        memory = (ctypes.c_float * math.prod(shape)).from_address(self.address)
        self.array: F32 = np.ctypeslib.as_array(memory).reshape(shape)

    def close(self) -> None:
        cudart.cudaFreeHost(self.address)


class Stream:
    """A queue of work on the GPU, in order, beside the queues of others."""

    def __init__(self) -> None:
        self._stream = _check(cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking))
        self.handle = int(self._stream)

    def send(self, device: DeviceMemory, host: PinnedArray, size: int) -> None:
        """Queue the copy of the first `size` bytes to the GPU."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        _check(cudart.cudaMemcpyAsync(device.address, host.address, size, kind, self._stream))

    def fetch(self, host: PinnedArray, device: DeviceMemory, size: int) -> None:
        """Queue the copy of the first `size` bytes from the GPU."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _check(cudart.cudaMemcpyAsync(host.address, device.address, size, kind, self._stream))

    def wait(self) -> None:
        """Until all that is queued is done."""
        _check(cudart.cudaStreamSynchronize(self._stream))

    def capture(self, queue: Callable[[], None]) -> CapturedGraph:
        """What `queue` queues is not run, but kept to be launched as one. Raises `CudaError` if it cannot be kept."""
        # Only this thread's calls count: another engine may allocate meanwhile.
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _check(cudart.cudaStreamBeginCapture(self._stream, mode))
        try:
            queue()
        except BaseException:
            error, graph = cudart.cudaStreamEndCapture(self._stream)  # or the stream would be of no use any more
            if error == cudart.cudaError_t.cudaSuccess and graph is not None:
                cudart.cudaGraphDestroy(graph)
            raise
        return CapturedGraph(self._stream, _check(cudart.cudaStreamEndCapture(self._stream)))

    def close(self) -> None:
        cudart.cudaStreamDestroy(self._stream)


class CapturedGraph:
    """Work that was captured on a stream; see `Stream.capture`."""

    def __init__(self, stream: Any, graph: Any) -> None:
        self._stream = stream
        try:
            self._executable = _check(cudart.cudaGraphInstantiate(graph, 0))
        finally:
            cudart.cudaGraphDestroy(graph)

    def launch(self) -> None:
        """Queue all of it."""
        _check(cudart.cudaGraphLaunch(self._executable, self._stream))

    def close(self) -> None:
        cudart.cudaGraphExecDestroy(self._executable)


def _check(result: Any) -> Any:
    """The value of a call, which answers (error,) or (error, value). Raises `CudaError` if it failed."""
    error, *values = result if isinstance(result, tuple) else (result,)
    if error != cudart.cudaError_t.cudaSuccess:
        # CUDA keeps the error, and TensorRT or torch would take it for their own.
        cudart.cudaGetLastError()
        _, text = cudart.cudaGetErrorString(error)
        raise CudaError(f"CUDA says {text.decode(errors='replace')} ({error.name}); see `nvidia-smi`")
    return values[0] if values else None


def _free_mib() -> str:
    error, free, _ = cudart.cudaMemGetInfo()
    return f"{free / 2**20:.0f} MiB" if error == cudart.cudaError_t.cudaSuccess else "an unknown number"
