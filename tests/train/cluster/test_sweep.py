"""Sweeps: what is drawn, whom trials are judged by, and that a killed trial or a killed sweep changes no result."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skelstream.launch.cli import main
from skelstream.train.cluster.sweep_command import pretraining_command
from skelstream.train.cluster.sweep_config import Place, PretrainingSweep, ProbeSweep
from skelstream.train.cluster.sweep_division import Division
from skelstream.train.cluster.sweep_report import End, Outcome, as_markdown, best_of, ranked, write_report
from skelstream.train.cluster.sweep_space import PretrainingSpace, ProbeSpace
from skelstream.train.recording import Recording
from skelstream.train.store import write_store

if TYPE_CHECKING:
    from skelstream.train.cluster.simulated import Machines

CONFIG = PretrainingSweep(hidden=8, batch=8, epochs=3, warmup=0, trials=3, probe_every=3, grace=3, reduction=2)


@pytest.fixture(scope="module")
def division(tmp_path_factory: pytest.TempPathFactory) -> Division:
    """Sets like NW-UCLA: four people, three views of which the third tests, three movements, each twice."""
    rng, t = np.random.default_rng(0), np.arange(70) / 30

    def recording(person: int, view: int, kind: int, take: int) -> Recording:
        body = rng.normal(size=(25, 3)) * 0.3 + (0, 0, 3)
        swing = np.sin(2 * np.pi * (1 + kind) * t)[:, None, None] * rng.normal(size=(25, 3)) * 0.2
        return Recording(
            name=f"{person}-{view}-{kind}-{take}", subject=f"nw_ucla/{person}", view=str(view), trimmed=True,
            times_s=t, labels=np.full(70, kind, np.int16), joints=(body + swing).astype(np.float32)[:, None],
        )  # fmt: skip

    path = tmp_path_factory.mktemp("stores") / "nw_ucla"
    write_store(
        path,
        (recording(p, v, k, n) for p in range(1, 5) for v in (1, 2, 3) for k in range(3) for n in range(2)),
        dataset="nw_ucla", classes=("a", "b", "c"), licence="", source="recorded",
    )  # fmt: skip
    return Division(stores=(str(path),), protocol="xview")


@given(count=st.integers(1, 40), seed=st.integers(0, 10_000))
def test_trials_are_drawn_from_the_space_by_the_seed(count: int, seed: int) -> None:
    space = PretrainingSpace(lr=(2e-4, 3e-3), spatial=(0.5, 0.5), gap=(2, 8), alpha=(0.1,))
    trials = space.trials(count, seed)
    assert trials == space.trials(40, seed)[:count]  # a longer sweep begins as the shorter one
    for trial in trials:
        assert 2e-4 <= float(trial["lr"]) <= 3e-3
        assert float(trial["lr"]) == float(f"{trial['lr']:.3g}")
        assert (trial["spatial"], trial["alpha"]) == (0.5, 0.1)
        assert trial["gap"] in (2, 8)
    # The paper's similarity is in the space, its learning rate and gap are not.
    assert trials[0]["similarity"] == 5.0
    assert trials[0]["lr"] != 1e-4


def test_ranges_are_drawn_from_evenly_in_their_logarithm() -> None:
    drawn = [float(trial["lr"]) for trial in PretrainingSpace(lr=(1e-4, 1e-2)).trials(2000, 0)]
    below = np.mean(np.array(drawn) < 1e-3)
    assert abs(below - 0.5) < 4 * math.sqrt(0.25 / 2000)  # four standard deviations


def test_the_probes_solvers_take_turns() -> None:
    trials = ProbeSpace().trials(6, 0)
    assert [trial["solver"] for trial in trials] == ["descent", "exact"] * 3
    assert trials[0] == {"solver": "descent", "lr": 0.006}
    assert trials[1] == {"solver": "exact", "l2": 1e-3}
    assert all(("lr" in trial) != ("l2" in trial) for trial in trials)


def test_spaces_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"space\.lr"):
        PretrainingSpace(lr=(1e-2, 1e-3))
    with pytest.raises(ValueError, match=r"space\.lr"):
        ProbeSpace(lr=(0.0, 1.0))
    with pytest.raises(ValueError, match=r"space\.gap"):
        PretrainingSpace(gap=())
    with pytest.raises(ValueError, match=r"space\.alpha"):
        PretrainingSpace(alpha=(0.5, 0.5))


def test_trials_are_judged_by_people_or_views_that_they_never_learn_from(division: Division) -> None:
    parts = division.parts()
    assert {clip.subject for clip in parts.validation.clips} == {"nw_ucla/4"}
    assert {clip.subject for clip in parts.fit.clips} == {"nw_ucla/1", "nw_ucla/2", "nw_ucla/3"}
    assert {clip.view for clips in (parts.pretrain, parts.fit, parts.validation) for clip in clips.clips} == {"1", "2"}
    assert (len(parts.pretrain), len(parts.fit), len(parts.validation)) == (36, 36, 12)

    views = Division(stores=division.stores, protocol="xview", held_out="views").parts()
    assert {clip.view for clip in views.validation.clips} == {"2"}
    assert {clip.view for clip in (*views.pretrain.clips, *views.fit.clips)} == {"1"}
    with pytest.raises(ValueError, match="no protocol 'xset'"):
        Division(stores=division.stores, protocol="xset").parts()


def outcome(number: int, end: End, *values: float, reason: str = "") -> Outcome:
    curve = tuple((10 * (i + 1), value) for i, value in enumerate(values))
    return Outcome(
        number=number, parameters={"lr": 0.001 * (number + 1), "gap": 4}, end=end, curve=curve, reason=reason
    )


def test_the_report_has_the_best_first_and_the_failed_with_their_reason(tmp_path: Path) -> None:
    outcomes = [
        outcome(0, "finished", 0.5, 0.6),
        outcome(1, "failed", 0.9, reason="ValueError: a | b"),
        outcome(2, "stopped early", 0.8),
        outcome(3, "finished", 0.4, 0.7),
        outcome(4, "failed", reason="The actor died"),
    ]
    assert [o.number for o in ranked(outcomes)] == [2, 3, 0, 1, 4]
    best = best_of(outcomes)
    assert best is not None and best.number == 3  # what was stopped early has not shown how it ends
    assert best_of(outcomes[1:3]) is None
    lines = as_markdown(outcomes, "linear", 20, "about", "skelstream train pretrain").splitlines()
    assert lines[2] == "| trial | linear | steps | ended | lr | gap |"
    assert lines[4] == "| 2 | 80.0 | 10/20 | stopped early | 0.003 | 4 |"
    assert lines[7] == "| 1 | 90.0 | 10/20 | failed: ValueError: a \\| b | 0.002 | 4 |"
    assert lines[8] == "| 4 | – | 0/20 | failed: The actor died | 0.005 | 4 |"
    assert "skelstream train pretrain" in lines

    write_report(outcomes, "linear", 20, ("lr",), "about", "", tmp_path)
    told = json.loads((tmp_path / "sweep.json").read_text())
    assert told["best"] == 3
    assert told["trials"][1]["curve"] == [[10, 0.4], [20, 0.7]]
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    write_report(outcomes[4:], "linear", 20, ("lr",), "about", "", tmp_path)  # nothing was ever probed
    assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_the_command_for_the_best_trains_with_what_was_found(
    division: Division, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = PretrainingSpace(cross_correlation=(1e-3,), gap=(8,), alpha=(0.3,)).trials(2, 0)[1]
    words = shlex.split(pretraining_command(division, CONFIG, best))
    monkeypatch.chdir(tmp_path)
    assert main([*words[1:], "--epochs", "1"]) == 0
    told = json.loads((tmp_path / words[words.index("--out") + 1] / "run.json").read_text())["pretraining"]
    assert {name: told["encoder"][name] for name in ("gap", "alpha")} == {"gap": 8, "alpha": 0.3}
    assert (told["lr"], told["batch"], told["schedule"]) == (best["lr"], 8, "cosine")
    for name in ("similarity", "cross_correlation", "temporal", "spatial", "instance"):
        assert told["weights"][name] == best[name]


ray = pytest.importorskip("ray")

import psutil  # noqa: E402  Ray brings it

from skelstream.train.cluster.sweep import sweep_pretraining, sweep_probe  # noqa: E402


@pytest.fixture(scope="module")
def place(machines: Machines) -> Iterator[Place]:
    """A cluster with one CPU: trials run one after another, so that which are stopped early is always the same."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_worker_niceness", "0")  # whatever else runs on the machine that tests
        machines.head()
        environment.setenv("RAY_AUTH_TOKEN", machines.token)
        yield Place(ray=machines.address)


