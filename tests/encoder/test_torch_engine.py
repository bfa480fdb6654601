"""The PyTorch engine: the reference on the CPU; of the GPU's, all that can be seen without one, and the rest with one.

Without a GPU: the arithmetic on the CPU, and with tensors that are on a GPU in name alone (PyTorch's fake tensors: they
have a dtype and a device, and no numbers) the dtypes that CUDA's autocast gives, and what a capture would not allow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from skelstream.encoder.bundle import F32, Bundle, BundleConfig, Reference
from skelstream.encoder.config import Modality, Normalisation
from skelstream.encoder.deployed import Deployed
from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import DSTE
from skelstream.encoder.engine import Precision
from skelstream.encoder.engine.compile import TOLERANCE
from skelstream.encoder.engine.torch import TorchEngine
from skelstream.encoder.engine.torch_gpu import SIZES, ListIndices, autocast, batch_sizes, in_half, in_one_line
from skelstream.encoder.folded import FoldedAttention, FoldedLayer, fold
from skelstream.encoder.recogniser import Recogniser
from skelstream.encoder.sttr import STTR
from skelstream.encoder.weights import load_model, pack

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")


def windows(batch: int, seed: int = 0) -> F32:
    """People at random, some of them absent from some frames."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.5, size=(batch, 3, 64, 25, 2)) + rng.normal(size=(batch, 3, 1, 1, 1))
    x *= rng.random((batch, 1, 64, 1, 2)) > 0.3
    return x.astype(np.float32)


def trained(bundle: Bundle, joints: F32) -> F32:
    """What the bundle's model says, by itself."""
    with torch.no_grad():
        answer: F32 = load_model(bundle)(torch.from_numpy(joints)).numpy()
    return answer


def assert_near(answer: F32, expected: F32, precision: Precision) -> None:
    """As near as the parity check asks of an engine of this precision."""
    difference = (answer - expected) / max(1, np.abs(expected).max())
    largest, mean = TOLERANCE[precision]
    assert np.abs(difference).max() < largest and np.sqrt(np.square(difference).mean()) < mean


class TestReference:
    def test_is_the_trained_model_in_float32(self, exported: Bundle) -> None:
        engine = TorchEngine(exported, device="cpu")
        assert (engine.name, engine.precision, engine.frames) == ("torch-cpu", "fp32", 64)
        np.testing.assert_array_equal(engine.infer(windows(3)), trained(exported, windows(3)))
        engine.close()

    @pytest.mark.parametrize("frames", [1, 20, 64])
    def test_the_last_frames_are_those_of_the_whole(self, exported: Bundle, frames: int) -> None:
        engine = TorchEngine(exported, device="cpu", frames=frames)
        answer = engine.infer(windows(2))
        assert engine.frames == frames and answer.shape == (2, frames, 3) and answer.flags.c_contiguous
        np.testing.assert_array_equal(answer, trained(exported, windows(2))[:, 64 - frames :])

    def test_a_recogniser_answers_for_the_clip_and_has_no_frames(self, tmp_path: Path) -> None:
        classes = tuple(f"class {number}" for number in range(70))  # more than the window has frames
        config = BundleConfig(task="recognise", encoder=DSTE.Config(hidden=8, layers=1), classes=classes)
        recogniser = Recogniser(Recogniser.Config(encoder=config.encoder, classes=classes))
        reference = Reference(joints=windows(1), logits=np.zeros((1, 70), np.float32))
        bundle = Bundle.save(
            tmp_path / "clips", config, weights=pack(recogniser.state_dict()), graph=b"not read", reference=reference
        )
        np.testing.assert_array_equal(TorchEngine(bundle, device="cpu").infer(windows(2)), trained(bundle, windows(2)))
        with pytest.raises(ValueError, match="does not give the last 8 frames"):
            TorchEngine(bundle, device="cpu", frames=8)

    @pytest.mark.parametrize("frames", [0, -1, 65])
    def test_frames_that_there_are_not_are_refused(self, exported: Bundle, frames: int) -> None:
        with pytest.raises(ValueError, match=f"does not give the last {frames} frames; ask for 1 to 64"):
            TorchEngine(exported, device="cpu", frames=frames)

    @pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
    def test_other_precisions_are_refused(self, exported: Bundle, precision: Precision) -> None:
        with pytest.raises(ValueError, match=f"CPU is the fp32 reference, not {precision}; use the engine openvino"):
            TorchEngine(exported, device="cpu", precision=precision)

    @pytest.mark.parametrize("device", ["abacus", "", "cpu:1", "meta", "cuda:x"])
    def test_unknown_devices_are_refused(self, exported: Bundle, device: str) -> None:
        with pytest.raises(ValueError, match=f"has no device '{device}'; there are cpu, cuda"):
            TorchEngine(exported, device=device)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    @pytest.mark.parametrize("device", ["cuda", "cuda:1"])
    def test_a_gpu_that_is_not_there_is_refused_in_one_line(self, exported: Bundle, device: str) -> None:
        with pytest.raises(ValueError, match="PyTorch finds no GPU here; use the device cpu") as refused:
            TorchEngine(exported, device=device)
        assert "\n" not in str(refused.value)
        assert TorchEngine(exported).name == "torch-cpu"


