"""The parameters of the API in OpenAPI, generated from the settings."""

from __future__ import annotations

from typing import Any

from caption_tx.config import DecodingOptions, ExplanationOptions
from caption_tx.config.fields import Setting, settings_of
from caption_tx.serve.problems import CODES

EXPLANATION_OPTIONS = (
    "caption",
    "rank",
    "words_only",
    "layer",
    "head",
    "pool",
    "scale_per_word",
    "alpha",
    "cmap",
    "flat",
    "page_language",
)
"""Settings of `caption-tx explain` that the API has."""

FORMATS = ("json", "png", "page", "card")
"""Forms of an explanation."""

_NOT_ANSWERED = ("not_found", "method_not_allowed", "no_run", "client_disconnected")
"""Errors that are not about an image."""

_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def _schema(item: Setting) -> dict[str, Any]:
    text = item.help if item.default_text is None else f"{item.help} (default: {item.default_text})"
    schema: dict[str, Any] = {"type": _TYPES[item.type]}
    if item.choices:
        schema["enum"] = list(item.choices)
    if item.is_tuple:
        schema = {"type": "string", "description": f"{text}; separated by commas"}
    return {"description": text} | schema


def _body(extra: dict[str, Any], settings: dict[str, Setting], description: str) -> dict[str, Any]:
    images = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "image files; repeat the field for several images",
    }
    bundle = {"type": "string", "description": "name of a bundle (default: the first of /v1/bundles)"}
    fields = {name: _schema(item) for name, item in settings.items()}
    properties = {"image": images, "bundle": bundle} | extra | fields
    form = {"type": "object", "required": ["image"], "properties": properties}
    raw = {"schema": {"type": "string", "format": "binary"}}
    errors: dict[str, str] = {}
    for code, (status, meaning) in sorted(CODES.items(), key=lambda item: item[1][0]):
        if code not in _NOT_ANSWERED:
            errors[str(status)] = "; ".join(filter(None, (errors.get(str(status)), f"{code}: {meaning}")))
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {"multipart/form-data": {"schema": form}, "image/*": raw, "application/octet-stream": raw},
        },
        "responses": {status: {"description": text, "content": content} for status, text in errors.items()},
    }


_SEARCH = settings_of(DecodingOptions)
_BODY = "A form, or the bytes of one image; then options are in the address, such as ?beam_width=4."

CAPTION_BODY = _body({}, _SEARCH, _BODY)
"""What `/v1/captions` takes and answers."""

_SHOWN = {name: settings_of(ExplanationOptions)[name] for name in EXPLANATION_OPTIONS}
_FORMAT = {
    "format": {
        "type": "string",
        "enum": list(FORMATS),
        "description": "raw maps, a picture of one image, an HTML file, or what the web page shows (default: json)",
    }
}

EXPLANATION_BODY = _body(_FORMAT, _SHOWN | _SEARCH, _BODY + " Without a caption, one is generated.")
"""What `/v1/explanations` takes and answers."""

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string", "description": "one line: what was expected, found, and what to do"},
        "code": {"type": "string", "enum": list(CODES), "description": "the kind of the error, for programs"},
    },
}
