"""The projectors against the authors' own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from skelstream.encoder.checkpoint import read_checkpoint
from skelstream.train.objectives.mgfd import Domain
from skelstream.train.projectors import Projectors

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES: dict[str, Domain] = {"t_proj": "temporal", "s_proj": "spatial", "i_proj": "instance"}


@pytest.mark.parametrize("modality", ["joint", "motion", "bone"])
def test_equal_the_authors_code(modality: str) -> None:
    projectors = Projectors(hidden=32).eval()
    state = read_checkpoint(GOLDEN / "dste_ntu25_pretrained.pth.tar")
    parts = ((key.partition("."), value) for key, value in state.items())
    projectors.load_state_dict({f"{NAMES[name]}.{rest}": value for (name, _, rest), value in parts if name in NAMES})
    golden = np.load(GOLDEN / "dste_ntu25.npz", allow_pickle=False)
    with torch.no_grad():
        projected = projectors(torch.from_numpy(golden[f"{modality}_knn"]))
    for theirs, ours in NAMES.items():
        np.testing.assert_allclose(projected[ours].numpy(), golden[f"{modality}_z{theirs[0]}"], atol=1e-5, rtol=1e-5)
