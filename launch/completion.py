"""`skelstream completion SHELL`: a script that completes every command and option, without starting Python for it.

    source <(skelstream completion bash)                              # or zsh; in ~/.bashrc, ~/.zshrc
    skelstream completion fish > ~/.config/fish/completions/skelstream.fish

The script holds a table: for each command what may follow, and for each option which values there are.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tyro

Shell = Literal["bash", "zsh", "fish"]
Words = tuple[str, ...]
Tree = Mapping[str, "Callable[..., int] | Tree"]
_PROGRAM = "skelstream"


@dataclass(frozen=True)
class Command:
    """What may stand behind a command: options with their values (None: anything, a file perhaps), and what it is."""

    about: str
    options: Mapping[str, Words | None]
    positional: Words | None = None  # the values of its first word, where they are known


def tabled(tree: Tree) -> dict[Words, Command]:
    """All commands, by their words."""
    return dict(_walk((), tree))


def _walk(before: Words, tree: Tree) -> Iterator[tuple[Words, Command]]:
    for word, entry in tree.items():
        if isinstance(entry, Mapping):
            yield from _walk((*before, word), entry)
        else:
            with warnings.catch_warnings():  # until tyro 2 it is there, and nothing else lists what a command takes
                warnings.simplefilter("ignore", DeprecationWarning)
                yield (*before, word), _command(tyro.extras.get_parser(entry))


def _command(parser: Any) -> Command:
    options: dict[str, Words | None] = {}
    positional: Words | None = None
    for action in parser._actions:
        choices = tuple(str(choice) for choice in action.choices) if action.choices is not None else None
        if not action.option_strings:
            positional = positional or choices
        for option in action.option_strings:
            if option.startswith("--"):
                options[option] = () if action.nargs == 0 else choices
    return Command((parser.description or "").strip().partition("\n")[0], options, positional)


def script(shell: Shell, commands: Mapping[Words, Command]) -> str:
    """The script."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands)


def _following(commands: Mapping[Words, Command]) -> dict[Words, list[str]]:
    """The words that may follow none, or those of a group."""
    following: dict[Words, list[str]] = {}
    for words in commands:
        for i, word in enumerate(words):
            following.setdefault(words[:i], [])
            if word not in following[words[:i]]:
                following[words[:i]].append(word)
    return following


def _cases(commands: Mapping[Words, Command]) -> str:
    """Cases of sh that set `words` and, where an option's value is asked for, `words` to its values or `files`."""
    lines = []
    for words, command in commands.items():
        for option, values in command.options.items():
            if values is None:
                lines.append(f'"{" ".join(words)} "{option}) files=yes ;;')
            elif values:
                lines.append(f'"{" ".join(words)} "{option}) words={shlex.quote(" ".join(values))} ;;')
    for words, command in commands.items():
        known = [*command.options, *(command.positional or ())]
        files = "" if command.positional else "; files=also"
        lines.append(f'"{" ".join(words)} "*) words={shlex.quote(" ".join(known))}{files} ;;')
    for before, after in sorted(_following(commands).items(), key=lambda group: -len(group[0])):
        start = "".join(f"{word} " for word in before)
        lines.append(f'"{start}"*) words={shlex.quote(" ".join(after))} ;;')
    return "\n".join(f"        {line}" for line in lines)


_FIND = """\
    local words='' files='' command='' word n=0
    for word in {said}; do
        case "$word" in -*) break ;; esac
        case "{groups} " in *" $word "*) [ $n = 0 ] && command="$word " n=1 && continue ;; esac
        command="$command$word "; break
    done
    case "$command{before}" in
{cases}
    esac
"""


def _bash(commands: Mapping[Words, Command]) -> str:
    find = _FIND.format(
        said='"${COMP_WORDS[@]:1:COMP_CWORD-1}"', before="${COMP_WORDS[COMP_CWORD-1]}", cases=_cases(commands),
        groups=_groups(commands),
    )  # fmt: skip
    return f"""\
# skelstream for bash: source <(skelstream completion bash)
_{_PROGRAM}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}"
{find}    [ "$files" = also ] && case "$current" in -*) files='' ;; *) words='' ;; esac
    COMPREPLY=()
    local IFS=$'\\n'
    [ -n "$words" ] && COMPREPLY=($(compgen -W "${{words// /$'\\n'}}" -- "$current"))
    [ -n "$files" ] && COMPREPLY+=($(compgen -f -- "$current")) && compopt -o filenames 2>/dev/null
    return 0
}}
complete -F _{_PROGRAM} {_PROGRAM}
"""


def _zsh(commands: Mapping[Words, Command]) -> str:
    find = _FIND.replace("local words=''", "local list=''").replace("{said}", '"${(@)words[2,CURRENT-1]}"')
    find = find.replace("{before}", "${words[CURRENT-1]}").replace("{groups}", _groups(commands))
    find = find.replace("{cases}", _cases(commands).replace(" words=", " list="))
    return f"""\
#compdef {_PROGRAM}
# skelstream for zsh: source <(skelstream completion zsh), after compinit
_{_PROGRAM}() {{
    local current="${{words[CURRENT]}}"
{find}    [[ $files == also ]] && case "$current" in -*) files='' ;; *) list='' ;; esac
    [[ -n $list ]] && compadd -- ${{=list}}
    [[ -n $files ]] && _files
    return 0
}}
compdef _{_PROGRAM} {_PROGRAM}
"""


def _groups(commands: Mapping[Words, Command]) -> str:
    return "".join(f" {before[0]}" for before in _following(commands) if before)


def _fish(commands: Mapping[Words, Command]) -> str:
    lines = ["# skelstream for fish: skelstream completion fish > ~/.config/fish/completions/skelstream.fish"]
    for before, after in _following(commands).items():
        if before:
            said = f"__fish_seen_subcommand_from {before[0]}; and not __fish_seen_subcommand_from {' '.join(after)}"
        else:
            said = "__fish_use_subcommand"
        for word in after:
            about = commands[(*before, word)].about if (*before, word) in commands else "more commands"
            lines.append(f"complete -c {_PROGRAM} -n {_quoted(said)} -f -a {word} -d {_quoted(about)}")
    for words, command in commands.items():
        said = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        if len(words) == 1:  # groups have commands of the same names
            said += "".join(f"; and not __fish_seen_subcommand_from {group}" for group in _groups(commands).split())
        for option, values in command.options.items():
            given = "" if values == () else " -r" if values is None else f" -x -a {_quoted(' '.join(values))}"
            lines.append(f"complete -c {_PROGRAM} -n {_quoted(said)} -l {option[2:]}{given}")
        if command.positional:
            lines.append(f"complete -c {_PROGRAM} -n {_quoted(said)} -f -a {_quoted(' '.join(command.positional))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
