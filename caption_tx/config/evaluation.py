"""Settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import NOT_NEGATIVE, POSITIVE, setting, validate
from caption_tx.errors import ConfigError

SEGMENTATIONS = ("jieba", "characters", "spaces")
"""Segmentations that a user can choose; `evaluation/protocol.py` describes them."""

MIN_IMAGES = 10
"""Fewer images than these do not tell captioners apart: their scores have no intervals."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What an evaluation scores and writes."""

    split: str = setting("test", "split to score", flag="--split", choices=("val", "test"))
    segmentation: str | None = setting(
        None,
        "what is compared: words of jieba, characters, or words that spaces separate in references and captions, as "
        "in corpora that were published segmented",
        flag="--segmentation",
        choices=SEGMENTATIONS,
        unset="jieba for Chinese with a second row of characters, word boundaries for English",
    )
    against: str | None = setting(
        None,
        "compare with this predictions file on the same images: differences with intervals of a paired bootstrap, and "
        "the images that differ most",
        flag="--against",
        metavar="FILE",
    )
    partial: bool = setting(False, "score a predictions file that lacks images of the split", flag="--partial")
    human: bool = setting(False, "also score each image's captions against its other captions", flag="--human")
    gallery_images: int = setting(
        200, "images in the gallery, worst first; 0 writes no gallery", flag="--gallery-images", bounds=NOT_NEGATIVE
    )
    map_images: int = setting(
        100,
        "images whose attention maps are checked as with `explain --health`; 0 checks none",
        flag="--map-images",
        bounds=NOT_NEGATIVE,
    )
    cache: str | None = setting(
        None,
        "feature cache of the bundle's backbone; only images that are not in it are read",
        flag="--cache",
        metavar="DIR",
    )
    boxes: tuple[str, ...] = setting(
        (),
        "compare attention maps with these boxes, which people drew around objects: JSON Lines, Flickr30k Entities, "
        "COCO instances, LabelMe or VIA",
        flag="--boxes",
        metavar="FILE",
    )
    box_words: str | None = setting(
        None,
        "word list for boxes with names in another language: a word, a tab and the names it stands for per line",
        flag="--box-words",
        metavar="FILE",
    )
    batch_size: int = setting(64, "images to caption at once", flag="--batch-size", bounds=POSITIVE)
    retry_failed: bool = setting(False, "try again to read images that could not be read before", flag="--retry-failed")

    def __post_init__(self) -> None:
        validate(self)
        if self.box_words is not None and not self.boxes:
            raise ConfigError("box_words (--box-words) requires boxes (--boxes).")
