"""`skelstream bench robot`: how soon a robot moves after a person has, and how often for nothing.

The whole pipeline runs in its own processes on the drawn actor, whose script says when each action begins to be seen;
the robot says when it first moved. Both by the same measure: a joint is not where it was.
"""

from __future__ import annotations

import json
import tempfile
import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..stream.actor import Script, Segment
from ..stream.robot.policy import ANYTHING, InteractionPolicy
from ..stream.robot.stage import policy_of
from ..stream.settings import Settings
from ..stream.wire import RobotState, Subscriber, Tracks
from ..train.whole_file import write_whole
from .live import Live, run_live
from .processor import processor

_FPS = 30
_MOVES_M = 0.02  # a joint of the actor's that is so far from where it was is seen to have moved: 3 pixels here
_AFTER_S = 0.5  # an answer may come when the action has just ended


@dataclass(frozen=True)
class Motion:
    """The robot begins something: `asked_at` and `moved_at` in Unix seconds, or None if it never moved for it."""

    behaviours: tuple[str, ...]
    because: str
    asked_at: float
    moved_at: float | None


@dataclass
class _Heard:
    """What the bus tells: when each frame was captured, and what the robot does."""

    captured: list[tuple[float, float]] = field(default_factory=list)  # t, Unix time
    motions: list[Motion] = field(default_factory=list)
    busy: list[tuple[float, bool]] = field(default_factory=list)  # Unix time, whether it does something

    def hear(self, message: object) -> None:
        if isinstance(message, Tracks):
            self.captured.append((message.t, message.captured_at))
        elif isinstance(message, RobotState):
            self._robot(message)

    def _robot(self, state: RobotState) -> None:
        doing = tuple(state.behaviour.split(", ")) if state.behaviour else ()
        last = self.motions[-1] if self.motions else None
        began = bool(doing) and (not self.busy[-1][1] if self.busy else True)
        if doing and (began or last is None or (last.behaviours, last.because) != (doing, state.because)):
            self.motions.append(Motion(doing, state.because, state.at, None))
        elif doing and last is not None and last.moved_at is None and (state.moved_at or 0) >= last.asked_at - 0.1:
            self.motions[-1] = Motion(doing, last.because, last.asked_at, state.moved_at)
        self.busy.append((state.at, bool(doing)))

    def at(self, t: float) -> float:
        """When the frame of camera time `t` was captured."""
        times, captured = np.array(self.captured).T
        return float(np.interp(t, times, captured))

    def rests(self, at: float) -> bool:
        """Whether the robot does nothing at that moment."""
        i = bisect_left(self.busy, (at, False)) - 1
        return i >= 0 and not self.busy[i][1]


@dataclass(frozen=True)
class Reaction:
    """To one action: ms from the person's first moving frame to the robot's, of whatever it begins (None: it was busy,
    or nothing came) and of the answer to just this (None: no rule has one, or none came)."""

    action: str
    first_ms: float | None
    answer_ms: float | None
    rested: bool
    has_answer: bool


def first_moving(script: Script, segment: Segment) -> float:
    """When, on the camera's clock, a joint has left its place for an action in a frame for the first time."""
    still = script.pose(max(segment.t_start - 2 / _FPS, 0.0))
    frame = int(np.ceil((segment.t_start - 2 / _FPS) * _FPS))
    while frame / _FPS < segment.t_end:
        if np.linalg.norm(script.pose(frame / _FPS) - still, axis=1).max() > _MOVES_M:
            return frame / _FPS
        frame += 1
    return segment.t_start


