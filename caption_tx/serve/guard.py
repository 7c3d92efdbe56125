"""What stands before the app: who may call it, how much a request may send, and headers that protect its pages."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caption_tx.config import LOOPBACK_NAMES, ServingOptions
from caption_tx.serve.problems import HttpError, problem_response

MAX_IMAGES = 16
"""Most images in one request."""

BODY_SECONDS = 60
"""A request must arrive within this time."""

BUFFERED_BYTES = 512 * 2**20
"""Most bytes of unfinished requests in memory; further ones are told to try again."""

PROTECTED = ("/v1/", "/metrics")
"""Paths that need the token. The page itself, which asks for it, and `/healthz` contain no data."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the pages: they load nothing from another host and run no inline script."""

_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Access:
    """Who may use the server.

    Attributes:
        hosts: names by which it is reached, in lowercase.
        any_address: whether every IP address is such a name too.
        token: what clients must send, or None.
    """

    hosts: frozenset[str]
    any_address: bool
    token: str | None

    @classmethod
    def from_options(cls, options: ServingOptions) -> Access:
        """On a loopback address only its names; otherwise also the name of this machine and every IP address."""
        hosts = {*LOOPBACK_NAMES, options.host, *options.allow_host}
        if not options.is_loopback:
            hosts.add(socket.gethostname())
        names = frozenset(name.strip("[]").lower() for name in hosts)
        return cls(names, not options.is_loopback, options.token)

    def check(self, scope: Scope, headers: Headers) -> None:
        """Reject a request of a stranger.

        A web page of another origin cannot make a browser send accepted requests: its `Origin` differs from `Host`, and
        a name of its own that it points to this server (DNS rebinding) is not among `hosts`.

        Raises:
            HttpError: 400, 401 or 403.
        """
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            shown = hosts[0][:80] if hosts else "nothing"
            raise HttpError(
                "unknown_host", f"The host '{shown}' is not known here; the server's --allow-host adds names."
            )
        if scope["method"] not in _SAFE_METHODS or scope["path"].startswith(PROTECTED):
            origin = headers.get("origin")
            foreign = origin is not None and (urlsplit(origin).netloc or "-").lower() != hosts[0].lower()
            if foreign or headers.get("sec-fetch-site") == "cross-site":
                raise HttpError("foreign_origin", "Requests from web pages of other origins are not accepted.")
        if self.token is not None and scope["path"].startswith(PROTECTED):
            given = headers.get("authorization", "").encode()
            if not secrets.compare_digest(given, f"Bearer {self.token}".encode()):
                message = "This server requires its token: send the header 'Authorization: Bearer TOKEN'."
                raise HttpError("token_required", message, {"WWW-Authenticate": "Bearer"})

    def _is_own(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address


class Guard:
    """An ASGI app around another: checks `Access`, limits bodies before they are read, and adds headers.

    Args:
        app: the app.
        access: who may use it.
        max_body: bytes of a request.
    """

    def __init__(self, app: ASGIApp, access: Access, max_body: int) -> None:
        self.app, self.access, self.max_body = app, access, max_body
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        body = _Body(self, receive)
        try:
            headers = Headers(scope=scope)
            self.access.check(scope, headers)
            self._check_length(headers.get("content-length"))
            await self.app(scope, body.receive, send_protected)
        except HttpError as problem:
            problem.headers["Connection"] = "close"  # the rest of the body is not read
            await problem_response(problem)(scope, receive, send_protected)
        finally:
            self._buffered -= body.received

    def _check_length(self, length: str | None) -> None:
        if length is not None and (not length.isdecimal() or int(length) > self.max_body):
            raise HttpError("request_too_large", f"The request has {length} bytes; the limit is {self.max_body:,}.")

    def admit(self, received: int, more: int) -> None:
        """Count bytes of a body of which `received` have arrived.

        Raises:
            HttpError: 413 or 503.
        """
        if received + more > self.max_body:
            raise HttpError(
                "request_too_large", f"The request has more than {self.max_body:,} bytes, which is the limit."
            )
        if self._buffered + more > BUFFERED_BYTES:
            raise HttpError("server_busy", "The server is receiving too much at once; try again later.")
        self._buffered += more


class _Body:
    """The body of one request: counts its bytes, and gives up on one that is too slow."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self.guard, self.received, self._receive = guard, 0, receive
        self._end = time.monotonic() + BODY_SECONDS
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()  # waits for the client to disconnect
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._end - time.monotonic()))
        except TimeoutError:
            raise HttpError("request_timeout", f"The request did not arrive within {BODY_SECONDS} seconds.") from None
        if message["type"] == "http.request":
            more = len(message.get("body", b""))
            self.guard.admit(self.received, more)
            self.received += more
            self._complete = not message.get("more_body", False)
        return message
