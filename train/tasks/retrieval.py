"""Retrieval: the class of a test clip is that of the training clips whose representations point the same way.

Source: arXiv 2508.12586: 1-nearest neighbour on L2-normalised representations, frozen encoder, whole clips.
Shapes: N gallery clip, Q query clip, F feature, K class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..clips import Clips
from ..pretrained import Pretrained
from ..run_folder import RunFolder
from .features import whole_features
from .scores import measured
from .task import Results, Say, finished, settings, shared_classes

_BATCH = 1024  # queries at a time: their similarities to the whole gallery are in memory


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """`neighbours`: for each number k, the majority of the k nearest; 1 is the paper's."""

    neighbours: tuple[int, ...] = (1, 5)

    def __post_init__(self) -> None:
        if not self.neighbours or min(self.neighbours) < 1:
            raise ValueError(f"neighbours are {self.neighbours}; name at least one number, each at least 1")


def retrieval(pretrained: Pretrained, train: Clips, test: Clips, config: Retrieval, out: Path, say: Say) -> Results:
    """For each k, under "k=1" and so on, top-1 and confusion; the gallery is `train`, the queries are `test`.

    Raises ValueError if the gallery holds fewer clips than k.
    """
    classes = shared_classes(train, test)
    with RunFolder(out, settings("retrieval", pretrained, train, test, config)) as folder:
        if (before := finished(out)) is not None:
            return before
        gallery_NF, query_QF = whole_features(pretrained, train), whole_features(pretrained, test)
        labels_N = torch.from_numpy(train.labels)
        results: Results = {}
        for k in config.neighbours:
            votes_QK = neighbour_votes(gallery_NF, labels_N, query_QF, k, len(classes))
            results[f"k={k}"] = measured(votes_QK.numpy(), test.labels, classes)
            results[f"k={k}"].pop("top5", None)  # a handful of votes does not rank five classes
            say(f"retrieval: top-1 {results[f'k={k}']['top1']:.3f} with {k} neighbours")
        folder.finish(results)
    return results


def neighbour_votes(gallery_NF: Tensor, labels_N: Tensor, query_QF: Tensor, k: int, classes: int) -> Tensor:
    """How many of the k most similar clips (cosine) are of each class, (Q, K).

    A class gets up to half a vote more or less by the similarity of those that voted for it, which decides ties.
    """
    if k > len(gallery_NF):
        raise ValueError(f"{k} neighbours asked of {len(gallery_NF)} training clips; ask for fewer")
    gallery_NF = F.normalize(gallery_NF, dim=1)
    votes = []
    for start in range(0, len(query_QF), _BATCH):
        similarity_QN = F.normalize(query_QF[start : start + _BATCH], dim=1) @ gallery_NF.T
        near_Qk, index_Qk = similarity_QN.topk(k, dim=1)
        vote_Qk = 1 + near_Qk.clamp(-1, 1) / (2 * k)
        votes.append(torch.zeros(len(near_Qk), classes).scatter_add_(1, labels_N[index_Qk], vote_Qk))
    return torch.cat(votes)
