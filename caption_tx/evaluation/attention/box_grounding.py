"""Measures whether attention maps lie inside the boxes that people drew around what words name.

The captions are read with teacher forcing, and the map of every word that names boxes is compared with their union:

- Pointing game (Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop"), without tolerance: whether the
  highest point of the map, drawn as a heatmap (`inference/drawing/spline.py`), is in a box. If points tie, the share of
  them that hit counts.
- Attention mass: the share of the map inside the boxes; a cell that they cover in part counts in part.
- Attention correctness (Liu et al. 2017, "Attention Correctness in Neural Image Captioning"): the map is scaled to the
  image and normalized; the mass inside the boxes of a phrase is the maximum over the phrase's words. Phrases without
  boxes, and phrases whose boxes cover the whole image, are left out.

Letters: W words or phrases, M maps of a word, S = h*w cells, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.baselines import BASELINES, baseline_maps, word_priors
from caption_tx.evaluation.attention.box_report import BoxGrounding, WordScores, summarize
from caption_tx.evaluation.attention.cells import peaks
from caption_tx.evaluation.attention.features import ImageFeatures
from caption_tx.evaluation.attention.phrases import (
    WHOLE_IMAGE,
    BoxReferences,
    BoxTargets,
    NamedPhrase,
    NamedWord,
    find_phrases,
    find_words,
    fine_total,
)
from caption_tx.evaluation.attention.selections import all_selections, selection_name
from caption_tx.inference.attention.pooling import ALL_HEADS, MapSelection
from caption_tx.inference.attention.teacher_forcing import TeacherForced, needs_cells, teacher_forced_pass
from caption_tx.inference.captioner import ImageCaptioner

Progress = Callable[[Iterable], Iterable]


@dataclass(frozen=True)
class _Caption:
    """A caption to measure: index of its image, token ids, named words and phrases."""

    image: int
    token_ids: np.ndarray
    words: list[NamedWord]
    phrases: list[NamedPhrase]


def measure_box_grounding(
    captioner: ImageCaptioner,
    images: ImageFeatures,
    captions: Mapping[str, Sequence[str]],
    references: BoxReferences,
    selections: Mapping[str, MapSelection] | None = None,
    seed: int = 0,
) -> BoxGrounding:
    """Compares the attention maps of captions with boxes.

    Args:
        images: where the features of the images come from.
        captions: name of an image -> captions in the captioner's language, human or generated. Words that the model
            does not know are left out, and so are images that cannot be read.
        selections: maps to measure, by name; by default every pooling, layer and head.
        seed: of the bootstrap over images.

    Raises:
        CaptionTxError: fewer than two images have words with boxes; one is needed as another's control.

    Example:
        >>> references = BoxReferences(read_boxes("boxes.jsonl").match(captions), read_box_words("nouns.tsv"))
        >>> images = EvaluatedImages(captioner, "photos/")
        >>> print(measure_box_grounding(captioner, images, captions, references).table())
    """
    settings = captioner.bundle.captioner.settings
    grid = tuple(settings.feature_shape[:2])
    if selections is None:
        selections = {selection_name(item): item for item in all_selections(settings.num_layers, settings.num_heads)}
    found = _find_captions(captioner, captions, references)
    names = list(found)
    if len(names) < 2:
        raise CaptionTxError(
            f"Words with boxes are in the captions of {len(names)} images, and at least 2 are needed; compare the "
            "words of the captions with the names of the boxes, or map them with box_words (--box-words)."
        )
    priors = word_priors(
        references, {word.word for items in found.values() for item in items for word in item.words}, grid
    )
    words, phrases, measured = WordScores(), WordScores(), []
    for loaded, features in images.batches(names):
        items = [_at(item, row) for row, name in enumerate(loaded) for item in found[name]]
        own, other = _passes(captioner, features, items, needs_cells(selections.values()))
        targets = [BoxTargets(references.boxes[name], grid) for name in loaded]
        for item, passed, shuffled in zip(items, own, other, strict=True):
            maps = _Maps(passed, shuffled, list(selections.values()), grid, priors)
            _score_words(words, item, targets[item.image], maps, len(measured))
            _score_phrases(phrases, item, targets[item.image], maps, len(measured))
        measured += loaded
    return summarize([*BASELINES, *selections], words, phrases, measured, bool(priors), seed)


def _find_captions(
    captioner: ImageCaptioner, captions: Mapping[str, Sequence[str]], references: BoxReferences
) -> dict[str, list[_Caption]]:
    """The captions of each image with known words that name boxes."""
    bundle, segmenter = captioner.bundle, captioner.bundle.segmenter()
    tokenizer, longest = bundle.tokenizer, bundle.captioner.max_length
    phrase_segment = segmenter.segment if references.words.entries is None else None
    found: dict[str, list[_Caption]] = {}
    for name, texts in captions.items():
        boxes = references.boxes.get(name, ())
        for text in texts if boxes else ():
            words = segmenter.segment(text)[: longest - 1]
            if not words:
                continue
            token_ids = np.asarray(tokenizer.tokenize([words])[0])
            is_known = token_ids[1:] != tokenizer.unk_token_id
            named = [word for word in find_words(words, boxes, references.words) if is_known[word.position]]
            if named:
                phrases = find_phrases(words, boxes, named, phrase_segment)
                found.setdefault(name, []).append(_Caption(-1, token_ids, named, phrases))
    return found


def _at(item: _Caption, row: int) -> _Caption:
    return _Caption(row, item.token_ids, item.words, item.phrases)


def _passes(
    captioner: ImageCaptioner, features: np.ndarray, items: Sequence[_Caption], with_cells: bool
) -> tuple[list[TeacherForced], list[TeacherForced]]:
    """Each caption read with its own image, and with the next image of the batch."""
    token_lists = [item.token_ids for item in items]
    rows = [item.image for item in items]
    model = captioner.bundle.captioner
    others = [(row + 1) % len(features) for row in rows]
    return (
        teacher_forced_pass(model, features, token_lists, rows, with_cells=with_cells),
        teacher_forced_pass(model, features, token_lists, others),
    )


class _Maps:
    """All maps of the words of one caption."""

    def __init__(
        self,
        passed: TeacherForced,
        shuffled: TeacherForced,
        selections: Sequence[MapSelection],
        grid: tuple[int, int],
        priors: Mapping[str, np.ndarray],
    ) -> None:
        pooled = [passed.pooled(selection) for selection in selections]
        self._own = np.stack(pooled).reshape(len(selections), len(pooled[0]), -1)  # (M, T, S)
        self._other = ALL_HEADS.pooled(shuffled.attention_scores).reshape(len(pooled[0]), -1)  # (T, S)
        self.grid, self._priors = grid, priors
        self.probabilities = np.exp(passed.log_probabilities)  # (T,)

    def of(self, position: int, word: str = "") -> np.ndarray:
        """(M, S): the baselines in the order of `BASELINES`, then the maps of the selections; sums are 1."""
        maps = np.concatenate(
            [baseline_maps(self.grid, self._priors.get(word), self._other[position]), self._own[:, position]]
        ).astype(np.float64)
        return maps / maps.sum(axis=1, keepdims=True)


def _score_words(scores: WordScores, item: _Caption, targets: BoxTargets, maps: _Maps, first: int) -> None:
    for word in item.words:
        own = maps.of(word.position, word.word)  # (M, S)
        hits = peaks(own.reshape(-1, *maps.grid)) @ targets.hits(word.boxes)
        mass = own @ targets.coverage(word.boxes)
        values = np.stack([hits, mass], axis=1)
        probability = float(maps.probabilities[word.position])
        scores.add(first + item.image, targets.area(word.boxes), values, word.category, probability)


def _score_phrases(scores: WordScores, item: _Caption, targets: BoxTargets, maps: _Maps, first: int) -> None:
    words = {word.position: word for word in item.words}
    for phrase in item.phrases:
        area = targets.area(phrase.boxes)
        if area > WHOLE_IMAGE:
            continue
        weights, total = targets.fine_weights(phrase.boxes), fine_total(maps.grid)
        inside = []
        for position in phrase.positions:
            own = maps.of(position, words[position].word if position in words else "")
            inside.append((own @ weights) / (own @ total))
        scores.add(first + item.image, area, np.max(inside, axis=0)[:, None])
