"""An evaluation as one HTML page: photographs, what the system said, what people said, scores. No TensorFlow.

The page holds its pictures itself and asks for nothing from anywhere.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

from caption_tx.data.images.sources import ImageSource
from caption_tx.errors import ImageError
from caption_tx.evaluation.evaluate import Evaluation
from caption_tx.evaluation.scores import METRICS, TITLES
from caption_tx.evaluation.table import format_health

SIDE = 320
"""Pixels of the longer side of a picture on the page, at most."""

_QUALITY = 75


@dataclass(frozen=True)
class Entry:
    """One image on the page; scores times 100, as `Scores.by_image` has them. `problem`: why there is no picture."""

    image: str
    caption: str
    references: tuple[str, ...]
    scores: dict[str, float]
    log_probability: float | None
    finished: bool
    picture: str | None = None
    width: int = 0
    height: int = 0
    problem: str = ""


def worst_first(evaluation: Evaluation) -> list[str]:
    """The images scored, by CIDEr; where it is the same, by BLEU-4, ROUGE-L and name."""
    scores = evaluation.scores.by_image
    return sorted(scores, key=lambda name: (*(scores[name][metric] for metric in ("cider", "bleu4", "rouge_l")), name))


def gallery_page(evaluation: Evaluation, images: ImageSource | None = None, most: int = 200, title: str = "") -> str:
    """The page of the `most` worst images, as HTML; without `images` it has no pictures.

    A picture that cannot be read leaves its place empty and says why.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("caption_tx.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    entries = [_entry(evaluation, name, images) for name in worst_first(evaluation)[:most]]
    scores = evaluation.scores
    return environment.get_template("gallery.html").render(
        title=title or f"{evaluation.path.name}, split {evaluation.split}",
        language=scores.language,
        titles=TITLES,
        metrics=METRICS,
        rows=scores.rows,
        people=evaluation.people or {},
        health=format_health(scores.health),
        notes=evaluation.notes,
        entries=entries,
        images=scores.health.images,
        sorts=_sorts(entries),
    )


def _sorts(entries: list[Entry]) -> list[tuple[str, str]]:
    """(key, title) of what the page can be sorted by; the first is how it opens."""
    sorts = [("cider", "CIDEr"), ("bleu4", "BLEU-4"), ("rouge_l", "ROUGE-L")]
    if any(entry.log_probability is not None for entry in entries):
        sorts.append(("log_probability", "log-probability"))
    return [*sorts, ("image", "name")]


def _entry(evaluation: Evaluation, name: str, images: ImageSource | None) -> Entry:
    predictions = evaluation.predictions
    facts: dict[str, Any] = {
        "image": name,
        "caption": predictions.captions[name],
        "references": tuple(evaluation.references[name]),
        "scores": evaluation.scores.by_image[name],
        "log_probability": predictions.log_probabilities.get(name),
        "finished": predictions.finished.get(name, True),
    }
    if images is None:
        return Entry(**facts)
    try:
        _, picture = images.read_pil_image(name, SIDE)
    except ImageError as error:
        return Entry(**facts, problem=str(error))
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = picture.size
    return Entry(**facts, picture=f"data:image/jpeg;base64,{data}", width=width, height=height)
