"""`caption-tx evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from caption_tx.cli.output import tell, warn
from caption_tx.cli.settings import decoding_options, need_images, resolve_corpus
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import DecodingOptions, EvaluationOptions
from caption_tx.errors import ConfigError


def evaluate(arguments: argparse.Namespace) -> None:
    """Captions a split of a corpus and scores the captions, or scores a predictions file."""
    decoding = decoding_options(arguments)
    _check_system(arguments, decoding)
    options = EvaluationOptions(
        **{item.name: getattr(arguments, item.name) for item in dataclasses.fields(EvaluationOptions)}
    )
    from caption_tx.evaluation.evaluate import PREDICTIONS, evaluate
    from caption_tx.evaluation.metrics import require_scorers
    from caption_tx.evaluation.report import format_evaluation

    require_scorers()  # before the bundle is loaded
    config = resolve_corpus(arguments)
    if config.corpus.images or (arguments.bundle is not None and options.cache is None):
        need_images(config)
    system = arguments.predictions if arguments.bundle is None else _load(arguments)
    try:
        evaluation = evaluate(system, config, arguments.out, options, decoding, _progress_bar)
    except KeyboardInterrupt:
        if arguments.bundle is not None:
            warn(f"Interrupted; {arguments.out / PREDICTIONS} is valid. Run the same command again to resume.")
        raise
    if arguments.json:
        tell(json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1))
    else:
        tell(f"{format_evaluation(evaluation)}\nWrote {arguments.out}.")


def _check_system(arguments: argparse.Namespace, decoding: DecodingOptions) -> None:
    """Rejects incompatible options before anything is read."""
    if (arguments.bundle is None) == (arguments.predictions is None):
        raise ConfigError("Name what to score: either --bundle DIR to caption the split, or --predictions FILE.")
    if arguments.predictions is not None:
        if decoding != DecodingOptions():
            raise ConfigError("Decoding options need --bundle; a predictions file already has its captions.")
        for option in ("cache", "backbone_weights", "retry_failed"):
            if getattr(arguments, option):
                raise ConfigError(f"--{option.replace('_', '-')} needs --bundle; remove it or --predictions.")


def _load(arguments: argparse.Namespace) -> Any:
    """The captioner of the bundle."""
    start_tensorflow()
    from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    language = captioner.bundle.text.language
    if arguments.language not in (None, language):
        raise ConfigError(f"The bundle writes '{language}' captions; remove --language {arguments.language}.")
    return captioner


def _progress_bar(items: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(items, total=total, unit="image", desc="captions")
