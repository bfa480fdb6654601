"""`skelstream convert`, `card`: what others are given, in the forms that they know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tyro.conf import Positional


def convert(
    recording: Positional[Path],
    out: Positional[Path],
    *,
    model: str = "small",
    media: Path | None = None,
    frames: bool = False,
) -> int:
    """A recording as MCAP (Foxglove), Rerun, ELAN or CSV: by OUT's name, .mcap, .rrd, .eaf or .csv.

    Args:
        recording: a file or folder made by `record` or `live --record`.
        model: the one that decided, for the names of its classes.
        media: with .eaf, the video that the labels are of.
        frames: with .csv, a row for each decided frame and its probabilities, not one for each action.
    """
    from .convert.command import convert as run

    return run(recording, out, model, media, frames)


def card(
    model: Positional[str] = "small", *, report: Path | None = None, failures: bool = False,
    videos: tuple[str, ...] = (),
) -> int:  # fmt: skip
    """A model's card: README.md in its folder, from what its config.json says, for a hub and for people.

    Args:
        report: the report.json of `skelstream evaluate`, of this very model: its figures are put into config.json.
        failures: draw the picture of where it fails anew: drawn people, whose actions are known, and what it says.
        videos: FILE=WHAT, also what it says of these videos, in which people do something that it has no word for.
    """
    from .card import write_card

    return write_card(model, report, failures, videos)


COMMANDS: dict[str, Callable[..., int]] = {"convert": convert, "card": card}
