"""A network camera: 30 JPEGs a second of a drawn actor who is always in the picture, over HTTP (Motion JPEG).

    python tests/bench/camera_server.py PORT FOLDER [WIDTH HEIGHT]

The pictures are drawn once and kept in the folder. It can be killed, or stopped, as cameras are; on SIGUSR1 it repeats
one picture until the next SIGUSR1.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

import cv2
import numpy as np

from skelstream.stream.camera import ActorSource, open_source

_FROM_S, _TO_S, _HZ = 2.5, 9.5, 30
_repeats = False


def pictures(folder: Path, width: int, height: int) -> list[bytes]:
    """The actor raising a hand and bowing, there and back, so that the end fits the beginning."""
    if not folder.exists():
        _draw(folder, width, height)
    there = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    return there + there[::-1]


def _draw(folder: Path, width: int, height: int) -> None:
    source = open_source("actor:0", width=width, height=height, duration_s=_TO_S)
    assert isinstance(source, ActorSource)
    rng = np.random.default_rng(0)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    for n in range(int(_FROM_S * _HZ), int(_TO_S * _HZ)):
        noisy = source.picture(n / _HZ).astype(np.int16) + rng.integers(-2, 3, (height, width, 3), np.int16)
        cv2.imwrite(str(unfinished / f"{n:04}.jpg"), noisy.clip(0, 255).astype(np.uint8))
    unfinished.rename(folder)


def serve(port: int, shown: Sequence[bytes]) -> None:
    """Until killed."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                n = int(time.monotonic() * _HZ)
                while True:
                    jpeg = shown[n % len(shown)]
                    head = b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg + b"\r\n")
                    n += 0 if _repeats else 1
                    time.sleep(1 / _HZ if _repeats else max(n / _HZ - time.monotonic(), 0))
                    if _repeats is False and n < time.monotonic() * _HZ - _HZ:
                        n = int(time.monotonic() * _HZ)

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Camera).serve_forever()


def _toggle(number: int, frame: FrameType | None) -> None:
    global _repeats
    _repeats = not _repeats


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _toggle)
    width, height = (int(word) for word in sys.argv[3:5]) if len(sys.argv) > 4 else (640, 480)
    serve(int(sys.argv[1]), pictures(Path(sys.argv[2]), width, height))
