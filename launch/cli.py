"""The command line: `skelstream COMMAND`, one small function a command.

Exit codes: 0 done, 1 the run failed, 2 the request was wrong (one line says what and how to mend it).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Positional

from .. import __version__
from ..encoder.engine.compile import EngineChoice
from ..encoder.full_disk import DiskFull
from ..stream.settings import Settings
from ..train.cluster.on_ray import TrainingLost
from .cli_bench import COMMANDS as BENCHES
from .cli_engines import engines
from .cli_keys import COMMANDS as KEYS
from .cli_live import live_command, presets
from .cli_share import COMMANDS as SHARING
from .cli_stages import COMMANDS as STAGES
from .cli_stages import PoseModel
from .cli_teach import COMMANDS as TEACHING


def replay(
    file: Positional[str],
    *,
    model: str = "small",
    engine: EngineChoice = "auto",
    threads: int = 1,
    hop: int = 1,
    delay: int | None = None,
    json: bool = False,
    page: bool = False,
    host: str = "127.0.0.1",
    port: int = 8765,
) -> int:
    """Run a recording's skeletons through window, detector and decision again."""
    from .live import Live, run_live

    settings = Settings(
        folder="", replay=file, model=model, engine=engine, threads=threads, hop=hop, delay=delay, host=host, port=port
    )
    return run_live(Live(settings=settings, json=json, page=page)).code


def models(*, fetch: bool = False) -> int:
    """The bundles that are shipped, and the pose models; --fetch gets the pose model that `live` uses."""
    from .doctor import show_models

    return show_models(fetch)


def doctor() -> int:
    """What this machine has, what works, and what is missing."""
    from .doctor import examine

    return examine()


def protocol(*, json: bool = False) -> int:
    """The messages that a program of your own may hear or send: their fields, or with --json their JSON Schema."""
    from json import dumps

    from ..stream.wire.schema import json_schema, reference

    try:
        print(dumps(json_schema(), indent=1) if json else reference(), flush=True)
    except BrokenPipeError:  # `| head` has seen enough; what is left must not be tried again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def evaluate(
    *,
    model: str = "small",
    stores: list[Path],
    out: Path = Path("runs/evaluation"),
    part: Literal["test", "val"] = "test",
    engine: EngineChoice = "auto",
    hop: int = 1,
    online: bool = False,
    against: list[str] = [],  # noqa: B006  # read, never changed
) -> int:
    """How good a bundle is on people it never saw: a table, a confusion matrix as a picture, and the gap between
    recorded joints and joints that went through drawing and MediaPipe.

    Args:
        stores: prepared stores (`data prepare`, `data draw`).
        out: folder for the pictures and report.json.
        hop: frames between two windows, 1 in `live`; 4 takes a quarter of the time.
        online: how soon, how steadily and how seldom wrong instead: the table and the picture of what each delay buys,
            with and without the decision layer.
        against: with --online, other bundles in the same picture.
    """
    if online:
        from .evaluate_online import evaluate_online

        return evaluate_online(model, stores, out, part, engine, hop, rivals=against)
    if against:
        raise ValueError("--against belongs to --online; give both or neither")
    from .evaluate import evaluate_bundle

    return evaluate_bundle(model, stores, out, part, engine, hop)


def fit(
    model: Positional[str], *, stores: list[Path], out: Path | None = None, delay: int = 4, hop: int = 2,
    threads: int | None = None,
) -> int:  # fmt: skip
    """Fit how a bundle's scores are decoded, on the validation people of the stores; the detector itself stays.

    Args:
        stores: prepared stores that hold validation people (`train/splits.py`).
        out: the bundle to write; without it the model is written anew in its place.
        delay: frames that a decision waits for.
        hop: frames between two windows.
        threads: of the engine.
    """
    from .fit import fit_bundle

    return fit_bundle(model, stores, out, delay, hop, threads)


def data_prepare(
    dataset: Positional[str], raw: Positional[Path], store: Positional[Path], *, processes: int = os.cpu_count() or 1,
    ray: str = "",
) -> int:  # fmt: skip
    """Read a data set into a store: one memory-mapped array of frames at 30 Hz, and an index.

    Args:
        dataset: its name, `actor` for the drawn actor's choreography, or `daily` for an actor who goes about the day.
        raw: the folder that holds the set's own files, or DATASET.npz.
        store: the folder to write; it must not exist.
        processes: how many read a set of many files (NTU, PKU-MMD, UAV-Human); the same command goes on if stopped.
        ray: read on a cluster instead: its address (HOST:6379, auto), or local for one that is started here; all nodes
            must see RAW and STORE.
    """
    from .prepare import prepare

    return prepare(dataset, raw, store, processes, ray)


def data_check(store: Positional[Path], *, out: Path | None = None, seed: int = 0) -> int:
    """What a store holds and whether it is sound: counts, joints that are no number, ranges, bones, a contact sheet.

    Args:
        out: draw random recordings to this PNG.
        seed: chooses them.
    """
    from .check import check

    return check(store, out, seed)


def data_draw(
    source: Positional[Path],
    out: Positional[Path],
    *,
    pose: PoseModel = "lite",
    part: Literal["train", "val", "test", "all"] = "all",
    every: int = 1,
    stride: int = 1,
    seed: int = 0,
    people: int = 1,
    processes: int = 2,
) -> int:
    """Draw a store's recordings as people and see them through MediaPipe: another store, of a camera's joints.

    Args:
        every: only each n-th recording.
        stride: a camera of 30 / stride frames a second looks on.
        people: 2 draws both people of a recording and looks for both.
    """
    from .prepare import draw

    return draw(source, out, pose, part, every, stride, seed, people, processes)


