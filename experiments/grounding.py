"""Do attention maps show what the captioner used? Grounding on scenes, deletion on scenes and photographs.

COMMAND
    caption-tx demo --workdir caption-tx-demo
    python experiments/grounding.py scenes --demo caption-tx-demo
    python experiments/grounding.py photographs --data DIR --bundle runs/flickr8k-zh/bundle [--backbone-weights FILE]

`flickr8k.py` describes DIR; the first caption of each validation image is measured. `--json FILE` stores all numbers.

HARDWARE  2 cores (AMD EPYC), no GPU, shared with other work
TIME      358 s for `scenes --images 100`, 981 s for `photographs --images 300`

RESULT    one seed each; 95% intervals over images

`scenes --images 100`, the demo's captioner (297 of 300 held-out scenes captioned exactly). Grounding of all four
captions of 300 scenes; the last two columns are for maps of another scene:

shape words: 2,480 in 1,200 captions of 300 scenes; masks cover 3.9% of the image
  maps              pointing            without tolerance   mass/area            pointing            mass/area
  center             0.16 [0.13, 0.18]   0.05 [0.04, 0.07]
  random cell        0.11 [0.11, 0.11]   0.04 [0.04, 0.04]   1.00
  mean               1.00 [1.00, 1.00]   0.69 [0.65, 0.72]   5.81 [5.64, 5.98]    0.30 [0.26, 0.33]   1.96 [1.81, 2.12]
  max                0.90 [0.88, 0.92]   0.62 [0.59, 0.66]   4.74 [4.62, 4.86]    0.30 [0.26, 0.33]   1.88 [1.76, 2.01]
  spread             0.97 [0.96, 0.98]   0.59 [0.55, 0.62]  11.95 [11.48, 12.40]  0.26 [0.23, 0.30]   2.90 [2.50, 3.33]
  rollout            1.00 [1.00, 1.00]   0.68 [0.65, 0.72]   7.12 [6.91, 7.33]    0.30 [0.26, 0.33]   2.27 [2.08, 2.48]
  layer 0 mean       0.41 [0.38, 0.43]   0.20 [0.17, 0.22]   1.77 [1.71, 1.84]    0.11 [0.09, 0.13]   1.03 [0.99, 1.08]
  layer 1 mean       1.00 [1.00, 1.00]   0.68 [0.65, 0.72]   9.85 [9.54, 10.15]   0.30 [0.26, 0.33]   2.89 [2.61, 3.19]
color words: mean    1.00 [1.00, 1.00]   0.66 [0.63, 0.70]   5.58 [5.41, 5.75]    0.30 [0.26, 0.33]   1.88 [1.72, 2.06]
relation words: mean 0.20 [0.16, 0.23]   0.04 [0.02, 0.05]   0.80 [0.78, 0.83]    0.28 [0.24, 0.32]   1.03 [0.99, 1.07]
  (center 0.41, random cell 0.26)

5 cells covered (pixels), 414 words of 100 images; drop of the word's log-probability in nats:
  maps          drop                  more than random      than the center       than other words      win rate
  random cells  0.562 [0.444, 0.685]
  center        1.011 [0.724, 1.307]
  mean          5.864 [5.387, 6.327]  5.302 [4.838, 5.786]  4.853 [4.308, 5.395]  3.081 [2.666, 3.489]      0.82
  max           5.335 [4.833, 5.820]  4.773 [4.286, 5.240]  4.324 [3.766, 4.860]  2.666 [2.234, 3.079]      0.80
  layer 0 mean  2.870 [2.412, 3.327]  2.308 [1.846, 2.757]  1.859 [1.337, 2.388] -0.273 [-0.665, 0.128]     0.55
  layer 1 mean  5.837 [5.328, 6.337]  5.276 [4.751, 5.770]  4.826 [4.306, 5.396]  3.832 [3.390, 4.266]      0.84

`scenes --images 60`, the same captioner: more than random cells, spread drops by 6.992 [6.352, 7.618], rollout by 5.717
[5.054, 6.366], mean by 5.271 [4.639, 5.904].

`photographs --images 300`, a captioner of `flickr8k_cn.py`:

5 cells covered (pixels), 904 words of 300 images; drop of the word's log-probability in nats:
  maps          drop                  more than random      than the center        than other words       win rate
  random cells  0.066 [0.047, 0.087]
  center        0.210 [0.161, 0.261]
  mean          0.280 [0.224, 0.335]  0.214 [0.165, 0.264]  0.070 [0.019, 0.122]   0.089 [0.055, 0.124]       0.62
  max           0.226 [0.174, 0.277]  0.160 [0.115, 0.203]  0.016 [-0.036, 0.066]  0.059 [0.026, 0.092]       0.59
  layer 0 mean  0.138 [0.095, 0.181]  0.073 [0.034, 0.109] -0.072 [-0.115, -0.026] 0.007 [-0.025, 0.039]      0.53
  layer 1 mean  0.234 [0.186, 0.282]  0.168 [0.125, 0.212]  0.024 [-0.020, 0.070]  0.059 [0.030, 0.089]       0.58
  layer 2 mean  0.278 [0.222, 0.330]  0.212 [0.162, 0.259]  0.068 [0.019, 0.117]   0.105 [0.064, 0.149]       0.61

`photographs --images 80`, a captioner with the default settings, 253 words, more than random cells: mean 0.117 [0.049,
0.194], max 0.083 [0.014, 0.160], spread 0.028 [-0.032, 0.091], rollout 0.136 [0.064, 0.215]. So the mean is shown, by
default squared (`sharp`), which has the same highest cells: rollout is not distinguishable from it, and spread, the
best on scenes, is the worst on photographs.

`scenes --cover cells --images 30`, 71 s. Unlike above, the pointing game takes the highest point of the heatmap, not
the center of the highest cell; the features of the attended cells are covered:

shape words: 2,480 in 1,200 captions of 300 scenes; masks cover 3.9% of the image
  maps               pointing            without tolerance   mass/area            drop more than random cells
  sharp              1.00 [1.00, 1.00]   0.81 [0.78, 0.84]  11.69 [11.24, 12.12]  1.99 [1.26, 2.74]
  mean               1.00 [1.00, 1.00]   0.83 [0.80, 0.86]   5.72 [5.55, 5.89]    1.99 [1.26, 2.74]
  max                0.96 [0.94, 0.97]   0.80 [0.77, 0.83]   4.41 [4.29, 4.52]    1.33 [0.82, 1.96]
  spread             0.99 [0.99, 1.00]   0.91 [0.89, 0.93]  12.92 [12.46, 13.39]  5.30 [4.13, 6.37]
  rollout            1.00 [1.00, 1.00]   0.84 [0.81, 0.86]   7.21 [6.99, 7.43]    2.59 [1.65, 3.57]

Another run of the demo, the same command; layer 1 had the highest pointing game without tolerance, 0.92:

  sharp              0.95 [0.94, 0.96]   0.73 [0.70, 0.76]   9.24 [8.86, 9.59]    2.23 [1.53, 2.98]
  mean               0.95 [0.94, 0.96]   0.73 [0.70, 0.76]   4.10 [3.99, 4.22]    2.23 [1.53, 2.98]
  max                0.95 [0.94, 0.96]   0.71 [0.69, 0.74]   4.35 [4.23, 4.46]    2.16 [1.60, 2.76]
  spread             0.02 [0.01, 0.03]   0.00 [0.00, 0.01]   0.10 [0.06, 0.14]    2.63 [2.06, 3.15]
  rollout            1.00 [1.00, 1.00]   0.87 [0.85, 0.90]   5.73 [5.56, 5.89]    3.20 [2.40, 4.02]
  posterior          1.00 [1.00, 1.00]   0.88 [0.86, 0.90]  12.75 [12.29, 13.20]  3.04 [2.22, 3.83]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tqdm import tqdm


def captions_by_path(source: Path, images: Path, split: str) -> dict[str, list[str]]:
    """Path of each image of a split -> its captions, in the order of the file."""
    from caption_tx.data.corpus.table import captions_by_image, read_corpus

    return {str(images / name): texts for name, texts in captions_by_image(read_corpus(str(source)), split).items()}


def measure_scenes(demo: Path, captioner: Any, captions: Mapping[str, list[str]]) -> dict[str, Any]:
    """Measures and prints the grounding of the captions of the demo's test scenes."""
    from caption_tx.data.scenes.corpus import read_scenes
    from caption_tx.evaluation.attention.grounding import measure_grounding

    scenes = {name: objects for name, objects in read_scenes(demo / "scenes.json").items() if name.startswith("test-")}
    by_name = {Path(path).name: texts for path, texts in captions.items()}
    grounding = measure_grounding(captioner, demo / "images", scenes, by_name)
    print(grounding.table(), grounding.summary(), sep="\n")
    return grounding.to_dict()


