"""The authors' checkpoints: their names for DSTE's weights, as ours.

They were written by `torch.save({"epoch", "state_dict", "optimizer"})`, with keys under `module.backbone.` (a wrapped
and a wrapping module). Only tensors and plain containers are read; a file that holds anything else is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from .dste import DSTE

# Theirs -> ours inside the backbone. `tpe.pe` is a constant and `DSA.attn` repeats `CA.attn`: neither is read.
_LAYER = re.compile(r"(?P<stream>[ts])_tr(?P<second>1?)\.(?P<rest>.+)")
_REST = (
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


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The `state_dict` of one of the authors' files, on the CPU, without the prefix `module.`.

    Raises ValueError if the file is not one of theirs, or holds anything but tensors and plain containers.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises six kinds for a bad file; one is pickle's own, which is not imported here
        raise ValueError(f"cannot read the checkpoint {path}: {_reason(error)}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is not a USDRL checkpoint: it has no 'state_dict' of tensors")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def load_backbone(encoder: DSTE, state: dict[str, Tensor]) -> None:
    """Copy the weights of `read_checkpoint` into the encoder; projectors and heads in `state` are left alone.

    Raises ValueError, and leaves the encoder as it was, if a weight is missing, unknown, or of another shape.
    """
    backbone = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    renamed = {name: value for key, value in backbone.items() if (name := _ours(key)) is not None}
    ours = encoder.state_dict()
    for name, value in renamed.items():
        if name.endswith("convolution.weight"):
            renamed[name] = value.squeeze(-1)  # their Conv1d of width 1 is our Linear
        elif name == "s_position_NH":
            renamed[name] = value.squeeze(0)
    if missing := ours.keys() - renamed.keys():
        raise ValueError(f"the checkpoint lacks {len(missing)} weights of this encoder, such as {min(missing)}")
    if unknown := renamed.keys() - ours.keys():
        raise ValueError(f"the checkpoint has {len(unknown)} weights that this encoder lacks, such as {min(unknown)}")
    for name, value in renamed.items():
        if value.shape != ours[name].shape:
            shapes = f"{tuple(value.shape)}, the encoder's {tuple(ours[name].shape)}"
            raise ValueError(f"the checkpoint's {name} is {shapes}: is the hidden size the same?")
    encoder.load_state_dict(renamed)


def _reason(error: Exception) -> str:
    """The first sentence of torch's explanation, which goes on for paragraphs, or the error's name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _ours(key: str) -> str | None:
    """Our name for one of their backbone keys, None for one that holds nothing of its own; ValueError if unknown."""
    if key == "tpe.pe" or ".DSA.attn." in key:
        return None
    if key == "spe":
        return "s_position_NH"
    if key.startswith("ske_emb."):
        return key.removeprefix("ske_emb.")
    if layer := _LAYER.fullmatch(key):
        prefix = f"{layer['stream']}_layers.{1 if layer['second'] else 0}."
        for theirs, ours in _REST:
            if match := theirs.fullmatch(layer["rest"]):
                return prefix + match.expand(ours)
    raise ValueError(f"the checkpoint's backbone.{key} is no weight of a DSTE; is it another encoder's?")
