"""Which part of an attention map speaks for the chosen word? The posterior, and how much to trust single cells.

COMMAND
    python experiments/posterior.py --data DIR --bundle BUNDLE --language zh [--images 150] [--cover cells]
        [--cache runs/features] [--backbone-weights FILE]

`flickr8k.py` describes DIR. Maps of the human captions of validation images, evenly spaced, are compared with the
boxes, and the cells of the first caption of each image are covered. The variants are the mean map to a power, times the
word's probability from each cell alone to another: "2, 0" is `sharp`, "2, 0.5" the pooling `posterior`, and "1, 1"
Bayes' rule as it is.

HARDWARE  2 cores (AMD EPYC), no GPU, shared with other work
TIME      1 to 2 minutes for a bundle with `--images 70 --covered 40`

RESULT    `--images 70 --covered 40`: pointing game and mass of objects under a quarter of the image, and the drop in
          nats with five cells covered; "before" are the bundles before their training with boxes

              flickr8k-zh        flickr8k-en        zh, before         en, before
    1, 0      .837 .619  .063    .711 .377  .050    .764 .221  .076    .525 .172  .025
    2, 0      .813 .682  .063    .707 .497  .050    .744 .355  .076    .525 .276  .025
    2, 0.25   .828 .687  .134    .711 .517  .160    .744 .370  .243    .555 .286  .223
    2, 0.5    .837 .692  .231    .735 .532  .254    .719 .374  .314    .557 .291  .328
    2, 1      .833 .696  .348    .744 .546  .398    .650 .367  .346    .510 .290  .419
    1, 0.5    .828 .638  .348    .738 .427  .398    .655 .247  .346    .523 .193  .419
    1, 1      .813 .641  .449    .703 .446  .497    .527 .256  .325    .406 .207  .395
    0, 1      .429 .206  .302    .375 .176  .368    .296 .158  .233    .221 .139  .288
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from flickr8k import CAPTION_FILES

import caption_tx
from caption_tx.config import CorpusConfig
from caption_tx.data.boxes.readers import read_boxes
from caption_tx.data.boxes.words import read_box_words
from caption_tx.data.corpus.table import captions_by_image, evenly_spaced, read_table
from caption_tx.evaluation.attention.box_grounding import measure_box_grounding
from caption_tx.evaluation.attention.deletion import COVERS, DeletionOptions, measure_deletion
from caption_tx.evaluation.attention.features import EvaluatedImages
from caption_tx.evaluation.attention.phrases import BoxReferences
from caption_tx.inference.attention.pooling import POSTERIOR, MapSelection
from caption_tx.threads import configure_threads


@dataclass(frozen=True)
class Tempered(MapSelection):
    """The mean map to one power, times the probabilities from single cells to another, scaled to sum to 1."""

    pool: str = POSTERIOR
    prior: float = 2.0
    likelihood: float = 0.5

    def pooled(self, scores: Any, self_scores: Any = None, cell_log_probabilities: Any = None) -> np.ndarray:
        logs = self.prior * np.log(np.maximum(scores.mean(axis=(0, 1), dtype=np.float64), 1e-30))
        logs = logs + self.likelihood * cell_log_probabilities
        maps = np.exp(logs - logs.max(axis=(1, 2), keepdims=True))
        return maps / maps.sum(axis=(1, 2), keepdims=True)


POWERS = ((1, 0), (2, 0), (2, 0.25), (2, 0.5), (2, 1), (1, 0.5), (1, 1), (0, 1))
VARIANTS = {f"{prior}, {likelihood}": Tempered(prior=prior, likelihood=likelihood) for prior, likelihood in POWERS}


def print_boxes(
    captioner: caption_tx.ImageCaptioner, human: Mapping[str, Sequence[str]], arguments: argparse.Namespace
) -> None:
    """Pointing game and mass of every variant, for all words, small objects, and words by probability."""
    folder = arguments.data / "boxes"
    boxes = read_boxes(tuple(str(folder / f"boxes.{split}.jsonl.gz") for split in ("train", "val"))).match(human)
    words = read_box_words(str(folder / "nouns.tsv") if arguments.language == "zh" else None)
    images = EvaluatedImages(captioner, str(arguments.data / "images"), arguments.cache)
    captions = {name: human[name] for name in boxes}
    grounding = measure_box_grounding(captioner, images, captions, BoxReferences(boxes, words), VARIANTS)
    for group in grounding.groups:
        cells = [
            f"{name}: {group.score(name).pointing.value:.3f} {group.score(name).mass.value:.3f}" for name in VARIANTS
        ]
        print(f"{group.name} ({group.words:,} words of {grounding.images} images)  {'   '.join(cells)}", flush=True)


def print_deletion(
    captioner: caption_tx.ImageCaptioner, human: Mapping[str, Sequence[str]], arguments: argparse.Namespace
) -> None:
    """How much less likely words become without the highest cells of each variant."""
    captions = {str(arguments.data / "images" / name): texts[:1] for name, texts in human.items()}
    options = DeletionOptions(cover=arguments.cover)
    deletion = measure_deletion(captioner, captions, options, list(VARIANTS.values()))
    print(f"random {deletion.random.value:.3f}   center {deletion.center.value:.3f}")
    for name, score in zip(VARIANTS, deletion.scores, strict=True):
        drop = score.drop
        print(f"{name}: {drop.value:.3f} [{drop.low:.3f}, {drop.high:.3f}], won {score.win_rate.value:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of Flickr8k, see flickr8k.py")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--language", choices=tuple(CAPTION_FILES), required=True)
    parser.add_argument("--images", type=int, default=150, help="validation images to measure (default: 150)")
    parser.add_argument("--covered", type=int, default=80, help="of them whose cells are covered (default: 80)")
    parser.add_argument("--cover", choices=COVERS, default="cells", help="default: cells")
    parser.add_argument("--cache", help="feature cache of the backbone")
    parser.add_argument("--backbone-weights")
    arguments = parser.parse_args()
    configure_threads()
    captioner = caption_tx.load(arguments.bundle, backbone_weights=arguments.backbone_weights)
    source = CorpusConfig(
        sources=(str(arguments.data / CAPTION_FILES[arguments.language]),), images=str(arguments.data / "images")
    )
    human = captions_by_image(read_table(source, arguments.language), "val", "human")
    print_boxes(captioner, {name: human[name] for name in evenly_spaced(human, arguments.images)}, arguments)
    print_deletion(captioner, {name: human[name] for name in evenly_spaced(human, arguments.covered)}, arguments)


if __name__ == "__main__":
    main()
