"""Evaluates a captioner or a predictions file on a split of a corpus.

Scores are always computed from a file of predictions, so every number can be reproduced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from caption_tx.config import SPLITS, Config, DecodingOptions, EvaluationOptions, TextConfig
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.captions.pre_segmented import keep_words
from caption_tx.data.corpus.memory import Captions
from caption_tx.data.corpus.table import captions_by_image, read_table
from caption_tx.errors import CaptionTxError, CorpusError
from caption_tx.evaluation.comparison import compare
from caption_tx.evaluation.image_ids import load_annotated_ids
from caption_tx.evaluation.intervals import DEFAULT_BOOTSTRAP, Bootstrap
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import SPACES, Protocol, reference_converter
from caption_tx.evaluation.report import Evaluation, file_digest, name_images
from caption_tx.evaluation.scores import score, score_humans
from caption_tx.evaluation.split_captions import SplitImages, caption_split
from caption_tx.evaluation.submissions import Predictions, PredictionsFile, path_of, read_submission
from caption_tx.files import write_atomically

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner

PREDICTIONS, SCORES, GALLERY, BOXES = "predictions.jsonl", "scores.json", "gallery.html", "boxes.html"
"""Files in the output folder of `evaluate`."""


def evaluate(
    system: ImageCaptioner | str | Path | PredictionsFile,
    config: Config,
    out: str | Path,
    options: EvaluationOptions | None = None,
    decoding: DecodingOptions | None = None,
    report: Callable[[str], None] = lambda text: None,
    captions: Captions | Iterable[Captions] | None = None,
) -> Evaluation:
    """Scores a captioner, or the predictions of any system, on a split; writes `scores.json` and `gallery.html`.

    With `options.boxes`, it also writes `boxes.html`, photographs with boxes and attention maps.

    A captioner first captions the split into `predictions.jsonl`; calling it again resumes a killed run.

    Args:
        system: a captioner, or a predictions file in a layout of `submissions`.
        config: the corpus, its images, and the language if `system` is a file.
        out: folder for the results, created if missing.
        decoding: the search of the captions; None for that of the bundle. Ignored for a file.
        report: called with each line about what is read differently from how it is written; also in `scores.json`.
        captions: the captions of the corpus, as `read_corpus` takes them; None for those of `config`.

    Example:
        >>> config = Config(corpus=CorpusConfig(sources=("captions.csv",), images="photos/"))
        >>> evaluation = evaluate(caption_tx.load("runs/mine/bundle"), config, "runs/mine/test")
        >>> evaluation.scores["cider"]

    Raises:
        ConfigError: pycocoevalcap is missing, or images must be read and `config` names no folder.
        CorpusError: the split has no human captions.
        CaptionTxError: a predictions file cannot be read, lacks images, or was made with other options.
    """
    require_scorers()
    options = options or EvaluationOptions()
    out, source = Path(out), config.corpus
    is_file = isinstance(system, str | Path | PredictionsFile)
    language = config.text.language if is_file else system.bundle.text.language
    with keep_words() if options.segmentation == SPACES else nullcontext():
        table = read_table(source, language, captions)
    _human_captions(table, options.split)  # before anything is reported
    out.mkdir(parents=True, exist_ok=True)
    notes = reading_notes(table, language)
    for note in notes:
        report(note)
    facts = {"corpus": {"sources": list(source.sources), "images": source.images, "notes": notes}}
    if is_file:
        evaluation = score_predictions(system, table, config.text.language, options)
    else:
        path, decoding = out / PREDICTIONS, decoding or system.decoding
        evaluation = _caption_and_score(system, table, source.images, path, options, decoding)
    evaluation = replace(evaluation, facts=facts | evaluation.facts)
    _write(evaluation, out, source.images, options)
    return evaluation


def _caption_and_score(
    captioner: ImageCaptioner,
    table: pd.DataFrame,
    images: str,
    path: Path,
    options: EvaluationOptions,
    decoding: DecodingOptions,
) -> Evaluation:
    """Captions the split into a file, scores the file and measures the attention maps."""
    names, text = list(_human_captions(table, options.split)), captioner.bundle.text
    where = SplitImages(images, options.cache, options.batch_size)
    counts = caption_split(captioner, names, path, decoding, where, options.retry_failed, _progress_bar)
    written = PredictionsFile(path, f"the captions of {captioner.name}")
    evaluation = score_predictions(written, table, text.language, options, text)
    facts = {
        "bundle": {"folder": captioner.name, "digest": captioner.digest},
        "options": asdict(decoding),
        "converted": {} if reference_converter(text) is None else {"nfkc": text.nfkc, "script": text.script},
    }
    evaluation = _measure_maps(captioner, table, images, options, evaluation)
    return replace(evaluation, counts=counts, search=decoding, facts=facts)


def _progress_bar(items: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm.auto import tqdm

    return tqdm(items, total=total, unit="image", desc="captions", disable=not total, delay=1)


def _human_captions(table: pd.DataFrame, split: str) -> dict[str, list[str]]:
    if not (captions := captions_by_image(table, split, "human")):
        raise CorpusError(_no_captions(table, split))
    return captions


def _no_captions(table: pd.DataFrame, split: str) -> str:
    """Why a split has no human captions, and what to do."""
    images = table.drop_duplicates("image")["split"].value_counts()
    counts = ", ".join(f"{name} {images.get(name, 0):,}" for name in SPLITS)
    advice = f"The images of the splits: {counts}; choose another with split (--split)"
    if images.get(split, 0):
        advice = "It has machine translations only; choose another split (--split)"
    else:
        advice += (
            ". Images without a split are divided at random, which may leave a split of a small corpus empty: add a "
            "column split, or raise corpus.val_fraction or corpus.test_fraction"
        )
    return f"Split {split!r} has no human captions to score against. {advice}."


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
    file: str | Path | PredictionsFile,
    table: pd.DataFrame,
    language: str,
    options: EvaluationOptions | None = None,
    text: TextConfig | None = None,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> Evaluation:
    """Scores a predictions file against the human captions of a split, without writing anything.

    Args:
        table: a corpus, as `read_corpus` returns it, within `keep_words` if spaces separate the words to score. Machine
            translations are not used as references.
        text: how the captioner's training captions were converted, which references and predictions are, too.

    Raises:
        ConfigError: the language does not have the segmentation.
        CorpusError: the split has no human captions.
        CaptionTxError: as for `read_submission`; or images are missing and `options.partial` is False; or no space
            separates words.
    """
    options = options or EvaluationOptions()
    protocol = Protocol(language, options.segmentation or "")
    references = _human_captions(table, options.split)
    load_ids = partial(load_annotated_ids, table.attrs.get("files", ()))
    convert = (protocol.converter(text) if text else None) or str
    predictions = read_submission(file, references, load_ids)
    captions = _captions_to_score(file, predictions, protocol, options)
    references = {name: [convert(caption) for caption in texts] for name, texts in references.items()}
    if protocol.segmentation == SPACES:
        _require_spaces("The references", (caption for texts in references.values() for caption in texts))
    captions = {name: convert(caption) for name, caption in captions.items()}
    scored = {name: texts for name, texts in references.items() if name in captions}
    training = [convert(caption) for caption in table["caption"][table["split"] == "train"]]
    finished = predictions.finished
    scores = score(captions, scored, protocol, finished=finished, training=training or None, bootstrap=bootstrap)
    comparison = None
    if options.against is not None:
        others = read_submission(options.against, references, load_ids)
        others = _captions_to_score(options.against, others, protocol, options)
        others = {name: convert(caption) for name, caption in others.items()}
        comparison = compare(options.against, captions, others, references, scores, bootstrap)
    return Evaluation(
        path_of(file),
        file_digest(path_of(file)),
        options.split,
        predictions,
        scored,
        scores,
        human_baseline=score_humans(scored, protocol) if options.human else None,
        comparison=comparison,
    )


def _captions_to_score(
    file: str | Path | PredictionsFile, predictions: Predictions, protocol: Protocol, options: EvaluationOptions
) -> dict[str, str]:
    """The captions of a file, with its own words where spaces separate words.

    Raises:
        CaptionTxError: images are missing, all are unreadable, or no space separates words.
    """
    if predictions.missing and not options.partial:
        raise CaptionTxError(
            f"There is no caption of {name_images(predictions.missing)} of split {options.split} in {file}; add them, "
            "or score the other images with partial (--partial)."
        )
    if not predictions.captions:
        raise CaptionTxError(f"Nothing to score in {file}: none of the images could be read.")
    if protocol.segmentation != SPACES:
        return predictions.captions
    captions = predictions.captions | predictions.words
    _require_spaces(f"The captions in {file}", captions.values())
    return captions


def _require_spaces(what: str, captions: Iterable[str]) -> None:
    if not any(len(caption.split()) > 1 for caption in captions):
        raise CaptionTxError(
            f"{what} have no spaces between words; score them with segmentation jieba (--segmentation)."
        )
