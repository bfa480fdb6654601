"""The stages of one pipeline as child processes: started, watched, started again, and stopped together.

Each has a `Lifecycle`. Whether one lives is read from its vitals (`stream/vitals.py`), so that nothing need be asked:
one that died is started again, one whose loop no longer turns is killed first. For stages that take seconds to start a
spare stands by, with everything loaded, and takes over at once.

A pipeline's own folder holds vitals, logs and the sockets from camera to windows; where it meets others is another one.
The bus runs in this process, which does nothing else: when a stage dies, everybody else goes on hearing one another.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ..stream.processes import SOCKETS
from ..stream.settings import Settings
from ..stream.stage import REPORT_EVERY_S, resident_mb
from ..stream.vitals import Counters, Vitals
from ..stream.wire import LONGEST_TEXT, Bus, Publisher, Report
from .lifecycle import WRONG_REQUEST, Lifecycle, Phase
from .notify import Notifier

Tell = Callable[[str, str], object]  # who (a stage, or nobody) says what

_STOP_S, _STOP_LAST_S = 0.6, 0.4  # from asking to insisting: all but `decode`, and `decode`
_HUNG_S = 5.0  # without a turn of its loop
_START_S = 120.0  # for a stage that has started before
_SPARED = ("pose", "detect")  # what takes seconds to load
_SPARE_AFTER_S = 5.0  # of quiet: a spare that loads must not disturb the start
_TAIL_EVERY_S = 0.25
_LONGEST_LOG = 1 << 20


class StageFailed(RuntimeError):
    """A stage is given up. `wrong_request` says that its settings were the reason."""

    def __init__(self, message: str, *, wrong_request: bool) -> None:
        super().__init__(message)
        self.wrong_request = wrong_request


@dataclass
class _Process:
    """A running process and its log."""

    popen: subprocess.Popen[bytes]
    log: Path
    since: float
    told: int = 0  # bytes of the log

    def say(self, line: str) -> None:
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()

    def lines(self) -> list[str]:
        """What has been written since the last time, in whole lines."""
        with self.log.open("rb") as file:
            file.seek(self.told)
            new = file.read(_LONGEST_LOG)
        whole = new[: new.rfind(b"\n") + 1]
        self.told += len(whole)
        if self.told >= _LONGEST_LOG:  # it is appended to: what is cut off leaves no hole
            os.truncate(self.log, 0)
            self.told = 0
        return whole.decode(errors="replace").splitlines()


@dataclass
class _Stage:
    kind: str
    vitals: Vitals
    settings: Settings
    needed: bool = True
    life: Lifecycle = field(default_factory=Lifecycle)
    process: _Process | None = None
    last_words: str = ""


class Supervisor:
    """A context manager; on leaving it no process and no socket file is left. `tell` hears what stages warn of.

    Call `watch` ten times a second. `spares`: keep one ready for each stage that is slow to start.
    """

    def __init__(self, settings: Settings, *, spares: bool = False, tell: Tell = lambda who, line: None) -> None:
        self._own = Path(tempfile.mkdtemp(prefix="skelstream-"))
        folder = Path(settings.folder) if settings.folder else self._own
        self._opened = ExitStack()
        self._opened.callback(shutil.rmtree, self._own, ignore_errors=True)
        self.settings = replace(settings, folder=str(folder), own=str(self._own))
        self._stages: dict[str, _Stage] = {}
        self._spares: dict[str, _Process] = {}
        self._wants_spares, self._tell = spares, tell
        self._tailed = self._reported = 0.0
        self._notifier = Notifier()
        self._started = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._bus = self._opened.enter_context(Publisher(self.settings.place.link("bus-in")))
        except OSError as error:
            self._opened.close()
            raise ValueError(f"cannot use {folder}: {error.strerror}; give another folder with --at") from error
        except ValueError:
            self._opened.close()
            raise

    def start(self, kind: str, instance: str = "", *, settings: Settings | None = None, needed: bool = True) -> None:
        """Start a stage; `instance` tells several of one kind apart. ValueError if it cannot be here.

        `settings`: its own, where they are not everybody's. One that is not `needed` may be given up without the rest.
        """
        if kind == "decode":
            self._open_bus()
        name, settings = kind + instance, settings or self.settings
        if name not in self._stages:
            self._stages[name] = _Stage(kind, settings.place.vitals(name), settings)
        self._stages[name].settings, self._stages[name].needed = settings, needed
        self._start(name, self._stages[name])

    def _open_bus(self) -> None:
        place = self.settings.place
        lock = self._opened.enter_context((place.folder / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # sockets of files can be taken away unnoticed
        except OSError:
            raise ValueError(f"another skelstream decides at {place.folder}; end it, or give another --at") from None
        self._opened.callback(Bus(place.here("bus-in"), place.here("bus-out")).close)
        for socket in ("lock", "bus-in", "bus-out"):
            self._opened.callback((place.folder / socket).unlink, missing_ok=True)

    def _start(self, name: str, stage: _Stage) -> None:
        stage.vitals.ready_at = 0.0
        spare = self._spares.pop(stage.kind, None)
        stage.process = (
            spare
            if spare is not None and spare.popen.poll() is None
            else self._spawn(stage.kind, "now", stage.settings)
        )
        stage.process.since = time.monotonic()
        stage.process.say(f"{name} {_told(stage.settings)}")  # a spare may have got ready for another camera
        stage.life.start()

    def _spawn(self, kind: str, when: str, settings: Settings) -> _Process:
        self._started += 1
        log = self._own / f"{kind}-{self._started}.log"
        arguments = [sys.executable, "-m", "skelstream.stream.processes", kind, when, self.settings.folder]
        with log.open("ab") as file:
            # A session of its own: Ctrl-C in the terminal is ours to hand on, in the right order.
            popen = subprocess.Popen(
                [*arguments, str(os.getpid())], stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True
            )
        process = _Process(popen, log, time.monotonic())
        # Not as an argument, which every user of the machine can read: a camera's address may hold a password.
        process.say(_told(settings))
        return process

    def pids(self) -> dict[str, int]:
        """The process of each stage that has one."""
        return {name: stage.process.popen.pid for name, stage in self._stages.items() if stage.process is not None}

    def runs(self, name: str) -> bool:
        """Whether a stage was started, and not ended since."""
        return name in self._stages and self._stages[name].life.phase is not Phase.STOPPED

    def phase(self, name: str) -> Phase:
        """Where in its life a stage is."""
        return self._stages[name].life.phase

    def all_ready(self) -> bool:
        """Whether every stage takes its input, but for those that were given up and nobody needs."""
        return all(
            stage.life.phase is Phase.READY or not (stage.needed or self.runs(name))
            for name, stage in self._stages.items()
        )

    def watch(self) -> None:
        """Look after every stage; `StageFailed` if one has to be given up."""
        now = time.monotonic()
        if now - self._tailed >= _TAIL_EVERY_S:
            self._tailed = now
            for stage in self._stages.values():
                self._tail(stage)
            self._keep_spares(now)
        for name, stage in self._stages.items():
            self._look_after(name, stage, now)
        self._notifier.turn(ready=self.all_ready())
        self._report()

    def _look_after(self, name: str, stage: _Stage, now: float) -> None:
        life, process = stage.life, stage.process
        if life.phase is Phase.WAITING and now >= life.due:
            self._start(name, stage)
        if process is None or life.phase not in (Phase.STARTING, Phase.READY, Phase.STOPPING):
            return
        code = process.popen.poll()
        if code is not None:
            self._ended(name, stage, process, code)
        elif life.phase is Phase.STARTING:
            if stage.vitals.ready_at > 0 and stage.vitals.pid == process.popen.pid:
                life.to(Phase.READY)
            elif life.restarts and now - process.since > _START_S:
                process.popen.kill()
        elif life.phase is Phase.READY and now - stage.vitals.beat > _HUNG_S:
            self._tell("", f"{name} hangs: nothing from it for {_HUNG_S:.0f} s")
            process.popen.kill()

    def _ended(self, name: str, stage: _Stage, process: _Process, code: int) -> None:
        self._tail(stage)
        process.log.unlink(missing_ok=True)
        stage.process = None
        stage.life.ended(code, time.monotonic())
        if stage.life.phase is Phase.FAILED and not stage.needed:
            self.say_failed(name, _given_up(name, stage, code))
            stage.life = Lifecycle()
        elif stage.life.phase is Phase.FAILED:
            raise StageFailed(_given_up(name, stage, code), wrong_request=code == WRONG_REQUEST)
        if stage.life.phase is Phase.WAITING:
            why = f" ({stage.last_words})" if code > 0 and stage.last_words else ""
            self._tell("", f"{name} {_how(code)}{why}; it is started again")

    def _keep_spares(self, now: float) -> None:
        for kind in _SPARED if self._wants_spares else ():
            kin = [stage for stage in self._stages.values() if stage.kind == kind]
            calm = all(s.life.phase is Phase.READY and now - s.vitals.ready_at > _SPARE_AFTER_S for s in kin)
            if kin and calm and (kind not in self._spares or self._spares[kind].popen.poll() is not None):
                self._spares[kind] = self._spawn(kind, "spare", self.settings)

    def _tail(self, stage: _Stage) -> None:
        """Pass on what the stage itself has written; the rest is its libraries'."""
        for line in stage.process.lines() if stage.process is not None else ():
            who, separator, what = line.removeprefix("skelstream ").partition(": ")
            if not line.startswith("skelstream ") or not separator:
                stage.last_words = line.strip() or stage.last_words
            elif who.endswith(" failed"):
                stage.last_words = what
            else:
                self._tell(who, what)

    def _report(self) -> None:
        now = time.time()
        if now - self._reported < REPORT_EVERY_S:
            return
        self._reported = now
        restarts = {f"restarts: {name}": stage.life.restarts for name, stage in self._stages.items()}
        gauges = {"memory_mb": resident_mb(), "cpu_s": time.process_time()}
        self._bus.publish(
            Report(stage="supervisor", pid=os.getpid(), at=now, state="ready", counters=restarts, gauges=gauges)
        )

    def say_failed(self, name: str, line: str) -> None:
        """Tell whoever started this, and whoever watches, why a stage that nobody needs is not there."""
        self._tell(name, line)
        self._bus.publish(
            Report(stage=name, pid=os.getpid(), at=time.time(), state="failed", counters={}, gauges={},
                   message=line[:LONGEST_TEXT])
        )  # fmt: skip

    def end(self, name: str) -> None:
        """Ask one stage to stop, and go on."""
        stage = self._stages[name]
        if stage.life.phase is Phase.WAITING:
            stage.life.to(Phase.STOPPED)
        elif stage.process is not None and stage.life.phase in (Phase.STARTING, Phase.READY):
            stage.life.to(Phase.STOPPING)
            stage.process.popen.terminate()

    def forget(self, name: str) -> dict[str, int]:
        """What a stage that was ended has counted; it is told of no more."""
        return dict(Counters(self._stages.pop(name).vitals))

    def counters(self) -> dict[str, dict[str, int]]:
        """What each stage has counted, also those that are gone."""
        return {name: dict(Counters(stage.vitals)) for name, stage in self._stages.items()}

    def stop(self) -> None:
        """Ask all stages to stop, insist after a moment, and remove the sockets. `decode` goes last."""
        self._notifier.stopping()
        for spare in self._spares.values():
            spare.popen.kill()
            spare.popen.wait()
        self._spares.clear()
        for last, patience_s in ((False, _STOP_S), (True, _STOP_LAST_S)):
            names = [name for name, stage in self._stages.items() if (stage.kind == "decode") is last]
            for name in names:
                self.end(name)
            deadline = time.monotonic() + patience_s
            for stage in (self._stages[name] for name in names):
                if stage.process is not None:
                    _wait(stage.process.popen, deadline)
                    self._tail(stage)
                    stage.process = None
                    stage.life.to(Phase.STOPPED)
        place = self.settings.place
        for stage in self._stages.values():
            for socket in SOCKETS.get(stage.kind, ()):
                (place.folder / socket).unlink(missing_ok=True)
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _told(settings: Settings) -> str:
    return json.dumps(asdict(settings))


def _wait(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _how(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _given_up(name: str, stage: _Stage, code: int) -> str:
    if code == WRONG_REQUEST and stage.last_words:
        return stage.last_words
    why = f": {stage.last_words}" if stage.last_words else ""
    if stage.life.restarts:
        return f"the stage {name} {_how(code)} again and again, and is given up{why}"
    return f"the stage {name} {_how(code)}{why}"
