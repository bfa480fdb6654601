"""Does every node of the cluster see the same data and the same storage, and run the same versions?

    with connected(address):
        require_same_view([store], storage)

Asked before a run starts, so that what is missing on one node is a line within seconds and no failure after hours.
Every node answers by a task of its own; one that does not answer in time is named.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from .connect import Node, nodes, on_node, token_demanded
from .sight import Facts, Sight, erase_note, facts, look, read_notes, unmake, write_note

ANSWER_S = 20.0
_LEAVE_S = 5.0  # for cleaning up after us
_LOOPBACK = ("127.0.0.1", "::1")


def require_same_view(data: Sequence[Path], storage: str) -> None:
    """Raise ValueError, one line, unless every node of the session sees the same `data` and shares the `storage`.

    `data` are files, folders and stores; `storage` is a folder or a URL ("" if there is none to be looked at). Nothing
    is left there. A node that does not answer within 20 s is named.
    """
    among = nodes()
    problems = data_problems(data, among) or (storage_problems(storage, among) if storage else [])
    if problems:
        others = f" (and {len(problems) - 1} more: `skelstream cluster check`)" if len(problems) > 1 else ""
        raise ValueError(problems[0] + others)


def data_problems(paths: Sequence[Path], among: Sequence[Node], answer_s: float = ANSWER_S) -> list[str]:
    """A line for each node that lacks a path, or sees something else there than most nodes do."""
    if not paths:
        return []
    wanted = [str(path.absolute()) for path in paths]
    answers = _ask(among, look, lambda node: (wanted,), answer_s)
    problems = answers.problems()
    for i, path in enumerate(wanted):
        problems += _differences(path, {node: sights[i] for node, sights in answers.given.items()})
    return problems


def _differences(path: str, seen: dict[Node, Sight]) -> list[str]:
    mend = "mount the same folder under the same path on every node"
    there = [sight.what for sight in seen.values() if sight.there]
    if seen and not there:
        return [f"no node sees {path}: {next(iter(seen.values())).what}"]
    problems = []
    for node, sight in seen.items():
        most, count = Counter(there).most_common(1)[0]
        if not sight.there:
            problems.append(f"{node} does not see {path}: {sight.what}; {mend}")
        elif sight.what != most:
            problems.append(f"{node} sees {sight.what} at {path}, {count} other(s) see {most}; {mend}")
    return problems


def storage_problems(storage: str, among: Sequence[Node], answer_s: float = ANSWER_S) -> list[str]:
    """A line for each node that cannot write to the storage, or does not share it with the first node.

    Each node writes a note; the first reads them all, and all read the first's. What was written is taken away.
    """
    where = storage if "://" in storage else str(Path(storage).absolute())
    run = secrets.token_hex(8)
    note = {node: f".skelstream-check-{run}-{node.id}" for node in among}
    wrote = _ask(among, write_note, lambda node: (where, note[node], node.id), answer_s)
    problems = [*wrote.problems(f"cannot write to {where}")]
    writers = list(wrote.given)
    if writers:
        first = writers[0]
        read = _ask(
            writers, read_notes, lambda node: (where, [note[w] for w in writers] if node == first else [note[first]]),
            answer_s,
        )  # fmt: skip
        problems += read.problems(f"cannot read {where}")
        for node in writers[1:]:
            both_ways = ((node, first), (first, node))
            missed = [(r, w) for r, w in both_ways if r in read.given and read.given[r].get(note[w]) != w.id]
            if missed:
                reader, writer = missed[0]
                problems.append(
                    f"{reader} does not see what {writer} wrote to {where}; give --storage a URL, or a folder that "
                    f"is mounted under the same path on every node"
                )
        _ask(writers, erase_note, lambda node: (where, note[node]), _LEAVE_S)
        _ask(writers, unmake, lambda node: (wrote.given[node],), _LEAVE_S)
    return problems


def version_problems(told: dict[Node, Facts]) -> list[str]:
    """A line for each node whose torch or skelstream is not that of most nodes. (Ray sees to its own and Python's.)"""
    problems = []
    for package in ("torch", "skelstream"):
        most = Counter(getattr(fact, package) for fact in told.values()).most_common(1)
        for node, fact in told.items():
            if (version := getattr(fact, package)) != most[0][0] or not version:
                wanted = most[0][0] or "a version"
                problems.append(f"{node} has {package} {version or 'not at all'}; install {wanted} as on every node")
    return problems


def security_problems(among: Sequence[Node]) -> list[str]:
    """A line if somebody on the network could run programs here: bound beyond loopback, and no token demanded."""
    open_to = sorted({node.address for node in among if node.address not in _LOOPBACK})
    if token_demanded() or not open_to:
        return []
    return [
        f"the cluster answers at {', '.join(open_to)} without token authentication: whoever reaches it can run "
        f"programs on it; start every node with RAY_AUTH_MODE=token and the same ~/.ray/auth_token"
    ]


def survey(among: Sequence[Node], answer_s: float = ANSWER_S) -> tuple[dict[Node, Facts], list[str]]:
    """What each node says of itself, and a line for each that says nothing."""
    answers = _ask(among, facts, lambda node: (), answer_s)
    return answers.given, answers.problems()


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What the nodes answered, and why those did not that gave no answer."""

    given: dict[Node, Any] = field(default_factory=dict)
    failed: dict[Node, str] = field(default_factory=dict)

    def problems(self, what: str = "cannot do what it is asked") -> list[str]:
        return [why if why.startswith(str(node)) else f"{node} {what}: {why}" for node, why in self.failed.items()]


def _ask(
    among: Sequence[Node], function: Callable[..., Any], arguments: Callable[[Node], tuple[Any, ...]], answer_s: float
) -> _Answers:
    """Run a function on each node at once, for at most `answer_s` seconds."""
    asked = {on_node(node, function, *arguments(node)): node for node in among}
    if not asked:
        return _Answers()
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=answer_s)
    answers = _Answers()
    for reference in ready:
        node = asked[reference]
        try:
            answers.given[node] = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            answers.failed[node] = _why(node, str(error.cause or error))
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            answers.failed[node] = f"{node} has left the cluster"
        except ray.exceptions.RayError as error:
            answers.failed[node] = f"{node} runs no tasks: {_why(node, str(error))}"
    for reference in late:
        ray.cancel(reference, force=True)
        answers.failed[asked[reference]] = (
            f"{asked[reference]} did not answer within {answer_s:.0f} s; see whether the machine or a disk of it hangs"
        )
    order = {node: i for i, node in enumerate(among)}
    return _Answers(
        given=dict(sorted(answers.given.items(), key=lambda item: order[item[0]])),
        failed=dict(sorted(answers.failed.items(), key=lambda item: order[item[0]])),
    )


def _why(node: Node, said: str) -> str:
    """One line of what an error says. Ray tells an import that fails on a node at length, the reason last."""
    lines = said.strip().splitlines() or ["it does not say why"]
    if "failed to import" in lines[0]:
        return f"{node} cannot run skelstream ({lines[-1]}); install the same skelstream[train] there as here"
    return lines[0]
