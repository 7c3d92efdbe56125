"""Do boxes in training make attention maps agree with the boxes that people draw, and what do captions lose?

COMMAND
    python experiments/box_supervision.py --data DIR --workdir runs/boxes --cache runs/features [--language zh]
        [--variants none w1 ..] [--seeds 0 1 2] [--epochs 32] [--backbone-weights FILE]

`flickr8k.py` describes DIR, which also has `boxes/boxes.train.jsonl.gz`, `boxes/boxes.val.jsonl.gz` and, for Chinese,
`boxes/nouns.tsv`. Each variant of the recipe is trained with each seed. Its captions by beam search of
width 3 are scored on the validation split, and the maps of the human captions are compared with the boxes. Finished
runs are skipped, and the table has all runs in the workdir.

"evidence" trains without human boxes: the boxes of a word are the cells whose removal makes it less likely, according
to the run "none" of the same seed.

HARDWARE  one NVIDIA H100 80GB HBM3 shared by 13 processes
TIME      230 to 470 s for a run, scores and maps included

RESULT    `--epochs 20 --batch-size 64 --learning-rate 7e-4`, validation split, beam 3, mean maps; "small" are words for
          objects whose boxes cover less than a quarter of the image. The English runs are not fine-tuned. The pointing
          game asked for the center of the highest cell; heatmaps are below.

                               BLEU-4  CIDEr  distinct  pointing  mass  small: pointing  mass  correctness
    zh  none, seed 0             25.8   83.3       367      .775  .457            .656  .219         .449
        w1, seed 0               26.3   83.2       320      .880  .797            .780  .646         .772
        w1, seed 1               26.5   86.0       335      .879  .796            .779  .644         .771
        w1 each head, seed 0     25.9   84.0       305      .879  .798            .782  .646         .772
    en  w1, seed 0               20.4   49.5       820      .736  .636            .603  .453         .614
        start of flickr8k-en     21.1   54.3       853      .628  .383            .484  .170         .380
    Gaussian  zh                                            .682  .509            .436  .222         .501
              en                                            .556  .423            .323  .174         .403

The start of flickr8k-en, without boxes, is CIDEr-tuned and searched greedily; before the tuning its beam 3 had 19.4 and
49.6. Maps of another image: small words .272 and .248 in Chinese (w1), .201 and .142 without boxes.

Other poolings, small words, pointing and mass:

                    max          spread       rollout      sharp        rollout squared
    zh  none     .604 .227    .500 .380    .668 .251    .656 .365    .668 .415
        w1       .777 .558    .776 .692    .777 .553    .780 .711    .777 .671
    en  w1       .590 .376    .574 .488    .601 .392    .603 .523    .601 .492

With the highest point of a heatmap that spreads the attention itself, which is less blurred if the map is squared,
small words have (poolings also by
`caption-tx evaluate DIR/flickr8kzhc.caption.txt --images DIR/images --split val --bundle BUNDLE --out OUT --cache CACHE
--boxes DIR/boxes/boxes.train.jsonl.gz --boxes DIR/boxes/boxes.val.jsonl.gz --box-words DIR/boxes/nouns.tsv`):

                         mean         mean^1.5     sharp        mean^2.5     rollout      rollout^1.5  rollout^2
    zh none           .732 .212    .718 .279    .707 .348    .700 .407    .753 .242    .739 .324    .727 .399
    en none           .551 .171                 .534 .273                 .556 .190                 .538 .301
    zh w1, seed 0     .819 .646    .806 .694    .802 .710    .797 .718    .817 .553    .812 .635    .804 .671
    en w1, seed 0     .639 .455    .634 .506    .627 .526    .624 .536    .644 .394    .637 .460    .633 .494

"none" in this table are the best captioners of flickr8k_cn.py and flickr8k_en.py. Squaring trades .01 to .025 of the
pointing game for .07 to .14 of mass. Without boxes, rollout squared is better than sharp in both; with boxes it has
less mass, and it needs self-attention. Of other maps, the one whose heatmap is about that of the mean squared (g the
mean's heatmap at the centers of the cells, squared, and 2 g minus the heatmap of g) is closer to the mean's pointing:
.727 .339 (zh none), .810 .705 (zh w1) and .635 .521 (en w1).

Heatmaps spread the fourth root of the attention instead, so squaring a map hardly moves its highest point. Half A of
the images chose the root, B and the scenes did not (README.md). All images, small words, `evaluate --boxes`:

                         mean         sharp        max          spread       rollout      rollout^2
    zh none           .747 .212    .739 .348    .703 .220    .437 .284    .766 .242    .762 .399
    en none           .561 .171    .560 .273    .540 .175    .414 .262    .575 .190    .568 .301
    flickr8k-zh       .834 .630    .825 .700    .829 .556    .802 .679    .830 .524    .829 .663
    en w1, seed 0     .657 .455    .653 .526    .649 .378    .634 .492    .650 .394    .650 .494

flickr8k-zh is "zh none" after 10 more epochs with boxes of weight 2 (flickr8k_cn.py): CIDEr 91.8 instead of 91.5 and
BLEU-4 27.4 instead of 28.5 by its own search, 89.5 and 27.7 instead of 87.3 and 27.0 by beam 3.

A finer grid, English, after `--crops 1 --epochs 3 --batch-size 64 --learning-rate 7e-4 --variants w1 "w1, 14x14 cells"`
on two shared cores, beam 3, `sharp` maps with the highest point of the heatmap, one seed:

                                  val. loss  CIDEr  all: pointing  mass    small: pointing  mass    smallest third
    w1, 7x7 cells (conv_pw_12)         3.32   30.2           .735  .657               .620  .489         .516 .374
    w1, 14x14 cells (conv_pw_11)       3.34   27.9           .740  .696               .644  .571         .570 .483

So 14x14 cells show small things better and the largest third a little less well (.899 .889 instead of .915 .893), and
captions lose: the layer is an earlier one. Features need 981 MB instead of 439, and an epoch took 1.2 to 2.5 times as
long beside other work. Inputs of 448 pixels for 14x14 cells of conv_pw_12 were given up: encoding them would have taken
more than an hour here.

So boxes of the training images more than double the attention inside the boxes of other images, and cost nothing but
some diversity. Guiding each head on its own gives the same mean map as guiding their mean. The other variants were not
run to their end. After 2 epochs of "w1" small words already have .742 and .620.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flickr8k import add_arguments, add_boxes, base_config, evaluate_bundle, make_log

from caption_tx.config import POOL_NAMES, Config, DecodingOptions
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.threads import configure_threads

BEAM = DecodingOptions(beam_width=3)


@dataclass(frozen=True)
class Sharpened(MapSelection):
    """A pooled map at a lower temperature: its cells to a power, scaled to sum to 1."""

    power: float = 1.0

    def pooled(self, *read: Any) -> np.ndarray:
        maps = super().pooled(*read).astype(np.float64) ** self.power
        return maps / maps.sum(axis=(1, 2), keepdims=True)


SHARPENED = [
    *(Sharpened(pool="mean", power=power) for power in (1.5, 2.5)),
    *(Sharpened(pool="rollout", power=power) for power in (1.5, 2)),
]
"""Measured beside the poolings, of which `sharp` is the mean squared."""


def boxes(**changes: Any) -> Callable[[Config], Config]:
    """A variant with boxes and these settings of them."""
    return lambda config: replace(config, boxes=replace(config.boxes, **changes))


def without_boxes(**changes: Any) -> Callable[[Config], Config]:
    """A variant without boxes and with these settings of the model."""
    return lambda config: replace(
        config, boxes=replace(config.boxes, sources=(), word_list=None), model=replace(config.model, **changes)
    )


def with_grid(name: str, **changes: Any) -> Callable[[Config], Config]:
    """A variant with boxes and these settings of the backbone, whose features go to a cache of their own."""
    return lambda config: replace(
        config,
        backbone=replace(config.backbone, **changes),
        training=replace(config.training, cache=f"{config.training.cache}-{name}"),
    )


VARIANTS: dict[str, Callable[[Config], Config]] = {
    "none": without_boxes(),
    "w0.1": boxes(weight=0.1),
    "w0.3": boxes(weight=0.3),
    "w1": boxes(weight=1.0),
    "w3": boxes(weight=3.0),
    "w10": boxes(weight=10.0),
    "w1 last layer": boxes(weight=1.0, guided_layers=(3,)),
    "w1 last two layers": boxes(weight=1.0, guided_layers=(2, 3)),
    "w1 half the heads": boxes(weight=1.0, guided_heads=2),
    "w1 each head": boxes(weight=1.0, each_head=True),
    "w0.3 each head": boxes(weight=0.3, each_head=True),
    "w1 from half": boxes(weight=1.0, from_epoch=-1),
    "none, 2 heads": without_boxes(num_heads=2),
    "none, 1 head": without_boxes(num_heads=1),
    "evidence": boxes(weight=0.3),
    "w1, 14x14 cells": with_grid("14x14", feature_layer="conv_pw_11_relu"),
    "w1, 320 pixels": with_grid("320", image_size=320),
}
"""Name -> change of the recipe's settings; `from_epoch` -1 stands for half of the epochs."""


