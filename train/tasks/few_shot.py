"""Few-shot recognition: episodes of N classes, each known by K clips, on a frozen encoder.

The clips shown come from `train`, those asked about from `test`: give the same clips twice, or (harder) two views or
two groups of people. That the classes are unseen is up to the pretraining: name with `classes` those left out of it.
Shapes: N way, K shot, Q query, F feature, E episode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..clips import Clips
from ..pretrained import Pretrained
from ..probes import Exact, fit_probe
from ..run_folder import RunFolder
from .features import whole_features
from .task import Results, Say, finished, settings, shared_classes


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """`prototype`: the nearest class mean (Snell et al., 2017), by cosine; `linear`: logistic regression on the shots.

    No `classes` means all of them.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15
    episodes: int = 1000
    method: Literal["prototype", "linear"] = "prototype"
    classes: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ways < 2 or min(self.shots, self.queries) < 1 or self.episodes < 2:
            raise ValueError("few-shot needs at least 2 ways, 1 shot, 1 query and 2 episodes")


def few_shot(pretrained: Pretrained, train: Clips, test: Clips, config: FewShot, out: Path, say: Say) -> Results:
    """The mean accuracy of the episodes and half its 95 % confidence interval.

    A clip shown is not asked about in the same episode. Raises ValueError if fewer than N classes have the clips.
    """
    names = shared_classes(train, test)
    if unknown := sorted(set(config.classes) - set(names)):
        raise ValueError(f"no class {', '.join(unknown)}; there are {', '.join(names)}")
    asked = [names.index(name) for name in config.classes or names]
    with RunFolder(out, settings("few-shot", pretrained, train, test, config)) as folder:
        if (before := finished(out)) is not None:
            return before
        pools = [pool for label in asked if (pool := _pool(train, test, label, config)) is not None]
        if len(pools) < config.ways:
            raise ValueError(
                f"{len(pools)} classes have {config.shots} clips to show and {config.queries} to ask about, "
                f"and {config.ways} are needed; ask for fewer ways, shots or queries"
            )
        shown_NF = F.normalize(whole_features(pretrained, train), dim=1)
        asked_NF = shown_NF if train is test else F.normalize(whole_features(pretrained, test), dim=1)
        hits_E = np.array([_episode(shown_NF, asked_NF, pools, config, episode) for episode in range(config.episodes)])
        results = {
            "accuracy": float(hits_E.mean()),
            "interval95": float(1.96 * hits_E.std(ddof=1) / math.sqrt(config.episodes)),
            "episodes": config.episodes, "classes": len(pools),
        }  # fmt: skip
        folder.finish(results)
    say(f"few-shot: {config.ways}-way {config.shots}-shot {results['accuracy']:.3f} +- {results['interval95']:.3f}")
    return results


@dataclass(frozen=True)
class _Pool:
    """The clips of a class that may be shown, those that may be asked about, and the index of each shown clip there.

    The latter is -1 for a clip of `train` that `test` does not hold.
    """

    shown: np.ndarray
    asked: np.ndarray
    same: np.ndarray


def _pool(train: Clips, test: Clips, label: int, config: FewShot) -> _Pool | None:
    shown, asked = np.flatnonzero(train.labels == label), np.flatnonzero(test.labels == label)
    at = {_place(test, int(i)): i for i in asked}
    same = np.array([at.get(_place(train, int(i)), -1) for i in shown], np.int64)
    needed = config.queries + (config.shots if (same >= 0).any() else 0)
    return _Pool(shown, asked, same) if len(shown) >= config.shots and len(asked) >= needed else None


def _place(clips: Clips, index: int) -> tuple[Path, int]:
    clip = clips.clips[index]
    return clips.stores[clip.store].path.resolve(), clip.start


def _episode(shown_NF: Tensor, asked_NF: Tensor, pools: list[_Pool], config: FewShot, episode: int) -> float:
    """The share of queries right in one episode, drawn by the seed and its number."""
    rng = np.random.default_rng((config.seed, episode))
    support, query = [], []
    for way in rng.choice(len(pools), config.ways, replace=False):
        pool = pools[way]
        shots = rng.choice(len(pool.shown), config.shots, replace=False)
        support.append(pool.shown[shots])
        query.append(rng.choice(np.setdiff1d(pool.asked, pool.same[shots]), config.queries, replace=False))
    support_NKF, query_QF = shown_NF[np.stack(support)], asked_NF[np.concatenate(query)]
    truth_Q = torch.arange(config.ways).repeat_interleave(config.queries)
    if config.method == "prototype":
        score_QN = query_QF @ F.normalize(support_NKF.mean(dim=1), dim=1).T
    else:
        shots_N = torch.arange(config.ways).repeat_interleave(config.shots)
        score_QN = fit_probe(support_NKF.flatten(0, 1)[None], shots_N, config.ways, Exact())(query_QF)
    return float((score_QN.argmax(dim=1) == truth_Q).float().mean())
