"""Trains on Flickr8k-CN: human captions of 6,000 photographs, frozen ImageNet MobileNet 1.0/224.

COMMAND
    python experiments/flickr8k_cn.py --data DIR --workdir runs/flickr8k-zh [--backbone-weights FILE]

DIR holds `flickr8kzhc.caption.txt`, `flickr8ktrain.txt`, `flickr8kval.txt` and `images/`.

RESULT, one seed, 2 cores (AMD EPYC) without GPU
float32: 14 epochs in 1,204 s while much other work ran beside it (37 to 100 s an epoch), with `--cache` naming
features made before: 7,000 images and their mirror images in 98 s, by a call of `encode_images` of its own.
mixed_bfloat16 (`training.precision`): 503 s, other work beside it at first (20 s in the last epoch).
Validation split, per known token, without smoothing, best epoch 14 in both: loss 2.2213 in float32 and
2.2214 in mixed_bfloat16, accuracy 0.5397 and 0.5395.
Samples of the validation split at temperature 0, 0.5 and 1 after the last epoch, float32:

    23445819_3a458716c1.jpg   (a person wrote: 两只狗在草地上面玩耍。)
      temperature 0    两只狗在草地上玩耍
      temperature 0.5  在草地上玩耍的狗
      temperature 1    在玩皮球的狗
    27782020_4dab210360.jpg   (a person wrote: 街上很多人。)
      temperature 0    坐在椅子上的人们
      temperature 0.5  路边的男人
      temperature 1    逛街的两个男人
    90011335_cfdf9674c2.jpg   (a person wrote: 大海上有一艘游艇。)

What a person wrote stands in brackets.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from caption_tx.config import BackboneConfig, Config, CorpusConfig, TrainingConfig


def recipe(data: Path, weights: str, epochs: int, cache: str | None) -> Config:
    """The defaults, with mirrored views; all else is `caption_tx/config.py`."""
    return Config(
        corpus=CorpusConfig(sources=(str(data / "flickr8kzhc.caption.txt"),), images=str(data / "images")),
        backbone=BackboneConfig(weights=weights),
        training=TrainingConfig(epochs=epochs, flips=True, cache=cache),
    )


def add_arguments(parser: argparse.ArgumentParser, epochs: int) -> None:
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--cache", help="feature cache to use or make; default: in the workdir")
    parser.add_argument("--epochs", type=int, default=epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, epochs=14)
    arguments = parser.parse_args()

    from caption_tx.training.fit import train

    start = time.perf_counter()

    def log(text: str) -> None:
        print(f"[{time.perf_counter() - start:6.0f} s] {text}", flush=True)

    train(recipe(arguments.data, arguments.backbone_weights, arguments.epochs, arguments.cache), arguments.workdir, log)
    log("done")


if __name__ == "__main__":
    main()
