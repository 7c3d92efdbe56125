"""Errors of the HTTP API: a status, a code and one line, as JSON."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from caption_tx.errors import (
    BundleError,
    CaptionError,
    CaptionTxError,
    ConfigError,
    ImageError,
    NoCaptionError,
    TooManyPixelsError,
)
from caption_tx.escaping import one_line

RETRY_SECONDS = 1
"""What a client that finds no room should wait."""

CODES = {
    "invalid_request": (422, "the request has no image, or a form that cannot be read"),
    "token_required": (401, "the token is missing or wrong"),
    "unknown_host": (403, "the server is not known by the name in the header Host"),
    "foreign_origin": (403, "the request comes from a web page of another origin"),
    "not_found": (404, "there is no such path"),
    "method_not_allowed": (405, "the path has other methods"),
    "no_bundle": (404, "the server has no bundle yet"),
    "unknown_bundle": (404, "the server has no bundle of that name"),
    "no_run": (404, "the server shows no training run"),
    "request_timeout": (408, "the body came too slowly"),
    "image_too_large": (413, "an image file has too many bytes"),
    "request_too_large": (413, "the body has too many bytes"),
    "unsupported_body": (415, "the body is neither a form nor an image"),
    "unreadable_image": (422, "an image is damaged, or not in a format that is read"),
    "too_many_pixels": (422, "an image has too many pixels"),
    "invalid_option": (422, "an option is unknown or out of range, or options are incompatible"),
    "invalid_caption": (422, "the given caption contains no words, or more than the model reads"),
    "no_caption": (422, "the search found no caption"),
    "unusable_bundle": (422, "the bundle is missing or damaged"),
    "client_disconnected": (499, "nobody waits for the answer"),
    "internal_error": (500, "the server failed; its log says why"),
    "queue_full": (503, "too many images wait"),
    "server_busy": (503, "too many bytes are arriving"),
    "decoding_timeout": (503, "an image took too long to decode"),
    "no_answer": (503, "replicas were lost, or did not answer in time"),
}
"""Status and meaning of every error by its code, which never changes; the message may."""

_CODES_OF_ERRORS: tuple[tuple[type[CaptionTxError], str], ...] = (
    (TooManyPixelsError, "too_many_pixels"),
    (ImageError, "unreadable_image"),
    (CaptionError, "invalid_caption"),
    (NoCaptionError, "no_caption"),
    (BundleError, "unusable_bundle"),
    (ConfigError, "invalid_option"),
    (CaptionTxError, "invalid_request"),
)
"""The code of an exception is that of its first class here."""


class HttpError(Exception):
    """Ends a request with a code of `CODES`, a message for people, and headers.

    Args:
        status: replaces that of the code.

    Example:
        >>> raise HttpError("request_too_large", "The request has 50,000,000 bytes; the limit is 20,971,520.")
    """

    def __init__(
        self, code: str, message: str, headers: dict[str, str] | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.headers = code, status or CODES[code][0], dict(headers or {})
        if self.status == 503:
            self.headers["Retry-After"] = str(RETRY_SECONDS)


def code_of(error: CaptionTxError) -> str:
    """The code of an expected failure.

    Example:
        >>> code_of(ImageError("a.jpg is empty (0 bytes)."))
        'unreadable_image'
    """
    return next(code for kind, code in _CODES_OF_ERRORS if isinstance(error, kind))


def problem_response(problem: HttpError) -> JSONResponse:
    """The response to a request that failed. What remains of a body that is too large or too slow is not read."""
    close = {"Connection": "close"} if problem.status in (408, 413) else {}
    document = {"error": one_line(str(problem)), "code": problem.code}
    return JSONResponse(document, problem.status, problem.headers | close)


def add_handlers(app: FastAPI) -> None:
    """Makes the errors of an app JSON. Of what nobody expected, the client learns nothing; the server logs it."""

    async def on_problem(request: Request, error: HttpError) -> JSONResponse:
        return problem_response(error)

    async def on_expected(request: Request, error: CaptionTxError) -> JSONResponse:
        return problem_response(HttpError(code_of(error), str(error)))

    async def on_parameters(request: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
        return problem_response(HttpError("invalid_option", f"The address has wrong parameters: {found}."))

    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        allowed = headers.get("Allow", "another method")
        code, message = {
            404: ("not_found", f"There is no {request.url.path} here."),
            405: ("method_not_allowed", f"{request.method} is not allowed here; use {allowed}."),
        }.get(error.status_code, ("invalid_request", str(error.detail)))
        return problem_response(HttpError(code, message, headers, error.status_code))

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        return problem_response(HttpError("internal_error", "The server failed; its log says why."))

    app.add_exception_handler(HttpError, on_problem)
    app.add_exception_handler(CaptionTxError, on_expected)
    app.add_exception_handler(RequestValidationError, on_parameters)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_bug)
