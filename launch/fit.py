"""`skelstream fit`: how a bundle's scores are decoded, fitted on streams of the validation people.

    skelstream fit small --stores stores/utkinect stores/actor --delay 4 --out runs/fitted

The detector stays as it is. First the temperature, then what all classes share, by coordinate ascent on `Quality`; a
class gets values of its own only where it gains clearly, and only half as far: there are few validation people.

Shapes: N frame, W look, L tick of a look, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from ..encoder.bundle import Bundle, BundleConfig, DecodeParameters, of_class
from ..encoder.clock import HZ
from ..encoder.engine.compile import compile_engine
from ..stream.decode import Looks
from ..stream.wire import UNKNOWN
from ..train.calibration import expected_calibration_error, fit_temperature
from ..train.metrics import Segment, known_part, segment_f1, segments
from ..train.online import SaidEvent, false_events, times_to_detection
from ..train.splits import CONTINUOUS
from ..train.store import Store
from ..train.streams import streams_of
from ..train.vocabulary import IGNORE
from .offline import Windowed, events_in, looks_of, score_windows
from .said import say

MIN_EVIDENCE = 0.3  # of the last second's joints: head and arms alone are less, a whole body just come into view more
_KNOWN_CALLED_UNKNOWN = 0.005  # the share of validation time with known labels that the energy may call unknown
_GAIN, _CLASS_GAIN = 0.003, 0.006  # what a change must gain in quality, for all classes and for one alone
_SWEEPS = 2

# Where the ascent begins, and what it tries; `leave` is in shares of `enter`.
_START = DecodeParameters(enter=0.5, leave=0.3, belief=3.0, doubt=1.0, min_frames=1, min_evidence=MIN_EVIDENCE)
_TRIED: dict[str, tuple[float, ...]] = {
    "belief": (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.0, 9.0, 12.0),
    "enter": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "leave": (0.4, 0.6, 0.8, 1.0),
    "doubt": (0.0, 0.5, 1.0, 2.0, 3.0),
    "min_frames": (1, 4, 8, 12),
    "boundary": (0, 2, 4, 6),
}


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What fitting maximises on the validation streams: `value`.

    Event F1 at IoU 0.5 over all of them, less 0.3 for each second that the mean action is said later than 0.3 s after
    its true start (of those said at all, none counting more than 2 s), less 0.05 for 100 false events an hour, less
    0.002 for each change of the label a minute beyond the truth's own.
    """

    event_f1: float
    late_s: float
    false_per_hour: float
    needless_switches_per_minute: float

    @property
    def value(self) -> float:
        prices = 0.3 * self.late_s + 0.0005 * self.false_per_hour + 0.002 * self.needless_switches_per_minute
        return self.event_f1 - prices

    @classmethod
    def of(cls, said: Sequence[Sequence[SaidEvent]], truths: Sequence[NDArray[np.int64]]) -> Quality:
        """Of the events of actions of every stream, and its true labels (T,)."""
        done = [[Segment(s.label, s.start / HZ, s.end / HZ) for s in segments(truth)] for truth in truths]
        times_s = [t for events, acts in zip(said, done, strict=True) for t in times_to_detection(events, acts)]
        late_s = [min(max(t - 0.3, 0.0), 2.0) for t in times_s if np.isfinite(t)]
        kept = [known_part(events, truth, HZ) for events, truth in zip(said, truths, strict=True)]
        hours = sum(int((truth != IGNORE).sum()) for truth in truths) / HZ / 3600
        false = sum(false_events(events, truth, HZ) for events, truth in zip(said, truths, strict=True))
        switches, needed = (sum(_switches(events) for events in streams) for streams in (kept, done))
        return cls(
            event_f1=segment_f1(kept, done, 0.5),
            late_s=sum(late_s) / len(late_s) if late_s else 0.0,
            false_per_hour=false / hours,
            needless_switches_per_minute=max(switches - needed, 0) / (60 * hours),
        )


def _switches(events: Sequence[Segment]) -> int:
    """How often the label changes: twice an event, once where one follows another without a pause."""
    edges = [edge for event in events for edge in (event.start, event.end)]
    return len(set(edges))


