"""The house keeps its own rules: who imports whom, what the wheel holds, what a robot's computer must have.

The rules are in CONTRIBUTING.md. Most tests read the source as a syntax tree, so that a rule is checked also in code
that no other test runs, and each failure names the file and the line.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "skelstream"
ROOMS = ("encoder", "stream", "train", "launch")
NOT_SOURCE = ("__pycache__", "engines")  # bytecode; engines compiled on this machine, which are never shipped

# A room may import those behind it, and itself. Of `train`, what the live path loads is held to LIVE's rule below.
MAY_IMPORT = {"encoder": set(), "stream": {"encoder"}, "train": {"encoder"}, "launch": {"encoder", "stream", "train"}}

# What each dependency of pyproject.toml is called in an import, where that is not its own name.
IMPORT_NAMES = {"pyzmq": {"zmq"}, "mediapipe": {"mediapipe", "cv2"}}

# The heavy modules that training brings: a robot's computer has none of them.
NOT_LIVE = ("torch", "safetensors", "onnxscript", "matplotlib", "ray")

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# The one file that may: NTU-2D comes as a pickle, and this resolves stand-ins for numpy's arrays and nothing else.
# tests/train/test_restricted_pickle.py attacks it.
RESTRICTED = ROOT / "train" / "datasets" / "restricted_pickle.py"


def _files() -> list[Path]:
    """Every file of the package: the modules at the top, what says that they are typed, and all in the four rooms."""
    inside = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()]
    kept = [path for path in inside if not set(path.relative_to(ROOT).parts) & set(NOT_SOURCE)]
    return sorted([*ROOT.glob("*.py"), ROOT / "py.typed", *kept])


def _sources() -> list[Path]:
    return [path for path in _files() if path.suffix == ".py"]


def _name(path: Path) -> str:
    """`stream/view/__init__.py` is `skelstream.stream.view`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))


MODULES = {_name(path): path for path in _sources()}


@dataclass(frozen=True)
class Import:
    """One module that a file imports: its full name, the line, and whether it waits inside a function."""

    target: str
    line: int
    lazy: bool


def _for_types_only(node: ast.AST) -> bool:
    """Is this `if TYPE_CHECKING:`? What stands under it is read by the type checker and never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _walk(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if _for_types_only(node) and child in getattr(node, "body", ()):
            continue
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, inside
        yield from _walk(child, inside)


@cache
def _imports(path: Path) -> tuple[Import, ...]:
    """All imports that can run, relative ones under their full names (`from . import wire` names the module `wire`)."""
    home = _name(path).split(".")
    if path.name != "__init__.py":
        home.pop()
    found = []
    for node, lazy in _walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join((*home[: len(home) - node.level + 1], *filter(None, [node.module]))) if node.level else ""
            base = base or node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.append(Import(full if full in MODULES else base, node.lineno, lazy))
    return tuple(found)


def _room(module: str) -> str:
    """The room of one of our modules; the modules above the rooms (`__init__`, `__main__`) have none."""
    return module.removeprefix(PACKAGE).lstrip(".").split(".")[0] if module.startswith(f"{PACKAGE}.") else ""


def _loaded_with(module: str) -> set[str]:
    """All of our modules that are loaded when `module` is: its packages, what it imports at once, and theirs."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        waiting += [found.target for found in _imports(MODULES[name]) if not found.lazy]
    return seen


def _pyproject() -> dict[str, dict[str, object]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def _dependency_names() -> set[str]:
    """The top-level modules that a plain `pip install skelstream` promises."""
    listed = _pyproject()["project"]["dependencies"]
    assert isinstance(listed, list)
    names = ["".join(c if c.isalnum() or c in "-_" else " " for c in requirement).split()[0] for requirement in listed]
    return {top for name in names for top in IMPORT_NAMES.get(name, {name.replace("-", "_")})}


each_source = pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(ROOT)))
# What a live run loads, beside what it loads itself. `launch` may take the parts of `train` that need numpy alone.
LIVE = [name for name in MODULES if _room(name) == "stream"]
LIVE += [f"{PACKAGE}.launch.{name}" for name in ("cli", "live", "single", "doctor", "bench")]


@each_source
def test_rooms_import_only_what_they_may(path: Path) -> None:
    room = _room(_name(path))
    if path.name in ("__init__.py", "__main__.py") and path.parent == ROOT:
        room = "launch"  # the two files above the rooms start things, if they do anything
    for found in _imports(path):
        other = _room(found.target)
        assert other in ("", room) or other in MAY_IMPORT[room], (
            f"{path.relative_to(ROOT)}:{found.line} imports {found.target}, and {room} may not import {other}"
        )


@each_source
def test_no_stream_module_knows_torch(path: Path) -> None:
    if _room(_name(path)) == "stream":
        lines = [found.line for found in _imports(path) if found.target.split(".")[0] == "torch"]
        assert not lines, f"{path.relative_to(ROOT)} imports torch in line {lines}, and stream never does"


