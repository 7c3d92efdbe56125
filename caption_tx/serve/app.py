"""The app: routes, errors, metrics and what stands before them."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caption_tx import __version__
from caption_tx.config import ServingOptions
from caption_tx.serve import pages, routes, run_routes
from caption_tx.serve.guard import MAX_IMAGES, Access, Guard
from caption_tx.serve.metrics import Metrics
from caption_tx.serve.parameters import ERROR_SCHEMA
from caption_tx.serve.problems import add_handlers
from caption_tx.serve.service import Service

_FORM_BYTES = 2**20
"""What the fields and the boundaries of a form may take, besides its images."""

_BODY_IMAGES = 4
"""A body may be as large as this many of the largest images, however many it has."""


_LABELS = frozenset(route.path for route in (*routes.router.routes, *run_routes.router.routes))
"""Paths that have metrics of their own; clients cannot make up labels."""


def make_app(service: Service) -> ASGIApp:
    """The app of a service, with its API and its page.

    Example:
        >>> uvicorn.run(make_app(service), port=7860)
    """
    app = FastAPI(
        title="caption_tx",
        version=__version__,
        description=f"Captions and attention maps of images, up to {MAX_IMAGES} in a request.",
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(routes.router)
    app.include_router(pages.router)
    app.include_router(run_routes.router)
    add_handlers(app)
    _add_schemas(app, service.options)
    max_body = min(_BODY_IMAGES * service.max_bytes, service.max_bytes + 64 * 2**20) + _FORM_BYTES
    return Guard(_Measured(app, service.metrics), Access.from_options(service.options), max_body)


def _add_schemas(app: FastAPI, options: ServingOptions) -> None:
    """Adds the form of errors and the token to the description of the API."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {})["Error"] = ERROR_SCHEMA
        if options.token is not None:
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
        return document

    app.openapi = openapi


class _Measured:
    """Counts the requests of an app."""

    def __init__(self, app: FastAPI, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            path = scope["path"] if scope["path"] in _LABELS else "other"
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
