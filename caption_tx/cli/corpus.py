"""`caption-tx corpus`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from caption_tx.cli.settings import need_images, resolve
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import Config
from caption_tx.errors import CaptionTxError, ConfigError


def corpus(arguments: argparse.Namespace) -> None:
    """Counts of a corpus, and what is wrong with it."""
    for option, path, suffixes in (
        ("--list", arguments.list, (".csv",)),
        ("--plot", arguments.plot, (".png", ".svg", ".pdf")),
    ):
        if path is None:
            continue
        if not arguments.check:
            raise ConfigError(f"{option} writes what --check finds; add --check.")
        if path.suffix.lower() not in suffixes:
            raise ConfigError(f"{option} must end in {' or '.join(suffixes)}, got '{path}'.")
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"{option}: there is no folder '{path.absolute().parent}'.")
    from caption_tx.data.corpus.summary import format_summary, summarize_corpus
    from caption_tx.data.corpus.table import read_table
    from caption_tx.data.text.segmentation import Segmenter

    config = resolve(arguments)
    source = config.corpus
    if source.images:
        need_images(config)
    table = read_table(source)
    segmenter = Segmenter(config.text)
    if arguments.check:
        _check_corpus(arguments, config, table, segmenter)
        return
    summary = summarize_corpus(table, segmenter)
    print(json.dumps(summary, ensure_ascii=False, indent=1) if arguments.json else format_summary(summary))


def _check_corpus(arguments: argparse.Namespace, config: Config, table: Any, segmenter: Any) -> None:
    """Prints the report, even where none of the images could be read, which is an error after it."""
    from tqdm import tqdm

    from caption_tx.data.checks.corpus_checks import Findings, check_corpus
    from caption_tx.data.checks.report import format_report
    from caption_tx.data.images.sources import open_images
    from caption_tx.data.images.stores import is_remote
    from caption_tx.files import write_atomically

    location, findings = config.corpus.images, Findings()
    if is_remote(location):
        start_tensorflow()
    report = check_corpus(
        table,
        segmenter,
        images=open_images(location) if location else None,
        text=config.text,
        model_max_length=config.model.max_length,
        progress=lambda items, total, what: tqdm(items, desc=what, total=total, disable=not total),
        findings=findings,
    )
    print(json.dumps(report, ensure_ascii=False, indent=1) if arguments.json else format_report(report))
    if arguments.list is not None:
        write_atomically(arguments.list, findings.to_csv())
    if arguments.plot is not None:
        from caption_tx.data.checks.plot import corpus_figure
        from caption_tx.figure_files import save_figure

        save_figure(corpus_figure(report), arguments.plot)
    if location and not report["checked_images"]["read"]:
        raise CaptionTxError(f"None of the images that the captions name could be read in '{location}'.")
