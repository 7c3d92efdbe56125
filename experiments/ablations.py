"""Which training options and searches improve captions? One change at a time, on the validation split of Flickr8k-CN.

COMMAND
    python experiments/ablations.py --data DIR --workdir runs/ablations --variants none stages crops layers ...

Every variant trains 14 epochs with flips unless noted, in mixed_bfloat16. Losses are per known token. They are
comparable between variants with the same vocabulary (1,722 words, except for "stages, all words" and "rare words").

HARDWARE  2 cores (AMD EPYC), no GPU, shared with other work
TIME      not recorded; the defaults train in 202 s on a quiet machine

RESULT    one seed each; jieba words, times 100. "beam" is a beam of 3, "consensus" a beam of 20 with --consensus 0.3.
          With one seed and 1,000 images, differences of one or two points in CIDEr are noise; the loss is more
          reliable.

                                         beam                      consensus
    variant            val_token_loss    BLEU-4  CIDEr  distinct   BLEU-4  CIDEr  distinct
    none                       2.2221      25.2   82.4       324     26.7   86.1       385
    none, repeated             2.2198      25.4   81.9       322     26.0   84.6       381
    stages, all words          (2.309)     25.6   82.2       301
    stages                     2.1796      26.9   86.5       337     27.3   87.2       397
    stages, own schedules      2.1748      25.3   80.9       352     26.9   86.0       399
    no flips                   2.2242      25.4   80.8       334     25.4   82.4       382
    crops                      2.2213      25.4   80.5       298     25.7   83.4       346
    layers                     2.2286      24.9   80.4       353     25.2   83.8       411
    less dropout               2.1914      25.6   81.3       379     25.8   83.9       453
    no feature dropout         2.2439      25.3   82.0       340     25.6   83.5       374
    no smoothing               2.1792      25.3   81.9       329     25.6   84.1       389
    rare words                (2.3073)     25.2   80.3       333     25.6   82.9       397

- stages: a first stage on machine translations of the English captions (6 of 18 epochs), then human captions, with the
  vocabulary of the human captions (1,722 words). The only option that improves both the loss and the scores. With the
  words of both stages (4,202) and 4 of 14 epochs it improves neither.
- stages, own schedules: the same, but the learning rate rises and falls in each stage. "stages" has one rise and one
  fall over both, as with `--schedule run`. The loss is as good; beam 3 scores lower in this one run (on two cores of an
  Intel Xeon), and consensus about the same. So a long last stage gains nothing from a schedule of its own. A short one
  gains much (`fine_tuning.py --plan stages`).
- no flips: the same loss, no better captions.
- layers: four instead of three. No gain in 14 epochs; the recipes train longer and use four.
- less dropout: 0.2 instead of 0.3 in every branch. A lower loss and more diverse captions, but not better ones.
- no feature dropout: a higher loss, so feature dropout stays.
- no smoothing: no label smoothing in the training loss. The validation loss, which is never smoothed, falls because it
  is trained directly, but captions do not improve.
- rare words: the vocabulary includes words seen twice (2,811 tokens; the loss covers more words).
- crops: six augmentations of each image instead of two, with a feature cache of its own. No gain in 14 epochs, but
  training and validation loss are closer.

Four layers with crops, as in `flickr8k_cn.py`, one seed each:

    stages, 8 + 16 epochs          2.1409    beam  26.3  84.7  378        consensus 0.3  27.1  88.4  436
                                                                          consensus 0.2  27.1  88.3  444
    mixed stages, 14 + 8 epochs    2.1369    beam  26.7  86.4  380        consensus 0.3  27.2  88.9  432
                                                                          consensus 0.2  27.1  89.5  449

CIDEr fine-tuning (`caption-tx tune`) of the model with mixed stages, 3 epochs at a learning rate of 1e-4, of which the
first was best: greedy 25.6 / 83.4 / 399 -> 26.7 / 85.8 / 342, beam 3 27.2 / 88.5 / 317, consensus 0.2 26.0 / 86.2 /
404, consensus 0.7 27.4 / 85.4 / 342. With temperature 1 instead of 0.5, a learning rate of 5e-5 and no cross-entropy
of human captions, one epoch reduced the greedy CIDEr of "none" from 80.5 to 74.2, and its distinct captions from 356
to 184.

Searches on the model of "none" (BLEU-4, CIDEr, distinct):

    greedy                                     25.1  80.5  356
    beam 3, length penalty 0 / 0.7 / 1         24.6  77.4  307 / 25.2  82.4  324 / 24.8  82.8  324
    beam 5, length penalty 0.7                 25.3  81.2  306
    beam 20, length penalty 0.7                25.5  81.6  299
    beam 20, consensus 0.3 / 0.5               26.7  86.1  385 / 26.8  85.0  355
    beam 40, consensus 0.3                     25.5  82.3  388
    32 samples at T 0.5 / 0.7 / 1, consensus   24.0  78.6  482 / 23.4  77.0  522 / 22.8  74.4  715

Ideas that did not improve validation scores, and are not implemented:
- consensus with idf weights from the training captions (CIDEr 85.8 at 0.5) or from word frequencies (85.4 at 0.3)
  instead of plain counts; with the captions of the mirrored image as additional candidates (84.5).
- log-probability minus 0.1 to 0.4 times the log-probability without the image (Li et al. 2016): CIDEr of beam 10 rises
  from 81.5 to 82.1, with 330 distinct captions instead of 299; no gain together with consensus (84.9).
- a self-attention block over the cells before the decoder (three layers, flips): behind "crops" by 0.007 in the loss
  after twelve epochs, then stopped. Images of 320 x 320 pixels: equal to "crops" for seven epochs, then stopped; the
  image files have 224 x 224 pixels, so there was nothing more to see.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import pandas as pd
from flickr8k import add_arguments, base_config, make_log, train_and_evaluate

from caption_tx.config import Config, DecodingOptions
from caption_tx.threads import configure_threads

BEAM = DecodingOptions(beam_width=3)
CONSENSUS = DecodingOptions(beam_width=20, consensus=0.3)
MACHINE = ("flickr8kzhb.caption.txt",)
"""Caption files of a first stage: machine translations."""

VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    "stages": {"first_stages": MACHINE, "training": {"epochs": 18, "stage_epochs": (6,), "schedule": "run"}},
    "stages, own schedules": {"first_stages": MACHINE, "training": {"epochs": 18, "stage_epochs": (6,)}},
    "mixed stages": {
        "first_stages": MACHINE,
        "training": {"epochs": 22, "stage_epochs": (14,), "mix_stages": True, "schedule": "run"},
    },
    "no flips": {"training": {"flips": False}},
    "crops": {"training": {"crops": 4}},
    "layers": {"model": {"num_layers": 4}},
    "less dropout": {"model": {"dropout": 0.2}},
    "no feature dropout": {"model": {"feature_dropout": 0.0}},
    "no smoothing": {"training": {"label_smoothing": 0.0}},
    "rare words": {"text": {"min_frequency": 2}},
}
"""The settings that each variant changes, by section; `first_stages` as in `base_config`."""


def make_config(arguments: argparse.Namespace, name: str) -> Config:
    """The settings of a variant."""
    changes = dict(VARIANTS[name])
    config = base_config(arguments, "zh", changes.pop("first_stages", ()))
    config = replace(
        config, **{section: replace(getattr(config, section), **values) for section, values in changes.items()}
    )
    training = replace(config.training, precision=arguments.precision)
    if training.crops and arguments.cache is None:
        training = replace(training, cache=str(arguments.workdir / "features-crops"))
    return replace(config, training=training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, epochs=14)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--precision", default="mixed_bfloat16", help="default: %(default)s")
    arguments = parser.parse_args()
    configure_threads()
    log, rows = make_log(), {}
    for name in arguments.variants:
        config, workdir = make_config(arguments, name), arguments.workdir / name.replace(" ", "-")
        rows[name] = train_and_evaluate(config, workdir, CONSENSUS, log)
        beam = train_and_evaluate(config, workdir, BEAM, log)
        rows[name] |= {f"beam {key}": beam[key] for key in ("bleu4", "cider", "distinct")}
    log(pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()
