"""The TensorRT engine: an NVIDIA GPU. Every call to TensorRT's builder and runtime is in this file; 10.1 to 11.x.

The graph is strongly typed: each of its tensors says in which precision it is computed, and the builder changes none.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import tensorrt as trt

from ..bundle import Bundle
from . import F32, Precision, check_windows
from .batches import Recent, pieces
from .building import BuildProgress, progress_bar, stoppable
from .cuda import CapturedGraph, CudaError, DeviceMemory, PinnedArray, Stream, select_gpu, use_gpu
from .sidecar import Facts, add_parity, put_in_place, scratch_beside, seal, unseal, why_unkept

_ENGINE, _TIMINGS = "model.engine", "timings.cache"
_TUNED_FOR = 8  # windows in a batch: what several live streams bring at once
_KEPT_GRAPHS = 8  # each batch size in use has a captured graph and a context; streams use few sizes


class TensorRtEngine:
    """A strongly typed ONNX graph, as bytes, compiled for this process's first GPU and batches of 1 to `batches`;
    larger ones are computed in pieces. `precision` is what the graph is written in, and `features` whether it gives
    them: here they are but a name.

    A compiled engine is looked for in the bundle's `engine_cache`, and built anew if there is none, or if that one is
    for another GPU, TensorRT or graph, or is damaged; `say` is told so. A fresh one lies in a scratch directory until
    `keep` says that it is good. So do the timings of the GPU's kernels, which make the next build a short one: all
    engines of a bundle share them, and they lie beside the engines, to be copied and thrown away with these.

    Raises ValueError, in one line, if there is no GPU, if its memory does not suffice, or if TensorRT cannot read or
    build the graph. Ctrl-C while it builds is a KeyboardInterrupt.
    """

    def __init__(
        self,
        bundle: Bundle,
        graph: bytes,
        *,
        precision: Precision,
        features: bool = False,
        batches: int = 64,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        if batches < 1:
            raise ValueError(f"batches must be at least 1, not {batches}")
        gpu = use_gpu()
        self.name = "tensorrt-gpu"
        self.precision: Precision = precision
        self._window_shape = bundle.config.window_shape
        self._batches = batches
        self._say = say
        # A folder for each kind of GPU: those of a cluster stand side by side, and what was built by another TensorRT
        # or from another graph is replaced.
        kind = hashlib.sha256(f"{gpu.name} {gpu.capability}".encode()).hexdigest()[:16]
        variant = f"{precision}-features" if features else precision  # both are in use, one after the other
        self.cache = bundle.engine_cache() / f"tensorrt-{variant}-{kind}"
        self._timings = bundle.engine_cache() / f"tensorrt-timings-{kind}"
        self._scratch: Path | None = None
        self._new_timings: Path | None = None
        self._unkept = ""
        self._made_for = {"tensorrt": trt.__version__, "gpu": gpu.name, "compute_capability": gpu.capability}
        self._made_from = {
            "graph_sha256": hashlib.sha256(graph).hexdigest(),
            "precision": precision,
            "batches": f"1 {min(_TUNED_FOR, batches)} {batches}",
        }
        self._session: _Session | None = None
        try:
            self._session = self._kept() or self._built(graph)
            self.frames = self._session.output_shape[0]
        except BaseException:
            self.close()
            raise

    def infer(self, joints_BCTVM: F32) -> F32:
        """The graph's output; see `Engine.infer`. Raises ValueError too if the GPU fails."""
        check_windows(joints_BCTVM, self._window_shape)
        assert self._session is not None, "the engine is closed"
        return self._session.infer(joints_BCTVM)

    def keep(self, parity: Mapping[str, float] | None = None) -> str:
        """Let the next start find this engine; see `Engine.keep`."""
        if self._scratch is not None:
            try:
                if parity is not None:
                    add_parity(self._scratch, parity)
                put_in_place(self._scratch, self.cache)
            except OSError as error:
                self._unkept = why_unkept(self.cache, error)
                shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._new_timings is not None:
            put_in_place(self._new_timings, self._timings)
            self._new_timings = None
        return self._unkept

    def discard(self) -> None:
        """Forget this engine, wherever it lies."""
        shutil.rmtree(self.cache, ignore_errors=True)
        self._drop_scratch()

    def close(self) -> None:
        """Give back the GPU's memory; see `Engine.close`."""
        self._drop_scratch()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _kept(self) -> _Session | None:
        """The engine that was kept, if it is good here."""
        found = unseal(self.cache, _ENGINE, made_from=self._made_from, made_for=self._made_for)
        if found.verdict == "good":
            try:
                return _Session(found.content, self._window_shape, self._batches)
            except CudaError:  # the GPU's fault, not the file's
                raise
            except ValueError as error:
                self._say(f"the TensorRT engine in {self.cache} is no good ({error}); it is built anew")
        elif found.verdict != "absent":
            self._say(f"the TensorRT engine in {self.cache} is {found.verdict}: {found.why}; it is built anew")
        return None

    def _built(self, graph: bytes) -> _Session:
        """A new engine, in a scratch folder."""
        timings = unseal(self._timings, _TIMINGS, made_from={}, made_for=self._made_for).content
        gpu = self._made_for["gpu"]
        self._say(f"TensorRT {trt.__version__} builds the {self.precision} engine for {gpu}; this may take minutes")
        with progress_bar(f"TensorRT {self.precision}") as progress:
            plan, timings = stoppable(
                lambda stop: _build(graph, self._window_shape, self._batches, timings, progress, stop)
            )
        self._scratch = self._sealed(self.cache, _ENGINE, plan, self._made_from)
        self._new_timings = self._sealed(self._timings, _TIMINGS, timings, {})
        return _Session(plan, self._window_shape, self._batches)

    def _sealed(self, cache: Path, name: str, content: bytes, made_from: Facts) -> Path | None:
        """A scratch folder with the content, or None where it cannot be written: then it is not kept."""
        scratch = scratch_beside(cache)
        if scratch is None:
            self._unkept = why_unkept(cache)
            return None
        try:
            seal(scratch, name, content, made_from=made_from, made_for=self._made_for)
        except OSError as error:
            self._unkept = why_unkept(cache, error)
            shutil.rmtree(scratch, ignore_errors=True)
            return None
        return scratch

    def _drop_scratch(self) -> None:
        for folder in (self._scratch, self._new_timings):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        self._scratch = self._new_timings = None


