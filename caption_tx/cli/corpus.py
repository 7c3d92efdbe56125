"""The command `corpus`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from caption_tx.cli.options import add_command, add_config, add_settings, add_sources
from caption_tx.cli.settings import require_images, resolve_config
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import Config
from caption_tx.errors import CaptionTxError, ConfigError


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "corpus",
        run,
        usage="SOURCE ..",
        summary="describe a caption corpus, and report its problems",
        description="Prints counts, splits and caption lengths of a corpus. With --check, reports problems in captions "
        "and images before training.",
        example="caption-tx corpus captions.csv --images photos/ --check",
    )
    add_sources(parser)
    add_settings(parser.add_argument_group("corpus"), "corpus", ("format", "images"))
    add_settings(parser.add_argument_group("text"), "text", ("language", "nfkc", "script", "user_dictionary"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--check", action="store_true", help="report problems in captions and, with --images, in every image"
    )
    output.add_argument(
        "--list", type=Path, metavar="FILE.csv", help="with --check: write one row per occurrence of each problem"
    )
    output.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="with --check: draw caption lengths and vocabulary (.png, .svg, .pdf)",
    )
    output.add_argument("--json", action="store_true", help="print one JSON document")
    add_config(parser.add_argument_group("settings"))


def run(arguments: argparse.Namespace) -> None:
    """Describes or checks a corpus."""
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

    config = resolve_config(arguments)
    source = config.corpus
    if source.images:
        require_images(config)
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
