"""Draws the metrics of a run by epoch."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from matplotlib.figure import Figure

from caption_tx.files import write_atomically
from caption_tx.training.checkpoint import RunHistory

SECONDS_BETWEEN_PLOTS = 5.0
"""Drawing takes half a second, so short epochs do not each get a new plot."""


def curves_figure(history: pd.DataFrame) -> Figure:
    """Loss, accuracy, reward and scores by epoch, one panel for each that `history` contains.

    Args:
        history: columns as Keras logs them, plus `epoch`.
    """
    with_dropout = "training (with dropout)"
    # Axis label: (column, legend, second column, its legend)
    panels = {
        "loss per token (nats)": ("token_loss", with_dropout, "val_token_loss", "validation"),
        "token accuracy": ("accuracy", with_dropout, "val_accuracy", "validation"),
        "reward, CIDEr-D in [0, 10]": ("reward", "sampled captions, training", None, None),
        "validation, times 100": ("val_cider", "CIDEr", "val_bleu4", "BLEU-4"),
    }
    panels = {label: lines for label, lines in panels.items() if lines[0] in history or lines[2] in history}
    figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, (first, first_legend, second, second_legend)) in zip(all_axes, panels.items(), strict=True):
        for column, legend in ((first, first_legend), (second, second_legend)):
            if column in history:
                rows = history[history[column].notna()]
                axes.plot(rows["epoch"], rows[column], marker="o", label=legend)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


class CurvesPlot(keras.callbacks.Callback):
    """Draws the curves of a run into a PNG file: at most every few seconds, and at the end."""

    def __init__(self, history: RunHistory, path: Path) -> None:
        super().__init__()
        self._history, self._path = history, path
        self._drawn_epochs, self._drawn_at = 0, -math.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() - self._drawn_at > SECONDS_BETWEEN_PLOTS:
            self._draw()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if len(self._history.epochs) > self._drawn_epochs:
            self._draw()

    def _draw(self) -> None:
        buffer = io.BytesIO()
        curves_figure(pd.DataFrame(self._history.epochs)).savefig(buffer, format="png", dpi=110)
        write_atomically(self._path, buffer.getvalue())
        self._drawn_epochs, self._drawn_at = len(self._history.epochs), time.monotonic()