def cost(sizes: list[int]) -> int:
    """A run of n windows costs n + 8."""
    return sum(sizes) + 8 * len(sizes)


@cache
def least(count: int) -> int:
    """The least cost of any sizes that hold so many windows, by trying all."""
    return min(cost([size]) + (least(count - size) if size < count else 0) for size in SIZES)


class TestBatchSizes:
    @given(st.integers(1, 400))
    def test_hold_every_window_at_the_least_cost(self, count: int) -> None:
        sizes = batch_sizes(count)
        assert set(sizes) <= set(SIZES)
        assert sum(sizes[:-1]) < count <= sum(sizes)  # all but the last are full
        assert cost(sizes) == least(count)

    def test_of_more_windows_than_anybody_has(self) -> None:
        assert batch_sizes(64 * 100_000 + 1) == [64] * 100_000 + [1]

    def test_examples(self) -> None:
        assert {count: batch_sizes(count) for count in (1, 3, 9, 17, 31, 33, 64, 130)} == {
            1: [1], 3: [4], 9: [16], 17: [16, 1], 31: [32], 33: [32, 1], 64: [64], 130: [64, 64, 2],
        }  # fmt: skip


class TestHalfPrecisionOnTheCpu:
    """CPU's autocast rounds the same products; that it also gives softmax in half changes nothing, as a product reads
    it."""

    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    @pytest.mark.parametrize("frames", [None, 12])
    def test_agrees_with_the_reference(self, exported: Bundle, precision: Precision, frames: int | None) -> None:
        joints = windows(3)
        expected = TorchEngine(exported, device="cpu", frames=frames).infer(joints)
        folded = in_half(fold(load_model(exported), frames), precision)
        with torch.inference_mode(), autocast("cpu", precision):
            logits = folded(torch.from_numpy(joints)).float().numpy()
        assert np.abs(logits - expected).max() > 0
        assert_near(logits, expected, precision)

    def test_float32_is_float32(self, exported: Bundle) -> None:
        folded = in_half(fold(load_model(exported)), "fp32")
        assert {parameter.dtype for parameter in folded.parameters()} == {torch.float32}
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), autocast("cpu", "fp32"):
            logits = folded(torch.from_numpy(windows(2))).numpy()
        np.testing.assert_allclose(logits, trained(exported, windows(2)), atol=1e-5)

    def test_the_residual_stream_and_the_norms_are_in_float32(self, exported: Bundle) -> None:
        folded = in_half(fold(load_model(exported)), "bf16")
        seen: dict[type[nn.Module], set[torch.dtype]] = {
            nn.LayerNorm: set(),
            FoldedLayer: set(),
            FoldedAttention: set(),
        }

        def note(module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
            seen[type(module)] |= {given[0].dtype} | ({answer.dtype} if isinstance(module, nn.LayerNorm) else set())

        for layer in (*folded.t_layers, *folded.s_layers):
            for module in layer.modules():
                if type(module) in seen:
                    module.register_forward_hook(note)
        with torch.inference_mode(), autocast("cpu", "bf16"):
            folded(torch.from_numpy(windows(1)))
        assert set(map(frozenset, seen.values())) == {frozenset({torch.float32})}


class Indexing(TorchFunctionMode):
    """x[...] by the operations that it stands for: PyTorch asks the GPU's driver before it indexes even in name."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.Tensor.__getitem__:
            return func(*args, **(kwargs or {}))
        x, index = args[0], list(args[1]) if isinstance(args[1], tuple) else [args[1]]
        if Ellipsis in index:
            where = index.index(Ellipsis)
            named = sum(part is not None and part is not Ellipsis for part in index)
            index[where : where + 1] = [slice(None)] * (x.ndim - named)
        dim = 0
        for part in index:
            if isinstance(part, int):
                x = x.select(dim, part)
                continue
            if part is None:
                x = x.unsqueeze(dim)
            elif isinstance(part, slice):
                x = torch.ops.aten.slice(x, dim, part.start, part.stop)
            elif isinstance(part, Tensor):
                x = x.index_select(dim, part)
            else:
                raise AssertionError(f"an index that is copied to the GPU each time: {part}")
            dim += 1
        return x


class Watch(TorchDispatchMode):
    """Notes every operation: its name, its tensors and what came out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[tuple[str, list[Tensor], list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given, gives = (
            [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, Tensor)] for tree in (args, out)
        )
        self.seen.append((func.overloadpacket.__name__, given, gives))
        return out


@pytest.fixture
def autocast_of_cuda() -> Iterator[Callable[[torch.dtype], None]]:
    """Switches it on: `torch.autocast` would not, without a GPU."""

    def switch(dtype: torch.dtype) -> None:
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", dtype)

    before = torch.get_autocast_dtype("cuda")
    yield switch
    torch.set_autocast_enabled("cuda", False)
    torch.set_autocast_dtype("cuda", before)


def captured(model: Deployed, frames: int | None, precision: Precision) -> list[tuple[str, list[Tensor], list[Tensor]]]:
    """The operations of a folded model's second run on a GPU in name alone, those of which the engine makes a graph."""
    folded = in_half(fold(model, frames), precision)
    c = model.config.encoder
    with FakeTensorMode(), torch.no_grad():
        for module in folded.modules():
            for name, parameter in module.named_parameters(recurse=False):
                there = torch.empty(parameter.shape, dtype=parameter.dtype, device="cuda")
                setattr(module, name, nn.Parameter(there, requires_grad=False))
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda"))
        joints = torch.empty(2, c.coords, c.frames, c.joints, c.people, device="cuda")
        watch = Watch()
        with Indexing(), ListIndices(torch.device("cuda")):
            folded(joints)
            with watch:
                folded(joints)
    return watch.seen


MODELS = [
    *itertools.product([25], ["joint", "motion", "bone", "joint+motion+bone"], ["facing"], [False]),
    *itertools.product([25], ["joint", "bone"], ["torso-causal", "facing-causal"], [True]),
    (17, "bone", "image", False),
    (17, "joint", "image-causal", True),
]


@pytest.mark.parametrize("kind", [DSTE, STTR])
@pytest.mark.parametrize(("joints", "modality", "normalisation", "causal"), MODELS)
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_what_is_captured_stays_on_the_gpu(
    autocast_of_cuda: Callable[[torch.dtype], None],
    kind: type[DSTE] | type[STTR],
    joints: int,
    modality: Modality,
    normalisation: Normalisation,
    causal: bool,
    precision: Precision,
) -> None:
    encoder = kind.Config(hidden=8, layers=1, joints=joints, causal=causal, multimodal=modality == "joint+motion+bone")
    model = Detector(
        Detector.Config(encoder=encoder, classes=("background", "a"), modality=modality, normalisation=normalisation)
    ).eval()
    if precision == "fp16":
        autocast_of_cuda(torch.float16)
    seen = captured(model, 8, precision)
    assert {name for name, _, _ in seen} >= {"addmm", "bmm", "_softmax", "native_layer_norm", "index_select"}
    for name, takes, gives in seen:
        devices = {tensor.device.type for tensor in takes + gives if tensor.ndim > 0 or name in ("where", "_to_copy")}
        assert devices <= {"cuda"}, f"{name} copies from the host or to it"
        assert name not in ("_local_scalar_dense", "nonzero", "index", "lift_fresh"), f"{name} cannot be captured"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cuda_autocast_halves_the_products_alone(
    autocast_of_cuda: Callable[[torch.dtype], None], tiny: Detector, dtype: torch.dtype
) -> None:
    autocast_of_cuda(dtype)
    seen = captured(tiny, None, "fp16" if dtype == torch.float16 else "bf16")
    products, tokens = 0, (2, 64, 16)
    for name, takes, gives in seen:
        dtypes = {tensor.dtype for tensor in takes + gives}
        if name in ("addmm", "mm", "bmm"):
            products += 1
            assert dtypes == {dtype}
        elif name in ("native_layer_norm", "_softmax"):
            assert gives[0].dtype == torch.float32
        elif name == "add" and gives[0].shape == tokens:
            assert gives[0].dtype == torch.float32  # residual sums and biases of the mixes
        elif name == "_to_copy" and isinstance(takes[0], nn.Parameter):
            raise AssertionError(f"a weight of shape {tuple(takes[0].shape)} is cast in each run")
    # Each stream: 2 of the embedding, 2 mixes, 4 of the attention, CA's map, 2 into the MLPs, 2 out; and the pooling.
    assert products == 2 * 13 + 1


class TestComplaints:
    def test_of_memory(self) -> None:
        wanted = r"^not enough memory on the GPU: CUDA out of memory\. Tried .*; end"
        with pytest.raises(ValueError, match=wanted) as told, in_one_line():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation")
        assert "\n" not in str(told.value)

    def test_of_memory_behind_a_capture_that_ended_badly(self) -> None:
        with pytest.raises(ValueError, match=r"^not enough memory on the GPU: CUDA out of memory"):
            try:
                raise RuntimeError("something before, that the caller handles")
            except RuntimeError:
                with in_one_line():
                    try:
                        raise torch.OutOfMemoryError("CUDA out of memory")
                    finally:
                        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    def test_of_anything_else(self) -> None:
        wanted = "^the GPU failed: CUDA error: an illegal memory access; see"
        with pytest.raises(ValueError, match=wanted), in_one_line():
            raise RuntimeError("CUDA error: an illegal memory access\nCompile with TORCH_USE_CUDA_DSA")


@gpu
class TestOnTheGpu:
    @pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
    @pytest.mark.parametrize("frames", [None, 12])
    def test_agrees_with_the_reference_for_any_batch(
        self, exported: Bundle, precision: Precision, frames: int | None
    ) -> None:
        engine = TorchEngine(exported, device="cuda", precision=precision, frames=frames)
        assert (engine.name, engine.precision) == ("torch-cuda", precision)
        for batch in (1, 3, 17, 64, 70, 2):
            joints = windows(batch, seed=batch)
            expected = TorchEngine(exported, device="cpu", frames=frames).infer(joints)
            assert_near(engine.infer(joints), expected, precision)
        engine.close()

    def test_float32_has_all_its_bits_whatever_the_process_chose(self, exported: Bundle) -> None:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            engine = TorchEngine(exported, device="cuda", precision="fp32")
            answer = engine.infer(windows(8))
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision(before)
        np.testing.assert_allclose(answer, trained(exported, windows(8)), atol=1e-4)

    def test_half_is_the_default_and_int8_is_refused(self, exported: Bundle) -> None:
        assert TorchEngine(exported).precision == "fp16"
        with pytest.raises(ValueError, match="fp32, fp16 or bf16 on a GPU, not int8"):
            TorchEngine(exported, device="cuda", precision="int8")
        with pytest.raises(ValueError, match="no cuda:99 here"):
            TorchEngine(exported, device="cuda:99")

    def test_two_engines_do_not_disturb_one_another(self, exported: Bundle) -> None:
        one, other = TorchEngine(exported, device="cuda"), TorchEngine(exported, device="cuda", frames=8)
        first = one.infer(windows(4))
        np.testing.assert_array_equal(other.infer(windows(4, seed=1)).shape, (4, 8, 3))
        other.close()
        np.testing.assert_array_equal(one.infer(windows(4)), first)
        one.close()

    def test_too_little_memory_is_told_in_one_line(self, exported: Bundle) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1e-6)
        try:
            with pytest.raises(ValueError, match=r"^not enough memory on the GPU"):
                TorchEngine(exported, device="cuda").infer(windows(64))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
