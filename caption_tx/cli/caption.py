"""The command `caption`."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.cli.bundles import check_packages, load_captioner
from caption_tx.cli.options import IMAGES_HELP, add_batch_size, add_bundle, add_command, add_settings
from caption_tx.cli.output import echo, report_search, warn
from caption_tx.cli.settings import search_overrides
from caption_tx.config import DecodingOptions
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.escaping import one_line, printable

if TYPE_CHECKING:
    from caption_tx.data.images.forms import NamedImage
    from caption_tx.inference.base_captioner import BaseCaptioner
    from caption_tx.inference.search.caption import Caption


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
    """Caption images."""
    search = search_overrides(arguments)
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1 image, got {arguments.batch_size}.")
    check_packages(arguments)
    from caption_tx.data.images.discovery import find_images
    from caption_tx.data.images.sources import open_images

    if arguments.out is not None:
        from caption_tx.inference.prediction_file import check_output_path

        check_output_path(arguments.out)
    elif arguments.retry_failed:
        raise ConfigError("--retry-failed needs the file to complete; name it with --out.")
    images, source = find_images(arguments.images, warn), open_images("")
    captioner = load_captioner(arguments, search)
    options = captioner.search_options(**search)
    if arguments.out is None:
        bundle = captioner.name if arguments.json else None
        _print_captions(captioner.captions(images, options, arguments.batch_size, source), bundle)
        report_search(captioner.decoding, options)
        for note in source.interpretation_notes():
            warn(note)
    else:
        _write_captions(arguments, captioner, images, options)


def _print_captions(results: Iterator[tuple[str, list[Caption] | ImageError]], bundle: str | None) -> None:
    """Print one line per caption, or a JSON list of rows, each with the bundle's name, that grows image by image."""
    from caption_tx.inference.predictions import make_rows

    images = failed = 0
    as_json = bundle is not None
    for name, result in results:
        rows = [row | ({"bundle": printable(bundle)} if as_json else {}) for row in make_rows(name, result)]
        if isinstance(result, ImageError):
            failed += 1
            warn(f"skipped: {rows[0]['error']}")
        elif as_json:
            for row, caption in zip(rows, result, strict=True):
                row["log_probabilities"] = list(caption.log_probabilities)
        else:
            for row in rows:
                rank = f"\t{row['rank']}" if len(rows) > 1 else ""
                echo(f"{one_line(row['image'])}{rank}\t{row['caption']}{'' if row['finished'] else ' ...'}")
        if as_json:
            documents = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
            print(",\n" if images else "[\n", documents, sep="", end="")
        images += 1
    if as_json:
        print("\n]")
    if failed == images:
        raise CaptionTxError("None of the images could be read.")


def _write_captions(
    arguments: argparse.Namespace, captioner: BaseCaptioner, images: Iterator[NamedImage], options: DecodingOptions
) -> None:
    """Append captions to the file with a progress bar, and print the counts."""
    from tqdm.auto import tqdm

    from caption_tx.data.images.discovery import count_images
    from caption_tx.inference.caption_files import caption_to_file

    def count() -> None:
        with suppress(CaptionTxError):
            bar.total = count_images(arguments.images)

    try:
        with tqdm(unit="image", desc="captions") as bar:
            threading.Thread(target=count, daemon=True).start()  # counting a large folder may take a while
            counts = caption_to_file(
                captioner,
                images,
                arguments.out,
                options,
                batch_size=arguments.batch_size,
                retry_failed=arguments.retry_failed,
                on_progress=lambda done: bar.update(done - bar.n),
            )
    except KeyboardInterrupt:
        warn(f"{arguments.out} is complete up to here; repeat the command to resume.")
        raise
    if counts.converted:
        warn(f"{arguments.out} was saved by another program; it is in the format of caption-tx again, with all rows.")
    report_search(captioner.decoding, options)
    for note in counts.notes:
        warn(note)
    if arguments.json:
        document = {"out": printable(str(arguments.out)), "bundle": printable(captioner.name)}
        document |= {name: getattr(counts, name) for name in ("captioned", "skipped", "failed", "converted")}
        print(json.dumps(document, ensure_ascii=False))
    else:
        echo(
            f"{counts.captioned:,} images captioned, {counts.skipped:,} skipped (already in the file), "
            f"{counts.failed:,} could not be read (see their rows): {one_line(str(arguments.out))}"
        )
    if counts.failed and not counts.captioned and not counts.existing:
        raise CaptionTxError("None of the images could be read.")
