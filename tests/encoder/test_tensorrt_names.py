"""The TensorRT engine uses nothing that TensorRT does not have, in 10.x and 11.x; nor does it of CUDA.

TensorRT cannot be installed on most machines that run these tests, and a misspelt method would be found on the robot.
So every name that encoder/engine/tensorrt.py takes from TensorRT is looked up in tensorrt_names.json, which
read_tensorrt_names.py has read out of the bindings, and every call is held against the signatures there.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import skelstream.encoder.engine

ENGINE = Path(skelstream.encoder.engine.__file__).parent
SOURCE = (ENGINE / "tensorrt.py").read_text()
VERSIONS: dict[str, dict[str, dict[str, Any]]] = json.loads(Path(__file__).with_name("tensorrt_names.json").read_text())

# What the names in tensorrt.py stand for: a class of TensorRT ...
VARIABLES = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "context": "IExecutionContext",
    "engine": "ICudaEngine",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
    "timing_cache": "ITimingCache",
}
# ... or something that is not TensorRT's.
OURS = {
    *("_LOG", "_Run", "activations", "bundle", "device_output", "device_windows", "error", "found", "gpu", "hashlib"),
    *("np", "output", "own", "piece", "self", "shutil", "stream", "threading", "windows"),
}
OTHER = "not TensorRT's"


@dataclass
class Reader:
    """Finds out what each expression of the source is, and writes down what TensorRT does not have."""

    names: dict[str, dict[str, Any]]
    problems: list[str] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)  # (class, member)

    def read(self, source: str) -> None:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute | ast.Call):
                self.type_of(node)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, given = node.targets[0].id, self.type_of(node.value)
                wanted = VARIABLES.get(name, OTHER)
                if given in self.names and name in VARIABLES and given != wanted:
                    self.problem(node, f"{name} is {given}, and taken for {wanted}")
            if isinstance(node, ast.ClassDef):
                self.check_overrides(node)
            if isinstance(node, ast.Name) and node.id in ("getattr", "setattr", "vars"):
                self.problem(node, f"{node.id} hides names from this test")
        self.problems = sorted(set(self.problems))

    def type_of(self, node: ast.expr) -> str:
        """A class of TensorRT, "class C" for the class itself, "C.member" for a method, or OTHER."""
        if isinstance(node, ast.Name):
            if node.id == "trt":
                return "module"
            return VARIABLES.get(node.id, OTHER)
        if isinstance(node, ast.Attribute):
            return self.member(node, self.owner(node.value), node.attr)
        if isinstance(node, ast.Call):
            called = self.type_of(node.func)
            if called.startswith("class "):
                return self.call(node, called.removeprefix("class "), "__init__") and called.removeprefix("class ")
            owner, _, method = called.rpartition(".")
            return self.call(node, owner, method) if owner in self.names else OTHER
        if isinstance(node, ast.BoolOp):
            return self.type_of(node.values[0])
        return OTHER

    def owner(self, node: ast.expr) -> str:
        """Of what an attribute is taken: here a name must be known."""
        if isinstance(node, ast.Name) and node.id != "trt" and node.id not in VARIABLES and node.id not in OURS:
            self.problem(node, f"{node.id} is neither known as TensorRT's nor as ours")
        return self.type_of(node)

    def member(self, node: ast.AST, owner: str, name: str) -> str:
        if owner == OTHER:
            return OTHER
        if owner == "module":
            if name != "__version__" and name not in self.names:
                self.problem(node, f"tensorrt has no {name}")
            return f"class {name}" if name in self.names else OTHER
        of_class = owner.startswith("class ")
        owner = owner.removeprefix("class ")
        if owner not in self.names:
            return OTHER  # an int or a str that TensorRT returned
        if name not in self.names[owner]:
            self.problem(node, f"{owner} has no {name}")
            return OTHER
        self.used.add((owner, name))
        if f"{owner}.{name}" in self.names:
            return f"class {owner}.{name}"
        told = self.names[owner][name]
        if isinstance(told, list):
            return f"{owner}.{name}"
        return owner if told is None and of_class else str(told)

    def call(self, node: ast.Call, owner: str, method: str) -> str:
        """What the call returns, if it fits one of the signatures."""
        signatures = self.names[owner][method]
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            self.problem(node, f"{owner}.{method} is called with *, which cannot be checked")
        given, keywords = len(node.args), {keyword.arg for keyword in node.keywords}
        # `self` is given where the method is called on its class, as a base class's __init__ is
        bound = not (isinstance(node.func, ast.Attribute) and self.type_of(node.func.value).startswith("class "))
        for signature in signatures:
            parameters, returned = parse(signature)
            wanted = parameters[1:] if bound else parameters
            rest = wanted[given:]
            needed = {name for name, optional in rest if not optional}
            if given <= len(wanted) and needed <= keywords <= {name for name, _ in rest}:
                return returned
        self.problem(node, f"{owner}.{method} is not called so; there are {signatures}")
        return OTHER

    def check_overrides(self, node: ast.ClassDef) -> None:
        """A class of ours that TensorRT calls has its methods, with its parameters."""
        for base in node.bases:
            if not (isinstance(base, ast.Attribute) and self.type_of(base).startswith("class ")):
                continue
            theirs = self.names[self.type_of(base).removeprefix("class ")]
            ours = {f.name: [a.arg for a in f.args.args] for f in node.body if isinstance(f, ast.FunctionDef)}
            for name, signatures in theirs.items():
                if isinstance(signatures, list) and name != "__init__":
                    wanted = [parameter for parameter, _ in parse(signatures[0])[0]]
                    if ours.get(name) != wanted:
                        self.problem(node, f"{node.name}.{name} takes {ours.get(name)}, TensorRT gives {wanted}")

    def problem(self, node: ast.AST, what: str) -> None:
        self.problems.append(f"line {getattr(node, 'lineno', 0)}: {what}")


def parse(signature: str) -> tuple[list[tuple[str, bool]], str]:
    """The parameters by name, each optional or not, and the type that is returned."""
    match = re.fullmatch(r"\w+\((.*)\) -> (.+)", signature)
    assert match, signature
    parameters = re.findall(r"(?:^|, )(\w+): (?:[^,\[=]|\[[^\]]*\])+(=)?", match[1])
    return [(name, bool(default)) for name, default in parameters], match[2]


def problems(source: str, version: str) -> list[str]:
    reader = Reader(VERSIONS[version])
    reader.read(source)
    return reader.problems


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_that_is_used_of_tensorrt_exists(version: str) -> None:
    assert problems(SOURCE, version) == []


def test_both_major_versions_are_known() -> None:
    assert {version.partition(".")[0] for version in VERSIONS} == {"10", "11"}
    first = min(tuple(map(int, version.split("."))) for version in VERSIONS)
    assert first[:2] == (10, 1) and "10.1 to 11.x" in SOURCE  # what is said of the oldest is what has been checked


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("execute_async_v3", "execute_async_v4", "IExecutionContext has no execute_async_v4"),
        ("trt.OnnxParser(", "trt.OnyxParser(", "tensorrt has no OnyxParser"),
        ("BuilderFlag.TF32", "BuilderFlag.TF31", "BuilderFlag has no TF31"),
        ("Severity.INTERNAL_ERROR", "Severity.INTERN", "ILogger.Severity has no INTERN"),
        ("config.progress_monitor =", "config.monitor =", "IBuilderConfig has no monitor"),
        ("get_error(index).desc()", "get_error(index).text()", "ParserError has no text"),
        ("get_input(index).name", "get_input(index).title", "ITensor has no title"),
        ("ignore_mismatch=False", "ignore=False", "IBuilderConfig.set_timing_cache is not called so"),
        ("set_device_memory(activations.address, activations.size)", "set_device_memory(1)", "is not called so"),
        ("trt.IProgressMonitor.__init__(self)", "trt.IProgressMonitor.__init__(self, 1)", "is not called so"),
        ("builder = trt.Builder(_LOG)", "builder = trt.Runtime(_LOG)", "builder is Runtime, and taken for Builder"),
        ("def phase_finish(self, phase_name", "def phase_end(self, phase_name", "_Monitor.phase_finish takes None"),
        ("step_complete(self, phase_name: str, step", "step_complete(self, phase_name: str, number", "TensorRT gives"),
        ("runtime.deserialize_cuda_engine", "thing.deserialize_cuda_engine", "thing is neither known"),
        ("trt.Runtime(_LOG)", "getattr(trt, name)(_LOG)", "getattr hides names"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", VERSIONS)
def test_what_does_not_exist_is_found(version: str, right: str, wrong: str, told: str) -> None:
    assert right in SOURCE
    found = problems(SOURCE.replace(right, wrong), version)
    assert found and any(told in line for line in found), found


def test_what_only_one_major_version_has_is_found() -> None:
    of_10 = SOURCE.replace("config.clear_flag(trt.BuilderFlag.TF32)", "config.set_flag(trt.BuilderFlag.FP16)")
    assert not problems(of_10, "10.1.0")
    assert any("BuilderFlag has no FP16" in line for line in problems(of_10, "11.4.0.106"))
    assert any("has no device_memory_size" in x for x in problems(SOURCE.replace("size_v2", "size"), "11.4.0.106"))


def used_members() -> set[tuple[str, str]]:
    reader = Reader(VERSIONS["11.4.0.106"])
    reader.read(SOURCE)
    return reader.used


def test_most_of_the_engine_is_seen() -> None:
    """The reader that finds nothing wrong has found what there is."""
    used = used_members()
    assert len(used) > 40
    assert {owner for owner, _ in used} >= {*VARIABLES.values(), "ParserError", "ITensor", "ILogger.Severity"}


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_lean", "tensorrt_lean_bindings"])
def test_the_installed_tensorrt_has_them(package: str) -> None:
    """The lean one has the runtime alone, and no builder."""
    trt = pytest.importorskip(package, exc_type=ImportError)
    there = {(owner, member) for owner, member in used_members() if _resolve(trt, owner) is not None}
    assert {owner for owner, _ in there} >= {"Runtime", "ICudaEngine", "IExecutionContext", "ILogger"}
    assert [pair for pair in sorted(there) if not hasattr(_resolve(trt, pair[0]), pair[1])] == []


def _resolve(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


class TestCuda:
    def test_everything_that_is_used_of_cuda_exists(self) -> None:
        runtime = self.runtime()
        tree = ast.parse((ENGINE / "cuda.py").read_text())
        paths = {path for node in ast.walk(tree) if isinstance(node, ast.Attribute) and (path := self.path(node))}
        assert len(paths) > 25
        assert [path for path in sorted(paths) if _resolve(runtime, path) is None] == []

    def test_no_gpu_is_one_line(self) -> None:
        runtime = self.runtime()
        if runtime.cudaGetDeviceCount()[0] == runtime.cudaError_t.cudaSuccess:
            pytest.skip("there is a GPU")
        cuda = importlib.import_module("skelstream.encoder.engine.cuda")
        for call in (cuda.use_gpu, cuda.select_gpu, cuda.Stream, lambda: cuda.DeviceMemory(64)):
            with pytest.raises(ValueError, match=r"driver|no NVIDIA GPU|CUDA says") as caught:
                call()
            assert "\n" not in str(caught.value)

    def test_errors_are_told_by_cudas_own_words(self) -> None:
        runtime = self.runtime()
        cuda = importlib.import_module("skelstream.encoder.engine.cuda")
        assert cuda._check((runtime.cudaError_t.cudaSuccess,)) is None
        assert cuda._check((runtime.cudaError_t.cudaSuccess, 7)) == 7
        with pytest.raises(cuda.CudaError, match=r"illegal memory access.*\(cudaErrorIllegalAddress\)"):
            cuda._check((runtime.cudaError_t.cudaErrorIllegalAddress, None))

    def runtime(self) -> Any:
        return pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")

    def path(self, node: ast.Attribute) -> str:
        """A.B of cudart.A.B, "" of all else."""
        if isinstance(node.value, ast.Name):
            return node.attr if node.value.id == "cudart" else ""
        inner = self.path(node.value) if isinstance(node.value, ast.Attribute) else ""
        return f"{inner}.{node.attr}" if inner else ""
