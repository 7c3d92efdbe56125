"""Settings of small runs, and what tests read of them."""

import pandas as pd

from caption_tx.training.checkpoint import RunCheckpoint

COLORS = {"红色": (220, 30, 30), "绿色": (30, 190, 40), "蓝色": (30, 50, 220), "黄色": (230, 220, 40)}
DEFAULTS = {
    "epochs": 4,
    "batch_size": 4,
    "patience": 4,
    "learning_rate": 0.01,
    "warmup_epochs": 0.5,
    "sample_count": 0,
    "sample_temperatures": (0.0,),
    "tensorboard": False,
    "label_smoothing": 0.0,
    "precision": "float32",
}


def quiet(text):
    """A log that discards its lines."""


def history(workdir):
    return pd.read_csv(workdir / "log.csv")


def interrupt(patch, at_epoch):
    """Makes `train` raise KeyboardInterrupt at the begin of the epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == at_epoch:
            raise KeyboardInterrupt

    patch.setattr(RunCheckpoint, "on_epoch_begin", on_epoch_begin)
