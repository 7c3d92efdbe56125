"""Turns a finished run on Flickr8k into a bundle in `assets/`: float16 weights, and a model card with scores.

COMMAND   python experiments/ship_bundle.py flickr8k-zh --run runs/flickr8k-zh/seed-0
          python experiments/ship_bundle.py flickr8k-zh-small --run runs/flickr8k-zh-small/seed-0
HARDWARE  2 cores (AMD EPYC), no GPU
TIME      not recorded; three searches over 1,000 images
RESULT    assets/flickr8k-zh/, replaced as a whole or not at all

The scores are those of the rounded weights on the validation split. The bundle does not contain the backbone: Keras
downloads it as `imagenet`, or it ships as `photos`, for the bundles whose names end in `-small`. The run must have used
the same weights. A run that its recipe has not scored is rejected as unfinished.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flickr8k_cn
import flickr8k_en
from flickr8k import evaluate_bundle

from caption_tx.assets import SHIPPED_BUNDLES
from caption_tx.config import BackboneConfig, Config, DecodingOptions, load_config
from caption_tx.evaluation.metrics import METRICS, TITLES

if TYPE_CHECKING:
    from caption_tx.bundle import Bundle
    from caption_tx.evaluation.report import Evaluation

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MAX_BYTES = {"imagenet": 12_000_000, "photos": 8_000_000}
"""Of a bundle, by the weights of its backbone."""

IMAGENET_DIGEST = "9b569e7c7754ab013e57ae12e131977c706d6bae2db2610b2282a22aac6f7c76"
"""`Backbone.digest` of the ImageNet MobileNet 1.0/224 up to conv_pw_12."""


@dataclass(frozen=True)
class Recipe:
    """What the card says about the recipe of a language.

    Attributes:
        searches: those whose scores are on the card; the last is the bundle's default.
    """

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
caption-tx caption photo.jpg --bundle {name} --beam-width 1    # greedy: faster, scores lower
caption-tx explain photo.jpg --bundle {name} --out photo.html
```

## Model
A Transformer decoder with {layers} layers and hidden_dim {hidden_dim} ({weights:,} weights, stored as float16) on
{backbone} {training}{tuned}

## Training data
{data}

The photographs of Flickr8k belong to their authors. The dataset is distributed for non-commercial research and
education, and its Chinese captions for research. This folder contains neither photographs nor captions; still,
use the bundle for non-commercial research only.

## Scores
Validation split, {images:,} images, {unit}, times 100, measured with `caption-tx evaluate`. A human caption scored
against the other four has BLEU-4 {human_bleu4:.1f} and CIDEr {human_cider:.1f}. Without search options, captions are
searched with `{options}`, which this bundle stores as its default.

| search | {titles} | distinct captions | copied from training |
|---|{rules}---|---|
{rows}
{maps}
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


MAPS = """
## Attention maps
The model was also trained to look into boxes that people drew around the objects that captions name (Flickr30k
Entities, Plummer et al. 2015). The default pooling is `{pool}`, chosen on
{measured_on}.
With human captions: how often the highest point of a word's heatmap is on the object (pointing game), and the share of
the word's map that is on it. A person's words are often not those that the model expected, so their probability counts.

| words for | number | pointing game | map on the object |
|---|---|---|---|
{rows}
"""

BACKBONES = {
    "imagenet": """\
Keras's frozen ImageNet MobileNet 1.0/224. The backbone is not in this folder: Keras downloads it at first use, or you
name a file with `--backbone-weights FILE`.""",
    "photos": """\
the frozen MobileNet 1.0/224 that ships with caption_tx, so nothing has to be downloaded. It was trained by
`experiments/train_photo_backbone.py` to predict the features of Keras's ImageNet MobileNet, on 10,000 photographs
without captions.""",
}
"""What the decoder is on, by the weights of the backbone."""

TRAININGS = {
    "flickr8k-zh": """Trained with
`experiments/flickr8k_cn.py`, seed 0, and from there with
`--init runs/flickr8k-zh/seed-0 --boxes --box-weight 2 --epochs 10 --learning-rate 3e-4`.""",
    "flickr8k-en": """Trained with
`experiments/flickr8k_en.py`, seed 0, and from there with
`--init runs/flickr8k-en/seed-0/tuned --boxes --box-weight 2 --epochs 7 --learning-rate 3e-4`.""",
    "flickr8k-zh-small": """The decoder was trained with
`experiments/flickr8k_cn.py --small --batch-size 64 --learning-rate 7e-4 --epochs 18`, seed 0, on one GPU, and from
there on a CPU with `--init RUN --boxes --epochs 20 --learning-rate 5e-4`, then `--init RUN --boxes --epochs 25
--learning-rate 7e-4`, where RUN is the run before.""",
    "flickr8k-en-small": """The decoder was trained with
