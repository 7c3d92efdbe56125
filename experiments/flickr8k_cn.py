"""Trains on Flickr8k-CN: human captions of 6,000 photographs, frozen ImageNet MobileNet 1.0/224.

COMMAND
    python experiments/flickr8k_cn.py --data DIR --workdir runs/flickr8k-zh [--backbone-weights FILE]

DIR holds `flickr8kzhc.caption.txt`, `flickr8ktrain.txt`, `flickr8kval.txt` and `images/`.

RESULT, one seed, 2 cores (AMD EPYC) without GPU
14 epochs in 453 s (22 s an epoch; in seven of them 18 s more went by without the processor at work), with
`--cache` naming features made before: 7,000 images and their mirror images in 98 s, by a call of
`encode_images` of its own.
Validation split, per known token, without smoothing: loss 2.2221 (best epoch 13), accuracy 0.5388.
A version before (the gradient's norm was taken otherwise) had 2.2213 in float32 and 2.2214 in mixed_bfloat16.
Samples of the validation split at temperature 0, 0.5 and 1 after the last epoch:

    23445819_3a458716c1.jpg   (a person wrote: 两只狗在草地上面玩耍。)
      temperature 0    两只狗在草地上玩耍
      temperature 0.5  趴在草地上的狗
      temperature 1    吃瓶子的狗
    27782020_4dab210360.jpg   (a person wrote: 街上很多人。)
      temperature 0    一个男人在街道上坐着
      temperature 0.5  一群人在街道上坐着
      temperature 1    一群黄色衣服的人
    90011335_cfdf9674c2.jpg   (a person wrote: 大海上有一艘游艇。)
      temperature 0    一个人在划船
      temperature 0.5  一个人在划船
      temperature 1    一个人在冲浪

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
    """The defaults, with mirrored views; all else is in `caption_tx/config/`."""
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