@pytest.fixture(scope="module")
def undisturbed(division: Division, place: Place, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What comes of the sweep when nothing happens to it."""
    return sweep_pretraining(division, CONFIG, tmp_path_factory.mktemp("undisturbed"), lambda line: None, place)


def stopped_as_asha_would(in_order: list[Outcome]) -> None:
    """ASHA by hand, one trial after another: at 3, 6 and 12 steps whoever is below the median of those before stops."""
    for number, later in enumerate(in_order):
        curve = dict(later.curve)
        for step in (3, 6, 12):
            before = [dict(o.curve)[step] for o in in_order[:number] if step in dict(o.curve)]
            if before and curve[step] < np.median(before):
                break
        assert later.steps == step
        assert later.end == ("stopped early" if step < 12 else "finished")


def test_a_sweep_compares_trials_and_stops_the_poor_ones(undisturbed: list[Outcome]) -> None:
    assert [outcome.number for outcome in undisturbed] == [0, 1, 2]
    assert [step for step, _ in undisturbed[0].curve] == [3, 6, 9, 12]
    stopped_as_asha_would(undisturbed)


@pytest.mark.slow  # three sessions
def test_a_sweep_that_is_killed_and_interrupted_goes_on(
    division: Division, place: Place, undisturbed: list[Outcome], tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    program = (
        "import sys, tyro; from skelstream.launch.cli_sweep import COMMANDS; "
        "sys.exit(tyro.extras.subcommand_cli_from_dict(COMMANDS, args=sys.argv[1:]))"
    )
    asked = (
        f"sweep --stores {division.stores[0]} --protocol xview --out {out} --ray {place.ray} --hidden 8 --batch 8 "
        f"--epochs 3 --warmup 0 --trials 3 --probe-every 3 --grace 3 --reduction 2"
    )
    command = [sys.executable, "-c", program, *asked.split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if line.startswith("trial 0: step 9"):
                running.kill()
    assert said[-1].startswith("trial 0: step 9"), said

    with pytest.raises(ValueError, match="other settings"):
        sweep_pretraining(division, replace(CONFIG, seed=1), out, said.append, place)

    def interrupt(line: str) -> None:
        later.append(line)
        if len(later) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    later: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        sweep_pretraining(division, CONFIG, out, interrupt, place)
    assert later[-1].startswith("stopped, ")
    assert not (out / "sweep.md").exists()

    found = sweep_pretraining(division, CONFIG, out, later.append, place)
    assert later[-1].startswith("best is trial")
    assert (out / "sweep.md").is_file()
    assert found[0] == undisturbed[0]
    assert not any(line.startswith("trial 0: step 3/") for line in later)  # it went on from a checkpoint
    for mine, theirs in zip(found, undisturbed, strict=True):
        common = min(len(mine.curve), len(theirs.curve))
        assert mine.curve[:common] == theirs.curve[:common]
    # Tune may take up the others in another order; they are compared with what was known of the first all the same.
    order = dict.fromkeys(int(line.split(":")[0].removeprefix("trial ")) for line in later if line.startswith("trial"))
    stopped_as_asha_would([found[number] for number in dict.fromkeys([0, *order])])


@pytest.mark.slow  # waits for a trial to come back
def test_a_trial_that_is_killed_goes_on_from_its_checkpoint(
    division: Division, place: Place, machines: Machines, undisturbed: list[Outcome], tmp_path: Path
) -> None:
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            running = psutil.Process(machines._started[0].pid).children(recursive=True)
            (trial,) = [process for process in running if "ray::ImplicitFunc" in " ".join(process.cmdline())]
            trial.kill()

    (killed,) = sweep_pretraining(division, replace(CONFIG, trials=1), tmp_path, kill, place)
    assert [line[:15] for line in said[:2]] == ["trial 0: step 3", "trial 0: step 6"]
    assert "after: The actor died" in said[2]
    assert said[3].startswith(("trial 0: step 6", "trial 0: step 9"))  # not from the start
    assert killed == undisturbed[0]


@pytest.mark.slow  # trials
def test_a_trial_that_fails_is_listed_with_its_reason(division: Division, place: Place, tmp_path: Path) -> None:
    config = replace(CONFIG, trials=1, space=PretrainingSpace(lr=(1e25, 1e25)))
    said: list[str] = []
    (failed,) = sweep_pretraining(division, config, tmp_path, said.append, place)
    assert failed.end == "failed"
    assert "diverged; lower lr" in failed.reason
    assert failed.reason in (tmp_path / "sweep.md").read_text()
    assert said[-1] == "no trial went through; sweep.md gives the reasons"


@pytest.mark.slow  # trials
def test_probes_are_fitted_to_the_frozen_encoders_features(division: Division, place: Place, tmp_path: Path) -> None:
    from skelstream.train.pretrained import load_pretrained
    from skelstream.train.probes import Exact, fit_probe
    from skelstream.train.tasks.features import whole_features

    config = ProbeSweep(trials=3, crops=0)
    found = sweep_probe(division, "small", config, tmp_path, lambda line: None, place)
    assert [outcome.end for outcome in found] == ["finished"] * 3
    parts, encoder = division.parts(), load_pretrained("small")
    probe = fit_probe(whole_features(encoder, parts.fit)[None], torch.from_numpy(parts.fit.labels), 3, Exact(l2=1e-3))
    right = probe(whole_features(encoder, parts.validation)).argmax(dim=1).numpy() == parts.validation.labels
    assert found[1].parameters == {"solver": "exact", "l2": 1e-3}
    assert found[1].value == pytest.approx(right.mean())


def test_what_the_cluster_cannot_run_is_refused(division: Division, place: Place, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="9 GPUs a trial"):
        sweep_pretraining(division, CONFIG, tmp_path, lambda line: None, Place(ray=place.ray, gpus_per_trial=9.0))
    assert time.monotonic() - began < 30
    with pytest.raises(ValueError, match="do not fill one batch"):
        sweep_pretraining(division, PretrainingSweep(batch=64), tmp_path / "large", lambda line: None, place)
    assert not (tmp_path / "large").exists()
