"""`skelstream train pipeline`: from a data set's raw files to a compiled detector, on a cluster or on this machine.

    OUT/store        the prepared data set
    OUT/pretrained   pretraining's run, on all that may be pretrained on
    OUT/detector     the detector's run, on the training people
    OUT/bundle       its best checkpoint as a bundle, with engines for the targets: `skelstream live --model OUT`
    OUT/evaluation   the bundle on the test people, where the set has some
    OUT/engines.json what was compiled where, and what could not be

Called again, a finished store or run is passed over and one that was stopped goes on; what follows is done anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..encoder.bundle import Bundle
from ..encoder.config import DSTEConfig
from ..encoder.engine.target import Target
from ..train.cluster.connect import connected
from ..train.cluster.jobs import DetectorJob, PretrainingJob
from ..train.cluster.on_ray import OnRay
from ..train.cluster.training import train_on_ray
from ..train.datasets import FILES_READERS, READERS
from ..train.detect import DetectorRun, Training, trained
from ..train.pretrain import Pretraining
from ..train.store import Store
from ..train.streams import streams_of
from ..train.vocabulary import DATASETS
from .cli_engines import compile_for
from .evaluate import evaluate_bundle
from .prepare import prepare
from .said import say
from .train import write_bundle

_TEST_HOP = 4  # frames between the windows that are evaluated: live is 1, and says nearly the same


def pipeline(
    dataset: str,
    raw: Path,
    out: Path,
    where: OnRay,
    pretraining: Pretraining,
    training: Training,
    targets: Sequence[str],
) -> int:
    """All of it; 1 if a target was compiled nowhere, after everything else was done.

    Raises ValueError before anything starts for a data set, targets or settings that cannot be.
    """
    name = dataset.replace("-", "_")
    if name not in DATASETS:
        known = ", ".join(sorted(set(DATASETS) & {*READERS, *FILES_READERS, "actor"}))
        raise ValueError(f"the detector's vocabulary has no words for data set {dataset!r}; there are {known}")
    asked = [Target.parse(target) for target in targets]
    pretraining = replace(pretraining, encoder=DSTEConfig.named(training.size))
    out = out.absolute()
    store = out / "store" / name
    with connected("" if where.ray in ("", "local") else where.ray):
        within = replace(where, ray=where.ray or "local")
        if not store.is_dir():
            _announce("prepare")
            prepare(name, raw, store, ray=within.ray)
        _announce("pretrain")
        train_on_ray(PretrainingJob(stores=(store,), config=pretraining), out / "pretrained", within, say)
        _announce("train the detector")
        job = DetectorJob(stores=(store,), config=training, start=str(out / "pretrained"))
        run = train_on_ray(job, out / "detector", within, say)
        assert isinstance(run, DetectorRun)
        write_bundle(trained(run), [Store(store)], out)
        _announce("evaluate")
        if streams_of([Store(store)], ("test",)):
            evaluate_bundle(str(out / "bundle"), [store], out / "evaluation", "test", "auto", _TEST_HOP)
        else:
            say(f"nobody of {name} is kept for tests (train/splits.py): not evaluated")
        _announce("compile")
        code = compile_for(Bundle.load(out / "bundle"), asked)
    say(f"done: skelstream live --model {out}")
    return code


def _announce(part: str) -> None:
    say(f"== {part}")
