"""The curves of a run."""

import numpy as np
import pandas as pd

from caption_tx.training import curves
from caption_tx.training.checkpoint import RunHistory
from caption_tx.training.curves import CurvesPlot, curves_figure


def test_loss_and_accuracy_of_training_and_validation():
    history = pd.DataFrame({"epoch": [1, 2], "token_loss": [3, 2], "val_token_loss": [4, 3], "accuracy": [0.1, 0.2]})
    loss, accuracy = curves_figure(history).axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3, 2], [4, 3]]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0.1, 0.2]]
    assert "nats" in loss.get_ylabel()


def test_scores_are_drawn_at_the_epochs_that_have_them():
    history = pd.DataFrame({"epoch": [1, 2, 3], "token_loss": [3, 2, 1], "accuracy": [0.1, 0.2, 0.3]})
    history = history.assign(val_cider=[np.nan, 5, 6], val_bleu4=[np.nan, 1, 2])
    *_, scores = curves_figure(history).axes
    lines = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in scores.lines}
    assert lines == {"CIDEr": ([2, 3], [5, 6]), "BLEU-4": ([2, 3], [1, 2])}


def test_curves_are_drawn_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        curves, "curves_figure", lambda history: (drawn.append(len(history)), curves_figure(history))[1]
    )
    history = RunHistory()
    plot = CurvesPlot(history, tmp_path / "curves.png")

    def finish_epoch():
        history.epochs.append({"epoch": len(history.epochs) + 1, "token_loss": 1.0})
        plot.on_epoch_end(len(history.epochs) - 1)

    finish_epoch()
    finish_epoch()
    assert drawn == [1]  # the second epoch was too short for another plot
    plot.on_train_end()
    plot.on_train_end()
    assert drawn == [1, 2]
    monkeypatch.setattr(curves, "SECONDS_BETWEEN_PLOTS", 0.0)
    finish_epoch()
    assert drawn == [1, 2, 3]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
