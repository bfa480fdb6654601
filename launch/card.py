"""`skelstream card`: a bundle's README.md, its figures, and the pictures of where it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..encoder.bundle import CONFIG, Bundle
from ..encoder.card import CARD, FIGURES, model_card
from ..train.whole_file import write_whole


def write_card(model: str, report: Path | None, failures: bool, videos: tuple[str, ...]) -> int:
    """Write it into the bundle. ValueError if the report is none, or of another model, or a video cannot be read."""
    bundle = Bundle.load(model)
    if report is not None:
        bundle = _with_figures(bundle, report)
    if failures or videos:
        from .failures_picture import draw_failures

        draw_failures(bundle, _truths(videos))
    try:
        write_whole(bundle.directory / CARD, model_card(bundle))
    except OSError as error:
        raise ValueError(f"cannot write {bundle.directory / CARD}: {error.strerror}; give a copy of it") from error
    print(f"{bundle.directory / CARD} is written", file=sys.stderr)
    return 0


def _with_figures(bundle: Bundle, path: Path) -> Bundle:
    """The bundle after the report's figures were put into its config.json."""
    try:
        report: Any = json.loads(path.read_text())
        rows, of, part = report["rows"], report["model"], report["part"]
        told = {name: {key: row[key] for key in FIGURES} for name, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report of `skelstream evaluate` ({error}); give its report.json") from error
    if of not in (bundle.digest, bundle.config.metrics.get("of")):
        raise ValueError(f"{path} is of another model than {bundle.directory}; evaluate this one")
    data: dict[str, Any] = json.loads((bundle.directory / CONFIG).read_text())
    data["metrics"] = {**data["metrics"], "of": of, "part": part, "rows": told}
    write_whole(bundle.directory / CONFIG, json.dumps(data, indent=2, allow_nan=False) + "\n")
    return Bundle.load(bundle.directory)


def _truths(videos: tuple[str, ...]) -> list[tuple[str, str]]:
    """FILE=WHAT, as two words each."""
    pairs = [video.partition("=") for video in videos]
    if wrong := [file for file, _, what in pairs if not what]:
        raise ValueError(f"what is done in {wrong[0]}? give it as {wrong[0]}='what is done in it'")
    return [(file, what) for file, _, what in pairs]
