"""The continual detector: a frame at a time says what the whole sequence says, and no frame hears of a later one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skelstream.encoder.continual import (
    Continual,
    ContinualConfig,
    State,
    remember,
    restarted,
)
from skelstream.encoder.continual_start import begun_as
from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import DSTE
from skelstream.encoder.dste import Layer as WindowedLayer
from skelstream.encoder.engine.continual import ContinualEngine
from skelstream.encoder.layout import NTU25
from skelstream.encoder.normalise import facing
from skelstream.encoder.running_facing import Means, running_facing

CLASSES = ("background", "wave", "clap")


@cache
def model(reach: int = 5, layers: int = 2, seed: int = 0) -> Continual:
    torch.manual_seed(seed)
    made = Continual(ContinualConfig(classes=CLASSES, hidden=16, layers=layers, reach=reach, memory=10)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def people(frames: int, seed: int, batch: int = 1) -> Tensor:
    """Joints (B, 3, T, 25, 2) of two bodies that move through the room."""
    g = torch.Generator().manual_seed(seed)
    body = 0.3 * torch.randn(batch, 3, 1, 25, 2, generator=g) + torch.tensor([0.0, 0, 3]).view(1, 3, 1, 1, 1)
    way = 0.02 * torch.randn(batch, 3, frames, 1, 1, generator=g).cumsum(dim=2)
    return body + way + 0.05 * torch.randn(batch, 3, frames, 25, 2, generator=g)


def one_by_one(detector: Continual, x_BCTVM: Tensor) -> tuple[Tensor, State]:
    state, said = detector.start(len(x_BCTVM)), []
    with torch.inference_mode():
        for frame_BCVM in x_BCTVM.unbind(dim=2):
            logits_BK, state = detector.step(frame_BCVM, state)
            said.append(logits_BK)
    return torch.stack(said, dim=1), state


def at_once(detector: Continual, x_BCTVM: Tensor) -> Tensor:
    with torch.inference_mode():
        logits_BTK: Tensor = detector(x_BCTVM)
    return logits_BTK


@settings(max_examples=12, deadline=None)
@given(
    frames=st.integers(1, 60),
    reach=st.sampled_from([2, 3, 8]),
    layers=st.integers(1, 3),
    seed=st.integers(0, 1000),
    gaps=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(0, 1)), max_size=4),
)
def test_a_frame_at_a_time_says_what_the_whole_sequence_says(
    frames: int, reach: int, layers: int, seed: int, gaps: list[tuple[int, int, int]]
) -> None:
    x = people(frames, seed, batch=2)
    for first, length, slot in gaps:
        x[0, :, first : first + length, :, slot] = 0
    said, _ = one_by_one(model(reach, layers), x)
    torch.testing.assert_close(said, at_once(model(reach, layers), x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_it_still_does_after_hundreds_of_frames() -> None:
    x = people(700, 3)
    x[:, :, 200:340, :, 0] = 0
    detector = model(reach=64)
    said, _ = one_by_one(detector, x)
    torch.testing.assert_close(said, at_once(detector, x), atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(frame=st.integers(0, 39), seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3]))
def test_no_frame_hears_of_a_later_one(frame: int, seed: int, scale: float) -> None:
    x = people(40, seed)
    other = x.clone()
    other[:, :, frame + 1 :] = scale * torch.randn(1, 3, 39 - frame, 25, 2)
    assert torch.equal(at_once(model(), x)[:, : frame + 1], at_once(model(), other)[:, : frame + 1])


def test_the_network_forgets_what_lies_beyond_its_receptive_field_and_not_before() -> None:
    detector = model(reach=4, layers=2)
    assert detector.receptive_field == 1 + 2 * 3 * 3
    prepared = people(60, 1).requires_grad_()
    detector.features(prepared)[0, 50].sum().backward()  # type: ignore[no-untyped-call]
    assert prepared.grad is not None
    reached = prepared.grad.abs().sum(dim=(0, 1, 3, 4)).nonzero().flatten()
    assert (int(reached.min()), int(reached.max())) == (51 - detector.receptive_field, 50)


def test_where_a_sequence_began_is_forgotten() -> None:
    """What windows cannot have: the same frames, looked at from two beginnings, end in the same answer."""
    x = people(400, 2)
    early, late = at_once(model(), x), at_once(model(), x[:, :, 100:])
    assert (early[:, 100] - late[:, 0]).abs().max() > 1e-2
    torch.testing.assert_close(early[:, -50:], late[:, -50:], atol=1e-4, rtol=1e-4)


def test_the_state_stays_as_large_as_it_was() -> None:
    _, after = one_by_one(model(), people(50, 0))
    shapes = [[tuple(v.shape) for v in _flat(state)] for state in (model().start(1), after)]
    assert shapes[0] == shapes[1]
    assert after.tick_B.item() == 50


def test_a_stream_that_is_restarted_knows_nothing_of_before_and_leaves_the_others_alone() -> None:
    x = people(30, 5, batch=2)
    whole, _ = one_by_one(model(), x)
    _, state = one_by_one(model(), x[:, :, :20])
    state = restarted(state, torch.tensor([True, False]))
    said = []
    for frame in x[:, :, 20:].unbind(dim=2):
        logits, state = model().step(frame, state)
        said.append(logits)
    again = torch.stack(said, dim=1)
    torch.testing.assert_close(again[0], one_by_one(model(), x[:1, :, 20:])[0][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again[1], whole[1, 20:], atol=1e-5, rtol=1e-5)
    assert (again[0, 0] - whole[0, 20]).abs().max() > 1e-3


def test_the_running_means_are_those_of_the_definition() -> None:
    """Computed anew in numpy, frame by frame, from weights that halve with age."""
    x, memory = people(30, 4), 7.0
    x[:, :, 10:18, :, 0] = 0
    prepared, _ = running_facing(x, Means.none(1), memory)
    a = x[0].numpy().astype(np.float64)
    for t in range(30):
        weights = np.array([np.exp(-(t - s) / memory) if a[:, s, :, 0].any() else 0.0 for s in range(t + 1)])
        weights /= weights.sum()
        at = {name: a[:, : t + 1, NTU25.index(name), 0] for name in NTU25.joints}
        origin = at["SpineBase"] @ weights
        torso = np.clip(np.linalg.norm(at["SpineShoulder"] - at["SpineBase"], axis=0) @ weights, 0.15, 1.0)
        across = sum(at[f"{part}Left"] - at[f"{part}Right"] for part in ("Shoulder", "Hip")) @ weights
        angle = np.arctan2(across[2], across[0])
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        for slot in (0, 1):
            expected = np.einsum("ij,jv->iv", turn, (a[:, t, :, slot] - origin[:, None]) * 0.5 / torso)
            if not a[:, t, :, slot].any():
                expected[:] = 0
            np.testing.assert_allclose(prepared[0, :, t, :, slot].numpy(), expected, atol=1e-4)


def test_of_a_long_memory_the_running_means_end_as_those_of_a_window() -> None:
    x = people(64, 6)
    slow, _ = running_facing(x, Means.none(1), 1e6)
    torch.testing.assert_close(slow[:, :, -1], facing(x)[:, :, -1], atol=1e-3, rtol=1e-3)


def test_the_absent_stay_zero_and_nobody_is_no_number() -> None:
    x = people(40, 7)
    x[:, :, :10] = 0
    x[..., 1] = 0
    prepared, _ = running_facing(x, Means.none(1), 10)
    assert not prepared[:, :, :10].any() and not prepared[..., 1].any()
    assert torch.isfinite(at_once(model(), torch.zeros(1, 3, 9, 25, 2))).all()
    # Away for far longer than the memory: whoever comes back is looked at as somebody new.
    _, means = running_facing(torch.cat((people(5, 0), torch.zeros(1, 3, 3000, 25, 2)), dim=2), Means.none(1), 10)
    later = people(1, 8) + 4
    torch.testing.assert_close(
        running_facing(later, means, 10)[0], running_facing(later, Means.none(1), 10)[0], atol=1e-5, rtol=1e-5
    )


def test_it_begins_with_what_the_windowed_detector_has_learnt() -> None:
    torch.manual_seed(0)
    windowed = Detector(Detector.Config(encoder=DSTE.Config(hidden=16), classes=CLASSES, normalisation="facing")).eval()
    with torch.no_grad():
        for parameter in windowed.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    begun = begun_as(windowed, ContinualConfig(classes=CLASSES, hidden=16)).eval()
    joints = torch.randn(1, 3, 1, 25, 2)
    flat = joints[0, :, 0].permute(2, 1, 0).flatten()
    torch.testing.assert_close(begun.embedding(flat), windowed.encoder.t_embedding(flat))
    # Merged attention is the attention it was merged from: all tokens, no positions, no bias for a lag.
    theirs, mine = windowed.encoder.t_layers[0], begun.layers[0]
    assert isinstance(theirs, WindowedLayer)
    tokens = torch.randn(1, 9, 16)
    score = 16**-0.5 * mine.query(tokens) @ tokens.transpose(1, 2)  # type: ignore[operator]
    merged = mine.out(score.softmax(-1) @ tokens)  # type: ignore[operator]
    torch.testing.assert_close(merged, theirs.attention(tokens), atol=1e-5, rtol=1e-5)
    weight = theirs.dsa.mix1.weight.detach()
    mean_of_lag_3 = np.mean([weight[i, i - 3].item() for i in range(3, 64)])
    assert mine.taps_2W[0, 3].item() == pytest.approx(mean_of_lag_3, abs=1e-6)  # type: ignore[index]
    assert torch.equal(begun.head.weight, windowed.head.weight[:, :16])


def test_a_start_that_does_not_fit_is_refused() -> None:
    windowed = Detector(Detector.Config(encoder=DSTE.Config(hidden=16), classes=CLASSES, normalisation="facing"))
    with pytest.raises(ValueError, match="hidden width is 16"):
        begun_as(windowed, ContinualConfig(classes=CLASSES, hidden=32))
    with pytest.raises(ValueError, match="classes are others"):
        begun_as(windowed, ContinualConfig(classes=("background", "run"), hidden=16))
    with pytest.raises(ValueError, match=r"\(B, 3, T, 25, 2\)"):
        model()(torch.zeros(1, 3, 5, 17, 2))
    with pytest.raises(ValueError, match="memory"):
        ContinualConfig(classes=CLASSES, memory=0)


@pytest.mark.slow
def test_openvino_says_the_same_a_frame_at_a_time() -> None:
    """Over several turns of the rings, for streams of which one begins with nobody."""
    x = people(40, 9, batch=3)
    x[1, :, :12] = 0
    engine = ContinualEngine(model(), 3)
    said = np.stack([engine.step(frame.numpy().copy()) for frame in x.unbind(dim=2)], axis=1)
    expected = at_once(model(), x).numpy()
    np.testing.assert_allclose(said, expected, atol=5e-2 * max(1.0, float(np.abs(expected).max())))  # bf16 on some CPUs
    with pytest.raises(ValueError, match=r"float32 frames \(3, 3, 25, 2\)"):
        engine.step(np.zeros((2, 3, 25, 2), np.float32))


def test_a_step_is_what_was_seen_and_remembered() -> None:
    frame, state = people(1, 0)[:, :, 0], model().start(1)
    logits, after = model().step(frame, state)
    seen_logits, seen = model().see(frame, state)
    assert torch.equal(logits, seen_logits)
    assert all(torch.equal(a, b) for a, b in zip(_flat(after), _flat(remember(state, seen)), strict=True))


def _flat(state: State) -> list[Tensor]:
    return [state.tick_B, *state.means, *(values for rings in state.layers for values in rings)]
