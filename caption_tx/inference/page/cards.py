"""One card of the page: a photograph, the words of its caption, and its maps as JSON for `page.js`.

Letters: L layers, N heads, T tokens, h/w feature grid.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.pooling import likelihood_weights, most_divergent_head, rollout
from caption_tx.inference.attention.words import END_TOKEN
from caption_tx.inference.drawing.overlay import PHOTO_SIDE

_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Card:
    """What the template `card.html.j2` needs for one image.

    Attributes:
        name: name of the image.
        language: BCP 47 language of the caption, or "".
        source: the photograph as a data URI, with its `width` and `height` in pixels.
        data: what `page.js` needs, ready for JSON; see `card_data`.
    """

    name: str
    language: str
    source: str
    width: int
    height: int
    data: dict[str, Any]

    @property
    def words(self) -> list[dict[str, Any]]:
        """The words of the caption, see `card_data`."""
        return self.data["words"]


def make_card(maps: AttentionMaps, end_label: str, has_own_pool: bool = False) -> Card:
    """The card of one image; its caption's end token is shown as `end_label`.

    With `has_own_pool`, the card keeps the pooling of its maps whatever the reader chooses.

    Raises:
        CaptionTxError: the maps have no picture.
    """
    data = card_data(maps, end_label) | {"pool": maps.pool if has_own_pool else None}
    language = {"zh": "zh-Hans"}.get(maps.language, maps.language)
    return Card(maps.image, language, *_photo_data_uri(maps.picture_or_error()), data)


def card_data(maps: AttentionMaps, end_label: str) -> dict[str, Any]:
    """The maps of one image, ready for JSON.

    Returns:
        "shape": [L, N, T, h, w]. "words": per shown word its text, token positions, probability and
        log-probability, and whether it is unknown, a function word or the end token. "scores", "rollout" and "cells":
        quantized maps, see `quantize_maps`. "rollout" is None without self-attention, and "cells", the likelihood
        weights of the posterior, without log-probabilities of cells. "most_divergent": [layer, head] of the most
        divergent head for each choice of sliders, at [layer + 1][head + 1], where index 0 means all of them.
    """
    layers, heads, tokens, h, w = maps.scores.shape
    return {
        "shape": [layers, heads, tokens, h, w],
        "words": [
            {
                "text": end_label if word.text == END_TOKEN else word.text,
                "end": word.text == END_TOKEN,
                "tokens": list(word.tokens),
                "unknown": maps.is_unknown(word),
                "function": maps.is_function(word),
                "log_probability": round(min(value, 0.0), 4),
                "probability": round(float(np.exp(min(value, 0.0))), 4),
            }
            for word, value in zip(maps.shown, maps.shown_log_probabilities.tolist(), strict=True)
        ],
        "scores": quantize_maps(maps.scores),
        "rollout": None if maps.self_scores is None else quantize_maps(rollout(maps.scores, maps.self_scores)),
        "cells": None
        if maps.cell_log_probabilities is None
        else quantize_maps(likelihood_weights(maps.cell_log_probabilities)),
        "most_divergent": [
            [most_divergent_head(maps.scores, layer, head) for head in (None, *range(heads))]
            for layer in (None, *range(layers))
        ],
    }


def quantize_maps(maps: np.ndarray) -> dict[str, Any]:
    """Maps (.., h, w) with 8 bits per cell.

    Returns:
        "cells": base64 of all cells in order: the square roots of the attention, so that small values keep their
        precision, where 255 is the root of the map's own maximum; "maxima": the maximum of each map.
    """
    flat = np.asarray(maps, np.float64).reshape(-1, maps.shape[-2] * maps.shape[-1])
    maxima = flat.max(axis=1)
    cells = np.rint(np.sqrt(flat / np.where(maxima > 0, maxima, 1)[:, None]) * 255).astype(np.uint8)
    return {"cells": to_base64(cells.tobytes()), "maxima": [float(f"{value:.5g}") for value in maxima]}


def to_base64(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")


def _photo_data_uri(picture: np.ndarray) -> tuple[str, int, int]:
    """A photograph as the data URI of a JPEG, with its width and height in pixels."""
    image = Image.fromarray(picture)
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{to_base64(stream.getvalue())}", image.width, image.height
