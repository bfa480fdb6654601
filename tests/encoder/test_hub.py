"""Models to and from a hub, over HTTP, by a hub of our own (`hub_server.py`), each asked in a process of its own:
huggingface_hub reads its address once, when it is imported. The real hub was never at hand.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="models from a hub need the extra `hub`")

from skelstream.encoder.bundle import SHIPPED, Bundle
from skelstream.encoder.hub import Model

_spec = importlib.util.spec_from_file_location("hub_server", Path(__file__).with_name("hub_server.py"))
assert _spec is not None and _spec.loader is not None
hub_server = importlib.util.module_from_spec(_spec)
sys.modules["hub_server"] = hub_server
_spec.loader.exec_module(hub_server)

Ask = Callable[..., subprocess.CompletedProcess[str]]
_FILES = ("config.json", "model.safetensors", "model.onnx", "reference.npz")
_NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def hub() -> Iterator[object]:
    with hub_server.HubServer() as server:
        yield server


@pytest.fixture
def ask(hub: object, tmp_path: Path) -> Ask:
    """Run a line of Python in which `Model` and `Bundle` are known, with a home of its own."""
    known = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}

    def run(code: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **known, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": hub.token,  # type: ignore[attr-defined]
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "SKELSTREAM_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_TELEMETRY": "1", **more,
        }  # fmt: skip
        begin = "from skelstream import Model; from skelstream.encoder.bundle import Bundle\n"
        return subprocess.run(
            [sys.executable, "-c", begin + code], env=environment, capture_output=True, text=True, timeout=120
        )

    return run


@pytest.fixture
def pushed(hub: object) -> str:
    """`small` as lab/waves on the hub; the commit's digest."""
    files = {name: (SHIPPED / "small" / name).read_bytes() for name in _FILES}
    hub.repos["lab/waves"] = [hub_server.Commit(files)]  # type: ignore[attr-defined]
    return str(hub.repos["lab/waves"][0].sha)  # type: ignore[attr-defined]


def test_what_is_pushed_is_the_bundle_with_its_card(hub: object, ask: Ask) -> None:
    done = ask("print(Model.from_pretrained('small').push_to_hub('lab/new'))")
    assert done.returncode == 0, done.stderr
    (commit,) = hub.repos["lab/new"]  # type: ignore[attr-defined]
    assert done.stdout.strip().endswith(commit.sha)
    for name in _FILES:
        assert commit.files[name] == (SHIPPED / "small" / name).read_bytes()
    assert commit.large == {"model.onnx", "model.safetensors"}
    card = commit.files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: skelstream\n") and "utkinect" in card


def test_it_comes_back_as_a_bundle_that_loads_by_every_spelling(ask: Ask, pushed: str, tmp_path: Path) -> None:
    done = ask(
        "import sys\n"
        "one = Model.from_pretrained('lab/waves').bundle\n"
        f"two = Model.from_pretrained('lab/waves', revision={pushed!r}).bundle\n"
        "three = Bundle.load_live('hf://lab/waves')\n"
        f"four = Bundle.load('hf://lab/waves@{pushed}')\n"
        "print(*(b.digest for b in (one, two, three, four)), one.directory)\n"
        "assert 'torch' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr
    *digests, directory = done.stdout.split()
    assert set(digests) == {Bundle.load("small").digest} and len(digests) == 4
    assert not any(path.is_symlink() for path in Path(directory).iterdir())
    assert Path(directory).is_relative_to(tmp_path / "cache" / "hub")


def test_without_a_network_what_was_fetched_is_still_there(ask: Ask, pushed: str) -> None:
    assert ask("Bundle.load('hf://lab/waves')").returncode == 0
    done = ask(f"print(Bundle.load('hf://lab/waves').digest, Bundle.load('hf://lab/waves@{pushed}').digest)",
               HF_ENDPOINT=_NOWHERE)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {Bundle.load("small").digest}
    assert done.stderr == ""


def test_a_newer_commit_is_taken_and_the_older_one_can_be_asked_for(
    ask: Ask, pushed: str, hub: object, tmp_path: Path
) -> None:
    assert ask("Bundle.load('hf://lab/waves')").returncode == 0
    data = json.loads((SHIPPED / "small" / "config.json").read_text())
    data["provenance"]["made"] = "later"
    shutil.copytree(SHIPPED / "small", tmp_path / "later")
    (tmp_path / "later" / "config.json").write_text(json.dumps(data))
    done = ask(
        f"Model.from_pretrained({str(tmp_path / 'later')!r}).push_to_hub('lab/waves')\n"
        "print(Bundle.load('hf://lab/waves').config.provenance['made'])\n"
        f"print(Bundle.load('hf://lab/waves@{pushed}').digest)"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["later", Bundle.load("small").digest]
    assert len(hub.repos["lab/waves"]) == 2  # type: ignore[attr-defined]


def test_what_was_altered_on_the_hub_is_refused(ask: Ask, pushed: str, hub: object) -> None:
    files = hub.repos["lab/waves"][-1].files  # type: ignore[attr-defined]
    content = bytearray(files["model.onnx"])
    content[len(content) // 2] ^= 1
    files["model.onnx"] = bytes(content)
    done = ask("Bundle.load('hf://lab/waves')")
    assert done.returncode == 1
    assert "ValueError: corrupt bundle" in done.stderr and "model.onnx has been changed" in done.stderr


@pytest.mark.parametrize(
    ("code", "more", "complaint"),
    [
        ("Bundle.load('hf://lab/nothing')", {}, r"has no lab/nothing for us (404); check its name"),
        ("Bundle.load('hf://lab/waves@v9')", {}, r"has no lab/waves for us (404); check its name and revision"),
        ("Bundle.load('hf://lab/nothing')", {"HF_ENDPOINT": _NOWHERE}, "cannot be reached"),
        ("Bundle.load('hf://a b')", {}, "'a b' is no name of a model"),
        ("Model.from_pretrained('small').push_to_hub('lab/x')", {"HF_TOKEN": "hf_wrong"}, "(401); log in"),
        ("Model.from_pretrained('small').push_to_hub('a/b')", {"HF_ENDPOINT": _NOWHERE}, "cannot be reached"),
        ("Model.from_pretrained('small', revision='v1')", {}, "has no revisions"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(
    ask: Ask, pushed: str, code: str, more: dict[str, str], complaint: str
) -> None:
    done = ask(f"try: {code}\nexcept ValueError as error: print(error)", **more)
    assert done.returncode == 0, done.stderr
    assert complaint in done.stdout and len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_saving_is_whole_or_not_at_all(tmp_path: Path) -> None:
    model = Model.from_pretrained("small")
    model.save_pretrained(tmp_path / "mine")
    again = Model.from_pretrained(tmp_path / "mine")
    assert again.bundle.digest == model.bundle.digest
    again.save_pretrained(tmp_path / "mine")  # onto itself
    assert Bundle.load(tmp_path / "mine").digest == model.bundle.digest
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="no model bundle"):
        model.save_pretrained(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "other"]
