"""The causal check of attention maps: does covering what a word looked at make the word less likely?

The `cells` places of the picture that a word's map attends to most are covered, the caption is read again,
and the fall of the word's log-probability is held against the fall under as many other cells: drawn at
random, around the center, and those that the other words of the same caption looked at (after the deletion
metric of Petsiuk et al. 2018, "RISE", at one number of cells and for one word).

Covered with "pixels", the cells are painted over in the picture, with its own mean color, before the backbone
sees it. This is the honest way: every feature cell of a convolutional network has seen far more of the
picture than its own square. Covered with "cells", the features that attention reads are replaced by the mean
feature of the same picture; that is quicker, and tests the reading alone.

Letters: h/w feature grid, H/W picture, T tokens, K covers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from caption_tx.config import LANGUAGES
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.evaluation.attention.grounding import Interval, Source, interval, middles, poolings
from caption_tx.inference.attention.teacher_forcing import caption_log_probabilities, teacher_forced_pass
from caption_tx.inference.captioner import ImageCaptioner

WAYS = ("pixels", "cells")
"""What is covered: the picture before the backbone, or its features."""

FUNCTION_WORDS = {
    "zh": frozenset("的地得着了过在是有和与跟从向往对把被给用到上下里中前后旁而并正也都一这那其他她它只个们")
    | {number + measure for number in "一两三四几" for measure in "个只条群些位名张块片件辆座对起"}
    | {place + side for place in "上下里前后旁" for side in "面边"}
    | {"很多", "许多", "他们", "正在", "之间", "起来", "下来", "出来"},
    "en": frozenset({
        "a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "by", "with", "from", "into", "onto", "over",
        "under", "through", "up", "down", "out", "off", "along", "across", "near", "around", "behind", "beside",
        "between", "front", "is", "are", "was", "were", "be", "being", "has", "have", "it", "its", "his", "her",
        "their", "them", "he", "she", "they", "that", "this", "there", "while", "as", "for", "some", "one", "two",
        "three", "other", "another", "who", "which", "top", "side",
    }),
}  # fmt: skip
"""Words that name nothing to look at; all others are measured."""

_CHUNK = 16


def is_content_word(word: str, language: str) -> bool:
    """Whether a word names something that a picture could show."""
    if language not in LANGUAGES:
        raise ConfigError(f"language must be one of {LANGUAGES}, got {language!r}.")
    return word not in FUNCTION_WORDS[language]


def most_attended(attention_map: np.ndarray, cells: int) -> np.ndarray:
    """float (h, w) -> bool (h, w): the highest cells; of equal ones the first."""
    chosen = np.zeros(attention_map.size, bool)
    chosen[np.argsort(-attention_map, axis=None, kind="stable")[:cells]] = True
    return chosen.reshape(attention_map.shape)


def cover_pixels(picture: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) with the cells of bool (h, w) painted over, each with the mean color of the picture."""
    edges = [
        np.round(np.arange(count + 1) * side / count).astype(int)
        for count, side in zip(cells.shape, picture.shape[:2], strict=True)
    ]
    covered = picture.copy()
    color = np.round(picture.mean(axis=(0, 1))).astype(np.uint8)
    for row, column in np.argwhere(cells):
        covered[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]] = color
    return covered