def reactions(script: Script, policy: InteractionPolicy, heard: _Heard) -> list[Reaction]:
    """To each action of the script of which frames were captured before and after."""
    found = []
    known_s = (heard.captured[0][0] + 1, heard.captured[-1][0]) if heard.captured else (0.0, 0.0)
    for segment in script.segments:
        if not known_s[0] <= segment.t_start < segment.t_end <= known_s[1]:
            continue
        began, ended = heard.at(first_moving(script, segment)), heard.at(segment.t_end) + _AFTER_S
        names = {rule.name for rule in policy.rules if segment.action in rule.when}
        moved = [m for m in heard.motions if m.moved_at is not None and began <= m.moved_at <= ended]
        answers = [m for m in moved if m.because.partition(": ")[2] in names]
        rested = heard.rests(began)
        found.append(
            Reaction(
                segment.action, 1000 * (moved[0].moved_at - began) if moved and rested and moved[0].moved_at else None,
                1000 * (answers[0].moved_at - began) if answers and answers[0].moved_at else None, rested, bool(names),
            )
        )  # fmt: skip
    return found


def needless(script: Script, policy: InteractionPolicy, heard: _Heard) -> list[Motion]:
    """What the robot did for an action that nobody did within a second of it; attending is never needless."""
    rules = {rule.name: rule for rule in policy.rules}
    spans = [(s.action, heard.at(s.t_start) - _AFTER_S, heard.at(s.t_end) + 2 * _AFTER_S) for s in script.segments]
    return [
        motion
        for motion in heard.motions
        if (rule := rules.get(motion.because.partition(": ")[2])) is not None and ANYTHING not in rule.when
        and not any(action in rule.when and a <= motion.asked_at <= b for action, a, b in spans)
    ]  # fmt: skip


def bench_robot(seconds: float, seed: int, width: int, height: int, policy: str, out: Path | None) -> int:
    """Run for `seconds` and print the figures; `out`: also as JSON."""
    with tempfile.TemporaryDirectory(prefix="skelstream-") as folder:
        settings = Settings(
            folder=folder, camera=f"actor:{seed}", width=width, height=height, duration_s=seconds, robot="mujoco",
            policy=policy,
        )  # fmt: skip
        rules = policy_of(settings)
        heard, ended = _Heard(), threading.Event()
        with Subscriber(settings.place.link("bus-out"), (Tracks, RobotState)) as bus:

            def listen() -> None:
                while not ended.is_set():
                    if (message := bus.receive(0.1)) is not None:
                        heard.hear(message)

            listener = threading.Thread(target=listen, name="bench", daemon=True)
            listener.start()
            outcome = run_live(Live(settings=settings, json=True, page=False))
            ended.set()
            listener.join()
    if outcome.code:
        return outcome.code
    script = Script(seed=seed, duration_s=seconds)
    found, idle = reactions(script, rules, heard), needless(script, rules, heard)
    _show(found, idle, heard, seconds)
    if out is not None:
        figures = {"seconds": seconds, "seed": seed, "reactions": [asdict(r) for r in found], "needless": len(idle)}
        write_whole(out, json.dumps(figures, indent=1))
    return 0


def _show(found: list[Reaction], idle: list[Motion], heard: _Heard, seconds: float) -> None:
    console = Console()
    console.print(f"{processor()}; {seconds:.0f} s of the actor, {len(found)} actions, {len(heard.motions)} behaviours")
    table = Table(title="from the person's first moving frame to the robot's, ms")
    for column in ("", "of", "came", "median", "p90", "p10"):
        table.add_column(column, justify="left" if not column else "right")
    rested = [reaction for reaction in found if reaction.rested]
    _row(table, "it moves at all (it was at rest)", [r.first_ms for r in rested])
    answered = [reaction for reaction in found if reaction.has_answer]
    _row(table, "it answers the action", [r.answer_ms for r in answered])
    for action in sorted({reaction.action for reaction in answered}):
        _row(table, f"  {action}", [r.answer_ms for r in answered if r.action == action])
    console.print(table)
    rules = Counter(motion.because.partition(": ")[2] for motion in idle)
    which = ", ".join(f"{name} {count}" for name, count in rules.most_common())
    console.print(f"answers to what nobody did: {len(idle)}, {60 * len(idle) / seconds:.1f} a minute {which}")


def _row(table: Table, name: str, values: list[float | None]) -> None:
    came = [value for value in values if value is not None]
    shown = [f"{np.percentile(came, p):.0f}" if came else "–" for p in (50, 90, 10)]
    table.add_row(name, str(len(values)), str(len(came)), *shown)
