"""Chooses the default pooling of a trained bundle, and measures how far its maps can be trusted.

With boxes, the maps of the human captions of validation images are compared with the boxes. Without boxes, the deletion
check decides: the pooling whose cells matter most to a word. `DEFAULT_POOL` is kept unless another is clearly better.
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
    facts: dict[str, Any] = {}
    with suppress(CaptionTxError):  # too few words with boxes, or no content word
        if run.config.boxes.sources:
            facts = _from_boxes(run, captioner, inputs, references)
        elif references:
            facts = _from_deletion(captioner, inputs, references)
    if not facts:
        return bundle
    run.log(f"Attention maps are pooled by {facts['pool']}, measured on {facts['measured_on']}.")
    return replace(bundle, facts=bundle.facts | {"attention": facts})


def _from_boxes(
    run: RunContext, captioner: ImageCaptioner, inputs: TrainingInputs, references: dict[str, list[str]]
) -> dict[str, Any]:
    config = run.config.boxes
    table = read_boxes(config.sources, run.config.corpus.images)
    words = read_box_words(config.word_list)
    boxes = table.match(evenly_spaced(references, MAX_BOX_IMAGES))
    captions = {name: references[name] for name in boxes}
    grounding = measure_box_grounding(
        captioner, RunFeatures(inputs), captions, BoxReferences(boxes, words), pooled_by_name()
    )
    return facts_from_boxes(grounding)


def facts_from_boxes(grounding: BoxGrounding) -> dict[str, Any]:
    """The fact `attention` of a bundle from the grounding of its pooled maps, see `measure_maps`."""
    pool = best_pool(grounding)
    return {
        "pool": pool,
        "measured_on": f"the boxes of {grounding.images:,} validation images",
        "words": {
            group.name: {
                "words": group.words,
                "pointing": round(group.score(pool).pointing.value, 4),
                "mass": round(group.score(pool).mass.value, 4),
            }
            for group in grounding.groups
            if not group.name.endswith("third")
        },
    }


def best_pool(grounding: BoxGrounding) -> str:
    """The pooling with the largest sum of pointing game and mass that is clearly better than the default.

    That is, one score is above the default's interval, and the other is no more than `_TOLERANCE` lower.
    """
    group = grounding.group(SMALL) or grounding.group(ALL)
    assert group is not None
    default = group.score(DEFAULT_POOL)

    def is_better(score: MapScores) -> bool:
        pairs = ((score.pointing, default.pointing), (score.mass, default.mass))
        no_worse = all(own.value >= old.value - _TOLERANCE for own, old in pairs)
        return no_worse and any(own.value > old.high for own, old in pairs)

    better = [score for score in group.scores if score.maps in POOL_NAMES and is_better(score)]
    return max(better, key=lambda score: score.pointing.value + score.mass.value, default=default).maps


def _from_deletion(
    captioner: ImageCaptioner, inputs: TrainingInputs, references: dict[str, list[str]]
) -> dict[str, Any]:
    deletion = check_deletion(captioner, references, inputs.images, MAX_DELETION_IMAGES)
    best = max(deletion.scores, key=lambda score: score.over_random.value)
    [default] = [score for score in deletion.scores if score.selection == DEFAULT_POOL]
    is_clear = best.over_random.value > (default.over_random.high or 0)
    return {
        "pool": best.selection if is_clear else DEFAULT_POOL,
        "measured_on": f"{deletion.images:,} validation images, by covering what words attended to",
    }
