"""What the experiments on Flickr8k share: the corpus, one training run per seed, and scores on the validation split.

`--data DIR` contains `flickr8kzhc.caption.txt` (human Chinese captions), `flickr8kzhb.caption.txt` (machine
translations), `flickr8kenc.caption.txt` (English captions), `flickr8ktrain.txt`, `flickr8kval.txt` and `images/`. For
experiments with boxes it also contains `boxes/` with `boxes.train.jsonl.gz` and `boxes.val.jsonl.gz` (Flickr30k
Entities as JSON Lines) and `nouns.tsv` (Chinese words and the English head nouns they stand for).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pandas as pd

from caption_tx.config import (
    BackboneConfig,
    BoxesConfig,
    Config,
    CorpusConfig,
    DecodingOptions,
    EvaluationOptions,
    ModelConfig,
    TextConfig,
    TrainingConfig,
    TuningConfig,
)
from caption_tx.threads import configure_threads

if TYPE_CHECKING:
    from caption_tx.bundle import Bundle
    from caption_tx.evaluation.report import Evaluation

MAP_IMAGES = 100
"""Validation images whose cells are covered to see what attention maps are worth."""

CAPTION_FILES = {"zh": "flickr8kzhc.caption.txt", "en": "flickr8kenc.caption.txt"}


def add_arguments(parser: argparse.ArgumentParser, epochs: int) -> None:
    """Adds the options of every experiment on Flickr8k."""
    parser.add_argument("--data", type=Path, required=True, help="folder of Flickr8k, see flickr8k.py")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--cache", help="feature cache to use or create (default: in the workdir)")
    parser.add_argument("--epochs", type=int, default=epochs)


def base_config(arguments: argparse.Namespace, language: str, first_stages: tuple[str, ...] = ()) -> Config:
    """The default settings with flips on human captions; `first_stages` are caption files for earlier stages."""
    data, files = arguments.data, (*first_stages, CAPTION_FILES[language])
    sources = [f"{data / file}:stage={stage}" for stage, file in enumerate(files, 1)]
    cache = arguments.cache or str(arguments.workdir / "features")
    return Config(
        corpus=CorpusConfig(sources=tuple(sources), images=str(data / "images")),
        text=TextConfig(language=language),
        backbone=BackboneConfig(weights=arguments.backbone_weights),
        model=ModelConfig(),
        training=TrainingConfig(epochs=arguments.epochs, flips=True, cache=cache),
    )


def recipe_model(arguments: argparse.Namespace) -> ModelConfig:
    """The decoder of the shipped bundles: four layers, or with `--small` three narrower ones."""
    return ModelConfig(num_layers=3, intermediate_dim=768) if arguments.small else ModelConfig(num_layers=4)


def add_boxes(config: Config, data: Path) -> Config:
    """The settings with the boxes of the training and validation images, in the folder `boxes` of the data."""
    folder = data / "boxes"
    sources = tuple(str(folder / f"boxes.{split}.jsonl.gz") for split in ("train", "val"))
    words = str(folder / "nouns.tsv") if config.text.language == "zh" else None
    return replace(config, boxes=replace(config.boxes, sources=sources, word_list=words))


def start_from(config: Config, bundle: str) -> Config:
    """The settings of a run that starts from a bundle of the same corpus: the last stage alone, with all its words."""
    training = replace(
        config.training, init=bundle, keep_words=True, retrieval_images=0, stage_epochs=(), mix_stages=False
    )
    return replace(config, corpus=replace(config.corpus, sources=config.corpus.sources[-1:]), training=training)


def make_log() -> Callable[[str], None]:
    """A function that prints a text with the seconds since the log was made."""
    start = time.perf_counter()
    return lambda text: print(f"[{time.perf_counter() - start:6.0f} s] {text}", flush=True)


def evaluate_bundle(
    bundle: Bundle, config: Config, out: Path, decoding: DecodingOptions, human: bool = False
) -> Evaluation:
    """Captions and scores the validation split with the features of the run; previous predictions are replaced.

    Args:
        human: also score human captions, and compare attention maps with the boxes of the run, if it has any, and what
            they cover.
    """
    from caption_tx.evaluation.evaluate import PREDICTIONS, evaluate
    from caption_tx.inference.captioner import ImageCaptioner

    for name in (PREDICTIONS, f"{PREDICTIONS}.run.json"):
        (out / name).unlink(missing_ok=True)  # from another search, or an earlier epoch
    options = EvaluationOptions(split="val", human=human, gallery_images=0, map_images=0, cache=config.training.cache)
    if human and config.boxes.sources:
        options = replace(options, boxes=config.boxes.sources, box_words=config.boxes.word_list, map_images=MAP_IMAGES)
    return evaluate(ImageCaptioner(bundle), config, out, options, decoding)


def train_and_evaluate(
    config: Config,
    workdir: Path,
    decoding: DecodingOptions,
    log: Callable[[str], None],
    tuning: TuningConfig | None = None,
) -> dict[str, float]:
    """Trains, or resumes, one run and scores it on the validation split; returns one row of a result table.

    With `tuning`, the run is fine-tuned in its folder `tuned`, and the fine-tuned bundle is scored. `seconds` is the
    training time of this process. It excludes the time before a run was resumed, and includes encoding the images
    for the seed that does it.
    """
    from caption_tx.evaluation.metrics import METRICS
    from caption_tx.evaluation.report import format_evaluation
    from caption_tx.training.fit import train
    from caption_tx.training.tuning.tune import tune

    start = time.perf_counter()
    bundle = train(config, workdir, log)
    row = {"val_token_loss": bundle.facts["val_token_loss"]}
    if tuning is not None:
        bundle = tune(workdir, workdir / "tuned", replace(tuning, seed=config.training.seed), log)
    seconds = time.perf_counter() - start
    evaluation = evaluate_bundle(bundle, config, workdir, decoding)
    log(f"{workdir.name}, validation split, {decoding}:\n{format_evaluation(evaluation)}")
    scores = evaluation.scores
    row |= {"distinct": scores.statistics.distinct, "seconds": seconds}
    return {name: scores[name] for name in METRICS} | row


def run_seeds(
    config: Config, arguments: argparse.Namespace, decoding: DecodingOptions, tuning: TuningConfig | None = None
) -> pd.DataFrame:
    """One run per seed in `arguments.seeds`; prints and returns their scores with mean and standard deviation."""
    log, rows = make_log(), {}
    for seed in arguments.seeds:
        seeded = replace(config, training=replace(config.training, seed=seed))
        workdir = arguments.workdir / f"seed-{seed}"
        rows[f"seed {seed}"] = train_and_evaluate(seeded, workdir, decoding, log, tuning)
    table = pd.DataFrame.from_dict(rows, orient="index")
    if len(table) > 1:
        table.loc["mean"], table.loc["std"] = table.mean(), table.std()
    log("validation split, scores times 100\n" + table.to_string(float_format="%.2f"))
    return table


def run(
    doc: str,
    recipe: Callable[[argparse.Namespace], Config],
    decoding: DecodingOptions,
    epochs: int,
    tuning: TuningConfig | None = None,
) -> None:
    """The command line of a recipe."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", default="mixed_bfloat16", help="default: %(default)s")
    parser.add_argument("--boxes", action="store_true", help="train with the boxes in DIR/boxes (box_supervision.py)")
    parser.add_argument("--box-weight", type=float, default=BoxesConfig().weight, help="default: %(default)s")
    parser.add_argument("--init", metavar="BUNDLE", help="start from a bundle, with human captions only")
    parser.add_argument("--small", action="store_true", help="the smaller decoder of the bundles of at most 8 MB")
    default = TrainingConfig()
    parser.add_argument("--batch-size", type=int, default=default.batch_size, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate, help="default: %(default)s")
    arguments = parser.parse_args()
    configure_threads()
    config = recipe(arguments)
    config = add_boxes(config, arguments.data) if arguments.boxes else config
    config = start_from(config, arguments.init) if arguments.init else config
    config = replace(
        config,
        training=replace(config.training, batch_size=arguments.batch_size, learning_rate=arguments.learning_rate),
        boxes=replace(config.boxes, weight=arguments.box_weight),
    )
    run_seeds(config, arguments, decoding, tuning)
