"""The authors' checkpoints: what encoder they hold, and their names for its weights as ours.

They were written by `torch.save({"epoch", "state_dict", "optimizer"})`, with keys under `module.backbone.` (a wrapped
and a wrapping module), beside which pretraining keeps three projectors and a downstream task a linear head `fc`. Only
tensors and plain containers are read; a file that holds anything else is refused.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .build import build_encoder
from .config import AnyEncoderConfig, DSTEConfig, STTRConfig
from .skeleton_encoder import SkeletonEncoder

_MAX_BYTES = 8 << 30  # ten times the largest that the authors' training writes, its optimiser's state included
_UNFOLDED = 4  # times as large as the file: some of the authors' weights are in it once under two names

# Theirs -> ours inside a layer. `tpe.pe` is a constant and `DSA.attn` repeats `CA.attn`: neither is read.
_DSTE_LAYER = re.compile(r"(?P<stream>[ts])_tr(?P<second>1?)\.(?P<rest>(CA|DSA)\..+)")
_Names = tuple[tuple[re.Pattern[str], str], ...]
_DSTE_REST: _Names = (
    (re.compile(r"CA\.attn\.in_proj_(weight|bias)"), r"attention.qkv.\1"),
    (re.compile(r"CA\.attn\.out_proj\.(weight|bias)"), r"attention.out.\1"),
    (re.compile(r"CA\.conv1\.(weight|bias)"), r"ca.convolution.\1"),
    (re.compile(r"CA\.(norm[12])\.(weight|bias)"), r"ca.\1.\2"),
    (re.compile(r"CA\.mlp\.fc1\.(weight|bias)"), r"ca.mlp.0.\1"),
    (re.compile(r"CA\.mlp\.fc2\.(weight|bias)"), r"ca.mlp.2.\1"),
    (re.compile(r"DSA\.wt([12])\.(weight|bias)"), r"dsa.mix\1.\2"),
    (re.compile(r"DSA\.(norm[12])\.(weight|bias)"), r"dsa.\1.\2"),
    (re.compile(r"DSA\.mlp\.fc1\.(weight|bias)"), r"dsa.mlp.0.\1"),
    (re.compile(r"DSA\.mlp\.fc2\.(weight|bias)"), r"dsa.mlp.2.\1"),
)
_STTR_LAYER = re.compile(r"(?P<stream>[ts])_tr\.layers\.(?P<number>\d+)\.(?P<rest>.+)")
_STTR_REST: _Names = (
    (re.compile(r"self_attn\.in_proj_(weight|bias)"), r"attention.qkv.\1"),
    (re.compile(r"self_attn\.out_proj\.(weight|bias)"), r"attention.out.\1"),
    (re.compile(r"linear1\.(weight|bias)"), r"mlp.0.\1"),
    (re.compile(r"linear2\.(weight|bias)"), r"mlp.2.\1"),
    (re.compile(r"(norm[12])\.(weight|bias)"), r"\1.\2"),
)
_EMBEDDING = re.compile(r"ske_emb\.([ts]_embedding\.[013]\.(weight|bias))")
_BESIDE = re.compile(r"[tsi]_proj\.(0|1|3|4|6)\.\w+|fc\.(weight|bias)")  # projectors and head


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The `state_dict` of one of the authors' files, on the CPU, without the prefix `module.`.

    Raises ValueError if the file is not one of theirs, holds anything but tensors and plain containers, or would unfold
    to more than it is.
    """
    content = load_checkpoint(path)
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is not a USDRL checkpoint: it has no 'state_dict' of tensors")
    # A view may show one number as often as it likes; whoever copies it needs memory for each.
    if sum(value.numel() * value.element_size() for value in state.values()) > _UNFOLDED * path.stat().st_size:
        raise ValueError(f"cannot read the checkpoint {path}: its tensors would unfold to far more than it has bytes")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def load_checkpoint(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU: tensors and plain containers. ValueError if it is anything else."""
    try:
        _check_size(path)
        with warnings.catch_warnings(action="ignore"):  # what there is to say of the file is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises six kinds for a bad file; one is pickle's own, which is not imported here
        raise ValueError(f"cannot read the checkpoint {path}: {_reason(error)}") from error


def encoder_of(state: dict[str, Tensor]) -> AnyEncoderConfig:
    """What encoder the weights of `read_checkpoint` belong to: kind, width, frames and joints, from names and shapes.

    The authors' gap (4), alpha (0.5) and two people are not written in a checkpoint; they are taken as the paper's.
    Raises ValueError if the shapes are no encoder's, naming the keys that are in neither encoder if there are any.
    """
    backbone = _backbone(state)
    if unplaced := unplaced_keys(state):
        shown = ", ".join(unplaced[:8]) + (" and more" if len(unplaced) > 8 else "")
        raise ValueError(f"the checkpoint has {len(unplaced)} keys that no DSTE or STTR has a place for: {shown}")
    try:
        joints_people, hidden = backbone["spe"].shape[1:]
        per_frame = backbone["ske_emb.t_embedding.0.weight"].shape[1]
        per_joint = backbone["ske_emb.s_embedding.0.weight"].shape[1]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"the checkpoint's spe or ske_emb is missing or misshapen: {error}") from error
    people = 2
    joints, coords = joints_people // people, per_frame // max(joints_people, 1)
    if joints * people != joints_people or coords * joints_people != per_frame or coords < 1 or per_joint % coords:
        raise ValueError(
            f"the checkpoint's shapes do not fit together: {joints_people} joints of two people, {per_frame} numbers a "
            f"frame, {per_joint} a joint"
        )
    frames = per_joint // coords
    numbers = [int(match["number"]) for key in backbone if (match := _STTR_LAYER.fullmatch(key))]
    config: AnyEncoderConfig
    if numbers:
        config = STTRConfig(
            hidden=hidden, layers=1 + max(numbers), frames=frames, joints=joints, people=people, coords=coords
        )
    else:
        config = DSTEConfig(hidden=hidden, frames=frames, joints=joints, people=people, coords=coords)
    with torch.device("meta"):  # nothing is allocated by a file's word alone
        _fitted(state, build_encoder(config).state_dict())
    return config


def unplaced_keys(state: dict[str, Tensor]) -> list[str]:
    """The keys of `read_checkpoint` that are neither an encoder's, nor a projector's, nor a head's."""
    backbone = {f"backbone.{key}" for key in _backbone(state) if _is_constant(key) or _ours(key) is not None}
    return sorted(key for key in state if key not in backbone and not _BESIDE.fullmatch(key))


def load_backbone(encoder: SkeletonEncoder, state: dict[str, Tensor]) -> None:
    """Copy the weights of `read_checkpoint` into the encoder; projectors and heads in `state` are left alone.

    Raises ValueError, and leaves the encoder as it was, if a weight is missing, unknown, or of another shape.
    """
    encoder.load_state_dict(_fitted(state, encoder.state_dict()))


def _fitted(state: dict[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's weights under our names, in the shapes of `ours`. Raises ValueError if they are not those."""
    renamed: dict[str, Tensor] = {}
    unknown = []
    for key, value in _backbone(state).items():
        if _is_constant(key):
            continue
        name = _ours(key)
        if name is None or name not in ours:
            unknown.append(key)
        elif name.endswith("convolution.weight"):
            renamed[name] = value.squeeze(-1)  # their Conv1d of width 1 is our Linear
        else:
            renamed[name] = value.squeeze(0) if name == "s_position_NH" else value
    if unknown:
        raise ValueError(f"the checkpoint has {len(unknown)} weights that this encoder lacks, such as {min(unknown)}")
    if missing := ours.keys() - renamed.keys():
        raise ValueError(f"the checkpoint lacks {len(missing)} weights of this encoder, such as {min(missing)}")
    for name, value in renamed.items():
        if value.shape != ours[name].shape:
            shapes = f"{tuple(value.shape)}, the encoder's {tuple(ours[name].shape)}"
            raise ValueError(f"the checkpoint's {name} is {shapes}: is the hidden size the same?")
    return renamed


def _check_size(path: Path) -> None:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 30} GiB, which no checkpoint of these models is")
    if zipfile.is_zipfile(path):  # torch's format since 1.6; torch writes it uncompressed
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed, which torch's own files are not")


def _reason(error: Exception) -> str:
    """Torch's explanation without its paragraphs, which advise to execute what is in the file."""
    text = str(error)
    if named := re.search(r"GLOBAL ([\w.]+)", text):
        return f"it names {named[1]}, and is not executed; a checkpoint holds tensors and plain containers alone"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RuntimeError | ValueError) and "weights_only" not in text:
        return next(iter(text.splitlines()), "")[:200]
    return f"it is damaged, or was not written by torch ({type(error).__name__})"


def _backbone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}


def _is_constant(key: str) -> bool:
    """Does this backbone key hold nothing of its own?"""
    return key == "tpe.pe" or re.fullmatch(r"[ts]_tr1?\.DSA\.attn\.(in_proj_|out_proj\.)(weight|bias)", key) is not None


def _ours(key: str) -> str | None:
    """Our name for one of their backbone keys, None if it is no encoder's."""
    if key == "spe":
        return "s_position_NH"
    if match := _EMBEDDING.fullmatch(key):
        return match[1]
    if layer := _DSTE_LAYER.fullmatch(key):
        number, names = 1 if layer["second"] else 0, _DSTE_REST
    elif layer := _STTR_LAYER.fullmatch(key):
        number, names = int(layer["number"]), _STTR_REST
    else:
        return None
    for theirs, ours in names:
        if match := theirs.fullmatch(layer["rest"]):
            return f"{layer['stream']}_layers.{number}.{match.expand(ours)}"
    return None
