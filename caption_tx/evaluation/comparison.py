"""Compares two systems on the same images with a paired bootstrap, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.intervals import DEFAULT_BOOTSTRAP, Bootstrap, Interval
from caption_tx.evaluation.metrics import METRICS, paired_differences
from caption_tx.evaluation.scores import Scores, score

LISTED = 10
"""Images that differ most in the report."""


@dataclass(frozen=True)
class ImageDifference:
    """How much two captions of an image differ: CIDEr of the first minus that of the other, times 100."""

    image: str
    cider: float
    caption: str
    other: str


@dataclass(frozen=True)
class Comparison:
    """Scores minus those of another system on the same images, times 100.

    Attributes:
        path: the predictions file of the other system.
        scores, other: of both systems, on the images that both have captions of.
        differences: by unit and metric, with 95% intervals of a paired bootstrap: every resample draws the same images
            for both systems.
        images: all images, those whose CIDEr differs most first.
        left_out: images that only one of the systems has a caption of.
    """

    path: Path
    scores: Scores
    other: Scores
    differences: dict[str, dict[str, Interval]]
    images: tuple[ImageDifference, ...]
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison, ready for JSON, with the images that differ most."""
        units = self.differences
        return {
            "file": str(self.path),
            "images": self.scores.statistics.images,
            "scores": {unit: {name: asdict(self.scores.rows[unit][name]) for name in METRICS} for unit in units},
            "other": {unit: {name: asdict(self.other.rows[unit][name]) for name in METRICS} for unit in units},
            "differences": {unit: {name: asdict(row[name]) for name in METRICS} for unit, row in units.items()},
            "differ_most": [asdict(image) for image in self.images[:LISTED]],
            "left_out": list(self.left_out),
        }


def compare(
    path: str | Path,
    captions: Mapping[str, str],
    others: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    scores: Scores,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> Comparison:
    """Compares the captions of a system with those of another one (paired bootstrap, Koehn 2004).

    Args:
        path: the predictions file of the other system.
        captions, others: the captions of both systems by image.
        references: of every image in `captions` or `others`.
        scores: of `captions`; computed again if the other system lacks some of the images.

    Raises:
        CaptionTxError: no image has a caption of both systems.
    """
    common = [name for name in captions if name in others]
    if not common:
        raise CaptionTxError(f"{path} has no caption of an image that is scored; compare captions of the same images.")
    targets = {name: references[name] for name in common}

    def score_common(texts: Mapping[str, str]) -> Scores:
        return score({name: texts[name] for name in common}, targets, scores.protocol, bootstrap=bootstrap)

    own = scores if len(common) == len(captions) else score_common(captions)
    other = score_common(others)
    differences = {unit: paired_differences(own.metrics[unit], other.metrics[unit], bootstrap) for unit in own.rows}
    images = [
        ImageDifference(name, values["cider"] - other.by_image[name]["cider"], captions[name], others[name])
        for name, values in own.by_image.items()
    ]
    return Comparison(
        Path(path),
        own,
        other,
        differences,
        tuple(sorted(images, key=lambda image: (-abs(image.cider), image.image))),
        tuple(name for name in dict.fromkeys([*captions, *others]) if (name in captions) != (name in others)),
    )
