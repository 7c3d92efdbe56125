"""The command `caption`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from caption_tx.cli.options import IMAGES_HELP, add_batch_size, add_bundle, add_command, add_settings
from caption_tx.cli.output import echo, warn
from caption_tx.cli.settings import decoding_options
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import DecodingOptions
from caption_tx.errors import CaptionTxError, ConfigError, ImageError


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "caption",
        run,
        usage="IMAGE|DIR|- ..",
        summary="caption images and folders of images",
        description="Captions images, folders and lists of images, on the terminal or into a file. Repeat the command "
        "to resume a file.",
        example="caption-tx caption photos/ --beam-width 4 --out captions.csv",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE|DIR|-", help=IMAGES_HELP)
    add_bundle(parser)
    add_settings(parser.add_argument_group("search"), "decoding")
    add_batch_size(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write .jsonl, .csv or .parquet, one row per caption; unreadable images get a row with their error",
    )
    output.add_argument(
        "--retry-failed", action="store_true", help="with --out: try images again that could not be read before"
    )
    output.add_argument(
        "--json", action="store_true", help="print the captions as one JSON document; with --out, the counts"
    )


def run(arguments: argparse.Namespace) -> None:
    """Captions images."""
    options = decoding_options(arguments)
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1 image, got {arguments.batch_size}.")
    from caption_tx.data.images.discovery import find_images
    from caption_tx.inference.prediction_file import check_out

    if arguments.out is not None:
        check_out(arguments.out)
    elif arguments.retry_failed:
        raise ConfigError("--retry-failed tries the failed images of a file again; name it with --out.")
    images = find_images(arguments.images, lambda text: warn(f"skipped: {text}"))
    start_tensorflow()
    from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    if arguments.out is None:
        _print_captions(arguments, captioner.captions(images, options, arguments.batch_size))
    else:
        _write_captions(arguments, captioner, images, options)


def _print_captions(arguments: argparse.Namespace, results: Iterator[tuple[str, Any]]) -> None:
    """A line a caption; or, an image at a time, one JSON list of rows as `predictions` has them."""
    from caption_tx.inference.predictions import make_rows, one_line

    images = failed = 0
    for name, result in results:
        rows = make_rows(name, result)
        if isinstance(result, ImageError):
            failed += 1
            warn(f"skipped: {rows[0]['error']}")
        else:
            for row, each in zip(rows, result, strict=True):
                row["log_probabilities"] = list(each.log_probabilities)
                if not arguments.json:
                    rank = f"\t{row['rank']}" if len(rows) > 1 else ""
                    echo(f"{one_line(row['image'])}{rank}\t{row['caption']}{'' if row['finished'] else ' ...'}")
        if arguments.json:
            documents = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            print(",\n" if images else "[\n", documents, sep="", end="")
        images += 1
    if arguments.json:
        print("\n]")
    if failed == images:
        raise CaptionTxError("None of the images could be read.")


def _write_captions(arguments: argparse.Namespace, captioner: Any, images: Iterator, options: DecodingOptions) -> None:
    """Adds to the file what it does not hold, and tells the counts."""
    from tqdm import tqdm

    from caption_tx.data.images.discovery import count_images
    from caption_tx.inference.prediction_file import PredictionFile

    def count() -> None:
        with suppress(CaptionTxError):
            bar.total = count_images(arguments.images)

    captioned = failed = 0
    facts = {"bundle": captioner.digest, **dataclasses.asdict(options)}
    try:
        with (
            PredictionFile(arguments.out, facts, options.n_best, arguments.retry_failed) as file,
            tqdm(unit="image", desc="captions") as bar,
            closing(captioner.captions(file.remaining(images), options, arguments.batch_size)) as results,
        ):
            threading.Thread(target=count, daemon=True).start()  # how many there are shows when it is known
            for name, result in results:
                file.write(name, result)
                failed += isinstance(result, ImageError)
                captioned += not isinstance(result, ImageError)
                bar.update(captioned + failed + file.skipped - bar.n)
            bar.update(captioned + failed + file.skipped - bar.n)
    except KeyboardInterrupt:
        warn(f"{arguments.out} is whole up to here; the same command goes on.")
        raise
    counts = {"captioned": captioned, "skipped": file.skipped, "failed": failed}
    if arguments.json:
        print(json.dumps({"out": str(arguments.out)} | counts, ensure_ascii=False))
    else:
        echo(
            f"{captioned:,} images captioned, {file.skipped:,} skipped (in the file already), "
            f"{failed:,} could not be read (their rows say why): {arguments.out}"
        )
    if failed and not captioned and not file.held:
        raise CaptionTxError("None of the images could be read.")
