"""Commands, options and their help texts."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from caption_tx import __version__
from caption_tx.assets import SHIPPED_BUNDLES
from caption_tx.cli import caption as caption_command
from caption_tx.cli import corpus as corpus_command
from caption_tx.cli import demo as demo_command
from caption_tx.cli import evaluate as evaluate_command
from caption_tx.cli import explain as explain_command
from caption_tx.cli import features as features_command
from caption_tx.cli import train as train_command
from caption_tx.cli.settings import DEFAULTS
from caption_tx.cli.tune import add_tune
from caption_tx.config import (
    CAPTION_FORMATS,
    CAPTION_PROBLEMS,
    COMPRESSIONS,
    LANGUAGES,
    MONITORS,
    POOL_NAMES,
    PRECISIONS,
    SCRIPTS,
    STORAGES,
    DecodingOptions,
    Source,
)

RAY_HELP = "on a Ray cluster: host:6379, ray://host:10001, auto (the one of this machine), local (start one here)"
BUNDLE_HELP = f"folder that training made, or the name of one that ships: {', '.join(SHIPPED_BUNDLES)}"
IMAGES_HELP = "folder of the images, or a TSV file of images in base64; also on a remote store (gs://..)"
DICTIONARY_HELP = "words that jieba must keep whole, one a line"


def _split_list(text: str) -> list[str]:
    """`a,b` -> ["a", "b"], in one argument, since sources may follow an option."""
    return [item.strip() for item in text.split(",")]


def _split_words(text: str) -> tuple[str, ...]:
    """`a,b` -> ("a", "b"), with commas of either script."""
    return tuple(_split_list(text.replace("，", ",")))


def _split_numbers(text: str) -> list[int]:
    try:
        return [int(item) for item in _split_list(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers with commas between them, got '{text}'") from None


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    options = ", ".join(item.name for item in dataclasses.fields(Source) if item.name != "path")
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="caption file, or a folder that holds one; may be repeated. PATH:KEY=VALUE,.. says more of one source: "
        f"{options}, e.g. translated.txt:stage=1,weight=0.5",
    )
    parser.add_argument("--format", metavar="LAYOUT", help=f"where it cannot be detected: {', '.join(CAPTION_FORMATS)}")


def _add_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--language", choices=LANGUAGES, help=f"of the captions (default: {DEFAULTS.text.language})")
    parser.add_argument("--nfkc", action="store_true", default=None, help="fold full-width letters and digits")
    parser.add_argument("--script", choices=SCRIPTS, help="convert Chinese characters (default: left as they are)")


def _add_backbone(parser: argparse.ArgumentParser) -> None:
    backbone = DEFAULTS.backbone
    parser.add_argument(
        "--backbone",
        metavar="NAME",
        help=f"any network of keras.applications, e.g. ResNet50 (default: {backbone.name})",
    )
    parser.add_argument(
        "--backbone-weights", metavar="W", help="'imagenet' (downloaded by Keras, default), 'scenes', or a weights file"
    )
    parser.add_argument("--alpha", type=float, help=f"width of a MobileNet (default: {backbone.alpha})")
    parser.add_argument(
        "--feature-layer", help="where it is cut (default: its last feature map; MobileNet's conv_pw_12_relu)"
    )
    parser.add_argument(
        "--storage", choices=STORAGES, help="of the features (default: uint8 where they lie in [0, 6], else float16)"
    )
    parser.add_argument("--image-size", type=int, help="input side in pixels (default: the network's own)")


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


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", default=SHIPPED_BUNDLES[0], metavar="DIR", help=f"{BUNDLE_HELP} (default: %(default)s)"
    )
    parser.add_argument("--backbone-weights", metavar="FILE", help="where those of the bundle cannot be had")


def _add_explain(explain: argparse.ArgumentParser) -> None:
    explain.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE|DIR|-",
        help="images as `caption` takes them; several go into one page (.html)",
    )
    _add_bundle(explain)
    explain.add_argument("--caption", metavar="TEXT", help="explain this caption instead of the model's own")
    explain.add_argument(
        "--rank", type=int, default=0, metavar="K", help="explain the K-th of the n-best, counted from 0, the best"
    )
    explain.add_argument("--layer", type=int, help="one layer, counted from 0; -1 is the last (default: all)")
    explain.add_argument("--head", type=int, help="one head, counted from 0 (default: all)")
    explain.add_argument(
        "--pool",
        choices=POOL_NAMES,
        default="mean",
        help="over layers and heads; spread takes the head whose maps differ most from word to word (sharp, but on "
        "photographs no better than random cells), rollout follows what every token has taken from the picture "
        "through all layers (default: %(default)s)",
    )
    explain.add_argument(
        "--merge",
        type=_split_words,
        default=(),
        metavar="WORD,..",
        help="show tokens in a row that spell such a word as one: maps are averaged, log-probabilities added",
    )
    explain.add_argument("--words-only", action="store_true", help="leave out the end mark and punctuation")
    explain.add_argument("--scale-per-word", action="store_true", help="each map on its own color scale")
    explain.add_argument("--alpha", type=float, metavar="X", help="opacity of the strongest attention, in (0, 1]")
    explain.add_argument("--cmap", metavar="NAME", help="a color map of matplotlib, e.g. viridis or cividis")
    explain.add_argument("--flat", action="store_true", help="every cell in one color, in figures and animations")
    explain.add_argument(
        "--seconds", type=float, default=1.0, metavar="X", help="for each word of an animation (default: %(default)s)"
    )
    explain.add_argument(
        "--heads-of", type=int, metavar="POSITION", help="every layer and head apart for one word, counted from 0"
    )
    explain.add_argument("--page-language", choices=LANGUAGES, help="of a page (default: that of the captions)")
    explain.add_argument(
        "--health", action="store_true", help="tell for every layer and head whether the maps can be believed"
    )
    explain.add_argument("--json", action="store_true", help="print one JSON document")
    explain.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="figure (.png, .svg, .pdf), animation (.gif, .webp), page to point at (.html), raw maps (.npz, .json)",
    )
    _add_decoding_options(explain)
    explain.set_defaults(run=explain_command.explain)


def _add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """The options that `settings.decoding_options` reads: one for each field of DecodingOptions."""
    default = DecodingOptions()
    group = parser.add_argument_group("search")
    for name, kind, text in (
        ("temperature", float, "0 takes the likeliest word at each step; above it words are drawn, more freely"),
        ("top_k", int, "draw among so many likeliest words"),
        ("top_p", float, "draw among the likeliest words that hold this share, in (0, 1]"),
        ("samples", int, "captions drawn for each image, of which the best are kept"),
        (
            "consensus",
            float,
            "choose the caption that the other beams or samples agree with, each of them as likely as "
            "probability ** this; 0.4 does well with a beam of 20",
        ),
        ("beam_width", int, "follow so many captions at once and keep the likeliest"),
        ("beam_groups", int, "divide the beam into groups that are kept from saying the same"),
        ("diversity_penalty", float, "what a word costs that an earlier group took at this step, in nats"),
        ("length_penalty", float, "captions are ranked by log-probability / length ** this; 0 favors short ones"),
        ("n_best", int, "captions to give for each image, best first"),
        ("repetition_penalty", float, "the log-probability of a word that is there already is multiplied by this"),
        ("no_repeat_ngram", int, "let no run of so many words stand twice in a caption; 0 allows all"),
        ("min_length", int, "fewest words"),
        ("max_length", int, "most tokens, the end mark among them (default: as trained)"),
        ("suppress_words", _split_words, "words that no caption holds, with commas between them"),
        ("force_words", _split_words, "words that every caption holds, with commas between them; needs a beam"),
        ("prefix", str, "the start of every caption, e.g. 图中"),
        ("seed", int, "of the drawn words"),
    ):
        value = getattr(default, name)
        known = "" if value in (None, (), "") else " (default: %(default)s)"
        metavar = {float: "X", int: "N", str: "TEXT"}.get(kind, "WORD,..")
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=kind, default=value, metavar=metavar, help=text + known)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `run` of what it parses is the function of the command."""
    parser = argparse.ArgumentParser(
        prog="caption-tx",
        description="Train an image captioner on your own captions, and see where it looked for every word.",
    )
    parser.add_argument("--version", action="version", version=f"caption-tx {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = subparsers.add_parser("demo", help="the whole way on rendered scenes, offline, in minutes")
    demo.add_argument("--workdir", type=Path, default=Path("caption-tx-demo"), help="default: %(default)s")
    demo.add_argument("--language", choices=LANGUAGES, default="zh", help="of the captions (default: %(default)s)")
    demo.set_defaults(run=demo_command.demo)

    corpus = subparsers.add_parser("corpus", help="what is in a caption corpus, and what is wrong with it")
    _add_corpus(corpus)
    _add_text(corpus)
    corpus.add_argument("--user-dictionary", metavar="FILE", help=DICTIONARY_HELP)
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
    corpus.set_defaults(run=corpus_command.corpus)

    features = subparsers.add_parser("features", help="encode every image once, resumable")
    _add_corpus(features)
    _add_text(features)
    features.add_argument("--images", metavar="DIR", help=IMAGES_HELP)
    features.add_argument("--cache", metavar="DIR", required=True, help="folder of the features")
    features.add_argument("--flips", action="store_true", default=None, help="also store each image mirrored")
    features.add_argument(
        "--crops",
        type=int,
        metavar="N",
        help=f"with --flips: also store N random crops of each image (default: {DEFAULTS.training.crops})",
    )
    features.add_argument(
        "--compression", choices=COMPRESSIONS, help=f"of the shards (default: {DEFAULTS.training.compression})"
    )
    features.add_argument(
        "--shard", metavar="I/N", help="encode the I-th of N shares only; the others may run at the same time, anywhere"
    )
    features.add_argument(
        "--ray", metavar="ADDRESS", help=f"encode share by share {RAY_HELP}; at the end check and join all"
    )
    features.add_argument(
        "--renew", action="store_true", help="encode images anew whose file holds another picture now"
    )
    features.add_argument(
        "--join",
        action="store_true",
        help="encode nothing: check every record and join what all shares encoded (the backbone is the cache's own)",
    )
    _add_backbone(features)
    _add_settings(features)
    features.set_defaults(run=features_command.features)

    train = subparsers.add_parser("train", help="train a captioner; the same command again goes on with a killed run")
    _add_corpus(train)
    _add_text(train)
    train.add_argument("--images", metavar="DIR", help=IMAGES_HELP)
    train.add_argument("--workdir", type=Path, required=True, help="folder of the run: settings, logs, bundle")
    train.add_argument("--cache", metavar="DIR", help="folder of the features (default: features/ in the workdir)")
    train.add_argument("--uncached", action="store_true", help="encode the images anew in every step; needs no disk")
    train.add_argument("--flips", action="store_true", default=None, help="train on mirrored images too")
    train.add_argument(
        "--crops",
        type=int,
        metavar="N",
        help=f"with --flips: train on N random crops of each image too (default: {DEFAULTS.training.crops})",
    )
    training, model, text = DEFAULTS.training, DEFAULTS.model, DEFAULTS.text
    train.add_argument(
        "--leave-out",
        type=_split_list,
        metavar="PROBLEM,..",
        help=f"do without captions that are unfit, as `corpus --check` finds them: {', '.join(CAPTION_PROBLEMS)}",
    )
    train.add_argument("--epochs", type=int, help=f"of all stages together (default: {training.epochs})")
    train.add_argument(
        "--stage-epochs", type=_split_numbers, metavar="N,..", help="epochs of each stage of the sources but the last"
    )
    train.add_argument(
        "--mix-stages",
        action="store_true",
        default=None,
        help="train a stage on the captions of later ones too, machine translations marked",
    )
    train.add_argument("--batch-size", type=int, help=f"images a step (default: {training.batch_size})")
    train.add_argument(
        "--accumulation-steps",
        type=int,
        metavar="N",
        help=f"compute each batch in N parts, for batches too large for the memory (default: "
        f"{training.accumulation_steps})",
    )
    train.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="what the decoder computes in; weights, logits and loss stay float32 (default: "
        f"{training.precision}, mixed_bfloat16 where the machine is faster with it, else float32)",
    )
    train.add_argument("--learning-rate", type=float, help=f"its peak (default: {training.learning_rate})")
    train.add_argument(
        "--score-every",
        type=int,
        metavar="N",
        help="caption and score a part of the validation split every N epochs; needs the extra eval "
        f"(default: {training.score_every})",
    )
    train.add_argument(
        "--monitor",
        choices=MONITORS,
        help="what decides which epoch is best and when to stop; cider and bleu4 need --score-every "
        f"(default: {training.monitor})",
    )
    train.add_argument("--layers", type=int, help=f"decoder blocks (default: {model.num_layers})")
    train.add_argument("--min-frequency", type=int, help=f"rarer words are unknown (default: {text.min_frequency})")
    train.add_argument(
        "--word-vectors", metavar="FILE", help="word2vec, GloVe or fastText text file that embeddings start from"
    )
    train.add_argument(
        "--freeze-embeddings", action="store_true", default=None, help="keep the word vectors as they are in the file"
    )
    train.add_argument("--user-dictionary", metavar="FILE", help=DICTIONARY_HELP)
    train.add_argument(
        "--sample-image", action="append", metavar="NAME", help="image to caption after every epoch; may be repeated"
    )
    train.add_argument("--seed", type=int, help=f"default: {training.seed}")
    train.add_argument("--ray", metavar="ADDRESS", help=f"train {RAY_HELP}; needs --workers")
    train.add_argument(
        "--workers", type=int, metavar="N", help="processes that Ray starts, and starts again when one is lost"
    )
    _add_backbone(train)
    _add_settings(train)
    train.set_defaults(run=train_command.train)

    add_tune(subparsers.add_parser("tune", help="reward a trained captioner for the CIDEr of its captions"))

    caption = subparsers.add_parser("caption", help="caption images and folders of images")
    caption.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE|DIR|-",
        help="image files; folders, searched to any depth; TSV files of images in base64; also on a remote store "
        "(gs://..). '-' reads standard input: the bytes of one image, or a list of image files, one a line or as "
        "`find -print0` writes it",
    )
    _add_bundle(caption)
    _add_decoding_options(caption)
    caption.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write .jsonl, .csv or .parquet, a row a caption, unreadable images with their error; the same command "
        "goes on with what the file does not hold",
    )
    caption.add_argument(
        "--retry-failed", action="store_true", help="with --out: read images again that could not be read before"
    )
    caption.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="images searched together (default: %(default)s)"
    )
    caption.add_argument("--json", action="store_true", help="print one JSON document; with --out, the counts")
    caption.set_defaults(run=caption_command.caption)

    evaluate = subparsers.add_parser(
        "evaluate", help="caption a split and score it, or score a file of predictions of any system"
    )
    _add_corpus(evaluate)
    evaluate.add_argument("--images", metavar="DIR", help=f"{IMAGES_HELP}; with --predictions for the gallery only")
    evaluate.add_argument("--bundle", metavar="DIR", help=f"caption the split by it: {BUNDLE_HELP}")
    evaluate.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="score this file instead: .jsonl, .csv or .parquet of `caption --out`, a table of image and caption, "
        "AI Challenger's or COCO's JSON",
    )
    evaluate.add_argument("--split", choices=("val", "test"), default="test", help="default: %(default)s")
    evaluate.add_argument(
        "--language", choices=LANGUAGES, help=f"of the captions (default: the bundle's, or {DEFAULTS.text.language})"
    )
    evaluate.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of predictions.jsonl, scores.json and gallery.html; the same command goes on with a killed run",
    )
    evaluate.add_argument("--cache", metavar="DIR", help="features of the bundle's backbone, to save encoding")
    evaluate.add_argument("--partial", action="store_true", help="score a file that lacks images of the split")
    evaluate.add_argument("--human", action="store_true", help="also score each image's captions against its others")
    evaluate.add_argument(
        "--gallery-images",
        type=int,
        default=200,
        metavar="N",
        help="images on the page, worst first; 0 writes no page (default: %(default)s)",
    )
    evaluate.add_argument(
        "--map-images",
        type=int,
        default=100,
        metavar="N",
        help="images whose attention maps are checked, as `explain --health` does; 0 for none (default: %(default)s)",
    )
    evaluate.add_argument("--backbone-weights", metavar="FILE", help="where those of the bundle cannot be had")
    evaluate.add_argument("--retry-failed", action="store_true", help="read images again that could not be read before")
    evaluate.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="images searched together (default: %(default)s)"
    )
    _add_settings(evaluate)
    _add_decoding_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print what scores.json holds instead of the table")
    evaluate.set_defaults(run=evaluate_command.evaluate)

    _add_explain(subparsers.add_parser("explain", help="where the model looked for every word"))
    return parser
