"""An HTML gallery of an evaluation: images, captions, references and scores on one page, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from caption_tx.data.images.image_source import ImageSource
from caption_tx.errors import ImageError
from caption_tx.evaluation.metrics import METRICS, TITLES
from caption_tx.evaluation.pages import picture_url, render_page
from caption_tx.evaluation.report import Evaluation, format_statistics

THUMBNAIL_SIZE = 320
"""Longest side of an image on the page, in pixels."""


@dataclass(frozen=True)
class Entry:
    """One image on the page; scores are times 100. `problem` says why there is no thumbnail."""

    image: str
    caption: str
    references: tuple[str, ...]
    scores: dict[str, float]
    log_probability: float | None
    finished: bool
    thumbnail: str | None = None
    width: int = 0
    height: int = 0
    problem: str = ""


def worst_first(evaluation: Evaluation) -> list[str]:
    """The scored images sorted by CIDEr; ties are broken by BLEU-4, ROUGE-L and name."""
    scores = evaluation.scores.by_image
    return sorted(scores, key=lambda name: (*(scores[name][metric] for metric in ("cider", "bleu4", "rouge_l")), name))


def gallery_page(evaluation: Evaluation, images: ImageSource | None = None, limit: int = 200, title: str = "") -> str:
    """HTML of the `limit` worst images; without `images` the page has no thumbnails.

    If an image cannot be read, its entry shows the error instead.
    """
    entries = [_entry(evaluation, name, images) for name in worst_first(evaluation)[:limit]]
    scores = evaluation.scores
    return render_page(
        "gallery.html",
        title or f"{'predictions' if evaluation.path is None else evaluation.path.name}, split {evaluation.split}",
        "gallery.js",
        language=scores.protocol.language,
        labels=scores.labels,
        titles=TITLES,
        metrics=METRICS,
        rows=scores.rows,
        human_baseline=evaluation.human_baseline or {},
        statistics=format_statistics(scores.statistics),
        notes=evaluation.notes,
        entries=entries,
        images=scores.statistics.images,
        sort_keys=_sort_keys(entries),
    )


def _sort_keys(entries: list[Entry]) -> list[tuple[str, str]]:
    """(key, title) of the sort buttons; the page opens sorted by the first."""
    keys = [("cider", "CIDEr"), ("bleu4", "BLEU-4"), ("rouge_l", "ROUGE-L")]
    if any(entry.log_probability is not None for entry in entries):
        keys.append(("log_probability", "log-probability"))
    return [*keys, ("image", "name")]


def _entry(evaluation: Evaluation, name: str, images: ImageSource | None) -> Entry:
    predictions = evaluation.predictions
    values: dict[str, Any] = {
        "image": name,
        "caption": predictions.captions[name],
        "references": tuple(evaluation.references[name]),
        "scores": evaluation.scores.by_image[name],
        "log_probability": predictions.log_probabilities.get(name),
        "finished": predictions.finished.get(name, True),
    }
    if images is None:
        return Entry(**values)
    try:
        _, image = images.read_pil_image(name, THUMBNAIL_SIZE)
    except ImageError as error:
        return Entry(**values, problem=str(error))
    image.thumbnail((THUMBNAIL_SIZE, THUMBNAIL_SIZE))
    width, height = image.size
    return Entry(**values, thumbnail=picture_url(image), width=width, height=height)
