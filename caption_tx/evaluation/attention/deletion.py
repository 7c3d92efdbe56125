"""Measures whether a word becomes less likely if the cells that it attended to are covered.

For each word, the cells with the most attention are covered, the caption is read again, and the drop of the word's
log-probability is compared with the drop under other covers of as many cells: random ones, those around the center,
and those of the other words of the caption. This follows the deletion metric of Petsiuk et al. 2018 ("RISE"), for a
fixed number of cells and a single word.

With the cover "pixels", cells of the image are painted in its mean color before the backbone sees it. This is the
stricter test: a feature cell of a convolutional network depends on a far larger area of the image than its own square.
With "cells", the features that attention reads are replaced by their mean. This is faster and tests attention alone.

Letters: K covers, M selections of maps, W measured words, h/w feature grid, H/W image, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from caption_tx.data.corpus.table import evenly_spaced
from caption_tx.data.images.forms import ImageLike, image_name, name_image, read_named_image
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.word_kinds import is_content_word
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.evaluation.attention.cells import cell_centers, highest_cells
from caption_tx.evaluation.attention.covers import cover_features, cover_pixels
from caption_tx.evaluation.attention.deletion_report import Deletion, DeletionScore
from caption_tx.evaluation.attention.selections import pooled_selections, selection_name
from caption_tx.evaluation.intervals import ratio_interval
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.teacher_forcing import (
    TeacherForced,
    caption_log_probabilities,
    needs_cells,
    teacher_forced_pass,
)
from caption_tx.inference.captioner import ImageCaptioner

COVERS = ("pixels", "cells")
"""What can be covered: the image before the backbone, or its features."""

_CAPTIONS_AT_ONCE = 16


@dataclass(frozen=True)
class DeletionOptions:
    """How `measure_deletion` covers cells.

    Attributes:
        cover: one of `COVERS`.
        cells: number of cells to cover, at least 1 and fewer than the grid has.
        random_covers: random covers per caption.
        seed: of the random cells and the bootstrap over images.

    Raises:
        ConfigError: a value is out of range.
    """

    cover: str = "pixels"
    cells: int = 5
    random_covers: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cover not in COVERS:
            raise ConfigError(f"cover must be one of {', '.join(COVERS)}, got {self.cover!r}.")
        if self.cells < 1:
            raise ConfigError(f"cells must be at least 1, got {self.cells}.")
        if self.random_covers < 1:
            raise ConfigError(f"random_covers must be at least 1, got {self.random_covers}.")


def check_deletion(
    captioner: ImageCaptioner, captions: Mapping[str, Sequence[str]], images: ImageSource, limit: int
) -> Deletion:
    """Covers what the words of the first caption of at most `limit` images attended to, in their features.

    Args:
        captions: name of an image in `images` -> its captions. Unreadable images are left out.

    Raises:
        CaptionTxError: there is no word to measure.
    """

    def pairs() -> Iterator[tuple[ImageLike, Sequence[str]]]:
        for name in evenly_spaced(captions, limit):
            with suppress(ImageError):
                yield (name, images.read_bytes(name)), captions[name][:1]

    return measure_deletion(captioner, pairs(), DeletionOptions("cells"))


def measure_deletion(
    captioner: ImageCaptioner,
    captions: Mapping[str, Sequence[str]] | Iterable[tuple[ImageLike, Sequence[str]]],
    options: DeletionOptions | None = None,
    selections: Sequence[MapSelection] | None = None,
    is_content: Callable[[str], bool] | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Deletion:
    """Covers what the words of captions attended to, and measures how much less likely they become.

    Images that cannot be read are skipped and listed in the result.

    Args:
        captions: path of an image file -> its captions, human or generated; or pairs of an image, in any form of
            `ImageLike`, and its captions.
        selections: maps to measure; by default every pooling over all layers and heads.
        is_content: which words to measure; by default `is_content_word` of the captioner's language. Unknown words
            are never measured.
        progress: wraps the images, for example `tqdm`.

    Example:
        >>> captioner = caption_tx.load("runs/mine/bundle")
        >>> print(measure_deletion(captioner, {"dog.jpg": ["一只狗在草地上奔跑"]}).table())

    Raises:
        ConfigError: `options.cells` is not smaller than the number of cells.
        CaptionTxError: there is no word to measure.
    """
    options = options or DeletionOptions()
    bundle = captioner.bundle
    h, w, _ = bundle.captioner.settings.feature_shape
    if options.cells >= h * w:
        raise ConfigError(f"cells must be fewer than the {h * w} cells of the grid, got {options.cells}.")
    selections = pooled_selections() if selections is None else selections
    is_content = is_content or (lambda word: is_content_word(word, bundle.text.language))
    random = np.random.default_rng(options.seed)
    failed: dict[str, str] = {}
    pairs = list(captions.items() if isinstance(captions, Mapping) else captions)
    captioned = _read(captioner, pairs if progress is None else progress(pairs), is_content, failed)
    sums = _ImageSums.zeros(len(pairs), len(selections))
    while batch := list(islice(captioned, _CAPTIONS_AT_ONCE)):
        features = np.asarray(captioner.features([item.image for item in batch]))  # (B, h, w, C)
        token_lists = [item.token_ids for item in batch]
        passes = teacher_forced_pass(bundle.captioner, features, token_lists, with_cells=needs_cells(selections))
        covers = [
            _covers(item, passed, selections, options, random) for item, passed in zip(batch, passes, strict=True)
        ]
        covered = [
            _cover(captioner, item.image, own, cells.different, options.cover)
            for item, own, cells in zip(batch, features, covers, strict=True)
        ]
        rows = np.repeat(np.arange(len(batch)), [len(cells.different) for cells in covers])
        log_probs = caption_log_probabilities(
            bundle.captioner, np.concatenate(covered), [token_lists[row] for row in rows]
        )
        for row, (item, passed) in enumerate(zip(batch, passes, strict=True)):
            after = np.stack([values for values, owner in zip(log_probs, rows, strict=True) if owner == row])
            drops = (passed.log_probabilities - after)[covers[row].of_each]  # (K, T)
            sums.add(item, drops[:, item.positions], options.random_covers)
    return _report(options, selections, sums, failed)


@dataclass(frozen=True)
class _Captioned:
    """One caption of an image: index and pixels (H, W, 3) of the image, and the positions of the measured words."""

    image_index: int
    image: np.ndarray
    token_ids: list[int]
    positions: list[int]


def _read(
    captioner: ImageCaptioner,
    pairs: Iterable[tuple[ImageLike, Sequence[str]]],
    is_content: Callable[[str], bool],
    failed: dict[str, str],
) -> Iterator[_Captioned]:
    """The captions with words to measure; images that cannot be read are added to `failed`."""
    bundle = captioner.bundle
    segmenter, tokenizer, size = bundle.segmenter(), bundle.tokenizer, bundle.backbone.image_size
    longest, source = bundle.captioner.max_length, open_images("")
    for image_index, (named, captions) in enumerate(pairs):
        named = name_image(named, f"image {image_index + 1}")
        try:
            image = read_named_image(named, source, size)[1]
        except ImageError as error:
            failed[image_name(named)] = str(error)
            continue
        for caption in captions:
            words = segmenter.segment(caption)
            token_ids = tokenizer.tokenize([words], longest)[0].tolist()
            positions = [
                position
                for position, (word, token_id) in enumerate(zip(words, token_ids[1:], strict=False))
                if token_id not in tokenizer.suppress_tokens and is_content(word)
            ]
            if positions:
                yield _Captioned(image_index, image, token_ids, positions)


@dataclass(frozen=True)
class _Covers:
    """The K covers of one caption: bool (U, h, w), of which no two are alike, and the index (K,) of each in them.

    Poolings often attend to the same cells.
    """

    different: np.ndarray
    of_each: np.ndarray


def _covers(
    item: _Captioned,
    passed: TeacherForced,
    selections: Sequence[MapSelection],
    options: DeletionOptions,
    random: np.random.Generator,
) -> _Covers:
    """Random covers, the center, and for each selection the attended cells of each word."""
    h, w = passed.attention_scores.shape[-2:]
    maps = [word_map for selection in selections for word_map in passed.pooled(selection)[item.positions]]
    to_center = ((cell_centers((h, w), (h, w)) - (h / 2, w / 2)) ** 2).sum(axis=1).reshape(h, w)
    drawn = [random.random((h, w)) for _ in range(options.random_covers)]
    covers = np.stack([highest_cells(values, options.cells) for values in (*drawn, -to_center, *maps)])
    different, of_each = np.unique(covers, axis=0, return_inverse=True)
    return _Covers(different, of_each.reshape(-1))


def _cover(
    captioner: ImageCaptioner, image: np.ndarray, features: np.ndarray, covers: np.ndarray, cover: str
) -> np.ndarray:
    """(K, h, w, C): the features of the image under each cover."""
    if cover == "pixels":
        return np.asarray(captioner.features([cover_pixels(image, cells) for cells in covers]))
    return np.stack([cover_features(features, cells) for cells in covers])


@dataclass(frozen=True)
class _ImageSums:
    """Sums over the measured words of each image.

    Attributes:
        words: (images,) number of words.
        comparable: (images,) number of words in captions with other measured words.
        random, center: (images,) drops under random covers and under the center cover.
        drop: (images, M) drops under the cover of the word's own cells.
        wins: (images, M) number of words that drop more than under random covers.
        over_others: (images, M) drop minus the mean drop under the covers of the caption's other words.
    """

    words: np.ndarray
    comparable: np.ndarray
    random: np.ndarray
    center: np.ndarray
    drop: np.ndarray
    wins: np.ndarray
    over_others: np.ndarray

    @classmethod
    def zeros(cls, images: int, selections: int) -> _ImageSums:
        return cls(*(np.zeros(images) for _ in range(4)), *(np.zeros((images, selections)) for _ in range(3)))

    def measured(self) -> _ImageSums:
        """Only the images that have a word."""
        return _ImageSums(*(getattr(self, item.name)[self.words > 0] for item in fields(self)))

    def add(self, item: _Captioned, drops: np.ndarray, random_covers: int) -> None:
        """Adds the drops (K, W) of one caption under the covers in the order of `_covers`."""
        index, words = item.image_index, len(item.positions)
        random, center = drops[:random_covers].mean(axis=0), drops[random_covers]  # (W,)
        by_cover = drops[random_covers + 1 :].reshape(-1, words, words)  # (M, W, W): cells of a word, drop of a word
        own = np.diagonal(by_cover, axis1=1, axis2=2)  # (M, W)
        self.words[index] += words
        self.random[index] += random.sum()
        self.center[index] += center.sum()
        self.drop[index] += own.sum(axis=1)
        self.wins[index] += (own > random).sum(axis=1)
        if words > 1:
            others = (by_cover.sum(axis=1) - own) / (words - 1)
            self.comparable[index] += words
            self.over_others[index] += (own - others).sum(axis=1)


def _report(
    options: DeletionOptions, selections: Sequence[MapSelection], sums: _ImageSums, failed: dict[str, str]
) -> Deletion:
    """Means over words and their intervals."""
    sums, seed = sums.measured(), options.seed
    if not len(sums.words):
        raise CaptionTxError(
            "No caption has a word to measure: the words are unknown to the model or are function words"
            + (f", and {len(failed)} images could not be read." if failed else ".")
        )
    scores = tuple(
        DeletionScore(
            selection=selection_name(selection),
            drop=ratio_interval(sums.drop[:, m], sums.words, seed),
            over_random=ratio_interval(sums.drop[:, m] - sums.random, sums.words, seed),
            over_center=ratio_interval(sums.drop[:, m] - sums.center, sums.words, seed),
            over_others=(
                ratio_interval(sums.over_others[:, m], sums.comparable, seed) if sums.comparable.any() else None
            ),
            win_rate=ratio_interval(sums.wins[:, m], sums.words, seed),
        )
        for m, selection in enumerate(selections)
    )
    return Deletion(
        cover=options.cover,
        cells=options.cells,
        random_covers=options.random_covers,
        images=len(sums.words),
        words=int(sums.words.sum()),
        random=ratio_interval(sums.random, sums.words, seed),
        center=ratio_interval(sums.center, sums.words, seed),
        scores=scores,
        failed=failed,
    )
