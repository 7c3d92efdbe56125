"""Attention maps as one HTML file that opens from disk, without a network: a gallery to point at. No TensorFlow."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from caption_tx.errors import CaptionTxError, FontError
from caption_tx.inference.attention.maps import END_MARK, AttentionMaps
from caption_tx.inference.attention.pooling import POOL_NAMES, ROLLOUT, most_divergent_head, pool, rollout
from caption_tx.inference.drawing.fonts import subset_font
from caption_tx.inference.drawing.overlay import ALPHA, COLOR_MAP, PHOTO_SIDE, color_map
from caption_tx.inference.page.ui_strings import counted, part, texts

if TYPE_CHECKING:
    from caption_tx.inference.attention.health import MapHealth

_FAMILY = "caption words"
_QUALITY = 85


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _quantized(maps: np.ndarray) -> dict[str, Any]:
    """(.., h, w) as 8 bits a cell, each map in steps of a 255th of its own maximum, which stands beside it."""
    flat = np.asarray(maps, np.float64).reshape(-1, maps.shape[-2] * maps.shape[-1])
    tops = flat.max(axis=1)
    cells = np.rint(flat / np.where(tops > 0, tops, 1)[:, None] * 255).astype(np.uint8)
    return {"cells": _base64(cells.tobytes()), "tops": [float(f"{top:.5g}") for top in tops]}


def _photo(picture: np.ndarray) -> tuple[str, int, int]:
    """A picture as a data URI, its width and its height."""
    image = Image.fromarray(picture)
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=_QUALITY)
    return f"data:image/jpeg;base64,{_base64(stream.getvalue())}", image.width, image.height


def _words(maps: AttentionMaps, end: str) -> list[dict[str, Any]]:
    values = zip(maps.shown, maps.shown_log_probabilities.tolist(), strict=True)
    return [
        {
            "text": end if word.text == END_MARK else word.text,
            "end": word.text == END_MARK,
            "tokens": list(word.tokens),
            "unknown": maps.is_unknown(word),
            "log_probability": round(min(value, 0.0), 4),
            "probability": round(float(np.exp(min(value, 0.0))), 4),
        }
        for word, value in values
    ]


def _entry(maps: AttentionMaps, end: str) -> dict[str, Any]:
    """What the page's script knows of one image; `end` is shown for the end mark."""
    layers, heads, tokens, h, w = maps.scores.shape
    return {
        "shape": [layers, heads, tokens, h, w],
        "words": _words(maps, end),
        "scores": _quantized(maps.scores),
        "rollout": None if maps.self_scores is None else _quantized(rollout(maps.scores, maps.self_scores)),
        # [layer + 1][head + 1], 0 standing for all of them.
        "widest": [
            [most_divergent_head(maps.scores, layer, head) for head in (None, *range(heads))]
            for layer in (None, *range(layers))
        ],
    }


def _font_rule(shown: Sequence[str], names: Sequence[str]) -> str:
    """A style rule with the glyphs of what is shown in it, since the reader's machine may have no font for them.

    "" where all are Latin, which every machine can draw, or the font may not be given away. Names of files
    have their glyphs where the font has them.
    """
    text, more = ("".join(sorted({c for c in "".join(strings) if ord(c) > 0x2E7F})) for strings in (shown, names))
    data = subset_font(text, more) if text else None
    if data is None:
        return ""
    kind = "otf" if data[:4] == b"OTTO" else "ttf"
    source = f'url("data:font/{kind};base64,{_base64(data)}")'
    return f'@font-face {{ font-family: "{_FAMILY}"; font-display: block; src: {source}; }}\n'


def _strings(table: Any) -> list[str]:
    """All strings in a table of texts."""
    if isinstance(table, str):
        return [table]
    return [text for item in (table.values() if isinstance(table, dict) else table) for text in _strings(item)]