def fit_bundle(model: str, stores: Sequence[Path], out: Path | None, delay: int, hop: int, threads: int | None) -> int:
    """Fit a bundle's decoder on the stores' validation people and write the bundle, with all else as it was.

    `out`: None is in place. ValueError if the stores hold no continuous stream of a validation person, or for a delay
    beyond the window.
    """
    bundle = Bundle.load_live(model)
    if not 0 <= delay < bundle.config.frames:
        raise ValueError(f"delay is {delay}; a decision waits for 0 to {bundle.config.frames - 1} frames")
    opened = [store for path in stores if (store := Store(path)).dataset in CONTINUOUS]
    streams = streams_of(opened, ("val",))
    if not streams:
        raise ValueError(
            f"the stores hold no validation people of {', '.join(CONTINUOUS)}; prepare one of these sets, or draw it"
        )
    engine = compile_engine(bundle, threads=threads)
    shown = progress(streams, description="scoring", console=Console(stderr=True))
    windowed = [score_windows(engine, stream, hop) for stream in shown]
    engine.close()
    before = replace(bundle.config.decode, delay=delay)
    fitted = fit_decoder(windowed, bundle.config, delay, say)
    _show(windowed, bundle.config, before, fitted)
    written = with_decoder(bundle, fitted, bundle.directory if out is None else out)
    say(f"{written.directory}: decode {asdict(fitted)}")
    return 0


def with_decoder(bundle: Bundle, decode: DecodeParameters, out: Path) -> Bundle:
    """The same model with another decoder, written whole to `out`. ValueError if something else is there."""
    config = replace(bundle.config, decode=decode)
    weights, graph, reference = bundle.weights.read_bytes(), bundle.graph.read_bytes(), bundle.reference()
    return Bundle.save(out, config, weights=weights, graph=graph, reference=reference)


def fit_decoder(
    windowed: Sequence[Windowed], config: BundleConfig, delay: int, tell: Callable[[str], None] = lambda line: None
) -> DecodeParameters:
    """The parameters with which these streams are decoded best at a given delay; see `Quality`.

    ValueError if somebody does what the model has no class for.
    """
    if max(int(one.stream.labels.max()) for one in windowed) >= len(config.classes):
        raise ValueError(
            f"the streams show classes that this model of {len(config.classes)} does not have; train it anew"
        )
    temperature = _temperature(windowed, delay)
    search = _Search(windowed, len(config.classes), delay, temperature)
    start = replace(_START, delay=delay, temperature=temperature)
    shared = search.shared(start, tell)
    of_classes = search.of_classes(shared, config.classes, tell)
    return replace(of_classes, unknown=search.unknown(of_classes.unknown_frames))


def _temperature(windowed: Sequence[Windowed], delay: int) -> float:
    """Fitted on what each window says of the frame that is `delay` old: what is decided next."""
    logits, truth = [], []
    for one in windowed:
        labels = np.asarray(one.stream.labels, np.int64)
        ticks = one.ends - delay
        known = (ticks >= 0) & (labels[np.maximum(ticks, 0)] != IGNORE)
        logits.append(one.logits_WFK[known, -1 - delay])
        truth.append(labels[ticks[known]])
    return fit_temperature(np.concatenate(logits), np.concatenate(truth))


class _Search:
    """Looks for parameters on fixed streams: all looks back are computed once."""

    def __init__(self, windowed: Sequence[Windowed], classes: int, delay: int, temperature: float) -> None:
        self.classes = classes
        self.looks = [looks_of(one, delay, temperature) for one in windowed]
        self.truths = [np.asarray(one.stream.labels, np.int64) for one in windowed]

    def quality(self, parameters: DecodeParameters) -> Quality:
        said = [
            [event for event in events_in(looks, self.classes, parameters) if event.label != UNKNOWN]
            for looks in self.looks
        ]
        return Quality.of(said, self.truths)

    def shared(self, start: DecodeParameters, tell: Callable[[str], None]) -> DecodeParameters:
        """Coordinate ascent from `start`, every parameter the same for all classes."""
        best, quality = start, self.quality(start)
        for _ in range(_SWEEPS):
            before = best
            for name in _TRIED:
                for candidate in _neighbours(best, name):
                    found = self.quality(candidate)
                    if found.value > quality.value + _GAIN:
                        best, quality = candidate, found
            if best == before:
                break
        tell(f"for all classes: {_told(best)}, quality {quality.value:.3f}")
        return best

    def of_classes(
        self, shared: DecodeParameters, names: Sequence[str], tell: Callable[[str], None]
    ) -> DecodeParameters:
        """Values of their own for classes that gain by them."""
        best, quality = shared, self.quality(shared)
        for k in range(1, self.classes):
            chosen = best
            for candidate in _of_one_class(best, self.classes, k):
                found = self.quality(candidate)
                if found.value > quality.value + _CLASS_GAIN:
                    chosen, quality = candidate, found
            if chosen is not best:
                best = chosen
                tell(f"{names[k]}: enter {of_class(best.enter, k):.2f}, belief {of_class(best.belief, k):.2f}")
        return best

    def unknown(self, frames: int) -> float | None:
        """The energy that the last frames of known movements hardly ever all fall below; None if there are none."""
        highest: list[float] = []
        for looks, truth in zip(self.looks, self.truths, strict=True):
            for w, end in enumerate(looks.end_W.tolist()):
                if end >= frames and (truth[end - frames : end] != IGNORE).all():
                    highest.append(float(looks.energy_WL[w, -frames:].max()))
        return float(np.quantile(highest, _KNOWN_CALLED_UNKNOWN)) if highest else None


