"""Chinese captions of Flickr8k-CN: the recipe, and its scores on the validation split.

COMMAND
    python experiments/flickr8k_cn.py --data DIR --workdir runs/flickr8k-zh [--backbone-weights FILE] [--seeds 0 1 2]

`flickr8k.py` says what DIR holds. Frozen ImageNet MobileNet 1.0/224; machine translations of the English captions
first, people's captions after; mirrored views and four random crops of each image; four layers; captions by a beam of
20 and consensus. The levers were tried in `levers.py`.

RESULT
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from flickr8k import add_arguments, base, run_seeds

from caption_tx.config import Config, DecodingOptions

SEARCH = DecodingOptions(beam_width=20, consensus=0.3)


def recipe(arguments: argparse.Namespace) -> Config:
    """A third of the epochs on machine translations, the others on people's captions."""
    config = base(arguments, "zh", stages=("flickr8kzhb.caption.txt",))
    stage_epochs = (max(1, arguments.epochs // 3),)
    training = replace(config.training, stage_epochs=stage_epochs, crops=4, precision=arguments.precision)
    return replace(config, model=replace(config.model, num_layers=4), training=training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, epochs=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", default="mixed_bfloat16", help="default: %(default)s")
    arguments = parser.parse_args()
    run_seeds(recipe(arguments), arguments, SEARCH)


if __name__ == "__main__":
    main()
