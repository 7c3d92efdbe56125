"""The command `explain`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.cli.options import add_bundle, add_command, add_settings, split_words
from caption_tx.cli.output import echo, warn
from caption_tx.cli.settings import decoding_options
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import LANGUAGES, POOL_NAMES

if TYPE_CHECKING:
    from caption_tx.inference.attention.maps import AttentionMaps
    from caption_tx.inference.explanation_files import ExplanationOptions


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
    caption.add_argument("--caption", metavar="TEXT", help="explain this caption instead of the model's")
    caption.add_argument(
        "--rank",
        type=int,
        default=0,
        metavar="K",
        help="explain the K-th best caption, counted from 0 (default: %(default)s)",
    )
    caption.add_argument(
        "--merge",
        type=split_words,
        default=(),
        metavar="WORD,..",
        help="show adjacent tokens that spell one of these words as one: maps are averaged, log-probabilities added",
    )
    caption.add_argument("--words-only", action="store_true", help="leave out the end token and punctuation")
    add_settings(parser.add_argument_group("search"), "decoding")
    _add_map_options(parser.add_argument_group("maps"))
    _add_output_options(parser.add_argument_group("output"))


def _add_map_options(group: Any) -> None:
    group.add_argument(
        "--layer", type=int, metavar="N", help="one layer, counted from 0; -1 is the last (default: all)"
    )
    group.add_argument("--head", type=int, metavar="N", help="one head, counted from 0 (default: all)")
    group.add_argument(
        "--pool",
        choices=POOL_NAMES,
        default="mean",
        help="how to combine layers and heads; spread selects the head whose maps differ most between words, rollout "
        "follows attention through all layers (default: %(default)s)",
    )
    group.add_argument("--scale-per-word", action="store_true", help="give each map its own color scale")
    group.add_argument("--alpha", type=float, metavar="X", help="opacity of the strongest attention, in (0, 1]")
    group.add_argument("--cmap", metavar="NAME", help="a matplotlib color map, e.g. viridis or cividis")
    group.add_argument("--flat", action="store_true", help="do not interpolate between cells in figures and animations")
    group.add_argument(
        "--heads-of", type=int, metavar="POSITION", help="draw every layer and head for one word, counted from 0"
    )


def _add_output_options(group: Any) -> None:
    group.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="figure (.png, .svg, .pdf), animation (.gif, .webp), web page (.html) or raw maps (.npz, .json)",
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        metavar="X",
        help="seconds per word of an animation (default: %(default)s)",
    )
    group.add_argument(
        "--page-language", choices=LANGUAGES, help="language of a page (default: the language of the captions)"
    )
    group.add_argument(
        "--health", action="store_true", help="report for every layer and head whether its maps are informative"
    )
    group.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Explain captions of images."""
    from caption_tx.inference.explanation_files import explain_images, word_table

    options = _explanation_options(arguments)
    from caption_tx.data.images.discovery import find_images
    from caption_tx.inference.drawing.overlay import format_probability
    from caption_tx.inference.predictions import printable

    images = find_images(arguments.images, lambda text: warn(f"skipped: {text}"))
    start_tensorflow()
    from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    tables: list[dict[str, Any]] = []

    def show(name: str, maps: AttentionMaps) -> None:
        if arguments.json:
            tables.append(word_table(name, maps))
            return
        echo(f"{printable(name)}\t{maps.caption}")
        for title, value in zip(maps.titles, maps.shown_log_probabilities.tolist(), strict=True):
            echo(f"  {title}\t{format_probability(value)}")

    report = explain_images(captioner, images, options, None if arguments.health else show, warn)
    if arguments.json:
        document: dict[str, Any] = {"images": tables} if report.health is None else {"health": report.health.to_dict()}
        document |= {"errors": report.problems} | ({} if arguments.out is None else {"out": str(arguments.out)})
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return
    if report.health is not None:
        echo(report.health.table())
    if arguments.out is not None:
        echo(str(arguments.out))


def _explanation_options(arguments: argparse.Namespace) -> ExplanationOptions:
    from caption_tx.inference.attention.pooling import MapSelection
    from caption_tx.inference.drawing.style import HeatmapStyle
    from caption_tx.inference.explanation_files import ExplanationOptions

    style = {name: getattr(arguments, name) for name in ("alpha", "cmap") if getattr(arguments, name) is not None}
    return ExplanationOptions(
        decoding=decoding_options(arguments),
        selection=MapSelection(arguments.layer, arguments.head, arguments.pool),
        style=HeatmapStyle(common_scale=not arguments.scale_per_word, smooth=not arguments.flat, **style),
        **{
            name: getattr(arguments, name)
            for name in (
                "caption",
                "rank",
                "merge",
                "words_only",
                "heads_of",
                "out",
                "seconds",
                "page_language",
                "health",
            )
        },
    )