def recipe(arguments: argparse.Namespace) -> Config:
    """The recipe of the language with the boxes of the training and validation images."""
    language = arguments.language
    first = ("flickr8kzhb.caption.txt",) if language == "zh" else ()
    config = base_config(arguments, language, first)
    training = replace(
        config.training,
        stage_epochs=(max(1, arguments.epochs * 5 // 8),) if first else (),
        mix_stages=bool(first),
        crops=arguments.crops,
        precision=arguments.precision,
        patience=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        tensorboard=False,
        sample_count=0,
    )
    model = replace(config.model, num_layers=4, **({} if language == "zh" else {"dropout": 0.2}))
    return add_boxes(replace(config, model=model, training=training), arguments.data)


def measure_maps(bundle: Any, config: Config, human: Config) -> Any:
    """The grounding of the maps of human captions of the validation split in the human boxes of `human`."""
    from caption_tx.data.boxes.readers import read_boxes
    from caption_tx.data.boxes.words import read_box_words
    from caption_tx.data.corpus.table import captions_by_image, read_table
    from caption_tx.evaluation.attention.box_grounding import measure_box_grounding
    from caption_tx.evaluation.attention.features import EvaluatedImages
    from caption_tx.evaluation.attention.phrases import BoxReferences
    from caption_tx.evaluation.attention.selections import layer_selections, pooled_selections, selection_name
    from caption_tx.inference.captioner import ImageCaptioner

    captions = captions_by_image(read_table(config.corpus, config.text.language), "val", "human")
    table = read_boxes(human.boxes.sources)
    found = table.match(captions)
    training = [items for name, items in table.images.items() if name not in found]
    words = read_box_words(human.boxes.word_list)
    captioner = ImageCaptioner(bundle)
    measured = [*pooled_selections(), *layer_selections(bundle.captioner.settings.num_layers)]
    selections = {selection_name(item): item for item in measured}
    selections |= {f"{item.pool}^{item.power:g}": item for item in SHARPENED}
    images = EvaluatedImages(captioner, config.corpus.images, config.training.cache)
    return measure_box_grounding(captioner, images, captions, BoxReferences(found, words, training), selections)


def run_variant(name: str, seed: int, human: Config, arguments: argparse.Namespace, log: Callable[[str], None]) -> None:
    """Trains and measures one variant with one seed, unless its result is there."""
    from caption_tx.evaluation.metrics import METRICS
    from caption_tx.training.fit import train

    folder = arguments.workdir / f"{human.text.language}-{name.replace(' ', '-').replace(',', '')}-{seed}"
    result = folder / "result.json"
    if result.exists():
        return
    config = VARIANTS[name](replace(human, training=replace(human.training, seed=seed)))
    if config.boxes.from_epoch < 0:
        config = replace(config, boxes=replace(config.boxes, from_epoch=arguments.epochs // 2))
    if name == "evidence":
        teacher = arguments.workdir / f"{human.text.language}-none-{seed}" / "bundle"
        evidence = write_evidence(teacher, config, folder, log)
        config = replace(config, boxes=replace(config.boxes, sources=(str(evidence),), word_list=None))
    start = time.perf_counter()
    bundle = train(config, folder, log)
    seconds = time.perf_counter() - start
    scores = evaluate_bundle(bundle, config, folder, BEAM).scores
    grounding = measure_maps(bundle, config, human)
    facts = {name: scores[name] for name in METRICS} | {
        "variant": name, "language": human.text.language, "seed": seed, "seconds": round(seconds),
        "distinct": scores.statistics.distinct, "val_token_loss": bundle.facts["val_token_loss"],
        "grounding": grounding.to_dict(),
    }  # fmt: skip
    result.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    log(f"{folder.name}: {seconds:.0f} s\n{summarize(arguments.workdir).to_string(float_format='%.3f')}")


def write_evidence(teacher: Path, config: Config, folder: Path, log: Callable[[str], None]) -> Path:
    """Boxes of the training captions' content words: the cells that lower the word's log-probability most if covered.

    Every block of 3x3 cells is covered in turn, and a cell gets the mean drop of the blocks that contain it. The cells
    with at least half of the largest drop are the word's boxes.
    """
    from caption_tx.bundle import load_bundle
    from caption_tx.data.corpus.table import captions_by_image, read_table
    from caption_tx.data.text.word_kinds import is_content_word
    from caption_tx.evaluation.attention.features import EvaluatedImages
    from caption_tx.inference.captioner import ImageCaptioner

    path = folder / "evidence.jsonl"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    captioner = ImageCaptioner(load_bundle(teacher))
    captions = captions_by_image(read_table(config.corpus, config.text.language), "train", "human")
    images = EvaluatedImages(captioner, config.corpus.images, config.training.cache)
    segment, language = captioner.bundle.segmenter().segment, captioner.bundle.text.language
    lines = []
    for names, features in images.batches(list(captions)):
        rows, words = [], []
        for row, name in enumerate(names):
            for text in captions[name]:
                rows.append(row)
                words.append(segment(text)[: captioner.bundle.captioner.max_length - 1])
        drops = evidence_maps(captioner, features, rows, words)
        for row, name in enumerate(names):
            found: dict[str, list[np.ndarray]] = {}
            for own, caption, drop in zip(rows, words, drops, strict=True):
                for word, values in zip(caption, drop, strict=False) if own == row else ():
                    if is_content_word(word, language):
                        found.setdefault(word, []).append(values)
            lines.append(json.dumps({"image": name, "boxes": list(_cell_boxes(found))}, ensure_ascii=False))
        log(f"evidence of {len(lines):,} images")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def evidence_maps(captioner: Any, features: np.ndarray, rows: list[int], words: list[list[str]]) -> list[np.ndarray]:
    """For each caption (T, h, w): how much less likely each token is without a cell, in nats; at least 0."""
    from caption_tx.inference.attention.teacher_forcing import caption_log_probabilities

    model, tokens = captioner.bundle.captioner, captioner.bundle.tokenizer.tokenize(words)
    h, w = features.shape[1:3]
    mean = features.mean(axis=(1, 2))
    before = caption_log_probabilities(model, features, tokens, rows, 512)
    sums = [np.zeros((len(values), h, w)) for values in before]
    counts = np.zeros((h, w))
    for y in range(max(1, h - 2)):
        for x in range(max(1, w - 2)):
            block = slice(y, y + 3), slice(x, x + 3)
            covered = features.copy()
            covered[:, block[0], block[1]] = mean[:, None, None]
            counts[block] += 1
            after = caption_log_probabilities(model, covered, tokens, rows, 512)
            for total, old, new in zip(sums, before, after, strict=True):
                total[:, block[0], block[1]] += (old - new)[:, None, None]
    return [np.maximum(total / counts, 0) for total in sums]


def _cell_boxes(found: dict[str, list[np.ndarray]]) -> Any:
    """One box for each cell with at least half of the largest drop of a word, if its removal matters at all."""
    for word, maps in found.items():
        drop = np.mean(maps, axis=0)
        if drop.max() < 0.05:
            continue
        h, w = drop.shape
        for y, x in np.argwhere(drop >= drop.max() / 2).tolist():
            yield {"label": word, "box": [x / w, y / h, (x + 1) / w, (y + 1) / h]}


def summarize(workdir: Path) -> pd.DataFrame:
    """One row for each variant: means over its seeds, and standard deviations of CIDEr, pointing game and mass."""
    rows = []
    for path in sorted(workdir.glob("*/result.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        row = {key: facts[key] for key in ("language", "variant", "bleu4", "cider", "distinct", "val_token_loss")}
        for group in facts["grounding"]["groups"]:
            if group["name"] not in ("all", "objects under a quarter"):
                continue
            size = "small " if group["name"] != "all" else ""
            for score in group["scores"]:
                if score["maps"] in (*POOL_NAMES, "rollout^2", "layer 3 mean"):
                    row |= {f"{size}{score['maps']} pointing": score["pointing"]["value"]}
                    row |= {f"{size}{score['maps']} mass": score["mass"]["value"]}
        rows.append(row)
    table = pd.DataFrame(rows).groupby(["language", "variant"], sort=False)
    means = table.mean()
    means.insert(0, "seeds", table.size())
    spread = table[["cider", "small mean pointing", "small mean mass"]].std().add_suffix(" sd")
    return pd.concat([means, spread], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, 32)
    parser.add_argument("--language", choices=("zh", "en"), default="zh")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["none", "w1"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--precision", default="mixed_bfloat16", help="default: %(default)s")
    arguments = parser.parse_args()
    configure_threads()
    log, config = make_log(), recipe(arguments)
    for seed in arguments.seeds:
        for name in arguments.variants:
            run_variant(name, seed, config, arguments, log)
    table = summarize(arguments.workdir)
    table.to_csv(arguments.workdir / "table.csv")
    print(table.T.to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
