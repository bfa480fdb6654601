"""Does it fall over? Two long runs of the pipeline as people run it: the commands themselves, real sockets.

    python tests/bench/soak.py chaos --minutes 10        # something is killed, frozen or cut off every 10 s
    python tests/bench/soak.py memory --minutes 60       # two cameras, one viewer that has stalled, one browser too

`chaos`: a camera machine (in a network namespace of its own, where the user may make one) sends windows through a gate
to a machine that detects and decides. Every interruption must be over within 3 s of its end, no event may be told
twice, and every frame must be scored or dropped for a reason. `memory`: nothing may grow. Exit code 0 if all that
holds; the figures go to --out as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from skelstream.launch.accounts import Accounts, told
from skelstream.stream.elsewhere import PORTS
from skelstream.stream.vitals import Counters, Vitals
from skelstream.stream.wire import SHOWN, Decision, Event, Subscriber

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "skelstream"]
WITHIN_S = 3.0
FROZEN_S = 3.0
GIVEN_UP_S = 30.0


def free_ports(many: int) -> int:
    """The first of so many free ports in a row."""
    for port in range(21000 + os.getpid() % 9000, 60000, 11):
        try:
            with ExitStack() as opened:
                for n in range(many):
                    opened.enter_context(socket.socket()).bind(("127.0.0.1", port + n))
            return port
        except OSError:
            continue
    raise RuntimeError("no ports")


class Machines:
    """The commands, what they say, and the folder in which all their files are."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
        self.place = self.folder / "place"
        self._opened = ExitStack()
        self._opened.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def run(self, name: str, words: list[str], within: list[str] | None = None) -> subprocess.Popen[bytes]:
        """A process that lives as long as this; `within`: the command that puts it somewhere else."""
        log = self._opened.enter_context((self.folder / f"{name}.log").open("wb"))
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        process = subprocess.Popen([*(within or []), *words], stdout=log, stderr=log, env=environment)
        self._opened.callback(_end, process)
        return process

    def skelstream(self, name: str, *words: str, within: list[str] | None = None) -> subprocess.Popen[bytes]:
        return self.run(name, [*COMMAND, *words], within)

    def counters(self) -> dict[str, dict[str, int]]:
        """What every stage has counted: from the pages that outlive their processes."""
        pages = self.folder.glob("skelstream-*/*.vitals")
        return {_kind(page.stem): dict(Counters(Vitals.at(page))) for page in pages}

    def stage_pid(self, kind: str) -> int | None:
        """The process of a stage that is at work (not a spare)."""
        for page in self.folder.glob("skelstream-*/*.vitals"):
            if _kind(page.stem) == kind and (pid := Vitals.at(page).pid) and Path(f"/proc/{pid}").exists():
                return pid
        return None

    def close(self) -> None:
        self._opened.close()


