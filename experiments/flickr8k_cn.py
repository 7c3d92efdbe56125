"""Chinese captions of Flickr8k-CN: the recipe, and its scores on the validation split.

COMMAND
    python experiments/flickr8k_cn.py --data DIR --workdir runs/flickr8k-zh [--backbone-weights FILE] [--seeds 0 1 2]

`flickr8k.py` says what DIR holds. Frozen ImageNet MobileNet 1.0/224; machine translations of the English captions
first, people's captions after; mirrored views and four random crops of each image; four layers; captions by a beam of
20 and consensus. The levers were tried in `levers.py`.

RESULT, 2 cores (AMD EPYC) without GPU that did other work as well, features made before; a run takes 11 minutes by its
epochs where nothing else runs (25 to 35 s each), and features of six views of 7,000 images took 6.6 minutes under load.
Validation split, jieba words, scores times 100. Seed 0 is of the same recipe by a script before this one.

            BLEU-1  BLEU-4  ROUGE-L  CIDEr  distinct  val_token_loss
    seed 0    63.0    27.1     51.8   87.9       440          2.1412
    seed 1    62.8    26.7     51.9   88.7       407
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from flickr8k import base, run

from caption_tx.config import Config, DecodingOptions, TuningConfig

SEARCH = DecodingOptions(beam_width=20, consensus=0.2)
TUNING = TuningConfig(epochs=3, learning_rate=1e-4)


def recipe(arguments: argparse.Namespace) -> Config:
    """Five of eight epochs on machine translations and people's captions together, the others on people's alone."""
    config = base(arguments, "zh", stages=("flickr8kzhb.caption.txt",))
    training = replace(
        config.training,
        stage_epochs=(max(1, arguments.epochs * 5 // 8),),
        mix_stages=True,
        crops=4,
        precision=arguments.precision,
    )
    return replace(config, model=replace(config.model, num_layers=4), training=training)


if __name__ == "__main__":
    run(__doc__, recipe, SEARCH, epochs=32, tuning=TUNING)
