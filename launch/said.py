"""What a run says of itself: on a terminal a live bar with the time left, elsewhere one line after another."""

from __future__ import annotations

import atexit
import re
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

_STEP = re.compile(r"step (\d+)/(\d+) +(.*)")


class Said:
    """Call it with a line. "step 10/120  loss 2.1  3 min left" moves the bar, and what else is said stays above it."""

    def __init__(self) -> None:
        self._bar: tuple[Progress, TaskID] | None = None

    def __call__(self, line: str) -> None:
        if not sys.stderr.isatty():
            print(line, file=sys.stderr, flush=True)
        elif step := _STEP.fullmatch(line):
            self._move(int(step[1]), int(step[2]), step[3])
        elif self._bar is not None:
            self._bar[0].console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _move(self, step: int, total: int, rest: str) -> None:
        if self._bar is None:
            columns = (
                TextColumn("{task.fields[step]}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[rest]}"),
            )
            progress = Progress(*columns, console=Console(stderr=True))
            progress.start()
            atexit.register(progress.stop)  # whatever ends the run, the terminal's cursor comes back
            self._bar = progress, progress.add_task("", total=total, step="", rest="")
        progress, task = self._bar
        progress.update(task, completed=step, total=total, step=f"step {step}/{total}", rest=rest)
        if step >= total:
            progress.stop()
            self._bar = None


say = Said()