def _kind(stage: str) -> str:
    return stage.rstrip("-0123456789")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Heard:
    """What came over the bus."""

    newest_capture: float = 0.0
    events: list[Event] = field(default_factory=list)

    def listen(self, feed: Subscriber, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """For so long, or until that is so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = feed.receive(0.05)
            if isinstance(message, Decision):
                self.newest_capture = max(self.newest_capture, message.captured_at)
            elif isinstance(message, Event):
                self.events.append(message)
            if until():
                return True
        return until()

    def told_twice(self) -> list[str]:
        """Events that were begun while they went on, ended twice, or told again as they were."""
        wrong, running = [], set()
        seen: Counter[tuple[object, ...]] = Counter()
        for event in self.events:
            what = (event.camera, event.track, event.action)
            if event.kind != "update":
                seen[event.kind, *what, round(event.t_start, 3)] += 1
            if event.kind == "start":
                if what in running:
                    wrong.append(f"begun while it went on: {what} at {event.t_start:.2f}")
                running.add(what)
            elif event.kind == "end":
                if what not in running:
                    wrong.append(f"ended but never begun: {what} at {event.t_end}")
                running.discard(what)
        return wrong + [f"told {n} times: {name}" for name, n in seen.items() if n > 1]

    def never_ended(self) -> int:
        started = Counter((e.camera, e.track, e.action) for e in self.events if e.kind == "start")
        started.subtract(Counter((e.camera, e.track, e.action) for e in self.events if e.kind == "end"))
        return sum(n for n in started.values() if n > 0)


class Namespace:
    """A network of its own for the camera machine, joined by a cable that can be pulled."""

    def __init__(self) -> None:
        self.name = f"skel{os.getpid()}"
        self.here, self.there = f"10.{os.getpid() % 200}.77.1", f"10.{os.getpid() % 200}.77.2"
        self._cable = f"sk{os.getpid()}"
        for command in (
            f"netns add {self.name}", f"link add {self._cable}a type veth peer name {self._cable}b",
            f"link set {self._cable}b netns {self.name}", f"addr add {self.here}/24 dev {self._cable}a",
            f"link set {self._cable}a up", f"-n {self.name} addr add {self.there}/24 dev {self._cable}b",
            f"-n {self.name} link set {self._cable}b up", f"-n {self.name} link set lo up",
        ):  # fmt: skip
            _ip(command)

    @staticmethod
    def possible() -> bool:
        if shutil.which("ip") is None or os.geteuid() != 0:
            return False
        name = f"try{os.getpid()}"
        if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
            return False
        _ip(f"netns del {name}")
        return True

    @property
    def within(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        _ip(f"link set {self._cable}a down")

    def mend(self) -> None:
        _ip(f"link set {self._cable}a up")

    def close(self) -> None:
        _ip(f"netns del {self.name}")


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)


class Chaos:
    """The two machines, and what is done to them."""

    def __init__(self, machines: Machines, network: Namespace | None) -> None:
        self.machines, self.network = machines, network
        gate = free_ports(len(PORTS) + 2)
        self.page, camera = gate + len(PORTS), gate + len(PORTS) + 1
        within = network.within if network else None
        keys, key = machines.folder / "keys", machines.folder / "eye.key"
        subprocess.run(
            [*COMMAND, "keys", "new", "eye", "--role", "camera", "--out", str(key), "--keys", str(keys)], check=True,
            capture_output=True,
        )  # fmt: skip
        host, at = network.here if network else "127.0.0.1", ["--at", str(machines.place)]
        machines.skelstream("decode", "decode", *at)
        self._camera_words = [
            sys.executable, str(HERE / "camera_server.py"), str(camera), str(machines.folder / "pictures"),
        ]  # fmt: skip
        self._camera = camera
        self.server = machines.run("server", self._camera_words, within)
        machines.skelstream("gate", "gate", "--host", host, "--port", str(gate), "--keys", str(keys), *at)
        machines.skelstream("detect", "detect", "--hop", "1", *at)
        machines.skelstream("view", "view", "--port", str(self.page), *at)
        self._until_it_listens(lambda: time.sleep(0.5))
        machines.skelstream(
            "pose", "pose", "--camera", f"http://127.0.0.1:{camera}/", "--to", f"{host}:{gate}", "--key", str(key),
            within=within,
        )  # fmt: skip
        self.feed = Subscriber(f"ipc://{machines.place}/bus-out", SHOWN)
        self.heard = Heard()

    def interruptions(self) -> list[tuple[str, str]]:
        stages = ["camera", "pose", "track", "window", "gate", "decode", "detect", "view"]
        all_of_them = [(who, how) for who in [*stages, "server"] for how in ("killed", "frozen")]
        return all_of_them + ([("network", "cut")] if self.network else [])

    def interrupt(self, who: str, how: str) -> float | None:
        """Do it; how long after its end everything worked again, None if it did not."""
        if who == "network":
            assert self.network is not None
            self.network.cut()
            self.heard.listen(self.feed, FROZEN_S)
            self.network.mend()
            return self._recovered(time.time())
        pid = self.server.pid if who == "server" else self.machines.stage_pid(who)
        assert pid is not None, f"no {who}"
        if how == "killed":
            os.kill(pid, signal.SIGKILL)
            if who == "server":
                self.server.wait()
                self.heard.listen(self.feed, FROZEN_S)
                within = self.network.within if self.network else None
                self.server = self.machines.run("server", self._camera_words, within)
                self._until_it_listens(lambda: self.heard.listen(self.feed, 0.1))
            ended = time.time()
        else:
            os.kill(pid, signal.SIGSTOP)
            self.heard.listen(self.feed, FROZEN_S)
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)
            ended = time.time()
        return self._page_is_back(ended) if who == "view" else self._recovered(ended)

    def _until_it_listens(self, meanwhile: Callable[[], object]) -> None:
        """An interruption of the camera ends when it can be reached again."""
        within = self.network.within if self.network else []
        probe = f"import socket; socket.create_connection(('127.0.0.1', {self._camera}), 1)"
        while subprocess.run([*within, sys.executable, "-c", probe], capture_output=True).returncode:
            meanwhile()

    def _recovered(self, ended: float) -> float | None:
        if self.heard.listen(self.feed, GIVEN_UP_S, lambda: self.heard.newest_capture > ended):
            return time.time() - ended
        return None

    def _page_is_back(self, ended: float) -> float | None:
        while time.time() < ended + GIVEN_UP_S:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/", timeout=1.0) as answer:
                    if answer.status == 200:
                        return time.time() - ended
            except OSError:
                self.heard.listen(self.feed, 0.1)
        return None


def chaos(seconds: float, every_s: float, seed: int, out: Path | None) -> int:
    """Something is done every `every_s`; 0 if it all came back."""
    network = Namespace() if Namespace.possible() else None
    machines = Machines()
    rng = random.Random(seed)
    recoveries: dict[str, list[float | None]] = defaultdict(list)
    try:
        run = Chaos(machines, network)
        if not run.heard.listen(run.feed, 90.0, lambda: run.heard.newest_capture > 0):
            print("it never got going")
            for log in machines.folder.glob("*.log"):
                print(f"{log.name}: {log.read_text(errors='replace')[-500:]}")
            return 1
        run.heard.listen(run.feed, 8.0)
        due: list[tuple[str, str]] = []
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not due:
                due = run.interruptions()
                rng.shuffle(due)
            who, how = due.pop()
            turn = time.monotonic()
            took = run.interrupt(who, how)
            recoveries[f"{who} {how}"].append(took)
            print(
                f"{time.monotonic() - began:6.0f} s  {who:8} {how:7} {'never' if took is None else f'{took:.2f} s'}",
                flush=True,
            )
            run.heard.listen(run.feed, max(turn + every_s - time.monotonic(), 1.0))
        took_s = time.monotonic() - began
        run.server.kill()  # no more pictures: whatever is on its way arrives, and whoever was seen has gone
        run.heard.listen(run.feed, 8.0)
        accounts = Accounts.of(machines.counters())
    finally:
        machines.close()
        if network is not None:
            network.close()
    return _judge(run.heard, recoveries, accounts, took_s, network is not None, out)


def _judge(
    heard: Heard, recoveries: dict[str, list[float | None]], accounts: Accounts, took_s: float, cut: bool,
    out: Path | None,
) -> int:  # fmt: skip
    every = [took for times in recoveries.values() for took in times]
    late = [took for took in every if took is None or took > WITHIN_S]
    known = sorted(took for took in every if took is not None)
    twice, unaccounted, negative = heard.told_twice(), accounts.unaccounted, accounts.negative
    figures = {
        "seconds": round(took_s), "interruptions": len(every), "network cut": cut, "late": len(late),
        "median_s": round(statistics.median(known), 2), "worst_s": None if None in every else round(known[-1], 2),
        "worst by kind": {
            who: None if None in times else round(max(took for took in times if took is not None), 2)
            for who, times in sorted(recoveries.items())
        },
        "events": len(heard.events), "told twice": twice, "never ended": heard.never_ended(),
        "captured": accounts.captured, "seen": accounts.seen, "frames dropped": dict(accounts.frames_dropped),
        "windows": accounts.windows, "scored": accounts.scored, "windows dropped": dict(accounts.windows_dropped),
        "unaccounted": unaccounted, "received twice": negative,
    }  # fmt: skip
    print(f"{len(every)} interruptions in {took_s:.0f} s: over after {figures['median_s']} s (median), "
          f"{figures['worst_s']} s (worst); {len(late)} later than {WITHIN_S:.0f} s")  # fmt: skip
    print(f"{len(heard.events)} events, told twice: {twice or 'none'}; never ended: {figures['never ended']}")
    print(f"{accounts.captured} frames captured, {accounts.seen} seen, dropped: {told(accounts.frames_dropped)}")
    print(f"{accounts.windows} windows, {accounts.scored} scored, dropped: {told(accounts.windows_dropped)}")
    print(f"unaccounted: {unaccounted}; received twice: {negative or 'none'}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=1))
    return int(bool(late or twice or any(unaccounted) or negative or figures["never ended"]))


def memory(seconds: float, out: Path | None) -> int:
    """Two cameras, a viewer that has stalled, a browser that reads nothing; 0 if nothing grows."""
    machines = Machines()
    page = free_ports(3)
    first = page + 1
    at = ["--at", str(machines.place)]
    samples: dict[str, list[float]] = defaultdict(list)
    try:
        machines.skelstream("decode", "decode", *at)
        machines.skelstream("detect", "detect", "--hop", "1", *at)
        machines.skelstream("view", "view", "--port", str(page), *at)
        for n in range(2):
            words = [sys.executable, str(HERE / "camera_server.py"), str(first + n), str(machines.folder / "pictures")]
            machines.run(f"server{n}", [*words, "480", "360"])
            while not _listens(first + n):
                time.sleep(0.5)
        for n in range(2):
            machines.skelstream(
                f"pose{n}", "pose", "--camera", f"http://127.0.0.1:{first + n}/", "--name", f"camera{n}", *at
            )
        stalled = machines.run("stalled", [sys.executable, __file__, "listen", f"ipc://{machines.place}/bus-out"])
        feed, heard = Subscriber(f"ipc://{machines.place}/bus-out", SHOWN), Heard()
        if not heard.listen(feed, 90.0, lambda: heard.newest_capture > 0):
            print("it never got going")
            return 1
        os.kill(stalled.pid, signal.SIGSTOP)
        browser = _browser_that_reads_nothing(page)
        began, sampled = time.monotonic(), 0.0
        while (now := time.monotonic() - began) < seconds:
            heard.listen(feed, 1.0)
            if now - sampled >= 10.0:
                sampled = now
                for name, mb in _memory_mb(machines.folder).items():
                    samples[name].append(mb)
        browser.close()
        frames = machines.counters()
        missed = feed.missed
    finally:
        machines.close()
    return _judge_memory(samples, seconds, frames, missed, out)


def _listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def _browser_that_reads_nothing(port: int) -> socket.socket:
    """A WebSocket that is opened like a browser's and never read from."""
    link = socket.create_connection(("127.0.0.1", port))
    link.sendall(
        f"GET /live HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    return link


def _memory_mb(folder: Path) -> dict[str, float]:
    """Of every stage's process, by its pipeline and name."""
    found = {}
    for n, page in enumerate(sorted(folder.glob("skelstream-*/*.vitals"), key=lambda p: (p.stem, p.parent.name))):
        try:
            pages = int(Path(f"/proc/{Vitals.at(page).pid}/statm").read_text().split()[1])
        except (OSError, ValueError):
            continue
        found[f"{_kind(page.stem)} ({n})"] = pages * 4096 / 1e6
    return found


def _judge_memory(
    samples: dict[str, list[float]], seconds: float, counters: dict[str, dict[str, int]], missed: int, out: Path | None
) -> int:
    """Between the first sixth, in which buffers fill, and the end nothing may grow by more than 10 MB."""
    grown = {}
    print(f"{'stage':14}{'first sixth, MB':>18}{'last sixth':>14}{'most':>10}")
    for name, values in sorted(samples.items()):
        sixth = max(len(values) // 6, 1)
        first, last = statistics.median(values[sixth : 2 * sixth] or values), statistics.median(values[-sixth:])
        grown[name] = round(last - first, 1)
        print(f"{name:14}{first:>18.0f}{last:>14.0f}{max(values):>10.0f}")
    drops = {
        f"{stage}: {what}": n for stage, c in counters.items() for what, n in c.items() if what.startswith("dropped")
    }
    print(f"grown, MB: {grown}\ndropped: {drops}\nmissed by this listener: {missed}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(
            json.dumps({"seconds": seconds, "grown_mb": grown, "samples_mb": samples, "counters": counters}, indent=1)
        )
    return int(any(mb > 10 for mb in grown.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("chaos", "memory", "listen"))
    parser.add_argument("endpoint", nargs="?")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between interruptions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.what == "chaos":
        return chaos(60 * asked.minutes, asked.every, asked.seed, asked.out)
    if asked.what == "memory":
        return memory(60 * asked.minutes, asked.out)
    with Subscriber(asked.endpoint, SHOWN) as feed:  # a viewer, until it is stopped
        while True:
            feed.receive(1.0)


if __name__ == "__main__":
    sys.exit(main())
