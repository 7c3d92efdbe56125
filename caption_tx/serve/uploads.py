"""Requests: the images and the options in their bodies and addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from caption_tx.config.fields import Setting, settings_of, suggestion
from caption_tx.errors import ConfigError
from caption_tx.escaping import one_line
from caption_tx.serve.guard import MAX_IMAGES
from caption_tx.serve.problems import HttpError

MAX_FIELDS = 64
MAX_FIELD_BYTES = 64 * 1024
_NAME_LENGTH = 120


@dataclass(frozen=True)
class Upload:
    """What a client sent.

    Attributes:
        images: name and bytes of each image file.
        fields: the other values by name, from the address and from the form; a list has several.
    """

    images: list[tuple[str, bytes]]
    fields: dict[str, list[str]]

    def pop(self, name: str, default: str) -> str:
        """One value, which is then no longer among the fields.

        Raises:
            HttpError: there are several.
        """
        values = self.fields.pop(name, [default])
        if len(values) != 1:
            raise HttpError("invalid_option", f"{name} is given {len(values)} times; give it once.")
        return values[0]


async def read_upload(request: Request, max_bytes: int) -> Upload:
    """Read a request: a multipart form with fields `image`, or the bytes of one image file.

    Nothing is written to disk.

    Args:
        max_bytes: of one image.

    Raises:
        HttpError: 413 for a large image, 415 for another type of body, 422 for a form that makes no sense.
    """
    fields = {name: request.query_params.getlist(name) for name in request.query_params}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        images, more = await _read_form(request)
        fields = {name: fields.get(name, []) + more.get(name, []) for name in {**fields, **more}}
    elif kind.startswith("image/") or kind in ("application/octet-stream", ""):
        data = await request.body()
        images = [(_image_name("", 1), data)] if data or kind else []
    else:
        raise HttpError(
            "unsupported_body",
            f"Send a multipart form with fields 'image', or the bytes of one image file; got the type '{kind}'.",
        )
    if not images:
        raise HttpError("invalid_request", "The request has no image; add a form field 'image' with a file.")
    for name, data in images:
        if len(data) > max_bytes:
            raise HttpError("image_too_large", f"{name} has {len(data):,} bytes; the limit is {max_bytes:,}.")
    return Upload(images, fields)


async def _read_form(request: Request) -> tuple[list[tuple[str, bytes]], dict[str, list[str]]]:
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=MAX_IMAGES,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    parser.spool_max_size = 2**40  # the guard limits bodies; files stay in memory
    try:
        form = await parser.parse()
    except BaseException as error:
        for file in parser._files_to_close_on_error:  # the parser closes them only if the form is damaged
            file.close()
        if isinstance(error, MultiPartException):
            raise HttpError("invalid_request", f"The form cannot be read: {error.message}") from error
        if isinstance(error, LookupError | UnicodeError):  # such as a missing boundary or an unknown character set
            raise HttpError("invalid_request", "The form cannot be read: its header is damaged.") from error
        raise
    images: list[tuple[str, bytes]] = []
    fields: dict[str, list[str]] = {}
    try:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                fields.setdefault(name, []).append(value)
            elif name == "image":
                images.append((_image_name(value.filename or "", len(images) + 1), await value.read()))
            else:
                raise HttpError("invalid_request", f"The file field '{one_line(name)[:40]}' is unknown; use 'image'.")
    finally:
        await form.close()
    return images, fields


def _image_name(name: str, number: int) -> str:
    """The name of an uploaded file for messages and pages; it is never opened."""
    base = one_line(os.path.basename(name.replace("\\", "/"))).strip()
    return base[-_NAME_LENGTH:] if base else f"image {number}"


def parse_settings(cls: type, fields: Mapping[str, list[str]]) -> dict[str, Any]:
    """The values of settings from texts, by the names of `cls`.

    Args:
        fields: a list may have its values in one text, separated by commas, or be given several times.

    Raises:
        ConfigError: a setting is unknown, or a text is not of its type.

    Example:
        >>> parse_settings(DecodingOptions, {"beam_width": ["4"], "suppress_words": ["a,b"]})
        {'beam_width': 4, 'suppress_words': ('a', 'b')}
    """
    known = settings_of(cls)
    values = {}
    for name, texts in fields.items():
        if name not in known:
            raise ConfigError(f"Unknown option '{one_line(name)[:40]}'. {suggestion(name, known)}")
        item = known[name]
        if item.is_tuple:
            parts = [part.strip() for text in texts for part in text.replace("，", ",").split(",")]
            values[name] = tuple(_parse(item, part) for part in parts if part)
        elif len(texts) != 1:
            raise ConfigError(f"{name} is given {len(texts)} times; give it once.")
        else:
            values[name] = _parse(item, texts[0])
    return values


def _parse(item: Setting, text: str) -> Any:
    if item.type is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigError(f"{item.name} must be true or false, got {text[:40]!r}.")
        return text.lower() in ("true", "1")
    if item.type is str:
        return text
    try:
        return item.type(text)
    except ValueError:
        kind = "an integer" if item.type is int else "a number"
        raise ConfigError(f"{item.name} must be {kind}, got {text[:40]!r}.") from None
