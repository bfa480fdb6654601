"""What is each part worth? Pretrain without it, probe what is left: CA, DSA, each domain of MG-FD, the modalities.

    skelstream train ablation --stores stores/nw_ucla --protocol xview --out runs/ablation

Every variant is pretrained and probed (exact linear probe and nearest neighbour) in the same way and with the same
seeds; the random encoder is the floor. Meant for comparisons among each other: short runs of a small encoder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..encoder.config import DSTEConfig, STTRConfig
from .clips import Clips
from .objectives.mgfd import Weights
from .pretrain import Pretraining, pretrain
from .pretrained import Pretrained, load_pretrained, random_encoder
from .probes import Exact
from .tasks.linear import LinearProbe, linear_probe
from .tasks.retrieval import Retrieval, retrieval
from .tasks.task import Results, Say
from .views import Views
from .whole_file import whole_file, write_whole


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """`hidden` and what follows are those of every variant's pretraining; each variant runs once a seed."""

    hidden: int = 64
    epochs: int = 8
    batch: int = 64
    lr: float = 3e-3
    yaw_deg: float = 30.0
    seeds: tuple[int, ...] = (0,)
    probe: LinearProbe = field(default_factory=lambda: LinearProbe(solver=Exact(), crops=0))


def ablation(train: Clips, test: Clips, config: Ablation, out: Path, say: Say) -> Results:
    """{variant: {"linear": [top-1 a seed], "neighbour": [...]}}, in results.json, table.md and ablation.png.

    Goes on where it was stopped.
    """
    joints = train.stores[0].frames.shape[2]
    results: Results = {}
    for name, variant in _variants(config, joints):
        found: dict[str, list[float]] = {"linear": [], "neighbour": []}
        for seed in config.seeds:
            folder = out / name.replace(" ", "-").replace(",", "") / str(seed)
            encoder = _encoder(variant, seed, train, folder / "pretrained", say)
            found["linear"].append(linear_probe(encoder, train, test, config.probe, folder / "linear", say)["top1"])
            nearest = retrieval(encoder, train, test, Retrieval(neighbours=(1,)), folder / "neighbour", say)
            found["neighbour"].append(nearest["k=1"]["top1"])
        results[name] = found
        say(f"{name}: linear {np.mean(found['linear']):.3f}, nearest neighbour {np.mean(found['neighbour']):.3f}")
    write_whole(out / "results.json", json.dumps(results, indent=1))
    write_whole(out / "table.md", as_markdown(results))
    draw_ablation(results, out / "ablation.png")
    return results


def as_markdown(results: Results) -> str:
    """Top-1 in per cent, a row a variant, the mean over the seeds."""
    rows = [
        f"| {name} | {100 * np.mean(found['linear']):.1f} | {100 * np.mean(found['neighbour']):.1f} |"
        for name, found in results.items()
    ]
    return "\n".join(["| variant | linear | nearest neighbour |", "|---|---|---|", *rows]) + "\n"


def draw_ablation(results: Results, path: Path) -> None:
    """Bars, a pair a variant, every seed a dot; written whole or not at all."""
    figure = Figure(figsize=(8.0, 0.45 * len(results) + 1.2), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    at = np.arange(len(results))
    for shift, measure, colour in ((-0.2, "linear", "#2b6cb0"), (0.2, "neighbour", "#dd8a3c")):
        values = [100 * np.array(found[measure]) for found in results.values()]
        axes.barh(at + shift, [value.mean() for value in values], height=0.38, color=colour, label=measure)
        for y, value in zip(at + shift, values, strict=True):
            axes.plot(value, np.full(len(value), y), "k.", markersize=3)
            axes.text(value.mean() + 0.5, y, f"{value.mean():.1f}", va="center", fontsize=7)
    axes.set_yticks(at, list(results), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("top-1 on the test clips, %")
    axes.set_xlim(0, 100)
    figure.legend(fontsize=8, loc="outside upper right", ncols=2)
    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png")


def _variants(config: Ablation, joints: int) -> Iterator[tuple[str, Pretraining | DSTEConfig]]:
    """Each variant's pretraining; the random encoder is a config alone."""
    dste = DSTEConfig(hidden=config.hidden, joints=joints)
    whole = Pretraining(
        encoder=dste, views=Views(yaw_deg=config.yaw_deg), epochs=config.epochs, batch=config.batch, lr=config.lr,
        schedule="cosine", warmup=20,
    )  # fmt: skip
    yield "random encoder", dste
    yield "all parts", whole
    yield "CA alone", replace(whole, encoder=replace(dste, alpha=1.0))
    yield "DSA alone", replace(whole, encoder=replace(dste, alpha=0.0))
    yield "plain transformer (STTR)", replace(whole, encoder=STTRConfig(hidden=config.hidden, joints=joints))
    yield "without temporal domain", replace(whole, weights=Weights(temporal=0.0))
    yield "without spatial domain", replace(whole, weights=Weights(spatial=0.0))
    yield "without instance domain", replace(whole, weights=Weights(instance=0.0))
    yield "with cross-correlation", replace(whole, weights=Weights(cross_correlation=1e-3))
    yield (
        "joint, motion and bone in one",
        replace(whole, encoder=replace(dste, multimodal=True), modality="joint+motion+bone"),
    )
    yield "joints not turned to face one way", replace(whole, normalisation="torso")
    if config.yaw_deg:
        yield "the paper's views, no turn", replace(whole, views=Views())


def _encoder(variant: Pretraining | DSTEConfig, seed: int, train: Clips, folder: Path, say: Say) -> Pretrained:
    if isinstance(variant, DSTEConfig):
        return random_encoder(variant, seed)
    if not (folder / "results.json").is_file():
        pretrain(train, folder, replace(variant, seed=seed), say)
    return load_pretrained(str(folder))
