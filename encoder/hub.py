"""Models from and to a hub (huggingface_hub, extra `hub`): the files of a bundle, and with them its card.

    model = Model.from_pretrained("ORG/NAME", revision="v1")    # or a folder, or the name of one that is shipped
    model.save_pretrained("here")
    model.push_to_hub("ORG/NAME")

    skelstream live --model hf://ORG/NAME@v1

What comes from a hub is a bundle like any other: its digests are checked and nothing in it is executed. It is copied
out of the hub's cache, for a bundle has no links; engines are compiled beside the copy.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies

from .anchors import ANCHORS
from .bundle import HUB, Bundle, available_bundles, check_place
from .bundle_files import CONFIG, GRAPH, REFERENCE, WEIGHTS, cache_folder
from .card import CARD, model_card, pictures_of
from .full_disk import needing_room

try:
    from huggingface_hub import ModelHubMixin, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
except ModuleNotFoundError as error:
    raise ValueError("models from a hub need huggingface_hub: pip install 'skelstream[hub]'") from error

_FILES = (CONFIG, WEIGHTS, GRAPH, REFERENCE)
_BESIDE = (ANCHORS,)  # what belongs to a bundle where it is there
_TAKEN = [*_FILES, *_BESIDE, CARD]
_CONNECT_S = 5.0


class Model(ModelHubMixin, library_name="skelstream"):  # type: ignore[misc, call-arg]  # it may not be installed
    """A bundle that knows hubs. `bundle` is what the rest of skelstream works with."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, **more: Any) -> Self:
        """The model in a folder, one that is shipped, or one of a hub: ORG/NAME, of which `revision` is a branch, a
        tag or a commit. `more`: token, cache_dir, local_files_only, force_download, as huggingface_hub knows them.

        Raises ValueError, in one line, if it is nowhere, cannot be fetched, or is no sound bundle.
        """
        name = str(name)
        if name in available_bundles() or Path(name).is_dir() or name.startswith(HUB):
            if revision is not None:
                raise ValueError(f"{name} has no revisions; give them with a hub's ORG/NAME")
            return cls(Bundle.load(name))
        with _one_line(name):
            if not _reachable():
                more = {**more, "local_files_only": True}
            found: Self = super().from_pretrained(name, revision=revision, **more)
        return found

    def save_pretrained(self, save_directory: str | Path, **more: Any) -> str | None:
        """Write the bundle with its card to a folder, whole or not at all, in place of an older bundle there; with
        `push_to_hub=True` also to a hub. Raises ValueError if something else is there, and `DiskFull`.
        """
        place = Path(save_directory)
        check_place(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        with needing_room(place), tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as scratch:
            new = Path(scratch) / place.name
            said: str | None = super().save_pretrained(new, **more)
            Bundle.load(new)
            if place.exists():
                place.rename(Path(scratch) / "old")
            new.rename(place)
        return said

    def push_to_hub(self, repo_id: str, **more: Any) -> str:
        """Upload the bundle with its card; returns the commit's address. `more`: token, private, branch, revision
        notes and so on, as huggingface_hub knows them. Raises ValueError, in one line, if that cannot be done."""
        with _one_line(repo_id):
            if not _reachable():
                raise ConnectionError("no connection")
            url: str = super().push_to_hub(repo_id, **{"commit_message": f"skelstream {self.bundle.name}", **more})
        return url

    def _save_pretrained(self, save_directory: Path) -> None:
        here = self.bundle.directory
        beside = [here / name for name in _BESIDE if (here / name).is_file()]
        for file in (*(here / name for name in _FILES), *beside, *pictures_of(here)):
            shutil.copyfile(file, save_directory / file.name)
        (save_directory / CARD).write_text(model_card(self.bundle), encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, revision: str | None, cache_dir: str | Path | None, force_download: bool,
        local_files_only: bool, token: str | bool | None, **more: Any,
    ) -> Self:  # fmt: skip
        if more:
            raise ValueError(f"from_pretrained knows no {', '.join(more)}")
        snapshot = snapshot_download(
            model_id, revision=revision, cache_dir=cache_dir, force_download=force_download, token=token,
            local_files_only=local_files_only, allow_patterns=_TAKEN,
        )  # fmt: skip
        return cls(Bundle.load(_copied(model_id, Path(snapshot))))


def fetched(address: str) -> Path:
    """The folder of hf://ORG/NAME or hf://ORG/NAME@REVISION, fetched first if it is not here or not the newest.

    Raises ValueError, in one line, if it cannot be fetched or is no bundle.
    """
    name, _, revision = address.removeprefix(HUB).partition("@")
    return Model.from_pretrained(name, revision=revision or None).bundle.directory


def _copied(name: str, snapshot: Path) -> Path:
    """A folder of plain files with what a snapshot in the hub's cache links to, made once for each commit."""
    place = cache_folder() / "hub" / name.replace("/", "--") / snapshot.name
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with needing_room(place), tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as scratch:
            new = Path(scratch) / snapshot.name
            new.mkdir()
            for file in _TAKEN:
                if (snapshot / file).is_file():
                    shutil.copyfile(snapshot / file, new / file)
            try:
                new.rename(place)
            except OSError:
                if not place.is_dir():  # else another process was faster
                    raise
    return place


def _reachable() -> bool:
    """Whether the hub can be connected to: huggingface_hub itself tries for half a minute, which a robot without a
    network need not wait for. Behind a proxy nobody can tell."""
    where = urlsplit(constants.ENDPOINT)
    if getproxies().get(where.scheme):
        return True
    try:
        port = where.port or (443 if where.scheme == "https" else 80)
        socket.create_connection((where.hostname or "", port), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What huggingface_hub raises, as ValueErrors of one line."""
    where = constants.ENDPOINT
    try:
        yield
    except HFValidationError as error:
        raise ValueError(f"{name!r} is no name of a model; give ORG/NAME, a folder, or hf://ORG/NAME") from error
    except LocalEntryNotFoundError as error:
        raise ValueError(f"{name} is not here, and {where} cannot be reached; try again with a network") from error
    except HfHubHTTPError as error:
        code = error.response.status_code
        mend = "log in (`hf auth login`), or give a token" if code in (401, 403) else "check its name and revision"
        raise ValueError(f"{where} has no {name} for us ({code}); {mend}") from error
    except OSError as error:
        raise ValueError(f"{where} cannot be reached for {name}: {error}; try again with a network") from error
    except Exception as error:
        if not type(error).__module__.startswith("httpx"):  # its HTTP client, whose name differs between versions
            raise
        raise ValueError(f"{where} cannot be reached for {name}: {error}; try again with a network") from error
