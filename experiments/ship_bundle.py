"""Turns a finished run on Flickr8k into a bundle in `assets/`: float16 weights, and a model card with scores.

COMMAND   python experiments/ship_bundle.py flickr8k-zh --run runs/flickr8k-zh/seed-0
HARDWARE  2 cores (AMD EPYC), no GPU
TIME      not recorded; three searches over 1,000 images
RESULT    assets/flickr8k-zh/, replaced as a whole or not at all

The scores are those of the rounded weights on the validation split. The bundle does not contain the backbone; Keras
downloads it as `imagenet`, and the run must have used the same weights. A run that its recipe has not scored is
rejected as unfinished.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import flickr8k_cn
import flickr8k_en
from flickr8k import evaluate_bundle

from caption_tx.assets import SHIPPED_BUNDLES
from caption_tx.config import Config, DecodingOptions, load_config
from caption_tx.evaluation.metrics import METRICS, TITLES

if TYPE_CHECKING:
    from caption_tx.bundle import Bundle
    from caption_tx.evaluation.report import Evaluation

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MAX_BYTES = 12_000_000
IMAGENET_DIGEST = "9b569e7c7754ab013e57ae12e131977c706d6bae2db2610b2282a22aac6f7c76"
"""`Backbone.digest` of the ImageNet MobileNet 1.0/224 up to conv_pw_12."""


@dataclass(frozen=True)
class Recipe:
    """What the card says about the recipe of a language; the card's scores are those of `searches`, the best last."""

    language: str
    script: str
    unit: str
    captions: str
    searches: tuple[DecodingOptions, ...]


RECIPES = {
    "zh": Recipe(
        "Chinese",
        "flickr8k_cn.py",
        "jieba words",
        'The five human Chinese captions per image of Flickr8k-CN (Li et al. 2016, "Adding Chinese Captions to '
        'Images"), and in the first epochs also machine translations of the English captions',
        (DecodingOptions(), DecodingOptions(beam_width=3), flickr8k_cn.SEARCH),
    ),
    "en": Recipe(
        "English",
        "flickr8k_en.py",
        "words",
        'The five English captions per image of Flickr8k (Hodosh et al. 2013, "Framing Image Description as a Ranking '
        'Task")',
        (DecodingOptions(), DecodingOptions(beam_width=3), flickr8k_en.SEARCH),
    ),
}

DATA = (
    "{captions}. The model was trained on 6,000 photographs. The epoch, the recipe and the search were selected on the "
    "{images:,} photographs of the validation split, so the scores below are slightly optimistic for new photographs."
)

CARD = """# {name}

Describes everyday photographs in one short {language} sentence.

```sh
caption-tx caption photo.jpg --bundle {name}
caption-tx caption photo.jpg --bundle {name} {options}
caption-tx explain photo.jpg --bundle {name} --out photo.html
```

## Model
A Transformer decoder with {layers} layers and hidden_dim {hidden_dim} ({weights:,} weights, stored as float16) on
Keras's frozen ImageNet MobileNet 1.0/224. The backbone is not in this folder: Keras downloads it at first use, or you
name a file with `--backbone-weights FILE`. Trained with the settings of `experiments/{script}`, seed {seed}.{tuned}

## Training data
{data}

The photographs of Flickr8k belong to their authors. The dataset is distributed for non-commercial research and
education, and its Chinese captions for research. This folder contains neither photographs nor captions; still,
use the bundle for non-commercial research only.

## Scores
Validation split, {images:,} images, {unit}, times 100, measured with `caption-tx evaluate`. A human caption scored
against the other four has BLEU-4 {human_bleu4:.1f} and CIDEr {human_cider:.1f}.

| search | {titles} | distinct captions | copied from training |
|---|{rules}---|---|
{rows}

## Limits
- The model knows {words:,} words and the motifs of Flickr8k: people and dogs at play, sports, streets, beaches, snow.
  It describes other images (text, food, products, drawings, medical or aerial images) in the same words, with the same
  confidence.
- Colors, numbers and who does what are often wrong. About {copied:.0%} of the generated captions appear verbatim
  in the training captions. Attention maps do not reveal wrong words.
- Images are scaled to 224 x 224 pixels, so small objects are not visible to the model.

## Biases
The photographs come from one website, and most appear to be from North America and Europe. The captions guess the age
and gender of people from their appearance; these guesses are not facts. Do not use the model to describe people where
it matters to them, for surveillance, or for decisions about anyone.
"""


