"""`skelstream train detect`: train, fit the decoder on the validation people, and write the bundle."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..encoder.bundle import Bundle
from ..encoder.engine.compile import compile_engine
from ..encoder.export import save_bundle
from ..train.detect import Trained, Training, train_detector
from ..train.pretrained import Pretrained
from ..train.splits import CONTINUOUS
from ..train.store import Store
from ..train.streams import streams_of
from .fit import fit_decoder
from .offline import score_windows
from .real_windows import real_windows
from .said import say

_DELAY = 8  # frames (0.27 s): what a decision waits for; more is surer, and later
_FIT_HOP = 4  # `live` has 1, which would cost four times the time
_CALIBRATING = 384  # windows


def train_and_bundle(stores: Sequence[Path], out: Path, training: Training, start: Pretrained | None = None) -> int:
    """Train into the folder `out` and write the bundle `out`/bundle. Raises ValueError for stores that are none."""
    opened = [Store(path) for path in stores]
    write_bundle(train_detector(opened, out, training, say, start), opened, out)
    return 0


def write_bundle(trained: Trained, stores: Sequence[Store], out: Path) -> Bundle:
    """The bundle `out`/bundle of a trained detector, its decoder fitted on the validation people of the stores."""
    provenance = {**trained.provenance, "made": datetime.date.today().isoformat()}
    # The decoder is fitted to the scores of the engine that will run: so a bundle comes first, and is written anew.
    with tempfile.TemporaryDirectory() as scratch:
        unfitted = save_bundle(trained.detector, Path(scratch) / "bundle")
        engine = compile_engine(unfitted, threads=2)
        # A store that is given twice counts twice in training, and once here.
        continuous = {store.path: store for store in stores if store.dataset in CONTINUOUS}.values()
        validation = [score_windows(engine, stream, _FIT_HOP) for stream in streams_of(continuous, ("val",))]
        engine.close()
        decode = fit_decoder(validation, unfitted.config, _DELAY) if validation else unfitted.config.decode
    real = real_windows(stores, ("train", "val"), _CALIBRATING)
    bundle = save_bundle(
        trained.detector, out / "bundle", decode=decode, provenance=provenance, windows_WCTVM=real, say=say
    )
    say(f"{bundle.directory}: decode {asdict(decode)}")
    return Bundle.load(str(bundle.directory))
