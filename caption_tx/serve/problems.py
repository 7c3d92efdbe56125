"""Errors of the HTTP API: a status and one line, as JSON."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from caption_tx.errors import CaptionTxError
from caption_tx.escaping import one_line

RETRY_SECONDS = 1
"""What a client that finds the queue full should wait."""


class HttpError(Exception):
    """Ends a request with a status and a message.

    Example:
        >>> raise HttpError(413, "The request has 50,000,000 bytes; the limit is 20,971,520.")
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


def busy(message: str) -> HttpError:
    """The server has no room now."""
    return HttpError(503, message, {"Retry-After": str(RETRY_SECONDS)})


def problem_response(problem: HttpError) -> JSONResponse:
    """The response to a request that failed. What remains of a body that is too large or too slow is not read."""
    close = {"Connection": "close"} if problem.status in (408, 413) else {}
    return JSONResponse({"error": one_line(str(problem))}, problem.status, problem.headers | close)


def add_handlers(app: FastAPI) -> None:
    """Makes the errors of an app JSON. Of what nobody expected, the client learns nothing; the server logs it."""

    async def on_problem(request: Request, error: HttpError) -> JSONResponse:
        return problem_response(error)

    async def on_expected(request: Request, error: CaptionTxError) -> JSONResponse:
        return problem_response(HttpError(422, str(error)))

    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        messages = {
            404: f"There is no {request.url.path} here.",
            405: f"{request.method} is not allowed here; use {headers.get('Allow', 'another method')}.",
        }
        message = messages.get(error.status_code, str(error.detail))
        return problem_response(HttpError(error.status_code, message, headers))

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        return problem_response(HttpError(500, "The server failed; its log says why."))

    app.add_exception_handler(HttpError, on_problem)
    app.add_exception_handler(CaptionTxError, on_expected)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)
