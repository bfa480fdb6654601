"""Transfer: an encoder pretrained on one data set, fine-tuned on another, against the same network from random weights.

Source: arXiv 2508.12586, transfer learning (recognition).
"""

from __future__ import annotations

from pathlib import Path

from ..clips import Clips
from ..pretrained import Pretrained
from .fine_tune import FineTuning, fine_tune, from_scratch
from .task import Results, Say


def transfer(pretrained: Pretrained, train: Clips, test: Clips, config: FineTuning, out: Path, say: Say) -> Results:
    """Both runs' results, under "transferred" and "scratch", and the "gain" in top-1; each has a folder in `out`."""
    transferred = fine_tune(pretrained, train, test, config, out / "transferred", say)
    scratch = from_scratch(pretrained, train, test, config, out / "scratch", say)
    gain = transferred["top1"] - scratch["top1"]
    say(f"transfer: {gain:+.3f} over random weights")
    return {"transferred": transferred, "scratch": scratch, "gain": gain}
