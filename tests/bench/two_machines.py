"""Two machines, as two network namespaces with a cable between them: the presets `box` and `camera`, with real keys.

    python tests/bench/two_machines.py --seconds 20       # as root; Linux

On the box `live box` runs behind its gate; on the other machine `live camera`, a recorder with a viewer's key, somebody
with a key of another box, and somebody with none. What crosses the cable is read on the box's end of it. Exit code 0 if
events arrive on both machines, neither stranger gets anything in or out, and nothing that crosses can be read. The
namespaces are removed, whatever happens. It prints the figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import zmq

from skelstream.stream.elsewhere import FIRST_PORT, PORTS
from skelstream.stream.record import read_recording
from skelstream.stream.wire import Event, Tracks, Window, encode
from skelstream.train.vocabulary import CLASSES

COMMAND = [sys.executable, "-m", "skelstream"]
_START_S = 90.0
_ETH_ALL = 3
_PLAIN = b"what nobody says in plain words"  # is found on the wire: what is not found there, is not readable


def possible() -> str:
    """Why there can be no namespaces here; "" if there can."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "network namespaces need Linux and iproute2"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"try{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return "network namespaces cannot be made here"
    _ip(f"netns del {name}")
    return ""


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)


def _left_behind() -> list[tuple[str, str]]:
    """Namespaces of this program, and the process that each was made by."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^((?:box|eye)(\d+))\b", listed, re.MULTILINE)


class Cable:
    """Two namespaces, `box` and `eye`, joined by a cable; those of a run that was killed go first."""

    def __init__(self) -> None:
        pid = os.getpid()
        self.box, self.eye = f"box{pid}", f"eye{pid}"
        self.address = f"10.{pid % 200 + 1}.78.1"
        self.end = f"bx{pid}"
        self._there = f"10.{pid % 200 + 1}.78.2", f"ey{pid}"

    def __enter__(self) -> Cable:
        address, end = self._there
        for name, pid in _left_behind():
            if not Path(f"/proc/{pid}").exists():
                _ip(f"netns del {name}")
        try:
            for command in (
                f"netns add {self.box}", f"netns add {self.eye}",
                f"-n {self.box} link add {self.end} type veth peer name {end} netns {self.eye}",
                f"-n {self.box} addr add {self.address}/24 dev {self.end}",
                f"-n {self.eye} addr add {address}/24 dev {end}",
                f"-n {self.box} link set {self.end} up", f"-n {self.eye} link set {end} up",
                f"-n {self.box} link set lo up", f"-n {self.eye} link set lo up",
            ):  # fmt: skip
                _ip(command)
        except subprocess.CalledProcessError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.box, self.eye):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Run:
    """The commands on both machines, each with a log of its own."""

    def __init__(self, cable: Cable, folder: Path, opened: ExitStack) -> None:
        self.cable, self.folder, self._opened = cable, folder, opened

    def start(self, where: str, name: str, *words: str) -> subprocess.Popen[bytes]:
        """A command in a namespace; its stdout in NAME.out, its stderr in NAME.err."""
        return self._opened.enter_context(_running(where, self.folder / name, words))

    def said(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    def until(self, what: str, holds: object, seconds: float = _START_S) -> None:
        """Wait until it is so; RuntimeError, with the logs, if it never is."""
        assert callable(holds)
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                logs = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-800:]}" for path in self._logs())
                raise RuntimeError(f"{what}: not within {seconds:.0f} s\n{logs}")
            time.sleep(0.1)

    def _logs(self) -> list[Path]:
        return sorted([*self.folder.glob("*.err"), *self.folder.glob("*.out")])


@contextmanager
def _running(where: str, log: Path, words: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    with Path(f"{log}.out").open("wb") as out, Path(f"{log}.err").open("wb") as err:
        process = subprocess.Popen(["ip", "netns", "exec", where, *words], stdout=out, stderr=err)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def two_machines(seconds: float, folder: Path) -> dict[str, object]:
    """The figures of a run."""
    keys, others = str(folder / "keys"), str(folder / "others")
    for name, role, store in (("eye", "camera", keys), ("tape", "viewer", keys), ("stranger", "camera", others)):
        words = ["keys", "new", name, "--role", role, "--out", str(folder / f"{name}.key"), "--keys", store]
        subprocess.run([*COMMAND, *words], check=True, capture_output=True)
    # The stranger knows the box, as whoever has seen a key file does; the box does not know the stranger.
    stranger = json.loads((folder / "stranger.key").read_text())
    stranger["server"] = json.loads((folder / "eye.key").read_text())["server"]
    (folder / "stranger.key").write_text(json.dumps(stranger))

    with Cable() as cable, ExitStack() as opened:
        run = Run(cable, folder, opened)
        to = ["--to", cable.address]
        run.start(cable.box, "wire", sys.executable, __file__, "wire", cable.end, str(folder / "wire.bin"))
        box = run.start(
            cable.box, "box", *COMMAND, "live", "box", "--gate", cable.address, "--keys", keys, "--detectors", "1",
            "--no-page", "--json",
        )  # fmt: skip
        run.until("the gate opens", lambda: box.poll() is not None or _opens(cable))
        run.start(cable.eye, "nobody", sys.executable, __file__, "nobody", cable.address)
        run.start(cable.eye, "tape", *COMMAND, "record", str(folder / "tape.skel"), "--at", str(folder / "t"),
                  *to, "--key", str(folder / "tape.key"))  # fmt: skip
        pose = ["--width", "480", "--height", "360", "--duration", str(seconds)]
        run.start(cable.eye, "stranger", *COMMAND, "live", "camera", "--camera", "actor:3", *pose, *to,
                  "--key", str(folder / "stranger.key"))  # fmt: skip
        eye = run.start(cable.eye, "eye", *COMMAND, "live", "camera", "--camera", "actor:5", *pose, *to,
                        "--key", str(folder / "eye.key"))  # fmt: skip
        # It ends by itself, once the box has told it that the last of it was decided.
        run.until("the camera ends", lambda: eye.poll() is not None, _START_S + seconds)
        box.send_signal(signal.SIGINT)
        run.until("the box ends", lambda: box.poll() is not None, 30)
    events = [json.loads(line) for line in run.said("box.out").splitlines()]
    crossed, tape = (folder / "wire.bin").read_bytes(), list(read_recording(folder / "tape.skel"))
    return {
        "camera's exit": eye.returncode, "box's exit": box.returncode,
        "events on the box": len(events), "cameras": sorted({event["camera"] for event in events}),
        "events on the other machine": sum(isinstance(message, Event) for message in tape),
        "cameras there": sorted({message.camera for message in tape if isinstance(message, Tracks)}),
        "got by nobody": len(run.said("nobody.out")), "bytes that crossed": len(crossed),
        "greetings with CURVE": crossed.count(b"CURVE"), "nobody's plain words": crossed.count(_PLAIN),
        "read on the wire": [needle.decode() for needle in needles() if needle in crossed],
        "box": [line for line in run.said("box.err").splitlines() if line.startswith(("windows", "gate", "latency"))],
    }  # fmt: skip


def needles() -> list[bytes]:
    """What would be read if it were not encrypted: of every window its fields, of every event its action."""
    names = [b"first_tick", b"captured_at", b"joints", b"evidence"]
    assert all(name in encode(a_window("eye")) for name in names)  # there it can be read
    return names + [name.encode() for name in CLASSES if len(name) > 4]


def _opens(cable: Cable) -> bool:
    """Whether somebody listens behind all doors."""
    probe = (
        "import socket, sys\n"
        "for port in sys.argv[2:]: socket.create_connection((sys.argv[1], int(port)), 1).close()"
    )  # fmt: skip
    ports = [str(FIRST_PORT + n) for n in PORTS.values()]
    words = ["ip", "netns", "exec", cable.eye, sys.executable, "-c", probe, cable.address, *ports]
    return subprocess.run(words, capture_output=True).returncode == 0


def wire(interface: str, out: Path) -> None:
    """Every byte that crosses, until Ctrl-C."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_ALL)) as tap, out.open("wb") as file:
        tap.bind((interface, 0))
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                file.write(tap.recv(1 << 16))


