"""The command `explain`."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.cli.bundles import check_packages, load_captioner
from caption_tx.cli.options import add_bundle, add_command, add_settings
from caption_tx.cli.output import echo, report_search, warn
from caption_tx.cli.settings import explanation_options, search_overrides
from caption_tx.config import to_dict
from caption_tx.escaping import one_line, printable

if TYPE_CHECKING:
    from caption_tx.inference.attention.maps import AttentionMaps


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "explain",
        run,
        usage="IMAGE|DIR|- ..",
        summary="show where the model looked for every word",
        description="Prints each word's log-probability and shows which part of the image the model attended to: as a "
        "figure, an animation, a web page or raw maps.",
        example="caption-tx explain photo.jpg --out photo.html",
    )
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE|DIR|-", help="images as in `caption`; a page (.html) shows several"
    )
    add_bundle(parser)
    caption = parser.add_argument_group("caption")
    add_settings(caption, "explanation", ("caption", "rank", "merge", "words_only"))
    add_settings(parser.add_argument_group("search"), "decoding")
    maps = parser.add_argument_group("maps")
    add_settings(maps, "explanation", ("layer", "head", "pool", "compare", "scale_per_word"))
    add_settings(maps, "explanation", ("alpha", "cmap", "flat", "heads_of"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="figure (.png, .svg, .pdf), animation (.gif, .webp), web page (.html) or raw maps (.npz, .json)",
    )
    add_settings(output, "explanation", ("seconds", "page_language", "health"))
    output.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Explain captions of images."""
    options = explanation_options(arguments)
    check_packages(arguments)
    from caption_tx.data.images.discovery import find_images
    from caption_tx.inference.drawing.overlay import format_probability
    from caption_tx.inference.explanation_files import check_output, explain_images, word_table

    check_output(options)
    images = find_images(arguments.images, warn)
    search = search_overrides(arguments)
    captioner = load_captioner(arguments, search)
    if options.caption is None:
        options = replace(options, decoding=captioner.search_options(**search))
    tables: list[dict[str, Any]] = []

    def show(name: str, maps: AttentionMaps) -> None:
        if arguments.json:
            tables.append(word_table(name, maps))
            return
        echo(f"{one_line(name)}\t{one_line(maps.caption)}")
        for title, value in zip(maps.titles, maps.shown_log_probabilities.tolist(), strict=True):
            echo(f"  {title}\t{format_probability(value)}")

    report = explain_images(captioner, images, options, None if options.health else show, warn)
    if options.decoding is not None:
        report_search(captioner.decoding, options.decoding)
    if arguments.json:
        document: dict[str, Any] = {"bundle": printable(captioner.name)}
        document |= {"images": tables} if report.health is None else {"health": report.health.to_dict()}
        document |= {"errors": report.problems}
        document |= {} if options.decoding is None else {"search": to_dict(options.decoding)}
        document |= {} if arguments.out is None else {"out": printable(str(arguments.out))}
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return
    if report.health is not None:
        echo(report.health.table())
    if arguments.out is not None:
        echo(one_line(str(arguments.out)))
