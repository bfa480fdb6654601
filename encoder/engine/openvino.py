"""The OpenVINO engine: any x86 or ARM CPU, the embedded default.

A window alone is computed by all threads together, if that is measured to be faster, since somebody waits for it. More
windows at once mean that the load is high, and are divided among the threads, which then need not wait for one another:
one and a half times as many a second on two cores. Every batch size has a graph of its own, as kernels for a fixed
shape are up to a third faster.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from ..bundle import Bundle
from ..graph import engine_graph
from ..graph.int8 import is_calibrated
from . import F32, Precision, check_windows
from .batches import in_sizes, shares
from .sidecar import scratch_beside, seal_all, unseal_all, why_unkept

# OpenVINO's name for what is not in int8, in each precision.
_TYPES: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_SIZES = (1, 2, 4, 8)  # larger batches are no faster a window: their activations fall out of the cache
_SIZES_OF_LARGE = (1, 8)  # each size holds the weights once more
_LARGE_BYTES = 64 << 20
_TRIES = 5


class OpenVinoEngine:
    """The bundle's graph compiled for this CPU.

    `threads` bounds the CPU threads (None: all); `frames`: of a window only the last so many come out (None: all).
    `features`: these come beside the logits. Precision, unless it is asked for: int8 where the bundle was calibrated
    for it, else bf16 where the CPU computes in it, else float32.

    The compiled models are cached in the bundle's `engine_cache`. Fresh ones lie in a scratch directory until `keep`
    says that they are good: what failed its check is never found again, and no process finds a half-written one. A
    cache that has been changed since is made anew.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        precision: Precision | None = None,
        frames: int | None = None,
        features: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        core = ov.Core()
        self.name = "openvino-cpu"
        self.precision: Precision = precision or _best_precision(core, bundle)
        if self.precision not in _TYPES or (self.precision == "bf16" and not _has_bf16(core)):
            raise ValueError(f"this CPU does not compute in {self.precision} with OpenVINO; use fp32, or int8")
        graph = engine_graph(bundle, precision=self.precision, frames=frames, features=features)
        self._window_shape = bundle.config.window_shape
        self._sizes = _SIZES if len(graph) < _LARGE_BYTES else _SIZES_OF_LARGE

        self._made_for = {"openvino": ov.__version__, "cpu": core.get_property("CPU", "FULL_DEVICE_NAME")}
        self._made_from = {
            "graph_sha256": hashlib.sha256(graph).hexdigest(), "threads": str(threads), "batches": str(self._sizes)
        }  # fmt: skip
        made = json.dumps([self._made_for, self._made_from])
        key = hashlib.sha256(made.encode()).hexdigest()[:16]
        self.cache = bundle.engine_cache() / f"{self.name}-{self.precision}-{key}"
        self._scratch: Path | None = None
        self._is_kept = unseal_all(self.cache, made_from=self._made_from, made_for=self._made_for)
        if not self._is_kept:
            shutil.rmtree(self.cache, ignore_errors=True)
            self._scratch = scratch_beside(self.cache)
        settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": _TYPES[self.precision]}
        if (place := self.cache if self._is_kept else self._scratch) is not None:
            settings["CACHE_DIR"] = str(place)
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            model = core.read_model(graph)
            self._alone = _Compiled(core, model, 1, {**settings, "NUM_STREAMS": 1})
            self._streams = 1 if threads == 1 else self._alone.threads
            beside = {**settings, "NUM_STREAMS": self._streams}
            self._together = {
                size: self._alone if size == self._streams == 1 else _Compiled(core, model, size, beside)
                for size in self._sizes
            }
        except RuntimeError as error:
            self.discard()
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"OpenVINO cannot compile {bundle.graph}: {reason}; export the bundle anew") from error
        if self._together[1] is not self._alone:
            self._alone = min((self._alone, self._together[1]), key=_Compiled.seconds)
        self.frames = self._alone.output_shape[0]

    def infer(self, joints_BCTVM: F32) -> F32:
        """The graph's output; see `Engine.infer`."""
        check_windows(joints_BCTVM, self._window_shape)
        windows = np.ascontiguousarray(joints_BCTVM)
        result = np.empty((len(windows), *self._alone.output_shape), np.float32)
        if len(windows) == 1:
            self._alone.start(0, windows)
            self._alone.finish(0, result)
            return result
        # Each stream has its share, in pieces of the sizes that there are, largest first.
        work = [in_sizes(share, self._sizes) for share in shares(len(windows), self._streams)]
        for turn in range(max(map(len, work))):
            started = [(stream, pieces[turn]) for stream, pieces in enumerate(work) if turn < len(pieces)]
            for stream, piece in started:
                self._together[piece.stop - piece.start].start(stream, windows[piece])
            for stream, piece in started:
                self._together[piece.stop - piece.start].finish(stream, result[piece])
        return result

    def keep(self, parity: Mapping[str, float] | None = None) -> str:
        """Let the next start find these compiled models; see `Engine.keep`."""
        if self._is_kept:
            return ""
        if self._scratch is None:
            return why_unkept(self.cache)
        why = ""
        try:
            # OpenVINO writes one for each size, and passes over in silence what it could not write.
            if len(list(self._scratch.glob("*.blob"))) < len(self._sizes):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            seal_all(self._scratch, made_from=self._made_from, made_for=self._made_for, parity=parity)
            self._scratch.rename(self.cache)
        except OSError as error:
            if not self.cache.is_dir():  # else another process was first, whose engine is as good
                why = why_unkept(self.cache, error)
        self._drop_scratch()
        return why

    def discard(self) -> None:
        """Forget these compiled models, wherever they lie."""
        shutil.rmtree(self.cache, ignore_errors=True)
        self._drop_scratch()

    def close(self) -> None:
        """Give back memory and threads; see `Engine.close`."""
        self._drop_scratch()
        self._together.clear()
        del self._alone

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


class _Compiled:
    """The graph for one batch size, with a request for each stream."""

    def __init__(self, core: ov.Core, model: ov.Model, batch: int, settings: Mapping[str, object]) -> None:
        fixed = model.clone()
        fixed.reshape([batch, *(size.get_length() for size in list(fixed.input(0).get_partial_shape())[1:])])
        compiled = core.compile_model(fixed, "CPU", dict(settings))
        self.from_cache: bool = compiled.get_property("LOADED_FROM_CACHE")
        self.threads: int = compiled.get_property("INFERENCE_NUM_THREADS")
        self.input_shape = tuple(compiled.input(0).shape)
        self.output_shape = tuple(compiled.output(0).shape)[1:]
        self._requests = [compiled.create_infer_request() for _ in range(compiled.get_property("NUM_STREAMS"))]

    def seconds(self) -> float:
        """How long a batch takes: the least of a few."""
        windows = np.zeros(self.input_shape, np.float32)
        into = np.empty((len(windows), *self.output_shape), np.float32)
        taken = []
        for _ in range(_TRIES):
            began = time.perf_counter()
            self.start(0, windows)
            self.finish(0, into)
            taken.append(time.perf_counter() - began)
        return min(taken)

    def start(self, stream: int, windows: F32) -> None:
        self._requests[stream].start_async({0: windows}, share_inputs=True)

    def finish(self, stream: int, into: F32) -> None:
        request = self._requests[stream]
        request.wait()
        np.copyto(into, request.get_output_tensor(0).data)


def _best_precision(core: ov.Core, bundle: Bundle) -> Precision:
    if is_calibrated(bundle.graph):
        return "int8"
    return "bf16" if _has_bf16(core) else "fp32"


def _has_bf16(core: ov.Core) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
