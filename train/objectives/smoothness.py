"""What keeps dense scores from flickering: neighbouring frames should say nearly the same.

The truncated mean squared error of MS-TCN (Abu Farha and Gall, CVPR 2019, equations 9 to 11): squared steps of the
log-probabilities from one frame to the next, cut off so that a true boundary costs no more than a large one would, and
taken as if the earlier frame were fixed.
Shapes: B window, T frame, K class.
"""

from __future__ import annotations

from torch import Tensor

LARGEST_STEP = 4.0  # MS-TCN's tau: a probability that grows or shrinks 55-fold from one frame to the next


def smoothness_loss(log_probability_BTK: Tensor) -> Tensor:
    """The mean squared step of log-probabilities (B, T, K) from each frame to the next, each at most 16; a scalar."""
    step = log_probability_BTK[:, 1:] - log_probability_BTK[:, :-1].detach()
    return step.clamp(-LARGEST_STEP, LARGEST_STEP).square().mean()
