"""The command line: parses, calls one function, prints."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from caption_tx import __version__
from caption_tx.config import (
    COMPRESSIONS,
    LANGUAGES,
    SCRIPTS,
    STORAGES,
    Config,
    DecodingOptions,
    Source,
    from_dict,
    load_config,
    to_dict,
)
from caption_tx.errors import CaptionTxError, ConfigError

DEFAULTS = Config()
IMAGES_HELP = "folder of the images, or a TSV file of images in base64; also on a remote store (gs://..)"


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what C++ writes to stderr while TensorFlow starts from the terminal; errors still raise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _start_tensorflow() -> None:
    with _silence():
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.zeros(())


def _tell(text: str) -> None:
    print(text, flush=True)


def _split_list(text: str) -> list[str]:
    """`a,b` -> ["a", "b"], in one argument, since sources may follow an option."""
    return [item.strip() for item in text.split(",")]


def _split_numbers(text: str) -> list[int]:
    return [int(item) for item in _split_list(text)]


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    options = ", ".join(item.name for item in dataclasses.fields(Source) if item.name != "path")
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="caption file, or a folder that holds one; may be repeated. PATH:KEY=VALUE,.. says more of one source: "
        f"{options}, e.g. translated.txt:stage=1,weight=0.5",
    )
    parser.add_argument("--format", help="layout of the caption files, where it cannot be detected")
    parser.add_argument("--language", choices=LANGUAGES, help=f"of the captions (default: {DEFAULTS.text.language})")
    parser.add_argument("--nfkc", action="store_true", default=None, help="fold full-width letters and digits")
    parser.add_argument("--script", choices=SCRIPTS, help="convert Chinese characters (default: left as they are)")


def _add_backbone(parser: argparse.ArgumentParser) -> None:
    backbone = DEFAULTS.backbone
    parser.add_argument(
        "--backbone-weights", metavar="W", help="'imagenet' (downloaded by Keras, default), 'scenes', or a weights file"
    )
    parser.add_argument("--alpha", type=float, help=f"width of the MobileNet (default: {backbone.alpha})")
    parser.add_argument("--feature-layer", help=f"where it is cut (default: {backbone.feature_layer})")
    parser.add_argument("--storage", choices=STORAGES, help=f"of the features (default: {backbone.storage})")
    parser.add_argument("--image-size", type=int, help=f"input side in pixels (default: {backbone.image_size})")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="recipe.toml", help="settings to start from")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any setting of config.toml, e.g. --set model.num_layers=4; may be repeated",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caption-tx",
        description="Train an image captioner on your own captions, and see where it looked for every word.",
    )
    parser.add_argument("--version", action="version", version=f"caption-tx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole way on rendered scenes, offline, in minutes")
    demo.add_argument("--workdir", type=Path, default=Path("caption-tx-demo"), help="default: %(default)s")
    demo.add_argument("--language", choices=LANGUAGES, default="zh", help="of the captions (default: %(default)s)")
    demo.set_defaults(run=_demo)

    corpus = commands.add_parser("corpus", help="what is in a caption corpus, and what is wrong with it")
    _add_corpus(corpus)
    corpus.add_argument("--images", metavar="DIR", help=f"{IMAGES_HELP}; --check reads every one of them")
    corpus.add_argument("--check", action="store_true", help="look for what needs mending before training")
    corpus.add_argument(
        "--list", type=Path, metavar="FILE.csv", help="with --check: write every place of every finding, a row each"
    )
    corpus.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="with --check: draw caption lengths and vocabulary (.png, .svg, .pdf)",
    )
    _add_settings(corpus)
    corpus.add_argument("--json", action="store_true", help="print one JSON document")
    corpus.set_defaults(run=_corpus)

    features = commands.add_parser("features", help="encode every image once, resumable")
    _add_corpus(features)
    features.add_argument("--images", metavar="DIR", help=IMAGES_HELP)
    features.add_argument("--cache", metavar="DIR", required=True, help="folder of the features")
    features.add_argument("--flips", action="store_true", default=None, help="also store each image mirrored")
    features.add_argument(
        "--compression", choices=COMPRESSIONS, help=f"of the shards (default: {DEFAULTS.training.compression})"
    )
    features.add_argument(
        "--shard", metavar="I/N", help="encode the I-th of N shares only; the others may run at the same time, anywhere"
    )
    features.add_argument(
        "--join", action="store_true", help="encode nothing: check every record and join what all shares encoded"
    )
    _add_backbone(features)
    _add_settings(features)
    features.set_defaults(run=_features)

    train = commands.add_parser("train", help="train a captioner; the same command again goes on with a killed run")
    _add_corpus(train)
    train.add_argument("--images", metavar="DIR", help=IMAGES_HELP)
    train.add_argument("--workdir", type=Path, required=True, help="folder of the run: settings, logs, bundle")
    train.add_argument("--cache", metavar="DIR", help="folder of the features (default: features/ in the workdir)")
    train.add_argument("--uncached", action="store_true", help="encode the images anew in every step; needs no disk")
    train.add_argument("--flips", action="store_true", default=None, help="train on mirrored images too")
    training, model, text = DEFAULTS.training, DEFAULTS.model, DEFAULTS.text
    train.add_argument(
        "--leave-out",
        type=_split_list,
        metavar="PROBLEM,..",
        help="do without captions that `corpus --check` finds this wrong with, e.g. html,url",
    )
    train.add_argument("--epochs", type=int, help=f"of all stages together (default: {training.epochs})")
    train.add_argument(
        "--stage-epochs", type=_split_numbers, metavar="N,..", help="epochs of each stage of the sources but the last"
    )
    train.add_argument("--batch-size", type=int, help=f"images a step (default: {training.batch_size})")
    train.add_argument("--learning-rate", type=float, help=f"its peak (default: {training.learning_rate})")
    train.add_argument("--layers", type=int, help=f"decoder blocks (default: {model.num_layers})")
    train.add_argument("--min-frequency", type=int, help=f"rarer words are unknown (default: {text.min_frequency})")
    train.add_argument("--user-dictionary", metavar="FILE", help="words that jieba must keep whole, one a line")
    train.add_argument(
        "--sample-image", action="append", metavar="NAME", help="image to caption after every epoch; may be repeated"
    )
    train.add_argument("--seed", type=int, help=f"default: {training.seed}")
    _add_backbone(train)
    _add_settings(train)
    train.set_defaults(run=_train)

    caption = commands.add_parser("caption", help="caption images and folders of images")
    caption.add_argument("images", nargs="+", metavar="IMAGE|DIR")
    caption.add_argument("--bundle", type=Path, required=True, help="folder that training made")
    caption.add_argument("--backbone-weights", metavar="FILE", help="where those of the bundle cannot be had")
    options = DecodingOptions()
    caption.add_argument(
        "--temperature",
        type=float,
        default=options.temperature,
        help="0 takes the likeliest word, more samples more freely (default: %(default)s)",
    )
    caption.add_argument("--max-length", type=int, help="most tokens of a caption (default: as trained)")
    caption.add_argument("--seed", type=int, default=options.seed, help="of the samples (default: %(default)s)")
    caption.add_argument("--json", action="store_true", help="print one JSON document")
    caption.set_defaults(run=_caption)

    explain = commands.add_parser("explain", help="where the model looked for every word")
    explain.add_argument("image", metavar="IMAGE")
    explain.add_argument("--bundle", type=Path, required=True, help="folder that training made")
    explain.add_argument("--backbone-weights", metavar="FILE", help="where those of the bundle cannot be had")
    explain.add_argument("--caption", metavar="TEXT", help="explain this caption instead of the model's own")
    explain.add_argument("--layer", type=int, help="one layer, counted from 0; -1 is the last (default: all)")
    explain.add_argument("--head", type=int, help="one head, counted from 0 (default: all)")
    explain.add_argument("--pool", choices=("mean", "max"), default="mean", help="over layers and heads")
    explain.add_argument("--scale-per-word", action="store_true", help="each map on its own colour scale")
    explain.add_argument(
        "--heads-of", type=int, metavar="POSITION", help="every layer and head apart for one word, counted from 0"
    )
    explain.add_argument("--out", type=Path, required=True, metavar="FILE", help=".png, .svg, .pdf or .npz")
    explain.set_defaults(run=_explain)
    return parser


_SETTING_OF = {
    "format": "corpus.format",
    "images": "corpus.images",
    "leave_out": "corpus.leave_out",
    "language": "text.language",
    "nfkc": "text.nfkc",
    "script": "text.script",
    "min_frequency": "text.min_frequency",
    "user_dictionary": "text.user_dictionary",
    "backbone_weights": "backbone.weights",
    "alpha": "backbone.alpha",
    "feature_layer": "backbone.feature_layer",
    "image_size": "backbone.image_size",
    "storage": "backbone.storage",
    "compression": "training.compression",
    "stage_epochs": "training.stage_epochs",
    "layers": "model.num_layers",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "learning_rate": "training.learning_rate",
    "flips": "training.flips",
    "cache": "training.cache",
    "sample_image": "training.sample_images",
    "seed": "training.seed",
}
"""Which setting each option stands for."""


def _parse_setting(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set needs KEY=VALUE, got '{text}'.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()  # a bare word is text: no quotes needed on a shell


def resolve(arguments: argparse.Namespace) -> Config:
    """The settings of a command: defaults, then `--config`, then `--set`, then options of their own.

    Raises:
        ConfigError: one of them is unknown or bad; or no caption source is named.
    """
    config = DEFAULTS if arguments.config is None else load_config(arguments.config)
    values = dict(_parse_setting(text) for text in arguments.settings)
    given = vars(arguments)
    values |= {key: given[name] for name, key in _SETTING_OF.items() if given.get(name) is not None}
    if arguments.source:
        values["corpus.sources"] = arguments.source
    if given.get("uncached"):
        values["training.cached"] = False
    nested: dict[str, Any] = {}
    for key, value in values.items():
        room, _, name = key.partition(".")
        if not name or room not in to_dict(DEFAULTS):
            raise ConfigError(f"Unknown setting '{key}'; rooms: {', '.join(to_dict(DEFAULTS))}.")
        nested.setdefault(room, {})[name] = value
    config = from_dict(Config, nested, base=config)
    if not config.corpus.sources:
        raise ConfigError("No caption source; name a caption file or its folder.")
    return config


def _need_images(config: Config) -> None:
    location = config.corpus.images
    if not location:
        raise ConfigError("No folder of images; name it with --images.")
    if "://" not in location and not os.path.exists(location):
        raise ConfigError(f"There is no folder of images '{location}'; name it with --images.")


def _parse_share(text: str | None) -> tuple[int, int]:
    """`2/8` -> (1, 8): which share of how many, counted from 0."""
    if text is None:
        return 0, 1
    part, separator, parts = text.partition("/")
    if not (separator and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ConfigError(f"--shard must be I/N with I from 1 to N, got '{text}'.")
    return int(part) - 1, int(parts)


def _demo(arguments: argparse.Namespace) -> None:
    _start_tensorflow()
    from caption_tx.demo import run_demo

    run_demo(arguments.workdir, arguments.language, _tell)


def _corpus(arguments: argparse.Namespace) -> None:
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
    from caption_tx.data.corpus import describe, format_description, read_corpus
    from caption_tx.data.segmentation import Segmenter

    config = resolve(arguments)
    source = config.corpus
    table = read_corpus(
        source.sources,
        source.format,
        source.val_fraction,
        source.test_fraction,
        source.split_seed,
        source.images or None,
    )
    segmenter = Segmenter(config.text)
    if arguments.check:
        _check_corpus(arguments, config, table, segmenter)
        return
    description = describe(table, segmenter)
    print(json.dumps(description, ensure_ascii=False, indent=1) if arguments.json else format_description(description))


def _check_corpus(arguments: argparse.Namespace, config: Config, table: Any, segmenter: Any) -> None:
    """Prints the report, even where none of the images could be read, which is an error after it."""
    from tqdm import tqdm

    from caption_tx.data.hygiene.checks import Findings, check_corpus
    from caption_tx.data.hygiene.text import format_report
    from caption_tx.data.image_folders import is_remote, open_images
    from caption_tx.files import write_atomically

    location, findings = config.corpus.images, Findings()
    if is_remote(location):
        _start_tensorflow()
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
        from caption_tx.data.hygiene.plot import corpus_figure
        from caption_tx.inference.plotting import save_figure

        save_figure(corpus_figure(report), arguments.plot)
    if location and not report["checked_images"]["read"]:
        raise CaptionTxError(f"None of the images that the captions name could be read in '{location}'.")


def _features(arguments: argparse.Namespace) -> None:
    config = resolve(arguments)
    _need_images(config)
    share = _parse_share(arguments.shard)
    if arguments.join and arguments.shard:
        raise ConfigError("--join comes after all shares are encoded; leave out --shard.")
    _start_tensorflow()
    from caption_tx.training.encoding import encode_corpus, join_corpus

    if arguments.join:
        cache = join_corpus(config, arguments.cache, _tell)
    else:
        cache = encode_corpus(config, arguments.cache, _tell, share)
    _tell(f"{len(cache.images):,} images are in {cache.folder}, {len(cache.failed):,} could not be read.")


def _train(arguments: argparse.Namespace) -> None:
    config = resolve(arguments)
    _need_images(config)
    _start_tensorflow()
    from caption_tx.training.fit import train

    train(config, arguments.workdir, _tell)


def _caption(arguments: argparse.Namespace) -> None:
    options = DecodingOptions(arguments.temperature, arguments.max_length, arguments.seed)
    _start_tensorflow()
    from caption_tx.errors import ImageError
    from caption_tx.inference.captioning import find_images, load

    captioner = load(arguments.bundle, arguments.backbone_weights)
    documents, failed = [], 0
    for name, result in captioner.captions(find_images(arguments.images), options):
        if isinstance(result, ImageError):
            failed += 1
            print(f"caption-tx: skipped: {result}", file=sys.stderr)
            documents.append({"image": name, "error": str(result)})
            continue
        if not arguments.json:
            _tell(f"{name}\t{result.text}{'' if result.finished else ' ...'}")
        documents.append(
            {
                "image": name,
                "caption": result.text,
                "words": list(result.words),
                "log_probabilities": list(result.log_probabilities),
                "finished": result.finished,
            }
        )
    if arguments.json:
        print(json.dumps(documents, ensure_ascii=False, indent=1))
    if failed == len(documents):
        raise CaptionTxError("None of the images could be read.")


def _explain(arguments: argparse.Namespace) -> None:
    known = (".png", ".svg", ".pdf", ".npz")
    if arguments.out.suffix.lower() not in known:
        raise ConfigError(f"--out must end in one of {', '.join(known)}, got '{arguments.out}'.")
    if not arguments.out.absolute().parent.is_dir():
        raise ConfigError(f"--out: there is no folder '{arguments.out.absolute().parent}'.")
    _start_tensorflow()
    from caption_tx.inference.captioning import load
    from caption_tx.inference.plotting import save_figure

    maps = load(arguments.bundle, arguments.backbone_weights).explain(arguments.image, arguments.caption)
    if arguments.out.suffix.lower() == ".npz":
        maps.save_npz(arguments.out)
    elif arguments.heads_of is not None:
        save_figure(maps.heads_figure(None, arguments.heads_of), arguments.out)
    else:
        figure = maps.figure(
            layer=arguments.layer,
            head=arguments.head,
            pool=arguments.pool,
            common_scale=not arguments.scale_per_word,
        )
        save_figure(figure, arguments.out)
    _tell(f"{maps.caption}\n{arguments.out}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 after a CaptionTxError, 2 on wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except CaptionTxError as error:
        print(f"caption-tx: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has enough; Python would complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"caption-tx: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("caption-tx: stopped.", file=sys.stderr)
        return 130
    return 0
