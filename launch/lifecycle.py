"""The life of a stage: what may follow what, when it is started again, and when it is given up. Pure: no processes.

STOPPED -> STARTING -> READY -> STOPPING -> STOPPED       a clean run
           STARTING, READY -> WAITING -> STARTING          it died, or hung and was killed: again, after a while
           STARTING, READY -> FAILED                       what it was asked to do is wrong, or it dies too often
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto


class Phase(Enum):
    """Where in its life a stage is."""

    STOPPED = auto()
    STARTING = auto()
    READY = auto()
    WAITING = auto()  # for its next start
    STOPPING = auto()
    FAILED = auto()


_NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.STOPPED: frozenset({Phase.STARTING}),
    Phase.STARTING: frozenset({Phase.READY, Phase.WAITING, Phase.FAILED, Phase.STOPPING, Phase.STOPPED}),
    Phase.READY: frozenset({Phase.WAITING, Phase.FAILED, Phase.STOPPING, Phase.STOPPED}),
    Phase.WAITING: frozenset({Phase.STARTING, Phase.STOPPED}),
    Phase.STOPPING: frozenset({Phase.STOPPED}),
    Phase.FAILED: frozenset(),
}

# How a stage's process ends: well, because its settings are wrong, or because only a new process helps (a camera's
# driver that hangs); anything else is a crash.
ENDED_WELL, WRONG_REQUEST, AGAIN = 0, 2, 75

MOST_RESTARTS, WITHIN_S = 5, 60.0
_FIRST_WAIT_S = 0.5  # after the second crash within the minute; each further one doubles it


@dataclass
class Lifecycle:
    """One stage's. Times are seconds on any clock that only grows."""

    phase: Phase = Phase.STOPPED
    due: float = 0.0  # when it is to be started again
    restarts: int = 0  # in all
    _crashes: deque[float] = field(default_factory=deque)
    _was_ready: bool = False

    def to(self, phase: Phase) -> None:
        """Go on to this phase, which must be allowed to follow."""
        assert phase in _NEXT[self.phase], f"{self.phase.name} -> {phase.name}"
        self.phase = phase
        self._was_ready |= phase is Phase.READY

    def start(self) -> None:
        self.restarts += int(self.phase is Phase.WAITING)
        self.to(Phase.STARTING)

    def ended(self, code: int, now: float) -> None:
        """Its process has ended with this code (negative: by a signal)."""
        if self.phase is Phase.STOPPING or code == ENDED_WELL:
            self.to(Phase.STOPPED)
        elif code == AGAIN:
            self.due = now
            self.to(Phase.WAITING)
        elif code == WRONG_REQUEST and not self._was_ready:  # what has worked once was no wrong request
            self.to(Phase.FAILED)
        else:
            self._crashed(now)

    def _crashed(self, now: float) -> None:
        while self._crashes and now - self._crashes[0] >= WITHIN_S:
            self._crashes.popleft()
        if len(self._crashes) >= MOST_RESTARTS:
            self.to(Phase.FAILED)
            return
        # The first is started again at once: most crashes are alone.
        self.due = now + (_FIRST_WAIT_S * 2 ** (len(self._crashes) - 1) if self._crashes else 0.0)
        self._crashes.append(now)
        self.to(Phase.WAITING)
