"""What is measured against is the network that we have: the same weights give the same numbers."""

from __future__ import annotations

import pytest
import torch

from skelstream.encoder.config import DSTEConfig
from skelstream.encoder.dste import DSTE
from skelstream.launch.published import PublishedDSTE


@pytest.mark.parametrize("config", [DSTEConfig(hidden=32), DSTEConfig(hidden=16, layers=3, gap=3, alpha=0.3)])
def test_the_published_network_computes_what_ours_computes(config: DSTEConfig) -> None:
    torch.manual_seed(2)
    ours = DSTE(config).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    published = PublishedDSTE.of(ours)
    x = torch.randn(2, 3, 64, 25, 2)
    with torch.inference_mode():
        for representation in ("dense", "clip"):
            expected = getattr(ours, representation)(x)
            found = getattr(published, representation)(x)
            assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
            assert expected.std() > 0.1