def nobody(host: str) -> None:
    """Try every door without a key until Ctrl-C: send windows as sound as any, and say what comes."""
    with socket.create_connection((host, FIRST_PORT)) as plain:
        plain.sendall(_PLAIN)
    context = zmq.Context()
    doors = []
    for name, kind in (("windows", zmq.PUSH), ("reports", zmq.PUB), ("events", zmq.SUB), ("work", zmq.DEALER),
                       ("ends", zmq.SUB)):  # fmt: skip
        door = context.socket(kind)
        door.linger = 0
        if kind == zmq.SUB:
            door.subscribe(b"")
        door.connect(f"tcp://{host}:{FIRST_PORT + PORTS[name]}")
        doors.append(door)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for door in doors:
                if door.type in (zmq.PUSH, zmq.PUB, zmq.DEALER):
                    with contextlib.suppress(zmq.Again):
                        door.send(encode(a_window("nobody")), zmq.DONTWAIT)
                if door.type in (zmq.SUB, zmq.DEALER):
                    while door.poll(50):
                        print(door.recv_multipart(), flush=True)


def a_window(camera: str) -> Window:
    return Window(
        camera=camera, t=0.0, captured_at=time.time(), track=1, index=0, first_tick=0, valid=1, last=False,
        evidence=1.0, joints=np.zeros((3, 64, 25, 2), np.float32),
    )  # fmt: skip


def holds(figures: dict[str, object]) -> bool:
    """Whether all is as it should be."""
    return (
        figures["camera's exit"] == figures["box's exit"] == 0
        and figures["cameras"] == figures["cameras there"] == ["eye"]
        and figures["events on the box"] != 0 != figures["events on the other machine"]
        and figures["got by nobody"] == 0 and figures["read on the wire"] == []
        and figures["greetings with CURVE"] != 0 != figures["nobody's plain words"]  # what can be read is found
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="run", choices=("run", "wire", "nobody"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    if asked.what == "wire":
        wire(asked.rest[0], Path(asked.rest[1]))
        return 0
    if asked.what == "nobody":
        nobody(asked.rest[0])
        return 0
    if why := possible():
        print(why, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that all is removed on the way out
    with tempfile.TemporaryDirectory(prefix="two-", dir="/tmp") as folder:
        figures = two_machines(asked.seconds, Path(folder))
    print(json.dumps(figures, indent=1))
    return int(not holds(figures))


if __name__ == "__main__":
    sys.exit(main())
