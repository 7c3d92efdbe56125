"""The command `export`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caption_tx.cli.options import BUNDLE_HELP, add_backbone_weights, add_command, add_settings
from caption_tx.cli.output import echo
from caption_tx.cli.settings import export_options
from caption_tx.errors import ConfigError
from caption_tx.escaping import one_line, printable
from caption_tx.startup import silenced_stderr, start_tensorflow


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "export",
        run,
        usage="BUNDLE --out PATH|--cache",
        summary="write a SavedModel for servers or a LiteRT file for phones",
        description="Exports a bundle as a SavedModel, or as a LiteRT file, with which `caption` and `explain` start "
        "in less than a second. The export is run and compared with the bundle before it is kept.",
        example="caption-tx export flickr8k-zh --to litert --out phone/captioner.tflite",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    add_settings(parser, "export", ("to", "precision", "beam_width", "parts"))
    add_backbone_weights(parser)
    checks = parser.add_argument_group("verification")
    add_settings(checks, "export", ("verify_images", "verify_captions", "verify_limit", "min_agreement"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder of the SavedModel; or a LiteRT file NAME.tflite, beside which export.json and vocabulary.txt are "
        "written, or a folder for them",
    )
    output.add_argument(
        "--cache",
        action="store_const",
        const=True,
        help="write the LiteRT file where `caption` and `explain` find it when they are given this bundle",
    )
    output.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Export a bundle."""
    options = export_options(arguments)
    if (arguments.out is None) == (arguments.cache is None):
        raise ConfigError("Name where to write: either --out PATH, or --cache.")
    start_tensorflow()
    with silenced_stderr():
        from caption_tx.export.exporting import export_captioner, export_to_cache
        from caption_tx.inference.captioner import load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    with silenced_stderr():
        if arguments.cache:
            report = export_to_cache(captioner, arguments.bundle, options)
        else:
            report = export_captioner(captioner, arguments.out, options)
    if arguments.json:
        values = {"path": printable(str(report.path)), "bytes": report.bytes, "license": report.license}
        print(json.dumps(values | {"verification": asdict(report.verification)}, ensure_ascii=False, indent=1))
        return
    echo(f"{one_line(str(report.verification))}.")
    if captioner.decoding.retrieval:
        echo("The retrieval index is not exported, so captions of the export are searched without retrieval.")
    if report.license:
        echo(f"License: {one_line(report.license)}")
    echo(f"{one_line(str(report.path))} ({report.bytes / 1e6:.1f} MB)")
