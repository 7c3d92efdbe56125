"""Attention maps as one HTML file that opens from disk without a network connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from caption_tx.config import POOL_NAMES
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.pooling import ALL_HEADS, POSTERIOR, ROLLOUT, MapSelection
from caption_tx.inference.drawing.overlay import color_map
from caption_tx.inference.drawing.style import DEFAULT_STYLE, HeatmapStyle
from caption_tx.inference.page.cards import Card, make_card, to_base64
from caption_tx.inference.page.fonts import font_face_rule
from caption_tx.inference.page.policy import content_security_policy
from caption_tx.inference.page.templating import render_template
from caption_tx.inference.page.ui_strings import leaves, read_template, ui_strings

if TYPE_CHECKING:
    from caption_tx.inference.attention.health import MapHealth


def render_page(
    explained: Sequence[AttentionMaps],
    selection: MapSelection | None = None,
    style: HeatmapStyle = DEFAULT_STYLE,
    *,
    typed: bool = False,
    language: str | None = None,
    health: MapHealth | None = None,
    problems: Sequence[str] = (),
) -> str:
    """One HTML page: each photograph with the words of its caption as buttons that show their heatmaps.

    The page contains its photographs (JPEG, at most `overlay.PHOTO_SIDE` pixels), maps (8 bits per cell), style,
    script, and the glyphs of its words. Its Content-Security-Policy forbids everything else.

    Args:
        explained: maps of one model, each with its picture.
        selection: layers, heads and pooling shown first, which the reader can change; by default all layers and heads
            with the pooling of the bundle.
        style: opacity, color map and scale shown first. The page always spreads cells (`spline`).
        typed: the captions were typed by a person, which the page then says.
        language: UI language, "zh" or "en"; by default the language of the captions.
        health: adds the warnings of `health.measure_health`.
        problems: messages about images that could not be explained, in English.

    Returns:
        The HTML text.

    Raises:
        ConfigError: there are no UI strings in that language.
        CaptionTxError: there are no maps, a picture is missing, models are mixed, or a setting is invalid.

    Warns:
        UserWarning: no CJK font is installed, so that the reader's fonts draw East Asian words.

    Example:

        maps = captioner.explain("dog.jpg")
        Path("dog.html").write_text(render_page([maps], MapSelection(layer=-1)), encoding="utf-8")
    """
    return render_with_font(explained, selection, style, PageDetails(typed, language, health, problems))


@dataclass(frozen=True)
class PageDetails:
    """The arguments of `render_page` by these names."""

    typed: bool = False
    language: str | None = None
    health: MapHealth | None = None
    problems: Sequence[str] = ()


def render_with_font(
    explained: Sequence[AttentionMaps],
    selection: MapSelection | None,
    style: HeatmapStyle,
    details: PageDetails,
    font_rule: str | None = None,
) -> str:
    """`render_page` with the result of `fonts.font_face_rule`, which many pages may share.

    Without one, the page gets the glyphs of its own words. Errors as for `render_page`.
    """
    selection = selection or MapSelection(pool=explained[0].pool if explained else ALL_HEADS.pool)
    _check(explained, selection)
    language = details.language or ("zh" if explained[0].language == "zh" else "en")
    strings = ui_strings(language)
    cards = _make_cards(explained, strings["end"])
    layers, heads = explained[0].scores.shape[:2]
    return _render(
        _font_of(cards, strings) if font_rule is None else font_rule,
        data=page_data(cards, selection, style, strings),
        cards=cards,
        t=strings,
        layers=layers,
        heads=heads,
        pools=pool_names(explained),
        typed=details.typed,
        words=[word for card in cards for word in card.words],
        accuracy=accuracy_text(explained[0].accuracy, strings),
        warnings=[] if details.health is None else details.health.warnings(language),
        problems=details.problems,
    )


def _make_cards(explained: Sequence[AttentionMaps], end_label: str) -> list[Card]:
    """The cards of all images; they keep their own poolings if these differ."""
    has_own_pools = len({maps.pool for maps in explained}) > 1
    return [make_card(maps, end_label, has_own_pools) for maps in explained]


def accuracy_text(accuracy: Mapping[str, float], strings: dict[str, Any]) -> str:
    """How far maps can be trusted for each kind of word, in one sentence; empty if it was not measured."""
    kinds = [
        strings["accuracy_of"].format(kind=label, share=f"{100 * accuracy[kind]:.0f}%")
        for kind, label in strings["kinds"].items()
        if kind in accuracy
    ]
    return strings["accuracy"].format(kinds=strings["list_comma"].join(kinds)) if kinds else ""


def _font_of(cards: Sequence[Card], strings: dict[str, Any]) -> str:
    words = [word["text"] for card in cards for word in card.words]
    return font_face_rule([*words, *leaves(strings)], [card.name for card in cards])


def _render(rule: str, **context: Any) -> str:
    style_text, script_text = rule + read_template("page.css"), read_template("page.js")
    # Only these two are not escaped: they are files of this package, and the policy contains their digests.
    unescaped = {"style": Markup(style_text), "script": Markup(script_text)}
    policy = content_security_policy(style_text, script_text)
    return render_template("page.html.j2", policy=policy, **unescaped, **context)


def pool_names(explained: Sequence[AttentionMaps] = ()) -> list[str]:
    """The poolings that a reader of these maps can choose: some need more than cross-attention."""
    missing = set()
    if any(maps.self_scores is None for maps in explained):
        missing.add(ROLLOUT)
    if any(maps.cell_log_probabilities is None for maps in explained):
        missing.add(POSTERIOR)
    return [name for name in POOL_NAMES if name not in missing]


def card_document(maps: AttentionMaps, index: str, language: str) -> dict[str, Any]:
    """One card for `addCard` of `page.js`, ready for JSON.

    Args:
        maps: with their picture.
        index: part of the ids of its elements, unique on the page.
        language: UI language, "zh" or "en".

    Returns:
        "html": the card, escaped. "data": see `cards.card_data`.
    """
    strings = ui_strings(language)
    card = make_card(maps, strings["end"])
    return {"html": render_template("single_card.html.j2", card=card, index=index, t=strings), "data": card.data}


def page_data(
    cards: Sequence[Card], selection: MapSelection, style: HeatmapStyle, strings: dict[str, Any]
) -> dict[str, Any]:
    """What `page.js` needs, ready for JSON: first settings, the color map, its UI strings and the data of each card.

    Raises:
        CaptionTxError: `style` has no such color map, or its opacity is out of range.
    """
    colors = (255 * color_map(style)(np.linspace(0, 1, 256))[:, :3]).round().astype(np.uint8)  # (256, 3)
    layers, heads = cards[0].data["shape"][:2] if cards else (1, 1)
    return {
        "settings": {
            # Values of the sliders, where 0 means all layers or heads.
            "layer": 0 if selection.layer is None else selection.layer % layers + 1,
            "head": 0 if selection.head is None else selection.head % heads + 1,
            "pool": selection.pool,
            "opacity": round(100 * style.alpha),
            "scale": "common" if style.common_scale else "own",
        },
        "colors": to_base64(colors.tobytes()),
        "images": [card.data for card in cards],
        "strings": strings["script"],
    }


def _check(explained: Sequence[AttentionMaps], selection: MapSelection) -> None:
    if not explained:
        raise CaptionTxError("There are no attention maps to show.")
    first = explained[0]
    layers, heads = first.scores.shape[:2]
    for maps in explained:
        if maps.scores.shape[:2] != (layers, heads):
            raise CaptionTxError(
                f"A page shows the maps of one model: {first.image} has {layers} layers of {heads} heads, "
                f"{maps.image} {maps.scores.shape[0]} of {maps.scores.shape[1]}."
            )
    # Raises an error if the selection is invalid.
    selection.pooled(first.scores, first.self_scores, first.cell_log_probabilities)
