"""What `evaluate --boxes` adds to an evaluation: grounding and localization in boxes, and the deletion check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caption_tx.data.boxes.readers import read_boxes
from caption_tx.data.boxes.words import read_box_words
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.box_gallery import box_gallery
from caption_tx.evaluation.attention.box_grounding import measure_box_grounding
from caption_tx.evaluation.attention.box_report import BoxGrounding
from caption_tx.evaluation.attention.deletion import check_deletion
from caption_tx.evaluation.attention.deletion_report import Deletion
from caption_tx.evaluation.attention.features import EvaluatedImages
from caption_tx.evaluation.attention.localization import Localization, measure_localization
from caption_tx.evaluation.attention.phrases import BoxReferences
from caption_tx.evaluation.attention.selections import all_selections, pooled_by_name, selection_name
from caption_tx.inference.attention.pooling import MapSelection

if TYPE_CHECKING:
    from caption_tx.config import EvaluationOptions
    from caption_tx.inference.captioner import ImageCaptioner

_GENERATED_NOTE = "words that name nothing with a box in their image are left out"


@dataclass(frozen=True)
class BoxEvaluation:
    """Maps of the captions of a split, compared with boxes.

    Attributes:
        boxes: the files, in words.
        grounding: of the human captions.
        generated: of the generated captions; None if they name boxes in fewer than two images.
        localization: of the generated captions.
        deletion: whether the model uses what its maps show; None if no image was measured.
        notes: what was read differently from how it is written, or not at all.
        gallery: an HTML page of photographs with boxes and maps, worst first; empty without images to show.
    """

    boxes: str
    grounding: BoxGrounding
    generated: BoxGrounding | None
    localization: Localization
    deletion: Deletion | None
    notes: tuple[str, ...] = ()
    gallery: str = ""

    def text(self) -> str:
        """Tables for the terminal."""
        lines = [f"Boxes: {self.boxes}.", *(f"Boxes: {note}." for note in self.notes)]
        lines += ["Attention maps of the human captions:", self.grounding.table()]
        if self.generated is not None:
            lines += [f"Attention maps of the generated captions ({_GENERATED_NOTE}):", self.generated.table()]
        lines.append(self.localization.summary())
        if self.deletion is not None:
            lines += ["Does the model use what its maps show? Deletion check:", self.deletion.table()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "boxes": self.boxes,
            "notes": list(self.notes),
            "grounding": self.grounding.to_dict(),
            **({} if self.generated is None else {"generated_grounding": self.generated.to_dict()}),
            "localization": self.localization.to_dict(),
            **({} if self.deletion is None else {"deletion": self.deletion.to_dict()}),
        }


@dataclass(frozen=True)
class SplitCaptions:
    """The captions of a split: the image names of the training split, human captions and generated ones."""

    training: Sequence[str]
    human: Mapping[str, Sequence[str]]
    generated: Mapping[str, str]


def evaluate_boxes(
    captioner: ImageCaptioner, captions: SplitCaptions, location: str, options: EvaluationOptions
) -> BoxEvaluation:
    """Compares the attention maps of a split with boxes.

    Args:
        location: folder or table of the images.
        options: `boxes` names the files, `box_words` the word list, and `map_images` the images of the deletion check.

    Raises:
        CorpusError: the boxes or the word list cannot be read.
        CaptionTxError: the captions of the split name no box.
    """
    table = read_boxes(options.boxes, location or None)
    words = read_box_words(options.box_words)
    boxes = table.match(captions.human)
    training = list(table.match(captions.training).values())
    notes = list(table.notes)
    if unused := len(table.images) - len(boxes) - len(training):
        notes.append(f"{unused:,} images with boxes are in neither the split nor the training split")
    if without := len(captions.human) - len(boxes):
        notes.append(f"{without:,} images of the split have no entry in the boxes")
    if not training:
        notes.append("there are no boxes of training images, so the maps have no word prior beside them")
    images, references = EvaluatedImages(captioner, location, options.cache), BoxReferences(boxes, words, training)
    shown, settings = MapSelection(pool=captioner.pool), captioner.bundle.captioner.settings
    measured = (shown, *all_selections(settings.num_layers, settings.num_heads))
    selections = {selection_name(item): item for item in measured}
    grounding = measure_box_grounding(captioner, images, captions.human, references, selections)
    generated = None
    with suppress(CaptionTxError):  # too few words with boxes
        texts = {name: [text] for name, text in captions.generated.items() if name in boxes}
        generated = measure_box_grounding(captioner, images, texts, references, pooled_by_name())
    localization = measure_localization(captioner, images, captions.generated, captions.human, references)
    deletion = None
    if options.map_images and location:
        with suppress(CaptionTxError):  # no content word
            deletion = check_deletion(captioner, captions.human, open_images(location), options.map_images)
    worst = sorted(grounding.by_image, key=lambda name: grounding.by_image[name])[: options.gallery_images]
    gallery = ""
    if worst and location:
        mass = {name: grounding.by_image[name] for name in worst}
        gallery = box_gallery(captioner, images, open_images(location), captions.human, references, mass, shown)
    return BoxEvaluation(table.summary(), grounding, generated, localization, deletion, tuple(notes), gallery)
