"""Is it better to start from a bundle than from random weights, with 100, 300 and 1,000 photographs? Which settings?

COMMAND
    python experiments/fine_tuning.py --data DIR --workdir runs/fine-tuning [--plan large small ..]
        [--backbone-weights FILE]
    python experiments/fine_tuning.py --workdir runs/fine-tuning --only report

DIR contains `ai_challenger/` (AI Challenger 2017: `caption_train_annotations.json` with 1,000 photographs,
`caption_validation_annotations.json` with 300, and their image folders; five captions each) and
`flickr8k/` as `flickr8k.py` describes it. Each run trains on the first photographs of a shuffled order, and is scored
on all validation photographs, which also select its epoch. Several processes with the same command share the work: each
takes the next run that no other has begun. `--only report` prints the finished runs.

HARDWARE  an H100, shared by 13 processes; rows with MBR: one busy core of an AMD EPYC processor, seed 1: two of them
TIME      2 to 4 minutes per run on the GPU, 6 to 13 minutes on the core

RESULT    seed 0; jieba words, times 100; beam 3; MBR: beam 20, consensus 0.4; the epoch with the lowest loss

    start    variant                          photographs  epoch   loss  CIDEr  BLEU-4  distinct  MBR: CIDEr  BLEU-4
    init     crops (as `train --init`)              1,000     19  1.531   77.1    30.9       254        83.2    32.4
             crops, seed 1                          1,000     20  1.532   80.7    32.0       252        80.8    32.2
             crops, last epoch                      1,000     20  1.531   78.8    31.3       252        84.4    32.5
             average                                1,000  11-20  1.531   76.9    30.3       253        83.6    32.5
             constant rate                          1,000     11  1.549   81.7    31.4       256        87.3    33.1
             constant rate, epoch before                   10  1.561   72.5    29.7       233
             constant rate, epoch after                    12  1.576   66.4    28.4       243
             constant rate, average                 1,000   8-20  1.524   76.8    30.0       242
             default                                1,000     16  1.539   78.2    31.1       260        82.1    32.4
             default, on the GPU                    1,000     15  1.536   80.3    31.5       261
             crops, frequency 2                     1,000     19  1.612   75.6    30.7       252        81.7    31.7
             40 epochs, crops                       1,000     18  1.545   80.9    31.7       244
             40 epochs, crops, dropout 0.4          1,000     26  1.530   76.0    30.2       263
             40 epochs, crops, lr 1e-3              1,000     13  1.551   67.7    28.8       240
             lr 2e-4                                1,000     20  1.596   75.0    31.0       244
             new words from the mean                1,000     16  1.553   60.2    25.4       258
             new words at random                    1,000     17  1.545   75.9    30.7       259
             40 epochs, crops                         300     12  1.564   67.0    29.3       231
             crops                                    300     20  1.555   67.6    29.6       228        72.3    30.2
             crops                                    100     19  1.497   65.7    28.8       245        70.7    30.6
             40 epochs, crops                         100     15  1.503   65.6    28.4       239
    scratch  40 epochs, crops                       1,000     37  1.613   78.2    31.6       255        84.1    32.1
             40 epochs, crops                         300     40  1.713   56.8    26.3       205
             40 epochs, crops                         100     40  1.866      -       -         -

    stages   one schedule                     1,000     33  2.100   53.6    25.0       198
             own schedules (the default)      1,000     33  1.582   70.4    29.1       246

The stages start from random weights with the words of AI Challenger, train on Flickr8k-CN for 14 epochs and on the
1,000 photographs for 20, with flips only. Under one schedule, a last stage of few images has a learning rate near
zero. Such a run takes 25 minutes on one busy core, three times as long as `--init`, whose loss is lower.

With retrieval (`caption-tx train --init`, the bundle's own search, retrieval.py), separate runs of "crops" have CIDEr
87.0 and BLEU-4 32.5 for seed 0 (84.3 and 32.9 without), 87.2 and 32.6 for seed 1 (81.7 and 32.8 without), in 8.5
minutes on one core; with 300 photographs 72.8 and 30.8 (72.7 and 30.2 without), with 100 69.0 and 28.4 (69.9 and 30.3
without). All these start from flickr8k-zh before its training with boxes. From the bundle that ships now, seed 0 with
1,000 photographs has 89.4 and 33.1 (82.7 and 32.1 without retrieval).

Losses of frequency 2 cannot be compared with the others: more words count. On 300 photographs, the 95% interval of
CIDEr is 10 points to each side, and CIDEr varies by several points between neighboring epochs of about the same loss.
The differences between most variants of 1,000 photographs are smaller. MBR adds 0 to 7 to beam 3, 4.9 on average. On
the bundle of "crops", other searches give: beam 20 with consensus 0.2, 82.4; 0.1, 82.0; 0.8, 81.1; length penalty 0.3
(and consensus 0.4), 81.7; length penalty 1, 79.7; 40 beams with consensus 0.2, 80.4; 40 samples at temperature 0.5
with consensus 0, 80.1. The mean of the weights of "crops" and "default" has 77.0, with MBR 84.3. `caption-tx tune` on
"crops" raises greedy search from 76.9 to 81.0 (epoch 1 of 3 is best), beam 3 from 77.1 to 77.5, consensus 0.2 from
82.4 to 84.7, and lowers consensus 0.4 from 83.2 to 82.1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from flickr8k import make_log

from caption_tx.bundle import Bundle
from caption_tx.config import BackboneConfig, Config, CorpusConfig, DecodingOptions, ModelConfig, TrainingConfig
from caption_tx.threads import configure_threads

TRAIN, VAL = "caption_train_annotations.json", "caption_validation_annotations.json"
FLICKR8K = "flickr8kzhc.caption.txt"
SEARCHES = {
    "greedy": DecodingOptions(),
    "beam": DecodingOptions(beam_width=3),
    "consensus": DecodingOptions(beam_width=20, consensus=0.4),
}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "10 epochs": {"training": {"epochs": 10}},
    "last epoch": {"training": {"monitor": "last"}},
    "40 epochs": {"training": {"epochs": 40}},
    "80 epochs": {"training": {"epochs": 80}},
    "lr 1e-4": {"training": {"learning_rate": 1e-4}},
    "lr 2e-4": {"training": {"learning_rate": 2e-4}},
    "lr 1e-3": {"training": {"learning_rate": 1e-3}},
    "lr 2e-3": {"training": {"learning_rate": 2e-3}},
    "40 epochs, lr 2e-4": {"training": {"epochs": 40, "learning_rate": 2e-4}},
    "40 epochs, lr 1e-3": {"training": {"epochs": 40, "learning_rate": 1e-3}},
    "no flips": {"training": {"flips": False}},
    "crops": {"training": {"crops": 4}},
    "40 epochs, crops": {"training": {"epochs": 40, "crops": 4}},
    "80 epochs, crops": {"training": {"epochs": 80, "crops": 4}},
    "40 epochs, crops, lr 1e-3": {"training": {"epochs": 40, "crops": 4, "learning_rate": 1e-3}},
    "40 epochs, crops, dropout 0.4": {"training": {"epochs": 40, "crops": 4}, "model": {"dropout": 0.4}},
    "frequency 2": {"text": {"min_frequency": 2}},
    "frequency 1": {"text": {"min_frequency": 1}},
    "dropout 0.2": {"model": {"dropout": 0.2}},
    "dropout 0.4": {"model": {"dropout": 0.4}},
    "feature dropout 0.5": {"model": {"feature_dropout": 0.5}},
    "no smoothing": {"training": {"label_smoothing": 0.0}},
    "smoothing 0.2": {"training": {"label_smoothing": 0.2}},
    "batch 8": {"training": {"batch_size": 8}},
    "batch 16": {"training": {"batch_size": 16}},
    "batch 64": {"training": {"batch_size": 64}},
    "warmup 4": {"training": {"warmup_epochs": 4.0}},
    "keep words": {"training": {"keep_words": True}},
    "new words from the mean": {},
    "new words at random": {},
    "frozen 3": {},
    "average": {"training": {"crops": 4}},
    "constant rate": {"training": {"crops": 4}},
    "constant rate, average": {"training": {"crops": 4}},
    "stages, one schedule": {"training": {"schedule": "run"}},
    "stages": {},
}
"""The settings that a variant changes, by section. The default is 20 epochs with flips; "crops" is what `--init` does.
"average" takes the mean of the weights after each of the last ten epochs. The stages train on Flickr8k-CN first, for
14 of 34 epochs."""

ALL = (100, 300, 1000)
SMALL = (
    "10 epochs", "40 epochs", "80 epochs", "lr 2e-4", "lr 1e-3", "frequency 2", "frequency 1", "frozen 3", "crops",
    "40 epochs, crops", "80 epochs, crops", "new words from the mean", "new words at random", "batch 8",
)  # fmt: skip
FIRST = ("40 epochs, crops", "40 epochs, crops, lr 1e-3", "40 epochs, crops, dropout 0.4", "lr 2e-4", "frozen 3",
         "new words from the mean", "new words at random", "frequency 2", "80 epochs, crops")  # fmt: skip
LARGE = [name for name in VARIANTS if "stages" not in name]
PLANS: dict[str, list[tuple[str, str, tuple[int, ...], tuple[int, ...]]]] = {
    "first": [("init", name, (1000,), (0,)) for name in FIRST],
    "large": [("init", name, (1000,), (0,)) for name in LARGE],
    "small": [("init", "default", (100, 300), (0, 1)), ("scratch", "40 epochs", (100, 300), (0, 1))]
    + [("init", name, (100, 300), (0, 1)) for name in SMALL],
    "scratch": [("scratch", name, ALL, (0,)) for name in ("default", "40 epochs", "80 epochs", "80 epochs, crops")],
    "starts": [(start, "40 epochs, crops", ALL, (0, 1)) for start in ("init", "scratch")],
    "stages": [("scratch", name, (1000,), (0,)) for name in ("stages, one schedule", "stages")],
}
"""Runs by plan: start, variant, photographs, seeds."""


@contextlib.contextmanager
def patched(name: str) -> Iterator[None]:
    """Variants that no setting makes: what new words start from, which weights are trained, the rate, averages."""
    import keras

    from caption_tx.training import building, fit, initialization, schedule
    from caption_tx.training.checkpoint import RunCheckpoint

    rows = initialization.InitialRows

    def take_mean(self: Any, values: np.ndarray) -> np.ndarray:
        mean = values[4:].mean(axis=0)
        return np.stack([values[ids[0]] if own else mean for ids, own in zip(self.rows, self.shared, strict=True)])

    def take_random(self: Any, values: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).normal(0, 0.02 if values.ndim == 2 else 0, (len(self.rows), *values.shape[1:]))
        return np.stack(
            [values[ids[0]] if own else new for ids, own, new in zip(self.rows, self.shared, noise, strict=True)]
        )

    def build_frozen(*arguments: Any) -> Any:
        model = build(*arguments)
        for layer in (model.captioner.memory, *model.captioner.blocks):
            layer.trainable = False
        return model

    def hold_rate(training: TrainingConfig, steps_per_epoch: int, total: int) -> Any:
        warmup = round(training.warmup_epochs * steps_per_epoch)
        return keras.optimizers.schedules.PolynomialDecay(0.0, warmup, training.learning_rate)

    def keep_weights(self: Any) -> None:
        kept.append(self.captioner.get_weights())

    def load_average(self: Any) -> None:
        self.captioner.set_weights([np.mean(values, axis=0) for values in zip(*kept[-10:], strict=True)])

    build, kept = building.build_model, []
    with contextlib.ExitStack() as stack:
        takes = {"new words from the mean": take_mean, "new words at random": take_random}
        if name in takes:
            stack.enter_context(mock.patch.object(rows, "take", takes[name]))
        if name == "frozen":
            stack.enter_context(mock.patch.object(fit, "build_model", build_frozen))
        if "constant rate" in name:
            stack.enter_context(mock.patch.object(schedule, "_cosine", hold_rate))
        if "average" in name:
            stack.enter_context(mock.patch.object(RunCheckpoint, "_save", keep_weights))
            stack.enter_context(mock.patch.object(RunCheckpoint, "load_best_weights", load_average))
        yield


def write_corpus(data: Path, folder: Path, images: int) -> None:
    """Copies the annotations of the first images of a shuffled order, and of all validation images."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = json.loads((data / TRAIN).read_text(encoding="utf-8"))
    random.Random(0).shuffle(entries)
    temporary = folder / f"{os.getpid()}.tmp"
    temporary.write_text(json.dumps(entries[:images], ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, folder / TRAIN)
    shutil.copyfile(data / VAL, temporary)
    os.replace(temporary, folder / VAL)


def make_config(arguments: argparse.Namespace, start: str, name: str, size: int, seed: int) -> Config:
    """The settings of a run."""
    folder, stages = arguments.workdir / f"corpus-{size}", name.startswith("stages")
    data = arguments.data / "ai_challenger"
    write_corpus(data, folder, size)
    sources, images = (f"{folder / TRAIN}", f"{folder / VAL}"), data
    if stages:
        folders = [f"ai_challenger/{file.replace('annotations.json', 'images')}" for file in (TRAIN, VAL)]
        own = [f"{source}:images={folder},stage=2" for source, folder in zip(sources, folders, strict=True)]
        images = arguments.data
        sources = (f"{arguments.data / 'flickr8k' / FLICKR8K}:images=flickr8k/images,split=train", *own)
    training = TrainingConfig(
        init="flickr8k-zh" if start == "init" else None,
        epochs=34 if stages else 20,
        stage_epochs=(14,) if stages else (),
        patience=1000,
        monitor="loss",
        flips=True,
        crops=0,
        sample_count=0,
        tensorboard=False,
        seed=seed,
        precision=arguments.precision,
    )
    config = Config(
        corpus=CorpusConfig(sources=sources, images=str(images)),
        backbone=BackboneConfig(weights=arguments.backbone_weights),
        model=ModelConfig(num_layers=4),  # as the bundle
        training=training,
    )
    changes = VARIANTS[name]
    config = replace(config, **{section: replace(getattr(config, section), **changes[section]) for section in changes})
    cache = str(arguments.workdir / "features-stages") if stages else arguments.cache
    return replace(config, training=replace(config.training, cache=cache))


def score_bundle(bundle: Bundle, config: Config, searches: list[str]) -> dict[str, float]:
    """CIDEr, BLEU-4 and the number of distinct captions of the validation images by search."""
    from caption_tx.data.corpus.table import captions_by_image, read_table
    from caption_tx.data.features.cache import open_cache
    from caption_tx.training.callbacks import CaptionScorer

    references = captions_by_image(read_table(config.corpus, bundle.text.language), "val", "human")
    features = open_cache(config.training.cache, bundle.backbone_key).load(list(references))
    row = {}
    for name in searches:
        scores = CaptionScorer(bundle.captioner, bundle.tokenizer, features, references, "zh", SEARCHES[name])()
        row |= {f"{name} cider": scores["cider"], f"{name} bleu4": scores["bleu4"]}
        row[f"{name} distinct"] = scores.statistics.distinct
    return row


def claim(workdir: Path) -> bool:
    """Makes the folder of a run; False if another process has begun the run."""
    try:
        workdir.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def run(arguments: argparse.Namespace, start: str, name: str, size: int, seed: int) -> None:
    """Trains and scores one run, unless that is done."""
    import keras

    from caption_tx.training.fit import train

    workdir = arguments.workdir / f"{start}_{name.replace(', ', '_').replace(' ', '-')}_{size}_{seed}"
    if not claim(workdir):
        return
    keras.backend.clear_session()
    log, begin = make_log(), time.perf_counter()
    log(f"{start}, {name}, {size} photographs, seed {seed}")
    config = make_config(arguments, start, name, size, seed)
    if name.startswith("frozen"):
        frozen = replace(config, training=replace(config.training, epochs=int(name.split()[-1])))
        with patched("frozen"):
            train(frozen, workdir / "frozen", log)
        config = replace(config, training=replace(config.training, init=str(workdir / "frozen")))
    with patched(name):
        bundle = train(config, workdir, log)
    seconds, facts = time.perf_counter() - begin, bundle.facts
    row = {"start": start, "variant": name, "images": size, "seed": seed}
    row |= {"epoch": facts["epoch"], "loss": facts["val_token_loss"]}
    row |= score_bundle(bundle, config, arguments.searches)
    row |= {"words": bundle.tokenizer.vocabulary_size, "seconds": seconds}
    (workdir / "checkpoint.npz").unlink(missing_ok=True)
    (workdir / "result.json").write_text(json.dumps(row), encoding="utf-8")
    log(f"RESULT {row}")


def encode(arguments: argparse.Namespace) -> None:
    """Encodes all photographs of the plans, with flips and, of AI Challenger, with crops too."""
    from caption_tx.data.features.corpus_features import encode_corpus

    for name in ("crops", *(["stages"] if "stages" in arguments.plan else [])):
        config = make_config(arguments, "init", name, max(ALL), 0)
        encode_corpus(config, config.training.cache)


def report(workdir: Path) -> pd.DataFrame:
    """Means over the seeds of all finished runs, and the standard deviation of beam search's CIDEr."""
    rows = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")) for path in workdir.glob("*/result.json"))
    groups = rows.groupby(["images", "start", "variant"])
    table = groups.mean(numeric_only=True).drop(columns="seed")
    table.insert(0, "seeds", groups.size())
    table["beam cider std"] = groups["beam cider"].std()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with ai_challenger and flickr8k")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--cache", help="feature cache (default: in the workdir)")
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--plan", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--searches", nargs="+", choices=list(SEARCHES), default=["beam"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--only", choices=["encode", "train", "report"], help="only one of the steps")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after this time")
    arguments = parser.parse_args()
    arguments.cache = arguments.cache or str(arguments.workdir / "features")
    begin = time.perf_counter()
    if arguments.only != "report":
        configure_threads()
    if arguments.only in (None, "encode"):
        encode(arguments)
    if arguments.only in (None, "train"):
        runs = [
            (*item[:2], size, seed)
            for plan in arguments.plan
            for item in PLANS[plan]
            for size in item[2]
            for seed in item[3]
        ]
        for start, name, size, seed in sorted(dict.fromkeys(runs), key=lambda item: item[3]):
            if time.perf_counter() - begin < arguments.seconds:
                run(arguments, start, name, size, seed)
    if arguments.only in (None, "report"):
        print(report(arguments.workdir).to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()