TUNED = """
Cross-entropy training was followed by {epochs} epochs of fine-tuning with a CIDEr reward, so word probabilities are
less calibrated."""


def decoding_flags(options: DecodingOptions) -> str:
    """The command line flags of a search."""
    default = DecodingOptions()
    names = ("beam_width", "length_penalty", "consensus")
    changed = {name: getattr(options, name) for name in names if getattr(options, name) != getattr(default, name)}
    return " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in changed.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=SHIPPED_BUNDLES)
    parser.add_argument("--run", type=Path, required=True, help="workdir of one seed")
    parser.add_argument("--assets", type=Path, default=ASSETS, help="default: %(default)s")
    arguments = parser.parse_args()

    from caption_tx.bundle import load_bundle

    config = load_config(arguments.run / "config.toml")
    tuned, folder = arguments.run / "tuned" / "bundle", arguments.assets / arguments.name
    bundle = load_bundle(tuned if tuned.exists() else arguments.run / "bundle")
    language = bundle.text.language
    if not arguments.name.endswith(language):
        raise SystemExit(f"The run writes '{language}' captions, so it cannot become {arguments.name}.")
    if not (arguments.run / "scores.json").exists():
        raise SystemExit(f"{arguments.run} has no scores.json: the run is not finished; run its recipe again.")
    if bundle.backbone_key["weights_sha256"] != IMAGENET_DIGEST:
        raise SystemExit(f"{arguments.run} was trained with another backbone than Keras's ImageNet MobileNet.")
    bundle.backbone = replace(bundle.backbone, weights="imagenet")
    temporary = Path(tempfile.mkdtemp(dir=arguments.assets, prefix=f".{arguments.name}.")) / arguments.name
    try:
        write_bundle(bundle, temporary, arguments.run, config)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary.parent)


def write_bundle(bundle: Bundle, folder: Path, run: Path, config: Config) -> None:
    """Writes the bundle with float16 weights, evaluates it, and writes its card."""
    from caption_tx.bundle import load_bundle, save_bundle

    recipe = RECIPES[bundle.text.language]
    save_bundle(bundle, folder, half=True)
    shipped = load_bundle(folder)
    evaluations = {}
    for options in recipe.searches:
        is_best = options is recipe.searches[-1]
        evaluations[decoding_flags(options)] = evaluate_bundle(shipped, config, run / "shipped", options, is_best)
    card = model_card(shipped, folder.name, config.training.seed, evaluations)
    (folder / "README.md").write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > MAX_BYTES:
        raise SystemExit(f"{folder} has {size:,} bytes, more than {MAX_BYTES:,}.")
    print(f"{folder}: {size:,} bytes\n{card}")


def model_card(bundle: Bundle, name: str, seed: int, evaluations: dict[str, Evaluation]) -> str:
    """The README.md of a bundle, from its evaluations by decoding flags; the last one has a human baseline."""
    recipe, settings = RECIPES[bundle.text.language], bundle.captioner.settings
    rows = []
    for flags, evaluation in evaluations.items():
        scores = evaluation.scores
        cells = [f"`{flags}`" if flags else "greedy", *(f"{scores[metric]:.1f}" for metric in METRICS)]
        cells += [f"{scores.statistics.distinct:,}", f"{scores.statistics.copied:.0%}"]
        rows.append(f"| {' | '.join(cells)} |")
    statistics, baseline = evaluation.scores.statistics, evaluation.human_baseline["words"]
    return CARD.format(
        name=name,
        language=recipe.language,
        options=flags,
        layers=settings.num_layers,
        hidden_dim=settings.hidden_dim,
        weights=bundle.captioner.count_params(),
        script=recipe.script,
        seed=seed,
        tuned=TUNED.format(epochs=bundle.facts["tuning"]["epoch"]) if "tuning" in bundle.facts else "",
        data=textwrap.fill(DATA.format(captions=recipe.captions, images=statistics.images), 119),
        images=statistics.images,
        unit=recipe.unit,
        human_bleu4=baseline["bleu4"],
        human_cider=baseline["cider"],
        titles=" | ".join(TITLES),
        rules="---|" * len(TITLES),
        rows="\n".join(rows),
        words=bundle.tokenizer.vocabulary_size - 4,
        copied=statistics.copied,
    )


if __name__ == "__main__":
    main()
