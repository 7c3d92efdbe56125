"""Captions to explain and their attention maps: the steps that `ImageCaptioner.explanations` combines."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from caption_tx.data.images.decoding import decode_image, resize
from caption_tx.data.images.forms import NamedImage, image_name
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.token_words import TokenWords
from caption_tx.errors import CaptionError, CaptionTxError, ImageError
from caption_tx.escaping import printable
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.teacher_forcing import TeacherForced
from caption_tx.inference.attention.words import END_TOKEN, hyphenated_words
from caption_tx.inference.search.caption import Caption

PHOTO_SIZE = 640
"""Pixels. The longer side of the photograph that maps are drawn on is at most this long."""


@dataclass(frozen=True)
class TargetCaption:
    """A caption to explain.

    Attributes:
        token_ids: its tokens without the start token.
        words: the word of each token, including the end token if there is one.
        text: the caption as it is displayed.
        display_words: words to show as one although they consist of several tokens.
    """

    token_ids: Sequence[int]
    words: tuple[str, ...]
    text: str
    display_words: Sequence[str] = ()

    @classmethod
    def from_search(cls, caption: Caption) -> TargetCaption:
        """A caption that the model generated."""
        end = (END_TOKEN,) if caption.finished else ()
        return cls(caption.token_ids, (*caption.words, *end), caption.text)

    @classmethod
    def from_text(cls, text: str, tokenizer: TokenWords, segmenter: Segmenter, max_length: int) -> TargetCaption:
        """A caption that a person typed, for a model that reads at most `max_length` tokens.

        Raises:
            CaptionError: it contains no words, or more than the model's limit.
        """
        words = segmenter.segment(text)
        if not words:
            raise CaptionError(f"The caption {text!r} contains no words to explain.")
        limit = max_length - 1
        if len(words) > limit:
            raise CaptionError(f"The caption {text[:60]!r} has {len(words)} words; the model's limit is {limit}.")
        token_ids = [*tokenizer.look_up(words), tokenizer.end_token_id]
        return cls(token_ids, (*words, END_TOKEN), text, hyphenated_words(text))

    def preview(self) -> AttentionMaps:
        """Uniform maps on a single cell, which have the same words as the maps of any image."""
        tokens = len(self.words)
        maps = AttentionMaps(np.ones((1, 1, tokens, 1, 1)), self.words, np.zeros(tokens), caption=self.text)
        return self.merge_display_words(maps)

    def merge_display_words(self, maps: AttentionMaps) -> AttentionMaps:
        """Merge the tokens of every display word."""
        for word in self.display_words:
            with suppress(CaptionTxError):  # the segmenter may have dropped a part of it, such as a number
                maps = maps.merged([word])
        return maps


@dataclass(frozen=True)
class LoadedImage:
    """An image to explain.

    Attributes:
        name: as the user specified it.
        content: hex hash of its content.
        pixels: uint8 (size, size, 3), the input of the backbone.
        photo: uint8 (H, W, 3), what the maps are drawn on; None if no maps are drawn.
        found: what is read differently from how a viewer shows it, see `decode_image`.
    """

    name: str
    content: str
    pixels: np.ndarray
    photo: np.ndarray | None
    found: Mapping[str, str] = field(default_factory=dict)


def load_image(image: NamedImage, size: int, with_photo: bool = True, source: ImageSource | None = None) -> LoadedImage:
    """Read an image for a backbone with inputs of `size` pixels.

    Args:
        source: reads the image and records what is read differently from how a viewer shows it.

    Raises:
        ImageError: the image cannot be read.
    """
    name = image_name(image)
    source = source or open_images("")
    data = image[1] if isinstance(image, tuple) else source.read_bytes(name)
    if isinstance(data, ImageError):
        raise data
    content, decoded = source.decode(data, name, size)
    pixels = resize(decoded, size)
    found = {kind: images[name] for kind, images in source.interpreted.items() if name in images}
    if not with_photo:
        return LoadedImage(name, content, pixels, None, found)
    _, photo = decode_image(data, name, PHOTO_SIZE)
    photo.thumbnail((PHOTO_SIZE, PHOTO_SIZE))
    return LoadedImage(name, content, pixels, np.asarray(photo), found)


def explain_targets(
    tokenizer: TokenWords,
    images: Sequence[LoadedImage],
    targets: Mapping[int, TargetCaption],
    run: Callable[[list[list[int]], list[int]], list[TeacherForced]],
    pool: str,
    accuracy: Mapping[str, float],
) -> dict[int, AttentionMaps]:
    """Run a teacher-forced pass over captions and collect their attention maps.

    Args:
        targets: index of an image -> its caption. Images without a target are skipped.
        run: makes the pass for token lists with the start token, and the index of the image of each.
        pool, accuracy: of the maps, see `AttentionMaps`.
    """
    if not targets:
        return {}
    token_lists = [[tokenizer.start_token_id, *target.token_ids] for target in targets.values()]
    passes = run(token_lists, list(targets))
    explained = {}
    for (row, target), passed in zip(targets.items(), passes, strict=True):
        maps = AttentionMaps(
            scores=passed.attention_scores,
            words=target.words,
            log_probabilities=passed.log_probabilities,
            image=printable(os.path.basename(images[row].name)),
            caption=target.text,
            picture=images[row].photo,
            self_scores=passed.self_attention_scores,
            cell_log_probabilities=passed.cell_log_probabilities,
            unknown=tuple(token_id == tokenizer.unk_token_id for token_id in target.token_ids),
            language=tokenizer.language,
            pool=pool,
            accuracy=accuracy,
        )
        explained[row] = target.merge_display_words(maps)
    return explained


def list_maps(
    images: Sequence[LoadedImage], maps: Mapping[int, AttentionMaps], rank: int
) -> list[AttentionMaps | CaptionTxError]:
    """The maps of each image, or an error if the search found too few captions for a target."""
    return [
        maps[row]
        if row in maps
        else CaptionTxError(f"The search found fewer than {rank + 1} captions of {image.name}; use a lower rank.")
        for row, image in enumerate(images)
    ]
