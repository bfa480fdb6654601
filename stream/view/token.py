"""The token that opens the page to other machines: when one is asked for, where it comes from, the address to open."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import socket

VARIABLE = "SKELSTREAM_TOKEN"
_FORM = re.compile(r"[A-Za-z0-9._~-]{16,256}")  # what a URL, a header and a cookie carry as it is
_EVERYWHERE = ("", "0.0.0.0", "::")


def token_for(host: str) -> str:
    """The token that a page bound to this address asks for: the environment's, else a new random one; "" on loopback.

    Raises ValueError if the environment's is too short, or of other letters than an address can carry.
    """
    if is_loopback(host):
        return ""
    token = os.environ.get(VARIABLE) or secrets.token_urlsafe(32)
    if not _FORM.fullmatch(token):
        raise ValueError(f"{VARIABLE} must be 16 to 256 letters, digits, - . _ ~; unset, it is a random one")
    return token


def page_url(host: str, port: int, token: str) -> str:
    """The address to open, for the person who started the page alone: it holds the token.

    A token that they chose themselves is not repeated, it might end in a service's log.
    """
    name = _address() if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    said = f"${VARIABLE}" if token == os.environ.get(VARIABLE) else token
    return f"http://{name}:{port}" + (f"/?token={said}" if token else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a socket that is bound to this address."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _address() -> str:
    """This machine's address on the network that leads outside; where there is none, loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # nobody's, and nothing is sent: it only chooses the network
        return str(probe.getsockname()[0])
    return "127.0.0.1"