def data_gap(
    *, recorded: tuple[Path, ...], drawn: tuple[Path, ...], out: Path = Path("runs/gap"), videos: tuple[str, ...] = (),
    pose: PoseModel = "lite", profile: bool = False,
) -> int:  # fmt: skip
    """What a camera makes of joints: bias, noise, jitter, lag and lost depth, by joint and by view; a table, a picture.

    Args:
        recorded: stores as recorded.
        drawn: their twins by `data draw`.
        out: folder for gap.json and gap.png.
        videos: real ones, of which nobody knows the truth: jitter at rest, joints not found, left and right exchanged.
        profile: also fit what the augmentation needs (`train/camera_noise.py`), from the training people alone.
    """
    from .gap import measure_gap

    return measure_gap(recorded, drawn, out, videos, pose, profile)


def export(
    model: Positional[str],
    *,
    out: Path | None = None,
    calibrate: tuple[Path, ...] = (),
    engines: tuple[str, ...] = (),
    verify: tuple[Path, ...] = (),
    windows: int = 500,
    threads: int | None = None,
) -> int:
    """A model's engines: compiled, compared with the reference, told of in a table. With --calibrate or --out its graph
    is written anew first, from its weights.

    Args:
        model: a shipped bundle's name, a bundle's folder, or a run's that holds one.
        out: write the bundle here; the default is in place.
        calibrate: stores whose training and validation people show which ranges int8 must hold.
        engines: BACKEND or BACKEND:PRECISION (openvino:int8, tensorrt:fp16, torch); the default is all that run here.
        verify: stores on whose test people class probabilities are compared too; engines that exist are not compiled.
        windows: how many windows of theirs.
        threads: CPU threads of each engine; the default is all.
    """
    from .export import export as run

    return run(model, out=out, calibrate=calibrate, engines=engines, verify=verify, windows=windows, threads=threads)


def import_(
    checkpoint: Positional[Path],
    out: Positional[Path],
    *,
    modality: Literal["joint", "motion", "bone"] = "joint",
    task: Literal["recognise", "detect"] | None = None,
) -> int:
    """One of the USDRL authors' checkpoints as a bundle; nothing in it is executed.

    Args:
        task: what its head is for, where the number of classes does not tell.
    """
    from .import_checkpoint import import_checkpoint

    return import_checkpoint(checkpoint, out, modality=modality, task=task)


def completion(shell: Positional[Literal["bash", "zsh", "fish"]]) -> int:
    """A script that completes commands, options and their values: source <(skelstream completion bash), or zsh; fish:
    skelstream completion fish > ~/.config/fish/completions/skelstream.fish."""
    from .completion import script, tabled

    here: dict[str, _Commands] = {}
    for group, load in _HEAVY.items():
        with contextlib.suppress(ModuleNotFoundError):  # without torch there is nothing to complete
            here[group] = load()
    print(script(shell, tabled({**_COMMANDS, **_GROUPS, **here})), end="")
    return 0


_Commands = dict[str, Callable[..., int]]
_COMMANDS: _Commands = {
    "live": live_command([]), "presets": presets, "replay": replay, **STAGES, "models": models, "doctor": doctor,
    "protocol": protocol, "evaluate": evaluate, "fit": fit, "import": import_, "export": export, "engines": engines,
    **SHARING, "completion": completion, **TEACHING,
}  # fmt: skip
_GROUPS: dict[str, _Commands] = {
    "data": {"prepare": data_prepare, "check": data_check, "draw": data_draw, "gap": data_gap},
    "bench": BENCHES,
    "keys": KEYS,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    commands, program = _COMMANDS, "skelstream"
    if words == ["--version"]:
        print(f"skelstream {__version__}")
        return 0
    groups = "; and: train ..., cluster check, " + ", ".join(f"{g} {c}" for g, cs in _GROUPS.items() for c in cs)
    try:
        if words and words[0] in (*_GROUPS, *_HEAVY):
            commands = _GROUPS[words[0]] if words[0] in _GROUPS else _HEAVY[words[0]]()
            program, groups, words = f"skelstream {words[0]}", "", words[1:]
        elif words and words[0] == "live":
            commands = {**_COMMANDS, "live": live_command(words[1:])}
        code: int = tyro.extras.subcommand_cli_from_dict(
            commands, prog=program, args=words, description=f"What people do, from their skeletons, live{groups}."
        )
        return code
    except ValueError as error:
        print(f"skelstream: {error}", file=sys.stderr)
        return 2
    except (TrainingLost, DiskFull) as error:
        print(f"skelstream: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("skelstream"):
            raise
        print(
            f"skelstream: this needs {missing.name}; install the extra `train`: pip install 'skelstream[train]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130


def _training() -> _Commands:
    from .cli_train import COMMANDS

    return COMMANDS


def _cluster() -> _Commands:
    from .cli_cluster import COMMANDS

    return COMMANDS


# What needs torch or Ray, and is not imported before it is asked for.
_HEAVY: dict[str, Callable[[], _Commands]] = {"train": _training, "cluster": _cluster}
