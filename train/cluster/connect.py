"""A Ray session for a command: a cluster's, or a local one started here and stopped at the end.

    with connected("10.0.0.5:6379"):
        for node in nodes():
            print(node, ray.get(on_node(node, some_function)))

A local session binds loopback alone and has a token of its own. Nothing is reported to anybody.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private import ray_constants
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .knock import knock, raylet, running

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's is 15: who trains on a machine does not want it to starve beside anything else
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker that was given no GPU sees those of its machine, unwarned
}
_KIND = "accelerator_type:"  # Ray's resource that names a node's GPUs


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node that is alive: Ray's hexadecimal id, the machine's name, what it offers, and where its servers are bound.

    `gpu_kind` is Ray's name for its GPUs, such as H100; `address` is loopback only if nothing else is bound.
    """

    id: str
    host: str
    cpus: int
    gpus: int
    gpu_kind: str = ""
    address: str = ""

    def __str__(self) -> str:
        """Several nodes may be on one machine: the id tells them apart."""
        return f"{self.host} (node {self.id[:8]})"


@contextmanager
def connected(address: str = "") -> Iterator[None]:
    """A Ray session: that of the cluster at `address` ("host:port", or "auto" on one of its machines), or a local one.

    With "" a session is started on this machine, which binds loopback alone, and is stopped at the end. Inside a
    session that exists already that one is used, and left as it is.
    Raises ValueError, within 30 s, if there is no cluster at the address that this machine can take part in.
    """
    if ray.is_initialized():
        yield
        return
    settings = _for_cluster(address) if address else _for_local()
    with _environment(settings.environment):
        try:
            with _loopback_is_loopback():
                ray.init(**settings.arguments, log_to_driver=False, logging_level=logging.ERROR)
            yield
        finally:
            ray.shutdown()


def nodes() -> list[Node]:
    """The nodes of the session that are alive, the head first, then by machine."""
    table: Callable[[], list[dict[str, Any]]] = ray.nodes
    alive = [told for told in table() if told["Alive"]]
    alive.sort(key=lambda told: ("node:__internal_head__" not in told["Resources"], told["NodeManagerHostname"]))
    return [
        Node(
            id=told["NodeID"],
            host=told["NodeManagerHostname"],
            cpus=int(told["Resources"].get("CPU", 0)),
            gpus=int(told["Resources"].get("GPU", 0)),
            gpu_kind=", ".join(n.removeprefix(_KIND) for n in sorted(told["Resources"]) if n.startswith(_KIND)),
            address=told["NodeManagerAddress"],
        )
        for told in alive
    ]


def on_node(node: Node, function: Callable[..., Any], *arguments: Any) -> ray.ObjectRef[Any]:
    """Run `function(*arguments)` as a task on that very node, besides whatever runs there (it takes no CPU).

    The reference raises what the function raises, and ray's TaskUnschedulableError or NodeDiedError if the node is
    gone.
    """
    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    task = ray.remote(num_cpus=0)(function)
    reference: ray.ObjectRef[Any] = task.options(scheduling_strategy=there).remote(*arguments)
    return reference


def token_demanded() -> bool:
    """Does the session's cluster demand a token of whoever talks to it?"""
    return bool(raylet.get_authentication_mode() == raylet.AuthenticationMode.TOKEN)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What `ray.init` is given, and the environment it and its processes see."""

    arguments: dict[str, Any]
    environment: dict[str, str]


def _for_cluster(address: str) -> _Settings:
    if address == "auto":
        try:
            with _loopback_is_loopback():
                address = running.canonicalize_bootstrap_address("auto")
        except ConnectionError as error:
            raise ValueError(
                "no Ray cluster runs on this machine; join one with `ray start --address=HOST:6379`, start one with "
                "`ray start --head`, or give its address"
            ) from error
    if address.startswith("ray://"):
        raise ValueError(
            f"{address} is for Ray Client, which training does not use: run the command on a machine of the cluster "
            f"with HOST:6379, or submit it with `ray job submit`"
        )
    head = knock(address)
    mode = "token" if head.with_token else "disabled"
    return _Settings(arguments={"address": head.address}, environment={"RAY_AUTH_MODE": mode})


def _for_local() -> _Settings:
    arguments = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), "")
    environment = {name: loopback for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if loopback}
    if "RAY_AUTH_MODE" not in os.environ:
        # Ray would write a token to the home directory, readable by all. One in the environment dies with the session.
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return _Settings(arguments=arguments, environment=environment)


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Variables for this process and those it starts, as they were afterwards. What the user set about noise stays."""
    wanted = {**{name: value for name, value in _QUIET.items() if name not in os.environ}, **wanted}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    _read_environment()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _read_environment()


def _read_environment() -> None:
    """Ray reads how to authenticate once in a process; the next session may need another way."""
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _loopback_is_loopback() -> Iterator[None]:
    """Keep Ray from turning 127.0.0.1 into the machine's address on the network, which it does on Linux.

    Only with exactly this address do its servers bind loopback alone; with any other they bind every interface.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