@pytest.mark.parametrize("module", LIVE)
def test_the_live_path_needs_only_the_dependencies(module: str) -> None:
    promised = {PACKAGE, *_dependency_names(), *sys.stdlib_module_names}
    assert module in MODULES
    for name in sorted(_loaded_with(module)):
        for found in _imports(MODULES[name]):
            assert found.lazy or found.target.split(".")[0] in promised, (
                f"loading {module} loads {MODULES[name].relative_to(ROOT)}, whose line {found.line} imports "
                f"{found.target}: not among the dependencies in pyproject.toml; import it in the function that needs it"
            )


@each_source
def test_only_wire_knows_the_sockets(path: Path) -> None:
    if ROOT / "stream" / "wire" not in path.parents:
        lines = [found.line for found in _imports(path) if found.target.split(".")[0] in ("zmq", "msgspec")]
        assert not lines, f"{path.relative_to(ROOT)} imports zmq or msgspec in line {lines}; only stream/wire/ may"


@each_source
def test_imports_of_our_own_are_relative(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        absolute = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            absolute = [node.module or ""]
        ours = [name for name in absolute if name.split(".")[0] in (PACKAGE, *ROOMS)]
        assert not ours, f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)} imports {ours}: write it with dots"


@each_source
def test_nothing_is_unpickled(path: Path) -> None:
    for found in _imports(path):
        allowed = path == RESTRICTED and found.target.split(".")[0] == "pickle"
        assert allowed or found.target.split(".")[0] not in UNPICKLERS, (
            f"{path.relative_to(ROOT)}:{found.line} can unpickle"
        )
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if ast.unparse(node.func) == "torch.load":
            assert given.get("weights_only") == "True", f"{where}: torch.load without weights_only=True"
        assert given.get("allow_pickle", "False") == "False", f"{where}: allow_pickle runs what it reads"


@pytest.mark.parametrize("room", [*ROOMS, "tests"])
def test_no_file_is_called_utils(room: str) -> None:
    assert not list((ROOT / room).rglob("utils.py")), "a file is called after its job"


def test_pyproject_lists_every_package_and_nothing_else() -> None:
    there = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    setuptools = _pyproject()["tool"]["setuptools"]
    assert isinstance(setuptools, dict)
    listed = setuptools["packages"]
    assert sorted(listed) == sorted(there), "the list `packages` in pyproject.toml and the __init__.py files differ"


def test_the_wheel_holds_every_file_and_no_stray_module(tmp_path: Path) -> None:
    """Built from a copy, in this environment and without a network, then compared with the tree."""
    source = tmp_path / "anything"  # not `skelstream`: the clone's folder may be called as its owner likes
    skip = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "runs", *NOT_SOURCE)
    shutil.copytree(ROOT, source, ignore=skip)
    subprocess.run(
        [sys.executable, "-c", f"import setuptools.build_meta as b; b.build_wheel({str(tmp_path)!r})"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {f"{PACKAGE}/{path.relative_to(ROOT).as_posix()}" for path in _files()}
    assert inside == expected, "the lists `packages` and `package-data` in pyproject.toml decide what travels"


@pytest.mark.parametrize("stray", [*ROOMS, "tests"])
def test_no_room_is_a_top_level_module(stray: str, tmp_path: Path) -> None:
    """A user's own train.py and the `launch` of ROS 2 keep their names."""
    look = "import importlib.util as i, sys; s = i.find_spec(sys.argv[1]); print(s.origin if s else '')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", look, stray], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    origin = done.stdout.strip()
    assert not origin or ROOT not in Path(origin).parents


def _without_training(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which nothing of NOT_LIVE is installed, as far as an import can tell."""
    # Not by None in sys.modules: there are libraries that look there whether torch is in use.
    missing = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NOT_LIVE!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
    return subprocess.run([sys.executable, "-c", missing + code, *arguments], cwd=cwd, capture_output=True, text=True)


def test_the_live_path_starts_without_torch(tmp_path: Path) -> None:
    load = "import importlib; [*map(importlib.import_module, sys.argv[1:])]"
    done = _without_training(load, *LIVE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in NOT_LIVE:  # and the process was one that could have noticed
        assert _without_training(load, name, cwd=tmp_path).returncode != 0


def test_the_command_line_explains_itself_without_torch(tmp_path: Path) -> None:
    ask = f"""
from {PACKAGE}.launch.cli import main
for words in sys.argv[1:]:
    try:
        main(words.split())
    except SystemExit as end:
        assert not end.code, words
"""
    done = _without_training(ask, *(f"{words} --help" for words in ("", "data", "bench")), "train", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    missing = "|".join(NOT_LIVE)
    assert re.fullmatch(
        rf"skelstream: this needs ({missing}); install the extra `train`: pip install 'skelstream\[train\]'\n",
        done.stderr,
    )
    for program in ("skelstream", "skelstream data", "skelstream bench"):
        assert f"usage: {program} [-h]" in done.stdout
