"""Documents of online collections: IIIF manifests of museums and libraries, and answers of Wikimedia's API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.html_text import html_parts, html_text
from caption_tx.errors import CorpusError

_MAX_DEPTH = 12
_MAX_LEVELS = 5
_SAMPLE = 100
_BELOW = ("sequences", "canvases", "items", "manifests", "members", "collections")
_TEXT_KEYS = ("label", "description", "summary")
_FULL_SIZE = "/full/max/0/default.jpg"

IIIF = "image names read from the pictures on the canvases of IIIF"
WIKIMEDIA = "captions read from imageinfo[0].extmetadata.ImageDescription of Wikimedia's files, without HTML"
MISSING = "pages of Wikimedia without imageinfo, left out"

_Entry = tuple[dict[str, Any], list[str]]


def read_collection(document: Any, rows: CaptionRows) -> Any:
    """The canvases of IIIF manifests or the pages of Wikimedia's API as a list of entries; other documents as they are.

    Args:
        document: the parsed file, also a list of manifests or of answers.
        rows: whose notes say what was read.

    Raises:
        CorpusError: there are no texts in the document; the message names the keys that would have them.
    """
    items = document if isinstance(document, list) else [document]
    if items and all(isinstance(item, dict) and _is_response(item) for item in items):
        return _read_pages([page for item in items for page in wiki_pages(item) or ()], rows)
    if items and all(isinstance(item, dict) and _is_iiif(item) for item in items):
        return _read_manifests(document, items, rows)
    return document


def wiki_pages(node: dict[str, Any]) -> list[Any] | None:
    """The pages of an answer of Wikimedia's API, which may be below their ids; None for other objects."""
    query = node.get("query")
    pages = query.get("pages") if isinstance(query, dict) else None
    if isinstance(pages, dict):
        return list(pages.values())
    return pages if isinstance(pages, list) else None


def _is_response(node: dict[str, Any]) -> bool:
    pages = wiki_pages(node)
    return bool(pages) and all(isinstance(page, dict) and "title" in page for page in pages[:_SAMPLE])


def _read_pages(pages: list[dict[str, Any]], rows: CaptionRows) -> list[dict[str, Any]]:
    """The pages of files.

    Raises:
        CorpusError: no page has a description.
    """
    read = [read_wiki_page(page) for page in pages]
    if not any(notes for _, notes in filter(None, read)):
        raise CorpusError(
            f"{rows.source} has {len(pages):,} pages of Wikimedia's API without descriptions "
            "(query.pages[].imageinfo[0].extmetadata.ImageDescription); request them with "
            "prop=imageinfo&iiprop=url|extmetadata."
        )
    if missing := read.count(None):
        rows.notes[MISSING] = missing
    return [page for page, found in zip(pages, read, strict=True) if found is not None]


def read_wiki_page(entry: dict[str, Any]) -> _Entry | None:
    """A page of a file of Wikimedia: {"title": "File:x.jpg", "imageinfo": [{"url": .., "extmetadata": ..}]}.

    Example:
        >>> info = {"url": "https://x.org/x.jpg", "extmetadata": {"ImageDescription": {"value": "<p>a dog</p>"}}}
        >>> read_wiki_page({"title": "File:x.jpg", "imageinfo": [info]})[0]
        {'file_name': 'x.jpg', 'url': 'https://x.org/x.jpg', 'caption': 'a dog'}
    """
    title, info = entry.get("title"), entry.get("imageinfo")
    info = info[0] if isinstance(info, list) and info else info
    if not isinstance(title, str) or not isinstance(info, dict):
        return None
    about = info.get("extmetadata")
    value = about.get("ImageDescription") if isinstance(about, dict) else None
    value = value.get("value") if isinstance(value, dict) else value
    read: dict[str, Any] = {"file_name": title.partition(":")[2] or title}
    if url := info.get("url") or info.get("thumburl"):
        read["url"] = url
    elif " " in title:  # the name of the file on the server, which is used if the image folder has it
        read["file"] = read["file_name"].replace(" ", "_")
    if isinstance(value, dict):
        texts = {str(key): html_text(str(text)) for key, text in value.items() if not str(key).startswith("_")}
    else:
        texts = dict(html_parts(value)) if isinstance(value, str) else {}
    if len(texts) > 1 and "" not in texts:
        captions: dict[str, str] = {f"caption.{language}": text for language, text in texts.items()}
    else:
        captions = {"caption": " ".join(texts.values())}
    return {**read, **captions}, [WIKIMEDIA] if any(captions.values()) else []


