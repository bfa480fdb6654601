"""`--ray`: pretraining and detector training by the workers of a Ray cluster, or of a local one started for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..train.cluster.jobs import DetectorJob, PretrainingJob
from ..train.cluster.on_ray import OnRay
from ..train.cluster.training import train_on_ray
from ..train.detect import DetectorRun, Training, trained
from ..train.pretrain import Pretraining
from ..train.store import Store
from .said import say
from .train import write_bundle


def pretrain_on_ray(
    stores: Sequence[Path], protocol: str, start: str, out: Path, config: Pretraining, where: OnRay
) -> int:
    """Pretrain into the folder `out`, which is then as if it had been done here."""
    job = PretrainingJob(stores=_absolute(stores), config=config, protocol=protocol, start=start)
    train_on_ray(job, out, where, say)
    return 0


def detect_on_ray(stores: Sequence[Path], start: str, out: Path, config: Training, where: OnRay) -> int:
    """Train a detector into the folder `out`, and write the bundle `out`/bundle of the best checkpoint."""
    job = DetectorJob(stores=_absolute(stores), config=config, start=start)
    run = train_on_ray(job, out, where, say)
    assert isinstance(run, DetectorRun)
    write_bundle(trained(run), [Store(path) for path in stores], out)
    return 0


def _absolute(stores: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(store.absolute() for store in stores)  # workers have folders of their own
