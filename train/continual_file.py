"""A trained continual detector on disk: a prototype's two files, not a bundle, which the live path would take.

continual.json           what the model is, how its scores are decoded, where it is from, the weights' digest
continual.safetensors    the weights, float16
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..encoder.bundle import DecodeParameters
from ..encoder.continual import Continual, ContinualConfig
from ..encoder.weights import pack, round_to_half, unpack
from .whole_file import whole_file, write_whole

_TOLD, _WEIGHTS = "continual.json", "continual.safetensors"
_MOST_BYTES = {_TOLD: 1 << 20, _WEIGHTS: 1 << 30}


@dataclass(frozen=True, kw_only=True)
class SavedContinual:
    """A continual detector in evaluation mode, how it is decoded (`delay` 0: its answers are late enough), its past."""

    model: Continual
    decode: DecodeParameters
    provenance: Mapping[str, Any]


def save_continual(folder: Path, saved: SavedContinual) -> SavedContinual:
    """Write both files and read them again. Raises ValueError for weights that float16 cannot hold."""
    weights = pack(round_to_half(saved.model.state_dict()))
    told = {
        "model": asdict(saved.model.config), "decode": asdict(saved.decode), "provenance": dict(saved.provenance),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }  # fmt: skip
    with whole_file(folder / _WEIGHTS) as unfinished:
        unfinished.write_bytes(weights)
    write_whole(folder / _TOLD, json.dumps(told, indent=1))
    return load_continual(folder)


def load_continual(folder: Path) -> SavedContinual:
    """What `save_continual` wrote. Raises ValueError if a file is missing, cut short, changed or nonsensical."""
    try:
        told = json.loads(_read(folder, _TOLD))
        weights = _read(folder, _WEIGHTS)
        if hashlib.sha256(weights).hexdigest() != told["sha256"]:
            raise ValueError(f"{_WEIGHTS} is not the one that {_TOLD} was written for")
        shape = {**told["model"], "classes": tuple(told["model"]["classes"])}
        model = Continual(ContinualConfig(**shape))
        model.load_state_dict(unpack(weights))
        return SavedContinual(
            model=model.eval(), decode=DecodeParameters.from_dict(told["decode"]), provenance=told["provenance"]
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{folder} holds no whole continual detector: {reason}; give the folder that `train continual` wrote"
        ) from error


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if path.stat().st_size > _MOST_BYTES[name]:
        raise ValueError(f"{name} is larger than {_MOST_BYTES[name]} bytes")
    return path.read_bytes()
