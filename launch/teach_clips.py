"""`skelstream teach NAME --from CLIP ...`: a new action from clips, in each of which it is shown once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..encoder.bundle import Bundle
from ..encoder.clock import HZ, resample
from ..encoder.engine.compile import fallbacks, first_engine
from ..stream.camera import open_source
from ..stream.lesson import Lesson
from ..stream.pose import PoseEstimator
from ..stream.pose_model import ensure_pose_model
from ..stream.settings import Settings
from ..stream.showing import LONGEST, SCORED, Showing
from ..stream.taught_store import TaughtStore
from ..stream.teaching import Result, Teacher
from ..stream.track import Tracker
from ..stream.wire import Tracks
from .said import say


def teach_from(name: str, clips: Sequence[str], settings: Settings) -> int:
    """Videos, or skeletons:FILE.npz:CLIP. ValueError if one shows nobody, or the action cannot be learnt."""
    bundle = Bundle.load_live(settings.model)
    store = TaughtStore(settings.taught_folder)
    store.check_new(name, bundle.config.classes)
    ensure_pose_model(settings.pose, say=say)
    showings = []
    for clip in clips:
        showings.append(shown_in(clip, settings))
        say(f"{clip}: a movement of {(showings[-1].last - showings[-1].first + 1) / HZ:.1f} s")
    engine = first_engine(
        bundle, fallbacks(settings.engine), threads=settings.threads, frames=SCORED, features=True, say=say
    )  # fmt: skip
    result = Teacher(bundle, engine).learn(name, showings, store.actions)
    engine.close()
    store.keep(result.action)
    say(_told(result))
    return 0


def shown_in(clip: str, settings: Settings) -> Showing:
    """The movement in a clip: that between two rests, or all of one that is short. ValueError if there is none."""
    source = open_source(clip, width=settings.width, height=settings.height)
    if source.live:
        source.close()
        raise ValueError(f"{clip} is a live camera, which never ends; give a file to --from, or teach with --camera")
    lesson, tracker = Lesson("the action", shots=1), Tracker()
    seen: list[Tracks] = []
    try:
        with PoseEstimator(PoseEstimator.Config(variant=settings.pose)) as estimator:
            for frame in source.frames():
                seen.append(tracker.push(estimator.estimate(frame)))
                lesson.push(seen[-1])
    finally:
        source.close()
    if lesson.showings:
        return lesson.showings[0]
    people = [tracks.ids[0] for tracks in seen if tracks.ids]
    if not people:
        raise ValueError(f"nobody is seen in {clip}; give a clip that shows all of one person")
    who = max(set(people), key=people.count)
    there = [tracks for tracks in seen if who in tracks.ids]
    joints = np.stack([tracks.joints[tracks.ids.index(who)] for tracks in there])
    _, ticks = resample(np.array([tracks.t for tracks in there]), joints)
    if len(ticks) > LONGEST:
        raise ValueError(
            f"{clip} shows no movement between two rests, and is longer than {LONGEST / HZ:.0f} s; cut it to the action"
        )
    return Showing(joints_TVC=ticks, first=0, last=len(ticks) - 1)


def _told(result: Result) -> str:
    found = result.learnt.found
    known = "" if found is None else f"; {found:.0%} of its showings are known by the others"
    return f"{result.action.name} was learnt{known}"
