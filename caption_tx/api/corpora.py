"""Encodes and checks a corpus, and scores captions on it: `caption_tx.features`, `check_corpus` and `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm.auto import tqdm

from caption_tx.api.settings import resolve_request
from caption_tx.config import Config, DecodingOptions, EvaluationOptions, make_options
from caption_tx.data.checks.corpus_checks import CorpusReport, inspect_corpus
from caption_tx.data.corpus.memory import Captions
from caption_tx.data.images.sources import require_images
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.evaluation.evaluate import PREDICTIONS
from caption_tx.evaluation.evaluate import evaluate as evaluate_table
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.report import Evaluation
from caption_tx.evaluation.submissions import PredictionsFile
from caption_tx.files import write_atomically
from caption_tx.inference.predictions import make_rows

if TYPE_CHECKING:
    from caption_tx.api.runs import Run
    from caption_tx.data.features.cache import FeatureCache
    from caption_tx.inference.captioner import ImageCaptioner

Predictions = str | Path | pd.DataFrame | Mapping[str, Any]
"""A predictions file, a table with the columns image and caption, or image -> caption."""


def features(
    captions: Captions | Iterable[Captions] | None = None,
    images: str | Path | None = None,
    *,
    cache: str | Path,
    config: Config | None = None,
    log: Callable[[str], None] = print,
    refresh: bool = False,
    shard: tuple[int, int] = (0, 1),
    **settings: Any,
) -> FeatureCache:
    """Encodes every image of a corpus that is not in a feature cache yet, and returns the cache.

    `train(.., cache=..)` and `evaluate(.., cache=..)` read it.

    Args:
        captions, images, config: as for `caption_tx.train`.
        cache: folder of the cache, local or on a remote store.
        log: gets lines of text about the progress.
        refresh: encode images again whose files changed.
        shard: (rank, number of processes); each process encodes a part of the images.
        settings: settings of the sections corpus, text, backbone and training, such as `flips`.

    Raises:
        ConfigError, CorpusError, CacheError: as for `caption_tx.train`.

    Example:
        >>> cache = caption_tx.features("captions.csv", "photos", cache="features", log=lines.append, **small_backbone)
        >>> len(cache.images), cache.feature_shape[:2]
        (24, (3, 3))
    """
    request = resolve_request(captions, images, config, settings, ("corpus", "text", "backbone", "training"))
    require_images(request.config)
    from caption_tx.data.features.corpus_features import encode_table, encoding_options
    from caption_tx.startup import start_tensorflow

    start_tensorflow(parallel_chunks=True)
    rank, world_size = shard
    options = encoding_options(request.config, rank=rank, world_size=world_size, refresh=refresh)
    return encode_table(request.config, str(cache), request.read_table(), log, options)


def check_corpus(
    captions: Captions | Iterable[Captions] | None = None,
    images: str | Path | None = None,
    *,
    config: Config | None = None,
    check: bool = True,
    **settings: Any,
) -> CorpusReport:
    """Reports the statistics of a corpus and the problems in its captions and images.

    Args:
        captions, config: as for `caption_tx.train`.
        images: where the images are; None reads no image.
        check: False reports statistics only.
        settings: settings of the sections corpus, text and model, such as `language`.

    Returns:
        The report, whose text is its `repr`. `content` has the same facts as a dictionary, and `save_csv` writes every
        finding.

    Raises:
        ConfigError: a setting is unknown or invalid.
        CorpusError: the captions cannot be read.
        ImageError: the images cannot be listed.

    Example:
        >>> report = caption_tx.check_corpus({"a.jpg": ["a white cat<br>on grass", "a dog"]}, language="en")
        >>> report.content["summary"]["problems"]
        ['html']
    """
    request = resolve_request(captions, images, config, settings, ("corpus", "text", "model"))
    if request.config.corpus.images:
        require_images(request.config)
    return inspect_corpus(request.config, request.read_table(), check, _named_bar)


def evaluate(
    system: ImageCaptioner | Run | Predictions,
    captions: Captions | Iterable[Captions] | None = None,
    images: str | Path | None = None,
    *,
    out: str | Path | None = None,
    config: Config | None = None,
    log: Callable[[str], None] = print,
    **settings: Any,
) -> Evaluation:
    """Captions a split of a corpus and scores the captions, or scores the predictions of any system.

    Args:
        system: a captioner, a run, or predictions: a file, a DataFrame with the columns image and caption, or a mapping
            of image names to captions.
        captions, images, config: the corpus, as for `caption_tx.train`; by default that of the run.
        out: folder for the predictions, `scores.json` and a gallery; calling it again resumes a killed evaluation. None
            writes nothing.
        log: gets lines about what is read differently from how it is written.
        settings: fields of `EvaluationOptions` and `DecodingOptions`, such as `split` or `beam_width`, and settings of
            the sections corpus and text.

    Returns:
        The scores, whose table is its `repr`.

    Raises:
        ConfigError: a setting is unknown or invalid, the scorers are missing, or images are needed and there is no
            folder.
        CorpusError: the split has no human captions.
        CaptionTxError: the predictions cannot be read, lack images, or were made with other options.

    Example:
        >>> evaluation = caption_tx.evaluate(captioner, "captions.csv", "photos", beam_width=3)
        >>> sorted(evaluation.scores.rows["words"])
        ['bleu1', 'bleu2', 'bleu3', 'bleu4', 'cider', 'rouge_l']
    """
    require_scorers()  # before anything is loaded
    captioner: ImageCaptioner | None = None
    if not isinstance(system, str | Path | pd.DataFrame | Mapping):
        captioner = getattr(system, "captioner", system)
        if captions is None and config is None and captioner is not system:
            config, cache = system.config, system.workdir / "features"
            settings = ({"cache": cache} if cache.is_dir() else {}) | settings
        language = captioner.bundle.text.language
        if settings.get("language", language) != language:
            raise ConfigError(f"The captioner writes '{language}' captions; remove the language.")
    others = {"evaluation": EvaluationOptions, "decoding": DecodingOptions}
    request = resolve_request(captions, images, config, settings, ("corpus", "text"), others)
    options, search = make_options(EvaluationOptions, request.others["evaluation"]), request.others["decoding"]
    _check_system(captioner, request.config, options, search)
    decoding = None if captioner is None else captioner.search_options(**search)
    with TemporaryDirectory() if out is None else nullcontext(out) as folder:
        folder = Path(folder)
        if captioner is None:
            system = _predictions_file(system, folder)
            if out is None and system.parent == folder:
                system = PredictionsFile(system, "the predictions")
        result = evaluate_table(captioner or system, request.config, folder, options, decoding, log, request.sources)
    return replace(result, path=None) if out is None and result.path.parent == folder else result


def _check_system(
    captioner: ImageCaptioner | None, config: Config, options: EvaluationOptions, search: Mapping[str, Any]
) -> None:
    """Rejects options that do not apply to a captioner, or to predictions."""
    if config.corpus.images or (captioner is not None and options.cache is None):
        require_images(config)
    if captioner is not None:
        return
    if search:
        raise ConfigError("Decoding options need a captioner; predictions already have their captions.")
    for name in ("cache", "retry_failed", "boxes"):
        if getattr(options, name):
            raise ConfigError(f"{name} needs a captioner; remove it: predictions already have their captions.")


def _predictions_file(predictions: Predictions, folder: Path) -> Path:
    """The file of predictions; those in memory are written to a folder."""
    if isinstance(predictions, str | Path):
        if (Path(predictions) / "config.json").is_file() or (Path(predictions) / "bundle").is_dir():
            raise ConfigError(f"{predictions} is a bundle or a run; evaluate caption_tx.load('{predictions}').")
        return Path(predictions)
    if isinstance(predictions, pd.DataFrame):
        if "image" not in predictions and not isinstance(predictions.index, pd.RangeIndex):
            predictions = predictions.reset_index(names=predictions.index.name or "image")
        text = predictions.to_json(orient="records", lines=True, force_ascii=False)
    else:
        rows = [row for image, result in predictions.items() for row in _rows(str(image), result)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PREDICTIONS
    write_atomically(path, text)
    return path


def _rows(image: str, result: Any) -> list[dict[str, Any]]:
    """The rows of a text, a `Caption`, a list of one of these, or the error of an image that cannot be read."""
    if isinstance(result, Sequence) and not isinstance(result, str) and result:
        result = result[0]
    if isinstance(result, str):
        return [{"image": image, "caption": result}]
    if isinstance(result, ImageError):
        return make_rows(image, result)
    if not hasattr(result, "log_probability"):
        raise CaptionTxError(f"The prediction of '{image}' must be a text or a Caption, got {type(result).__name__}.")
    return make_rows(image, [result])


def _named_bar(items: Iterable[Any], total: int, name: str) -> Iterable[Any]:
    return tqdm(items, desc=name, total=total, disable=not total, delay=1)