`experiments/flickr8k_en.py --small --backbone-weights photos --boxes --epochs 18`, seed 0, and from the checkpoint
before its CIDEr fine-tuning with `--init RUN --boxes --epochs 20 --learning-rate 7e-4`, where RUN is that run.""",
}
"""How bundles were trained that are not the result of a recipe as it stands."""

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
    from caption_tx.data.features.backbone import Backbone

    config = load_config(arguments.run / "config.toml")
    tuned, folder = arguments.run / "tuned" / "bundle", arguments.assets / arguments.name
    bundle = load_bundle(tuned if tuned.exists() else arguments.run / "bundle")
    language = bundle.text.language
    if arguments.name not in (f"flickr8k-{language}", f"flickr8k-{language}-small"):
        raise SystemExit(f"The run writes '{language}' captions, so it cannot become {arguments.name}.")
    if not (arguments.run / "scores.json").exists():
        raise SystemExit(f"{arguments.run} has no scores.json: the run is not finished; run its recipe again.")
    weights = "photos" if arguments.name.endswith("-small") else "imagenet"
    expected = Backbone(BackboneConfig(weights=weights)).digest if weights == "photos" else IMAGENET_DIGEST
    if bundle.backbone_key["weights_sha256"] != expected:
        raise SystemExit(f"{arguments.run} was trained with another backbone than '{weights}'.")
    bundle.backbone = replace(bundle.backbone, weights=weights)
    bundle.decoding = RECIPES[language].searches[-1]
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
    from caption_tx.training.map_choice import attention_facts

    recipe = RECIPES[bundle.text.language]
    save_bundle(bundle, folder, half=True)
    shipped = load_bundle(folder)
    evaluations = {}
    for options in recipe.searches:
        is_best = options is recipe.searches[-1]
        evaluations[decoding_flags(options)] = evaluate_bundle(shipped, config, run / "shipped", options, is_best)
    if (boxes := evaluations[decoding_flags(recipe.searches[-1])].boxes) is not None:
        bundle.facts = bundle.facts | {"attention": attention_facts(boxes.grounding, boxes.deletion)}
        save_bundle(bundle, folder, half=True)
        shipped = load_bundle(folder)
    card = model_card(shipped, folder.name, config.training.seed, evaluations)
    (folder / "README.md").write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > (limit := MAX_BYTES[bundle.backbone.weights]):
        raise SystemExit(f"{folder} has {size:,} bytes, more than {limit:,}.")
    print(f"{folder}: {size:,} bytes\n{card}")


def rows_of_card(name: str) -> list[str]:
    """The scores on the card of another bundle, as rows that name it."""
    card = (ASSETS / name / "README.md").read_text(encoding="utf-8")
    rows = [line for line in card.splitlines() if line.startswith(("| greedy", "| `"))]
    return [f"| [{name}](../{name}/README.md), {row.removeprefix('| ')}" for row in rows]


def map_accuracy(facts: dict[str, Any]) -> str:
    """The section about attention maps, from what training measured on boxes; empty without boxes."""
    attention = facts.get("attention", {})
    if "words" not in attention:
        return ""
    rows = [
        f"| {name} | {group['words']:,} | {group['pointing']:.0%} | {group['mass']:.0%} |"
        for name, group in attention["words"].items()
    ]
    return MAPS.format(measured_on=attention["measured_on"], pool=attention["pool"], rows="\n".join(rows))


def model_card(bundle: Bundle, name: str, seed: int, evaluations: dict[str, Evaluation]) -> str:
    """The README.md of a bundle, from its evaluations by decoding flags; the last one has a human baseline."""
    recipe, settings = RECIPES[bundle.text.language], bundle.captioner.settings
    rows = []
    for flags, evaluation in evaluations.items():
        scores = evaluation.scores
        cells = [f"`{flags}`" if flags else "greedy", *(f"{scores[metric]:.1f}" for metric in METRICS)]
        cells += [f"{scores.statistics.distinct:,}", f"{scores.statistics.copied:.0%}"]
        rows.append(f"| {' | '.join(cells)} |")
    if name.endswith("-small"):
        rows += rows_of_card(name.removesuffix("-small"))
    statistics, baseline = evaluation.scores.statistics, evaluation.human_baseline["words"]
    return CARD.format(
        name=name,
        language=recipe.language,
        options=decoding_flags(bundle.decoding),
        layers=settings.num_layers,
        hidden_dim=settings.hidden_dim,
        weights=bundle.captioner.count_params(),
        backbone=BACKBONES[bundle.backbone.weights],
        training=TRAININGS.get(name, f"Trained with the settings of `experiments/{recipe.script}`, seed {seed}."),
        tuned=TUNED.format(epochs=bundle.facts["tuning"]["epoch"]) if "tuning" in bundle.facts else "",
        data=textwrap.fill(DATA.format(captions=recipe.captions, images=statistics.images), 119),
        images=statistics.images,
        unit=recipe.unit,
        human_bleu4=baseline["bleu4"],
        human_cider=baseline["cider"],
        titles=" | ".join(TITLES),
        rules="---|" * len(TITLES),
        rows="\n".join(rows),
        maps=map_accuracy(bundle.facts),
        words=bundle.tokenizer.vocabulary_size - 4,
        copied=statistics.copied,
    )


if __name__ == "__main__":
    main()
