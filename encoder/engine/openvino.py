"""The OpenVINO engine: any x86 or ARM CPU, the embedded default."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov

from ..bundle import Bundle
from . import F32, Precision, check_windows

# OpenVINO's name for each precision.
_TYPES: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine:
    """The bundle's graph compiled for this CPU, with latency first.

    `threads` bounds the CPU threads (None: all). Precision is bf16 where the CPU computes in it, else float32.

    The compiled model is cached in the bundle's `engine_cache`. A fresh one lies in a scratch directory until `keep`
    says that it is good: what failed its check is never found again, and no process finds a half-written one.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, precision: Precision | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        core = ov.Core()
        native_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision: Precision = precision or ("bf16" if native_bf16 else "fp32")
        if self.precision not in _TYPES or (self.precision == "bf16" and not native_bf16):
            raise ValueError(f"this CPU does not compute in {self.precision} with OpenVINO; use fp32")
        self.name = "openvino-cpu"
        self._window_shape = bundle.config.window_shape
        device = core.get_property("CPU", "FULL_DEVICE_NAME")
        built_from = f"{bundle.digest} {ov.__version__} {device} {threads}"
        key = hashlib.sha256(built_from.encode()).hexdigest()[:16]
        self.cache = bundle.engine_cache() / f"{self.name}-{self.precision}-{key}"
        self._scratch: Path | None = None
        settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _TYPES[self.precision],
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        if self.cache.is_dir():
            settings["CACHE_DIR"] = str(self.cache)
        elif (scratch := _scratch_beside(self.cache)) is not None:
            self._scratch = scratch
            settings["CACHE_DIR"] = str(scratch)
        try:
            # The graph from memory: OpenVINO files what it compiled from a path under path and time, and would compile
            # again wherever the bundle is moved or copied to.
            graph = bundle.graph.read_bytes()
            self._request = core.compile_model(graph, "CPU", settings, weights=b"").create_infer_request()
        except RuntimeError as error:
            self.discard()
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"OpenVINO cannot compile {bundle.graph}: {reason}; export the bundle anew") from error

    def infer(self, joints_BCTVM: F32) -> F32:
        """The graph's output; see `Engine.infer`."""
        check_windows(joints_BCTVM, self._window_shape)
        # The array is read in place, and its result copied before the next call overwrites it.
        result = self._request.infer({0: np.ascontiguousarray(joints_BCTVM)}, share_inputs=True)
        logits: F32 = np.array(result[0], dtype=np.float32)
        return logits

    def keep(self) -> None:
        """Let the next start find this compiled model."""
        if self._scratch is None:
            return
        try:
            self._scratch.rename(self.cache)
        except OSError:  # another process was first, and its engine is as good
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch = None

    def discard(self) -> None:
        """Forget this compiled model, wherever it lies."""
        shutil.rmtree(self.cache, ignore_errors=True)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def close(self) -> None:
        """Give back memory and threads; see `Engine.close`."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        del self._request


def _scratch_beside(cache: Path) -> Path | None:
    """A fresh directory on the same file system, or None where nothing can be written: then nothing is cached."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".compiling-", dir=cache.parent))
    except OSError:
        return None