def _is_iiif(node: dict[str, Any]) -> bool:
    context = node.get("@context")
    contexts = context if isinstance(context, list) else [context]
    return any("iiif.io/api/presentation" in str(item) for item in contexts) or str(node.get("@type")).startswith("sc:")


def _read_manifests(document: Any, manifests: list[dict[str, Any]], rows: CaptionRows) -> Any:
    """The canvases of manifests of version 2 as entries; those of version 3 stay, as each is an entry.

    Raises:
        CorpusError: there are no canvases, or they have no texts.
    """
    canvases = [canvas for manifest in manifests for canvas in _canvases(manifest, 0)]
    if not canvases:
        raise CorpusError(
            f"{rows.source} is a document of IIIF without canvases, such as a collection, which only names manifests; "
            "download the manifests and pass them."
        )
    if not any(canvas.get(key) for canvas in canvases for key in _TEXT_KEYS):
        raise CorpusError(
            f"{rows.source} is a manifest of IIIF whose canvases have no label, summary or description; write a table "
            "of image names and captions."
        )
    entries = [_read_old_canvas(canvas) for canvas in canvases if "@type" in canvas]
    if len(entries) < len(canvases):
        return document
    rows.notes[IIIF] = len(entries)
    return entries


def _canvases(node: Any, level: int) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict) and (node.get("@type") == "sc:Canvas" or node.get("type") == "Canvas"):
        yield node
    elif isinstance(node, dict) and level < _MAX_LEVELS:
        for item in (item for key in _BELOW if isinstance(node.get(key), list) for item in node[key]):
            yield from _canvases(item, level + 1)


def _read_old_canvas(canvas: dict[str, Any]) -> dict[str, Any]:
    """A canvas of version 2 as an entry with its picture and its texts."""
    images = canvas.get("images")
    first = images[0] if isinstance(images, list) and images else {}
    resource = first.get("resource", {}) if isinstance(first, dict) else {}
    resource = resource.get("default", resource) if isinstance(resource, dict) else {"@id": resource}
    service = resource.get("service") if isinstance(resource, dict) else None
    service = service[0] if isinstance(service, list) and service else service
    image = resource.get("@id") if isinstance(resource, dict) else None
    if not image and isinstance(service, dict) and service.get("@id"):
        image = f"{str(service['@id']).rstrip('/')}{_FULL_SIZE}"
    texts = {key: text for name in _TEXT_KEYS for key, text in _old_texts(name, canvas.get(name)).items()}
    return {"image": image or "", **texts}


def _old_texts(key: str, value: Any) -> dict[str, str]:
    """A text of version 2, in one language or several: `".."`, `{"@value": "..", "@language": ".."}` or a list."""
    values = value if isinstance(value, list) else [value]
    texts: dict[str, list[str]] = {}
    for item in values:
        language = str(item.get("@language", "")) if isinstance(item, dict) else ""
        text = item.get("@value") if isinstance(item, dict) else item
        if text not in (None, ""):
            texts.setdefault(language, []).append(html_text(str(text)))
    joined = {language: " ".join(found) for language, found in texts.items()}
    if len(joined) > 1:
        return {f"{key}.{language or 'none'}": text for language, text in joined.items()}
    return {key: next(iter(joined.values()))} if joined else {}


def read_canvas(entry: dict[str, Any]) -> _Entry | None:
    """A canvas of a manifest of IIIF's Presentation API 3, with its label and its summary in each language."""
    if entry.get("type") != "Canvas" or not isinstance(entry.get("items"), list):
        return None
    image = _picture_of(entry["items"], 0)
    texts = {}
    for key in ("label", "summary"):
        values = entry.get(key)
        for language, text in values.items() if isinstance(values, dict) else ():
            texts[f"{key}.{language}"] = html_text(" ".join(map(str, text)) if isinstance(text, list) else str(text))
    return None if image is None or not texts else ({"image": image, **texts}, [IIIF])


def _picture_of(node: Any, depth: int) -> str | None:
    """The address of the first picture below a node of a canvas."""
    if isinstance(node, dict) and node.get("type") == "Image" and isinstance(node.get("id"), str):
        return node["id"]
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = (_picture_of(item, depth + 1) for item in items) if depth < _MAX_DEPTH else ()
    return next(filter(None, found), None)
