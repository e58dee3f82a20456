"""Who may ask: those with the token, by the name of this machine, and from this page."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

LOCAL = ("127.0.0.1", "localhost", "::1")
# Nothing is loaded from elsewhere, and no other page may show or send to this one.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Of a report: its own script alone, which may not ask this server for anything.
REPORT = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
HEADERS = {
    "content-security-policy": PAGE,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
NO_TOKEN = "Open the whole address that mcnn-keras app has printed; it ends with a long key."
NO_HOST = "This name of the machine is not known; open the address that mcnn-keras app has printed."


class Guard:
    """Passes on requests whose path begins with the token and whose Host is known.

    Parameters
    ----------
    app : ASGI application
        Gets the path without the token.
    token : str
    host : str
        The address that the server is bound to.
    """

    def __init__(self, app: Any, token: str, host: str) -> None:
        self._app, self._token = app, token.encode()
        self._every = host in ("0.0.0.0", "::", "")
        self._names = {*LOCAL, host.lower()}
        if self._every:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def protected(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
                message["headers"] = [
                    *message["headers"], *((n, v) for n, v in more if n not in given),
                ]  # fmt: skip
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._known(hosts[0].decode("latin-1")):
            await _refuse(protected, NO_HOST)
            return
        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        # In a time that does not depend on how much of it is right.
        if not hmac.compare_digest(first.encode("utf-8", "replace"), self._token) or not slash:
            await _refuse(protected, NO_TOKEN)
            return
        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        await self._app(inner, receive, protected)

    def _known(self, host: str) -> bool:
        """Whether a Host header names this machine: other names may be another page's trick."""
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if name in self._names:
            return True
        if not self._every:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _refuse(send: Callable[[Any], Awaitable[Any]], text: str) -> None:
    content = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 403, "headers": content})
    await send({"type": "http.response.body", "body": text.encode()})
