"""Completion in real shells: what a person gets who presses Tab."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skelstream import __version__
from skelstream.launch.cli import main

Complete = Callable[[str], set[str]]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script for each shell."""
    folder = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        with (folder / shell).open("w") as file, contextlib.redirect_stdout(file):
            assert main(["completion", shell]) == 0
    return folder


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell} here")
    return path


@pytest.fixture(params=["bash", "fish"])
def complete(request: pytest.FixtureRequest, scripts: Path, tmp_path: Path) -> Complete:
    """What the shell offers for a line, the last word of which is being typed."""
    shell = needs(request.param)
    (tmp_path / "clip.mp4").touch()

    def in_bash(line: str) -> set[str]:
        words = line.split(" ")
        listed = " ".join(f"'{word}'" for word in words)
        ask = (
            f"source {scripts / 'bash'}; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _skelstream; "
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run([shell, "--norc", "-c", ask], capture_output=True, text=True, cwd=tmp_path, timeout=30)
        assert done.stderr == ""
        return set(done.stdout.split())

    def in_fish(line: str) -> set[str]:
        home = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "TERM": "dumb"}
        ask = f"source {scripts / 'fish'}; complete -C '{line}'"
        done = subprocess.run(
            [shell, "--no-config", "-c", ask], capture_output=True, text=True, cwd=tmp_path, env=home, timeout=30
        )
        assert done.stderr == ""
        return {said.partition("\t")[0] for said in done.stdout.splitlines()}

    return in_bash if request.param == "bash" else in_fish


def test_commands_groups_options_and_values_are_offered(complete: Complete) -> None:
    pytest.importorskip("torch", reason="the commands of `train` are listed with it")
    assert {"live", "detect", "train", "bench", "data", "keys", "convert"} <= complete("skelstream ")
    assert complete("skelstream li") == {"live"}
    assert complete("skelstream live --rec") == {"--record", "--record-most-mb", "--record-most-minutes"}
    assert complete("skelstream live --engine ") == {"auto", "openvino", "tensorrt", "torch"}
    assert complete("skelstream live --json --pose l") == {"lite"}
    assert complete("skelstream completion ") >= {"bash", "zsh", "fish"}
    assert complete("skelstream live --camera cl") == {"clip.mp4"}
    # Groups, one of whose commands is called like one that stands alone.
    assert complete("skelstream keys ") == {"new", "list", "revoke"}
    assert {"pretrain", "detect"} <= complete("skelstream train ")
    assert complete("skelstream train detect --lear") == set()
    assert complete("skelstream train detect --size ") == {"base", "small"}
    assert "--stores" in complete("skelstream train detect --st")
    assert "--stores" not in complete("skelstream detect --st")
    assert "--seeds" in complete("skelstream bench people --se")


def test_zsh_completes_what_is_typed(scripts: Path, tmp_path: Path) -> None:
    zsh = needs("zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(HOME=str(tmp_path), ZDOTDIR=str(tmp_path), TERM="dumb", PS1="> ")
        os.execv(zsh, [zsh, "-f", "-i"])
    try:
        os.write(terminal, f"autoload -U compinit; compinit -u -D; source {scripts / 'zsh'}; echo re''ady\n".encode())
        until_said(terminal, "ready")
        for typed, completed in (
            ("skelstream live --engi\t", "--engine"),
            ("skelstream keys rev\t", "revoke"),
            ("skelstream live --engine openv\t", "openvino"),
        ):
            os.write(terminal, typed.encode())
            until_said(terminal, completed)
            os.write(terminal, b"\x15")  # and away with it
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def until_said(terminal: int, word: str) -> None:
    """Read until the word has come."""
    said, deadline = "", time.monotonic() + 20
    while word not in said:
        assert time.monotonic() < deadline, f"{word!r} was not in {said!r}"
        if select.select([terminal], [], [], 0.1)[0]:
            said += os.read(terminal, 4096).decode(errors="replace")


def test_the_scripts_start_no_python(scripts: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        text = (scripts / shell).read_text()
        assert "$(skelstream" not in text and "python" not in text.replace("openvino", "")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"skelstream {__version__}\n"
