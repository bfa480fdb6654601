"""Who may look: the name by which the page was reached, the page that a WebSocket comes from, and the token.

Another site's name can be made to point at this machine, and its page would then count as ours (DNS rebinding). An IP
address cannot, nor can localhost, nor the host that we were told to bind: only these names are answered to.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.websockets import WebSocket

from .token import is_loopback

REFUSALS = ("token", "origin", "host", "too many viewers")  # why somebody is turned away

_UNTRACED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_NO_TOKEN = (
    "this page needs its token: open the address that skelstream told when it was started "
    "(http://HOST:PORT/?token=...), or send the header Authorization: Bearer TOKEN\n"
)


class Access:
    """Lets in or turns away. `refused` is told the reason, one of `REFUSALS`, each time.

    `host` and `port` are what the page is bound to. Raises ValueError if other machines can reach it, and no `token` is
    asked for.
    """

    def __init__(self, host: str, port: int, token: str, refused: Callable[[str], object]) -> None:
        if not token and not is_loopback(host):
            raise ValueError(f"other machines can reach a page at {host!r}, and it has no token; give it one")
        self.refused = refused
        self._host, self._token = host, token
        self._cookie = f"skelstream-{port}"  # cookies know no ports: two pages of one machine must not share theirs

    def knows(self, connection: HTTPConnection) -> bool:
        """Whether the token was sent, as a cookie or as a program's header, or none is asked for."""
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        given = (connection.cookies.get(self._cookie, ""), bearer if scheme.lower() == "bearer" else "")
        return not self._token or any(map(self._is_token, given))

    def answer(self, request: Request) -> Response | None:
        """The answer to a request that is not let in, or that has the token in its address; else None.

        The latter gets a cookie and is sent on to the same address without the token.
        """
        if (misnamed := self.misnamed(request)) is not None:
            return misnamed
        if not self._token or (token := request.query_params.get("token")) is None:
            return None if self.knows(request) else self._without_token()
        if not self._is_token(token):
            return self._without_token()
        answer = RedirectResponse(request.url.path, 303, headers=_UNTRACED)
        answer.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return answer

    def misnamed(self, request: Request) -> Response | None:
        """The answer to a request under a name that is not ours, else None."""
        if self._is_ours(request.headers.get("host", "")):
            return None
        self.refused("host")
        return PlainTextResponse("open this page as localhost, or by the machine's IP address\n", 403)

    def admits(self, websocket: WebSocket) -> bool:
        """Whether a WebSocket comes from our own page, under our own name, with the token."""
        name = websocket.headers.get("host", "")
        if not self._is_ours(name):
            self.refused("host")
        elif websocket.headers.get("origin") != f"http://{name}":
            self.refused("origin")
        elif not self.knows(websocket):
            self.refused("token")
        else:
            return True
        return False

    def _without_token(self) -> Response:
        self.refused("token")
        return PlainTextResponse(_NO_TOKEN, 401, headers={"WWW-Authenticate": "Bearer", **_UNTRACED})

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())  # takes as long whatever was given

    def _is_ours(self, name: str) -> bool:
        try:
            hostname = urlsplit(f"//{name}").hostname or ""
            if hostname in ("localhost", self._host.lower()):
                return True
            ipaddress.ip_address(hostname)
        except ValueError:
            return False
        return True
