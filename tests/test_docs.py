"""README and docs: what they link to is there, and what they tell people to type can be typed.

Links, pictures and anchors are followed. Every `skelstream ...`, in a block or in a line, is held against the command
line's own --help: the command must be one, and so must its options.
"""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from skelstream.launch import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`(skelstream\s+[a-z][^`]*)`")


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    page = ROOT / name
    lost = [
        target for target in _LINK.findall(_FENCED.sub("", page.read_text()))
        if not target.startswith(("http://", "https://")) and not _leads_somewhere(page, target)
    ]  # fmt: skip
    assert not lost, f"{name} links to what is not there: {lost}"


def _leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(page: Path) -> set[str]:
    """What a heading is called in an address."""
    headings = re.findall(r"^#+ +(.*)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one(name: str) -> None:
    pytest.importorskip("torch", reason="the commands of training import it")
    wrong = []
    for line in _commands(ROOT / name):
        for words in _alternatives(line):
            trouble = _trouble(words)
            wrong += [f"{' '.join(words)}: {trouble}"] if trouble else []
    assert not wrong, f"{name} tells of commands that are none:\n" + "\n".join(wrong)


def test_there_are_commands_to_hold_them_to() -> None:
    assert len(list(_commands(ROOT / "README.md"))) > 10
    assert _trouble(["live", "--camera", "0"]) == ""
    assert "no command" in _trouble(["lively"])
    assert "--kamera" in _trouble(["live", "--kamera", "0"])


def _commands(page: Path) -> Iterator[str]:
    """Every command line of a page, without `skelstream`."""
    text = page.read_text()
    for block in _FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"[;&]", line.partition(" #")[0]):
                if match := re.match(r"(?:\$ |.*\bdo )?\s*skelstream +(.*)", part):
                    yield match[1]
    for command in _INLINE.findall(_FENCED.sub("", text)):
        yield re.sub(r"\s+", " ", command).removeprefix("skelstream ")


def _alternatives(line: str) -> Iterator[list[str]]:
    """`train pretrain|detect --x` is two commands."""
    words = shlex.split(line.replace("\\|", "|"), comments=True)
    depth = 2 if words[0] in (*cli._GROUPS, *cli._HEAVY) else 1
    named = words[depth - 1] if len(words) >= depth else ""
    for name in named.split("|"):
        yield [*words[: depth - 1], name, *words[depth:]]


def _trouble(words: list[str]) -> str:
    """What is wrong with a command, or ""."""
    depth = 2 if words[0] in (*cli._GROUPS, *cli._HEAVY) else 1
    command = tuple(word for word in words[:depth] if word != "...")
    inner = tuple(word for word in words[depth:] if re.fullmatch(r"[a-z-]+:[a-z-]+", word))  # solver:exact
    known = _options(command)
    if not known:
        return f"no command: {' '.join(command)}"
    options = {word.partition("=")[0] for word in words[depth:] if word.startswith("--")}
    if inner and options - known:
        known = known | _options((*command, *inner))
    return f"no options: {', '.join(sorted(options - known))}" if options - known else ""


@cache
def _options(command: tuple[str, ...]) -> frozenset[str]:
    """Every option in a command's --help; nothing if it is no command."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()):
        try:
            cli.main([*command, "--help"])
        except SystemExit as left:
            assert left.code == 0
    if f"usage: skelstream {' '.join(command)} " not in re.sub(r"\s+", " ", told.getvalue()):  # that of its group
        return frozenset()
    return frozenset(re.findall(r"--[a-z][\w.-]*", told.getvalue()))