def _neighbours(best: DecodeParameters, name: str) -> Iterator[DecodeParameters]:
    """`best` with each of the values that are tried for a parameter."""
    enter, leave = of_class(best.enter, 1), of_class(best.leave, 1)
    for value in _TRIED[name]:
        match name:
            case "belief":
                yield replace(best, belief=value)
            case "enter":
                yield replace(best, enter=value, leave=leave / enter * value)
            case "leave":
                yield replace(best, leave=value * enter)
            case "doubt":
                yield replace(best, doubt=value)
            case "min_frames":
                yield replace(best, min_frames=int(value))
            case _:
                yield replace(best, boundary=int(value))


def _of_one_class(best: DecodeParameters, classes: int, k: int) -> Iterator[DecodeParameters]:
    """`best` with other thresholds for class `k`: half of the way to what is tried."""
    enter, leave, belief = of_class(best.enter, k), of_class(best.leave, k), of_class(best.belief, k)
    for factor in (0.4, 0.6, 1.6, 2.5):
        yield replace(best, belief=_with(best.belief, classes, k, belief * factor**0.5))
    for step in (-0.2, -0.1, 0.1, 0.2):
        moved = min(max(enter + step / 2, 0.05), 0.95)
        yield replace(
            best, enter=_with(best.enter, classes, k, moved), leave=_with(best.leave, classes, k, leave / enter * moved)
        )


def _with(value: float | tuple[float, ...], classes: int, k: int, own: float) -> tuple[float, ...]:
    return tuple(own if i == k else of_class(value, i) for i in range(classes))


def _told(p: DecodeParameters) -> str:
    return (
        f"temperature {p.temperature:.2f}, enter {p.enter}, leave {p.leave:.3g}, belief {p.belief}, doubt {p.doubt}, "
        f"min_frames {p.min_frames}, boundary {p.boundary}"
    )


def decided_probabilities(looks: Looks, frames: int) -> NDArray[np.float32]:
    """What was known of each frame (T, K) when it was decided; zero for frames of before the first look."""
    probabilities_TK = np.zeros((frames, looks.probabilities_WLK.shape[2]), np.float32)
    for first, end, rows_LK in zip(looks.first_W, looks.end_W, looks.probabilities_WLK, strict=True):
        fresh = rows_LK[max(len(rows_LK) - (end - first), 0) :]
        probabilities_TK[end - len(fresh) : end] = fresh
    return probabilities_TK


def _show(
    windowed: Sequence[Windowed], config: BundleConfig, before: DecodeParameters, fitted: DecodeParameters
) -> None:
    """The table of what was and what is, on the validation streams."""
    table = Table(title=f"decoded {fitted.delay} frames late, on the streams that it was fitted on")
    for column in ("", "event F1@0.5", "late (s)", "false an hour", "needless switches a minute", "calibration error"):
        table.add_column(column, justify="right" if column else "left")
    for name, p in (("before", before), ("fitted", fitted)):
        search = _Search(windowed, len(config.classes), p.delay, p.temperature)
        quality = search.quality(p)
        known = [truth != IGNORE for truth in search.truths]
        decided = [decided_probabilities(looks, len(k)) for looks, k in zip(search.looks, known, strict=True)]
        error = expected_calibration_error(
            np.concatenate([rows[k] for rows, k in zip(decided, known, strict=True)]),
            np.concatenate([truth[k] for truth, k in zip(search.truths, known, strict=True)]),
        )
        table.add_row(
            name, f"{100 * quality.event_f1:.1f}", f"{quality.late_s:.2f}", f"{quality.false_per_hour:.0f}",
            f"{quality.needless_switches_per_minute:.1f}", f"{100 * error:.1f}",
        )  # fmt: skip
    Console(width=160).print(table)
