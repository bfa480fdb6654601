"""Tells systemd, where it started us, that everything is ready and that the supervisor still turns (sd_notify(3)): a
datagram to the socket that it named. Whoever has hung for `WatchdogSec=` is started anew."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Without `$NOTIFY_SOCKET` it does nothing."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in no folder; the kernel knows such by a zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit_us = os.environ.get("WATCHDOG_USEC", "") if watched else ""
        self._every_s = int(limit_us) / 1e6 / 3 if limit_us.isdigit() and int(limit_us) > 0 else None
        self._ready = False
        self._told_at = -float("inf")

    def turn(self, *, ready: bool) -> None:
        """Called with every round of the supervisor."""
        if not self._address:
            return
        if ready and not self._ready:
            self._ready = True
            self._send("READY=1")
        now = time.monotonic()
        if self._every_s is not None and now - self._told_at >= self._every_s:
            self._told_at = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """We have been told to end, and are about to."""
        if self._address:
            self._send("STOPPING=1")

    def _send(self, what: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
            unix.setblocking(False)
            unix.sendto(what.encode(), self._address)
