"""Options of the command line: generated from the settings, or shared by several commands."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from caption_tx.assets import DEFAULT_BUNDLE, SHIPPED_BUNDLES, SMALL_BUNDLES
from caption_tx.config import (
    BackboneConfig,
    BoxesConfig,
    CorpusConfig,
    DecodingOptions,
    EvaluationOptions,
    ExplanationOptions,
    ExportOptions,
    ModelConfig,
    ServingOptions,
    TextConfig,
    TrainingConfig,
    TuningConfig,
)
from caption_tx.config.fields import Setting, settings_of

SECTIONS: dict[str, type] = {
    "corpus": CorpusConfig,
    "text": TextConfig,
    "backbone": BackboneConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "boxes": BoxesConfig,
    "tuning": TuningConfig,
    "decoding": DecodingOptions,
    "evaluation": EvaluationOptions,
    "explanation": ExplanationOptions,
    "export": ExportOptions,
    "serving": ServingOptions,
}
"""Classes whose fields become options. What the parser returns has one attribute "section.name" for each of them."""

BUNDLE_HELP = (
    f"folder of a bundle or of a training run, the name of a shipped bundle ({', '.join(SHIPPED_BUNDLES)}), or an "
    "address on the Hugging Face Hub such as hf://user/name"
)
DEFAULT_HELP = (
    f"{DEFAULT_BUNDLE}, or {SMALL_BUNDLES[DEFAULT_BUNDLE]} if the ImageNet weights are missing and cannot be downloaded"
)
RAY_HELP = "Ray cluster: host:6379, ray://host:10001, auto (the one on this machine), or local (start one here)"

IMAGES_HELP = (
    "image files; folders with all their subfolders; TSV files of base64 images, also on a remote store (gs://..); "
    "Parquet files with images. "
    "'-' reads standard input: the bytes of one image, or a list of image files, one per line or from `find -print0`"
)

_WIDTH = 79


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], None],
    *,
    usage: str,
    summary: str,
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    """The parser of a new command.

    Args:
        commands: what `ArgumentParser.add_subparsers` returned.
        name: of the command.
        run: called with the parsed arguments.
        usage: its required arguments.
        summary: one line for `caption-tx --help`.
        description: what the command does, for its own `--help`.
        example: command lines.
    """
    parser = commands.add_parser(
        name,
        usage=f"%(prog)s {usage} [options]".replace("  ", " "),
        help=summary,
        description=textwrap.fill(description, _WIDTH),
        epilog=f"example:\n{textwrap.indent(example, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


READING_OPTIONS = ("format", "images", "caption_column", "image_column", "text_suffix", "keep_rejected")
"""Settings of the corpus that say how captions are read."""


def add_settings(parser: Any, section: str, names: Iterable[str] | None = None) -> None:
    """Adds the options of settings to a parser or one of its groups.

    Args:
        parser: the parser or group.
        section: a key of `SECTIONS`.
        names: settings of that section; None for all that have a flag.
    """
    settings = settings_of(SECTIONS[section])
    if names is None:
        names = [name for name, item in settings.items() if item.flag is not None]
    for name in names:
        _add_setting(parser, section, settings[name])


def _add_setting(parser: Any, section: str, item: Setting) -> None:
    if item.flag is None:
        raise ValueError(f"{section}.{item.name} has no flag.")
    options: dict[str, Any] = {"dest": f"{section}.{item.name}", "default": None, "help": help_text(section, item)}
    if item.type is bool:
        parser.add_argument(item.flag, action="store_const", const=not item.default, **options)
    elif item.is_tuple and item.metavar.endswith(",.."):
        parser.add_argument(item.flag, type=_list_parser(item.type), metavar=item.metavar, **options)
    elif item.is_tuple:
        parser.add_argument(item.flag, action="append", type=item.type, metavar=item.metavar, **options)
    elif item.choices and item.metavar == "TEXT":
        parser.add_argument(item.flag, choices=item.choices, **options)
    else:
        parser.add_argument(item.flag, type=item.type, metavar=item.metavar, **options)


def help_text(section: str, item: Setting) -> str:
    """The help text of a setting's option, with its choices (unless argparse lists them) and its default."""
    text = item.help.removeprefix("if false, ")  # The flag of a setting that is true by default turns it off.
    for name, other in settings_of(SECTIONS[section]).items():
        if "_" in name and other.flag is not None:
            text = re.sub(rf"\b{name}\b", other.flag, text)
    if item.choices and item.metavar != "TEXT":
        text += f": {', '.join(item.choices)}"
    if item.is_tuple and not item.metavar.endswith(",.."):
        text += "; may be repeated"
    if item.default_text is not None:
        text += f" (default: {item.default_text})"
    return text.replace("%", "%%")


def _list_parser(kind: type) -> Callable[[str], list[Any]]:
    """A parser of values separated by commas, Western or Chinese."""

    def parse(text: str) -> list[Any]:
        try:
            return [kind(part.strip()) for part in text.replace("，", ",").split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected values separated by commas, got '{text}'") from None

    return parse


def add_sources(parser: argparse.ArgumentParser) -> None:
    """The caption sources, as positional arguments."""
    help_of_sources = settings_of(CorpusConfig)["sources"].help.replace("%", "%%")
    parser.add_argument("corpus.sources", nargs="*", metavar="SOURCE", help=help_of_sources)


def add_config(parser: Any) -> None:
    """`--config` and `--set`."""
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings to start from")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help="change any setting of config.toml, e.g. --set model.num_layers=4; may be repeated",
    )


def add_bundle(parser: Any) -> None:
    """`--bundle`, which may be missing, and `--backbone-weights`."""
    parser.add_argument(
        "--bundle",
        metavar="DIR|FILE",
        help=f"{BUNDLE_HELP}; or a LiteRT file of `caption-tx export` (default: {DEFAULT_HELP})",
    )
    add_backbone_weights(parser)


def add_backbone_weights(parser: Any) -> None:
    """`--backbone-weights` of commands that load a bundle."""
    parser.add_argument(
        "--backbone-weights",
        metavar="FILE",
        help="weights file of the backbone, if the bundle was trained with one or Keras cannot download them",
    )


def add_batch_size(parser: Any) -> None:
    """`--batch-size` of commands that search captions."""
    parser.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="images per search (default: %(default)s)"
    )
