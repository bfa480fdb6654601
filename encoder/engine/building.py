"""A build that takes minutes: a bar that tells how far it is, and Ctrl-C that stops it.

    with progress_bar("TensorRT fp16") as progress:
        plan = stoppable(lambda stop: compile_it(progress, stop))

The compiler is native code. It tells of its phases, which nest: each has a number of steps, and a phase within it fills
the step that its parent is at.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ..stopping import Stop

R = TypeVar("R")


def stoppable(work: Callable[[threading.Event], R]) -> R:
    """Do the work, which looks at the event and ends early once it is set. Ctrl-C sets it, and becomes a
    KeyboardInterrupt when the work has ended. The handler that SIGINT had is back afterwards.

    The work runs on a thread of its own: Python hears a signal between two of its own instructions on the main thread
    alone, and that one would be inside the compiler. Off the main thread no signal can be caught, and the work simply
    runs there.
    """
    stop = Stop()
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous in (None, signal.SIG_IGN):
        return work(stop)

    def interrupted(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, interrupted)
    try:
        with ThreadPoolExecutor(1, "compiler") as pool:
            future = pool.submit(work, stop)
            while not wait([future], timeout=0.1).done:  # a wait without an end hears no signal on Windows
                pass
    finally:
        signal.signal(signal.SIGINT, previous)
    if stop.is_set():
        raise KeyboardInterrupt
    return future.result()


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class BuildProgress:
    """How far a build is, from 0 to 1, by the phases that it tells of. Any thread may tell; it never goes back.

    `show` is called with that and the innermost phase's name.
    """

    def __init__(self, show: Callable[[float, str], None] = lambda fraction, phase: None) -> None:
        self.fraction = 0.0
        self._show = show
        self._phases: dict[str, _Phase] = {}  # in the order they began; those that are over are not in it
        self._lock = threading.Lock()

    def begin(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps begins, within another or (None) by itself: then the count starts anew."""
        with self._lock:
            if parent is None:
                self.fraction = 0.0
            self._phases[name] = _Phase(parent, steps)
            self._tell()

    def step(self, name: str, step: int) -> None:
        """Step `step`, counted from 0, of that phase is done."""
        with self._lock:
            if name in self._phases:
                phase = self._phases[name]
                phase.done = max(phase.done, step + 1)
            self._tell()

    def end(self, name: str) -> None:
        """The phase is over, all of its steps done or not."""
        with self._lock:
            phase = self._phases.pop(name, None)
            if phase is not None and phase.parent is None:
                self.fraction = 1.0
            self._tell()

    def _tell(self) -> None:
        roots = [name for name, phase in self._phases.items() if phase.parent is None]
        if roots:
            self.fraction = max(self.fraction, self._part(roots[-1], frozenset()))
        self._show(self.fraction, next(reversed(self._phases), ""))

    def _part(self, name: str, above: frozenset[str]) -> float:
        """How much of one phase is done: its steps, and of the step it is at what its furthest child has done."""
        phase = self._phases[name]
        above |= {name}  # no phase lies within itself, whatever is told
        children = [child for child, its in self._phases.items() if its.parent == name and child not in above]
        within = max((self._part(child, above) for child in children), default=0.0)
        return min(1.0, (phase.done + within) / max(1, phase.steps))


@contextmanager
def progress_bar(title: str) -> Iterator[BuildProgress]:
    """A bar on stderr while the block runs; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0, phase="")
        yield BuildProgress(lambda fraction, phase: bar.update(task, completed=fraction, phase=phase[:40]))
