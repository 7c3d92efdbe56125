"""F1_all and F1_loc of generated captions (Zhou et al. 2019, "Grounded Video Description"), from thresholded maps.

A word of a generated caption is localized if the box of its map overlaps a box of the same word in the image by more
than half (intersection over union). The box of a map is the bounding box of the cells around its peak that have at
least half of the peak's attention.

- F1_all: for each word the harmonic mean of precision (localized words among the generated ones) and recall (among the
  images whose human captions name it), averaged over words. A word that is not in the image is an error.
- F1_loc: the share of localized words among the generated words that are in the image, averaged over words.

Differences from the original: the classes are the words that name the same boxes, not 480 categories; the boxes come
from a coarse map, not from region proposals; and all boxes of a word in the image count, not only those of one phrase.
Numbers of other papers can be compared only in order of magnitude.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from caption_tx.data.boxes.coverage import Corners
from caption_tx.data.boxes.table import Box
from caption_tx.data.boxes.words import BoxWords
from caption_tx.evaluation.attention.features import ImageFeatures
from caption_tx.evaluation.attention.phrases import BoxReferences
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.teacher_forcing import needs_cells, teacher_forced_pass
from caption_tx.inference.captioner import ImageCaptioner

THRESHOLD = 0.5
"""Share of the peak's attention that a cell of the object has at least."""

_OVERLAP = 0.5

_MEAN_MAPS = MapSelection()
"""Squared, as `sharp` maps are, fewer cells would reach `THRESHOLD`: three times fewer words were localized."""


@dataclass(frozen=True)
class Localization:
    """The result of `measure_localization`, in [0, 1].

    Attributes:
        words: number of generated words that name boxes of some image.
        in_image: number of those that name boxes of their own image.
        localized: number of those whose map's box overlaps one of them.
        classes: number of different words that human captions name.
    """

    f1_all: float
    f1_loc: float
    words: int
    in_image: int
    localized: int
    classes: int

    def summary(self) -> str:
        """One line."""
        return (
            f"localization of generated words (Zhou et al. 2019; classes are words, boxes come from thresholded maps): "
            f"F1_all {self.f1_all:.3f}, F1_loc {self.f1_loc:.3f}; of {self.words:,} words {self.in_image:,} are in the "
            f"image and {self.localized:,} are localized"
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def map_box(attention_map: np.ndarray) -> Corners:
    """The bounding box, in fractions, of the connected cells around the peak of a map (h, w) that reach `THRESHOLD`."""
    h, w = attention_map.shape
    is_high = attention_map >= THRESHOLD * attention_map.max()
    peak = np.unravel_index(int(attention_map.argmax()), (h, w))
    found, waiting = {peak}, [peak]
    while waiting:
        row, column = waiting.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= cell[0] < h and 0 <= cell[1] < w and is_high[cell] and cell not in found:
                found.add(cell)
                waiting.append(cell)
    rows, columns = zip(*found, strict=True)
    return (min(columns) / w, min(rows) / h, (max(columns) + 1) / w, (max(rows) + 1) / h)


def overlap(first: Corners, second: Corners) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (first, second)]
    return width * height / (sum(areas) - width * height)


def measure_localization(
    captioner: ImageCaptioner,
    images: ImageFeatures,
    generated: Mapping[str, str],
    human: Mapping[str, Sequence[str]],
    references: BoxReferences,
    selection: MapSelection = _MEAN_MAPS,
) -> Localization:
    """Measures whether generated captions name objects of the image, and whether their maps show where these are.

    Args:
        generated: name of an image -> the caption that the model generated.
        human: name of an image -> its human captions, which say what is in it.
        selection: the maps to measure; by default the mean over layers and heads.
    """
    segmenter, tokenizer = captioner.bundle.segmenter(), captioner.bundle.tokenizer
    longest = captioner.bundle.captioner.max_length - 1
    counts = _Counts()
    vocabulary = {name for boxes in references.boxes.values() for box in boxes for name in box.names}
    names = [name for name in generated if references.boxes.get(name)]
    words = {name: segmenter.segment(generated[name])[:longest] for name in names}
    for name in names:
        texts = [word for text in human.get(name, ()) for word in segmenter.segment(text)]
        named = references.words.find(texts, references.boxes[name])
        counts.expected.update({_class(texts[position], references.words) for position in named})
    for loaded, features in images.batches([name for name in names if words[name]]):
        tokens = tokenizer.tokenize([words[name] for name in loaded])
        model, with_cells = captioner.bundle.captioner, needs_cells([selection])
        passes = teacher_forced_pass(model, features, tokens, with_cells=with_cells)
        for name, passed in zip(loaded, passes, strict=True):
            maps = passed.pooled(selection)
            _count(counts, words[name], maps, references.boxes[name], references.words, vocabulary)
    return counts.result()


class _Counts:
    """How often each class of words is expected, generated, in the image and localized."""

    def __init__(self) -> None:
        self.expected, self.generated, self.present, self.localized = (Counter() for _ in range(4))

    def result(self) -> Localization:
        """Means over classes."""
        f1_all = [
            2 * self.localized[item] / (self.generated[item] + self.expected[item]) for item in self.expected
        ]  # the harmonic mean of localized / generated and localized / expected
        f1_loc = [self.localized[item] / self.present[item] for item in self.present]
        totals = (counter.total() for counter in (self.generated, self.present, self.localized))
        means = (float(np.mean(values)) if values else 0.0 for values in (f1_all, f1_loc))
        return Localization(*means, *totals, len(self.expected))


def _class(word: str, words: BoxWords) -> Any:
    """Words that name the same boxes are one class."""
    return word.lower() if words.entries is None else words.entries.get(word.lower())


def _count(
    counts: _Counts,
    words: Sequence[str],
    maps: np.ndarray,
    boxes: Sequence[Box],
    box_words: BoxWords,
    vocabulary: set[str],
) -> None:
    """Adds the words of one generated caption, whose maps are (T, h, w)."""
    found = box_words.find(words, boxes)
    for position, word in enumerate(words):
        if not box_words.could_name(word) or (box_words.entries is None and word.lower() not in vocabulary):
            continue
        item = _class(word, box_words)
        counts.generated[item] += 1
        if position in found:
            counts.present[item] += 1
            own = map_box(maps[position])
            is_localized = any(overlap(own, boxes[index].corners) > _OVERLAP for index in found[position])
            counts.localized[item] += is_localized
