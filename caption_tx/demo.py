"""The whole pipeline on rendered scenes, in data-flow order: corpus, features, training, captions, attention."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from caption_tx.config import BackboneConfig, Config, CorpusConfig, ModelConfig, TextConfig, TrainingConfig
from caption_tx.data.corpus.table import captions_by_image, read_corpus
from caption_tx.data.scenes.captions import check_caption
from caption_tx.data.scenes.corpus import SceneFiles, read_scenes, write_scenes
from caption_tx.data.scenes.objects import SceneObject
from caption_tx.errors import ImageError
from caption_tx.evaluation.attention.grounding import measure_grounding
from caption_tx.evaluation.attention.grounding_report import Grounding
from caption_tx.figure_files import save_figure
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.inference.search.caption import Caption
from caption_tx.training.fit import train

COUNTS = {"train": 1600, "val": 100, "test": 300}
"""Number of scenes per split. Training never sees the test split."""

NUM_HEATMAPS = 4
NUM_PRINTED = 6

Log = Callable[[str], None]
Scenes = Mapping[str, tuple[SceneObject, ...]]


@dataclass(frozen=True)
class DemoResult:
    """The results of `run_demo`.

    Attributes:
        exact: fraction of test scenes in [0, 1] whose caption names exactly their colors and shapes.
        scenes: number of test scenes.
        grounding: agreement of the attention for reference captions, pooled as the bundle says, with the masks of the
            named objects.
        heatmaps: the figures that were written.
        seconds: duration of the demo.
    """

    exact: float
    scenes: int
    grounding: Grounding
    heatmaps: tuple[Path, ...]
    seconds: float


def demo_config(files: SceneFiles, language: str) -> Config:
    """Returns the settings of a small captioner on the small backbone that the package contains."""
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
            precision="float32",  # lower precision does not make such a small decoder faster
            patience=20,
            sample_count=2,
        ),
    )


def run_demo(
    workdir: Path, language: str = "zh", log: Log = print, counts: Mapping[str, int] | None = None
) -> DemoResult:
    """Trains a captioner on rendered scenes, and measures its captions and attention on scenes it never saw.

    Everything is written to `workdir`. An interrupted demo resumes when it is called again.

    Args:
        workdir: output folder; it is created if it does not exist.
        language: language of the captions, "zh" or "en".
        log: receives the lines that report the progress.
        counts: number of scenes per split, `COUNTS` by default.
    """
    start = time.perf_counter()
    counts = COUNTS if counts is None else counts

    def log_step(text: str) -> None:
        log(f"\n[{time.perf_counter() - start:3.0f} s] {text}")

    log_step(f"Corpus: {sum(counts.values()):,} rendered scenes with four captions each")
    files = write_scenes(workdir / "scenes", counts, language)

    log_step("Features and training")
    bundle = train(demo_config(files, language), workdir / "run", log)

    log_step(f"Captions of {counts['test']} held-out scenes")
    captioner = ImageCaptioner(bundle)
    scenes = {name: objects for name, objects in read_scenes(files.scenes).items() if name.startswith("test-")}
    captions = _caption_scenes(captioner, files.images, scenes)
    exact = _log_accuracy(captions, scenes, language, log)

    log_step("Attention for their reference captions, compared with the masks of the named objects")
    references = captions_by_image(read_corpus(files.captions), "test")
    shown = MapSelection(pool=captioner.pool)
    grounding = measure_grounding(captioner, files.images, scenes, references, [shown])
    log(grounding.summary())

    log_step("Heatmaps")
    heatmaps = _draw_heatmaps(captioner, files.images, captions, workdir / "heatmaps")

    log_step("Done. Output:")
    _log_output(workdir, files, log)
    return DemoResult(exact, len(scenes), grounding, heatmaps, time.perf_counter() - start)


def _caption_scenes(captioner: ImageCaptioner, images: Path, scenes: Scenes) -> dict[str, Caption]:
    """Returns the caption of each scene by file name."""
    captions = {}
    for path, result in captioner.captions(images / name for name in scenes):
        if isinstance(result, ImageError):
            raise result
        captions[Path(path).name] = result[0]
    return captions


def _log_accuracy(captions: Mapping[str, Caption], scenes: Scenes, language: str, log: Log) -> float:
    """Logs the first captions and the accuracy; returns the fraction of exact captions."""
    is_exact = {name: check_caption(captions[name].text, scenes[name], language).exact for name in scenes}
    for name in list(scenes)[:NUM_PRINTED]:
        log(f"  {name}  {captions[name].text}  ({'correct' if is_exact[name] else 'wrong'})")
    num_exact = sum(is_exact.values())
    log(
        f"Exact captions (color and shape of every object): {num_exact} of {len(scenes)} held-out scenes "
        f"({num_exact / len(scenes):.1%})."
    )
    return num_exact / len(scenes)


def _draw_heatmaps(
    captioner: ImageCaptioner, images: Path, captions: Mapping[str, Caption], folder: Path
) -> tuple[Path, ...]:
    """Draws the attention maps of the first scenes; returns the files."""
    folder.mkdir(exist_ok=True)
    names = list(captions)[:NUM_HEATMAPS]
    for name in names:
        save_figure(captioner.explain(images / name, captions[name]).figure(), folder / name)
    return tuple(folder / name for name in names)


def _log_output(workdir: Path, files: SceneFiles, log: Log) -> None:
    for label, path in (
        ("scenes and captions", files.captions.parent),
        ("the run: settings, log.csv, curves.png, samples", workdir / "run"),
        ("the trained bundle", workdir / "run" / "bundle"),
        ("heatmaps", workdir / "heatmaps"),
    ):
        log(f"  {path}   {label}")
