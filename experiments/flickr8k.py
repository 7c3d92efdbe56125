"""What the experiments on Flickr8k share: the corpus, a run for each seed, and its scores on the validation split.

DIR of `--data` holds `flickr8kzhc.caption.txt` (people's Chinese captions), `flickr8kzhb.caption.txt` (machine
translations), `flickr8kenc.caption.txt` (English), `flickr8ktrain.txt`, `flickr8kval.txt` and `images/`.
"""

from __future__ import annotations

import argparse
import json
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
    Config,
    CorpusConfig,
    DecodingOptions,
    ModelConfig,
    TextConfig,
    TrainingConfig,
    TuningConfig,
)
from caption_tx.threads import configure_threads

if TYPE_CHECKING:
    from caption_tx.bundle import Bundle
    from caption_tx.evaluation.evaluate import Evaluation

METRICS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")
CAPTIONS = {"zh": "flickr8kzhc.caption.txt", "en": "flickr8kenc.caption.txt"}


def add_arguments(parser: argparse.ArgumentParser, epochs: int) -> None:
    """The options that every experiment on Flickr8k has."""
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--cache", help="feature cache to use or make; default: in the workdir")
    parser.add_argument("--epochs", type=int, default=epochs)


def base(arguments: argparse.Namespace, language: str, stages: tuple[str, ...] = ()) -> Config:
    """The defaults with mirrored views, on people's captions; `stages` are caption files to train on before them."""
    data, files = arguments.data, (*stages, CAPTIONS[language])
    sources = [f"{data / file}:stage={stage}" for stage, file in enumerate(files, 1)]
    cache = arguments.cache or str(arguments.workdir / "features")
    return Config(
        corpus=CorpusConfig(sources=tuple(sources), images=str(data / "images")),
        text=TextConfig(language=language),
        backbone=BackboneConfig(weights=arguments.backbone_weights),
        model=ModelConfig(),
        training=TrainingConfig(epochs=arguments.epochs, flips=True, cache=cache),
    )


def make_log() -> Callable[[str], None]:
    """Prints with the seconds since it was made."""
    start = time.perf_counter()
    return lambda text: print(f"[{time.perf_counter() - start:6.0f} s] {text}", flush=True)


def score_bundle(
    bundle: Bundle, config: Config, path: Path, options: DecodingOptions, people: bool = False
) -> Evaluation:
    """Captions the validation split into the file `path`, anew, with features of the run's cache, and scores it."""
    from caption_tx.data.corpus.table import captions_by_image, read_table
    from caption_tx.evaluation.evaluate import caption_split, evaluate
    from caption_tx.inference.captioner import ImageCaptioner

    for file in (path, path.with_name(f"{path.name}.run.json")):
        file.unlink(missing_ok=True)  # of another search, or of a bundle of an earlier epoch
    table, source = read_table(config.corpus), config.corpus
    names = list(captions_by_image(table, "val", "human"))
    caption_split(ImageCaptioner(bundle), names, path, options, source.images, config.training.cache)
    return evaluate(path, table, "val", config.text.language, people=people)


def train_and_score(
    config: Config,
    workdir: Path,
    options: DecodingOptions,
    log: Callable[[str], None],
    tuning: TuningConfig | None = None,
) -> dict:
    """One run, gone on with where it was stopped: its scores on the validation split as a row.

    With `tuning` the run is tuned in its folder `tuned`, and what is scored is that. `seconds` are those of this
    process before the scoring: of a run that is gone on with they lack what was done before, and features count for
    the seed that made them.
    """
    from caption_tx.evaluation.table import format_evaluation
    from caption_tx.files import write_atomically
    from caption_tx.training.fit import train
    from caption_tx.training.tuning.tune import tune

    start = time.perf_counter()
    bundle = train(config, workdir, log)
    facts = {"val_token_loss": bundle.facts["val_token_loss"]}
    if tuning is not None:
        bundle = tune(workdir, workdir / "tuned", replace(tuning, seed=config.training.seed), log)
    trained = time.perf_counter() - start
    evaluation = score_bundle(bundle, config, workdir / "predictions.jsonl", options)
    write_atomically(workdir / "scores.json", json.dumps(evaluation.to_dict(), ensure_ascii=False, indent=1))
    log(f"{workdir.name}, validation split, {options}:\n{format_evaluation(evaluation)}")
    scores = evaluation.scores
    facts |= {"distinct": scores.health.distinct, "seconds": trained}
    return {name: scores[name] for name in METRICS} | facts


def run_seeds(
    config: Config, arguments: argparse.Namespace, options: DecodingOptions, tuning: TuningConfig | None = None
) -> pd.DataFrame:
    """A run for each of `arguments.seeds`, and their mean and standard deviation, printed as a table."""
    log, rows = make_log(), {}
    for seed in arguments.seeds:
        seeded = replace(config, training=replace(config.training, seed=seed))
        rows[f"seed {seed}"] = train_and_score(seeded, arguments.workdir / f"seed-{seed}", options, log, tuning)
    table = pd.DataFrame.from_dict(rows, orient="index")
    if len(table) > 1:
        table.loc["mean"], table.loc["std"] = table.mean(), table.std()
    log("validation split, scores times 100\n" + table.to_string(float_format="%.2f"))
    return table


def run(
    doc: str,
    recipe: Callable[[argparse.Namespace], Config],
    options: DecodingOptions,
    epochs: int,
    tuning: TuningConfig | None = None,
) -> None:
    """The command line of a recipe."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", default="mixed_bfloat16", help="default: %(default)s")
    arguments = parser.parse_args()
    configure_threads()
    run_seeds(recipe(arguments), arguments, options, tuning)
