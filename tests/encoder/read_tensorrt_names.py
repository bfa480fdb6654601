"""Writes tensorrt_names.json: the classes, methods and signatures of TensorRT's Python bindings, for several versions.

    pip download --no-deps -d WHEELS tensorrt_cu12_bindings==10.1.0 tensorrt_cu13_bindings==11.4.0.106 ...
    python tests/encoder/read_tensorrt_names.py WHEELS/*.whl

The bindings need TensorRT's libraries, which are gigabytes large, and for inference a GPU. To be imported they need no
more than libraries of these names: an empty one, made here with the C compiler, takes the place of each. The classes
that the module then registers are its real ones; nothing can be computed. The wheels must be for this Python.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

TARGET = Path(__file__).with_name("tensorrt_names.json")

# What the bindings take from the libraries when they are loaded.
FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
LIBRARIES = ("libnvinfer.so", "libnvonnxparser.so", "libnvinfer_plugin.so")

# The classes that an engine has to do with; the bindings have two hundred more.
CLASSES = (
    "Builder", "BuilderFlag", "DataType", "Dims", "ExecutionContextAllocationStrategy", "IBuilderConfig",
    "ICudaEngine", "IExecutionContext", "IHostMemory", "ILogger", "ILogger.Severity", "INetworkDefinition",
    "IOptimizationProfile", "IProgressMonitor", "ITensor", "ITimingCache", "NetworkDefinitionCreationFlag",
    "OnnxParser", "ParserError", "Runtime", "TensorIOMode",
)  # fmt: skip

# Runs in a process of its own, since one process cannot hold two versions.
READER = """
import json, sys
import tensorrt_bindings as trt
out = {"version": trt.__version__, "classes": {}}
for path in sys.argv[1:]:
    cls = trt
    for part in path.split("."):
        cls = getattr(cls, part)
    members = {}
    for name in dir(cls):
        if (name.startswith("_") and name != "__init__") or name.startswith("add_") and path == "INetworkDefinition":
            continue  # the parser adds the layers, not we
        member = getattr(cls, name)
        if isinstance(member, property):
            members[name] = {"property": (member.fget.__doc__ or "").splitlines()[:1]}
        elif callable(member) and not isinstance(member, (cls, type)):
            members[name] = {"calls": (member.__doc__ or "").splitlines()}
        else:
            members[name] = {}
    out["classes"][path] = members
print(json.dumps(out))
"""


def read(wheel: Path) -> tuple[str, dict[str, dict[str, object]]]:
    """The version, and every class's members: of a method its signatures, of a property its type, else nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        zipfile.ZipFile(wheel).extractall(folder)
        (version,) = re.findall(r"-(\d+)\.", wheel.name)[:1]
        empty = folder / "empty.c"
        empty.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
        for library in LIBRARIES:
            name = f"{library}.{version}"
            subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, empty], check=True)
        environment = {**os.environ, "LD_LIBRARY_PATH": scratch, "PYTHONPATH": scratch}
        done = subprocess.run(
            [sys.executable, "-c", READER, *CLASSES], env=environment, capture_output=True, text=True, check=True
        )
    told = json.loads(done.stdout)
    return told["version"], {
        path: {name: _signatures(name, member) for name, member in members.items()}
        for path, members in told["classes"].items()
    }


def _signatures(name: str, member: dict[str, list[str]]) -> object:
    """Of all that is said of a member nothing but the lines that are signatures."""
    if "property" in member:
        found = re.search(r"-> (.+)$", "".join(member["property"]))
        return _plain(found[1]) if found else "unknown"
    if "calls" in member:
        lines = (re.sub(r"^\d+\. ", "", line.strip()) for line in member["calls"])
        return [_plain(line) for line in lines if re.match(rf"{re.escape(name)}\(.*\) -> .+$", line)]
    return None


def _plain(signature: str) -> str:
    """The signature without the names of modules, and with one name for what changed its name between versions."""
    signature = re.sub(r"tensorrt_bindings\.tensorrt\.|nvonnxparser::I?|typing\.|typing_extensions\.", "", signature)
    return signature.replace("SupportsInt", "int").replace("Buffer", "buffer").replace("List[", "list[")


if __name__ == "__main__":
    versions = dict(read(Path(wheel)) for wheel in sys.argv[1:])
    ordered = {version: versions[version] for version in sorted(versions, key=lambda v: [*map(int, v.split("."))])}
    # One line a class: a difference between versions is found at a glance, and the file stays short.
    lines = [
        f" {json.dumps(version)}: {{\n"
        + ",\n".join(f"  {json.dumps(path)}: {json.dumps(members)}" for path, members in sorted(classes.items()))
        + "\n }"
        for version, classes in ordered.items()
    ]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{TARGET}: {', '.join(ordered)}")
