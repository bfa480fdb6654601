"""A run's words, on a real terminal (a pseudo-terminal) and in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

LINES = """
from skelstream.launch.said import say
say("going on from step 5")
say("step 10/20  loss 2.100  1.0 clips/s  3 min left")
say("frame accuracy on the validation people: 0.500 [half]")
say("step 20/20  loss 2.000  1.0 clips/s  0 min left")
say("out/results.json")
"""


def test_in_a_pipe_each_line_is_printed_as_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", LINES], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [line[5:-2] for line in LINES.splitlines() if line.startswith("say(")]


def test_on_a_terminal_a_bar_moves_and_the_rest_stays() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", LINES], stderr=theirs, env=environment) as run:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other end was closed
                break
            if not piece:
                break
            shown += piece
        assert run.wait() == 0
    os.close(ours)
    text = shown.decode()
    assert "step 20/20" in text and "100%" in text and "━" in text
    assert "frame accuracy on the validation people: 0.500 [half]" in text  # brackets are no markup
    assert text.rindex("out/results.json") > text.rindex("step 20/20")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor that was hidden is shown again