def _digest(text: str) -> str:
    """What a Content-Security-Policy calls an inline part that it allows (CSP level 2)."""
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def render_report(
    explained: Sequence[AttentionMaps],
    *,
    layer: int | None = None,
    head: int | None = None,
    pool_name: str = "mean",
    alpha: float = ALPHA,
    common_scale: bool = True,
    cmap: str = COLOR_MAP,
    typed: bool = False,
    language: str | None = None,
    health: MapHealth | None = None,
    problems: Sequence[str] = (),
) -> str:
    """One HTML page: every photograph with the words of its caption as buttons that show where the model looked.

    The page holds its photographs (JPEG, at most `overlay.PHOTO_SIDE` pixels), its maps (8 bits a cell), its
    style and script, and the glyphs of its words; its Content-Security-Policy forbids all else.

    Args:
        explained: of one model, each with its picture.
        layer, head, pool_name, alpha, common_scale: what the page shows at first, as in `AttentionMaps.figure`.
        cmap: name of a matplotlib color map.
        typed: a person wrote the captions, which the page then says.
        language: of the page, "zh" or "en"; by default Chinese where the captions are, else English.
        health: what `health.measure_health` found; the page shows its warnings.
        problems: images that could not be explained, and why, in English.

    Raises:
        ConfigError: pages are not written in that language.
        CaptionTxError: there is nothing to show, a picture is missing, models are mixed or a setting is bad.
    """
    import jinja2
    from markupsafe import Markup

    if not explained:
        raise CaptionTxError("There are no attention maps to make a page of.")
    layers, heads = explained[0].scores.shape[:2]
    for maps in explained:
        if maps.scores.shape[:2] != (layers, heads):
            raise CaptionTxError(
                f"A page shows the maps of one model: {explained[0].image} has {layers} layers of {heads} heads, "
                f"{maps.image} {maps.scores.shape[0]} of {maps.scores.shape[1]}."
            )
    first = explained[0]
    language = language or ("zh" if first.language == "zh" else "en")
    told = texts(language)
    pool(first.scores, layer, head, pool_name, first.self_scores)  # refuses what cannot be shown
    colors = (255 * color_map(cmap, alpha)(np.linspace(0, 1, 256))[:, :3]).round().astype(np.uint8)
    has_rollout = all(maps.self_scores is not None for maps in explained)
    data = {
        "settings": {
            # As the sliders have it: 0 is all of them.
            "layer": 0 if layer is None else layer % layers + 1,
            "head": 0 if head is None else head % heads + 1,
            "pool": pool_name,
            "opacity": round(100 * alpha),
            "scale": "common" if common_scale else "own",
        },
        "colors": _base64(colors.tobytes()),
        "images": [_entry(maps, told["end"]) for maps in explained],
        "texts": told["script"],
    }
    cards = []
    for number, maps in enumerate(explained):
        source, width, height = _photo(maps.picture_or())
        cards.append(
            {
                "number": number,
                "name": maps.image,
                "language": {"zh": "zh-Hans"}.get(maps.language, maps.language),
                "source": source,
                "width": width,
                "height": height,
                "words": data["images"][number]["words"],
            }
        )
    names, words = [card["name"] for card in cards], [word["text"] for card in cards for word in card["words"]]
    try:
        rule = _font_rule([*words, *_strings(told)], names)
    except FontError as error:
        raise FontError(f"The page would show empty boxes: {error}") from error
    style, script = rule + part("report.css"), part("report.js")
    policy = (
        f"default-src 'none'; img-src data:; font-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"report.html.j2": part("report.html.j2")}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Markup is for what is exact text of this package, whose digests the policy names.
    exact = {"style": Markup(style), "script": Markup(script)}
    return environment.get_template("report.html.j2").render(
        policy=policy,
        data=data,
        cards=cards,
        t=told,
        counted=counted,
        layers=layers,
        heads=heads,
        pools=[name for name in POOL_NAMES if has_rollout or name != ROLLOUT],
        typed=typed,
        has_end=any(word["end"] for card in cards for word in card["words"]),
        has_unknown=any(word["unknown"] for card in cards for word in card["words"]),
        warnings=[] if health is None else health.warnings(language),
        problems=list(problems),
        **exact,
    )
