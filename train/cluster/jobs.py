"""What is trained on a cluster, in words that travel to its workers: plain settings and the paths of stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .. import detect, pretrain
from ..clips import Clips
from ..detect import DetectorRun, Training, frame_accuracy
from ..loop import TrainingRun
from ..pretrain import Pretraining, PretrainingRun
from ..pretrained import Pretrained, load_pretrained
from ..protocols import protocol_of
from ..splits import may_pretrain
from ..store import Store
from ..streams import streams_of
from ..workers import Workers
from .checkpoints import Better


class Job(Protocol):
    """`metric` names what makes one checkpoint better than another; `stores` are what every node must see."""

    @property
    def metric(self) -> str: ...

    @property
    def better(self) -> Better: ...

    @property
    def stores(self) -> tuple[Path, ...]: ...

    def run(self, workers: Workers) -> TrainingRun:
        """The run, as it begins. Raises ValueError for settings or data that make none."""
        ...

    def settings(self) -> dict[str, Any]:
        """What makes two runs the same run."""
        ...

    def measure(self, run: TrainingRun, losses: list[float]) -> float:
        """The metric of a run as it is now, its steps since the last checkpoint having had these losses."""
        ...


@dataclass(frozen=True, kw_only=True)
class PretrainingJob:
    """Pretraining on the training part of a protocol, or, without one, on all that `may_pretrain` allows."""

    stores: tuple[Path, ...]
    config: Pretraining
    protocol: str = ""
    start: str = ""
    metric: ClassVar[str] = "loss"
    better: ClassVar[Better] = "lower"

    def run(self, workers: Workers) -> PretrainingRun:
        """The run, as it begins."""
        return PretrainingRun(self._clips(), self.config, self._start(), workers=workers)

    def settings(self) -> dict[str, Any]:
        """What makes two runs the same run."""
        return pretrain.run_settings(self._clips(), self.config, self._start())

    def measure(self, run: TrainingRun, losses: list[float]) -> float:
        """The mean loss since the last checkpoint."""
        return sum(losses) / len(losses)

    def _clips(self) -> Clips:
        opened = [Store(path) for path in self.stores]
        if not self.protocol:
            return Clips(opened, may_pretrain)
        return Clips(opened, protocol_of(opened, self.protocol).train)

    def _start(self) -> Pretrained | None:
        return load_pretrained(self.start) if self.start else None


@dataclass(frozen=True, kw_only=True)
class DetectorJob:
    """A detector of the shipped vocabulary, trained on the training people of the stores."""

    stores: tuple[Path, ...]
    config: Training
    start: str = ""
    metric: ClassVar[str] = "frame accuracy on the validation people"
    better: ClassVar[Better] = "higher"

    def run(self, workers: Workers) -> DetectorRun:
        """The run, as it begins."""
        return DetectorRun(self._stores(), self.config, self._start(), workers=workers)

    def settings(self) -> dict[str, Any]:
        """What makes two runs the same run."""
        return detect.run_settings(self._stores(), self.config, self._start())

    def measure(self, run: TrainingRun, losses: list[float]) -> float:
        """The share of the validation people's frames that are right; 0 where there are none such people."""
        assert isinstance(run, DetectorRun)
        averaged = run.averaged().to(run.device)
        return frame_accuracy(averaged, streams_of(run.stores, ("val",)), precision=self.config.precision)

    def _stores(self) -> list[Store]:
        return [Store(path) for path in self.stores]

    def _start(self) -> Pretrained | None:
        return load_pretrained(self.start) if self.start else None
