"""The deployment files say what Ray and Kubernetes understand, keep the token on, and call commands that exist.

No Kubernetes and no Slurm are here: manifests are checked for consistency, and the Slurm script runs for real with the
two Slurm commands that it uses replaced by what they do on a single machine.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray")
yaml = pytest.importorskip("yaml")

import tyro  # noqa: E402

from skelstream.launch import cli  # noqa: E402
from skelstream.launch.cli_cluster import cluster_check  # noqa: E402
from skelstream.launch.cli_train import COMMANDS as TRAIN  # noqa: E402

FOLDER = Path(cli.__file__).parent / "cluster"
BARE, CLUSTER, JOB = "bare-machines.yaml", "kuberay-cluster.yaml", "kuberay-job.yaml"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def test_the_bare_machines_are_a_valid_ray_cluster() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    (told,) = documents(BARE)
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(told, schema)
    workers = told["provider"]["worker_ips"]
    kind = told["available_node_types"][told["head_node_type"]]
    assert told["max_workers"] == kind["min_workers"] == kind["max_workers"] == len(workers)
    (head,) = (line for line in told["head_start_ray_commands"] if "start" in line)
    assert f"--node-ip-address={told['provider']['head_ip']} " in head and "--dashboard-host=127.0.0.1" in head
    for line in told["head_start_ray_commands"] + told["worker_start_ray_commands"]:
        assert "start" not in line or "RAY_AUTH_MODE=token" in line
    assert "~/.ray/auth_token" in told["file_mounts"]


def pods(spec: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [(group["template"]["spec"], group.get("groupName", "head")) for group in groups]


def cluster_specs() -> dict[str, dict[str, Any]]:
    (cluster,) = (told for told in documents(CLUSTER) if told["kind"] == "RayCluster")
    (job,) = documents(JOB)
    assert job["kind"] == "RayJob" and cluster["apiVersion"] == job["apiVersion"] == "ray.io/v1"
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    return {CLUSTER: cluster["spec"], JOB: job["spec"]["rayClusterSpec"]}


@pytest.mark.parametrize("name", [CLUSTER, JOB])
def test_pods_share_image_and_volumes_and_demand_a_token(name: str) -> None:
    spec = cluster_specs()[name]
    assert spec["authOptions"] == {"mode": "token"}
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert f"ray[default]=={spec['rayVersion']}" in dockerfile
    assert f"ray[default]=={spec['rayVersion']}" in (FOLDER / BARE).read_text()
    claims = {told["metadata"]["name"] for told in documents(CLUSTER) if told["kind"] == "PersistentVolumeClaim"}
    images, gpus = set(), {}
    for pod, group in pods(spec):
        (container,) = pod["containers"]
        images.add(container["image"])
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        claimed = {volume["persistentVolumeClaim"]["claimName"] for name, volume in volumes.items() if name != "shm"}
        assert claimed == claims
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        gpus[group] = container["resources"]["limits"].get("nvidia.com/gpu", 0)
    assert len(images) == 1 and gpus == {"head": 0, "gpu": 1, "cpu": 0}
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_claims_are_for_every_pod() -> None:
    for told in documents(CLUSTER):
        if told["kind"] == "PersistentVolumeClaim":
            assert told["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_job_runs_on_the_cluster_that_stays() -> None:
    """Both describe the same machines, so that what works in one works in the other."""
    specs = cluster_specs()
    assert specs[CLUSTER] == specs[JOB]


def test_the_shell_script_is_sound() -> None:
    script = FOLDER / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, script], check=True)


def command_lines() -> list[tuple[str, list[str]]]:
    """Every skelstream command in the files, its shell variables filled in."""
    found = []
    for path in sorted(FOLDER.iterdir()):
        for line in re.findall(r"skelstream ((?:cluster|train|data) [^\n'&]*)", path.read_text()):
            found.append((path.name, shlex.split(re.sub(r"\$\w+", "1", line.replace("$dataset", "nw-ucla")))))
    return found


def test_the_files_name_commands() -> None:
    named = {(name, *words[:2]) for name, words in command_lines()}
    for name in (BARE, CLUSTER):
        assert {(name, "cluster", "check"), (name, "train", "pipeline")} <= named
    assert {(JOB, "train", "pipeline"), ("slurm.sh", "train", "pipeline")} <= named


def parsed(command: Callable[..., int]) -> Callable[..., int]:
    """The command as the parser sees it, which does nothing once its words are understood."""

    @functools.wraps(command)
    def nothing(*_: object, **__: object) -> int:
        return 0

    return nothing


COMMANDS = {("cluster", "check"): cluster_check, ("train", "pipeline"): TRAIN["pipeline"]}


def test_the_commands_take_these_words() -> None:
    lines = [(name, words) for name, words in command_lines() if tuple(words[:2]) in COMMANDS]
    assert lines
    for name, words in lines:
        try:
            tyro.cli(parsed(COMMANDS[words[0], words[1]]), args=words[2:])
        except SystemExit:
            pytest.fail(f"{name}: skelstream {' '.join(words)}")


_SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
_SKELSTREAM = """#!{python}
import json, os, sys
from skelstream.train.cluster.connect import connected, nodes, token_demanded
from skelstream.train.cluster.check import require_same_view
words = sys.argv[1:]
with connected(words[words.index("--ray") + 1]):
    require_same_view([], words[words.index("--storage") + 1])
    path = os.environ["RAY_AUTH_TOKEN_PATH"]
    json.dump(dict(words=words, nodes=len(nodes()), token=token_demanded(), mode=os.stat(path).st_mode & 0o777),
              open("told.json", "w"))
sys.exit(int(os.environ["CODE"]))
"""


def _processes(of: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [words] if of in words else []
    return found


@pytest.mark.slow  # two clusters start and stop
@pytest.mark.skipif(sys.platform != "linux", reason="Slurm runs on Linux")
@pytest.mark.parametrize("code", [0, 7])
def test_the_slurm_job_makes_a_cluster_and_takes_it_away(code: int, tmp_path: Path) -> None:
    """Two nodes, both this machine; the training is a program that looks at what it was given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", _SRUN), ("skelstream", _SKELSTREAM.format(python=sys.executable))):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    job = str(100_000 + secrets.randbelow(900_000))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path),
        "SLURM_JOB_ID": job, "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1", "SLURMD_NODENAME": "first",
        "RAW": "/raw", "OUT": str(tmp_path / "out"), "CODE": str(code),
    }  # fmt: skip
    try:
        done = subprocess.run(
            ["bash", FOLDER / "slurm.sh", "nw-ucla"], env=environment, cwd=tmp_path, capture_output=True, text=True,
            timeout=240,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        told = json.loads((tmp_path / "told.json").read_text())
        assert told["nodes"] == 2 and told["token"] is True and told["mode"] == 0o600
        assert told["words"][:3] == ["train", "pipeline", "nw-ucla"]
        assert told["words"][-2:] == ["--workers", "2"]
        assert not list(tmp_path.glob(".skelstream*"))
        assert not _processes(f"/tmp/ray-{job}/")
    finally:
        shutil.rmtree(f"/tmp/ray-{job}", ignore_errors=True)
