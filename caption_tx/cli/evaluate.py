"""`caption-tx evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from caption_tx.cli.output import tell, warn
from caption_tx.cli.settings import decoding_options, need_images, resolve_corpus
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import DecodingOptions
from caption_tx.errors import ConfigError


def evaluate(arguments: argparse.Namespace) -> None:
    """Captions a split, or takes a file of predictions, and scores it."""
    options = decoding_options(arguments)
    _check_evaluation(arguments, options)
    from caption_tx.data.corpus.table import captions_by_image, read_table
    from caption_tx.evaluation.evaluate import evaluate
    from caption_tx.evaluation.protocol import reference_converter
    from caption_tx.evaluation.scores import require_scorers
    from caption_tx.evaluation.table import format_evaluation
    from caption_tx.files import write_atomically

    require_scorers()
    config = resolve_corpus(arguments)
    source = config.corpus
    if source.images or (arguments.bundle is not None and arguments.cache is None):
        need_images(config)
    table = read_table(source)
    arguments.out.mkdir(parents=True, exist_ok=True)
    language, convert, path = config.text.language, None, arguments.predictions
    facts: dict[str, Any] = {"corpus": {"sources": list(source.sources), "images": source.images}}
    if arguments.bundle is not None:
        start_tensorflow()
        from caption_tx.inference.captioner import load

        captioner = load(arguments.bundle, arguments.backbone_weights)
        text = captioner.bundle.text
        if arguments.language not in (None, text.language):
            raise ConfigError(f"The bundle writes captions in '{text.language}', not in '{arguments.language}'.")
        language, convert = text.language, reference_converter(text)
        path = arguments.out / "predictions.jsonl"
        names = list(captions_by_image(table, arguments.split, "human"))
        _caption_split(arguments, captioner, names, path, options, source.images)
        facts |= {
            "bundle": {"folder": str(arguments.bundle), "digest": captioner.digest},
            "options": dataclasses.asdict(options),
            "converted": {} if convert is None else {"nfkc": text.nfkc, "script": text.script},
        }
    evaluation = evaluate(
        path, table, arguments.split, language, partly=arguments.partial, convert=convert, people=arguments.human
    )
    lines = format_evaluation(evaluation)
    if arguments.bundle is not None and arguments.map_images:
        from caption_tx.evaluation.attention.map_health import measure_map_health

        captions = evaluation.predictions.captions
        maps = measure_map_health(captioner, captions, source.images, arguments.cache, arguments.map_images)
        facts["attention"] = maps.to_dict()
        found = [f"  {warning}" for warning in maps.warnings()] or ["  Nothing speaks against them."]
        lines = "\n".join([lines, f"Attention maps of {maps.captions:,} captions:", *found])
    report = json.dumps(evaluation.to_dict(facts), ensure_ascii=False, indent=1)
    write_atomically(arguments.out / "scores.json", report + "\n")
    if arguments.gallery_images:
        from caption_tx.data.images.sources import open_images
        from caption_tx.evaluation.gallery import gallery_page

        images = open_images(source.images) if source.images else None
        page = gallery_page(evaluation, images, arguments.gallery_images)
        write_atomically(arguments.out / "gallery.html", page)
    tell(report if arguments.json else f"{lines}\n{arguments.out}")


def _check_evaluation(arguments: argparse.Namespace, options: DecodingOptions) -> None:
    """Refuses what means nothing before anything is read."""
    if (arguments.bundle is None) == (arguments.predictions is None):
        raise ConfigError("Name what to score: --bundle DIR, which captions the split, or --predictions FILE.")
    if arguments.predictions is not None:
        if options != DecodingOptions():
            raise ConfigError("The options of a search are for --bundle; the captions of --predictions are there.")
        for option in ("cache", "backbone_weights", "retry_failed"):
            if getattr(arguments, option):
                raise ConfigError(f"--{option.replace('_', '-')} is for --bundle; leave it out with --predictions.")
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1 image, got {arguments.batch_size}.")
    for option in ("gallery_images", "map_images"):
        if getattr(arguments, option) < 0:
            raise ConfigError(f"--{option.replace('_', '-')} must be 0 or more, got {getattr(arguments, option)}.")


def _caption_split(
    arguments: argparse.Namespace, captioner: Any, names: list[str], path: Any, options: DecodingOptions, images: str
) -> None:
    """Writes the captions that the file does not hold, and tells of images that cannot be read."""
    from tqdm import tqdm

    from caption_tx.evaluation.evaluate import caption_split

    try:
        counts = caption_split(
            captioner,
            names,
            path,
            options,
            images,
            arguments.cache,
            arguments.batch_size,
            arguments.retry_failed,
            lambda items, total: tqdm(items, total=total, unit="image", desc="captions"),
        )
    except KeyboardInterrupt:
        warn(f"{path} is whole up to here; the same command goes on.")
        raise
    if not arguments.json:
        tell(
            f"{counts.captioned:,} images captioned, {counts.skipped:,} skipped (in {path} already), "
            f"{counts.failed:,} could not be read."
        )
