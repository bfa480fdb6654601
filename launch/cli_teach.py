"""`skelstream teach`: show an action five times, and it is detected from then on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..stream.settings import Settings
from ..stream.wire import Teach, replaced
from .cli_stages import Camera, PoseModel, meeting_place


def teach(
    name: Positional[str] = "",
    *,
    shots: int = 5,
    at: str = "",
    camera: Camera = "",
    from_: Annotated[tuple[str, ...], arg(name="from")] = (),
    track: int | None = None,
    forget: bool = False,
    rename: str = "",
    show: Annotated[bool, arg(name="list")] = False,
    model: str = "small",
    pose: PoseModel = "lite",
    threads: int = 1,
    taught: str = "",
) -> int:
    """Teach a new action: stand still before the camera, show it, stand still, and so on. Or forget or rename one.

    Args:
        name: of the action.
        shots: how often it is shown.
        at: the folder of a pipeline that runs (`skelstream live --at`); the default is where single stages meet.
        camera: a camera of a pipeline of its own, where none runs; of one that runs, which of its cameras.
        from_: learn it from clips instead, in each of which it is shown once: videos, or skeletons:FILE.npz:CLIP.
        track: the person who shows it, by number; the default is whoever is nearest.
        forget: forget this action.
        rename: call this action otherwise.
        show: what has been taught.
        threads: CPU threads for learning.
        taught: the folder of taught actions; the default is the user's own.
    """
    from . import teach as lessons

    settings = Settings(folder=at, camera=camera or "0", model=model, pose=pose, threads=threads, taught=taught)
    folder = settings.taught_folder
    asked = [bool(from_), forget, bool(rename), show]
    if sum(asked) > 1 or (not name and not show):
        raise ValueError("name the action, and one of --from, --forget, --rename or --list; `skelstream teach --help`")
    if show:
        return lessons.show_taught(folder)
    if forget:
        return lessons.forget(name, folder)
    if rename:
        return lessons.rename(name, rename, model, folder)
    if from_:
        from .teach_clips import teach_from

        return teach_from(name, from_, settings)
    meets = Path(at or meeting_place())
    try:
        wish = Teach(at=time.time(), op="begin", action=name, camera=camera, track=track, shots=shots)
    except ValueError as error:
        raise ValueError(f"{error}; see `skelstream teach --help`") from None
    if at or (meets / "bus-in").exists():
        return lessons.teach_here(wish, meets)
    return lessons.teach_with_camera(replaced(wish, camera=""), replace(settings, folder=""))


def anchors(model: Positional[str], *, stores: list[Path]) -> int:
    """What a model's training people look like to its encoder, written beside it: without it nothing can be taught.

    Args:
        model: a bundle's folder, or a shipped bundle's name.
        stores: those that it was trained on.
    """
    from .anchors import make_anchors

    return make_anchors(model, stores)


COMMANDS: dict[str, Callable[..., int]] = {"teach": teach, "anchors": anchors}
