"""Evaluates a captioner or a predictions file on a split of a corpus.

Scores are always computed from a file of predictions, so every number can be reproduced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from caption_tx.config import Config, DecodingOptions, EvaluationOptions
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.table import captions_by_image, read_table
from caption_tx.errors import CaptionTxError, CorpusError
from caption_tx.evaluation.image_ids import load_annotated_ids
from caption_tx.evaluation.intervals import DEFAULT_BOOTSTRAP, Bootstrap
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import reference_converter
from caption_tx.evaluation.report import Evaluation, name_images
from caption_tx.evaluation.scores import score, score_humans
from caption_tx.evaluation.split_captions import Progress, SplitImages, caption_split, no_progress
from caption_tx.evaluation.submissions import read_submission
from caption_tx.files import write_atomically

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner

PREDICTIONS, SCORES, GALLERY, BOXES = "predictions.jsonl", "scores.json", "gallery.html", "boxes.html"
"""Files in the output folder of `evaluate`."""


def evaluate(
    system: ImageCaptioner | str | Path,
    config: Config,
    out: str | Path,
    options: EvaluationOptions | None = None,
    decoding: DecodingOptions | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Scores a captioner, or the predictions of any system, on a split; writes `scores.json` and `gallery.html`.

    With `options.boxes`, it also writes `boxes.html`, photographs with boxes and attention maps.

    A captioner first captions the split into `predictions.jsonl`; calling it again resumes a killed run.

    Args:
        system: a captioner, or a predictions file in a layout of `submissions`.
        config: the corpus, its images, and the language if `system` is a file.
        out: folder for the results, created if missing.
        decoding: how the captioner decodes; ignored for a file.
        progress: wraps the images being captioned, for example in a progress bar.
        report: called with each line about what is read differently from how it is written; also in `scores.json`.

    Example:
        >>> config = Config(corpus=CorpusConfig(sources=("captions.csv",), images="photos/"))
        >>> evaluation = evaluate(caption_tx.load("runs/mine/bundle"), config, "runs/mine/test")
        >>> evaluation.scores["cider"]

    Raises:
        ConfigError: pycocoevalcap is missing, or images must be read and `config` names no folder.
        CorpusError: the split has no human captions.
        CaptionTxError: the predictions file cannot be read, lacks images, or was made with other options.
    """
    require_scorers()
    options, decoding = options or EvaluationOptions(), decoding or DecodingOptions()
    out, source = Path(out), config.corpus
    table = read_table(source)
    out.mkdir(parents=True, exist_ok=True)
    is_file = isinstance(system, (str, Path))
    notes = reading_notes(table, config.text.language if is_file else system.bundle.text.language)
    _report_all(notes, report)
    facts = {"corpus": {"sources": list(source.sources), "images": source.images, "notes": notes}}
    if isinstance(system, (str, Path)):
        evaluation = score_predictions(system, table, config.text.language, options)
    else:
        names = list(captions_by_image(table, options.split, "human"))
        images = SplitImages(source.images, options.cache, options.batch_size)
        path, text = out / PREDICTIONS, system.bundle.text
        counts = caption_split(system, names, path, decoding, images, options.retry_failed, progress)
        convert = reference_converter(text)
        evaluation = replace(score_predictions(path, table, text.language, options, convert), counts=counts)
        facts |= {
            "bundle": {"folder": system.name, "digest": system.digest},
            "options": asdict(decoding),
            "converted": {} if convert is None else {"nfkc": text.nfkc, "script": text.script},
        }
        evaluation = _measure_maps(system, table, source.images, options, evaluation)
    evaluation = replace(evaluation, facts=facts)
    _write(evaluation, out, source.images, options)
    return evaluation


def _report_all(notes: list[str], report: Callable[[str], None]) -> None:
    for note in notes:
        report(note)


def _measure_maps(
    captioner: ImageCaptioner, table: pd.DataFrame, images: str, options: EvaluationOptions, evaluation: Evaluation
) -> Evaluation:
    """Adds the health of the attention maps, and their agreement with boxes, if the options ask for them."""
    captions = evaluation.predictions.captions
    if options.map_images:
        from caption_tx.evaluation.attention.map_health import measure_map_health

        health = measure_map_health(captioner, captions, images, options.cache, options.map_images)
        evaluation = replace(evaluation, map_health=health)
    if options.boxes:
        from caption_tx.evaluation.attention.box_evaluation import SplitCaptions, evaluate_boxes

        training = table["image"][table["split"] == "train"].unique().tolist()
        split = SplitCaptions(training, captions_by_image(table, options.split, "human"), captions)
        evaluation = replace(evaluation, boxes=evaluate_boxes(captioner, split, images, options))
    return evaluation


def _write(evaluation: Evaluation, out: Path, images: str, options: EvaluationOptions) -> None:
    report = json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1)
    write_atomically(out / SCORES, report + "\n")
    if evaluation.boxes is not None and evaluation.boxes.gallery:
        write_atomically(out / BOXES, evaluation.boxes.gallery)
    if options.gallery_images:
        from caption_tx.data.images.sources import open_images
        from caption_tx.evaluation.gallery import gallery_page

        page = gallery_page(evaluation, open_images(images) if images else None, options.gallery_images)
        write_atomically(out / GALLERY, page)


def score_predictions(
    path: str | Path,
    table: pd.DataFrame,
    language: str,
    options: EvaluationOptions | None = None,
    convert: Callable[[str], str] | None = None,
    bootstrap: Bootstrap | None = DEFAULT_BOOTSTRAP,
) -> Evaluation:
    """Scores a predictions file against the human captions of a split, without writing anything.

    Args:
        table: a corpus, as `read_corpus` returns it. Machine translations are not used as references.
        convert: converts the characters of references and predictions, see `protocol.reference_converter`.

    Raises:
        CorpusError: the split has no human captions.
        CaptionTxError: as for `read_submission`; or images are missing and `options.partial` is False.
    """
    options = options or EvaluationOptions()
    split = options.split
    references = captions_by_image(table, split, "human")
    if not references:
        raise CorpusError(f"Split {split!r} has no human captions to score against; choose another with --split.")
    predictions = read_submission(path, references, partial(load_annotated_ids, table.attrs.get("files", ())))
    if predictions.missing and not options.partial:
        raise CaptionTxError(
            f"{path} has no caption of {name_images(predictions.missing)} of split {split}; add them, or score the "
            "other images with --partial."
        )
    captions = predictions.captions
    if not captions:
        raise CaptionTxError("Nothing to score: none of the images could be read.")
    references = {name: texts for name, texts in references.items() if name in captions}
    if convert is not None:
        references = {name: [convert(text) for text in texts] for name, texts in references.items()}
        captions = {name: convert(text) for name, text in captions.items()}
    training = table["caption"][table["split"] == "train"]
    scores = score(
        captions,
        references,
        language,
        finished=predictions.finished,
        training=(training if convert is None else map(convert, training)) if len(training) else None,
        bootstrap=bootstrap,
    )
    baseline = score_humans(references, language) if options.human else None
    return Evaluation(Path(path), split, predictions, references, scores, baseline)