def measure_covers(
    captioner: Any,
    captions: Mapping[str, list[str]],
    arguments: argparse.Namespace,
    is_content: Callable[[str], bool] | None,
) -> dict[str, Any]:
    """Measures and prints the deletion metric on the first caption of each image."""
    from caption_tx.evaluation.attention.deletion import DeletionOptions, measure_deletion
    from caption_tx.evaluation.attention.selections import layer_selections, pooled_selections

    first = {path: texts[:1] for path, texts in list(captions.items())[: arguments.images]}
    selections = [*pooled_selections(), *layer_selections(captioner.bundle.captioner.settings.num_layers)]
    options = DeletionOptions(arguments.cover, arguments.cells)
    deletion = measure_deletion(captioner, first, options, selections, is_content, progress=tqdm)
    print(deletion.table())
    return deletion.to_dict()


def parse_arguments() -> argparse.Namespace:
    """The command line of this experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    scenes = kinds.add_parser("scenes")
    scenes.add_argument("--demo", type=Path, required=True, help="workdir of a finished demo")
    scenes.add_argument("--bundle", type=Path, help="another bundle trained on the same scenes")
    photographs = kinds.add_parser("photographs")
    photographs.add_argument("--data", type=Path, required=True, help="folder of Flickr8k, see flickr8k.py")
    photographs.add_argument("--bundle", type=Path, required=True)
    photographs.add_argument("--backbone-weights")
    for kind in (scenes, photographs):
        kind.add_argument("--images", type=int, default=300, help="images in the deletion measurement")
        kind.add_argument("--cover", choices=("pixels", "cells"), default="pixels", help="what is covered")
        kind.add_argument("--cells", type=int, default=5, help="number of cells to cover")
        kind.add_argument("--json", type=Path, help="also write all numbers to this file")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()

    import caption_tx
    from caption_tx.data.scenes.captions import word_class

    start, results, is_content = time.perf_counter(), {}, None
    if arguments.kind == "scenes":
        folder = arguments.demo / "scenes"
        captioner = caption_tx.load(arguments.bundle or arguments.demo / "run" / "bundle")
        language = captioner.bundle.text.language
        captions = captions_by_path(folder / "captions.tsv", folder / "images", "test")
        results["grounding"] = measure_scenes(folder, captioner, captions)

        def is_content(word: str) -> bool:
            return word_class(word, language) in ("shape", "color")

    else:
        captioner = caption_tx.load(arguments.bundle, arguments.backbone_weights)
        captions = captions_by_path(arguments.data / "flickr8kzhc.caption.txt", arguments.data / "images", "val")
    results["deletion"] = measure_covers(captioner, captions, arguments, is_content)
    print(f"{time.perf_counter() - start:.0f} s")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
