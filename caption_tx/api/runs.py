"""Trains and tunes captioners from Python: `caption_tx.train`, `caption_tx.tune` and the `Run` that they return."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from caption_tx.api.settings import resolve_request
from caption_tx.bundle import load_bundle
from caption_tx.config import Config, TuningConfig, load_config, make_options
from caption_tx.data.corpus.memory import Captions
from caption_tx.data.images.sources import require_images
from caption_tx.errors import ConfigError
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.startup import start_tensorflow
from caption_tx.training.fit import train as train_captioner
from caption_tx.training.run import weights_file
from caption_tx.training.tuning.tune import tune as tune_captioner


@dataclass(frozen=True, repr=False)
class Run:
    """A training run, or a tuning: what is in its workdir.

    Attributes:
        workdir: folder of the run.

    Raises:
        ConfigError: the folder contains no finished run.

    Example:
        >>> run = caption_tx.Run("runs/mine")
        >>> run.history["epoch"].tolist()
        [1, 2]
        >>> run.captioner.caption("photo.jpg")
        Caption('...', log_probability=-...)
    """

    workdir: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "workdir", Path(self.workdir))
        if not (self.bundle_path / "config.json").is_file():
            raise ConfigError(f"{self.workdir} contains no finished training run: there is no {self.bundle_path}.")

    @property
    def bundle_path(self) -> Path:
        """The folder of the bundle of the best epoch, which `caption_tx.load` loads."""
        return self.workdir / "bundle"

    @property
    def history(self) -> pd.DataFrame:
        """The metrics of the run, one row per epoch; "epoch" counts from 1, and from 0 in a tuning."""
        return pd.read_csv(self.workdir / "log.csv")

    @property
    def config(self) -> Config:
        """The settings of a training run, with the precision that it computed in.

        Raises:
            ConfigError: the workdir is that of a tuning, or its settings cannot be read.
        """
        return load_config(self.workdir / "config.toml")

    @property
    def left_out(self) -> pd.DataFrame:
        """The lines, captions and images that training left out, each with the reason; empty if there are none."""
        path = self.workdir / "left_out.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["reason"])

    @cached_property
    def captioner(self) -> ImageCaptioner:
        """The captioner of the best epoch."""
        settings = self.workdir / "config.toml"  # a tuning has none
        weights = weights_file(load_config(settings)) if settings.exists() else None
        return ImageCaptioner(load_bundle(self.bundle_path), weights, str(self.bundle_path))

    def __repr__(self) -> str:
        history = self.history
        metrics = [name for name in ("val_cider", "val_token_loss", "token_loss") if name in history]
        text = f"Run('{self.workdir}', {len(history)} epoch{'' if len(history) == 1 else 's'}"
        if metrics:
            values = history[metrics[0]]
            best = values.idxmax() if metrics[0] == "val_cider" else values.idxmin()
            text += f", best {metrics[0]} {values[best]:.4g} after epoch {history['epoch'][best]}"
        return f"{text})"


def train(
    captions: Captions | Iterable[Captions] | None = None,
    images: str | Path | None = None,
    *,
    workdir: str | Path,
    config: Config | None = None,
    log: Callable[[str], None] = print,
    verbose: bool = False,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    **settings: Any,
) -> Run:
    """Trains a captioner, or resumes a run that was stopped.

    Captions in memory are saved in the workdir as `captions.parquet`, so that the run can be resumed and tuned. The
    workdir also contains the settings, logs, sample captions, features and the bundle of the best epoch.

    Args:
        captions: a caption file or folder, a DataFrame with the columns image, caption and optionally split, a mapping
            of image names to captions, or several of these. None for those of `config`.
        images: folder of the images, or a table of images; None for that of `config`.
        workdir: folder of the run.
        config: settings to start from, such as those of `caption_tx.load_config`.
        log: gets lines of text about the progress.
        verbose: also log the layers of the model.
        callbacks: Keras callbacks, called after those of the run. `callback.model.captioner` is the captioner, and one
            that sets `callback.model.stop_training` ends the run; call `train` again to resume it.
        settings: settings of `config.toml` by name, such as `language`, `epochs` or `num_layers`; those of a section
            also as a dictionary, such as `backbone={"name": "ResNet50"}`.

    Raises:
        ConfigError: a setting is unknown or invalid, or the workdir contains a run with other settings or captions.
        CorpusError: the captions cannot be read, or there is nothing to train on.
        CacheError: the feature cache was made with other settings.
        CaptionTxError: another process uses the workdir.

    Example:
        >>> captions = pd.read_csv("captions.csv")
        >>> run = caption_tx.train(captions, "photos/", workdir="runs/first", language="zh", epochs=14, num_layers=4)
        >>> run.bundle_path.name
        'bundle'
    """
    callbacks = _check_callbacks(callbacks)
    request = resolve_request(captions, images, config, settings)
    require_images(request.config)
    if not os.environ.get("TF_CONFIG"):  # workers start TensorFlow together
        start_tensorflow(parallel_chunks=True)
    workdir = Path(workdir)
    train_captioner(request.save_captions(workdir), workdir, log, verbose, callbacks)
    return Run(workdir)


def _check_callbacks(callbacks: Iterable[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
    several = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks)
    for callback in several:
        if not isinstance(callback, keras.callbacks.Callback):
            what = callback.__name__ if isinstance(callback, type) else type(callback).__name__
            raise ConfigError(f"callbacks must be instances of keras.callbacks.Callback, got {what}.")
    return several


def tune(
    run: Run | str | Path,
    workdir: str | Path,
    *,
    config: TuningConfig | None = None,
    log: Callable[[str], None] = print,
    backbone_weights: str | Path | None = None,
    **settings: Any,
) -> Run:
    """Fine-tunes a finished run with a CIDEr reward, or resumes a tuning that was stopped.

    Args:
        run: the finished run or its workdir, with its features.
        workdir: folder of the tuning.
        config: settings of the tuning, instead of keywords.
        log: gets lines of text about the progress.
        backbone_weights: file with the backbone's weights, if the path in the run's settings is not valid here.
        settings: fields of `TuningConfig`, such as `epochs` or `learning_rate`.

    Raises:
        ConfigError: a setting is unknown or invalid, the run has no feature cache or no validation split, the workdir
            contains another tuning, or the scorers are not installed.
        BundleError: the run has no valid bundle, or was trained with other backbone weights.
        CaptionTxError: the weights are no longer finite, or another process uses the workdir.

    Example:
        >>> tuned = caption_tx.tune("runs/first", "runs/tuned", epochs=1, log=lines.append)
        >>> "val_cider" in tuned.history
        True
    """
    if config is not None and settings:
        raise ConfigError(f"Pass settings either as config or as keywords; remove {', '.join(settings)}.")
    config = config or make_options(TuningConfig, settings)
    start_tensorflow()
    weights = None if backbone_weights is None else os.fspath(backbone_weights)
    tune_captioner(run.workdir if isinstance(run, Run) else run, workdir, config, log, weights)
    return Run(Path(workdir))
