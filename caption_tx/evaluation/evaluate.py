"""A split captioned and scored: captions into a file, the file against what people wrote, a report.

What is scored is always a file of predictions, our own as another system's, so that every figure can be redone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from caption_tx import __version__
from caption_tx.config import DecodingOptions
from caption_tx.data.corpus.table import captions_by_image
from caption_tx.errors import CaptionTxError, ConfigError, CorpusError, ImageError
from caption_tx.evaluation.image_ids import annotated_numbers
from caption_tx.evaluation.protocol import DESCRIPTION
from caption_tx.evaluation.scores import Scores, score, score_humans
from caption_tx.evaluation.submissions import Predictions, read_submission
from caption_tx.inference.prediction_file import PredictionFile

if TYPE_CHECKING:
    from caption_tx.data.features.cache import FeatureCache
    from caption_tx.inference.captioner import ImageCaptioner
    from caption_tx.inference.search.decode import Caption

_LOADED = 1024
"""Images whose features are taken out of a cache at once: every shard that holds one is read through."""

SINGLE_IMAGE = "CIDEr of a single image is 0 by definition: a word that stands with every image says nothing."

METHOD = {
    "bleu": "over the corpus, closest reference length, of two the shorter; times 100",
    "rouge_l": "beta 1.2, mean over images; times 100",
    "cider": "CIDEr-D, idf from the references that were scored, mean over images; times 100",
    "interval": "95%, bootstrap over images; BLEU added up anew, ROUGE-L and CIDEr from each image's score, idf fixed",
}


@dataclass(frozen=True)
class Counts:
    """Images of a split that were captioned, that the file held already, and that could not be read."""

    captioned: int
    skipped: int
    failed: int


def caption_split(
    captioner: ImageCaptioner,
    names: Sequence[str],
    path: str | Path,
    options: DecodingOptions,
    images: str = "",
    cache: str | None = None,
    batch_size: int = 64,
    retry_failed: bool = False,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
) -> Counts:
    """Captions the images that the file does not hold, as `caption --out` does.

    Args:
        names: of the images in `images`, a folder or TSV file.
        cache: a feature cache of the bundle's backbone, which saves encoding what it holds.

    Raises:
        ConfigError: images are to be read and no folder is named.
        CacheError: the cache was made by another backbone, or is damaged.
        CaptionTxError: the file was made by another bundle or with other options.
    """
    captioned = failed = 0
    run = {"bundle": captioner.digest, **asdict(options)}
    with PredictionFile(path, run, options.n_best, retry_failed) as file:
        remaining = [str(name) for name in file.remaining(names)]
        with closing(_captions(captioner, remaining, options, images, cache, batch_size)) as results:
            for name, result in progress(results, len(remaining)):
                file.write(name, result)
                failed += isinstance(result, ImageError)
                captioned += not isinstance(result, ImageError)
    return Counts(captioned, file.skipped, failed)


def _captions(
    captioner: ImageCaptioner,
    names: Sequence[str],
    options: DecodingOptions,
    images: str,
    cache: str | None,
    batch_size: int,
) -> Iterator[tuple[str, list[Caption] | ImageError]]:
    """Each image with its captions or its error: first those whose features are there, then the others."""
    if cache is not None and names:
        from caption_tx.data.features.cache import open_cache

        store = open_cache(cache, captioner.bundle.backbone_key)
        yield from _cached_captions(captioner, [name for name in names if name in store.images], options, store)
        names = [name for name in names if name not in store.images]
    if not names:
        return
    if not images:
        raise ConfigError(f"{len(names):,} images are to be read, {names[0]!r} for one; name their folder: --images.")
    yield from captioner.captions(names, options, batch_size, images)


def _cached_captions(
    captioner: ImageCaptioner, names: Sequence[str], options: DecodingOptions, cache: FeatureCache
) -> Iterator[tuple[str, list[Caption]]]:
    from caption_tx.data.features.backbone import dequantize
    from caption_tx.data.features.cache import read_manifest
    from caption_tx.inference.search.decode import FULL_BATCH, decode

    bundle, segmenter = captioner.bundle, captioner.bundle.segmenter()
    contents: dict[str, str] = {}
    for shard, held in cache.shards.items() if options.temperature > 0 and names else ():
        known = read_manifest(cache, shard)["images"]
        for name in held:
            entry = known[name]
            contents[name] = entry if isinstance(entry, str) else entry[0]  # a plain hash in older caches
    for start in range(0, len(names), _LOADED):
        loaded = names[start : start + _LOADED]
        features = cache.load(loaded)
        for first in range(0, len(loaded), FULL_BATCH):
            batch = loaded[first : first + FULL_BATCH]
            activations = dequantize(features[first : first + FULL_BATCH])
            # The same draws as from the image file: its content decides them.
            seeds = [int(contents[name][:16], 16) for name in batch] if contents else None
            found = decode(bundle.captioner, activations, bundle.tokenizer, options, seeds, segmenter)
            yield from zip(batch, found, strict=True)


@dataclass(frozen=True)
class Evaluation:
    """A file of predictions and its scores.

    Attributes:
        references: of the images scored, as they were compared with the predictions.
        people: what a caption of each image reaches against its others, by unit and metric; None if not asked.
    """

    path: Path
    split: str
    predictions: Predictions
    references: dict[str, list[str]]
    scores: Scores
    people: dict[str, dict[str, float]] | None = None

    @property
    def notes(self) -> list[str]:
        """What a reader of the scores must know, as sentences."""
        found, predictions, scores = [], self.predictions, self.scores
        if scores.health.images == 1:
            found.append(SINGLE_IMAGE)
        for names, text in (
            (predictions.missing, "have no prediction and are not scored, so these are scores of a part"),
            (list(predictions.unreadable), "could not be read and are not scored"),
            (scores.left_out, "have no reference with a word in it and are not scored"),
        ):
            if names:
                found.append(f"{_name(names)} {text}.")
        if predictions.surplus:
            found.append(f"{_name(predictions.surplus)} of the predictions are not in split {self.split}, left out.")
        return found

    def to_dict(self, facts: dict[str, Any] | None = None) -> dict[str, Any]:
        """The report as JSON has it; `facts` say what made the predictions: bundle, options."""
        predictions, scores = self.predictions, self.scores.to_dict()
        return {
            "caption_tx": __version__,
            "versions": {name: version(name) for name in ("pycocoevalcap", "jieba", "keras", "tensorflow", "numpy")},
            "split": self.split,
            "predictions": {"file": str(self.path), "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest()},
            **(facts or {}),
            "protocol": {"text": DESCRIPTION[self.scores.language], **METHOD},
            **scores,
            **({} if self.people is None else {"people": self.people}),
            "unreadable": predictions.unreadable,
            "missing": list(predictions.missing),
            "surplus": list(predictions.surplus),
            "notes": self.notes,
        }


def _name(names: Sequence[str]) -> str:
    """`3 images (a.jpg, b.jpg, ..)`."""
    shown = ", ".join(names[:3]) + (", .." if len(names) > 3 else "")
    return f"{len(names):,} images ({shown})"


def evaluate(
    path: str | Path,
    table: pd.DataFrame,
    split: str,
    language: str,
    *,
    partly: bool = False,
    convert: Callable[[str], str] | None = None,
    people: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Scores a file of predictions, in any layout of `submissions`, against a split of a corpus.

    Args:
        table: as `read_corpus` gives it. Machine translations are no references.
        partly: score the images that the file holds, although others of the split are missing.
        convert: brings references and predictions into one form of letters (`protocol.conversion`).
        people: score people too, each image's captions against its other ones.

    Raises:
        CorpusError: the split has no caption that a person wrote.
        CaptionTxError: as `read_submission`; or images are missing and `partly` is not said.
    """
    references = captions_by_image(table, split, "human")
    if not references:
        raise CorpusError(f"The corpus has no captions of people in split {split!r} to score against; choose --split.")
    found = read_submission(path, references, partial(annotated_numbers, table.attrs.get("files", ())))
    if found.missing and not partly:
        raise CaptionTxError(
            f"{path} has no caption of {_name(found.missing)} of split {split}; add them, or score the others with "
            "--partial."
        )
    captions = found.captions
    if not captions:
        raise CaptionTxError("None of the images could be read, so there is nothing to score.")
    references = {name: texts for name, texts in references.items() if name in captions}
    if convert is not None:
        references = {name: [convert(text) for text in texts] for name, texts in references.items()}
        captions = {name: convert(text) for name, text in captions.items()}
    training = table["caption"][table["split"] == "train"]
    scores = score(
        captions,
        references,
        language,
        finished=found.finished,
        training=(training if convert is None else map(convert, training)) if len(training) else None,
        resamples=resamples,
        seed=seed,
    )
    return Evaluation(
        path=Path(path),
        split=split,
        predictions=found,
        references=references,
        scores=scores,
        people=score_humans(references, language) if people else None,
    )
