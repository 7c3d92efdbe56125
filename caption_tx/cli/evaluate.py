"""The command `evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from caption_tx.cli.options import (
    BUNDLE_HELP,
    READING_OPTIONS,
    add_backbone_weights,
    add_command,
    add_config,
    add_settings,
    add_sources,
)
from caption_tx.cli.output import echo, warn
from caption_tx.cli.settings import evaluation_options, resolve_config, search_overrides
from caption_tx.config import LANGUAGES, EvaluationOptions, TextConfig
from caption_tx.errors import ConfigError
from caption_tx.startup import start_tensorflow


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "evaluate",
        run,
        usage="SOURCE .. --out DIR",
        summary="caption a split and score it, or score predictions of any system",
        description="Captions a split with --bundle and scores it, or scores the --predictions of any system: BLEU, "
        "ROUGE-L and CIDEr with confidence intervals, and a gallery. Repeat the command to resume it.",
        example="caption-tx evaluate captions.csv --images photos/ --bundle runs/mine/bundle --out runs/mine/test",
    )
    add_sources(parser)
    add_settings(parser.add_argument_group("corpus"), "corpus", READING_OPTIONS)
    captions = parser.add_argument_group("captions to score")
    captions.add_argument("--bundle", metavar="DIR", help=f"caption the split with this model: {BUNDLE_HELP}")
    captions.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="score this file: .jsonl, .csv or .parquet from `caption --out`, a table of image and caption, or the "
        "JSON of AI Challenger or COCO",
    )
    add_settings(captions, "evaluation", ("split", "partial", "against"))
    captions.add_argument(
        "--language",
        choices=LANGUAGES,
        dest="text.language",
        help=f"language of the captions (default: the bundle's, or {TextConfig().language})",
    )
    add_settings(captions, "evaluation", ("cache", "batch_size", "retry_failed"))
    add_backbone_weights(captions)
    add_settings(parser.add_argument_group("search"), "decoding")
    add_settings(parser.add_argument_group("attention"), "evaluation", ("boxes", "box_words"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of predictions.jsonl, scores.json and gallery.html",
    )
    add_settings(output, "evaluation", ("segmentation", "human", "gallery_images", "map_images"))
    output.add_argument("--json", action="store_true", help="print scores.json instead of a table")
    add_config(parser.add_argument_group("settings"))


def run(arguments: argparse.Namespace) -> None:
    """Captions a split of a corpus and scores the captions, or scores a predictions file."""
    search, options = search_overrides(arguments), evaluation_options(arguments)
    _check_system(arguments, options, search)
    from caption_tx import evaluate
    from caption_tx.data.images.sources import require_images
    from caption_tx.evaluation.evaluate import PREDICTIONS
    from caption_tx.evaluation.metrics import require_scorers

    require_scorers()  # before the bundle is loaded
    config = resolve_config(arguments)
    if config.corpus.images or (arguments.bundle is not None and options.cache is None):
        require_images(config)
    system = arguments.predictions if arguments.bundle is None else _load(arguments)
    try:
        evaluation = evaluate(system, out=arguments.out, config=config, evaluation=options, decoding=search, log=warn)
    except KeyboardInterrupt:
        if arguments.bundle is not None:
            warn(f"Interrupted; {arguments.out / PREDICTIONS} is valid. Run the same command again to resume.")
        raise
    if arguments.json:
        echo(json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1))
    else:
        echo(f"{evaluation}\nWrote {arguments.out}.")


def _check_system(arguments: argparse.Namespace, options: EvaluationOptions, search: dict[str, Any]) -> None:
    """Rejects incompatible options before anything is read."""
    if (arguments.bundle is None) == (arguments.predictions is None):
        raise ConfigError("Name what to score: either --bundle DIR to caption the split, or --predictions FILE.")
    if arguments.predictions is not None:
        if search:
            raise ConfigError("Decoding options need --bundle; a predictions file already has its captions.")
        for flag, value in (
            ("--cache", options.cache),
            ("--backbone-weights", arguments.backbone_weights),
            ("--retry-failed", options.retry_failed),
            ("--boxes", options.boxes),
        ):
            if value:
                raise ConfigError(f"{flag} needs --bundle; remove it or --predictions.")


def _load(arguments: argparse.Namespace) -> Any:
    """The captioner of the bundle."""
    start_tensorflow()
    from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    language = captioner.bundle.text.language
    requested = getattr(arguments, "text.language")
    if requested not in (None, language):
        raise ConfigError(f"The bundle writes '{language}' captions; remove --language {requested}.")
    return captioner