class _Session:
    """An engine on the GPU with all that inference needs. Raises ValueError if the plan is not one of such windows."""

    def __init__(self, plan: bytes, window_shape: tuple[int, ...], batches: int) -> None:
        select_gpu()
        engine = _deserialise(plan)
        input_name, output_name, output_shape = _check_tensors(engine, window_shape, batches)
        self._batches = batches
        self.output_shape = output_shape
        with ExitStack() as own:  # what is here already is given back if the rest cannot be had
            self._stream = stream = Stream()
            own.callback(stream.close)
            self._windows = windows = PinnedArray((batches, *window_shape))
            own.callback(windows.close)
            self._output = output = PinnedArray((batches, *output_shape))
            own.callback(output.close)
            device_windows = DeviceMemory(windows.size)
            own.callback(device_windows.close)
            device_output = DeviceMemory(output.size)
            own.callback(device_output.close)
            # For the activations of every context: they run one after the other.
            activations = DeviceMemory(engine.device_memory_size_v2)
            own.callback(activations.close)

            def run_of(batch: int) -> _Run:
                context = _new_context(engine, activations)
                _bind(context, input_name, (batch, *window_shape), device_windows.address)
                _bind(context, output_name, None, device_output.address)

                def queue() -> None:
                    stream.send(device_windows, windows, windows.size // batches * batch)
                    _enqueue(context, stream.handle)
                    stream.fetch(output, device_output, output.size // batches * batch)

                return _Run(queue, stream)

            self._runs = Recent(run_of, _Run.close, keep=_KEPT_GRAPHS)
            own.callback(self._runs.clear)
            self._own = own.pop_all()

    def infer(self, windows: F32) -> F32:
        select_gpu()
        result = np.empty((len(windows), *self.output_shape), np.float32)
        for piece in pieces(len(windows), self._batches):
            batch = piece.stop - piece.start
            np.copyto(self._windows.array[:batch], windows[piece])
            self._runs[batch].start()
            self._stream.wait()
            np.copyto(result[piece], self._output.array[:batch])
        return result

    def close(self) -> None:
        with suppress(CudaError):  # of a GPU that has failed there is nothing to give back
            select_gpu()
        self._own.close()


class _Run:
    """The work of one batch size, captured as a CUDA graph: one launch instead of some hundred."""

    def __init__(self, queue: Callable[[], None], stream: Stream) -> None:
        self._queue: Callable[[], None] | None = queue
        queue()  # after a change of shape TensorRT has work to do that must not be captured
        stream.wait()
        self._graph: CapturedGraph | None
        try:
            self._graph = stream.capture(queue)
        except ValueError:  # some kernel cannot be captured: it is launched by itself each time
            self._graph = None

    def start(self) -> None:
        if self._graph is not None:
            self._graph.launch()
        elif self._queue is not None:
            self._queue()

    def close(self) -> None:
        if self._graph is not None:
            self._graph.close()
        self._graph = self._queue = None  # and with it the context


class _Log(trt.ILogger):  # type: ignore[misc]
    """Keeps the last errors. TensorRT may tell of them from any thread."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: deque[str] = deque(maxlen=16)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(msg)

    def last(self) -> str:
        """The first line of the last error."""
        lines = self.errors[-1].strip().splitlines() if self.errors else []
        return lines[0][:300] if lines else "it does not say why"


# TensorRT takes the first logger that it is given for the whole process, and asks that it lives as long as the last of
# its objects; so there is one.
_LOG = _Log()


class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]
    """Passes on how far the build is, and ends it once `stop` is set."""

    def __init__(self, progress: BuildProgress, stop: threading.Event) -> None:
        trt.IProgressMonitor.__init__(self)
        self.progress = progress
        self.stop = stop

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        self.progress.begin(phase_name, parent_phase or None, num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        self.progress.step(phase_name, step)
        return not self.stop.is_set()

    def phase_finish(self, phase_name: str) -> None:
        self.progress.end(phase_name)


def _build(
    graph: bytes,
    window_shape: tuple[int, ...],
    batches: int,
    timings: bytes,
    progress: BuildProgress,
    stop: threading.Event,
) -> tuple[bytes, bytes]:
    """The serialised engine and the timings of the kernels, the given ones (b"": none) among them.

    Raises ValueError with TensorRT's own words if it cannot. What was stopped raises too, and nobody reads that.
    """
    select_gpu()
    _LOG.errors.clear()
    try:
        builder = trt.Builder(_LOG)
    except TypeError as error:  # this is how the bindings tell that nothing was made
        raise ValueError(f"TensorRT {trt.__version__} does not start: {_LOG.last()}") from error
    # 10.x needs the flag; 11.x has it under another number, and knows no other networks.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, _LOG)
    if not parser.parse(graph):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        said = "; ".join(" ".join(error.split())[:200] for error in errors[:3]) or _LOG.last()
        raise ValueError(f"TensorRT cannot read the graph: {said}; export the bundle anew")
    inputs = [network.get_input(index).name for index in range(network.num_inputs)]
    if len(inputs) != 1 or network.num_outputs != 1:
        raise ValueError(f"the graph has {len(inputs)} inputs and {network.num_outputs} outputs, not one of each")

    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # it is on by default, and float32 would lose 13 of its 23 bits
    monitor = _Monitor(progress, stop)  # it must live as long as the build
    config.progress_monitor = monitor
    shapes = [(count, *window_shape) for count in (1, min(_TUNED_FOR, batches), batches)]
    profile = builder.create_optimization_profile()
    try:
        profile.set_shape(inputs[0], shapes[0], shapes[1], shapes[2])
    except RuntimeError as error:
        raise ValueError(f"the graph does not take windows of shape {window_shape}: {_LOG.last()}") from error
    if config.add_optimization_profile(profile) < 0:
        raise ValueError(f"the graph does not take windows of shape {window_shape}: {_LOG.last()}")
    timing_cache = config.create_timing_cache(timings)
    if timing_cache is None or not config.set_timing_cache(timing_cache, ignore_mismatch=False):
        timing_cache = config.create_timing_cache(b"")
        config.set_timing_cache(timing_cache, ignore_mismatch=False)

    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError(f"TensorRT cannot build the engine: {_LOG.last()}; `nvidia-smi` shows if its memory is full")
    return bytes(plan), bytes(timing_cache.serialize())


def _deserialise(plan: bytes) -> trt.ICudaEngine:
    _LOG.errors.clear()
    try:
        runtime = trt.Runtime(_LOG)
    except TypeError as error:  # as above
        raise ValueError(f"TensorRT {trt.__version__} does not start: {_LOG.last()}") from error
    engine = runtime.deserialize_cuda_engine(plan)  # which keeps the runtime
    if engine is None:
        raise ValueError(f"TensorRT cannot load the engine: {_LOG.last()}")
    return engine


def _check_tensors(
    engine: trt.ICudaEngine, window_shape: tuple[int, ...], batches: int
) -> tuple[str, str, tuple[int, ...]]:
    """The names of the one input and the one output, and the output's shape for one window."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    outputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"the engine has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    if any(engine.get_tensor_dtype(name) != trt.DataType.FLOAT for name in names):
        raise ValueError("the engine takes or gives something other than float32")
    takes = tuple(engine.get_tensor_shape(inputs[0]))
    gives = tuple(engine.get_tensor_shape(outputs[0]))
    if takes != (-1, *window_shape) or gives[:1] != (-1,) or any(size < 1 for size in gives[1:]):
        raise ValueError(f"the engine turns {takes} into {gives}, and is to turn {(-1, *window_shape)} into (-1, ...)")
    _, _, largest = engine.get_tensor_profile_shape(inputs[0], 0)
    if largest[0] != batches:
        raise ValueError(f"the engine is for batches up to {largest[0]}, not {batches}")
    return inputs[0], outputs[0], gives[1:]


def _new_context(engine: trt.ICudaEngine, activations: DeviceMemory) -> trt.IExecutionContext:
    """A context of its own for each captured graph, as TensorRT advises: a graph holds what its context had."""
    context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if context is None:
        raise ValueError(f"TensorRT cannot run the engine: {_LOG.last()}")
    context.set_device_memory(activations.address, activations.size)
    return context


def _bind(context: trt.IExecutionContext, name: str, shape: tuple[int, ...] | None, address: int) -> None:
    """Let a tensor lie at the address; an input also has its shape."""
    if shape is not None and not context.set_input_shape(name, shape):
        raise ValueError(f"TensorRT refuses windows of shape {shape}: {_LOG.last()}")
    if not context.set_tensor_address(name, address):
        raise ValueError(f"TensorRT refuses the memory of {name}: {_LOG.last()}")


def _enqueue(context: trt.IExecutionContext, stream: int) -> None:
    if not context.execute_async_v3(stream):
        raise ValueError(f"TensorRT cannot run the engine: {_LOG.last()}")
