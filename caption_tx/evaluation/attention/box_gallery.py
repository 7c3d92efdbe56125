"""An HTML page of photographs with boxes and attention maps, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from caption_tx.data.boxes.coverage import Corners
from caption_tx.data.images.image_source import ImageSource
from caption_tx.errors import ImageError
from caption_tx.evaluation.attention.cells import peaks
from caption_tx.evaluation.attention.features import ImageFeatures
from caption_tx.evaluation.attention.phrases import BoxReferences, BoxTargets, NamedWord, find_words
from caption_tx.evaluation.pages import picture_url, render_page
from caption_tx.inference.attention.pooling import ALL_HEADS, MapSelection
from caption_tx.inference.attention.teacher_forcing import needs_cells, teacher_forced_pass
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.inference.drawing.overlay import heatmap_rgba, scale_maximum
from caption_tx.inference.drawing.style import DEFAULT_STYLE

PICTURE_SIZE = 288
"""Longer side of a picture on the page, in pixels."""

MAX_WORDS = 4
"""Words shown for each image, the worst first."""


@dataclass(frozen=True)
class ShownMap:
    """One word with its picture."""

    word: str
    mass: float
    hit: bool
    picture: str
    width: int
    height: int


@dataclass(frozen=True)
class BoxEntry:
    """One image on the page; `problem` says why it has no pictures."""

    image: str
    mass: float
    caption: str = ""
    words: tuple[ShownMap, ...] = field(default=())
    problem: str = ""


def box_gallery(
    captioner: ImageCaptioner,
    features: ImageFeatures,
    source: ImageSource,
    captions: Mapping[str, Sequence[str]],
    references: BoxReferences,
    mass: Mapping[str, float],
    selection: MapSelection = ALL_HEADS,
) -> str:
    """HTML of some images with their boxes and maps.

    Args:
        features: the features of the images.
        source: the image files.
        captions: name of an image -> its captions; the caption with the most words that name boxes is shown.
        mass: name of each shown image -> mean share of attention inside its boxes; the page is sorted by it.
        selection: the maps to show.
    """
    entries = {}
    for loaded, values in features.batches(list(mass)):
        for name, image_features in zip(loaded, values, strict=True):
            entries[name] = _entry(captioner, name, image_features, source, captions[name], references, selection)
    return render_page(
        "boxes.html",
        "Attention maps and boxes",
        pool=selection.pool,
        language=captioner.bundle.text.language,
        entries=[
            BoxEntry(name, mass[name], *entries.get(name, ("", (), "The image cannot be read.")))
            for name in sorted(mass, key=lambda name: mass[name])
        ],
    )


def _entry(
    captioner: ImageCaptioner,
    name: str,
    features: np.ndarray,
    source: ImageSource,
    captions: Sequence[str],
    references: BoxReferences,
    selection: MapSelection,
) -> tuple[str, tuple[ShownMap, ...], str]:
    """The caption, its words with pictures, and the problem of one image."""
    bundle, boxes = captioner.bundle, references.boxes[name]
    segmenter, longest = bundle.segmenter(), bundle.captioner.max_length - 1
    segmented = {text: segmenter.segment(text)[:longest] for text in captions}
    named = {text: find_words(words, boxes, references.words) for text, words in segmented.items() if words}
    caption = max(named, key=lambda text: len(named[text]))
    try:
        _, photo = source.read_pil_image(name, PICTURE_SIZE)
    except ImageError as error:
        return caption, (), str(error)
    photo.thumbnail((PICTURE_SIZE, PICTURE_SIZE))
    tokens = bundle.tokenizer.tokenize([segmented[caption]])
    [passed] = teacher_forced_pass(bundle.captioner, features[None], tokens, with_cells=needs_cells([selection]))
    maps = passed.pooled(selection)
    targets = BoxTargets(boxes, maps.shape[1:])
    shown = [_shown(photo, word, maps[word.position], targets) for word in named[caption]]
    return caption, tuple(sorted(shown, key=lambda item: item.mass)[:MAX_WORDS]), ""


def _shown(photo: Image.Image, word: NamedWord, attention_map: np.ndarray, targets: BoxTargets) -> ShownMap:
    flat = attention_map.reshape(-1)
    mass = float(flat @ targets.coverage(word.boxes) / flat.sum())
    hit = bool(peaks(attention_map[None])[0] @ targets.hits(word.boxes) >= 0.5)
    picture = draw_boxes(photo, attention_map, targets.corners(word.boxes))
    return ShownMap(word.word, mass, hit, picture_url(picture), *picture.size)


def draw_boxes(photo: Image.Image, attention_map: np.ndarray, boxes: Sequence[Corners]) -> Image.Image:
    """The gray photograph with the heatmap of a map (h, w) and the outlines of boxes."""
    rgba = heatmap_rgba(attention_map, scale_maximum(attention_map, DEFAULT_STYLE), DEFAULT_STYLE)
    heatmap = Image.fromarray(np.round(rgba * 255).astype(np.uint8), "RGBA").resize(photo.size)
    picture = ImageOps.grayscale(photo).convert("RGBA")
    picture.alpha_composite(heatmap)
    picture = picture.convert("RGB")
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    for color, line in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        for x0, y0, x1, y1 in boxes:
            corners = (x0 * (width - 1), y0 * (height - 1), x1 * (width - 1), y1 * (height - 1))
            draw.rectangle(corners, outline=color, width=line)
    return picture
