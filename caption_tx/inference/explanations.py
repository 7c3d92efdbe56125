"""Images and captions -> attention maps, a batch at a time: what `ImageCaptioner.explain` does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from caption_tx.config import DecodingOptions
from caption_tx.data.images.decoding import decode_image, resize
from caption_tx.data.images.discovery import NamedImage
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.teacher_forcing import teacher_forced_pass
from caption_tx.inference.attention.words import END_TOKEN, hyphenated_words
from caption_tx.inference.search.decode import Caption

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner

FIGURE_SIDE = 640
"""Pixels of the longer side of the picture that maps are drawn on, at most."""


@dataclass(frozen=True)
class _Wanted:
    """A caption to trace: its tokens and words with the end mark where it has one, its text, words to show as one."""

    token_ids: Sequence[int]
    words: tuple[str, ...]
    text: str
    joined: Sequence[str] = ()


@dataclass(frozen=True)
class _Read:
    """An image: the hash of its content, as the backbone takes it, and as figures show it."""

    content: str
    pixels: np.ndarray
    shown: np.ndarray


def _of_search(caption: Caption) -> _Wanted:
    marks = (END_TOKEN,) if caption.finished else ()
    return _Wanted(caption.token_ids, (*caption.words, *marks), caption.text)


def _typed(text: str, captioner: ImageCaptioner) -> _Wanted:
    words = captioner.segmenter.segment(text)
    if not words:
        raise CaptionTxError(f"There are no words to explain in the caption {text!r}.")
    limit = captioner.bundle.captioner.max_length - 1
    if len(words) > limit:
        raise CaptionTxError(f"The caption {text[:60]!r} has {len(words)} words; the model knows at most {limit}.")
    [token_ids] = captioner.bundle.tokenizer.tokenize([words])
    return _Wanted(token_ids[1:].tolist(), (*words, END_TOKEN), text, hyphenated_words(text))


def words_of(captioner: ImageCaptioner, text: str) -> AttentionMaps:
    """The words of a typed caption as they will be shown, known before any image is read: even maps on one cell.

    Raises:
        CaptionTxError: the caption has no words, or more than the model has positions for.
    """
    typed = _typed(text, captioner)
    tokens = len(typed.words)
    return _joined(AttentionMaps(np.ones((1, 1, tokens, 1, 1)), typed.words, np.zeros(tokens), caption=text), typed)


def _joined(maps: AttentionMaps, wanted: _Wanted) -> AttentionMaps:
    for word in wanted.joined:
        with suppress(CaptionTxError):  # the segmenter may have left out a part of it, such as a number
            maps = maps.merged([word])
    return maps


def _read(item: NamedImage, size: int) -> _Read:
    name = name_of(item)
    data = item[1] if isinstance(item, tuple) else open_images("").read_bytes(name)
    content, picture = decode_image(data, name, size)
    _, shown = decode_image(data, name, FIGURE_SIDE)
    shown.thumbnail((FIGURE_SIDE, FIGURE_SIDE))
    return _Read(content, resize(picture, size), np.asarray(shown))


def name_of(item: NamedImage) -> str:
    """The name of an image, with or without its bytes."""
    return item[0] if isinstance(item, tuple) else str(item)


def explanations(
    captioner: ImageCaptioner,
    images: Iterable[NamedImage],
    caption: Caption | str | None,
    rank: int,
    options: DecodingOptions,
    batch_size: int,
) -> Iterator[tuple[str, AttentionMaps | CaptionTxError]]:
    """See `ImageCaptioner.explanations`."""
    if rank < 0 or (caption is None and rank >= options.n_best):
        raise ConfigError(f"rank must be from 0 to n_best - 1, that is {options.n_best - 1}, got {rank}.")
    given = _typed(caption, captioner) if isinstance(caption, str) else caption and _of_search(caption)
    size = captioner.backbone.config.image_size
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        results: dict[int, AttentionMaps | CaptionTxError] = {}
        readable: dict[int, _Read] = {}
        for place, item in enumerate(batch):
            try:
                readable[place] = _read(item, size)
            except ImageError as error:
                results[place] = error
        if readable:
            names = [name_of(batch[place]) for place in readable]
            found = _explain(captioner, list(readable.values()), names, given, rank, options)
            results |= zip(readable, found, strict=True)
        for place, item in enumerate(batch):
            yield name_of(item), results[place]


def _explain(
    captioner: ImageCaptioner,
    images: Sequence[_Read],
    names: Sequence[str],
    given: _Wanted | None,
    rank: int,
    options: DecodingOptions,
) -> list[AttentionMaps | CaptionTxError]:
    """The maps of each image, or an error where the search found too few captions."""
    features = captioner.features([image.pixels for image in images])  # (B, h, w, C)
    wanted = dict.fromkeys(range(len(images)), given) if given is not None else {}
    if given is None:
        searched = captioner.decode_features(features, [image.content for image in images], options)
        wanted = {row: _of_search(best[rank]) for row, best in enumerate(searched) if rank < len(best)}
    results: list[AttentionMaps | CaptionTxError] = [
        CaptionTxError(f"The search found fewer than {rank + 1} captions of {name}; take a lower rank.")
        for name in names
    ]
    if not wanted:
        return results
    bundle = captioner.bundle
    token_lists = [[bundle.tokenizer.start_token_id, *each.token_ids] for each in wanted.values()]
    traced = teacher_forced_pass(bundle.captioner, features, token_lists, list(wanted))
    for (row, each), (scores, log_probabilities, self_scores) in zip(wanted.items(), traced, strict=True):
        maps = AttentionMaps(
            scores=scores,
            words=each.words,
            log_probabilities=log_probabilities,
            image=os.path.basename(names[row]),
            caption=each.text,
            picture=images[row].shown,
            self_scores=self_scores,
            unknown=tuple(token_id == bundle.tokenizer.unk_token_id for token_id in each.token_ids),
            language=bundle.tokenizer.language,
        )
        results[row] = _joined(maps, each)
    return results
