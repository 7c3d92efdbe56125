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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flickr8k_cn
import flickr8k_en
from flickr8k import evaluate_bundle

from caption_tx.assets import SHIPPED_BUNDLES
from caption_tx.config import Config, DecodingOptions, load_config
from caption_tx.evaluation.metrics import METRICS, TITLES

if TYPE_CHECKING:
    from caption_tx.bundle import Bundle

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MOST_BYTES = 12_000_000
IMAGENET = "9b569e7c7754ab013e57ae12e131977c706d6bae2db2610b2282a22aac6f7c76"
"""`Backbone.digest` of the ImageNet MobileNet 1.0/224 up to its conv_pw_12."""

SEARCHES = {
    "zh": (DecodingOptions(), DecodingOptions(beam_width=3), flickr8k_cn.SEARCH),
    "en": (DecodingOptions(), DecodingOptions(beam_width=3), flickr8k_en.SEARCH),
}
LANGUAGES = {"zh": "Chinese", "en": "English"}
CAPTIONS = {
    "zh": 'The Chinese captions that people wrote for Flickr8k-CN (Li et al. 2016, "Adding Chinese Captions to '
    'Images"), five an image, together with machine translations of the English ones in the first epochs',
    "en": 'The English captions of Flickr8k (Hodosh et al. 2013, "Framing Image Description as a Ranking Task"), '
    "five an image",
}
DATA = (
    "{captions}. 6,000 photographs were trained on; the {images:,} of the validation split chose the epoch, the recipe "
    "and the search, so the scores below are somewhat kinder than those of new photographs of the same kind would be."
)

CARD = """# {name}

Captions photographs in {language}, in one short sentence of what people see in everyday scenes.

```sh
caption-tx caption photo.jpg --bundle {name}
caption-tx caption photo.jpg --bundle {name} {options}
caption-tx explain photo.jpg --bundle {name} --out photo.html
```

## What it is
A decoder of {layers} layers of width {width} ({weights:,} weights, float16 on disk) over the frozen ImageNet MobileNet
1.0/224 of Keras, which is not in this folder: Keras downloads it at first use, or `--backbone-weights FILE` names it.
Trained by `experiments/{script}` with seed {seed}.

## Data
{data}

The photographs of Flickr8k belong to those who took them; the data set is given out for research and education that is
not commercial, and its Chinese captions for research. No photograph and no caption file is in this folder; treat this
bundle as for research that is not commercial, too.

## Scores
Validation split, {images:,} images, {unit}, times 100, as `caption-tx evaluate` computes them; a person's caption
against the other four has BLEU-4 {people_bleu4:.1f} and CIDEr {people_cider:.1f}.

| search | {titles} | distinct captions | as in training |
|---|{rules}---|---|
{rows}

## Limits
- It knows {words:,} words and what Flickr8k shows: people and dogs at play, sports, streets, beaches, snow. Of other
  pictures (text, food, products, drawings, medical or aerial ones) it says something of that world, and confidently.
- Colors, numbers and who does what are often wrong. {copied:.0%} of its captions stand word for word in the training
  captions. Look at `caption-tx explain`: a map that lies nowhere in particular is a reason to doubt the word.
- Photographs are scaled to 224 x 224 pixels, so small things are not seen.

## Biases
The photographs come from one website and, by their looks, mostly from North America and Europe. The captions guess
age and gender from looks, and call people by them; such guesses are no facts about a person. Do not use it to describe
people where that matters to them, for surveillance, or for decisions about anyone.
"""


def option_text(options: DecodingOptions) -> str:
    """As the command line takes them."""
    default = DecodingOptions()
    names = ("beam_width", "length_penalty", "consensus")
    given = {name: getattr(options, name) for name in names if getattr(options, name) != getattr(default, name)}
    return " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in given.items())


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
        raise SystemExit(f"The run captions in '{language}', so it is not {arguments.name}.")
    if not (arguments.run / "scores.json").exists():
        raise SystemExit(f"{arguments.run} has no scores.json: its recipe did not go through; repeat its command.")
    if bundle.backbone_key["weights_sha256"] != IMAGENET:
        raise SystemExit(f"{arguments.run} was trained on another backbone than Keras's ImageNet MobileNet.")
    bundle.backbone = replace(bundle.backbone, weights="imagenet")
    made = Path(tempfile.mkdtemp(dir=arguments.assets, prefix=f".{arguments.name}.")) / arguments.name
    try:
        write_bundle(bundle, made, arguments.run, config)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(made, folder)
    finally:
        shutil.rmtree(made.parent)


def write_bundle(bundle: Bundle, folder: Path, run: Path, config: Config) -> None:
    """The bundle with rounded weights, scored as it is then, and its card."""
    from caption_tx.bundle import load_bundle, save_bundle

    language = bundle.text.language
    save_bundle(bundle, folder, half=True)
    shipped, rows, scored = load_bundle(folder), [], None
    for options in SEARCHES[language]:
        scored = evaluate_bundle(shipped, config, run / "shipped", options, options is SEARCHES[language][-1])
        scores, text = scored.scores, option_text(options)
        cells = [f"`{text}`" if text else "greedy", *(f"{scores[metric]:.1f}" for metric in METRICS)]
        cells += [f"{scores.statistics.distinct:,}", f"{scores.statistics.copied:.0%}"]
        rows.append(f"| {' | '.join(cells)} |")
    values: dict[str, Any] = scored.human_baseline["words"]
    settings = shipped.captioner.settings
    card = CARD.format(
        name=folder.name,
        language=LANGUAGES[language],
        options=option_text(SEARCHES[language][-1]),
        layers=settings.num_layers,
        width=settings.hidden_dim,
        weights=shipped.captioner.count_params(),
        script={"zh": "flickr8k_cn.py", "en": "flickr8k_en.py"}[language],
        seed=config.training.seed,
        data=textwrap.fill(DATA.format(captions=CAPTIONS[language], images=scores.statistics.images), 119),
        images=scores.statistics.images,
        unit="words of jieba" if language == "zh" else "words",
        people_bleu4=values["bleu4"],
        people_cider=values["cider"],
        titles=" | ".join(TITLES),
        rules="---|" * len(TITLES),
        rows="\n".join(rows),
        words=shipped.tokenizer.vocabulary_size - 4,
        copied=scores.statistics.copied,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > MOST_BYTES:
        raise SystemExit(f"{folder} has {size:,} bytes, more than {MOST_BYTES:,}.")
    print(f"{folder}: {size:,} bytes\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
