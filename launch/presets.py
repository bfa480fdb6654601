"""Presets: options of `skelstream live` under a name, as a TOML file of its own. Those that come along: `presets/`.

    # The first line says what it is for.
    camera = ["door=0", "hall=rtsp://hall.local/main"]
    record-most-mb = 500

Its keys are the options, spelled as on the command line; what is given there counts for more.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..encoder.strict import strict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

FOLDER = Path(__file__).parent / "presets"
_LARGEST = 1 << 16


@dataclass(frozen=True)
class Preset:
    """Its name, what it is for, and the options that it gives, by the names of their fields."""

    name: str
    purpose: str
    options: dict[str, Any]

    @property
    def words(self) -> list[str]:
        """The same on a command line."""
        return [word for name, value in self.options.items() for word in _words(name.replace("_", "-"), value)]

    @property
    def line(self) -> str:
        """The command line, without a password that an address may hold."""
        return shlex.join(["skelstream", "live", *(re.sub(r"://[^/]*@", "://...@", word) for word in self.words)])


def shipped() -> list[str]:
    """The names of the presets that come along."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_preset(name: str) -> Preset:
    """A preset that comes along, or one's own file. ValueError if it is none."""
    path = FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    if path.suffix != ".toml":
        raise ValueError(
            f"there is no preset {name!r}; there are {', '.join(shipped())}, and files of your own: mine.toml"
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path} is too large for a preset")
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise ValueError(
            f"cannot read the preset {path}: {error.strerror}; there are {', '.join(shipped())}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    first = text.lstrip().partition("\n")[0]
    purpose = first.lstrip("# ") if first.startswith("#") else ""
    return Preset(path.stem, purpose, {key.replace("-", "_"): value for key, value in table.items()})


def options_of(preset: Preset, kind: type[Options]) -> Options:
    """The preset's options, and the defaults of the others. ValueError for one that is none, or has another type."""
    allowed = [f.name for f in fields(kind) if f.default is not MISSING and f.name != "preset"]
    where = f"preset {preset.name}"
    if unknown := [name for name in preset.options if name not in allowed]:
        names = ", ".join(name.replace("_", "-") for name in allowed)
        raise ValueError(f"{where} has unknown options: {', '.join(map(str, unknown))}; there are {names}")
    camera = preset.options.get("camera", [])
    return strict(kind, {**preset.options, "camera": [camera] if isinstance(camera, str) else camera}, where)


def _words(option: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [word for one in (value if isinstance(value, list) else [value]) for word in (f"--{option}", str(one))]
