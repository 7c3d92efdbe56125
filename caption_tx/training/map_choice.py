"""Chooses the default pooling of a trained bundle, and measures how far its maps can be trusted.

The deletion check decides: the pooling whose cells matter most to a word. With boxes, the maps of the human captions of
validation images are also compared with the boxes, and only poolings that agree with them as well as `DEFAULT_POOL` can
be chosen. `DEFAULT_POOL` is kept unless another is clearly better.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from caption_tx.bundle import Bundle
from caption_tx.config import DEFAULT_POOL, POOL_NAMES
from caption_tx.data.boxes.readers import read_boxes
from caption_tx.data.boxes.words import read_box_words
from caption_tx.data.corpus.table import evenly_spaced
from caption_tx.data.features.backbone import dequantize
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.box_grounding import measure_box_grounding
from caption_tx.evaluation.attention.box_report import ALL, SMALL, BoxGrounding, MapScores
from caption_tx.evaluation.attention.deletion import check_deletion
from caption_tx.evaluation.attention.deletion_report import Deletion
from caption_tx.evaluation.attention.features import ImageFeatures
from caption_tx.evaluation.attention.phrases import BoxReferences
from caption_tx.evaluation.attention.selections import pooled_by_name
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.training.inputs import TrainingInputs
from caption_tx.training.run import RunContext

MAX_BOX_IMAGES, MAX_DELETION_IMAGES = 300, 32
"""Validation images that are measured, evenly spaced over the split."""

_TOLERANCE = 0.01


class RunFeatures(ImageFeatures):
    """The features of the images of a run."""

    def __init__(self, inputs: TrainingInputs) -> None:
        self._inputs = inputs

    def load(self, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
        return list(names), np.asarray(dequantize(self._inputs.load_features(list(names))))


def measure_maps(run: RunContext, bundle: Bundle, inputs: TrainingInputs, references: dict[str, list[str]]) -> Bundle:
    """The bundle with its default pooling and the accuracy of its maps, as the fact `attention`.

    Args:
        references: human captions of validation images, by name; all of them are readable.

    The fact has `pool`; `measured_on`; and with boxes `words`: for each category the number of words, pointing
    game and mass. There is none if nothing could be measured.
    """
    captioner = ImageCaptioner(bundle)
    captioner.backbone = inputs.backbone
    grounding = deletion = None
    with suppress(CaptionTxError):  # too few words with boxes
        grounding = _compare_with_boxes(run, captioner, inputs, references)
    with suppress(CaptionTxError):  # no content word
        deletion = check_deletion(captioner, references, inputs.images, MAX_DELETION_IMAGES)
    facts = attention_facts(grounding, deletion)
    if not facts:
        return bundle
    run.log(f"Attention maps are pooled by {facts['pool']}, measured on {facts['measured_on']}.")
    return replace(bundle, facts=bundle.facts | {"attention": facts})


def _compare_with_boxes(
    run: RunContext, captioner: ImageCaptioner, inputs: TrainingInputs, references: dict[str, list[str]]
) -> BoxGrounding | None:
    """The pooled maps of human captions in the boxes of the run; None without boxes."""
    config = run.config.boxes
    if not config.sources:
        return None
    table = read_boxes(config.sources, run.config.corpus.images)
    words = read_box_words(config.word_list)
    boxes = table.match(evenly_spaced(references, MAX_BOX_IMAGES))
    captions = {name: references[name] for name in boxes}
    return measure_box_grounding(
        captioner, RunFeatures(inputs), captions, BoxReferences(boxes, words), pooled_by_name()
    )


def attention_facts(grounding: BoxGrounding | None, deletion: Deletion | None) -> dict[str, Any]:
    """The fact `attention` of a bundle from measurements of its pooled maps, see `measure_maps`."""
    pool = choose_pool(grounding, deletion)
    facts: dict[str, Any] = {}
    if deletion is not None:
        measured_on = f"{deletion.images:,} validation images, by covering what words attended to"
        facts = {"pool": pool, "measured_on": measured_on}
    if grounding is not None:
        covered = "" if deletion is None else f" and, by covering what words attended to, on {deletion.images:,} images"
        facts = {"pool": pool, "measured_on": f"the boxes of {grounding.images:,} validation images{covered}"}
        facts["words"] = {
            group.name: {
                "words": group.words,
                "pointing": round(group.score(pool).pointing.value, 4),
                "mass": round(group.score(pool).mass.value, 4),
            }
            for group in grounding.groups
            if not group.name.endswith("third")
        }
    return facts


def choose_pool(grounding: BoxGrounding | None, deletion: Deletion | None) -> str:
    """The pooling whose cells matter most to a word, among those that agree with boxes as well as the default.

    A pooling agrees as well if neither its pointing game nor its mass is more than `_TOLERANCE` lower. Its cells must
    matter clearly more than the default's: above the interval of the default's drop. If no pooling's do, boxes decide
    alone: the largest sum of pointing game and mass, if one of them is above the default's interval.
    """
    scores = {} if grounding is None else _no_worse(grounding)
    if deletion is not None:
        allowed = scores or POOL_NAMES
        drops = {score.selection: score.over_random for score in deletion.scores if score.selection in allowed}
        best = max(drops, key=lambda name: drops[name].value)
        if drops[best].value > (drops[DEFAULT_POOL].high or 0):
            return best
    return _best_in_boxes(scores) if scores else DEFAULT_POOL


def _no_worse(grounding: BoxGrounding) -> dict[str, MapScores]:
    """The scores of the default pooling, and of those that agree with boxes as well."""
    group = grounding.group(SMALL) or grounding.group(ALL)
    assert group is not None
    default = group.score(DEFAULT_POOL)
    return {
        score.maps: score
        for score in group.scores
        if score.maps in POOL_NAMES
        and score.pointing.value >= default.pointing.value - _TOLERANCE
        and score.mass.value >= default.mass.value - _TOLERANCE
    }


def _best_in_boxes(scores: dict[str, MapScores]) -> str:
    """The pooling that agrees clearly better than the default, or the default."""
    default = scores[DEFAULT_POOL]
    better = [
        score
        for score in scores.values()
        if score.pointing.value > default.pointing.high or score.mass.value > default.mass.high
    ]
    return max(better, key=lambda score: score.pointing.value + score.mass.value, default=default).maps
