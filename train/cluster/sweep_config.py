"""The settings of a sweep. No Ray in here, so that the command line is made without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ...encoder.config import DSTEConfig
from ..objectives.mgfd import Weights
from ..pretrain import Pretraining
from ..views import Views
from .sweep_space import Parameters, PretrainingSpace, ProbeSpace

Metric = Literal["linear", "neighbour"]


@dataclass(frozen=True, kw_only=True)
class PretrainingSweep:
    """Pretraining's learning rate, loss weights, gap and alpha, by short runs of a small encoder.

    Every trial pretrains `epochs` with batches of `batch`, half a cosine after `warmup` steps, and is probed every
    `probe_every` steps and at the end: `metric` is the validation part's top-1 by the exact linear probe or by the
    nearest neighbour. ASHA (Li et al., MLSys 2020) compares trials after `grace` steps, and after `reduction` times as
    many, and so on: of those that came so far, one in `reduction` goes on.
    """

    space: PretrainingSpace = field(default_factory=PretrainingSpace)
    trials: int = 16
    seed: int = 0
    metric: Metric = "linear"
    hidden: int = 64
    epochs: int = 16
    batch: int = 64
    warmup: int = 20
    yaw_deg: float = 30.0
    probe_every: int = 20
    grace: int = 40
    reduction: int = 3

    def __post_init__(self) -> None:
        if self.trials < 1 or self.probe_every < 1 or self.grace < 1 or self.reduction < 2:
            raise ValueError("a sweep needs trials, probe-every and grace of at least 1, and a reduction of at least 2")

    def pretraining(self, parameters: Parameters, joints: int) -> Pretraining:
        """How a trial pretrains."""
        p: dict[str, Any] = dict(parameters)
        domains = {name: p[name] for name in ("similarity", "cross_correlation", "temporal", "spatial", "instance")}
        return Pretraining(
            encoder=DSTEConfig(hidden=self.hidden, joints=joints, gap=p["gap"], alpha=p["alpha"]),
            views=Views(yaw_deg=self.yaw_deg), weights=Weights(**domains), batch=self.batch, epochs=self.epochs,
            lr=p["lr"], schedule="cosine", warmup=self.warmup, seed=self.seed,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ProbeSweep:
    """A linear probe's solver, and its learning rate or l2, on the features of one frozen encoder.

    The features are those of `skelstream train linear`: of each whole clip and of `crops` random crops of it.
    """

    space: ProbeSpace = field(default_factory=ProbeSpace)
    trials: int = 24
    seed: int = 0
    crops: int = 4

    def __post_init__(self) -> None:
        if self.trials < 1 or self.crops < 0:
            raise ValueError("a sweep needs at least 1 trial, and crops of 0 (whole clips alone) or more")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where trials run, and where they are kept.

    `ray`: "local" for a Ray on this machine, started and stopped here, "auto" or HOST:PORT for a cluster. `storage`: a
    folder or URL (s3://bucket/folder) that every node writes to, instead of OUT; Tune's own state in it is pickled, so
    it must be as trusted as OUT. `gpus_per_trial` may be a fraction; by default 1 if the cluster has any.
    """

    ray: str = "local"
    storage: str = ""
    gpus_per_trial: float | None = None

    @property
    def address(self) -> str:
        """What `connected` takes."""
        return "" if self.ray == "local" else self.ray
