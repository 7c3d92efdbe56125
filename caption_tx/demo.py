"""The whole way on rendered scenes, in the order of the data: corpus, features, training, captions, maps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caption_tx.config import BackboneConfig, Config, CorpusConfig, ModelConfig, TextConfig, TrainingConfig
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.scenes.captions import check_caption
from caption_tx.data.scenes.corpus import SceneFiles, read_scenes, write_scenes
from caption_tx.errors import ImageError
from caption_tx.evaluation.attention.grounding import measure_grounding
from caption_tx.evaluation.attention.grounding_report import Grounding
from caption_tx.evaluation.attention.selections import pooled_selections
from caption_tx.figure_files import save_figure
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.inference.search.decode import Caption
from caption_tx.training.fit import train

COUNTS = {"train": 1600, "val": 100, "test": 300}
"""Scenes of each split; those of the test split are never seen in training."""

HEATMAPS = 4
SHOWN = 6


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        exact: share in [0, 1] of held-out scenes whose caption names exactly the colors and shapes that are there.
        grounding: how the attention of their true captions lies on what the words name.
    """

    exact: float
    scenes: int
    grounding: Grounding
    heatmaps: tuple[Path, ...]
    seconds: float


def demo_config(files: SceneFiles, language: str) -> Config:
    """A small captioner on the small backbone that ships with the package."""
    return Config(
        corpus=CorpusConfig(sources=(str(files.captions),), images=str(files.images)),
        text=TextConfig(language=language, min_frequency=1),
        backbone=BackboneConfig(alpha=0.25, weights="scenes"),
        model=ModelConfig(
            hidden_dim=128,
            intermediate_dim=256,
            num_layers=2,
            dropout=0.1,
            attention_dropout=0.0,
            feature_dropout=0.0,
        ),
        training=TrainingConfig(
            epochs=20,
            batch_size=16,
            learning_rate=2e-3,
            label_smoothing=0.0,
            precision="float32",  # so small a decoder is no faster in another
            patience=20,
            sample_count=2,
        ),
    )


def run_demo(workdir: Path, language: str = "zh", log: Callable[[str], None] = print) -> DemoResult:
    """Renders scenes, trains on them, captions scenes that training did not see, holds attention against the
    objects' masks, and draws heatmaps.

    Everything is written below `workdir`; the same call again goes on where a killed one was.
    """
    start = time.perf_counter()

    def step(text: str) -> None:
        log(f"\n[{time.perf_counter() - start:3.0f} s] {text}")

    workdir.mkdir(parents=True, exist_ok=True)
    step(f"Corpus: {sum(COUNTS.values()):,} rendered scenes with four captions each")
    files = write_scenes(workdir / "scenes", COUNTS, language)
    step("Features and training")
    bundle = train(demo_config(files, language), workdir / "run", log)

    step(f"Captions of {COUNTS['test']} held-out scenes")
    scenes = {name: objects for name, objects in read_scenes(files.scenes).items() if name.startswith("test-")}
    captioner = ImageCaptioner(bundle)
    results = dict(captioner.captions(files.images / name for name in scenes))
    captions: dict[str, Caption] = {}
    right = 0
    for number, (name, objects) in enumerate(scenes.items()):
        result = results[str(files.images / name)]
        if isinstance(result, ImageError):
            raise result
        captions[name] = caption = result[0]
        exact = check_caption(caption.text, objects, language).exact
        right += exact
        if number < SHOWN:
            log(f"  {name}  {caption.text}  ({'right' if exact else 'wrong'})")
    share = right / len(scenes)
    log(f"Exact in color and shape of every object: {right} of {len(scenes)} held-out scenes ({share:.1%}).")

    step("Attention of their true captions, held against the objects that the words name")
    table = read_corpus(str(files.captions))
    references = table[table["split"] == "test"].groupby("image")["caption"].apply(list).to_dict()
    grounding = measure_grounding(captioner, files.images, scenes, references, pooled_selections())
    log(grounding.summary())

    step("Heatmaps")
    heatmaps = []
    for name in list(scenes)[:HEATMAPS]:
        path = workdir / "heatmaps" / name
        path.parent.mkdir(exist_ok=True)
        save_figure(captioner.explain(files.images / name, captions[name]).figure(), path)
        heatmaps.append(path)
    seconds = time.perf_counter() - start
    step("Done. Everything is here:")
    for label, path in (
        ("scenes and captions", files.captions.parent),
        ("the run: settings, log.csv, curves.png, samples", workdir / "run"),
        ("the trained bundle", workdir / "run" / "bundle"),
        ("heatmaps", workdir / "heatmaps"),
    ):
        log(f"  {path}   {label}")
    return DemoResult(share, len(scenes), grounding, tuple(heatmaps), seconds)
