"""The result of an evaluation, as JSON and as text for a terminal, without TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx import __version__
from caption_tx.config import MIN_IMAGES, DecodingOptions
from caption_tx.evaluation.comparison import LISTED, Comparison
from caption_tx.evaluation.intervals import Interval
from caption_tx.evaluation.metrics import METRICS, TITLES
from caption_tx.evaluation.scores import CaptionStatistics, Scores
from caption_tx.evaluation.submissions import Predictions

if TYPE_CHECKING:
    from caption_tx.evaluation.attention.box_evaluation import BoxEvaluation
    from caption_tx.evaluation.split_captions import SplitCounts
    from caption_tx.inference.attention.health import MapHealth

METHOD = {
    "bleu": "over the corpus, closest reference length, the shorter of two; times 100",
    "rouge_l": "beta 1.2, mean over images; times 100",
    "cider": "CIDEr-D, idf from the scored references, mean over images; times 100",
    "interval": "95%, bootstrap over images; BLEU from resampled counts, ROUGE-L and CIDEr from the score of each "
    "image with fixed idf",
}

_VERSIONS = ("pycocoevalcap", "jieba", "keras", "tensorflow", "numpy")
_LABEL_WIDTH, _CELL_WIDTH = 20, 13


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of a predictions file.

    Attributes:
        path: the predictions file; None if it was not kept.
        sha256: of the predictions file.
        references: of the scored images, as they were compared with the predictions.
        human_baseline: scores of human captions by unit and metric, see `scores.score_humans`; None if not requested.
        map_health: measurements of the attention maps; None if not requested.
        boxes: comparison of the attention maps with boxes; None if not requested.
        counts: images that were captioned, skipped and unreadable; None for a file of another system.
        search: how the captions were searched; None for a file of another system.
        comparison: with another predictions file; None if not requested.
        facts: what produced the predictions: corpus, bundle, decoding options.
    """

    path: Path | None
    sha256: str
    split: str
    predictions: Predictions
    references: dict[str, list[str]]
    scores: Scores
    human_baseline: dict[str, dict[str, float]] | None = None
    map_health: MapHealth | None = None
    boxes: BoxEvaluation | None = None
    counts: SplitCounts | None = None
    search: DecodingOptions | None = None
    comparison: Comparison | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return format_evaluation(self)

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the scores should know."""
        notes, predictions, scores = [], self.predictions, self.scores
        if scores.statistics.images == 1:
            notes.append(
                "CIDEr of a single image is 0 by definition: every word occurs in every image, so its idf is 0."
            )
        elif scores.statistics.images < MIN_IMAGES:
            notes.append(
                f"{scores.statistics.images} images are too few for scores that mean anything, and for intervals."
            )
        for names, text in (
            (predictions.missing, "have no prediction and are not scored; these scores cover a part of the split"),
            (list(predictions.unreadable), "could not be read and are not scored"),
            (scores.left_out, "have no reference with a word and are not scored"),
        ):
            if names:
                notes.append(f"{name_images(names)} {text}.")
        if predictions.unexpected:
            notes.append(
                f"{name_images(predictions.unexpected)} in the predictions are not in split {self.split}; ignored."
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """The content of `scores.json`."""
        predictions = self.predictions
        return {
            "caption_tx": __version__,
            "versions": {name: version(name) for name in _VERSIONS},
            "split": self.split,
            "predictions": {"file": None if self.path is None else str(self.path), "sha256": self.sha256},
            **self.facts,
            **({} if self.map_health is None else {"attention": self.map_health.to_dict()}),
            **({} if self.boxes is None else {"boxes": self.boxes.to_dict()}),
            "protocol": {"text": self.scores.protocol.description, **METHOD},
            **self.scores.to_dict(),
            **({} if self.human_baseline is None else {"people": self.human_baseline}),
            **({} if self.comparison is None else {"against": self.comparison.to_dict()}),
            "unreadable": predictions.unreadable,
            "missing": list(predictions.missing),
            "surplus": list(predictions.unexpected),
            "notes": self.notes,
        }


def name_images(names: Sequence[str]) -> str:
    """`3 images (a.jpg, b.jpg, ..)`."""
    listed = ", ".join(names[:3]) + (", .." if len(names) > 3 else "")
    return f"{len(names):,} images ({listed})"


def format_evaluation(evaluation: Evaluation) -> str:
    """Image counts, scores with their intervals, caption statistics, notes and attention map warnings."""
    scores, lines = evaluation.scores, []
    if (counts := evaluation.counts) is not None:
        skipped = "" if evaluation.path is None else f"{counts.skipped:,} skipped (already in {evaluation.path}), "
        lines.append(f"{counts.captioned:,} images captioned, {skipped}{counts.failed:,} could not be read.")
    if evaluation.search is not None:
        lines.append(f"Search: {evaluation.search.describe()}.")
    lines.append(_table_row("", TITLES))
    for unit, row in scores.rows.items():
        lines += _score_rows(scores.labels[unit], row)
    for unit, values in (evaluation.human_baseline or {}).items():
        label = f"human {scores.labels[unit]}"
        lines.append(_table_row(label, [f"{values[metric]:.1f}" for metric in METRICS]))
    lines += [*format_statistics(scores.statistics), *evaluation.notes]
    if evaluation.comparison is not None:
        lines += _format_comparison(evaluation.comparison)
    if evaluation.map_health is not None:
        count = evaluation.map_health.captions
        lines.append(f"Attention of every head, and its mean over all heads before pooling, in {count:,} captions:")
        lines += [f"  {warning}" for warning in evaluation.map_health.warnings() or ["No problems found."]]
    if evaluation.boxes is not None:
        lines.append(evaluation.boxes.text())
    return "\n".join(lines)


def _score_rows(label: str, row: Mapping[str, Interval], sign: str = "") -> list[str]:
    """One row of scores by metric, and one of their intervals if there are any."""
    rows = [_table_row(label, [f"{row[metric].value:{sign}.1f}" for metric in METRICS])]
    if any(row[metric].low is not None for metric in METRICS):
        rows.append(_table_row("  95%", [_ends(row[metric], sign) for metric in METRICS]))
    return rows


def _ends(interval: Interval, sign: str) -> str:
    """Both ends of an interval; "-" without one."""
    return "-" if interval.low is None else f"{interval.low:{sign}.1f}..{interval.high:{sign}.1f}"


def _format_comparison(comparison: Comparison) -> list[str]:
    """The scores of the other system, the differences, and the images that differ most."""
    images = comparison.scores.statistics.images
    method = " (paired bootstrap)" if images >= MIN_IMAGES else ""
    lines = [f"Compared with {comparison.path} on {images:,} images{method}:"]
    if comparison.left_out:
        lines.append(f"{name_images(comparison.left_out)} have a caption in one of the files only; not compared.")
    for unit, row in comparison.differences.items():
        label = comparison.scores.labels[unit]
        if comparison.left_out:
            lines += _score_rows(f"this {label}", comparison.scores.rows[unit])
        lines += _score_rows(f"other {label}", comparison.other.rows[unit])
        lines += _score_rows("  difference", row, "+")
    lines.append(f"Images that differ most in CIDEr ({comparison.scores.protocol.label}):")
    for image in comparison.images[:LISTED]:
        lines.append(f"  {image.cider:+8.1f}  {image.image}\t{image.caption or '(no words)'}")
        lines.append(f"  {'other':>8}  {image.other or '(no words)'}")
    return lines


def _table_row(label: str, cells: Sequence[str]) -> str:
    return f"{label:<{_LABEL_WIDTH}}" + "".join(f"{cell:>{_CELL_WIDTH}}" for cell in cells)


def format_statistics(statistics: CaptionStatistics) -> list[str]:
    """Caption statistics in two lines."""
    shares = [f"{statistics.repeated:.1%} repeat words in direct succession"]
    if statistics.cut is not None:
        shares.insert(0, f"{statistics.cut:.1%} truncated at the length limit")
    if statistics.copied is not None:
        shares.append(f"{statistics.copied:.1%} identical to a training caption")
    empty = f", {statistics.empty:,} empty" if statistics.empty else ""
    return [
        f"{statistics.images:,} images, {statistics.distinct:,} distinct captions{empty}; mean length "
        f"{statistics.mean_length:.2f} words, references {statistics.reference_length:.2f}",
        ", ".join(shares),
    ]
