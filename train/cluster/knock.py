"""Knock at a Ray head before joining it: is anybody there, is it Ray, of our version, with our token, with us in it?

Ray's own client waits up to a minute for a head that does not answer and prints pages meanwhile. Here two plain gRPC
calls with a deadline find out what is wrong, so that one line can say it.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from dataclasses import dataclass
from typing import Any

import grpc
import ray
from ray import _raylet
from ray._private import services
from ray.core.generated import gcs_service_pb2

# Neither generated nor compiled modules come with types.
messages: Any = gcs_service_pb2
raylet: Any = _raylet
running: Any = services

ANSWER_S = 6.0  # for one call
_REGISTER_S = 8.0  # that a raylet which has just been started may take to be known to its head


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head that answers: `address` is host:port, `with_token` whether it demands a token (which we have, then)."""

    address: str
    with_token: bool


def knock(address: str) -> Head:
    """See whether this machine can take part in the cluster whose head is at `address` ("host:port").

    Raises ValueError, in at most 30 s, if nothing answers there, it is no Ray head, its Ray or Python is another
    version, it refuses our token, it has no token authentication though RAY_AUTH_MODE=token demands it, or this
    machine is none of its nodes.
    """
    host, port = _host_and_port(address)
    _somebody_listens(host, port, address)
    told, token = _metadata(address)
    _same_versions(told, address)
    if not token and os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        raise ValueError(
            f"the cluster at {address} runs without token authentication, but RAY_AUTH_MODE=token is set here; "
            f"start every node with RAY_AUTH_MODE=token, or unset it here"
        )
    _we_belong(address, token)
    return Head(address=address, with_token=bool(token))


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is no address of a Ray head; write HOST:PORT (such as 10.0.0.5:6379) or auto")
    return host.strip("[]"), int(port)


def _somebody_listens(host: str, port: int, address: str) -> None:
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except socket.gaierror as error:
        raise ValueError(f"there is no machine {host!r} ({error.strerror}); check the address {address}") from error
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror
        raise ValueError(
            f"no Ray cluster at {address} ({why}); start one with `ray start --head --port={port}` on {host}, "
            f"or give the address of one that runs"
        ) from error


def _metadata(address: str) -> tuple[dict[str, str], str]:
    """What the head says of itself, and the token that it wanted ("" if none)."""
    question = messages.InternalKVGetRequest(key=b"CLUSTER_METADATA", namespace=b"cluster")
    method = "InternalKVGcsService/InternalKVGet"
    token = ""
    try:
        reply = _call(address, method, question, messages.InternalKVGetReply, token)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise _no_head(address, error) from error
        token = _our_token(address)
        try:
            reply = _call(address, method, question, messages.InternalKVGetReply, token)
        except grpc.RpcError as again:
            if again.code() != grpc.StatusCode.UNAUTHENTICATED:
                raise _no_head(address, again) from again
            raise ValueError(
                f"the cluster at {address} refuses our token; put the cluster's into ~/.ray/auth_token, or name its "
                f"file in RAY_AUTH_TOKEN_PATH"
            ) from again
    try:
        told: dict[str, str] = json.loads(reply.value)
    except ValueError as error:
        raise ValueError(
            f"the head at {address} does not tell its versions; it must run Ray {ray.__version__}"
        ) from error
    return told, token


def _call(address: str, method: str, question: Any, answer: Any, token: str) -> Any:
    """One gRPC call to the head; the token goes along if there is one. Raises grpc.RpcError."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        ask = channel.unary_unary(
            f"/ray.rpc.{method}",
            request_serializer=type(question).SerializeToString,
            response_deserializer=answer.FromString,
        )
        head = [("authorization", f"Bearer {token}")] if token else []
        return ask(question, timeout=ANSWER_S, metadata=head)


def _no_head(address: str, error: grpc.RpcError) -> ValueError:
    return ValueError(
        f"what listens at {address} is no Ray head ({error.code().name.lower()}); give the port that "
        f"`ray start --head` names, 6379 unless told otherwise"
    )


def _our_token(address: str) -> str:
    """RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token, in this order."""
    loader = raylet.AuthenticationTokenLoader.instance()
    loader.reset_cache()  # the environment may have changed since it looked
    missing = (
        f"the cluster at {address} demands a token and there is none here; put the cluster's into ~/.ray/auth_token "
        f"(mode 600), or name its file in RAY_AUTH_TOKEN_PATH"
    )
    try:
        token: str = loader.get_raw_token(ignore_auth_mode=True)
    except Exception as error:  # Ray has several, such as for a RAY_AUTH_TOKEN_PATH that does not exist
        raise ValueError(missing) from error
    if not token:
        raise ValueError(missing)
    return token


def _same_versions(told: dict[str, str], address: str) -> None:
    for what, theirs, ours in (
        ("Ray", told.get("ray_version"), ray.__version__),
        ("Python", told.get("python_version"), platform.python_version()),
    ):
        if theirs != ours:
            raise ValueError(
                f"the cluster at {address} runs {what} {theirs}, this machine {ours}; "
                f"they must be the same: install {what} {theirs} here, or {ours} on every node"
            )


def _we_belong(address: str, token: str) -> None:
    """A driver needs a raylet of the cluster beside it. One that has just been started may not be known yet."""
    alive = messages.GetAllNodeInfoRequest(state_filter=0)
    until = time.monotonic() + _REGISTER_S
    while True:
        try:
            reply = _call(address, "NodeInfoGcsService/GetAllNodeInfo", alive, messages.GetAllNodeInfoReply, token)
        except grpc.RpcError as error:
            raise _no_head(address, error) from error
        theirs = {node.node_id.hex() for node in reply.node_info_list}
        ours = set(running.find_node_ids())
        if theirs & ours:
            return
        if not ours or time.monotonic() > until:
            raise ValueError(
                f"this machine is no node of the cluster at {address}; run the command on one, submit it with "
                f"`ray job submit`, or join with `ray start --address={address}`"
            )
        time.sleep(0.5)
