"""The web page, its files, and the documentation of the API."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from caption_tx.config import LANGUAGES
from caption_tx.inference.attention.pooling import ALL_HEADS, MapSelection
from caption_tx.inference.drawing.style import DEFAULT_STYLE
from caption_tx.inference.page.fonts import font_rule, font_suffix
from caption_tx.inference.page.render import page_data, pool_names
from caption_tx.inference.page.templating import PAGE_PACKAGE, environment
from caption_tx.inference.page.ui_strings import read_strings, read_template, ui_strings
from caption_tx.serve.answers import describe_bundle
from caption_tx.serve.drawing import SERVE_PACKAGE
from caption_tx.serve.examples import example_files
from caption_tx.serve.models import PAGE_CAPTIONS, PAGE_TEMPERATURE
from caption_tx.serve.problems import HttpError
from caption_tx.serve.service import MAX_PIXELS, Service

router = APIRouter(include_in_schema=False)

_ASSETS = {
    "page.css": (PAGE_PACKAGE, "text/css"),
    "page.js": (PAGE_PACKAGE, "text/javascript"),
    "serve.css": (SERVE_PACKAGE, "text/css"),
    "serve.js": (SERVE_PACKAGE, "text/javascript"),
    "run.js": (SERVE_PACKAGE, "text/javascript"),
    "live.js": (SERVE_PACKAGE, "text/javascript"),
}
_CACHED = {"Cache-Control": "max-age=31536000, immutable"}


def choose_language(request: Request) -> str:
    """The language of the address, else the one that the browser prefers: "zh" or "en".

    Example:
        >>> choose_language(request)  # Accept-Language: zh-CN,zh;q=0.9,en;q=0.8
        'zh'
    """
    asked = request.query_params.get("language", "")[:2]
    if asked in LANGUAGES:
        return asked
    weighted = []
    for position, part in enumerate(request.headers.get("accept-language", "").split(",")):
        name, _, weight = part.partition(";q=")
        try:
            weighted.append((-float(weight or 1), position, name.strip().lower()[:2]))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(weighted) if name in LANGUAGES), "en")


@functools.cache
def live_strings(language: str) -> dict[str, Any]:
    """The strings of `templates/serve_strings.toml` in one language."""
    return read_strings("serve_strings.toml", SERVE_PACKAGE)[language]


def render(name: str, **values: Any) -> str:
    """Fill in a template of the server."""
    return environment(SERVE_PACKAGE, PAGE_PACKAGE).get_template(name).render(**values)


@functools.cache
def _version() -> str:
    """Changes with the files of the page, so that browsers may keep them."""
    digest = hashlib.sha256()
    for name, (package, _) in _ASSETS.items():
        digest.update(read_template(name, package).encode())
    return digest.hexdigest()[:16]


def page_values(request: Request) -> dict[str, Any]:
    """What the templates of the live pages need."""
    service: Service = request.app.state.service
    language = choose_language(request)
    strings, live = ui_strings(language), live_strings(language)
    bundles = [describe_bundle(bundle, False) for bundle in service.bundles.values()]
    first = bundles[0] if bundles else {"layers": 1, "heads": 1, "pool": ALL_HEADS.pool}
    data = page_data([], MapSelection(pool=first["pool"]), DEFAULT_STYLE, strings)
    data["live"] = {
        "language": language,
        "strings": live["script"],
        "max_bytes": service.max_bytes,
        "max_pixels": MAX_PIXELS,
        "samples": PAGE_CAPTIONS,
    }
    return {
        "t": strings,
        "s": live,
        "bundles": bundles,
        "layers": first["layers"],
        "heads": first["heads"],
        "pools": pool_names(),
        "version": _version(),
        "font": f"words.css?{service.font.version}",
        "data": data,
        "run": None if service.run is None else service.run.name,
    }


@router.get("/")
def index(request: Request) -> Response:
    """The web page; that of the run as long as there is no bundle."""
    service: Service = request.app.state.service
    if service.run is not None and not service.bundles:
        return RedirectResponse("run")
    page = render("serve.html.j2", **page_values(request), examples=list(example_files()), temperature=PAGE_TEMPERATURE)
    return HTMLResponse(page, headers={"Vary": "Accept-Language"})


@router.get("/assets/{name}")
def asset(request: Request, name: str) -> Response:
    """A file of the page. The name chooses one of a fixed set."""
    service: Service = request.app.state.service
    if name in _ASSETS:
        package, kind = _ASSETS[name]
        return Response(read_template(name, package), media_type=kind, headers=_CACHED)
    fonts = {"words": service.font} if service.run is None else {"words": service.font, "run": service.run.font()}
    for stem, font in fonts.items():
        suffix = font_suffix(font.data) if font.data else ""
        if name == f"{stem}.css":
            rule = font_rule(f"{stem}.{suffix}?{font.version}") if font.data else ""
            return Response(rule, media_type="text/css", headers=_CACHED)
        if font.data and name == f"{stem}.{suffix}":
            return Response(font.data, media_type=f"font/{suffix}", headers=_CACHED)
    raise HttpError("not_found", f"There is no file '{name[:80]}' here.")


@router.get("/examples/{name}")
def example(name: str) -> Response:
    """A rendered scene."""
    files = example_files()
    if name not in files:
        raise HttpError("not_found", f"There is no example '{name[:80]}' here.")
    return Response(files[name], media_type="image/png", headers=_CACHED)


@router.get("/docs")
def documentation(request: Request) -> HTMLResponse:
    """The API in words, from the same description as `/openapi.json`."""
    service: Service = request.app.state.service
    document = request.app.openapi()
    calls = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    page = render(
        "docs.html.j2",
        info=document["info"],
        calls=calls,
        version=_version(),
        needs_token=service.options.token is not None,
    )
    return HTMLResponse(page)