def cover_features(features: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """float (h, w, C) with the cells of bool (h, w) replaced by the mean over all cells."""
    return np.where(cells[..., None], features.mean(axis=(0, 1)), features)


@dataclass(frozen=True)
class DeletionScore:
    """How much less likely words became, in nats, when the cells that one source's maps attend to most were covered.

    Attributes:
        source: which maps.
        drop: mean fall of the word's log-probability.
        over_random, over_center, over_others: how much more it fell than under random cells, under the
            cells around the center, and under those of the other words of the caption.
        won: share of words that fell more than under random cells, in [0, 1].
    """

    source: str
    drop: Interval
    over_random: Interval
    over_center: Interval
    over_others: Interval | None
    won: Interval


@dataclass(frozen=True)
class Deletion:
    """What `measure_deletion` found.

    Attributes:
        way: one of `WAYS`. cells: how many were covered. draws: random covers an image.
        random, center: mean fall under those covers, in nats.
        failed: image -> why it could not be read.
    """

    way: str
    cells: int
    draws: int
    images: int
    words: int
    random: Interval
    center: Interval
    scores: tuple[DeletionScore, ...]
    failed: Mapping[str, str]

    def table(self) -> str:
        """All of it for the terminal: the interval stands behind each value."""

        def cell(value: Interval | None) -> str:
            return "" if value is None else f"{value.value:6.3f} [{value.low:.3f}, {value.high:.3f}]"

        lines = [
            f"{self.cells} cells covered ({self.way}), {self.words:,} words of {self.images:,} images; "
            "fall of the word's log-probability in nats",
            f"  {'maps':<18}{'fall':<24}{'more than random':<24}{'than the center':<24}{'than other words':<24}won",
            f"  {'random cells':<18}{cell(self.random)}",
            f"  {'center':<18}{cell(self.center)}",
        ]
        lines += [
            f"  {score.source:<18}{cell(score.drop):<24}{cell(score.over_random):<24}{cell(score.over_center):<24}"
            f"{cell(score.over_others):<24}{score.won.value:.2f}"
            for score in self.scores
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Item:
    """One caption of one image: its number, the picture (H, W, 3), the tokens and which of them are measured."""

    image: int
    picture: np.ndarray
    token_ids: list[int]
    places: list[int]


def measure_deletion(
    captioner: ImageCaptioner,
    captions: Mapping[str, Sequence[str]],
    way: str = "pixels",
    cells: int = 5,
    sources: Sequence[Source] | None = None,
    is_content: Callable[[str], bool] | None = None,
    draws: int = 4,
    seed: int = 0,
    progress: Callable[[Iterable[str]], Iterable[str]] | None = None,
) -> Deletion:
    """Covers what the words of captions looked at, and tells how much less likely they became.

    Images that cannot be read are left out and named.

    Args:
        captions: path of an image file -> captions, true or made by the model.
        way: one of `WAYS`.
        cells: how many to cover, at least 1 and fewer than there are.
        sources: which maps; every pooling over all layers and heads by default.
        is_content: which words to measure; by default those that `is_content_word` names. Words that
            the model does not know never count.
        draws: random covers of each image.
        seed: of the random cells and the bootstrap over images.
        progress: wraps the paths, e.g. `tqdm`.

    Raises:
        ConfigError: `way`, `cells` or `draws` is out of range.
        CaptionTxError: there is no word to measure.
    """
    if way not in WAYS:
        raise ConfigError(f"way must be one of {', '.join(WAYS)}, got {way!r}.")
    bundle = captioner.bundle
    h, w, _ = bundle.captioner.settings["feature_shape"]
    if not 1 <= cells < h * w:
        raise ConfigError(f"cells must be at least 1 and fewer than the {h * w} of the grid, got {cells}.")
    if draws < 1:
        raise ConfigError(f"draws must be at least 1, got {draws}.")
    language = bundle.text.language
    sources = poolings() if sources is None else sources
    is_content = is_content or (lambda word: is_content_word(word, language))
    from_center = ((middles((h, w), (h, w)) - (h / 2, w / 2)) ** 2).sum(axis=1).reshape(h, w)
    center = most_attended(-from_center, cells)
    rng = np.random.default_rng(seed)
    failed: dict[str, str] = {}
    paths = list(captions)
    items = _read(captioner, captions, is_content, failed, progress)
    # Of each image: words, falls under random and center, words that have others, then for every source the
    # fall, how often it was more than under random cells, and the fall less that under the others' cells.
    facts = np.zeros((len(paths), 4))
    sums = np.zeros((len(paths), len(sources), 3))
    while chunk := list(islice(items, _CHUNK)):
        features = np.asarray(captioner.features([item.picture for item in chunk]))
        token_lists = [item.token_ids for item in chunk]
        traced = teacher_forced_pass(bundle.captioner, features, token_lists)
        covers = []
        for item, (scores, _, own_scores) in zip(chunk, traced, strict=True):
            maps = [source.maps(scores, own_scores)[place] for source in sources for place in item.places]
            drawn = [most_attended(rng.random((h, w)), cells) for _ in range(draws)]
            covers.append(np.stack([*drawn, center, *(most_attended(each, cells) for each in maps)]))  # (K, h, w)
        covered = [
            np.asarray(captioner.features([cover_pixels(item.picture, each) for each in cover]))
            if way == "pixels"
            else np.stack([cover_features(own, each) for each in cover])
            for item, cover, own in zip(chunk, covers, features, strict=True)
        ]
        rows = np.repeat(np.arange(len(chunk)), [len(cover) for cover in covers])
        after = caption_log_probabilities(bundle.captioner, np.concatenate(covered), [token_lists[row] for row in rows])
        for row, (item, (_, before, _)) in enumerate(zip(chunk, traced, strict=True)):
            own = np.stack([values for values, place in zip(after, rows, strict=True) if place == row])  # (K, T)
            _add(facts, sums, item, (before - own)[:, item.places], draws, len(sources))
    return _report(way, cells, draws, sources, facts, sums, failed, seed)


def _read(
    captioner: ImageCaptioner,
    captions: Mapping[str, Sequence[str]],
    is_content: Callable[[str], bool],
    failed: dict[str, str],
    progress: Callable[[Iterable[str]], Iterable[str]] | None,
) -> Iterator[_Item]:
    """The captions that have words to measure; images that cannot be read go to `failed`."""
    bundle = captioner.bundle
    segmenter, tokenizer, size = bundle.segmenter(), bundle.tokenizer, bundle.backbone.image_size
    longest = bundle.captioner.max_length
    for number, path in enumerate(captions if progress is None else progress(captions)):
        try:
            picture = read_image(os.fspath(path), size)[1]
        except ImageError as error:
            failed[str(path)] = str(error)
            continue
        for caption in captions[path]:
            words = segmenter.segment(caption)
            token_ids = tokenizer.tokenize([words], longest)[0].tolist()
            places = [
                place
                for place, (word, token_id) in enumerate(zip(words, token_ids[1:], strict=False))
                if token_id not in tokenizer.suppress_tokens and is_content(word)
            ]
            if places:
                yield _Item(number, picture, token_ids, places)


def _add(facts: np.ndarray, sums: np.ndarray, item: _Item, falls: np.ndarray, draws: int, sources: int) -> None:
    """Adds one caption's falls (K, words), covers in the order random, center, then source by source the words'."""
    count = len(item.places)
    random, center = falls[:draws].mean(axis=0), falls[draws]  # (words,)
    by_word = falls[draws + 1 :].reshape(sources, count, count)  # cover of one word, fall of another
    own = np.diagonal(by_word, axis1=1, axis2=2)  # (sources, words)
    facts[item.image] += count, random.sum(), center.sum(), count if count > 1 else 0
    sums[item.image, :, 0] += own.sum(axis=1)
    sums[item.image, :, 1] += (own > random).sum(axis=1)
    if count > 1:
        others = (by_word.sum(axis=1) - own) / (count - 1)
        sums[item.image, :, 2] += (own - others).sum(axis=1)


def _report(
    way: str,
    cells: int,
    draws: int,
    sources: Sequence[Source],
    facts: np.ndarray,
    sums: np.ndarray,
    failed: dict[str, str],
    seed: int,
) -> Deletion:
    """Sums over the words of each image -> means with their intervals."""
    used = facts[:, 0] > 0
    if not used.any():
        raise CaptionTxError(
            "No caption has a word to measure: its words are unknown to the model or name nothing"
            + (f", and {len(failed)} images could not be read." if failed else ".")
        )
    (words, random, center, with_others), sums = facts[used].T, sums[used]
    scores = tuple(
        DeletionScore(
            source=source.name,
            drop=interval(sums[:, m, 0], words, seed),
            over_random=interval(sums[:, m, 0] - random, words, seed),
            over_center=interval(sums[:, m, 0] - center, words, seed),
            over_others=interval(sums[:, m, 2], with_others, seed) if with_others.any() else None,
            won=interval(sums[:, m, 1], words, seed),
        )
        for m, source in enumerate(sources)
    )
    return Deletion(
        way=way,
        cells=cells,
        draws=draws,
        images=int(used.sum()),
        words=int(words.sum()),
        random=interval(random, words, seed),
        center=interval(center, words, seed),
        scores=scores,
        failed=failed,
    )
