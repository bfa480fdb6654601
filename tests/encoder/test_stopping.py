"""The wish to stop: handlers may set it in a storm of signals, and whoever waits hears of it."""

import subprocess
import sys
import threading
import time

from skelstream.encoder.stopping import Stop

# With threading.Event in its place this hangs, or dies of handlers within handlers.
STORM = """
import signal, time
from skelstream.encoder.stopping import Stop
stop = Stop()
signal.signal(signal.SIGALRM, lambda number, frame: stop.set())
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
until = time.monotonic() + 2
while time.monotonic() < until:
    stop.set()
    stop.wait(0.001)
signal.setitimer(signal.ITIMER_REAL, 0)
print("done" if stop.is_set() else "never heard")
"""


def test_a_storm_of_signals_does_not_stop_it_from_stopping() -> None:
    done = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "done"


def test_whoever_waits_hears_of_it() -> None:
    stop = Stop()
    assert not stop.wait(0.05) and not stop.is_set()
    heard: list[bool] = []
    waiting = threading.Thread(target=lambda: heard.append(stop.wait()))
    waiting.start()
    time.sleep(0.05)
    stop.set()
    waiting.join(30)
    assert heard == [True] and stop.wait(0) and stop.wait()
